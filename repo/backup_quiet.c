#include "repo/backup_quiet.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backup_piece.h"

#define AHEAD 64 /* chunks that the index is told to expect */

/* --- what is noted --- */

int backup_quiet_begin(struct backup_run *run, int dirfd, const char *path, struct backup_quiet *q,
		       struct err *err)
{
	if (!run->cache || dirfd < 0 || backup_folder_find(run, path))
		return 0;
	q->looked_at_ns = backup_clock_ns(run);
	if (fstat(dirfd, &q->st) != 0)
		return 0;
	q->unreadable = run->result->unreadable;
	q->carried = run->result->carried;
	q->watched = true;
	return tree_sum_new(&q->sum, err);
}

void backup_quiet_end(struct backup_quiet *q)
{
	tree_sum_free(&q->sum);
}

/*
 * The first walk may pass by a folder only when everything in it was stored: what was left out may be a database, and be wanted tomorrow.
 * And a file too short to be one is looked at every time, so that it is found when it has grown.
 */
static bool passable(const struct backup_run *run, const struct tree_sum *sum, size_t names)
{
	return sum->files + sum->others == names && sum->least_file_bytes >= BACKUP_HEAD_BYTES &&
	       backup_filter_by_path(run->filter);
}

int backup_quiet_note(struct backup_run *run, const char *path, size_t names,
		      const struct dir_writer *w, struct backup_quiet *q, struct err *err)
{
	struct filescache_folder folder = {.files = q->sum.files, .bytes = q->sum.file_bytes};
	const struct chunk_ref *nodes = dir_writer_nodes(w, &folder.node_count);
	size_t bytes = folder.node_count * sizeof(*nodes);
	int r;

	if (!q->watched || q->sum.folders || q->sum.databases ||
	    q->unreadable != run->result->unreadable || q->carried != run->result->carried)
		return 0;
	r = tree_sum_final(&q->sum, &folder.sum, err);
	if (r)
		return r;
	folder.nodes = malloc(bytes);
	if (!folder.nodes)
		return err_nomem(err);
	memcpy(folder.nodes, nodes, bytes);
	r = filescache_put_folder(run->cache, path, passable(run, &q->sum, names) ? &q->st : NULL,
				  q->looked_at_ns, &folder, err);
	filescache_folder_wipe(&folder);
	return r;
}

/* --- the second walk --- */

/* A folder that may turn out to be the same. */
struct same {
	struct backup_run *run;
	int dirfd;
	struct tree_sum sum;
	struct chunk_ref pending[AHEAD]; /* what it rests on, not looked up yet */
	size_t pending_count;
	uint64_t bytes;
};

/* Each of these calls gives 1 while all is the same. */
static int rest_on(struct same *s, const struct chunk_ref *ref, struct err *err)
{
	uint32_t place = index_find_good(s->run->index, ref->kind, &ref->id);
	int r;

	if (place == INDEX_NONE)
		return 0;
	r = packer_rest_on(s->run->packer, place, err);
	return r ? r : 1;
}

static int rest_on_pending(struct same *s, struct err *err)
{
	int r = 1;

	for (size_t i = 0; i < s->pending_count; i++)
		index_expect(s->run->index, &s->pending[i].id);
	for (size_t i = 0; i < s->pending_count; i++)
		index_expect_place(s->run->index, &s->pending[i].id);
	for (size_t i = 0; r > 0 && i < s->pending_count; i++)
		r = rest_on(s, &s->pending[i], err);
	s->pending_count = 0;
	return r;
}

static int same_content(struct same *s, const struct filescache_file *file, const char *path,
			struct err *err)
{
	struct err why = {0};
	int r;

	if (file->content.shape == SHAPE_INLINE && file->content.child_count == 1) {
		s->pending[s->pending_count++] = file->content.children[0];
		return s->pending_count < AHEAD ? 1 : rest_on_pending(s, err);
	}
	r = backup_file_there(s->run, file, path, &why);
	if (r == -ERR_NOMEM)
		return err_nomem(err);
	return r == 0;
}

/* What is not known, or is read with care, is for others to look at. */
static int look(struct same *s, const char *name, const char *path, struct backup_piece *p,
		struct err *err)
{
	struct err why = {0};
	const char *own;
	struct stat st;
	bool file;
	int r;

	if (!backup_filter_wants(s->run->filter, s->dirfd, name, path, &st, &own))
		return own == NULL;
	file = S_ISREG(st.st_mode);
	if (!st.st_mode || S_ISDIR(st.st_mode) ||
	    fs_meta_stat(s->dirfd, name, path, &st, &p->meta, &why) != 0)
		return 0;
	r = file ? filescache_get(s->run->cache, path, &st, &p->file, err) : 1;
	if (r <= 0)
		return r;
	if (file && !p->file.has_xattrs)
		return 1;
	return fs_meta_xattrs(s->dirfd, name, path, &p->meta, &why) == 0 &&
	       backup_piece_xattrs_fit(p);
}

static int add(struct same *s, const char *name, const char *path, struct backup_piece *p,
	       struct err *err)
{
	int r = backup_piece_meta(s->run, p, &p->meta, name, err);

