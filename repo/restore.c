#include "repo/restore.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "repo/browse.h"
#include "repo/restore_attrs.h"
#include "repo/restore_run.h"

/* --- what is no file --- */

static int put_other(struct restore_run *run, const struct restore_item *item, struct err *err)
{
	const struct entry *e = item->e;
	const char *linked = linktable_find(&run->links, e->link);
	uint32_t type = S_IFSOCK;
	char *target;
	int r;

	if (linked)
		return fsw_hardlink(run->fsw, linked, item->rel, err);
	if (e->type == ENTRY_SYMLINK) {
		target = strndup((const char *)e->target.p, e->target.len);
		r = target ? fsw_symlink(run->fsw, item->rel, target, item->attrs, err)
			   : err_nomem(err);
		free(target);
		return r;
	}
	if (e->type == ENTRY_FIFO)
		type = S_IFIFO;
	else if (e->type == ENTRY_CHAR)
		type = S_IFCHR;
	else if (e->type == ENTRY_BLOCK)
		type = S_IFBLK;
	return fsw_special(run->fsw, item->rel, type, e->dev_major, e->dev_minor, item->attrs, err);
}

static int restore_other(struct restore_run *run, struct restore_item *item, struct err *err)
{
	bool gone = false;
	int r = 0;

	if (item->any && S_ISDIR(item->st.st_mode)) {
		r = restore_clear_way(run, item->path, &gone, err);
		item->any = !gone;
	}
	if (!r && item->any &&
	    !restore_may_replace(run, item->e, item->st.st_mtim.tv_sec, item->st.st_mtim.tv_nsec)) {
		restore_tell_action(run, RESTORE_UNCHANGED, item->path, item->e);
		return 0;
	}
	if (!r)
		r = restore_save_database(run, item, err);
	if (!r && !run->options->dry_run)
		r = put_other(run, item, err);
	if (!r)
		r = linktable_add(&run->links, item->e->link, item->rel, err);
	if (!r) {
		restore_tell_action(run, RESTORE_RESTORED, item->path, item->e);
		run->result->others++;
	}
	return r;
}

/* --- the tree --- */

/*
 * A folder that is being walked. One that was not asked for itself is made only when something below it is restored; it gets its
 * attributes when its contents are there, unless it was there before and lies above everything that was backed up ("/tmp").
 */
struct place {
	struct restore_run *run;
	struct place *above; /* NULL at the top */
	const char *path;    /* of the folder, in the manifest */
	bool there;          /* in the target */
	bool made;           /* and was not there before */
	bool ours;           /* its attributes are ours to set */
};

/* A file or a symlink in the way of a folder; above the sources it is the machine's own business. */
static int clear_for_folder(struct place *at, struct err *err)
{
	struct restore_run *run = at->run;
	struct err why = {0};
	struct stat st;
	bool any = false, gone;
	int r = 0;

	if (!run->fsw || restore_above_sources(run, at->path) || !run->options->remove)
		return 0;
	r = fsw_look(run->fsw, at->path + 1, &any, &st, &why);
	if (r || !any || S_ISDIR(st.st_mode))
		return 0;
	return restore_clear_way(run, at->path, &gone, err);
}

static int make_way(struct place *at, struct err *err)
{
	int r;

	if (!at->above || at->there)
		return 0;
	r = make_way(at->above, err);
	if (!r)
		r = clear_for_folder(at, err);
	if (!r && !at->run->options->dry_run)
		r = fsw_mkdir(at->run->fsw, at->path + 1, &at->made, err);
	if (r)
		return r;
	at->there = true;
	at->ours = at->made || !restore_above_sources(at->run, at->path);
	at->run->result->dirs++;
	return 0;
}

static int restore_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
			 struct err *err);

static int restore_folder(struct place *above, const char *path, const struct chunk_ref *children,
			  const struct fsw_attrs *attrs, struct err *err)
{
	struct restore_run *run = above->run;
	struct place at = {.run = run, .above = above, .path = path};
	struct fsw_attrs own = *attrs;
	struct err why = {0};
	int r = 0, last;

	if (!restore_enters(run, path))
		return 0;
	if (restore_wants(run, path))
		r = make_way(&at, err);
	if (!r)
		r = tree_each(run->reader, &children[0].id, restore_entry, &at, err);
	if (!r && !at.made && run->fsw && !restore_above_sources(run, path))
		r = restore_clear(run, path, &children[0].id, err);
	if (restore_above_sources(run, path))
		own.mtime_s = time(NULL);
	/* Even a folder that turned out damaged: what could be restored of it is there. */
	last =
	    at.ours && !run->options->dry_run ? fsw_attrs_set(run->fsw, path + 1, &own, &why) : 0;
	if (r || !last)
		return r;
	*err = why;
	return last;
}

