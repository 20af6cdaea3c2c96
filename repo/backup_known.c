/* A database to which nothing happened since its last manifest: neither copied nor read, nor checked. */
#include "repo/backup_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/sha256.h"
#include "repo/tree_read.h"

#define HALF (ID_BYTES / 2)
#define SHORT_ID_CHARS 8

/*
 * What the cache keeps of a database: half of it tells the state it was in and the image that was made of it, half the
 * chunks that are that image. So nothing is taken from a manifest but what this host has stored from this state.
 */
static int mark_state(const struct backup_db *db, const uint8_t image_sha256[32],
		      struct id *out_mark, struct err *err)
{
	struct id hash;
	int r = dbstate_hash(&db->state, image_sha256, 32, &hash, err);

	if (!r)
		memcpy(out_mark->b, hash.b, HALF);
	return r;
}

static int mark_content(const struct content *c, struct id *out_mark, struct err *err)
{
	struct buf b = {0};
	struct id hash;
	int r;

	buf_put_u8(&b, c->shape);
	buf_put_u64(&b, c->data_bytes);
	for (size_t i = 0; i < c->child_count; i++) {
		buf_put_u8(&b, c->children[i].kind);
		buf_put(&b, c->children[i].id.b, ID_BYTES);
	}
	r = buf_check(&b, err);
	if (!r)
		r = sha256_of(b.data, b.len, &hash, err);
	buf_free(&b);
	if (!r)
		memcpy(out_mark->b + HALF, hash.b, HALF);
	return r;
}

static const struct manifest_db *facts_before(const struct backup_run *run, const char *path)
{
	for (size_t i = 0; run->parent && i < run->parent->db_count; i++) {
		if (strcmp(run->parent->dbs[i].path, path) == 0)
			return &run->parent->dbs[i];
	}
	return NULL;
}

/* --- what was a database --- */

void backup_tell_former(struct backup_run *run, const char *path)
{
	const struct backup_callbacks *cb = &run->options->cb;
	const struct manifest_db *before = facts_before(run, path);

	if (!before)
		return;
	run->result->databases_failed++;
	if (cb->corrupt)
		cb->corrupt(
		    cb->arg, path,
		    "was a database in the last backup and is none now: emptied, destroyed, or "
		    "another file lies there; kept as it is");
}

static bool found(const struct backup_run *run, const char *path)
{
	for (size_t i = 0; i < run->db_count; i++) {
		if (strcmp(run->dbs[i].path, path) == 0)
			return true;
	}
	return false;
}

void backup_tell_gone(struct backup_run *run)
{
	struct stat st;

	for (size_t i = 0; run->parent && i < run->parent->db_count; i++) {
		const char *path = run->parent->dbs[i].path;

		if (!found(run, path) && lstat(path, &st) != 0 && errno == ENOENT)
			backup_warning(
			    run, path,
			    "was a database in the last backup and is not there any more");
	}
}

/* --- from the parent manifest --- */

struct wanted {
	uint64_t image_bytes;
	struct content *content;
};

static int copy_content(void *arg, const struct entry *e, const struct chunk_ref *children,
			struct err *err)
{
	const struct wanted *w = arg;
	size_t bytes = e->child_count * sizeof(*children);

	if (e->type != ENTRY_FILE || e->encoding != ENCODING_CELLS || e->size != w->image_bytes)
		return err_set(err, ERR_MISSING, "no such image in the backup before");
	w->content->children = malloc(bytes + 1);
	if (!w->content->children)
		return err_nomem(err);
	memcpy(w->content->children, children, bytes);
	w->content->child_count = e->child_count;
	w->content->shape = e->shape;
	w->content->data_bytes = e->data_bytes;
	return 0;
}

