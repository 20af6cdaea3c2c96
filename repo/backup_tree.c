/* The second walk of a backup: files are read and the tree is stored, folder by folder, deepest first. */
#include "repo/backup_run.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/backup_old.h"
#include "repo/backup_piece.h"
#include "repo/backup_quiet.h"

#define LEFT_OUT 1

/* --- folders --- */

static int read_folder(struct backup_run *run, int dirfd, const char *name, struct backup_piece *p,
		       const char *path, const struct backup_old_entry *old, unsigned depth,
		       struct err *err)
{
	const struct backup_folder *folder = backup_folder_find(run, path);
	int fd = -1, r;

	p->list.kind = CHUNK_TREE_LIST;
	if (folder) {
		p->e.mtime_s = folder->mtime.tv_sec;
		p->e.mtime_ns = (uint32_t)folder->mtime.tv_nsec;
	}
	r = depth < LIMIT_TREE_DEPTH
		? fs_open(dirfd, name, O_DIRECTORY, path, &fd, err)
		: err_set(err, ERR_SOURCE, "%s: folders are nested too deep", path);
	if (r && backup_fatal(r))
		return r;
	if (r)
		backup_unreadable(run, path, err->text); /* kept as an empty folder */
	r = backup_folder(run, fd, path, old && old->type == ENTRY_DIR ? &old->content : NULL,
			  depth + 1, &p->list.id, err);
	if (fd >= 0)
		(void)close(fd);
	return r;
}

/* What can be known of its former chunk list helps to store the new one. */
static int read_file(struct backup_run *run, int dirfd, const char *name, const char *path,
		     const struct backup_old_entry *old, struct backup_piece *p, struct err *err)
{
	struct former former = {0};
	struct err ignored = {0};
	int r;

	if (old && old->type == ENTRY_FILE && old->shape == SHAPE_LIST &&
	    former_load_list(&former, run->reader, &old->content, &ignored) == 0)
		content_writer_follow(run->writer, &former);
	r = backup_file_read(run, dirfd, name, path, &p->meta, &p->file, err);
	content_writer_follow(run->writer, NULL);
	former_free(&former);
	return r;
}

static void use_database(struct backup_piece *p, struct backup_db *db)
{
	db->placed = true;
	p->use = &db->content;
	p->e.encoding = ENCODING_CELLS;
	p->e.data_bytes = db->content.data_bytes;
	p->e.size = db->facts.image_bytes;
}

/* What has just turned out to be a database. */
static int take_late(struct backup_run *run, const char *path, struct backup_piece *p,
		     struct err *err)
{
	int r = backup_db_late(run, path, &p->meta, err);
	struct backup_db *db = backup_db_find(run, path);

	if (r || db->failed)
		return r ? r : LEFT_OUT;
	use_database(p, db);
	return 0;
}

/* In an immutable folder a file is known by name, size and time; the cache learns its new inode and ctime. */
static int look_back(struct backup_run *run, const char *path, const struct backup_old_entry *old,
		     struct backup_piece *p, struct err *err)
{
	int r = backup_immutable_known(run, path, &p->meta.st, old, &p->file, err);

	if (r <= 0)
		return r;
	p->file.has_xattrs = p->meta.xattr_count > 0;
	r = filescache_put(run->cache, path, &p->meta.st, backup_clock_ns(run), &p->file, err);
	return r ? r : 1;
}

/* What lstat and the files cache say; 1 when that is all there is to know. */
static int look_at(struct backup_run *run, int dirfd, const char *name, const char *path,
		   bool is_db, const struct backup_old_entry *old, struct backup_piece *p,
		   struct err *err)
{
	const struct stat st = p->meta.st;
	int cached = 0;
	int r = fs_meta_stat(dirfd, name, path, st.st_mode ? &st : NULL, &p->meta, err);
	bool plain = !r && !is_db && S_ISREG(p->meta.st.st_mode);

