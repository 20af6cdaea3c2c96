#include "repo/store_net.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "repo/s3_client.h"

#define WHAT_CHARS 1024
#define PAGE_NAMES "1000"
#define CONFIG_WAIT_NS                                                                             \
	1000000000       /* longer than another's way from its look to the end of its put */
#define EMPTY_PAGES 1000 /* in a row, each with the promise of more */

struct s3 {
	struct store base;
	struct s3_client *client;
	const struct net *net;
	const char *storage_class;
	bool plain_put; /* the server has no If-None-Match */
};

static struct s3_client *client_of(const struct store *s)
{
	return ((const struct s3 *)s)->client;
}

/* 0 only for a 2xx. Messages name "s3:https://…/data/3f/3fa9…", or the location alone. */
static int ask(const struct store *s, const struct s3_request *request, struct s3_answer *answer,
	       struct buf *out, struct err *err)
{
	char what[WHAT_CHARS];
	int rc = s3_client_send(client_of(s), request, answer, out, err);

	(void)snprintf(what, sizeof(what), "%s%s%s", s->location, request->key ? "/" : "",
		       request->key ? request->key : "");
	if (rc != 0)
		return err_prefix(err, "%s", what);
	return answer->http.status / 100 == 2 ? 0
					      : s3_client_error(client_of(s), answer, what, err);
}

/* --- one object --- */

static int size_of_key(const struct store *s, const char *key, uint64_t *out_bytes, struct err *err)
{
	const struct s3_request head = {.method = "HEAD", .key = key};
	struct s3_answer answer;
	int rc = ask(s, &head, &answer, NULL, err);

	if (rc == 0 && !answer.http.has_length)
		return err_set(err, ERR_IO, "%s/%s: the server does not say how long it is",
			       s->location, key);
	if (rc == 0)
		*out_bytes = answer.http.length_bytes;
	return rc;
}

static int s3_size(struct store *s, enum store_type type, const struct id *name,
		   uint64_t *out_bytes, struct err *err)
{
	char key[STORE_PATH_CHARS];

	store_path(type, name, key);
	return size_of_key(s, key, out_bytes, err);
}

static int s3_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		  struct buf *out, struct err *err)
{
	char key[STORE_PATH_CHARS];
	const struct s3_request get = {.method = "GET", .key = key, .max_bytes = max_bytes};
	struct s3_answer answer;

	store_path(type, name, key);
	return ask(s, &get, &answer, out, err);
}

/* From an archive nothing comes back at once: what every run reads must not go there. */
static const char *class_of(const struct s3 *s, enum store_type type)
{
	const char *class = s->storage_class;
	bool archive =
	    class && (strcmp(class, "GLACIER") == 0 || strcmp(class, "DEEP_ARCHIVE") == 0);

	return archive && type != STORE_DATA ? NULL : class;
}

/*
 * Of two `init` at once both may have passed the look before, where the server heeds no If-None-Match. The one who
 * comes last has overwritten the other's by now, and the other finds that out here.
 */
static int stay_ours(struct store *s, const void *bytes, size_t len, struct err *err)
{
	struct buf there = {0};
	int rc;

	if (s3_client_location(client_of(s))->amazon)
		return 0;
	if (!net_sleep(((struct s3 *)s)->net, CONFIG_WAIT_NS))
		return err_set(err, ERR_CANCELLED, "interrupted");
	rc = s3_get(s, STORE_CONFIG, NULL, LIMIT_CONFIG_BYTES, &there, err);
	if (rc == -ERR_LIMIT ||
	    (rc == 0 && (there.len != len || memcmp(there.data, bytes, len) != 0)))
		rc = err_set(err, ERR_EXISTS, "%s/config: another was put at the same moment",
			     s->location);
	buf_free(&there);
	return rc;
}

/* A proxy or a full disk may say 200 and keep nothing. */
static int must_be_there(struct s3 *s3, const char *key, size_t len, struct err *err)
{
	uint64_t size;
	int rc = size_of_key(&s3->base, key, &size, err);

	if ((rc != 0 && rc != -ERR_MISSING) || (rc == 0 && size == len))
		return rc;
	return err_set(err, ERR_AGAIN, "%s/%s: is not there, though the server said it was stored",
		       s3->base.location, key);
}

static int put_as(struct store *s, enum store_type type, const char *key, bool if_none_match,
		  const void *bytes, size_t len, struct s3_answer *out_answer, struct err *err)
{
	struct s3_request put = {.method = "PUT",
				 .key = key,
				 .body = bytes,
				 .body_len = len,
				 .max_bytes = 4096,
				 .storage_class = class_of((struct s3 *)s, type),
				 .if_none_match = if_none_match};

	return ask(s, &put, out_answer, NULL, err);
}

