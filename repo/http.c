#include "repo/http.h"

#ifdef HAVE_LIBCURL

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/version.h"
#include "repo/curllib.h"

#define SLICE_BYTES (32 << 10)
#define CONNECT_MOST_S 30           /* or stall_s, when that is less */
#define ERROR_BODY_BYTES 4096       /* kept of an answer that is no 2xx */
#define ERROR_BODY_MOST (256 << 10) /* after so much of one nobody listens any more */
#define MOVES_BYTES 1024            /* less in stall_s is not called moving */
#define RETRY_AFTER_MOST_S 3600

struct http {
	const struct net *net;
	const struct curllib *lib;
	CURL *curl;
	char curl_text[CURL_ERROR_SIZE];
};

/* Why a callback ended the transfer. */
enum ended {
	GOING,
	STALLED,
	STOPPED,
	TOO_LONG,
	TOO_MANY_HEADERS,
	ENOUGH,
	NO_MEMORY,
	REFUSED /* by who takes the body */
};

/* One request on its way. */
struct transfer {
	struct http *http;
	const struct http_request *request;
	struct http_answer *answer;
	struct buf *out;
	size_t sent;
	size_t header_bytes;
	size_t body_bytes;
	char error_body[ERROR_BODY_BYTES];
	size_t error_bytes;
	enum ended ended;
	struct err *err;      /* whoever takes the body fills it */
	uint64_t moved_bytes; /* when the clock of the stall was last set */
	int64_t moved_ns;
};

static int64_t monotonic_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static long stall_s(const struct net *net)
{
	return net && net->stall_s ? (long)net->stall_s : NET_STALL_S;
}

/* A wait for the pace is none for the other side. */
static void pace(struct transfer *t, struct net_pace *pace, size_t n)
{
	if (!pace)
		return;
	net_pace_take(pace, n, t->http->net);
	t->moved_ns = monotonic_ns();
}

static size_t read_body(char *to, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	const struct net *net = t->http->net;
	size_t n = t->request->body_len - t->sent;

	if (n > size * count)
		n = size * count;
	if (n > SLICE_BYTES)
		n = SLICE_BYTES;
	if (n == 0)
		return 0;
	pace(t, net ? net->up : NULL, n);
	if (net_stopped(net)) {
		t->ended = STOPPED;
		return CURL_READFUNC_ABORT;
	}
	memcpy(to, (const char *)t->request->body + t->sent, n);
	t->sent += n;
	net_count_sent(net, n);
	return n;
}

/* Asked for when a connection that was kept turns out to be closed, and the body is sent on a new one. */
static int seek_body(void *arg, curl_off_t offset, int origin)
{
	struct transfer *t = arg;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->request->body_len)
		return CURL_SEEKFUNC_FAIL;
	t->sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static size_t keep_error(struct transfer *t, const char *bytes, size_t n)
{
	size_t room = sizeof(t->error_body) - t->error_bytes;

	if (room > n)
		room = n;
	memcpy(t->error_body + t->error_bytes, bytes, room);
	t->error_bytes += room;
	if (t->body_bytes <= ERROR_BODY_MOST)
		return n;
	t->ended = ENOUGH;
	return 0;
}

static size_t write_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	const struct net *net = t->http->net;
	size_t n = size * count;
	long status = 0;

	pace(t, net ? net->down : NULL, n);
	net_count_received(net, n);
	t->body_bytes += n;
	(void)t->http->lib->easy_getinfo(t->http->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200 || status > 299)
		return keep_error(t, bytes, n);
	if (t->body_bytes > t->request->max_bytes) {
		t->ended = TOO_LONG;
		return 0;
	}
	if (t->request->take) {
		if (!t->request->take(t->request->take_arg, bytes, n, t->err))
			return n;
		t->ended = REFUSED;
		return 0;
	}
	if (t->out)
		buf_put(t->out, bytes, n);
	if (!t->out || !t->out->failed)
		return n;
	t->ended = NO_MEMORY;
	return 0;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t n = size * count;

	t->header_bytes += n;
	if (t->header_bytes > HTTP_MAX_HEADERS) {
		t->ended = TOO_MANY_HEADERS;
		return 0;
	}
	httphead_line(&t->answer->head, t->request->want_header, bytes, n);
	return n;
}

