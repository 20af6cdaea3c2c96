#include "repo/store_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "core/restlist.h"
#include "core/resturl.h"
#include "repo/http.h"

/* So long a rival that has looked before our config was there may take to put its own. */
#define SETTLE_NS INT64_C(1500000000)

/* An entry of a listing is some 90 bytes; servers may say more. */
#define ENTRY_BYTES 256u

struct rest {
	struct store base;
	const struct net *net;
	struct http *http;
	struct resturl url;
};

/* Flat, unlike the paths of repo/store.h: "data/<name>". */
#define TAIL_CHARS 96

static const char accept_v2[] = "Accept: application/vnd.x.restic.rest.v2";
static const char no_cache[] = "Cache-Control: no-cache";

static void tail_of(enum store_type type, const struct id *name, char out[TAIL_CHARS])
{
	char hex[ID_HEX_CHARS + 1] = "";

	if (type != STORE_CONFIG)
		id_hex(name, hex);
	(void)snprintf(out, TAIL_CHARS, "%s%s%s", store_type_name(type),
		       type == STORE_CONFIG ? "" : "/", hex);
}

/* "<location>/<path>": what messages call an object. */
static char *object_of(const struct rest *s, enum store_type type, const struct id *name)
{
	char path[STORE_PATH_CHARS];
	char *out;

	store_path(type, name, path);
	return asprintf(&out, "%s/%s", s->base.location, path) < 0 ? NULL : out;
}

static int say(const struct rest *s, enum err_code code, enum store_type type,
	       const struct id *name, const char *what, struct err *err)
{
	char path[STORE_PATH_CHARS];

	store_path(type, name, path);
	return err_set(err, code, "%s/%s %s", s->base.location, path, what);
}

/* Sends one request below the repository. what is what an error is about. */
static int send_to(struct rest *s, const char *tail, const char *what, struct http_request *request,
		   struct http_answer *answer, struct buf *out, struct err *err)
{
	char *url;
	int r;

	if (asprintf(&url, "%s%s", s->url.url, tail) < 0)
		return err_nomem(err);
	request->url = url;
	request->user = s->url.user;
	request->password = s->url.password;
	r = http_send(s->http, request, answer, out, err);
	free(url);
	if (r)
		return err_prefix(err, "%s", what);
	if (answer->status == 401)
		return err_set(err, ERR_DENIED, "%s: %s", what,
			       s->url.user ? "the server refuses this user and password"
					   : "the server wants a user and a password");
	return 0;
}

/* The same of an object, with the headers that every request has. */
static int send_for(struct rest *s, const char *method, enum store_type type, const struct id *name,
		    struct http_request *request, struct http_answer *answer, struct buf *out,
		    struct err *err)
{
	char *what = object_of(s, type, name);
	char tail[TAIL_CHARS];
	const char *const headers[] = {accept_v2, no_cache, NULL};
	int r;

	tail_of(type, name, tail);
	request->method = method;
	if (!request->headers)
		request->headers = headers;
	r = what ? send_to(s, tail, what, request, answer, out, err) : err_nomem(err);
	free(what);
	request->headers = NULL;
	return r;
}

/* The error of an answer that is none of those the caller knows. */
static int unexpected(const struct rest *s, const struct http_answer *answer, enum store_type type,
		      const struct id *name, struct err *err)
{
	char *what;
	int r;

	if (answer->status == 404 || answer->status == 410)
		return say(s, ERR_MISSING, type, name, "is not there", err);
	what = object_of(s, type, name);
	r = what ? http_status_error(answer, what, err) : err_nomem(err);
	free(what);
	return r;
}

static int rest_size(struct store *store, enum store_type type, const struct id *name,
		     uint64_t *out_bytes, struct err *err)
{
	struct rest *s = (struct rest *)store;
	struct http_request request = {0};
	struct http_answer answer;
	int r = send_for(s, "HEAD", type, name, &request, &answer, NULL, err);

	if (r)
		return r;
	if (answer.status != 200)
		return unexpected(s, &answer, type, name, err);
	if (!answer.has_length)
		return say(s, ERR_IO, type, name, "is there, but the server does not say its size",
			   err);
	*out_bytes = answer.length_bytes;
	return 0;
}