static int s3_put(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		  size_t len, struct err *err)
{
	struct s3 *s3 = (struct s3 *)s;
	bool once = type == STORE_CONFIG && !s3->plain_put;
	char key[STORE_PATH_CHARS];
	struct s3_answer answer;
	uint64_t there;
	int rc;

	store_path(type, name, key);
	rc = size_of_key(s, key, &there, err);
	if (rc == 0)
		return err_set(err, ERR_EXISTS, "%s/%s: it is there already", s->location, key);
	if (rc != -ERR_MISSING)
		return rc;
	rc = put_as(s, type, key, once, bytes, len, &answer, err);
	if (rc != 0 && once && answer.http.status == 501) {
		s3->plain_put = true;
		rc = put_as(s, type, key, false, bytes, len, &answer, err);
	}
	if (rc != 0)
		return rc;
	return type == STORE_CONFIG ? stay_ours(s, bytes, len, err)
				    : must_be_there(s3, key, len, err);
}

/* A PUT of a name that is there replaces it, in one step. */
static int s3_replace(struct store *s, enum store_type type, const struct id *name,
		      const void *bytes, size_t len, struct err *err)
{
	char key[STORE_PATH_CHARS];
	struct s3_answer answer;
	uint64_t there;
	int rc;

	store_path(type, name, key);
	rc = size_of_key(s, key, &there, err);
	if (rc == 0)
		rc = put_as(s, type, key, false, bytes, len, &answer, err);
	return rc != 0 ? rc : must_be_there((struct s3 *)s, key, len, err);
}

static int cut_short(const struct store *s, const char *key, struct err *err)
{
	return err_set(err, ERR_DAMAGED, "%s/%s: cut short: it is shorter than it must be",
		       s->location, key);
}

/* Nothing, or more than there can be: the size alone says whether that is right. */
static int range_by_size(const struct store *s, const char *key, uint64_t offset, size_t len,
			 struct err *err)
{
	uint64_t bytes;
	int rc = size_of_key(s, key, &bytes, err);

	if (rc != 0)
		return rc;
	return len == 0 && offset <= bytes ? 0 : cut_short(s, key, err);
}

/* A server that knows no ranges sends the whole. */
static int range_of_whole(const struct store *s, const char *key, uint64_t offset, size_t len,
			  struct buf *out, struct err *err)
{
	const struct s3_request get = {.method = "GET", .key = key, .max_bytes = LIMIT_PACK_BYTES};
	struct s3_answer answer;
	struct buf whole = {0};
	int rc = ask(s, &get, &answer, &whole, err);

	if (rc == 0 && (offset > whole.len || len > whole.len - offset))
		rc = cut_short(s, key, err);
	if (rc == 0) {
		buf_put(out, whole.data + offset, len);
		rc = buf_check(out, err);
	}
	buf_free(&whole);
	return rc;
}

/* What a 206 says must be what was asked for; less only where the object ends. */
static int check_range(const struct store *s, const char *key, const struct http_answer *answer,
		       uint64_t offset, size_t len, size_t got, struct err *err)
{
	if (answer->head.has_range && answer->head.range_offset == offset &&
	    answer->head.range_len == got) {
		if (got == len)
			return 0;
		if (got < len && answer->head.range_total == offset + got)
			return cut_short(s, key, err);
	}
	return err_set(err, ERR_IO, "%s/%s: the server sent other bytes than it was asked for",
		       s->location, key);
}

static int s3_get_range(struct store *s, enum store_type type, const struct id *name,
			uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	char key[STORE_PATH_CHARS], range[64];
	struct s3_request get = {.method = "GET", .key = key, .range = range, .max_bytes = len};
	size_t before = out->len;
	struct s3_answer answer;
	int rc;

	store_path(type, name, key);
	if (len == 0 || len - 1 > UINT64_MAX - offset)
		return range_by_size(s, key, offset, len, err);
	(void)snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, offset,
		       offset + (len - 1));
	rc = ask(s, &get, &answer, out, err);
	if (answer.http.status == 416)
		return cut_short(s, key, err);
	if (answer.http.status == 200 && (rc == 0 || rc == -ERR_LIMIT)) {
		out->len = before;
		return range_of_whole(s, key, offset, len, out, err);
	}
	if (rc == 0)
		rc = check_range(s, key, &answer.http, offset, len, out->len - before, err);
	if (rc != 0)
		out->len = before;
	return rc;
}

