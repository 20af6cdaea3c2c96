/* --immutable of a backup: folders in which a file, once stored, never changes. */
#include "repo/backup_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backup_old.h"

static int must_be_inside(const struct backup_run *run, const struct source *dir, struct err *err)
{
	struct stat st;

	if (stat(dir->real, &st) != 0 || !S_ISDIR(st.st_mode))
		return err_set(err, ERR_USAGE, "--immutable %s: is not a folder", dir->path);
	for (size_t i = 0; i < run->sources.count; i++) {
		if (sources_lies_below(dir->path, run->sources.items[i].path))
			return 0;
	}
	return err_set(err, ERR_USAGE,
		       "--immutable %s: lies below no PATH of this backup; nothing was stored",
		       dir->path);
}

int backup_immutable_open(struct backup_run *run, struct err *err)
{
	const struct backup_options *o = run->options;
	struct sources *dirs = &run->immutable;
	int r = 0;

	if (o->immutable_count)
		r = sources_resolve(o->immutable, o->immutable_count, dirs, err);
	for (size_t i = 0; !r && i < dirs->count; i++)
		r = must_be_inside(run, &dirs->items[i], err);
	return r;
}

bool backup_is_immutable(const struct backup_run *run, const char *path)
{
	for (size_t i = 0; i < run->immutable.count; i++) {
		if (sources_lies_below(path, run->immutable.items[i].path))
			return true;
	}
	return false;
}

static bool same_file(const struct backup_old_entry *old, const struct stat *st)
{
	return old->type == ENTRY_FILE && old->file.content.children && S_ISREG(st->st_mode) &&
	       old->size == (uint64_t)st->st_size && old->mtime_s == st->st_mtim.tv_sec &&
	       old->mtime_ns == (uint32_t)st->st_mtim.tv_nsec;
}

/* --- the first walk --- */

/* The folder that was asked about last; kept because names of one folder come one after the other. */
static int look_into(void *arg, const struct entry *e, const struct chunk_ref *children,
		     struct err *err)
{
	struct id *list = arg;

	if (e->type != ENTRY_DIR)
		return err_set(err, ERR_MISSING, "no folder");
	*list = children[0].id;
	return 0;
}

static int load_folder(struct backup_run *run, const char *folder, struct err *err)
{
	struct backup_known_folder *k = &run->known;
	struct err ignored = {0};

	backup_immutable_close_folder(run);
	k->path = strdup(folder);
	k->old = calloc(1, sizeof(*k->old));
	if (!k->path || !k->old)
		return err_nomem(err);
	if (tree_lookup(run->reader, &run->parent->root, folder, look_into, &k->list, &ignored) ==
	    0)
		backup_old_load(run, folder, &k->list, k->old);
	return 0;
}

void backup_immutable_close_folder(struct backup_run *run)
{
	if (run->known.old)
		backup_old_free(run->known.old);
	free(run->known.old);
	free(run->known.path);
	run->known = (struct backup_known_folder){0};
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct backup_old_entry *)a)->name,
		      ((const struct backup_old_entry *)b)->name);
}

int backup_immutable_scan(struct backup_run *run, const char *folder, const char *name,
			  const struct stat *st, struct err *err)
{
	struct backup_old_entry wanted = {0}, *old;
	char *copy;
	int r = 0;

	if (!run->parent || run->options->force || !*folder || !backup_is_immutable(run, folder))
		return 0;
	if (!run->known.path || strcmp(run->known.path, folder) != 0)
		r = load_folder(run, folder, err);
	if (r || run->known.old->count == 0)
		return r;
	copy = strdup(name);
	if (!copy)
		return err_nomem(err);
	wanted.name = copy;
	old = bsearch(&wanted, run->known.old->entries, run->known.old->count, sizeof(wanted),
		      by_name);
	free(copy);
	return old && same_file(old, st);
}

/* --- the second walk --- */

static int copy_file(const struct filescache_file *from, struct filescache_file *out,
		     struct err *err)
{
	size_t children = from->content.child_count * sizeof(*from->content.children);
	size_t extents = from->extent_count * sizeof(*from->extents);

	*out = *from;
	out->content.children = malloc(children + 1);
	out->extents = malloc(extents + 1);
	if (!out->content.children || !out->extents) {
		filescache_file_wipe(out);
		return err_nomem(err);
	}
	memcpy(out->content.children, from->content.children, children);
	if (extents)
		memcpy(out->extents, from->extents, extents);
	return 0;
}

int backup_immutable_known(struct backup_run *run, const char *path, const struct stat *st,
			   const struct backup_old_entry *old, struct filescache_file *out_file,
			   struct err *err)
{
	struct err why = {0};
	int r;

	if (!old || run->options->force || !backup_is_immutable(run, path) || !same_file(old, st))
		return 0;
	r = copy_file(&old->file, out_file, err);
	if (r)
		return r;
	r = backup_file_there(run, out_file, path, &why);
	if (!r)
		return 1;
	filescache_file_wipe(out_file);
	return r == -ERR_NOMEM ? err_nomem(err) : 0; /* read again, and so stored again */
}

static void alarm_of(struct backup_run *run, const char *path, const char *what)
{
	const struct backup_callbacks *cb = &run->options->cb;

	run->result->alarms++;
	if (cb->alarm)
		cb->alarm(cb->arg, path, what, &run->parent_name);
}

void backup_immutable_judge(struct backup_run *run, const char *path, const struct entry *e,
			    const struct content *content, const struct backup_old_entry *old)
{
	struct id now;

	if (!old || old->type != ENTRY_FILE || !backup_is_immutable(run, path))
		return;
	if (e->type != ENTRY_FILE) {
		alarm_of(run, path, "is no file any more");
		return;
	}
	if (old->encoding != ENCODING_BYTES || e->encoding != ENCODING_BYTES)
		return; /* databases change */
	now = backup_fold_ids(content->children, content->child_count);
	if (e->size < old->size)
		alarm_of(run, path, "was cut short");
	else if (e->size != old->size || !id_eq(&now, &old->content))
		alarm_of(run, path, "has another content");
}
