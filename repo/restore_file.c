/* One file: its content written anew, or left, or handed to the parts that know what to do with what is there. */
#include "repo/restore_run.h"

#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"
#include "repo/image_read.h"
#include "repo/restore_db.h"
#include "repo/snapshot.h"

/* Where the stored bytes of one file go. */
struct sink {
	struct restore_run *run;
	struct fsw_file *file;
	const char *path;
	struct content_spread spread;
	struct sha256 *sha; /* of the stored bytes */
	uint64_t untold;    /* bytes of an image since the last tick */
};

static int sink_bytes(void *arg, const void *bytes, size_t len, struct err *err)
{
	struct sink *s = arg;
	const uint8_t *p = bytes;
	int r = sha256_update(s->sha, bytes, len, err);

	s->run->result->bytes += len;
	if (!r)
		r = restore_tick(s->run, s->path, err);
	while (!r && len) {
		uint64_t offset;
		size_t take = content_spread_next(&s->spread, len, &offset);

		r = fsw_file_write(s->file, offset, p, take, err);
		s->run->result->bytes_written += take;
		p += take;
		len -= take;
	}
	return r;
}

int restore_hash_range(struct restore_run *run, struct fsw_file *file, uint64_t offset,
		       uint64_t len, struct sha256 *sha, struct err *err)
{
	int r = 0;

	while (!r && len) {
		size_t take = len < RESTORE_IO_BYTES ? (size_t)len : RESTORE_IO_BYTES;

		r = fsw_file_read(file, offset, run->io, take, err);
		if (!r)
			r = sha256_update(sha, run->io, take, err);
		offset += take;
		len -= take;
	}
	return r;
}

/* --verify: what lies in the target gives the same digest as what was written. */
static int read_back(struct restore_run *run, struct fsw_file *file, const struct entry *e,
		     const struct id *written, struct err *err)
{
	struct sha256 *sha = NULL;
	struct id digest;
	int r = sha256_new(&sha, err);

	if (!r && e->extent_count == 0)
		r = restore_hash_range(run, file, 0, e->size, sha, err);
	for (size_t i = 0; !r && i < e->extent_count; i++)
		r = restore_hash_range(run, file, e->extents[i].offset, e->extents[i].len, sha,
				       err);
	if (!r)
		r = sha256_final(sha, &digest, err);
	sha256_free(sha);
	if (!r && !id_eq(&digest, written))
		r = err_set(
		    err, ERR_DAMAGED,
		    "what was written does not read back the same: the target's disk is at fault");
	if (!r)
		run->result->verified++;
	return r;
}

/* A database's image is what the manifest says, is checked on request, and gets its journal_mode back. */
static int finish_database(struct restore_run *run, struct fsw_file *file, const struct entry *e,
			   const char *path, const struct id *digest, struct err *err)
{
	const struct manifest_db *db = restore_db_of(run, path);
	struct dbfile_progress progress = {restore_db_tick, run};
	int r = 0;

	if (!db)
		return err_set(err, ERR_DAMAGED, "the manifest does not describe this database");
	if (memcmp(digest->b, db->image_sha256, ID_BYTES) != 0)
		return err_set(err, ERR_DAMAGED, "the image is not the one that was backed up");
	if (run->options->verify && db->verdict == SNAPSHOT_CLEAN)
		r = restore_db_verify(file, path, e->size, &progress, err);
	restore_tell_verdict(run, db);
	if (!r)
		r = restore_db_put_mode(file, e->size, db, err);
	return r;
}

/* Pages of a database come in the order of its b-trees. */
static int sink_page(void *arg, uint64_t offset, const void *bytes, size_t len, struct err *err)
{
	struct sink *s = arg;
	int r = fsw_file_write(s->file, offset, bytes, len, err);

	s->untold += len;
	if (!r && s->untold >= RESTORE_IO_BYTES) {
		s->untold = 0;
		r = restore_tick(s->run, s->path, err);
	}
	return r;
}

/* The image is hashed as it lies in the target, so what --verify asks for is done. */
static int write_image(struct restore_run *run, struct fsw_file *file,
		       const struct restore_item *item, struct err *err)
{
	const struct entry *e = item->e;
	struct sink sink = {.run = run, .file = file, .path = item->path};
	const struct cells_target target = {&sink, sink_page};
	struct id digest;
	int r = image_decode(run->reader, e, item->children, &target, err);

	if (!r)
		r = restore_tick(run, item->path, err);
	if (!r)
		r = sha256_new(&sink.sha, err);
	if (!r)
		r = restore_hash_range(run, file, 0, e->size, sink.sha, err);
	if (!r)
		r = sha256_final(sink.sha, &digest, err);
	sha256_free(sink.sha);
	run->result->bytes += e->size;
	run->result->bytes_written += e->size;
	if (!r)
		r = finish_database(run, file, e, item->path, &digest, err);
	if (!r && run->options->verify)
		run->result->verified++;
	return r;
}

