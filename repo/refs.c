#include "repo/refs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/reference.h"
#include "repo/refs_query.h"
#include "repo/refs_set.h"

#define NAMED_BYTES (UINT64_C(256) << 20)

int refs_new(const struct refs_options *options, struct refs **out_refs, struct err *err)
{
	struct refs *r = calloc(1, sizeof(*r));

	if (!r)
		return err_nomem(err);
	r->options = *options;
	if (r->options.most_bytes == 0)
		r->options.most_bytes = NAMED_BYTES;
	randombytes_buf(r->key, sizeof(r->key));
	*out_refs = r;
	return 0;
}

static void free_asked(struct refs_asked *a)
{
	for (size_t i = 0; i < a->named_count; i++)
		free(a->named[i].path);
	for (size_t i = 0; i < a->folder_count; i++)
		free(a->folders[i]);
	free(a->named);
	free(a->folders);
	free(a->database);
	free(a->query);
	free(a->db_path);
}

void refs_free(struct refs *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->asked_count; i++)
		free_asked(&r->asked[i]);
	for (size_t i = 0; i < r->link_count; i++) {
		free(r->links[i].path);
		free(r->links[i].target);
	}
	free(r->asked);
	free(r->links);
	free(r->seen);
	free(r->hashes);
	free(r);
}

uint64_t refs_key(const struct refs *r, const char *path, size_t len)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint64_t key;

	(void)crypto_shorthash(hash, (const unsigned char *)path, len, r->key);
	memcpy(&key, hash, sizeof(key));
	return key;
}

int refs_add(struct refs *r, const char *database, const char *query, struct err *err)
{
	struct refs_asked *more;

	if (r->asked_count >= LIMIT_REFS)
		return err_set(err, ERR_LIMIT, "more than %u --refs", LIMIT_REFS);
	more = realloc(r->asked, (r->asked_count + 1) * sizeof(*more));
	if (!more)
		return err_nomem(err);
	r->asked = more;
	more += r->asked_count;
	*more = (struct refs_asked){.database = strdup(database), .query = strdup(query)};
	r->asked_count++;
	return more->database && more->query ? 0 : err_nomem(err);
}

size_t refs_query_count(const struct refs *r)
{
	return r ? r->asked_count : 0;
}

const char *refs_database(const struct refs *r, size_t query)
{
	return r->asked[query].database;
}

const char *refs_sql(const struct refs *r, size_t query)
{
	return r->asked[query].query;
}

const struct refs_count *refs_counted(const struct refs *r, size_t query)
{
	return &r->asked[query].count;
}

/* --- asking --- */

static void tell(const struct refs *r, const struct refs_asked *a, const char *path,
		 const char *text)
{
	if (r->options.missing)
		r->options.missing(r->options.arg, a->database, path, text);
}

static void forget_answer(struct refs_asked *a)
{
	for (size_t i = 0; i < a->named_count; i++)
		free(a->named[i].path);
	a->named_count = 0;
	a->count.failed = true;
}

void refs_fail(struct refs *r, size_t query, const char *text)
{
	struct refs_asked *a = &r->asked[query];

	forget_answer(a);
	tell(r, a, "", text);
}

bool refs_tells_damage(const struct refs *r, const struct err *why)
{
	return r->options.damaged && why->code != ERR_SOURCE;
}

int refs_lose(struct refs *r, size_t query, const char *db_path, const struct err *why,
	      struct err *err)
{
	if (!refs_tells_damage(r, why)) {
		refs_fail(r, query, why->text);
		return 0;
	}
	forget_answer(&r->asked[query]);
	return r->options.damaged(r->options.arg, db_path, why, err);
}

static int grow_named(struct refs_asked *a, struct err *err)
{
	size_t cap = a->named_cap ? a->named_cap * 2 : 64;
	struct refs_named *named;

	if (a->named_count < a->named_cap)
		return 0;
	named = realloc(a->named, cap * sizeof(*named));
	if (!named)
		return err_nomem(err);
	a->named = named;
	a->named_cap = cap;
	return 0;
}

struct asking {
	struct refs *r;
	struct refs_asked *a;
};

