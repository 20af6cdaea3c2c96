/* What a backup has, held against what queries name. */
#include "repo/refs_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/reference.h"
#include "repo/sources.h"

#define MOST_HOPS 40u         /* links that are followed for one path, as Linux does */
#define MOST_LINKS (1u << 20) /* that are kept; more are not followed */
#define MOST_FOLDERS 1024u    /* of one query; in more no orphans are looked for */

/* --- the folders where orphans are looked for --- */

/* "/srv/app/app.db" → 8, the length of "/srv/app"; "/app.db" → 0. */
static size_t folder_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

/* How many bytes of the path say which group it is of: a folder below the database's own, or a source. 0: of none. */
static size_t group_len(const struct refs_asked *a, const char *path, const char *const *sources,
			size_t source_count)
{
	size_t own = folder_len(a->db_path), len = 0;

	if (strncmp(path, a->db_path, own) == 0 && path[own] == '/') {
		const char *slash = strchr(path + own + 1, '/');

		return slash ? (size_t)(slash - path) : 0;
	}
	for (size_t i = 0; i < source_count; i++) {
		if (sources_lies_below(path, sources[i]))
			len = strlen(sources[i]);
	}
	return len;
}

/* Cuts a folder to what it has in common with the path's own. */
static void cut_to_common(char *folder, const char *path)
{
	size_t limit = folder_len(path), end = 0;

	for (size_t i = 0;; i++) {
		char f = folder[i], p = i < limit ? path[i] : '\0';

		if ((f == '/' || f == '\0') && (p == '/' || p == '\0'))
			end = i;
		if (f == '\0' || f != p)
			break;
	}
	folder[end ? end : 1] = '\0';
}

struct group {
	const char *path; /* one of it */
	size_t len;
};

static int add_folder(struct refs_asked *a, const char *path, struct err *err)
{
	size_t len = folder_len(path);
	char *folder = strndup(path, len ? len : 1);

	if (!folder)
		return err_nomem(err);
	a->folders[a->folder_count++] = folder;
	return 0;
}

static int find_folders(struct refs_asked *a, const char *const *sources, size_t source_count,
			struct err *err)
{
	struct group *groups = calloc(MOST_FOLDERS, sizeof(*groups));
	int r = 0;

	a->folders = calloc(MOST_FOLDERS, sizeof(*a->folders));
	if (!groups || !a->folders)
		r = err_nomem(err);
	for (size_t i = 0; !r && i < a->named_count; i++) {
		const char *path = a->named[i].path;
		size_t k = a->folder_count, len = group_len(a, path, sources, source_count);

		/* Paths ascend, so it is nearly always the last one. */
		while (k > 0 &&
		       (groups[k - 1].len != len || strncmp(groups[k - 1].path, path, len) != 0))
			k--;
		if (len == 0)
			continue;
		if (k > 0) {
			cut_to_common(a->folders[k - 1], path);
		} else if (a->folder_count < MOST_FOLDERS) {
			groups[a->folder_count] = (struct group){path, len};
			r = add_folder(a, path, err);
		}
	}
	free(groups);
	return r;
}

/* --- hashes that are asked for --- */

static int by_hash_key(const void *a, const void *b)
{
	uint64_t x = ((const struct refs_asked_hash *)a)->key;
	uint64_t y = ((const struct refs_asked_hash *)b)->key;

	return (x > y) - (x < y);
}

static size_t count_hashes(const struct refs *r)
{
	size_t count = 0;

	for (size_t i = 0; i < r->asked_count; i++) {
		for (size_t k = 0; k < r->asked[i].named_count; k++)
			count += r->asked[i].named[k].hash == REFS_HASH_ASKED;
	}
	return count;
}

static int gather_hashes(struct refs *r, struct err *err)
{
	r->hashes = calloc(count_hashes(r) + 1, sizeof(*r->hashes));
	if (!r->hashes)
		return err_nomem(err);
	for (size_t i = 0; i < r->asked_count; i++) {
		for (size_t k = 0; k < r->asked[i].named_count; k++) {
			struct refs_named *n = &r->asked[i].named[k];

			if (n->hash == REFS_HASH_ASKED)
				r->hashes[r->hash_count++] = (struct refs_asked_hash){n->key, n};
		}
	}
	if (r->hash_count > 1)
		qsort(r->hashes, r->hash_count, sizeof(*r->hashes), by_hash_key);
	return 0;
}

int refs_ready(struct refs *r, const char *const *sources, size_t count, struct err *err)
{
	int result = 0;

	for (size_t i = 0; !result && i < r->asked_count; i++) {
		if (r->asked[i].named_count)
			result = find_folders(&r->asked[i], sources, count, err);
	}
	return result ? result : gather_hashes(r, err);
}

