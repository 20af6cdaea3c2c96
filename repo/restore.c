#include "repo/restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sodium.h>

#include "core/glob.h"
#include "core/sha256.h"
#include "repo/browse.h"
#include "repo/dbfile.h"
#include "repo/fswrite.h"

#define IO_BYTES (1u << 20)

/* The first name of a hard-linked file that was written: later names are linked to it. */
struct link_made {
	uint64_t number;
	char *path; /* below the target */
};

struct run {
	struct reader *reader;
	const struct manifest *m;
	const struct restore_options *options;
	struct restore_result *result;
	struct fsw *fsw;
	struct link_made *links; /* open addressing over number; 0 = free */
	size_t link_count, link_size;
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

static bool wanted(const struct run *run, const char *path)
{
	const struct restore_options *o = run->options;

	if (any_match(o->excludes, o->exclude_count, path))
		return false;
	return o->include_count == 0 || any_match(o->includes, o->include_count, path);
}

static bool worth_entering(const struct run *run, const char *path)
{
	const struct restore_options *o = run->options;

	if (any_match(o->excludes, o->exclude_count, path))
		return false;
	if (o->include_count == 0 || any_match(o->includes, o->include_count, path))
		return true;
	for (size_t i = 0; i < o->include_count; i++) {
		if (glob_may_match_below(o->includes[i], path))
			return true;
	}
	return false;
}

/* --- attributes --- */

struct attrs {
	struct fsw_attrs a;
	char user[256], group[256];
	struct fsw_xattr *xattrs;
	char *names;
};

static void copy_name(char out[256], const struct span *from)
{
	size_t len = from->len < 255 ? from->len : 0;

	if (len)
		memcpy(out, from->p, len);
	out[len] = '\0';
}

static int attrs_of(const struct entry *e, struct attrs *out, struct err *err)
{
	size_t bytes = 1, at = 0;

	*out = (struct attrs){.a = {.mode = e->mode,
				    .uid = e->uid,
				    .gid = e->gid,
				    .mtime_s = e->mtime_s,
				    .mtime_ns = e->mtime_ns}};
	copy_name(out->user, &e->user);
	copy_name(out->group, &e->group);
	out->a.user = out->user;
	out->a.group = out->group;
	for (size_t i = 0; i < e->xattr_count; i++)
		bytes += e->xattrs[i].name.len + 1;
	out->names = malloc(bytes);
	out->xattrs = calloc(e->xattr_count + 1, sizeof(*out->xattrs));
	if (!out->names || !out->xattrs)
		return err_nomem(err);
	for (size_t i = 0; i < e->xattr_count; i++) {
		const struct entry_xattr *x = &e->xattrs[i];

		memcpy(out->names + at, x->name.p, x->name.len);
		out->names[at + x->name.len] = '\0';
		out->xattrs[i] = (struct fsw_xattr){out->names + at, x->value.p, x->value.len};
		at += x->name.len + 1;
	}
	out->a.xattrs = out->xattrs;
	out->a.xattr_count = e->xattr_count;
	return 0;
}

static void attrs_wipe(struct attrs *a)
{
	free(a->names);
	free(a->xattrs);
}

/* --- hard links --- */

static struct link_made *link_cell(struct run *run, uint64_t number)
{
	size_t mask = run->link_size - 1, at = (size_t)number & mask;