/* A chunk that stays; tomorrow's may be stored as deltas of it, so the cache keeps it, too. */
static int keep_chunk(void *arg, const struct chunk_ref *ref, const char *path, struct err *err)
{
	struct backup_run *run = arg;
	uint32_t known = index_find_good(run->index, ref->kind, &ref->id);

	(void)path;
	if (known == INDEX_NONE)
		return err_set(err, ERR_MISSING, "a chunk is not in the repository any more");
	chunkcache_touch(run->chunks, ref->kind, &ref->id);
	return packer_rest_on(run->packer, known, err);
}

static int take_content(struct backup_run *run, struct backup_db *db,
			const struct manifest_db *facts, const struct id *noted, struct err *err)
{
	struct wanted wanted = {facts->image_bytes, &db->content};
	struct entry e = {.type = ENTRY_FILE};
	struct id mark = *noted;
	int r = tree_lookup(run->reader, &run->parent->root, db->path, copy_content, &wanted, err);

	if (!r)
		r = mark_content(&db->content, &mark, err);
	if (!r && !id_eq(&mark, noted))
		r = err_set(err, ERR_MISSING, "the backup before has other chunks");
	if (r)
		return r;
	e.child_count = (uint32_t)db->content.child_count;
	return content_refs(run->reader, &e, db->content.children, db->path, keep_chunk, run, err);
}

static int take_facts(struct backup_db *db, const struct manifest_db *facts, struct err *err)
{
	int r = manifest_db_copy(facts, &db->facts, err);

	/*
	 * A clean integrity_check holds for the same image, but tonight none was made, and the newest manifest that names one
	 * is what the next one is due after.
	 */
	db->facts.check = SNAPSHOT_CHECK_QUICK;
	return r;
}

/* Noted of the same state and image? */
static int noted_so(struct backup_run *run, const struct backup_db *db,
		    const struct manifest_db *facts, struct id *out_noted, struct err *err)
{
	struct id mark;
	int r;

	if (!filescache_get_mark(run->cache, db->path, out_noted))
		return 0;
	mark = *out_noted;
	r = mark_state(db, facts->image_sha256, &mark, err);
	return r ? r : id_eq(&mark, out_noted);
}

int backup_db_known(struct backup_run *run, struct backup_db *db, bool check_due, struct err *err)
{
	const struct manifest_db *facts = facts_before(run, db->path);
	struct err why = {0};
	struct id noted;
	int r;

	if (!run->cache)
		return 0;
	dbstate_read(db->real, backup_clock_ns(run), &db->state);
	if (!db->state.known || !facts || facts->verdict != SNAPSHOT_CLEAN || check_due)
		return 0;
	r = noted_so(run, db, facts, &noted, err);
	if (r <= 0)
		return r;
	r = take_content(run, db, facts, &noted, &why);
	if (!r)
		r = take_facts(db, facts, &why);
	db->known = !r;
	if (!r)
		return 1;
	content_free(&db->content);
	db->content = (struct content){0};
	if (r != -ERR_NOMEM)
		return 0; /* read again, and so stored again */
	*err = why;
	return r;
}

void backup_db_tell_known(struct backup_run *run, const struct backup_db *db)
{
	const struct backup_callbacks *cb = &run->options->cb;
	char id[ID_HEX_CHARS + 1], text[80];

	id_hex(&run->parent_name, id);
	(void)snprintf(text, sizeof(text), "unchanged since manifest %.*s, not read",
		       SHORT_ID_CHARS, id);
	if (cb->detail)
		cb->detail(cb->arg, db->path, text);
}

int backup_db_note(struct backup_run *run, const struct backup_db *db, struct err *err)
{
	struct dbstate after;
	struct id mark;
	int r;

	if (!run->cache || !db->state.settled)
		return 0;
	dbstate_read(db->real, backup_clock_ns(run), &after);
	if (!dbstate_equal(&db->state, &after))
		return 0;
	r = mark_state(db, db->facts.image_sha256, &mark, err);
	if (!r)
		r = mark_content(&db->content, &mark, err);
	return r ? r : filescache_put_mark(run->cache, db->path, &mark, err);
}
