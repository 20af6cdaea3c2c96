#include "repo/restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <time.h>

#include <sodium.h>

#include "core/glob.h"
#include "core/sha256.h"
#include "repo/browse.h"
#include "repo/fswrite.h"
#include "repo/image_read.h"
#include "repo/linktable.h"
#include "repo/restore_attrs.h"
#include "repo/restore_db.h"
#include "repo/snapshot.h"

#define IO_BYTES (1u << 20)

struct run {
	struct reader *reader;
	const struct manifest *m;
	const struct restore_options *options;
	struct restore_result *result;
	struct fsw *fsw;
	char *sub;              /* tidy; "/" = everything */
	struct linktable links; /* first names of hard-linked files */
	uint8_t *io;
};

/* --- telling --- */

static void tell_failed(struct run *run, const char *path, const char *text)
{
	run->result->failed++;
	if (run->options->cb.failed)
		run->options->cb.failed(run->options->cb.arg, path, text);
}

static void tell_warning(void *arg, const char *path, const char *text)
{
	struct run *run = arg;

	if (run->options->cb.warning)
		run->options->cb.warning(run->options->cb.arg, path, text);
}

static int tick(struct run *run, const char *path, struct err *err)
{
	const struct restore_callbacks *cb = &run->options->cb;

	if (cb->progress &&
	    cb->progress(cb->arg, run->result->files, run->result->bytes, path) != 0)
		return err_set(err, ERR_CANCELLED,
			       "interrupted; what was restored so far is whole");
	return 0;
}

/* Failures that end the run: nothing further would fare better. */
static bool fatal(int r)
{
	return r == -ERR_NOMEM || r == -ERR_CANCELLED || r == -ERR_FULL || r == -ERR_KEY;
}

/* --- choosing --- */

static bool any_match(const char *const *patterns, size_t count, const char *path)
{
	for (size_t i = 0; i < count; i++) {
		if (glob_match(patterns[i], path))
			return true;
	}
	return false;
}

