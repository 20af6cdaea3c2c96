/*
 * Files that were there at the first walk and are not at the second: deleted while the backup ran, and perhaps still named by the
 * databases as they were copied between. They are kept as the parent manifest has them. What was deleted before the backup is not: it
 * was not there at the first walk either.
 */
#include "repo/backup_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "repo/backup_old.h"
#include "repo/tree_write.h"

#define FOUND 1 /* ends the search in a folder */

static uint64_t key_of(const struct backup_run *run, const char *path, size_t len)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint64_t key;

	(void)crypto_shorthash(hash, (const unsigned char *)path, len, run->carry.key);
	memcpy(&key, hash, sizeof(key));
	return key;
}

static int note(struct backup_run *run, const char *path, size_t len, struct err *err)
{
	struct backup_carry *c = &run->carry;

	if (!run->parent) /* there is nothing to keep */
		return 0;
	if (c->cap == 0)
		randombytes_buf(c->key, sizeof(c->key));
	if (c->count == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 1024;
		uint64_t *seen = realloc(c->seen, cap * sizeof(*seen));

		if (!seen)
			return err_nomem(err);
		c->seen = seen;
		c->cap = cap;
	}
	c->seen[c->count++] = key_of(run, path, len);
	return 0;
}

int backup_carry_note(struct backup_run *run, const char *path, struct err *err)
{
	return note(run, path, strlen(path), err);
}

/* Under its path with a slash behind it, which no path ends with. */
int backup_carry_note_all(struct backup_run *run, const char *folder, struct err *err)
{
	char *with_slash = backup_join(folder, "");
	int r = with_slash ? note(run, with_slash, strlen(with_slash), err) : err_nomem(err);

	free(with_slash);
	return r;
}

static int compare_keys(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static bool noted(struct backup_run *run, const char *path, size_t len)
{
	const struct backup_carry *c = &run->carry;
	uint64_t key = key_of(run, path, len);

	return bsearch(&key, c->seen, c->count, sizeof(key), compare_keys) != NULL;
}

/* path: of an entry of the parent manifest. */
static bool was_there(struct backup_run *run, const char *path)
{
	struct backup_carry *c = &run->carry;
	size_t above = (size_t)(strrchr(path, '/') + 1 - path);

	if (c->count == 0)
		return false;
	if (!c->sorted) /* nothing vanishes on most nights */
		qsort(c->seen, c->count, sizeof(*c->seen), compare_keys);
	c->sorted = true;
	return noted(run, path, strlen(path)) ||
	       (noted(run, path, above) && !backup_filter_excludes(run->filter, path));
}

void backup_carry_free(struct backup_run *run)
{
	free(run->carry.seen);
}

/* --- one entry --- */

struct carrying {
	struct backup_run *run;
	const char *name, *path;
	unsigned depth;
	struct dir_writer *w;
	bool carried;
};

static void tell(struct backup_run *run, const char *path, uint64_t size)
{
	const struct backup_callbacks *cb = &run->options->cb;
	char id[ID_HEX_CHARS + 1], text[96];

	id_hex(&run->parent_name, id);
	(void)snprintf(text, sizeof(text),
		       "vanished while the backup ran; kept as manifest %.*s has it",
		       ID_SHORT_CHARS, id);
	if (cb->detail)
		cb->detail(cb->arg, path, text);
	if (cb->kept)
		cb->kept(cb->arg, path, BACKUP_UNMODIFIED, size);
}

static int carry_file(struct carrying *c, const struct entry *e, const struct chunk_ref *children,
		      struct err *err)
{
	struct backup_result *res = c->run->result;
	struct err why = {0};
	int r = backup_content_there(c->run, e, children, c->path, &why);

	if (r == -ERR_NOMEM)
		return err_nomem(err);
	if (r) /* not whole any more: as good as not there */
		return 0;
	r = refs_saw(c->run->refs, c->path, e, err);
	if (!r)
		r = dir_writer_add(c->w, e, children, e->child_count, err);
	if (r)
		return r;
	res->files++;
	res->files_unmodified++;
	res->bytes += content_stored_bytes(e);
	res->carried++;
	c->carried = true;
	tell(c->run, c->path, e->size);
	return 0;
}

/* Of what was in it, too, only what was there at the first walk is kept. */
static int carry_folder(struct carrying *c, const struct entry *e, const struct chunk_ref *children,
			struct err *err)
{
	struct chunk_ref list = {.kind = CHUNK_TREE_LIST};
	int r = backup_folder(c->run, -1, c->path, &children[0].id, c->depth + 1, &list.id, err);

	if (!r)
		r = dir_writer_add(c->w, e, &list, 1, err);
	if (r)
		return r;
	c->run->result->dirs++;
	c->carried = true;
	return 0;
}

static int carry_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
		       struct err *err)
{
	struct carrying *c = arg;
	int r = 0;

	if (e->name.len != strlen(c->name) || memcmp(e->name.p, c->name, e->name.len) != 0)
		return 0;
	if (e->type == ENTRY_DIR)
		r = carry_folder(c, e, children, err);
	else if (e->type == ENTRY_FILE && e->encoding == ENCODING_BYTES)
		r = carry_file(c, e, children, err);
	return r ? r : FOUND;
}

int backup_carry(struct backup_run *run, const char *path, const char *name,
		 const struct backup_old *old, unsigned depth, struct dir_writer *w,
		 struct err *err)
{
	struct carrying c = {run, name, path, depth, w, false};
	struct err why = {0};
	int r = tree_each(run->reader, old->list, carry_entry, &c, &why);

	if (r < 0 && backup_fatal(r)) {
		*err = why;
		return r;
	}
	return c.carried;
}

static bool can_vanish(const struct backup_old_entry *e)
{
	return e->type == ENTRY_DIR || (e->type == ENTRY_FILE && e->encoding == ENCODING_BYTES);
}

int backup_carry_until(struct backup_run *run, const char *folder, const char *name,
		       struct backup_old *old, unsigned depth, struct dir_writer *w,
		       struct err *err)
{
	int r = 0;

	for (; r >= 0 && old->at < old->count; old->at++) {
		const struct backup_old_entry *e = &old->entries[old->at];
		char *path;

		if (name && strcmp(e->name, name) >= 0)
			break;
		if (!can_vanish(e))
			continue;
		path = backup_join(folder, e->name);
		if (!path)
			return err_nomem(err);
		if (was_there(run, path))
			r = backup_carry(run, path, e->name, old, depth, w, err);
		free(path);
	}
	return r < 0 ? r : 0;
}
