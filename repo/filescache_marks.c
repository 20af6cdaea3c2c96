/* What the files cache keeps of other things than files: marks, and folders. */
#include <stdlib.h>
#include <string.h>

#include "repo/filescache_table.h"

/* --- marks --- */

/* The zero byte at the end of the path is part of it here, so no file's key is made of the same bytes. */
static void mark_key_of(const struct filescache *c, const char *path,
			uint8_t out_key[FILESCACHE_KEY_BYTES])
{
	filescache_key(c, path, strlen(path) + 1, out_key);
}

/* An entry of a file that was never looked at, whose only chunk is the mark. */
bool filescache_get_mark(struct filescache *c, const char *path, struct id *out_mark)
{
	uint8_t key[FILESCACHE_KEY_BYTES], *entry;
	struct filescache_file file = {0};
	struct err ignored = {0};
	struct rd rest;
	bool found;

	if (!c)
		return false;
	mark_key_of(c, path, key);
	entry = filescache_entry_of(c, key, &rest);
	found = entry && filescache_entry_get(rest, &file, &ignored) == 0 &&
		file.content.child_count == 1;
	if (found) {
		*out_mark = file.content.children[0].id;
		filescache_entry_keep(entry, true);
	}
	filescache_file_wipe(&file);
	return found;
}

int filescache_put_mark(struct filescache *c, const char *path, const struct id *mark,
			struct err *err)
{
	struct chunk_ref child = {.id = *mark};
	const struct filescache_file file = {.content = {.children = &child, .child_count = 1}};
	uint8_t key[FILESCACHE_KEY_BYTES];

	if (!c)
		return 0;
	mark_key_of(c, path, key);
	return filescache_entry_set(c, key, &(struct filescache_look){0}, &file, err);
}

/* --- folders --- */

/* No path of a file ends with a slash. */
static int folder_key_of(const struct filescache *c, const char *path,
			 uint8_t out_key[FILESCACHE_KEY_BYTES], struct err *err)
{
	size_t len = strlen(path);
	char *with_slash = malloc(len + 1);

	if (!with_slash)
		return err_nomem(err);
	memcpy(with_slash, path, len);
	with_slash[len] = '/';
	filescache_key(c, with_slash, len + 1, out_key);
	free(with_slash);
	return 0;
}

void filescache_folder_wipe(struct filescache_folder *folder)
{
	free(folder->nodes);
	*folder = (struct filescache_folder){0};
}

/* An entry of a file whose chunks are the nodes, with the sum behind them. */
static int folder_get(struct rd rest, struct filescache_folder *out, struct err *err)
{
	struct filescache_file file = {0};
	size_t count;
	int r = filescache_entry_get(rest, &file, err);

	count = file.content.child_count;
	if (!r && count < 2)
		r = err_set(err, ERR_DAMAGED, "a files cache entry is of no folder");
	if (r) {
		filescache_file_wipe(&file);
		return r;
	}
	*out = (struct filescache_folder){
	    .sum = file.content.children[count - 1].id,
	    .nodes = file.content.children,
	    .node_count = count - 1,
	    .files = file.size,
	    .bytes = file.content.bytes,
	};
	file.content.children = NULL;
	filescache_file_wipe(&file);
	return 0;
}

/* 1, or 0 when nothing is kept of it, or there is no cache. */
static int find_folder(struct filescache *c, const char *path, uint8_t **out_entry,
		       struct rd *out_rest, struct err *err)
{
	uint8_t key[FILESCACHE_KEY_BYTES];
	int r = c ? folder_key_of(c, path, key, err) : 0;

	*out_entry = NULL;
	if (!c || r)
		return r;
	*out_entry = filescache_entry_of(c, key, out_rest);
	return *out_entry ? 1 : 0;
}

int filescache_get_folder(struct filescache *c, const char *path,
			  struct filescache_folder *out_folder, struct err *err)
{
	uint8_t *entry;
	struct rd rest;
	int r = find_folder(c, path, &entry, &rest, err);

	if (r <= 0)
		return r;
	r = folder_get(rest, out_folder, err);
	if (r)
		return r == -ERR_NOMEM ? r : 0;
	filescache_entry_keep(entry, true);
	return 1;
}

int filescache_folder_names(struct filescache *c, const char *path, const struct stat *st,
			    uint64_t *out_files, uint64_t *out_bytes, struct err *err)
{
	struct filescache_folder folder = {0};
	struct filescache_look look;
	struct rd rest;
	uint8_t *entry;
	int r = find_folder(c, path, &entry, &rest, err);

	if (r <= 0)
		return r;
	look = filescache_entry_look(entry);
	if (!filescache_look_fits(&look, st))
		return 0;
	r = folder_get(rest, &folder, err);
	*out_files = folder.files;
	*out_bytes = folder.bytes;
	filescache_folder_wipe(&folder);
	return r ? (r == -ERR_NOMEM ? r : 0) : 1;
}

static bool same_folder(const struct filescache_folder *a, const struct filescache_folder *b)
{
	if (!id_eq(&a->sum, &b->sum) || a->node_count != b->node_count || a->files != b->files ||
	    a->bytes != b->bytes)
		return false;
	for (size_t i = 0; i < a->node_count; i++) {
		if (a->nodes[i].kind != b->nodes[i].kind ||
		    !id_eq(&a->nodes[i].id, &b->nodes[i].id))
			return false;
	}
	return true;
}

/* True when what is there says the same, and would be believed as long. */
static bool told_already(struct rd rest, const uint8_t *entry, const struct filescache_look *look,
			 const struct filescache_folder *folder)
{
	const struct filescache_look old = filescache_entry_look(entry);
	struct filescache_folder there = {0};
	struct err ignored = {0};
	bool same = look->inode == old.inode && look->size == old.size &&
		    look->mtime_ns == old.mtime_ns && look->ctime_ns == old.ctime_ns &&
		    (filescache_look_settled(&old) || !filescache_look_settled(look));

	same = same && folder_get(rest, &there, &ignored) == 0 && same_folder(&there, folder);
	filescache_folder_wipe(&there);
	return same;
}

static int folder_set(struct filescache *c, const uint8_t key[FILESCACHE_KEY_BYTES],
		      const struct filescache_look *look, const struct filescache_folder *folder,
		      struct err *err)
{
	size_t count = folder->node_count;
	struct chunk_ref *children = malloc((count + 1) * sizeof(*children));
	const struct filescache_file file = {
	    .size = folder->files,
	    .content = {.children = children, .child_count = count + 1, .bytes = folder->bytes},
	};
	int r;

	if (!children)
		return err_nomem(err);
	memcpy(children, folder->nodes, count * sizeof(*children));
	children[count] = (struct chunk_ref){.id = folder->sum};
	r = filescache_entry_set(c, key, look, &file, err);
	free(children);
	return r;
}

int filescache_put_folder(struct filescache *c, const char *path, const struct stat *st,
			  int64_t looked_at_ns, const struct filescache_folder *folder,
			  struct err *err)
{
	struct filescache_look look = {0};
	uint8_t key[FILESCACHE_KEY_BYTES], *entry;
	struct rd rest;
	int r;

	if (!c)
		return 0;
	r = folder_key_of(c, path, key, err);
	if (r)
		return r;
	if (st)
		look = filescache_look_of(st, looked_at_ns);
	entry = filescache_entry_of(c, key, &rest);
	if (!entry || !told_already(rest, entry, &look, folder))
		return folder_set(c, key, &look, folder, err);
	filescache_entry_keep(entry, true);
	return 0;
}