/* Deleting what is not there succeeds on S3, hence the look before. */
static int s3_remove(struct store *s, enum store_type type, const struct id *name, struct err *err)
{
	char key[STORE_PATH_CHARS];
	const struct s3_request delete = {.method = "DELETE", .key = key, .max_bytes = 4096};
	struct s3_answer answer;
	uint64_t there;
	int rc;

	store_path(type, name, key);
	rc = size_of_key(s, key, &there, err);
	return rc == 0 ? ask(s, &delete, &answer, NULL, err) : rc;
}

/* Any answer has the server's clock; this object is asked for because nothing is smaller. */
static int s3_now(struct store *s, int64_t *out_s, struct err *err)
{
	const struct s3_request head = {.method = "HEAD", .key = store_type_name(STORE_CONFIG)};
	struct s3_answer answer;
	int rc = ask(s, &head, &answer, NULL, err);

	if (rc != 0 && rc != -ERR_MISSING)
		return rc;
	if (answer.http.head.date_s < 0)
		return err_set(err, ERR_IO, "%s: the server's answers have no good Date",
			       s->location);
	*out_s = answer.http.head.date_s;
	return 0;
}

/* --- listings --- */

/* Called for each key below the prefix, which is cut. */
typedef int key_fn(void *arg, const char *key, uint64_t size_bytes, struct err *err);

struct walk {
	const struct store *store;
	const char *prefix; /* of the repository */
	size_t prefix_len;
	key_fn *fn;
	void *arg;
	uint64_t names;
	bool refused;    /* by fn */
	bool went_on;    /* this page has a name greater than all before */
	unsigned silent; /* pages in a row that had no name */
	char greatest[LIMIT_S3_TEXT_BYTES + 1];
	struct s3list_page page;
	struct buf body;
};

static int on_key(void *arg, const char *key, uint64_t size_bytes, struct err *err)
{
	struct walk *w = arg;
	int rc;

	if (++w->names > LIMIT_STORE_NAMES)
		return err_set(err, ERR_LIMIT, "%s: the server lists more than %u names",
			       w->store->location, LIMIT_STORE_NAMES);
	if (strcmp(key, w->greatest) > 0) {
		w->went_on = true;
		memcpy(w->greatest, key, strlen(key) + 1);
	}
	if (strncmp(key, w->prefix, w->prefix_len) != 0)
		return 0;
	rc = w->fn(w->arg, key + w->prefix_len, size_bytes, err);
	w->refused = rc != 0;
	return rc;
}

/* S3 lists in ascending order, so a page that brings nothing greater is one that was there before. */
static int check_progress(struct walk *w, const char *token, uint64_t names_before, struct err *err)
{
	bool silent = w->names == names_before;

	w->silent = silent ? w->silent + 1 : 0;
	if (!w->page.truncated)
		return 0;
	if (strcmp(token, w->page.next_token) != 0 && w->silent < EMPTY_PAGES &&
	    (silent || w->went_on))
		return 0;
	return err_set(err, ERR_IO, "%s: the server's listing goes round in circles",
		       w->store->location);
}

static int read_page(struct walk *w, const char *prefix, const char *token, struct err *err)
{
	const struct sigv4_pair query[] = {{"continuation-token", token},
					   {"encoding-type", "url"},
					   {"list-type", "2"},
					   {"max-keys", PAGE_NAMES},
					   {"prefix", prefix}};
	const size_t skip = *token ? 0 : 1;
	const struct s3_request get = {.method = "GET",
				       .query = query + skip,
				       .query_count = 5 - skip,
				       .max_bytes = LIMIT_S3_LIST_BYTES};
	uint64_t names = w->names;
	struct s3_answer answer;
	int rc;

	buf_reset(&w->body);
	w->went_on = false;
	rc = ask(w->store, &get, &answer, &w->body, err);
	if (rc == 0) {
		rc = s3list_read(w->body.data, w->body.len, on_key, w, &w->page, err);
		/* No object of the repository's is damaged. */
		if (rc == -ERR_DAMAGED && !w->refused) {
			err->code = ERR_IO;
			rc = err_prefix(err, "%s", w->store->location);
		}
	}
	return rc == 0 ? check_progress(w, token, names, err) : rc;
}

/* below: "keys/"; "" = all of the repository. */
static int walk(const struct store *s, const char *below, key_fn *fn, void *arg, struct err *err)
{
	const char *prefix = s3_client_location(client_of(s))->prefix;
	struct walk *w = calloc(1, sizeof(*w));
	char whole[S3_PREFIX_CHARS + 16], token[LIMIT_S3_TEXT_BYTES + 1] = "";
	int rc;

	if (!w)
		return err_nomem(err);
	w->store = s;
	w->prefix = prefix;
	w->prefix_len = strlen(prefix);
	w->fn = fn;
	w->arg = arg;
	(void)snprintf(whole, sizeof(whole), "%s%s", prefix, below);
	do {
		rc = read_page(w, whole, token, err);
		memcpy(token, w->page.next_token, sizeof(token));
	} while (rc == 0 && w->page.truncated);
	buf_free(&w->body);
	free(w);
	return rc;
}