int restore_content(struct restore_run *run, struct fsw_file *file, const struct restore_item *item,
		    struct err *err)
{
	const struct entry *e = item->e;
	struct sink sink = {.run = run, .file = file, .path = item->path, .spread = {.entry = e}};
	struct id digest;
	int r;

	if (e->encoding == ENCODING_CELLS)
		return write_image(run, file, item, err);
	r = sha256_new(&sink.sha, err);
	if (!r)
		r = content_each(run->reader, e, item->children, sink_bytes, &sink, err);
	if (!r)
		r = sha256_final(sink.sha, &digest, err);
	sha256_free(sink.sha);
	if (!r && run->options->verify)
		r = read_back(run, file, e, &digest, err);
	if (!r && entry_is_database(e))
		r = finish_database(run, file, e, item->path, &digest, err);
	return r;
}

void restore_left(struct restore_run *run, const struct restore_item *item)
{
	restore_tell_action(run, RESTORE_UNCHANGED, item->path, item->e);
	run->result->skipped++;
	run->result->bytes_skipped += content_stored_bytes(item->e);
}

void restore_left_whole(struct restore_run *run, struct restore_item *item)
{
	item->whole = true;
	restore_left(run, item);
}

/* Bytes are counted where they are written; a dry run has to foresee them. */
void restore_written(struct restore_run *run, enum restore_action action, struct restore_item *item)
{
	item->whole = true;
	restore_tell_action(run, action, item->path, item->e);
	run->result->files++;
	run->result->databases += entry_is_database(item->e);
	if (!run->options->dry_run)
		return;
	run->result->bytes += content_stored_bytes(item->e);
	if (action == RESTORE_RESTORED)
		run->result->bytes_written += content_stored_bytes(item->e);
}

static int write_anew(struct restore_run *run, struct restore_item *item, struct err *err)
{
	struct fsw_file *file = NULL;
	int r = 0;

	if (!run->options->dry_run)
		r = fsw_file_begin(run->fsw, item->rel, item->e->size, &file, err);
	if (!r && file)
		r = restore_content(run, file, item, err);
	if (!r)
		r = restore_save_database(run, item, err);
	if (!r && file) {
		r = fsw_file_commit(file, item->attrs, err);
		file = NULL;
	}
	fsw_file_abort(file);
	if (!r)
		restore_written(run, RESTORE_RESTORED, item);
	return r;
}

/* --- hard links --- */

/* A further name of a file that was restored. *out_done false: it could not be linked, and becomes a file of its own. */
static int link_name(struct restore_run *run, const struct restore_item *item, const char *first,
		     bool *out_done, struct err *err)
{
	struct stat st;
	bool any = false;
	int r = 0;

	*out_done = true;
	if (run->fsw)
		r = fsw_look(run->fsw, first, &any, &st, err);
	if (r)
		return r;
	if (any && item->any && st.st_dev == item->st.st_dev && st.st_ino == item->st.st_ino) {
		restore_left(run, item);
		return 0;
	}
	r = entry_is_database(item->e) ? restore_set_aside(run, item, err)
				       : restore_save_database(run, item, err);
	if (!r && !run->options->dry_run && fsw_hardlink(run->fsw, first, item->rel, err) != 0) {
		restore_tell_warning(run, item->path,
				     "could not be hard-linked; restored as a file of its own");
		*out_done = false;
		return 0;
	}
	if (!r) {
		restore_tell_action(run, RESTORE_RESTORED, item->path, item->e);
		run->result->files++;
	}
	return r;
}

static int restore_here(struct restore_run *run, struct restore_item *item, struct err *err)
{
	bool done = false;
	int r = 0;

	if (entry_is_database(item->e))
		return restore_database(run, item, err);
	if (item->any && S_ISREG(item->st.st_mode))
		r = restore_update(run, item, &done, err);
	return r || done ? r : write_anew(run, item, err);
}

int restore_file(struct restore_run *run, struct restore_item *item, struct err *err)
{
	const struct entry *e = item->e;
	const char *first = linktable_find(&run->links, e->link);
	bool gone = false, done = false;
	int r = 0;

	if (item->any && S_ISDIR(item->st.st_mode)) {
		r = restore_clear_way(run, item->path, &gone, err);
		item->any = !gone;
	}
	/* Of a database the -wal counts, too: restore_database asks for itself. */
	if (!r && item->any && (first || !entry_is_database(e)) &&
	    !restore_may_replace(run, e, item->st.st_mtim.tv_sec, item->st.st_mtim.tv_nsec)) {
		restore_left(run, item);
		return 0;
	}
	if (!r && first)
		r = link_name(run, item, first, &done, err);
	if (!r && !done)
		r = restore_here(run, item, err);
	if (!r && item->whole)
		r = linktable_add(&run->links, e->link, item->rel, err);
	return r;
}