/* 0 when nothing of that name is there. */
static int must_be_new(struct rest *s, enum store_type type, const struct id *name, struct err *err)
{
	struct err why = {0};
	uint64_t size;
	int r = rest_size(&s->base, type, name, &size, &why);

	if (!r)
		return say(s, ERR_EXISTS, type, name, "exists already", err);
	if (r == -ERR_MISSING)
		return 0;
	*err = why;
	return r;
}

/* Made where the server makes repositories; where it does not, it is there or the first put says what is wrong. */
static int rest_create(struct store *store, struct err *err)
{
	static const char *const headers[] = {accept_v2, NULL};
	struct rest *s = (struct rest *)store;
	struct http_request request = {.method = "POST", .headers = headers};
	struct http_answer answer;
	int r = must_be_new(s, STORE_CONFIG, NULL, err);

	if (r == -ERR_EXISTS)
		return err_set(err, ERR_EXISTS, "a repository is in %s already", s->base.location);
	if (!r)
		r = send_to(s, "?create=true", s->base.location, &request, &answer, NULL, err);
	if (!r && answer.status / 100 != 2)
		r = http_status_error(&answer, s->base.location, err);
	return r;
}

static int is_ours(struct rest *s, const void *bytes, size_t len, struct err *err)
{
	struct http_request request = {.max_bytes = LIMIT_CONFIG_BYTES};
	struct http_answer answer;
	struct buf there = {0};
	int r = 0;

	if (!net_sleep(s->net, SETTLE_NS))
		r = say(s, ERR_CANCELLED, STORE_CONFIG, NULL, "is written; interrupted", err);
	if (!r)
		r = send_for(s, "GET", STORE_CONFIG, NULL, &request, &answer, &there, err);
	if (!r && answer.status != 200)
		r = unexpected(s, &answer, STORE_CONFIG, NULL, err);
	if (!r && (there.len != len || (len && memcmp(there.data, bytes, len) != 0)))
		r = say(s, ERR_EXISTS, STORE_CONFIG, NULL, "exists already", err);
	buf_free(&there);
	return r;
}

/* A server that refuses to replace says 403, as it does to a user who may not write. */
static int refused_put(struct rest *s, const struct http_answer *answer, enum store_type type,
		       const struct id *name, struct err *err)
{
	int r;

	if (answer->status != 403)
		return unexpected(s, answer, type, name, err);
	r = must_be_new(s, type, name, err);
	return r ? r
		 : say(s, ERR_DENIED, type, name,
		       "cannot be written: the server does not allow it to this user (403)", err);
}

/* A proxy or a full disk may say 200 and keep nothing. */
static int must_be_there(struct rest *s, enum store_type type, const struct id *name, size_t len,
			 struct err *err)
{
	uint64_t size = 0;
	int r = rest_size(&s->base, type, name, &size, err);

	if ((r && r != -ERR_MISSING) || (!r && size == len))
		return r;
	return say(s, ERR_AGAIN, type, name, "is not there, though the server said it was stored",
		   err);
}

static int rest_put(struct store *store, enum store_type type, const struct id *name,
		    const void *bytes, size_t len, struct err *err)
{
	struct rest *s = (struct rest *)store;
	struct http_request request = {.body = bytes, .body_len = len};
	struct http_answer answer;
	int r = must_be_new(s, type, name, err);

	if (!r)
		r = send_for(s, "POST", type, name, &request, &answer, NULL, err);
	if (r)
		return r;
	if (answer.status / 100 != 2)
		return refused_put(s, &answer, type, name, err);
	return type == STORE_CONFIG ? is_ours(s, bytes, len, err)
				    : must_be_there(s, type, name, len, err);
}

static int rest_get(struct store *store, enum store_type type, const struct id *name,
		    size_t max_bytes, struct buf *out, struct err *err)
{
	struct rest *s = (struct rest *)store;
	struct http_request request = {.max_bytes = max_bytes};
	struct http_answer answer;
	size_t held = out->len;
	int r = send_for(s, "GET", type, name, &request, &answer, out, err);

	if (!r && answer.status != 200) {
		out->len = held;
		r = unexpected(s, &answer, type, name, err);
	}
	return r;
}

/* Where a range cannot be asked for: nothing of it, or beyond every object. */
static int range_of_nothing(struct rest *s, enum store_type type, const struct id *name,
			    uint64_t offset, size_t len, struct err *err)
{
	uint64_t size = 0;
	int r = rest_size(&s->base, type, name, &size, err);

	if (!r && (offset > size || len > size - offset))
		r = say(s, ERR_DAMAGED, type, name, "is too short", err);
	return r;
}

