/* The second walk of a backup: files are read and the tree is stored, folder by folder, deepest first. */
#include "repo/backup_run.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/sha256.h"
#include "repo/tree_read.h"
#include "repo/tree_write.h"

#define XATTRS_BYTES (1u << 20) /* of one entry; more is left out and said */

/* --- what the parent manifest says of a folder --- */

struct old_entry {
	char *name;
	uint8_t type, shape;
	uint64_t size;
	int64_t mtime_s;
	uint32_t mtime_ns;
	struct id content; /* exclusive or of the children's ids; a folder's or a file's list */
};

struct old_folder {
	struct old_entry *entries; /* ascending by name, as the tree has them */
	size_t count, cap, at;
	struct former nodes;
};

static struct id fold_ids(const struct chunk_ref *children, size_t count)
{
	struct id sum = {{0}};

	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < ID_BYTES; k++)
			sum.b[k] ^= children[i].id.b[k];
	}
	return sum;
}

static int old_add(void *arg, const struct entry *e, const struct chunk_ref *children,
		   struct err *err)
{
	struct old_folder *f = arg;
	struct old_entry *o;

	if (f->count == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 32;

		o = realloc(f->entries, cap * sizeof(*o));
		if (!o)
			return err_nomem(err);
		f->entries = o;
		f->cap = cap;
	}
	o = &f->entries[f->count];
	*o = (struct old_entry){
	    .name = strndup((const char *)e->name.p, e->name.len),
	    .type = e->type,
	    .shape = e->shape,
	    .size = e->size,
	    .mtime_s = e->mtime_s,
	    .mtime_ns = e->mtime_ns,
	    .content = fold_ids(children, e->child_count),
	};
	if (!o->name)
		return err_nomem(err);
	f->count++;
	return 0;
}

static int old_node(void *arg, const struct id *list, const struct tree_node *n, struct err *err)
{
	struct old_folder *f = arg;
	struct span first = {0};

	if (n->body.count)
		first = n->body.level ? n->body.children[0].first_name : n->body.entries[0].name;
	return former_add_tree(&f->nodes, list, &n->children[0].id, n->body.level, first.p,
			       first.len, err);
}

/*
 * Only for the counts of the summary, and for what new nodes are stored as deltas of: a parent that cannot be read makes
 * everything new.
 */
static void old_load(struct backup_run *run, const struct id *list, struct old_folder *f)
{
	struct err ignored = {0};

	if (list && tree_each_node(run->reader, list, old_node, old_add, f, &ignored) != 0)
		f->at = f->count;
}

static void old_free(struct old_folder *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->entries[i].name);
	free(f->entries);
	former_free(&f->nodes);
}

/* Names are asked for in ascending order. */
static const struct old_entry *old_find(struct old_folder *f, const char *name)
{
	while (f->at < f->count) {
		int order = strcmp(f->entries[f->at].name, name);

		if (order == 0)
			return &f->entries[f->at];
		if (order > 0)
			break;
		f->at++;
	}
	return NULL;
}

/* --- one entry --- */

/* What goes into the tree for one name; its spans point into meta and names. */
struct piece {
	struct entry e;
	struct fs_meta meta;
	struct filescache_file file;
	struct chunk_ref list;     /* a folder's child */
	const struct content *use; /* the file's, or a database's */
};

static void piece_wipe(struct piece *p)
{
	fs_meta_wipe(&p->meta);
	free(p->e.xattrs);
	filescache_file_wipe(&p->file);
}

static struct span span_of(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

static uint8_t type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return ENTRY_FILE;
	case S_IFDIR:
		return ENTRY_DIR;
	case S_IFLNK:
		return ENTRY_SYMLINK;
	case S_IFIFO:
		return ENTRY_FIFO;
	case S_IFSOCK:
		return ENTRY_SOCKET;
	case S_IFCHR:
		return ENTRY_CHAR;
	default:
		return ENTRY_BLOCK;
	}
}

static int link_number(struct backup_run *run, const struct stat *st, uint64_t *out,
		       struct err *err)
{
	struct buf b = {0};
	struct hmac_part parts[2];
	struct rd r;
	struct id mac;
	int result;

	*out = 0;
	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return 0;
	buf_put_u64(&b, (uint64_t)st->st_dev);
	buf_put_u64(&b, (uint64_t)st->st_ino);
	result = buf_check(&b, err);
	parts[0] = (struct hmac_part){"link", 4};
	parts[1] = (struct hmac_part){b.data, b.len};
	if (!result)
		result = hmac256_of(packer_domain(run->packer)->id_key, parts, 2, &mac, err);
	buf_free(&b);
	if (result)
		return result;
	r = rd_of(mac.b, 8);
	*out = rd_u64(&r);
	if (*out == 0)
		*out = 1;
	return 0;
}