struct listing {
	enum store_type type;
	store_list_fn *fn;
	void *arg;
};

/* Only the path that we would give an object of that name is one of ours. */
static int on_object(void *arg, const char *key, uint64_t size_bytes, struct err *err)
{
	const struct listing *l = arg;
	const char *slash = strrchr(key, '/');
	char ours[STORE_PATH_CHARS];
	struct id name;

	if (!slash || !id_from_hex(slash + 1, &name))
		return 0;
	store_path(l->type, &name, ours);
	return strcmp(ours, key) == 0 ? l->fn(l->arg, &name, size_bytes, err) : 0;
}

static int s3_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		   struct err *err)
{
	struct listing l = {type, fn, arg};
	const struct id none = {0};
	char below[16];
	uint64_t bytes;
	int rc;

	if (type == STORE_CONFIG) {
		rc = s3_size(s, type, NULL, &bytes, err);
		if (rc == -ERR_MISSING)
			return 0;
		return rc == 0 ? fn(arg, &none, bytes, err) : rc;
	}
	(void)snprintf(below, sizeof(below), "%s/", store_type_name(type));
	return walk(s, below, on_object, &l, err);
}

/* --- create --- */

static int on_foreign(void *arg, const char *key, uint64_t size_bytes, struct err *err)
{
	const struct store *s = arg;
	size_t folder = strcspn(key, "/");

	(void)size_bytes;
	if (!*key) /* the prefix itself: some tools make it, as a folder */
		return 0;
	if (strcmp(key, store_type_name(STORE_CONFIG)) == 0)
		return err_set(err, ERR_EXISTS, "a repository is in %s already", s->location);
	for (int t = STORE_KEYS; t < STORE_TYPES; t++) {
		const char *ours = store_type_name((enum store_type)t);

		if (key[folder] == '/' && strlen(ours) == folder && !strncmp(key, ours, folder))
			return 0;
	}
	return err_set(
	    err, ERR_EXISTS,
	    "%s holds \"%.100s\", which is no part of a repository; choose an empty or a "
	    "new prefix",
	    s->location, key);
}

/* Amazon wants to be told the region, except of its first one. */
static int make_bucket(const struct store *s, struct err *err)
{
	const struct s3_location *l = s3_client_location(client_of(s));
	const char *region = s3_client_region(client_of(s));
	struct s3_request put = {.method = "PUT", .max_bytes = 4096};
	struct s3_answer answer;
	char body[256];
	int rc;

	if (strcmp(region, "us-east-1") != 0) {
		(void)snprintf(body, sizeof(body),
			       "<CreateBucketConfiguration "
			       "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
			       "<LocationConstraint>%s</LocationConstraint>"
			       "</CreateBucketConfiguration>",
			       region);
		put.body = body;
		put.body_len = strlen(body);
	}
	rc = ask(s, &put, &answer, NULL, err);
	if (rc != 0 && strcmp(answer.error.code, "BucketAlreadyOwnedByYou") == 0)
		return 0;
	if (rc != 0)
		return err_prefix(err, "the bucket \"%s\" does not exist, and it could not be made",
				  l->bucket);
	return 0;
}

static int s3_create(struct store *s, struct err *err)
{
	int rc = walk(s, "", on_foreign, s, err);

	return rc == -ERR_MISSING ? make_bucket(s, err) : rc;
}

static void s3_free(struct store *s)
{
	s3_client_free(client_of(s));
	free(s->location);
	free(s);
}

static const struct store_ops s3_ops = {
    .create = s3_create,
    .put = s3_put,
    .get = s3_get,
    .get_range = s3_get_range,
    .size = s3_size,
    .list = s3_list,
    .remove = s3_remove,
    .now = s3_now,
    .free = s3_free,
    .replace = s3_replace,
};

int store_s3_open(const char *location, const struct net *net, struct store **out_store,
		  struct err *err)
{
	size_t len = strlen(location);
	struct s3 *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_nomem(err);
	rc = s3_client_new(location, net, &s->client, err);
	while (len > 1 && location[len - 1] == '/')
		len--;
	if (rc == 0) {
		s->base.ops = &s3_ops;
		s->net = net;
		s->storage_class = net ? net->s3_storage_class : NULL;
		s->base.location = strndup(location, len);
		if (!s->base.location)
			rc = err_nomem(err);
	}
	if (rc != 0) {
		s3_client_free(s->client);
		free(s);
		return rc;
	}
	*out_store = &s->base;
	return 0;
}