	if (plain)
		r = cached = backup_file_cached(run, path, &p->meta.st, &p->file, err);
	if (r < 0 || (cached && !p->file.has_xattrs))
		return r;
	r = fs_meta_xattrs(dirfd, name, path, &p->meta, err);
	return r || cached || !plain ? (r ? r : cached) : look_back(run, path, old, p, err);
}

/* LEFT_OUT when there is nothing to store, which has been told. */
static int fill_piece(struct backup_run *run, int dirfd, const char *name, const char *path,
		      const struct backup_old_entry *old, unsigned depth, struct backup_piece *p,
		      struct err *err)
{
	struct backup_db *db = backup_db_find(run, path);
	int cached = look_at(run, dirfd, name, path, db != NULL, old, p, err);
	int r = cached < 0 ? cached : 0;

	if (!r)
		r = backup_piece_meta(run, p, db ? &db->meta : &p->meta, name, err);
	if (!r)
		r = backup_piece_xattrs(run, p, path, err);
	if (r)
		return r;
	if (db) {
		use_database(p, db);
	} else if (p->e.type == ENTRY_FILE) {
		if (!cached)
			r = read_file(run, dirfd, name, path, old, p, err);
		if (r == 1)
			return take_late(run, path, p, err);
		backup_piece_use_file(p);
	} else if (p->e.type == ENTRY_DIR) {
		r = read_folder(run, dirfd, name, p, path, old, depth, err);
	}
	return r;
}

static enum backup_change change_of(const struct backup_piece *p,
				    const struct backup_old_entry *old)
{
	struct id content = backup_fold_ids(p->use->children, p->use->child_count);

	if (!old || old->type != ENTRY_FILE)
		return BACKUP_NEW;
	if (old->size == p->e.size && old->mtime_s == p->e.mtime_s &&
	    old->mtime_ns == p->e.mtime_ns && id_eq(&old->content, &content))
		return BACKUP_UNMODIFIED;
	return BACKUP_CHANGED;
}

static void count_piece(struct backup_run *run, const char *path, const struct backup_piece *p,
			const struct backup_old_entry *old)
{
	const struct backup_callbacks *cb = &run->options->cb;
	struct backup_result *res = run->result;
	enum backup_change change;

	if (p->e.type == ENTRY_DIR) {
		res->dirs++;
		return;
	}
	if (p->e.type != ENTRY_FILE) {
		res->others++;
		return;
	}
	res->files++;
	if (p->e.encoding == ENCODING_BYTES)
		res->bytes += p->use->bytes;
	change = change_of(p, old);
	res->files_new += change == BACKUP_NEW;
	res->files_changed += change == BACKUP_CHANGED;
	res->files_unmodified += change == BACKUP_UNMODIFIED;
	if (cb->kept)
		cb->kept(cb->arg, path, change, p->e.size);
}

static int add_piece(struct dir_writer *w, struct backup_piece *p, struct err *err)
{
	if (p->e.type == ENTRY_DIR)
		return dir_writer_add(w, &p->e, &p->list, 1, err);
	if (p->e.type != ENTRY_FILE)
		return dir_writer_add(w, &p->e, NULL, 0, err);
	p->e.shape = p->use->shape;
	return dir_writer_add(w, &p->e, p->use->children, p->use->child_count, err);
}

/* A database that the first walk wanted stays wanted: its size may have changed since. *out_st: all zeros if not looked at. */
static bool left_out(struct backup_run *run, int dirfd, const char *name, const char *path,
		     struct stat *out_st)
{
	const struct backup_db *db = backup_db_find(run, path);

	if (db)
		return db->failed;
	return backup_is_sidecar(run, path) || !backup_wants(run, dirfd, name, path, out_st);
}

static void left_out_now(struct backup_run *run, const char *path, const char *text)
{
	struct backup_db *db = backup_db_find(run, path);

	if (db)
		db->failed = true;
	backup_unreadable(run, path, text);
}