static int set_xattrs(struct backup_run *run, struct piece *p, const char *path, struct err *err)
{
	size_t total = 0;

	for (size_t i = 0; i < p->meta.xattr_count; i++)
		total += p->meta.xattrs[i].value_len;
	if (total > XATTRS_BYTES || p->meta.xattr_count > LIMIT_XATTRS) {
		backup_unreadable(run, path, "its extended attributes are too large; left out");
		return 0;
	}
	if (p->meta.xattr_count == 0)
		return 0;
	p->e.xattrs = calloc(p->meta.xattr_count, sizeof(*p->e.xattrs));
	if (!p->e.xattrs)
		return err_nomem(err);
	p->e.xattr_count = p->meta.xattr_count;
	for (size_t i = 0; i < p->meta.xattr_count; i++) {
		const struct fs_xattr *x = &p->meta.xattrs[i];

		p->e.xattrs[i] = (struct entry_xattr){span_of(x->name), {x->value, x->value_len}};
	}
	return 0;
}

static int set_meta(struct backup_run *run, struct piece *p, const struct fs_meta *meta,
		    const char *name, struct err *err)
{
	const struct stat *st = &meta->st;
	struct entry *e = &p->e;

	e->name = span_of(name);
	e->type = type_of(st->st_mode);
	e->mode = (uint16_t)(st->st_mode & 07777);
	e->uid = st->st_uid;
	e->gid = st->st_gid;
	e->user = span_of(fs_names_user(run->names, st->st_uid));
	e->group = span_of(fs_names_group(run->names, st->st_gid));
	e->mtime_s = st->st_mtim.tv_sec;
	e->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	if (e->type == ENTRY_SYMLINK)
		e->target = span_of(meta->target);
	if (e->type == ENTRY_CHAR || e->type == ENTRY_BLOCK) {
		e->dev_major = major(st->st_rdev);
		e->dev_minor = minor(st->st_rdev);
	}
	return link_number(run, st, &e->link, err);
}

/* --- folders --- */

static int store_folder(struct backup_run *run, int dirfd, const char *path, const struct id *old,
			unsigned depth, struct id *out_list, struct err *err);

static int read_folder(struct backup_run *run, int dirfd, const char *name, struct piece *p,
		       const char *path, const struct old_entry *old, unsigned depth,
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
	r = store_folder(run, fd, path, old && old->type == ENTRY_DIR ? &old->content : NULL,
			 depth + 1, &p->list.id, err);
	if (fd >= 0)
		(void)close(fd);
	return r;
}

/* What can be known of its former chunk list helps to store the new one. */
static int read_file(struct backup_run *run, int dirfd, const char *name, const char *path,
		     const struct old_entry *old, struct piece *p, struct err *err)
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

static void use_file(struct piece *p)
{
	p->use = &p->file.content;
	p->e.size = p->file.size;
	p->e.extents = p->file.extents;
	p->e.extent_count = p->file.extent_count;
}

static struct backup_db *own_db(struct backup_run *run, const char *path)
{
	const struct backup_db *db = backup_db_find(run, path);

	return db ? &run->dbs[db - run->dbs] : NULL;
}

static void use_database(struct piece *p, const struct backup_db *db)
{
	p->use = &db->content;
	p->e.encoding = ENCODING_CELLS;
	p->e.data_bytes = db->content.data_bytes;
	p->e.size = db->facts.image_bytes;
}

/* What lstat and the files cache say; 1 when that is all there is to know. */
static int look_at(struct backup_run *run, int dirfd, const char *name, const char *path,
		   bool is_db, struct piece *p, struct err *err)
{
	int cached = 0, r = fs_meta_stat(dirfd, name, path, &p->meta, err);

	if (!r && !is_db && S_ISREG(p->meta.st.st_mode))
		r = cached = backup_file_cached(run, path, &p->meta.st, &p->file, err);
	if (r < 0 || (cached && !p->file.has_xattrs))
		return r;
	r = fs_meta_xattrs(dirfd, name, path, &p->meta, err);
	return r ? r : cached;
}

static int fill_piece(struct backup_run *run, int dirfd, const char *name, const char *path,
		      const struct old_entry *old, unsigned depth, struct piece *p, struct err *err)
{
	struct backup_db *db = own_db(run, path);
	int cached = look_at(run, dirfd, name, path, db != NULL, p, err);
	int r = cached < 0 ? cached : 0;

	if (!r)
		r = set_meta(run, p, db ? &db->meta : &p->meta, name, err);
	if (!r)
		r = set_xattrs(run, p, path, err);
	if (r)
		return r;
	if (db) {
		use_database(p, db);
		db->placed = true;
	} else if (p->e.type == ENTRY_FILE) {
		if (!cached)
			r = read_file(run, dirfd, name, path, old, p, err);
		use_file(p);
	} else if (p->e.type == ENTRY_DIR) {
		r = read_folder(run, dirfd, name, p, path, old, depth, err);
	}
	return r;
}

static void count_piece(struct backup_run *run, const struct piece *p, const struct old_entry *old)
{
	struct backup_result *res = run->result;
	struct id content;

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
	content = fold_ids(p->use->children, p->use->child_count);
	if (!old || old->type != ENTRY_FILE)
		res->files_new++;
	else if (old->size == p->e.size && old->mtime_s == p->e.mtime_s &&
		 old->mtime_ns == p->e.mtime_ns && id_eq(&old->content, &content))
		res->files_unmodified++;
	else
		res->files_changed++;
}