/* The first with this key. */
static size_t first_hash(const struct refs *r, uint64_t key)
{
	size_t low = 0, high = r->hash_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->hashes[mid].key < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool refs_wants_hash(const struct refs *r, const char *path)
{
	uint64_t key;
	size_t at;

	if (!r || r->hash_count == 0)
		return false;
	key = refs_key(r, path, strlen(path));
	at = first_hash(r, key);
	return at < r->hash_count && r->hashes[at].key == key;
}

void refs_hashed(struct refs *r, const char *path, const uint8_t sha256[32])
{
	uint64_t key = refs_key(r, path, strlen(path));

	for (size_t i = first_hash(r, key); i < r->hash_count && r->hashes[i].key == key; i++) {
		struct refs_named *n = r->hashes[i].named;

		n->hash = memcmp(n->sha256, sha256, 32) == 0 ? REFS_HASH_SAME : REFS_HASH_DIFFERS;
	}
}

/* --- what there is --- */

static uint32_t beside(const struct refs *r, const char *path)
{
	for (size_t i = 0; i < r->asked_count; i++) {
		const struct refs_asked *a = &r->asked[i];

		for (size_t k = 0; k < a->folder_count; k++) {
			if (sources_lies_below(path, a->folders[k]))
				return (uint32_t)(i + 1);
		}
	}
	return 0;
}

static int add_seen(struct refs *r, const char *path, const struct entry *e, struct err *err)
{
	if (r->seen_count == r->seen_cap) {
		size_t cap = r->seen_cap ? r->seen_cap * 2 : 1024;
		struct refs_seen *seen = realloc(r->seen, cap * sizeof(*seen));

		if (!seen)
			return err_nomem(err);
		r->seen = seen;
		r->seen_cap = cap;
	}
	r->seen[r->seen_count++] = (struct refs_seen){
	    .key = refs_key(r, path, strlen(path)),
	    .size = e->size,
	    .beside = entry_is_database(e) ? 0 : beside(r, path),
	};
	return 0;
}

static int add_link(struct refs *r, const char *path, const struct entry *e, struct err *err)
{
	struct refs_link *link;

	if (r->link_count >= MOST_LINKS)
		return 0;
	if (r->link_count == r->link_cap) {
		size_t cap = r->link_cap ? r->link_cap * 2 : 64;

		link = realloc(r->links, cap * sizeof(*link));
		if (!link)
			return err_nomem(err);
		r->links = link;
		r->link_cap = cap;
	}
	link = &r->links[r->link_count];
	*link = (struct refs_link){strdup(path), strndup((const char *)e->target.p, e->target.len)};
	r->link_count++;
	return link->path && link->target ? 0 : err_nomem(err);
}

int refs_saw(struct refs *r, const char *path, const struct entry *e, struct err *err)
{
	if (r && e->type == ENTRY_FILE)
		return add_seen(r, path, e, err);
	return r && e->type == ENTRY_SYMLINK ? add_link(r, path, e, err) : 0;
}

/* --- finding --- */

static int by_seen_key(const void *a, const void *b)
{
	uint64_t x = ((const struct refs_seen *)a)->key, y = ((const struct refs_seen *)b)->key;

	return (x > y) - (x < y);
}

static int by_link_path(const void *a, const void *b)
{
	return strcmp(((const struct refs_link *)a)->path, ((const struct refs_link *)b)->path);
}

void refs_settle(struct refs *r)
{
	if (r->seen_count > 1)
		qsort(r->seen, r->seen_count, sizeof(*r->seen), by_seen_key);
	if (r->link_count > 1)
		qsort(r->links, r->link_count, sizeof(*r->links), by_link_path);
}

static struct refs_seen *find_seen(struct refs *r, const char *path)
{
	const struct refs_seen wanted = {.key = refs_key(r, path, strlen(path))};

	if (r->seen_count == 0)
		return NULL;
	return bsearch(&wanted, r->seen, r->seen_count, sizeof(wanted), by_seen_key);
}

/* What a path is behind the first link on it, malloc'd; NULL: there is none, or no memory, which is noted. */
static char *behind_link(struct refs *r, const char *path)
{
	struct refs_link wanted = {strdup(path), NULL}, *link = NULL;
	char *whole = NULL, *behind = NULL;

	r->failed = r->failed || !wanted.path;
	for (size_t i = 1; wanted.path && !link && i <= strlen(path); i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		wanted.path[i] = '\0';
		link = bsearch(&wanted, r->links, r->link_count, sizeof(wanted), by_link_path);
		wanted.path[i] = path[i];
		if (link && asprintf(&whole, "%s%s", link->target, path + i) < 0)
			whole = NULL;
	}
	if (whole)
		behind = reference_path(link->path, whole, strlen(whole));
	r->failed = r->failed || (link && !behind);
	free(whole);
	free(wanted.path);
	return behind;
}

struct refs_seen *refs_find(struct refs *r, const char *path)
{
	struct refs_seen *seen = find_seen(r, path);
	char *at = NULL;

	for (unsigned hops = 0; !seen && r->link_count && hops < MOST_HOPS; hops++) {
		char *next = behind_link(r, at ? at : path);

		free(at);
		at = next;
		if (!at)
			break;
		seen = find_seen(r, at);
	}
	free(at);
	if (seen)
		seen->named = true;
	return seen;
}

void refs_count_orphans(struct refs *r)
{
	for (size_t i = 0; i < r->asked_count; i++) {
		if (r->asked[i].count.failed) /* what it names is not known */
			return;
	}
	for (size_t i = 0; i < r->seen_count; i++) {
		if (r->seen[i].beside && !r->seen[i].named)
			r->asked[r->seen[i].beside - 1].count.orphans++;
	}
}
