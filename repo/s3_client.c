#include "repo/s3_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "core/sha256.h"
#include "repo/s3_credentials.h"

#define HEADERS_MOST 8
#define REASON_BYTES 4096 /* of the GET that asks why a HEAD was refused */
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct s3_client {
	const struct net *net;
	struct net own; /* with the CA file of the environment */
	struct http *http;
	struct s3_credentials *credentials;
	struct s3_location location;
	char region[S3_REGION_CHARS];
	bool region_told; /* by the server */
	bool clock_told;
	int64_t skew_s; /* the server's clock minus ours, once it complained */
};

const struct s3_location *s3_client_location(const struct s3_client *client)
{
	return &client->location;
}

const char *s3_client_region(const struct s3_client *client)
{
	return client->region;
}

void s3_client_free(struct s3_client *client)
{
	if (!client)
		return;
	http_free(client->http);
	s3_credentials_free(client->credentials);
	free(client);
}

/* It is part of host names and of what is signed, and may come from a server. */
static bool is_region(const char *text)
{
	size_t len =
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

	return len > 0 && len < S3_REGION_CHARS && text[len] == '\0';
}

static int choose_region(struct s3_client *c, struct err *err)
{
	const char *said = c->net ? c->net->s3_region : NULL;
	const char *from[] = {said, c->location.region, c->credentials->region, "us-east-1"};
	size_t i = 0;

	while (!from[i] || !*from[i])
		i++;
	if (!is_region(from[i]))
		return err_set(err, ERR_USAGE, "the S3 region \"%.40s\" is no region's name",
			       from[i]);
	(void)snprintf(c->region, sizeof(c->region), "%s", from[i]);
	return 0;
}

static const char *bundle_of(const struct net *net)
{
	return net && net->ca_file ? net->ca_file : net_environment(net, "AWS_CA_BUNDLE");
}

int s3_client_new(const char *location, const struct net *net, struct s3_client **out_client,
		  struct err *err)
{
	struct s3_client *c = calloc(1, sizeof(*c));
	int rc;

	*out_client = NULL;
	if (!c)
		return err_nomem(err);
	c->net = net;
	if (net)
		c->own = *net;
	c->own.ca_file = bundle_of(net);
	rc = s3_location_parse(location, c->own.s3_lookup, &c->location, err);
	if (rc == 0)
		rc = s3_credentials_new(net, &c->credentials, err);
	if (rc == 0)
		rc = choose_region(c, err);
	if (rc == 0)
		rc = http_new(&c->own, &c->http, err);
	if (rc != 0) {
		s3_client_free(c);
		return rc;
	}
	*out_client = c;
	return 0;
}

/* --- one request --- */

/* What goes into one, each a text with a NUL. */
struct parts {
	struct buf host, path, query, url, authorization;
	char hash[ID_HEX_CHARS + 1];
	char date[SIGV4_DATE_CHARS + 1];
	struct sigv4_pair headers[HEADERS_MOST];
	size_t count;
	struct buf lines[HEADERS_MOST + 1]; /* "name: value" of each, and the authorization */
	const char *list[HEADERS_MOST + 2];
};

static void put_text(struct buf *out, const char *text)
{
	buf_put(out, text, strlen(text));
}

/* NULL after a failed allocation, which buf_check finds later. */
static const char *text_of(struct buf *b)
{
	buf_put_u8(b, 0);
	return b->failed ? "" : (const char *)b->data;
}

static void parts_free(struct parts *p)
{
	buf_free(&p->host);
	buf_free(&p->path);
	buf_free(&p->query);
	buf_free(&p->url);
	buf_free(&p->authorization);
	for (size_t i = 0; i <= HEADERS_MOST; i++)
		buf_wipe(&p->lines[i]); /* one may be the session token */
}

static int hash_body(const struct s3_request *request, char out[ID_HEX_CHARS + 1], struct err *err)
{
	struct id hash;
	int rc;

	if (request->body_len == 0) {
		memcpy(out, EMPTY_HASH, sizeof(EMPTY_HASH));
		return 0;
	}
	rc = sha256_of(request->body, request->body_len, &hash, err);
	if (rc == 0)
		id_hex(&hash, out);
	return rc;
}

static void write_date(const struct s3_client *c, char out[SIGV4_DATE_CHARS + 1])
{
	time_t now = (time_t)((int64_t)time(NULL) + c->skew_s);
	struct tm tm = {0};

	(void)gmtime_r(&now, &tm);
	if (strftime(out, SIGV4_DATE_CHARS + 1, "%Y%m%dT%H%M%SZ", &tm) == 0)
		(void)snprintf(out, SIGV4_DATE_CHARS + 1, "19700101T000000Z");
}

static void add_header(struct parts *p, const char *name, const char *value)
{
	if (value && *value)
		p->headers[p->count++] = (struct sigv4_pair){name, value};
}