static int add_piece(struct dir_writer *w, struct piece *p, struct err *err)
{
	if (p->e.type == ENTRY_DIR)
		return dir_writer_add(w, &p->e, &p->list, 1, err);
	if (p->e.type != ENTRY_FILE)
		return dir_writer_add(w, &p->e, NULL, 0, err);
	p->e.shape = p->use->shape;
	return dir_writer_add(w, &p->e, p->use->children, p->use->child_count, err);
}

/* A database that the first walk wanted stays wanted: its size may have changed since. */
static bool left_out(struct backup_run *run, int dirfd, const char *name, const char *path)
{
	const struct backup_db *db = backup_db_find(run, path);

	if (db)
		return db->failed;
	return backup_is_sidecar(run, path) || !backup_wants(run, dirfd, name, path);
}

static void left_out_now(struct backup_run *run, const char *path, const char *text)
{
	struct backup_db *db = own_db(run, path);

	if (db)
		db->failed = true;
	backup_unreadable(run, path, text);
}

/* open_at: the name to open below dirfd; it differs from name for a followed operand. */
static int store_entry(struct backup_run *run, int dirfd, const char *open_at, const char *name,
		       const char *path, struct old_folder *old, unsigned depth,
		       struct dir_writer *w, struct err *err)
{
	const struct old_entry *before = old_find(old, name);
	struct piece p = {0};
	int r = backup_tick(run, BACKUP_FILES, path, err);

	if (r || left_out(run, dirfd, open_at, path))
		return r;
	r = fill_piece(run, dirfd, open_at, path, before, depth, &p, err);
	p.e.name = span_of(name);
	if (!r) {
		count_piece(run, &p, before);
		r = add_piece(w, &p, err);
	} else if (!backup_fatal(r)) {
		left_out_now(run, path, err->text);
		r = 0;
	}
	piece_wipe(&p);
	return r;
}

/* dirfd -1: a folder that could not be opened, stored as empty. */
static int store_folder(struct backup_run *run, int dirfd, const char *path, const struct id *old,
			unsigned depth, struct id *out_list, struct err *err)
{
	struct old_folder before = {0};
	struct dir_writer *w = NULL;
	char **names = NULL;
	size_t count = 0;
	int r = dir_writer_new(run->packer, &w, err);

	if (r)
		return r;
	old_load(run, old, &before);
	dir_writer_follow(w, &before.nodes);
	if (dirfd >= 0)
		r = backup_filter_list(run->filter, dirfd, path, &names, &count, err);
	if (r && !backup_fatal(r)) {
		backup_unreadable(run, path, err->text);
		r = 0;
	}
	for (size_t i = 0; !r && i < count; i++) {
		char *below = backup_join(path, names[i]);

		r = below
			? store_entry(run, dirfd, names[i], names[i], below, &before, depth, w, err)
			: err_nomem(err);
		free(below);
	}
	if (!r)
		r = dir_writer_finish(w, out_list, err);
	dir_writer_free(w);
	old_free(&before);
	free(names);
	return r;
}

/* --- from "/" down to the sources --- */

static int store_above(struct backup_run *run, const char *path, size_t first, size_t count,
		       const struct id *old, struct id *out_list, struct err *err);

/* A folder above a source: of its contents only what leads to sources is kept, and no time, which others move. */
static int store_way(struct backup_run *run, const char *path, const char *name, size_t first,
		     size_t count, const struct old_entry *old, struct dir_writer *w,
		     struct err *err)
{
	struct entry e = {.name = span_of(name), .type = ENTRY_DIR, .mode = 0755};
	struct chunk_ref list = {.kind = CHUNK_TREE_LIST};
	struct stat st;
	int r;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		e.mode = (uint16_t)(st.st_mode & 07777);
		e.uid = st.st_uid;
		e.gid = st.st_gid;
		e.user = span_of(fs_names_user(run->names, st.st_uid));
		e.group = span_of(fs_names_group(run->names, st.st_gid));
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
	struct old_folder before = {0};
	struct dir_writer *w = NULL;
	int r = dir_writer_new(run->packer, &w, err);

	if (r)
		return r;
	old_load(run, old, &before);
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
			r = store_way(run, below, name, i, n, old_find(&before, name), w, err);
		free(below);
	}
	if (!r)
		r = dir_writer_finish(w, out_list, err);
	dir_writer_free(w);
	old_free(&before);
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
	int fd, r;

	if (strcmp(run->sources.items[0].path, "/") != 0) {
		r = store_above(run, "/", 0, run->sources.count, old, out_root, err);
	} else {
		r = fs_open(AT_FDCWD, "/", O_DIRECTORY, "/", &fd, err);
		if (r)
			return r;
		r = store_folder(run, fd, "/", old, 0, out_root, err);
		(void)close(fd);
	}
	if (!r)
		tell_vanished(run);
	return r;
}