/* Of what vanished since its folder was listed the parent manifest may still have something. */
static int gone_or_bad(struct backup_run *run, const char *name, const char *path, int why,
		       const struct backup_old *old, const struct backup_old_entry *before,
		       unsigned depth, struct dir_writer *w, struct err *err)
{
	const struct err first = *err;
	int r = 0;

	if (why == -ERR_MISSING && before && !backup_db_find(run, path))
		r = backup_carry(run, path, name, old, depth, w, err);
	if (r == 0)
		left_out_now(run, path, first.text);
	return r < 0 ? r : 0;
}

/* open_at: the name to open below dirfd; it differs from name for a followed operand. */
static int store_entry(struct backup_run *run, int dirfd, const char *open_at, const char *name,
		       const char *path, struct backup_old *old, unsigned depth,
		       struct dir_writer *w, struct err *err)
{
	const struct backup_old_entry *before = backup_old_find(old, name);
	struct backup_piece p = {0};
	int r = backup_tick(run, BACKUP_FILES, path, err);

	if (r || left_out(run, dirfd, open_at, path, &p.meta.st))
		return r;
	r = fill_piece(run, dirfd, open_at, path, before, depth, &p, err);
	p.e.name = backup_span_of(name);
	if (!r) {
		count_piece(run, path, &p, before);
		backup_immutable_judge(run, path, &p.e, p.use, before);
		r = refs_saw(run->refs, path, &p.e, err);
		if (!r)
			r = add_piece(w, &p, err);
	} else if (r == LEFT_OUT) {
		r = 0;
	} else if (!backup_fatal(r)) {
		r = gone_or_bad(run, name, path, r, old, before, depth, w, err);
	}
	backup_piece_wipe(&p);
	return r;
}

static int store_entries(struct backup_run *run, int dirfd, const char *path, char *const *names,
			 size_t count, struct backup_old *before, unsigned depth,
			 struct dir_writer *w, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < count; i++) {
		char *below = backup_join(path, names[i]);

		r = backup_carry_until(run, path, names[i], before, depth, w, err);
		if (!r)
			r = below ? store_entry(run, dirfd, names[i], names[i], below, before,
						depth, w, err)
				  : err_nomem(err);
		free(below);
	}
	return r ? r : backup_carry_until(run, path, NULL, before, depth, w, err);
}

static int store_folder(struct backup_run *run, int dirfd, const char *path, char *const *names,
			size_t count, const struct id *old, unsigned depth, struct backup_quiet *q,
			struct id *out_list, struct err *err)
{
	struct backup_old before = {0};
	struct dir_writer *w = NULL;
	int r = dir_writer_new(run->packer, &w, err);

	if (r)
		return r;
	backup_old_load(run, path, old, &before);
	dir_writer_follow(w, &before.nodes);
	dir_writer_sum(w, q->watched ? &q->sum : NULL);
	r = store_entries(run, dirfd, path, names, count, &before, depth, w, err);
	if (!r)
		r = dir_writer_finish(w, out_list, err);
	if (!r)
		r = backup_quiet_note(run, path, count, w, q, err);
	dir_writer_free(w);
	backup_old_free(&before);
	return r;
}

/* dirfd -1: a folder that could not be opened, stored as empty. */
int backup_folder(struct backup_run *run, int dirfd, const char *path, const struct id *old,
		  unsigned depth, struct id *out_list, struct err *err)
{
	struct backup_quiet quiet = {0};
	char **names = NULL;
	size_t count = 0;
	int r = backup_quiet_begin(run, dirfd, path, &quiet, err);

	if (!r && dirfd >= 0)
		r = backup_filter_list(run->filter, dirfd, path, &names, &count, err);
	if (r && !backup_fatal(r)) {
		backup_unreadable(run, path, err->text);
		r = 0;
	}
	if (!r)
		r = backup_quiet_same(run, dirfd, path, names, count, old, &quiet, err);
	if (r > 0)
		*out_list = *old;
	else if (!r)
		r = store_folder(run, dirfd, path, names, count, old, depth, &quiet, out_list, err);
	backup_quiet_end(&quiet);
	free(names);
	return r < 0 ? r : 0;
}