/* In ascending order. */
static void choose_headers(const struct s3_client *c, const struct s3_request *r, struct parts *p)
{
	add_header(p, "host", text_of(&p->host));
	add_header(p, "if-none-match", r->if_none_match ? "*" : NULL);
	add_header(p, "range", r->range);
	add_header(p, "x-amz-content-sha256", p->hash);
	add_header(p, "x-amz-date", p->date);
	add_header(p, "x-amz-security-token", c->credentials->session_token);
	add_header(p, "x-amz-storage-class", r->storage_class);
}

static int write_lines(struct parts *p, struct err *err)
{
	size_t i;
	int rc = 0;

	for (i = 0; i <= p->count && rc == 0; i++) {
		bool last = i == p->count;

		put_text(&p->lines[i], last ? "authorization" : p->headers[i].name);
		put_text(&p->lines[i], ": ");
		put_text(&p->lines[i], last ? text_of(&p->authorization) : p->headers[i].value);
		p->list[i] = text_of(&p->lines[i]);
		rc = buf_check(&p->lines[i], err);
	}
	p->list[i] = NULL;
	return rc;
}

static int sign(const struct s3_client *c, const struct s3_request *r, struct parts *p,
		struct err *err)
{
	const struct sigv4_key key = {.access_key = c->credentials->access_key,
				      .secret_key = c->credentials->secret_key,
				      .region = c->region,
				      .service = "s3"};
	const struct sigv4_request request = {.method = r->method,
					      .path = (const char *)p->path.data,
					      .query = (const char *)p->query.data,
					      .headers = p->headers,
					      .header_count = p->count,
					      .payload_hash = p->hash,
					      .date = p->date};

	return sigv4_put_authorization(&p->authorization, &request, &key, err);
}

static int build(const struct s3_client *c, const struct s3_request *r, struct parts *p,
		 struct err *err)
{
	const char *query;
	int rc = hash_body(r, p->hash, err);

	write_date(c, p->date);
	s3_location_put_host(&p->host, &c->location);
	s3_location_put_path(&p->path, &c->location, r->key);
	sigv4_put_query(&p->query, r->query, r->query_count);
	choose_headers(c, r, p);
	put_text(&p->url, c->location.tls ? "https://" : "http://");
	put_text(&p->url, (const char *)(p->host.data ? (const char *)p->host.data : ""));
	put_text(&p->url, text_of(&p->path));
	query = text_of(&p->query);
	if (*query) {
		put_text(&p->url, "?");
		put_text(&p->url, query);
	}
	(void)text_of(&p->url);
	p->url.failed |= p->host.failed || p->path.failed || p->query.failed;
	if (rc == 0)
		rc = buf_check(&p->url, err);
	if (rc == 0)
		rc = sign(c, r, p, err);
	return rc == 0 ? write_lines(p, err) : rc;
}

static int send_once(struct s3_client *c, const struct s3_request *r, struct s3_answer *answer,
		     struct buf *out, struct err *err)
{
	struct parts p = {.count = 0};
	int rc = build(c, r, &p, err);

	*answer = (struct s3_answer){0};
	httphead_init(&answer->http.head);
	if (rc == 0) {
		const struct http_request request = {.method = r->method,
						     .url = (const char *)p.url.data,
						     .headers = p.list,
						     .body = r->body,
						     .body_len = r->body_len,
						     .max_bytes = r->max_bytes,
						     .want_header = "x-amz-bucket-region"};

		rc = http_send(c->http, &request, &answer->http, out, err);
	}
	parts_free(&p);
	if (rc == 0 && answer->http.status / 100 != 2)
		(void)s3list_read_error(answer->http.error_text, strlen(answer->http.error_text),
					&answer->error);
	return rc;
}

/* A HEAD's refusal has no body. */
static int ask_why(struct s3_client *c, const struct s3_request *head, struct s3_answer *answer,
		   struct err *err)
{
	struct s3_request get = *head;
	struct s3_answer why;
	int rc;

	get.method = "GET";
	get.range = "bytes=0-0";
	get.max_bytes = REASON_BYTES;
	rc = send_once(c, &get, &why, NULL, err);
	if (rc == -ERR_LIMIT) /* it was given after all, and whole */
		return 0;
	if (rc == 0 && why.http.status / 100 != 2)
		answer->error = why.error;
	return rc;
}

/* --- what a server corrects --- */

/* Its own region, when it says another than we signed for. */
static bool learn_region(struct s3_client *c, const struct s3_answer *answer)
{
	const char *says =
	    answer->error.region[0] ? answer->error.region : answer->http.head.wanted;
	long status = answer->http.status;

	if (c->region_told || (status != 301 && status != 307 && status != 400 && status != 403) ||
	    !is_region(says) || strcmp(says, c->region) == 0)
		return false;
	c->region_told = true;
	(void)snprintf(c->region, sizeof(c->region), "%s", says);
	s3_location_move(&c->location, says);
	return true;
}

static bool is_skewed(const struct s3_answer *answer)
{
	return strcmp(answer->error.code, "RequestTimeTooSkewed") == 0;
}

