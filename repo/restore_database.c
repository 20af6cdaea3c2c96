/* A database in a target where one is already: who has it open, is it the same, and how the new one takes its place. */
#include "repo/restore_run.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/dbbusy.h"
#include "repo/restore_db.h"
#include "repo/snapshot.h"

enum { DATABASE, WAL, SHM, JOURNAL };
static const char *const tails[DBBUSY_FILES] = {"", "-wal", "-shm", "-journal"};

/* What SQLite writes before a journal that must be played back; zeros or nothing: it is over. */
static const uint8_t journal_magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};

/* A database as it lies in the target, opened for reading. */
struct present {
	struct fsw_file *files[DBBUSY_FILES]; /* NULL: not there, or no file */
	struct stat st[DBBUSY_FILES];
	bool any[DBBUSY_FILES];
	int hold_fd;
};

const struct manifest_db *restore_db_of(const struct restore_run *run, const char *path)
{
	for (size_t i = 0; i < run->m->db_count; i++) {
		if (strcmp(run->m->dbs[i].path, path) == 0)
			return &run->m->dbs[i];
	}
	return NULL;
}

int restore_db_tick(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct err ignored = {0};

	(void)phase;
	(void)done;
	(void)total;
	return restore_tick(arg, "", &ignored);
}

/* --- what is there --- */

static void present_close(struct present *p)
{
	for (size_t i = 0; i < DBBUSY_FILES; i++)
		fsw_file_abort(p->files[i]);
	if (p->hold_fd >= 0)
		(void)close(p->hold_fd);
	*p = (struct present){.hold_fd = -1};
}

/* A file that may not be opened is there all the same. */
static int present_open(struct restore_run *run, const char *rel, struct present *out,
			struct err *err)
{
	int r = 0;

	*out = (struct present){.hold_fd = -1};
	for (size_t i = 0; !r && run->fsw && i < DBBUSY_FILES; i++) {
		struct err ignored = {0};
		char *path = NULL;

		if (asprintf(&path, "%s%s", rel, tails[i]) < 0)
			return err_nomem(err);
		r = fsw_look(run->fsw, path, &out->any[i], &out->st[i], err);
		if (!r && out->any[i] && S_ISREG(out->st[i].st_mode) &&
		    fsw_file_open(run->fsw, path, &out->files[i], &ignored) != 0)
			out->files[i] = NULL;
		free(path);
	}
	return r;
}

/* The -wal or the -journal may say something that the file does not. */
static bool is_hot(const struct present *p)
{
	struct err ignored = {0};
	uint8_t head[sizeof(journal_magic)] = {0};

	if (p->any[WAL] && p->st[WAL].st_size > 0)
		return true;
	if (!p->any[JOURNAL] || (p->files[JOURNAL] && fsw_file_size(p->files[JOURNAL]) == 0))
		return false;
	return !p->files[JOURNAL] || fsw_file_size(p->files[JOURNAL]) < sizeof(head) ||
	       fsw_file_read(p->files[JOURNAL], 0, head, sizeof(head), &ignored) != 0 ||
	       memcmp(head, journal_magic, sizeof(head)) == 0;
}

/* In WAL mode the file keeps its time while its -wal grows. */
static void newest_of(const struct present *p, int64_t *out_s, long *out_ns)
{
	const struct timespec *t = &p->st[DATABASE].st_mtim;

	if (p->any[WAL] && p->st[WAL].st_size > 0 &&
	    (p->st[WAL].st_mtim.tv_sec > t->tv_sec ||
	     (p->st[WAL].st_mtim.tv_sec == t->tv_sec && p->st[WAL].st_mtim.tv_nsec > t->tv_nsec)))
		t = &p->st[WAL].st_mtim;
	*out_s = t->tv_sec;
	*out_ns = t->tv_nsec;
}