static int add_row(void *arg, const struct refs_row *row, struct err *err)
{
	const struct asking *s = arg;
	struct refs_named *n;
	size_t len;
	int r = grow_named(s->a, err);

	if (r)
		return r;
	n = &s->a->named[s->a->named_count];
	*n = (struct refs_named){.path = reference_path(s->a->db_path, row->path, row->path_len)};
	if (!n->path)
		return err_nomem(err);
	s->a->named_count++;
	len = strlen(n->path);
	n->key = refs_key(s->r, n->path, len);
	n->has_size = row->has_size;
	n->size = row->size;
	if (row->has_sha256)
		n->hash = reference_sha256(row->sha256, row->sha256_len, n->sha256)
			      ? REFS_HASH_ASKED
			      : REFS_HASH_BAD;
	s->r->bytes += len + sizeof(*n) + 32;
	if (s->r->bytes > s->r->options.most_bytes)
		return err_set(err, ERR_LIMIT, "%s: the query of --refs names too many files",
			       s->a->db_path);
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct refs_named *)a)->path, ((const struct refs_named *)b)->path);
}

static bool same_demand(const struct refs_named *a, const struct refs_named *b)
{
	return a->has_size == b->has_size && a->size == b->size && a->hash == b->hash &&
	       memcmp(a->sha256, b->sha256, sizeof(a->sha256)) == 0;
}

/* A file that is named twice counts once; of two demands on it, both must be met. */
static void drop_twins(struct refs_asked *a)
{
	size_t kept = 0;

	if (a->named_count > 1)
		qsort(a->named, a->named_count, sizeof(*a->named), by_path);
	for (size_t i = 0; i < a->named_count; i++) {
		struct refs_named *last = kept ? &a->named[kept - 1] : NULL;

		if (last && strcmp(last->path, a->named[i].path) == 0 &&
		    same_demand(last, &a->named[i])) {
			free(a->named[i].path);
			continue;
		}
		a->named[kept] = a->named[i];
		a->named[kept].twin = last && strcmp(last->path, a->named[kept].path) == 0;
		kept++;
	}
	a->named_count = kept;
}

int refs_ask(struct refs *r, size_t query, const char *db_path, struct pageimage *image,
	     struct err *err)
{
	struct refs_asked *a = &r->asked[query];
	struct asking asking = {r, a};
	struct refs_query q = {
	    .path = db_path,
	    .sql = a->query,
	    .image = image,
	    .cache_dir = r->options.cache_dir ? r->options.cache_dir : "",
	    .most_steps = r->options.most_steps,
	    .tick = r->options.tick,
	    .tick_arg = r->options.arg,
	    .row = add_row,
	    .row_arg = &asking,
	};
	int result;

	a->db_path = strdup(db_path);
	if (!a->db_path)
		return err_nomem(err);
	result = refs_query_run(&q, err);
	if (result == -ERR_DAMAGED) {
		struct err why = *err;

		return refs_lose(r, query, db_path, &why, err);
	}
	if (result == -ERR_SOURCE || result == -ERR_LIMIT) {
		refs_fail(r, query, err->text);
		return 0;
	}
	if (!result)
		drop_twins(a);
	return result;
}

/* --- telling --- */

static const char *fault_of(struct refs *r, const struct refs_named *n, char text[REFS_TEXT_CHARS])
{
	const struct refs_seen *seen = refs_find(r, n->path);

	if (!seen)
		return "is not in this backup";
	if (n->has_size && (n->size < 0 || (uint64_t)n->size != seen->size)) {
		(void)snprintf(text, REFS_TEXT_CHARS,
			       "its size differs: %lld bytes in the database, %llu in this backup",
			       (long long)n->size, (unsigned long long)seen->size);
		return text;
	}
	if (n->hash == REFS_HASH_BAD)
		return "what the database has as its SHA-256 is none";
	if (n->hash == REFS_HASH_DIFFERS)
		return "its SHA-256 differs from the one in the database";
	return NULL;
}

static void judge_one(struct refs *r, struct refs_asked *a)
{
	char text[REFS_TEXT_CHARS];
	bool counted = false; /* of this path, by a twin before it */

	for (size_t i = 0; i < a->named_count; i++) {
		struct refs_named *n = &a->named[i];
		const char *fault = fault_of(r, n, text);

		counted = counted && n->twin;
		a->count.referenced += !n->twin;
		a->count.unhashed += n->hash == REFS_HASH_ASKED && !fault;
		if (!fault || counted)
			continue;
		counted = true;
		if (++a->count.missing <= REFS_TOLD)
			tell(r, a, n->path, fault);
	}
	if (a->count.missing <= REFS_TOLD)
		return;
	(void)snprintf(text, sizeof(text), "and %llu more",
		       (unsigned long long)(a->count.missing - REFS_TOLD));
	tell(r, a, "", text);
}

int refs_judge(struct refs *r, struct err *err)
{
	refs_settle(r);
	for (size_t i = 0; i < r->asked_count; i++) {
		if (!r->asked[i].count.failed)
			judge_one(r, &r->asked[i]);
		if (r->failed)
			return err_nomem(err);
	}
	refs_count_orphans(r);
	return 0;
}