static bool learn_clock(struct s3_client *c, const struct s3_answer *answer)
{
	if (c->clock_told || !is_skewed(answer) || answer->http.head.date_s < 0)
		return false;
	c->clock_told = true;
	c->skew_s = answer->http.head.date_s - (int64_t)time(NULL);
	return true;
}

int s3_client_send(struct s3_client *client, const struct s3_request *request,
		   struct s3_answer *out_answer, struct buf *out, struct err *err)
{
	bool head = strcmp(request->method, "HEAD") == 0;
	int rc;

	for (;;) {
		long status;

		rc = send_once(client, request, out_answer, out, err);
		status = out_answer->http.status;
		if (rc == 0 && head && status >= 300 && status < 500 && status != 404)
			rc = ask_why(client, request, out_answer, err);
		if (rc != 0 || status < 300 || status >= 500)
			return rc;
		if (!learn_region(client, out_answer) && !learn_clock(client, out_answer))
			return 0;
	}
}

/* --- what a refusal means --- */

struct refusal {
	const char *code;
	enum err_code err;
	const char *hint; /* NULL: the server's own words say enough */
};

static const struct refusal refusals[] = {
    {"NoSuchBucket", ERR_MISSING, NULL},
    {"NoSuchKey", ERR_MISSING, NULL},
    {"InvalidAccessKeyId", ERR_DENIED, "AWS_ACCESS_KEY_ID is not known there"},
    /* Swift says it of keys that it does not know, too. */
    {"SignatureDoesNotMatch", ERR_DENIED,
     "AWS_SECRET_ACCESS_KEY does not belong to the key, or there is no such key"},
    {"ExpiredToken", ERR_DENIED, "the session token has expired: get new credentials"},
    {"InvalidToken", ERR_DENIED, "AWS_SESSION_TOKEN does not belong to the key"},
    {"AccessDenied", ERR_DENIED, "the key's policy does not allow it"},
    {"AllAccessDisabled", ERR_DENIED, NULL},
    {"AuthorizationHeaderMalformed", ERR_DENIED, "is it the right region? -o s3.region=NAME"},
    {"PermanentRedirect", ERR_IO, "the bucket is at another host or in another region"},
    {"SlowDown", ERR_AGAIN, NULL},
    {"InternalError", ERR_AGAIN, NULL},
    {"ServiceUnavailable", ERR_AGAIN, NULL},
    {"RequestTimeout", ERR_AGAIN, NULL},
    {"OperationAborted", ERR_AGAIN, NULL},
    {"ConditionalRequestConflict", ERR_AGAIN, NULL},
    {"QuotaExceeded", ERR_FULL, NULL},
    {"XMinioStorageFull", ERR_FULL, NULL},
    {"InsufficientStorage", ERR_FULL, NULL},
    {"PreconditionFailed", ERR_EXISTS, "it is there already"},
};

static const struct refusal *refusal_of(const char *code)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (strcmp(refusals[i].code, code) == 0)
			return &refusals[i];
	return NULL;
}

static int skewed(const struct s3_answer *answer, const char *what, struct err *err)
{
	long long off = (long long)((int64_t)time(NULL) - answer->http.head.date_s);

	if (answer->http.head.date_s < 0)
		return err_set(err, ERR_DENIED,
			       "%s: the server refuses it, because this machine's clock is wrong: "
			       "set it",
			       what);
	return err_set(err, ERR_DENIED,
		       "%s: the server refuses it, because this machine's clock is %lld s %s of "
		       "the server's: set it",
		       what, off < 0 ? -off : off, off < 0 ? "behind" : "ahead");
}

int s3_client_error(const struct s3_client *client, const struct s3_answer *answer,
		    const char *what, struct err *err)
{
	const struct s3list_error *e = &answer->error;
	const struct refusal *known = refusal_of(e->code);
	enum err_code code;
	int wait_s;

	if (is_skewed(answer))
		return skewed(answer, what, err);
	if (strcmp(e->code, "NoSuchBucket") == 0)
		return err_set(err, ERR_MISSING, "%s: the bucket \"%s\" does not exist", what,
			       client->location.bucket);
	if (answer->http.status == 404 && !known)
		return err_set(err, ERR_MISSING, "%s: no such object", what);
	if (answer->http.status == 412 && !known)
		return err_set(err, ERR_EXISTS, "%s: it is there already", what);
	(void)http_status_error(&answer->http, what, err);
	if (!e->code[0])
		return -err->code;
	code = known ? known->err : (enum err_code)err->code;
	wait_s = err->wait_s;
	(void)err_set(err, code, "%s: the server answered %ld %s%s%s%s%s%s%s%s", what,
		      answer->http.status, e->code, e->message[0] ? " (" : "", e->message,
		      e->message[0] ? ")" : "", known && known->hint ? "; " : "",
		      known && known->hint ? known->hint : "",
		      code == ERR_DENIED ? "; the key is " : "",
		      code == ERR_DENIED ? client->credentials->access_key : "");
	err->wait_s = code == ERR_AGAIN ? wait_s : 0;
	return -err->code;
}