static int is_same(struct restore_run *run, const struct present *p, const char *path,
		   const struct entry *e, bool *out_same, struct err *err)
{
	const struct manifest_db *db = restore_db_of(run, path);
	const struct stat *st = &p->st[DATABASE];

	*out_same = false;
	if (!db || !p->files[DATABASE] || is_hot(p))
		return 0;
	if (run->options->overwrite == RESTORE_IF_CHANGED && (uint64_t)st->st_size == e->size &&
	    st->st_mtim.tv_sec == e->mtime_s && st->st_mtim.tv_nsec == (long)e->mtime_ns) {
		*out_same = true;
		return 0;
	}
	return restore_db_same(run, p->files[DATABASE], path, db, out_same, err);
}

/* --- who has it open --- */

static int check_open(struct restore_run *run, struct present *p, const char *path, bool hold,
		      struct err *err)
{
	int fds[DBBUSY_FILES];
	struct dbbusy busy = {0};
	char who[96], text[400];
	bool held = true;

	for (size_t i = 0; i < DBBUSY_FILES; i++)
		fds[i] = p->files[i] ? fsw_file_fd(p->files[i]) : -1;
	if (hold && fds[DATABASE] >= 0 && !run->options->force)
		held = dbbusy_hold(fds[DATABASE], &p->hold_fd);
	dbbusy_look(fds, &busy);
	if (!busy.busy && held)
		return 0;
	dbbusy_who(&busy, who, sizeof(who));
	if (!run->options->force)
		return err_set(err, ERR_BUSY,
			       "%s has this database open: stop it and restore again, or use "
			       "--force, which leaves it with the old file",
			       who);
	if (hold)
		return 0;
	(void)snprintf(text, sizeof(text),
		       "%s has it open, and keeps the old file, under its new name, until it is "
		       "restarted: what it writes until then is not in the restored database",
		       who);
	restore_tell_warning(run, path, text);
	return 0;
}

int restore_not_open(struct restore_run *run, const char *path, const char *rel, struct err *err)
{
	struct present p;
	int r = present_open(run, rel, &p, err);

	if (!r && !run->options->force)
		r = check_open(run, &p, path, false, err);
	present_close(&p);
	return r;
}

/* What is to become of a database that is there. */
enum fate { LEFT, SAME, REPLACED };

static int decide(struct restore_run *run, struct present *p, const char *path,
		  const struct entry *e, enum fate *out_fate, struct err *err)
{
	int64_t s;
	long ns;
	bool same = false;
	int r;

	*out_fate = LEFT;
	newest_of(p, &s, &ns);
	if (p->any[DATABASE] && !restore_may_replace(run, e, s, ns))
		return 0;
	r = is_same(run, p, path, e, &same, err);
	*out_fate = same ? SAME : REPLACED;
	return r;
}

struct busy_arg {
	struct restore_run *run;
	const char *path;
};

static int check_one(void *arg, const struct entry *e, const struct chunk_ref *children,
		     struct err *err)
{
	const struct busy_arg *a = arg;
	struct present p;
	struct err why = {0};
	enum fate fate = LEFT;
	int r = present_open(a->run, a->path + 1, &p, &why);

	(void)children;
	if (!r && entry_is_database(e) && check_open(a->run, &p, a->path, false, &why) != 0) {
		/* Only now is it worth to read it. */
		r = decide(a->run, &p, a->path, e, &fate, &why);
		if (!r && fate == REPLACED)
			r = check_open(a->run, &p, a->path, false, &why);
	}
	present_close(&p);
	/* Whatever else is wrong is said when it is this file's turn. */
	if (r != -ERR_BUSY && !restore_fatal(r))
		return 0;
	*err = why;
	return err_prefix(err, "%s", a->path);
}

int restore_check_busy(struct restore_run *run, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && run->fsw && !run->options->force && i < run->m->db_count; i++) {
		struct busy_arg arg = {run, run->m->dbs[i].path};

		if (!restore_wants(run, arg.path))
			continue;
		r = tree_lookup(run->reader, &run->m->root, arg.path, check_one, &arg, err);
		if (r && r != -ERR_BUSY && !restore_fatal(r))
			r = 0;
	}
	return r;
}