	while (run->links[at].number && run->links[at].number != number)
		at = (at + 1) & mask;
	return &run->links[at];
}

static int links_grow(struct run *run, struct err *err)
{
	struct link_made *old = run->links;
	size_t old_size = run->link_size;

	run->link_size = old_size ? old_size * 2 : 256;
	run->links = calloc(run->link_size, sizeof(*run->links));
	if (!run->links) {
		run->links = old;
		run->link_size = old_size;
		return err_nomem(err);
	}
	for (size_t i = 0; i < old_size; i++) {
		if (old[i].number)
			*link_cell(run, old[i].number) = old[i];
	}
	free(old);
	return 0;
}

static int link_remember(struct run *run, uint64_t number, const char *rel, struct err *err)
{
	struct link_made *cell;
	int r = 0;

	if (number == 0)
		return 0;
	if (run->link_count * 2 >= run->link_size)
		r = links_grow(run, err);
	if (r)
		return r;
	cell = link_cell(run, number);
	if (cell->number)
		return 0;
	cell->path = strdup(rel);
	if (!cell->path)
		return err_nomem(err);
	cell->number = number;
	run->link_count++;
	return 0;
}

static const char *link_find(struct run *run, uint64_t number)
{
	const struct link_made *cell;

	if (number == 0 || run->link_size == 0)
		return NULL;
	cell = link_cell(run, number);
	return cell->number ? cell->path : NULL;
}

static void links_free(struct run *run)
{
	for (size_t i = 0; i < run->link_size; i++)
		free(run->links[i].path);
	free(run->links);
}

/* --- one file --- */

/* Where the stored bytes of one file go. */
struct sink {
	struct run *run;
	struct fsw_file *file;
	const char *path;
	struct content_spread spread;
	struct sha256 *sha; /* of the stored bytes */
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

/* A database's image is what the manifest says, gets its journal_mode back, and is checked on request. */
static int finish_database(struct run *run, struct fsw_file *file, const char *path,
			   const struct id *digest, struct err *err)
{
	const struct manifest_db *db = db_of(run, path);
	const char *temp = fsw_file_temp_path(file);
	bool ok = true, unchecked = false;
	char *text = NULL;
	int r = 0;

	if (!db)
		return err_set(err, ERR_DAMAGED, "the manifest does not describe this database");
	if (memcmp(digest->b, db->image_sha256, ID_BYTES) != 0)
		return err_set(err, ERR_DAMAGED, "the image is not the one that was backed up");
	if (db->method != 3)
		r = dbfile_set_journal_mode(temp, db->journal_mode, err);
	if (!r && run->options->verify && db->verdict == 1)
		r = dbfile_verify(temp, 0, NULL, &ok, &unchecked, &text, err);
	if (!r && !ok)
		r = err_set(err, ERR_DAMAGED, "integrity_check failed: %s", text ? text : "");
	free(text);
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

static int write_content(struct run *run, struct fsw_file *file, const struct entry *e,
			 const struct chunk_ref *children, const char *path, struct err *err)
{
	struct sink sink = {.run = run, .file = file, .path = path, .spread = {.entry = e}};
	struct id digest;
	int r = sha256_new(&sink.sha, err);

	if (!r)
		r = content_each(run->reader, e, children, sink_bytes, &sink, err);
	if (!r)
		r = sha256_final(sink.sha, &digest, err);
	sha256_free(sink.sha);
	if (!r && run->options->verify)
		r = read_back(run, file, e, &digest, err);
	if (!r && e->encoding == ENCODING_DATABASE)
		r = finish_database(run, file, path, &digest, err);
	return r;
}

static int restore_file(struct run *run, const char *path, const char *rel, const struct entry *e,
			const struct chunk_ref *children, const struct fsw_attrs *attrs,
			struct err *err)
{
	struct fsw_file *file = NULL;
	const char *other = link_find(run, e->link);
	int r;

	if (other) {
		run->result->files++;
		return fsw_hardlink(run->fsw, other, rel, err);
	}
	r = fsw_file_begin(run->fsw, rel, e->size, &file, err);
	if (r)
		return r;
	r = write_content(run, file, e, children, path, err);
	if (!r && e->encoding == ENCODING_DATABASE)
		r = move_sidecars(run, rel, path, err);
	if (r) {
		fsw_file_abort(file);
		return r;
	}
	r = fsw_file_commit(file, attrs, err);
	if (!r)
		r = link_remember(run, e->link, rel, err);
	if (!r)
		run->result->files++;
	return r;
}

static int restore_other(struct run *run, const char *rel, const struct entry *e,
			 const struct fsw_attrs *attrs, struct err *err)
{
	const char *linked = link_find(run, e->link);
	uint32_t type = S_IFSOCK;
	char *target;
	int r;

	if (linked) {
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
		r = link_remember(run, e->link, rel, err);
	if (!r)
		run->result->others++;
	return r;
}

/* --- the tree --- */

struct place {
	struct run *run;
	const char *path; /* of the folder, in the manifest */
};

static int restore_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
			 struct err *err);

/* wanted says whether the folder itself was asked for, or is only on the way to what was. */
static int restore_folder(struct run *run, const char *path, const char *rel,
			  const struct chunk_ref *children, const struct fsw_attrs *attrs,
			  struct err *err)
{
	struct place below = {run, path};
	int r = 0;

	if (!worth_entering(run, path))
		return 0;
	if (wanted(run, path)) {
		r = fsw_mkdir(run->fsw, rel, err);
		run->result->dirs++;
	}
	if (!r)
		r = tree_each(run->reader, &children[0].id, restore_entry, &below, err);
	if (!r && wanted(run, path))
		r = fsw_attrs_set(run->fsw, rel, attrs, err);
	return r;
}

static int restore_any(struct run *run, const char *path, const struct entry *e,
		       const struct chunk_ref *children, struct err *err)
{
	const char *rel = path + 1;
	struct attrs attrs;
	int r = attrs_of(e, &attrs, err);

	if (!r && e->type == ENTRY_DIR)
		r = restore_folder(run, path, rel, children, &attrs.a, err);
	else if (!r && wanted(run, path))
		r = e->type == ENTRY_FILE ? restore_file(run, path, rel, e, children, &attrs.a, err)
					  : restore_other(run, rel, e, &attrs.a, err);
	attrs_wipe(&attrs);
	return r;
}

static int restore_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
			 struct err *err)
{
	struct place *at = arg;
	char *path = browse_join(at->path, &e->name);
	int r = path ? tick(at->run, path, err) : err_nomem(err);

	if (!r)
		r = restore_any(at->run, path, e, children, err);
	if (r && !fatal(r)) {
		tell_failed(at->run, path, err->text);
		r = 0;
	}
	free(path);
	return r;
}

static int restore_sub(struct run *run, struct err *err)
{
	char *sub = browse_tidy(run->options->sub);
	char *folder = sub ? browse_folder_of(sub) : NULL;
	struct place at = {run, folder};
	int r;

	if (!folder)
		r = err_nomem(err);
	else if (strcmp(sub, "/") == 0)
		r = tree_each(run->reader, &run->m->root, restore_entry, &at, err);
	else
		r = tree_lookup(run->reader, &run->m->root, sub, restore_entry, &at, err);
	free(sub);
	free(folder);
	return r;
}

int restore_run(struct reader *reader, const struct manifest *m,
		const struct restore_options *options, struct restore_result *out_result,
		struct err *err)
{
	struct run run = {.reader = reader, .m = m, .options = options, .result = out_result};
	int r;

	*out_result = (struct restore_result){0};
	run.io = malloc(IO_BYTES);
	r = run.io ? fsw_open(options->target, tell_warning, &run, &run.fsw, err) : err_nomem(err);
	if (!r)
		r = restore_sub(&run, err);
	if (!r)
		r = fsw_finish(run.fsw, err);
	/* Which disk is full, not only which file did not fit. */
	if (r == -ERR_FULL)
		err_prefix(err, "%s: no room left to restore to", options->target);
	fsw_close(run.fsw);
	links_free(&run);
	if (run.io)
		sodium_memzero(run.io, IO_BYTES);
	free(run.io);
	return r;
}