	if (!r)
		r = backup_piece_xattrs(s->run, p, path, err);
	if (r)
		return r;
	if (p->e.type != ENTRY_FILE) {
		r = tree_sum_add(&s->sum, &p->e, NULL, 0, err);
		return r ? r : 1;
	}
	backup_piece_use_file(p);
	p->e.shape = p->use->shape;
	s->bytes += p->use->bytes;
	r = tree_sum_add(&s->sum, &p->e, p->use->children, p->use->child_count, err);
	return r ? r : same_content(s, &p->file, path, err);
}

static int same_name(struct same *s, const char *name, const char *path, struct err *err)
{
	struct backup_piece p = {0};
	int r = backup_tick(s->run, BACKUP_FILES, path, err);

	if (!r)
		r = look(s, name, path, &p, err);
	if (r > 0 && p.meta.st.st_mode)
		r = add(s, name, path, &p, err);
	backup_piece_wipe(&p);
	return r;
}

static int same_names(struct same *s, const char *folder, char *const *names, size_t count,
		      struct err *err)
{
	size_t above = strcmp(folder, "/") == 0 ? 0 : strlen(folder);
	char *path = malloc(above + 1 + NAME_MAX + 1);
	int r = 1;

	if (!path)
		return err_nomem(err);
	memcpy(path, folder, above);
	path[above] = '/';
	for (size_t i = 0; r > 0 && i < count; i++) {
		size_t len = strlen(names[i]);

		if (len > NAME_MAX)
			r = 0;
		else
			memcpy(path + above + 1, names[i], len + 1);
		if (r)
			r = same_name(s, names[i], path, err);
	}
	free(path);
	return r > 0 ? rest_on_pending(s, err) : r;
}

static int same_sum(struct same *s, const struct filescache_folder *before, struct err *err)
{
	struct id sum;
	int r = tree_sum_final(&s->sum, &sum, err);

	return r ? r : id_eq(&sum, &before->sum);
}

static int same_nodes(struct same *s, const struct filescache_folder *before, struct err *err)
{
	int r = 1;

	for (size_t i = 0; r > 0 && i < before->node_count; i++)
		r = rest_on(s, &before->nodes[i], err);
	/* Tomorrow's may be stored as deltas of them. */
	for (size_t i = 0; r > 0 && i < before->node_count; i++)
		chunkcache_touch(s->run->chunks, before->nodes[i].kind, &before->nodes[i].id);
	return r;
}

static void count_same(struct backup_run *run, const struct same *s)
{
	struct backup_result *res = run->result;

	res->files += s->sum.files;
	res->files_unmodified += s->sum.files;
	res->others += s->sum.others;
	res->bytes += s->bytes;
}

static int same_as_noted(struct backup_run *run, int dirfd, const char *path, char *const *names,
			 size_t count, const struct filescache_folder *before,
			 const struct backup_quiet *q, struct err *err)
{
	struct same s = {.run = run, .dirfd = dirfd};
	int noted, r = tree_sum_new(&s.sum, err);

	if (!r)
		r = same_names(&s, path, names, count, err);
	if (r > 0)
		r = same_sum(&s, before, err);
	if (r > 0)
		r = same_nodes(&s, before, err);
	if (r > 0) {
		count_same(run, &s);
		/* When it was noted the folder itself may have been too fresh to be believed. */
		noted = filescache_put_folder(run->cache, path,
					      passable(run, &s.sum, count) ? &q->st : NULL,
					      q->looked_at_ns, before, err);
		r = noted ? noted : r;
	}
	tree_sum_free(&s.sum);
	return r;
}

/* Which folders lie below is known before anything is looked at, where the file system tells. */
static bool holds_folder(char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fs_listed_type(names[i]) == DT_DIR)
			return true;
	}
	return false;
}

int backup_quiet_same(struct backup_run *run, int dirfd, const char *path, char *const *names,
		      size_t count, const struct id *list, const struct backup_quiet *q,
		      struct err *err)
{
	struct filescache_folder before = {0};
	int r;

	/* Who is told of each file, or asks for each, is not served here. */
	if (!q->watched || !list || run->refs || run->options->cb.kept ||
	    holds_folder(names, count))
		return 0;
	r = filescache_get_folder(run->cache, path, &before, err);
	if (r <= 0)
		return r;
	if (id_eq(list, &before.nodes[before.node_count - 1].id))
		r = same_as_noted(run, dirfd, path, names, count, &before, q, err);
	else
		r = 0;
	filescache_folder_wipe(&before);
	return r;
}

/* --- the first walk --- */

int backup_quiet_scan(struct backup_run *run, const char *path, const struct stat *st,
		      struct err *err)
{
	uint64_t files, bytes;
	int r;

	if (!run->follows || run->refs || !backup_filter_by_path(run->filter) ||
	    strcmp(path, "/") == 0)
		return 0;
	r = filescache_folder_names(run->cache, path, st, &files, &bytes, err);
	if (r <= 0)
		return r;
	run->files_total += files;
	run->bytes_total += bytes;
	return 1;
}