static int restore_thing(struct place *at, struct restore_item *item, struct err *err)
{
	struct restore_run *run = at->run;
	struct err why = {0};
	int r = make_way(at, err);

	if (!r && run->fsw) {
		r = fsw_look(run->fsw, item->rel, &item->any, &item->st, &why);
		/* In a dry run what is in the way of its folder is there still. */
		if (r && !(run->options->dry_run && r == -ERR_EXISTS))
			*err = why;
		else
			r = 0;
	}
	if (r)
		return r;
	return item->e->type == ENTRY_FILE ? restore_file(run, item, err)
					   : restore_other(run, item, err);
}

static int restore_any(struct place *at, const char *path, const struct entry *e,
		       const struct chunk_ref *children, struct err *err)
{
	struct restore_run *run = at->run;
	struct restore_attrs attrs;
	int r = restore_attrs_of(e, &attrs, err);

	if (!r && e->type == ENTRY_DIR) {
		if (restore_wants(run, path))
			restore_tell_action(run, RESTORE_RESTORED, path, e);
		r = restore_folder(at, path, children, &attrs.a, err);
	} else if (!r && restore_wants(run, path)) {
		struct restore_item item = {
		    .path = path, .rel = path + 1, .e = e, .children = children, .attrs = &attrs.a};

		r = restore_thing(at, &item, err);
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
		r = restore_tick(at->run, path, err);
	if (!r)
		r = restore_any(at, path, e, children, err);
	if (r && !restore_fatal(r)) {
		restore_tell_failed(at->run, path ? path : at->path, err->text);
		at->run->result->damaged += r == -ERR_DAMAGED;
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
static int restore_tree(struct restore_run *run, struct err *err)
{
	struct place top = {.run = run, .path = "/"};
	int r = 0;

	if (strcmp(run->sub, "/") != 0)
		r = tree_lookup(run->reader, &run->m->root, run->sub, found, NULL, err);
	if (r)
		return r;
	r = tree_each(run->reader, &run->m->root, restore_entry, &top, err);
	/* What is wrong below it has been told; this is the root itself. */
	if (r && !restore_fatal(r))
		(void)err_prefix(err, "/");
	return r;
}

static int open_run(struct restore_run *run, struct err *err)
{
	const struct restore_options *o = run->options;

	run->io = malloc(RESTORE_IO_BYTES);
	run->sub = browse_tidy(o->sub);
	if (!run->io || !run->sub)
		return err_nomem(err);
	run->domain = keys_domain(reader_repo(run->reader)->keys, run->m->domain, err);
	if (!run->domain)
		return -err->code;
	return o->dry_run ? fsw_open_there(o->target, &run->fsw, err)
			  : fsw_open(o->target, restore_tell_warning, run, &run->fsw, err);
}

static void close_run(struct restore_run *run)
{
	fsw_close(run->fsw);
	linktable_free(&run->links);
	free(run->sub);
	if (run->io)
		sodium_memzero(run->io, RESTORE_IO_BYTES);
	free(run->io);
	buf_wipe(&run->have);
	buf_wipe(&run->want);
}

int restore_run(struct reader *reader, const struct manifest *m,
		const struct restore_options *options, struct restore_result *out_result,
		struct err *err)
{
	struct restore_run run = {
	    .reader = reader, .m = m, .options = options, .result = out_result};
	int r;

	*out_result = (struct restore_result){0};
	r = open_run(&run, err);
	if (!r)
		r = restore_check_busy(&run, err);
	if (!r)
		r = restore_tree(&run, err);
	if (!r && run.fsw && !options->dry_run)
		r = fsw_finish(run.fsw, err);
	/* Which disk is full, not only which file did not fit. */
	if (r == -ERR_FULL)
		err_prefix(err, "%s: no room left to restore to", options->target);
	close_run(&run);
	return r;
}