/* --- the new one --- */

static void tell_aside(struct restore_run *run, const struct restore_item *item,
		       const struct fsw_aside *aside)
{
	if (!aside->name)
		return;
	if (!aside->database)
		restore_tell_warning(run, item->path,
				     "a stale -wal, -shm or -journal beside it was moved aside");
	if (run->options->cb.aside)
		run->options->cb.aside(run->options->cb.arg, item->path, aside->name);
}

/* Gives the finished file its name; while that happens, who opens the old one has to wait. */
static int take_place(struct restore_run *run, const struct restore_item *item,
		      struct fsw_file *file, struct err *err)
{
	struct fsw_aside aside = {0};
	struct present p;
	int r = present_open(run, item->rel, &p, err);

	if (!r)
		r = check_open(run, &p, item->path, true, err);
	if (r)
		fsw_file_abort(file);
	else
		r = fsw_file_commit_aside(file, item->attrs, &aside, err);
	tell_aside(run, item, &aside);
	fsw_aside_wipe(&aside);
	present_close(&p);
	return r;
}

static int replace(struct restore_run *run, struct restore_item *item, struct err *err)
{
	struct fsw_file *file = NULL;
	int r = 0;

	if (!run->options->dry_run)
		r = fsw_file_begin(run->fsw, item->rel, item->e->size, &file, err);
	if (!r && file)
		r = restore_content(run, file, item, err);
	if (r)
		fsw_file_abort(file);
	else if (file)
		r = take_place(run, item, file, err);
	if (!r)
		restore_written(run, RESTORE_RESTORED, item);
	return r;
}

/* The content is right; what is said about it may not be. */
static int keep_same(struct restore_run *run, struct restore_item *item, struct present *p,
		     bool *out_left, struct err *err)
{
	const struct manifest_db *db = restore_db_of(run, item->path);
	struct dbfile_progress progress = {restore_db_tick, run};
	struct fsw_file *file = p->files[DATABASE];
	int r = 0;

	*out_left = true;
	if (run->options->verify && db->verdict == SNAPSHOT_CLEAN)
		r = restore_db_verify(file, item->path, item->e->size, &progress, err);
	restore_tell_verdict(run, db);
	if (!r && run->options->verify)
		run->result->verified++;
	if (!r && !run->options->dry_run) {
		p->files[DATABASE] = NULL;
		r = fsw_file_keep(file, item->attrs, out_left, err);
	}
	if (!r && *out_left)
		restore_left_whole(run, item);
	return r;
}

int restore_database(struct restore_run *run, struct restore_item *item, struct err *err)
{
	enum fate fate = REPLACED;
	struct present p;
	bool left = false;
	int r = present_open(run, item->rel, &p, err);

	if (!r && item->any)
		r = decide(run, &p, item->path, item->e, &fate, err);
	if (!r && fate == SAME)
		r = keep_same(run, item, &p, &left, err);
	else if (!r && fate == REPLACED)
		r = check_open(run, &p, item->path, false, err);
	present_close(&p);
	if (!r && fate == LEFT)
		restore_left(run, item);
	else if (!r && !left)
		r = replace(run, item, err);
	return r;
}

int restore_set_aside(struct restore_run *run, const struct restore_item *item, struct err *err)
{
	struct fsw_aside aside = {0};
	struct present p;
	int r = present_open(run, item->rel, &p, err);

	if (!r)
		r = check_open(run, &p, item->path, false, err);
	if (!r && !run->options->dry_run)
		r = fsw_aside(run->fsw, item->rel, &aside, err);
	tell_aside(run, item, &aside);
	fsw_aside_wipe(&aside);
	present_close(&p);
	return r;
}