static int judge_range(const struct rest *s, const struct http_answer *answer, uint64_t offset,
		       size_t len, size_t got, enum store_type type, const struct id *name,
		       struct err *err)
{
	if (answer->status == 416 || (answer->status == 206 && got < len))
		return say(s, ERR_DAMAGED, type, name, "is too short", err);
	if (answer->status == 200 && (offset != 0 || got != len))
		return say(s, ERR_IO, type, name,
			   "cannot be read in parts: the server gives whole files only", err);
	if (answer->status != 200 && answer->status != 206)
		return unexpected(s, answer, type, name, err);
	if (answer->status == 206 &&
	    (!answer->head.has_range || answer->head.range_offset != offset))
		return say(s, ERR_IO, type, name, "was asked for in part; the server gave another",
			   err);
	return 0;
}

static int rest_get_range(struct store *store, enum store_type type, const struct id *name,
			  uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	struct rest *s = (struct rest *)store;
	char range[64];
	const char *const headers[] = {range, accept_v2, no_cache, NULL};
	struct http_request request = {.headers = headers, .max_bytes = len};
	struct http_answer answer;
	size_t held = out->len;
	int r;

	if (len == 0 || offset > INT64_MAX || len > INT64_MAX - offset)
		return range_of_nothing(s, type, name, offset, len, err);
	(void)snprintf(range, sizeof(range), "Range: bytes=%llu-%llu", (unsigned long long)offset,
		       (unsigned long long)(offset + len - 1));
	r = send_for(s, "GET", type, name, &request, &answer, out, err);
	/* A whole file where a part was asked for is longer than was allowed. */
	if (!r || (r == -ERR_LIMIT && answer.status == 200))
		r = judge_range(s, &answer, offset, len, r ? SIZE_MAX : out->len - held, type, name,
				err);
	if (r)
		out->len = held;
	return r;
}

static int rest_remove(struct store *store, enum store_type type, const struct id *name,
		       struct err *err)
{
	struct rest *s = (struct rest *)store;
	struct http_request request = {0};
	struct http_answer answer;
	int r = send_for(s, "DELETE", type, name, &request, &answer, NULL, err);

	if (r || answer.status / 100 == 2)
		return r;
	if (answer.status == 403)
		return say(s, ERR_DENIED, type, name,
			   "cannot be removed: the server is append-only, or does not allow it to "
			   "this user (403)",
			   err);
	return unexpected(s, &answer, type, name, err);
}

/* Listings are kept until they are complete: whoever is told of a name may then use this connection. */
struct entry {
	struct id name;
	uint64_t size_bytes;
};

struct listing {
	struct restlist reader;
	struct buf entries;
};

static int keep_entry(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	struct buf *entries = arg;
	struct entry entry = {*name, size_bytes};

	if (entries->len / sizeof(entry) >= LIMIT_REST_NAMES)
		return err_set(err, ERR_LIMIT, "the listing has more than %u names",
			       LIMIT_REST_NAMES);
	buf_put(entries, &entry, sizeof(entry));
	return buf_check(entries, err);
}

static int feed(void *arg, const void *bytes, size_t len, struct err *err)
{
	struct listing *l = arg;

	return restlist_feed(&l->reader, bytes, len, err);
}

static int by_name(const void *a, const void *b)
{
	return id_cmp(&((const struct entry *)a)->name, &((const struct entry *)b)->name);
}

/* Some clouds behind rclone hold two files of one name: it is told once. */
static int tell(struct listing *l, store_list_fn *fn, void *arg, struct err *err)
{
	size_t count = l->entries.len / sizeof(struct entry);
	struct entry *e = (struct entry *)(void *)l->entries.data;
	int r = 0;

	if (count)
		qsort(e, count, sizeof(*e), by_name);
	for (size_t i = 0; i < count && !r; i++)
		if (i == 0 || !id_eq(&e[i].name, &e[i - 1].name))
			r = fn(arg, &e[i].name, e[i].size_bytes, err);
	return r;
}

static int list_config(struct rest *s, store_list_fn *fn, void *arg, struct err *err)
{
	struct err why = {0};
	struct id zero = {{0}};
	uint64_t size = 0;
	int r = rest_size(&s->base, STORE_CONFIG, NULL, &size, &why);

	if (!r)
		return fn(arg, &zero, size, err);
	if (r == -ERR_MISSING)
		return 0;
	*err = why;
	return r;
}