/* libcurl asks at least once a second. */
static int go_on(void *arg, curl_off_t down_most, curl_off_t down, curl_off_t up_most,
		 curl_off_t up)
{
	struct transfer *t = arg;
	uint64_t moved = (uint64_t)down + (uint64_t)up;
	int64_t now = monotonic_ns();

	(void)down_most;
	(void)up_most;
	if (moved >= t->moved_bytes + MOVES_BYTES || moved < t->moved_bytes) {
		t->moved_bytes = moved;
		t->moved_ns = now;
	}
	if (net_stopped(t->http->net))
		t->ended = STOPPED;
	else if (now - t->moved_ns >= stall_s(t->http->net) * INT64_C(1000000000))
		t->ended = STALLED;
	return t->ended != GOING;
}

#define SET(option, value) (void)lib->easy_setopt(curl, option, value)

static void set_always(struct http *http)
{
	const struct curllib *lib = http->lib;
	CURL *curl = http->curl;
	long stall = stall_s(http->net);

	SET(CURLOPT_ERRORBUFFER, http->curl_text);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NOPROGRESS, 0L);
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
	SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	/* One request at a time is all that a connection carries here: nothing of HTTP/2 would be used. */
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_CONNECTTIMEOUT, stall < CONNECT_MOST_S ? stall : CONNECT_MOST_S);
	SET(CURLOPT_BUFFERSIZE, (long)(64 << 10));
	SET(CURLOPT_USERAGENT, "nightjar/" NIGHTJAR_VERSION);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	if (http->net && http->net->ca_file) {
		SET(CURLOPT_CAINFO, http->net->ca_file);
		SET(CURLOPT_CAPATH, NULL);
	}
}

static void set_calls(struct transfer *t)
{
	const struct curllib *lib = t->http->lib;
	CURL *curl = t->http->curl;

	SET(CURLOPT_READFUNCTION, read_body);
	SET(CURLOPT_READDATA, t);
	SET(CURLOPT_SEEKFUNCTION, seek_body);
	SET(CURLOPT_SEEKDATA, t);
	SET(CURLOPT_WRITEFUNCTION, write_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_HEADERFUNCTION, take_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_XFERINFOFUNCTION, go_on);
	SET(CURLOPT_XFERINFODATA, t);
}

static void set_request(struct http *http, const struct http_request *request,
			struct curl_slist *headers)
{
	const struct curllib *lib = http->lib;
	CURL *curl = http->curl;

	SET(CURLOPT_URL, request->url);
	SET(CURLOPT_HTTPHEADER, headers);
	if (request->user) {
		SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		SET(CURLOPT_USERNAME, request->user);
		SET(CURLOPT_PASSWORD, request->password ? request->password : "");
	}
	if (strcmp(request->method, "HEAD") == 0) {
		SET(CURLOPT_NOBODY, 1L);
	} else if (strcmp(request->method, "PUT") == 0) {
		SET(CURLOPT_UPLOAD, 1L);
		SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body_len);
	} else if (strcmp(request->method, "POST") == 0) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
	} else if (strcmp(request->method, "GET") != 0) {
		SET(CURLOPT_CUSTOMREQUEST, request->method);
	}
}

static bool add_header(const struct curllib *lib, struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = lib->slist_append(*list, line);

	if (longer)
		*list = longer;
	return longer != NULL;
}

/*
 * "Expect:" keeps libcurl from waiting for a 100 before a large body; "Content-Type:" of a POST from calling it a form.
 */
static int headers_of(const struct http *http, const struct http_request *request,
		      struct curl_slist **out_list, struct err *err)
{
	bool ok = add_header(http->lib, out_list, "Expect:");
	bool typed = false;

	for (const char *const *h = request->headers; h && *h && ok; h++) {
		ok = add_header(http->lib, out_list, *h);
		typed = typed || strncasecmp(*h, "Content-Type:", 13) == 0;
	}
	if (ok && !typed && strcmp(request->method, "POST") == 0)
		ok = add_header(http->lib, out_list, "Content-Type: application/octet-stream");
	return ok ? 0 : err_nomem(err);
}

static void take_facts(struct transfer *t)
{
	const struct curllib *lib = t->http->lib;
	CURL *curl = t->http->curl;
	struct http_answer *answer = t->answer;
	curl_off_t length = -1;
	const char *type = NULL;

	(void)lib->easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
	(void)lib->easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	(void)lib->easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	answer->has_length = length >= 0;
	answer->length_bytes = length >= 0 ? (uint64_t)length : 0;
	answer->wait_s = httphead_wait_s(&answer->head, RETRY_AFTER_MOST_S);
	(void)snprintf(answer->content_type, sizeof(answer->content_type), "%s", type ? type : "");
	httphead_body_line(t->error_body, t->error_bytes, answer->error_text,
			   sizeof(answer->error_text));
}