/* --- from "/" down to the sources --- */

static int store_above(struct backup_run *run, const char *path, size_t first, size_t count,
		       const struct id *old, struct id *out_list, struct err *err);

/* A folder above a source: of its contents only what leads to sources is kept, and no time, which others move. */
static int store_way(struct backup_run *run, const char *path, const char *name, size_t first,
		     size_t count, const struct backup_old_entry *old, struct dir_writer *w,
		     struct err *err)
{
	struct entry e = {.name = backup_span_of(name), .type = ENTRY_DIR, .mode = 0755};
	struct chunk_ref list = {.kind = CHUNK_TREE_LIST};
	struct stat st;
	int r;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		e.mode = (uint16_t)(st.st_mode & 07777);
		e.uid = st.st_uid;
		e.gid = st.st_gid;
		e.user = backup_span_of(fs_names_user(run->names, st.st_uid));
		e.group = backup_span_of(fs_names_group(run->names, st.st_gid));
	}
	r = store_above(run, path, first, count,
			old && old->type == ENTRY_DIR ? &old->content : NULL, &list.id, err);

	return r ? r : dir_writer_add(w, &e, &list, 1, err);
}

/* sources [first, first + count) lie below path; the first component after it groups them. */
static int store_above(struct backup_run *run, const char *path, size_t first, size_t count,
		       const struct id *old, struct id *out_list, struct err *err)
{
	struct source *all = run->sources.items;
	size_t skip = strcmp(path, "/") == 0 ? 1 : strlen(path) + 1;
	struct backup_old before = {0};
	struct dir_writer *w = NULL;
	int r = dir_writer_new(run->packer, &w, err);

	if (r)
		return r;
	backup_old_load(run, path, old, &before);
	dir_writer_follow(w, &before.nodes);
	for (size_t i = first, n; !r && i < first + count; i += n) {
		size_t len = strcspn(all[i].path + skip, "/");
		char *below = strndup(all[i].path, skip + len);
		const char *name = below ? below + skip : NULL;

		for (n = 1; i + n < first + count; n++) {
			if (strncmp(all[i + n].path, all[i].path, skip + len) != 0 ||
			    all[i + n].path[skip + len] != '/')
				break;
		}
		if (!below)
			r = err_nomem(err);
		else if (all[i].path[skip + len] == '\0')
			r = store_entry(run, AT_FDCWD, all[i].real, name, below, &before, 0, w,
					err);
		else
			r = store_way(run, below, name, i, n, backup_old_find(&before, name), w,
				      err);
		free(below);
	}
	if (!r)
		r = dir_writer_finish(w, out_list, err);
	dir_writer_free(w);
	backup_old_free(&before);
	return r;
}

/* The manifest describes no database that is not in its tree. */
static void tell_vanished(struct backup_run *run)
{
	for (size_t i = 0; i < run->db_count; i++) {
		struct backup_db *db = &run->dbs[i];

		if (db->failed || db->placed)
			continue;
		db->failed = true;
		backup_unreadable(run, db->path, "vanished while the backup ran; left out");
	}
}

int backup_tree(struct backup_run *run, struct id *out_root, struct err *err)
{
	const struct id *old = run->parent ? &run->parent->root : NULL;
	int fd, r = backup_refs_ready(run, err);

	if (r)
		return r;
	if (strcmp(run->sources.items[0].path, "/") != 0) {
		r = store_above(run, "/", 0, run->sources.count, old, out_root, err);
	} else {
		r = fs_open(AT_FDCWD, "/", O_DIRECTORY, "/", &fd, err);
		if (r)
			return r;
		r = backup_folder(run, fd, "/", old, 0, out_root, err);
		(void)close(fd);
	}
	if (!r)
		tell_vanished(run);
	return r;
}