/* Not there: where no repository is. Where one is, a listing that is missing must not pass for an empty one. */
static int no_listing(struct rest *s, const char *what, struct err *err)
{
	struct err why = {0};
	uint64_t size;
	int r = rest_size(&s->base, STORE_CONFIG, NULL, &size, &why);

	if (r == -ERR_MISSING)
		return 0;
	if (!r)
		return err_set(err, ERR_IO,
			       "%s: the server has no such folder, though a repository is there",
			       what);
	*err = why;
	return r;
}

static int rest_list(struct store *store, enum store_type type, store_list_fn *fn, void *arg,
		     struct err *err)
{
	static const char *const headers[] = {accept_v2, no_cache, NULL};
	struct rest *s = (struct rest *)store;
	struct listing l = {0};
	struct http_request request = {.method = "GET",
				       .headers = headers,
				       .max_bytes = (size_t)LIMIT_REST_NAMES * ENTRY_BYTES,
				       .take = feed,
				       .take_arg = &l};
	struct http_answer answer;
	char tail[16], *what;
	int r;

	if (type == STORE_CONFIG)
		return list_config(s, fn, arg, err);
	(void)snprintf(tail, sizeof(tail), "%s/", store_type_name(type));
	if (asprintf(&what, "%s/%s", s->base.location, tail) < 0)
		return err_nomem(err);
	restlist_init(&l.reader, keep_entry, &l.entries);
	r = send_to(s, tail, what, &request, &answer, NULL, err);
	if (!r && answer.status == 404)
		r = no_listing(s, what, err);
	else if (!r && answer.status != 200)
		r = http_status_error(&answer, what, err);
	else if (!r && restlist_end(&l.reader, err) != 0)
		r = err_prefix(err, "%s", what);
	free(what);
	/* Of a page of some proxy's: no object of the repository's is damaged. */
	if (r == -ERR_DAMAGED) {
		err->code = ERR_IO;
		r = -ERR_IO;
	}
	if (!r)
		r = tell(&l, fn, arg, err);
	buf_free(&l.entries);
	return r;
}

/* Of any answer, be config there or not; no cache in between may have kept it. */
static int rest_now(struct store *store, int64_t *out_s, struct err *err)
{
	struct rest *s = (struct rest *)store;
	struct http_request request = {0};
	struct http_answer answer;
	int r = send_for(s, "HEAD", STORE_CONFIG, NULL, &request, &answer, NULL, err);

	if (r)
		return r;
	if (answer.status != 200 && answer.status != 404)
		return unexpected(s, &answer, STORE_CONFIG, NULL, err);
	if (answer.head.date_s < 0)
		return err_set(err, ERR_IO, "%s: the server does not say what time it is (Date)",
			       s->base.location);
	*out_s = answer.head.date_s;
	return 0;
}

static void rest_free(struct store *store)
{
	struct rest *s = (struct rest *)store;

	http_free(s->http);
	free(s->base.location);
	resturl_free(&s->url);
	free(s);
}

static const struct store_ops rest_ops = {
    .create = rest_create,
    .put = rest_put,
    .get = rest_get,
    .get_range = rest_get_range,
    .size = rest_size,
    .list = rest_list,
    .remove = rest_remove,
    .now = rest_now,
    .free = rest_free,
};

/* The environment's user is for a location that names none. */
static int take_user(struct rest *s, const struct net *net, struct err *err)
{
	if (s->url.user || !net || !net->rest_user)
		return 0;
	s->url.user = strdup(net->rest_user);
	s->url.password = strdup(net->rest_password ? net->rest_password : "");
	return s->url.user && s->url.password ? 0 : err_nomem(err);
}

int store_rest_open(const char *location, const struct net *net, struct store **out_store,
		    struct err *err)
{
	struct rest *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_nomem(err);
	s->base.ops = &rest_ops;
	s->net = net;
	r = resturl_parse(location, &s->url, err);
	if (!r)
		r = take_user(s, net, err);
	if (!r) {
		s->base.location = strdup(s->url.location);
		r = s->base.location ? http_new(net, &s->http, err) : err_nomem(err);
	}
	if (r)
		rest_free(&s->base);
	else
		*out_store = &s->base;
	return r;
}