static int curl_error(struct http *http, CURLcode code, struct err *err)
{
	const char *text = http->curl_text[0] ? http->curl_text : http->lib->easy_strerror(code);
	enum err_code kind = ERR_AGAIN;

	switch ((int)code) {
	case CURLE_OUT_OF_MEMORY:
		return err_nomem(err);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return err_set(err, ERR_IO,
			       "the server's certificate is not trusted (%s): --cacert FILE names "
			       "the certificates to trust",
			       text);
	case CURLE_SSL_CACERT_BADFILE:
		return err_set(err, ERR_IO, "%s: no certificates can be read from it",
			       http->net && http->net->ca_file ? http->net->ca_file
							       : "the system's CA file");
	case 100: /* CURLE_TOO_LARGE, since 8.6 */
		return err_set(err, ERR_LIMIT, "the answer's headers are too long");
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_URL_MALFORMAT:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_BAD_CONTENT_ENCODING:
		kind = ERR_IO;
		break;
	case CURLE_SSL_CONNECT_ERROR:
		if (strstr(text, "wrong version number"))
			return err_set(err, ERR_IO,
				       "the server speaks no TLS there (%s): is it http: rather "
				       "than https:?",
				       text);
		break;
	default:
		break;
	}
	return err_set(err, kind, "%s", text);
}

static int judge(struct transfer *t, CURLcode code, struct err *err)
{
	switch (t->ended) {
	case STALLED:
		return err_set(err, ERR_AGAIN, "nothing has moved for %ld s",
			       stall_s(t->http->net));
	case STOPPED:
		return err_set(err, ERR_CANCELLED, "interrupted");
	case TOO_LONG:
		return err_set(err, ERR_LIMIT, "the answer is longer than the %zu bytes expected",
			       t->request->max_bytes);
	case TOO_MANY_HEADERS:
		return err_set(err, ERR_LIMIT, "the answer's headers are longer than %d bytes",
			       HTTP_MAX_HEADERS);
	case NO_MEMORY:
		return err_nomem(err);
	case REFUSED:
		return -err->code;
	case ENOUGH:
		return 0;
	case GOING:
		break;
	}
	if (code != CURLE_OK)
		return curl_error(t->http, code, err);
	/* Where only the end of the connection ends a body, one that was cut looks whole. */
	if (strcmp(t->request->method, "HEAD") != 0 && !t->answer->has_length &&
	    !t->answer->head.chunked && t->answer->status / 100 == 2 && t->answer->status != 204)
		return err_set(err, ERR_AGAIN, "the answer does not say where it ends");
	return 0;
}

int http_send(struct http *http, const struct http_request *request, struct http_answer *answer,
	      struct buf *out, struct err *err)
{
	struct transfer t = {
	    .http = http, .request = request, .answer = answer, .out = out, .err = err};
	struct curl_slist *headers = NULL;
	size_t held = out ? out->len : 0;
	CURLcode code;
	int r;

	*answer = (struct http_answer){0};
	httphead_init(&answer->head);
	http->curl_text[0] = '\0';
	http->lib->easy_reset(http->curl); /* options; the connection stays */
	set_always(http);
	set_calls(&t);
	r = headers_of(http, request, &headers, err);
	if (!r && net_stopped(http->net))
		r = err_set(err, ERR_CANCELLED, "interrupted");
	if (!r) {
		set_request(http, request, headers);
		net_count_request(http->net);
		t.moved_ns = monotonic_ns();
		code = http->lib->easy_perform(http->curl);
		take_facts(&t);
		r = judge(&t, code, err);
	}
	http->lib->slist_free_all(headers);
	if (r && out)
		out->len = held;
	return r;
}

int http_new(const struct net *net, struct http **out_http, struct err *err)
{
	struct http *http = calloc(1, sizeof(*http));
	int r;

	if (!http)
		return err_nomem(err);
	http->net = net;
	r = curllib_get(&http->lib, err);
	if (!r) {
		http->curl = http->lib->easy_init();
		r = http->curl ? 0 : err_nomem(err);
	}
	if (r)
		free(http);
	else
		*out_http = http;
	return r;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	http->lib->easy_cleanup(http->curl);
	free(http);
}

#else

int http_new(const struct net *net, struct http **out_http, struct err *err)
{
	(void)net;
	(void)out_http;
	return err_set(err, ERR_USAGE, "this nightjar was built without libcurl");
}

void http_free(struct http *http)
{
	(void)http;
}

int http_send(struct http *http, const struct http_request *request, struct http_answer *answer,
	      struct buf *out, struct err *err)
{
	(void)http;
	(void)request;
	(void)out;
	*answer = (struct http_answer){0};
	httphead_init(&answer->head);
	return err_set(err, ERR_USAGE, "this nightjar was built without libcurl");
}

#endif