/* path lies at or below above. */
static bool lies_at(const char *path, const char *above)
{
	size_t len = strlen(above);

	if (strcmp(above, "/") == 0)
		return true;
	return strncmp(path, above, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool wanted(const struct run *run, const char *path)
{
	const struct restore_options *o = run->options;

	if (!lies_at(path, run->sub) || any_match(o->excludes, o->exclude_count, path))
		return false;
	return o->include_count == 0 || any_match(o->includes, o->include_count, path);
}

static bool worth_entering(const struct run *run, const char *path)
{
	const struct restore_options *o = run->options;

	if (any_match(o->excludes, o->exclude_count, path))
		return false;
	if (!lies_at(path, run->sub))
		return lies_at(run->sub, path);
	if (o->include_count == 0 || any_match(o->includes, o->include_count, path))
		return true;
	for (size_t i = 0; i < o->include_count; i++) {
		if (glob_may_match_below(o->includes[i], path))
			return true;
	}
	return false;
}

/* --- one file --- */

/* Where the stored bytes of one file go. */
struct sink {
	struct run *run;
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
		r = tick(s->run, s->path, err);
	while (!r && len) {
		uint64_t offset;
		size_t take = content_spread_next(&s->spread, len, &offset);

		r = fsw_file_write(s->file, offset, p, take, err);
		p += take;
		len -= take;
	}
	return r;
}

static int read_back_range(struct run *run, struct fsw_file *file, uint64_t offset, uint64_t len,
			   struct sha256 *sha, struct err *err)
{
	int r = 0;

	while (!r && len) {
		size_t take = len < IO_BYTES ? (size_t)len : IO_BYTES;

		r = fsw_file_read(file, offset, run->io, take, err);
		if (!r)
			r = sha256_update(sha, run->io, take, err);
		offset += take;
		len -= take;
	}
	return r;
}

/* --verify: what lies in the target gives the same digest as what was written. */
static int read_back(struct run *run, struct fsw_file *file, const struct entry *e,
		     const struct id *written, struct err *err)
{
	struct sha256 *sha = NULL;
	struct id digest;
	int r = sha256_new(&sha, err);

	if (!r && e->extent_count == 0)
		r = read_back_range(run, file, 0, e->size, sha, err);
	for (size_t i = 0; !r && i < e->extent_count; i++)
		r = read_back_range(run, file, e->extents[i].offset, e->extents[i].len, sha, err);
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

static const struct manifest_db *db_of(const struct run *run, const char *path)
{
	for (size_t i = 0; i < run->m->db_count; i++) {
		if (strcmp(run->m->dbs[i].path, path) == 0)
			return &run->m->dbs[i];
	}
	return NULL;
}

static int verify_tick(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct err ignored = {0};

	(void)phase;
	(void)done;
	(void)total;
	return tick(arg, "", &ignored);
}

/* A database's image is what the manifest says, is checked on request, and gets its journal_mode back. */
static int finish_database(struct run *run, struct fsw_file *file, const struct entry *e,
			   const char *path, const struct id *digest, struct err *err)
{
	const struct manifest_db *db = db_of(run, path);
	struct dbfile_progress progress = {verify_tick, run};
	int r = 0;

	if (!db)
		return err_set(err, ERR_DAMAGED, "the manifest does not describe this database");
	if (memcmp(digest->b, db->image_sha256, ID_BYTES) != 0)
		return err_set(err, ERR_DAMAGED, "the image is not the one that was backed up");
	if (run->options->verify && db->verdict == SNAPSHOT_CLEAN)
		r = restore_db_verify(file, path, e->size, &progress, err);
	if (!r)
		r = restore_db_put_mode(file, e->size, db, err);
	if (!r)
		run->result->databases++;
	return r;
}

/* A -wal of other days beside a restored database would be played into it. */
static int move_sidecars(struct run *run, const char *rel, const char *path, struct err *err)
{
	static const char *const tails[] = {"-wal", "-shm", "-journal"};
	int r = 0;

	for (size_t i = 0; !r && i < 3; i++) {
		char *side = NULL;
		bool moved = false;

		if (asprintf(&side, "%s%s", rel, tails[i]) < 0)
			return err_nomem(err);
		r = fsw_move_aside(run->fsw, side, &moved, err);
		if (!r && moved)
			tell_warning(run, path,
				     "a stale -wal, -shm or -journal beside it was moved aside");
		free(side);
	}
	return r;
}

/* Pages of a database come in the order of its b-trees. */
static int sink_page(void *arg, uint64_t offset, const void *bytes, size_t len, struct err *err)
{
	struct sink *s = arg;
	int r = fsw_file_write(s->file, offset, bytes, len, err);

	s->untold += len;
	if (!r && s->untold >= IO_BYTES) {
		s->untold = 0;
		r = tick(s->run, s->path, err);
	}
	return r;
}

/* The image is hashed as it lies in the target, so what --verify asks for is done. */
static int write_image(struct run *run, struct fsw_file *file, const struct entry *e,
		       const struct chunk_ref *children, const char *path, struct err *err)
{
	struct sink sink = {.run = run, .file = file, .path = path};
	const struct cells_target target = {&sink, sink_page};
	struct id digest;
	int r = image_decode(run->reader, e, children, &target, err);

	if (!r)
		r = tick(run, path, err);
	if (!r)
		r = sha256_new(&sink.sha, err);
	if (!r)
		r = read_back_range(run, file, 0, e->size, sink.sha, err);
	if (!r)
		r = sha256_final(sink.sha, &digest, err);
	sha256_free(sink.sha);
	run->result->bytes += e->size;
	if (!r)
		r = finish_database(run, file, e, path, &digest, err);
	if (!r && run->options->verify)
		run->result->verified++;
	return r;
}

static int write_content(struct run *run, struct fsw_file *file, const struct entry *e,
			 const struct chunk_ref *children, const char *path, struct err *err)
{
	struct sink sink = {.run = run, .file = file, .path = path, .spread = {.entry = e}};
	struct id digest;
	int r;

	if (e->encoding == ENCODING_CELLS)
		return write_image(run, file, e, children, path, err);
	r = sha256_new(&sink.sha, err);
	if (!r)
		r = content_each(run->reader, e, children, sink_bytes, &sink, err);
	if (!r)
		r = sha256_final(sink.sha, &digest, err);
	sha256_free(sink.sha);
	if (!r && run->options->verify)
		r = read_back(run, file, e, &digest, err);
	if (!r && entry_is_database(e))
		r = finish_database(run, file, e, path, &digest, err);
	return r;
}

static void tell_would(struct run *run, const char *path, const struct entry *e)
{
	if (run->options->cb.would)
		run->options->cb.would(run->options->cb.arg, path, e);
}

/* What restore_file would have done, in numbers. */
static int pretend_file(struct run *run, const char *path, const char *rel, const struct entry *e,
			bool is_link, struct err *err)
{
	tell_would(run, path, e);
	run->result->files++;
	if (is_link)
		return 0;
	run->result->bytes += content_stored_bytes(e);
	run->result->databases += entry_is_database(e);
	return linktable_add(&run->links, e->link, rel, err);
}

static int restore_file(struct run *run, const char *path, const char *rel, const struct entry *e,
			const struct chunk_ref *children, const struct fsw_attrs *attrs,
			struct err *err)
{
	struct fsw_file *file = NULL;
	const char *other = linktable_find(&run->links, e->link);
	int r;

	if (run->options->dry_run)
		return pretend_file(run, path, rel, e, other != NULL, err);
	if (other && fsw_hardlink(run->fsw, other, rel, err) == 0) {
		run->result->files++;
		return 0;
	}
	if (other)
		tell_warning(run, path, "could not be hard-linked; restored as a file of its own");
	r = fsw_file_begin(run->fsw, rel, e->size, &file, err);
	if (r)
		return r;
	r = write_content(run, file, e, children, path, err);
	if (!r && entry_is_database(e))
		r = move_sidecars(run, rel, path, err);
	if (r) {
		fsw_file_abort(file);
		return r;
	}
	r = fsw_file_commit(file, attrs, err);
	if (!r)
		r = linktable_add(&run->links, e->link, rel, err);
	if (!r)
		run->result->files++;
	return r;
}

static int restore_other(struct run *run, const char *rel, const struct entry *e,
			 const struct fsw_attrs *attrs, struct err *err)
{
	const char *linked = linktable_find(&run->links, e->link);
	uint32_t type = S_IFSOCK;
	char *target;
	int r = 0;

	if (run->options->dry_run) {
		tell_would(run, rel - 1, e);
	} else if (linked) {
		r = fsw_hardlink(run->fsw, linked, rel, err);
	} else if (e->type == ENTRY_SYMLINK) {
		target = strndup((const char *)e->target.p, e->target.len);
		r = target ? fsw_symlink(run->fsw, rel, target, attrs, err) : err_nomem(err);
		free(target);
	} else {
		if (e->type == ENTRY_FIFO)
			type = S_IFIFO;
		else if (e->type == ENTRY_CHAR)
			type = S_IFCHR;
		else if (e->type == ENTRY_BLOCK)
			type = S_IFBLK;
		r = fsw_special(run->fsw, rel, type, e->dev_major, e->dev_minor, attrs, err);
	}
	if (!r)
		r = linktable_add(&run->links, e->link, rel, err);
	if (!r)
		run->result->others++;
	return r;
}

/* --- the tree --- */

/*
 * A folder that is being walked. One that was not asked for itself is made only when something below it is restored; it gets its
 * attributes when its contents are there, unless it was there before and lies above everything that was backed up ("/tmp").
 */
struct place {
	struct run *run;
	struct place *above; /* NULL at the top */
	const char *path;    /* of the folder, in the manifest */
	bool there;          /* in the target */
	bool ours;           /* its attributes are ours to set */
};

/* Above all sources: it was not backed up, only passed through. */
static bool above_sources(const struct run *run, const char *path)
{
	for (size_t i = 0; i < run->m->source_count; i++) {
		if (lies_at(path, run->m->sources[i]))
			return false;
	}
	return true;
}

static int make_way(struct place *at, struct err *err)
{
	bool made = false;
	int r;

	if (!at->above || at->there)
		return 0;
	r = make_way(at->above, err);
	if (!r && !at->run->options->dry_run)
		r = fsw_mkdir(at->run->fsw, at->path + 1, &made, err);
	if (r)
		return r;
	at->there = true;
	at->ours = made || !above_sources(at->run, at->path);
	at->run->result->dirs++;
	return 0;
}

static int restore_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
			 struct err *err);

static int restore_folder(struct place *above, const char *path, const struct chunk_ref *children,
			  const struct fsw_attrs *attrs, struct err *err)
{
	struct run *run = above->run;
	struct place at = {.run = run, .above = above, .path = path};
	struct fsw_attrs own = *attrs;
	struct err why = {0};
	int r = 0, last;

	if (!worth_entering(run, path))
		return 0;
	if (wanted(run, path))
		r = make_way(&at, err);
	if (!r)
		r = tree_each(run->reader, &children[0].id, restore_entry, &at, err);
	if (above_sources(run, path))
		own.mtime_s = time(NULL);
	/* Even a folder that turned out damaged: what could be restored of it is there. */
	last =
	    at.ours && !run->options->dry_run ? fsw_attrs_set(run->fsw, path + 1, &own, &why) : 0;
	if (r || !last)
		return r;
	*err = why;
	return last;
}

static int restore_any(struct place *at, const char *path, const struct entry *e,
		       const struct chunk_ref *children, struct err *err)
{
	struct run *run = at->run;
	struct restore_attrs attrs;
	int r = restore_attrs_of(e, &attrs, err);

	if (!r && e->type == ENTRY_DIR) {
		if (run->options->dry_run && wanted(run, path))
			tell_would(run, path, e);
		r = restore_folder(at, path, children, &attrs.a, err);
	} else if (!r && wanted(run, path)) {
		r = make_way(at, err);
		if (!r)
			r = e->type == ENTRY_FILE
				? restore_file(run, path, path + 1, e, children, &attrs.a, err)
				: restore_other(run, path + 1, e, &attrs.a, err);
	}
	restore_attrs_wipe(&attrs);
	return r;
}

static int restore_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
			 struct err *err)
{
	struct place *at = arg;
	char *path = NULL;
	int r = browse_join(at->path, &e->name, &path, err);

	if (!r)
		r = tick(at->run, path, err);
	if (!r)
		r = restore_any(at, path, e, children, err);
	if (r && !fatal(r)) {
		tell_failed(at->run, path ? path : at->path, err->text);
		r = 0;
	}
	free(path);
	return r;
}

static int found(void *arg, const struct entry *e, const struct chunk_ref *children,
		 struct err *err)
{
	(void)arg;
	(void)e;
	(void)children;
	(void)err;
	return 0;
}

/* Walks from the root, so that folders above sub get their attributes, too. */
static int restore_tree(struct run *run, struct err *err)
{
	struct place top = {.run = run, .path = "/"};
	int r = 0;

	if (strcmp(run->sub, "/") != 0)
		r = tree_lookup(run->reader, &run->m->root, run->sub, found, NULL, err);
	return r ? r : tree_each(run->reader, &run->m->root, restore_entry, &top, err);
}

int restore_run(struct reader *reader, const struct manifest *m,
		const struct restore_options *options, struct restore_result *out_result,
		struct err *err)
{
	struct run run = {.reader = reader, .m = m, .options = options, .result = out_result};
	int r;

	*out_result = (struct restore_result){0};
	run.io = malloc(IO_BYTES);
	run.sub = browse_tidy(options->sub);
	r = run.io && run.sub ? 0 : err_nomem(err);
	if (!r && !options->dry_run)
		r = fsw_open(options->target, tell_warning, &run, &run.fsw, err);
	if (!r)
		r = restore_tree(&run, err);
	if (!r && run.fsw)
		r = fsw_finish(run.fsw, err);
	/* Which disk is full, not only which file did not fit. */
	if (r == -ERR_FULL)
		err_prefix(err, "%s: no room left to restore to", options->target);
	fsw_close(run.fsw);
	linktable_free(&run.links);
	free(run.sub);
	if (run.io)
		sodium_memzero(run.io, IO_BYTES);
	free(run.io);
	return r;
}
