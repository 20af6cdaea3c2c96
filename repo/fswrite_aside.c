/*
 * A database is its file and what SQLite keeps beside it. A -wal beside another database is played into it, a database without its
 * -wal lacks its last commits: so the set is never apart under one kind of name. First all of it gets further names (hard links),
 * which are synced; then the old names go, the database's first, for a database without its -wal could be opened, and written to;
 * then the new database gets the name. Killed anywhere, the set is whole under its old names or the new ones.
 */
#include "repo/fswrite_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "repo/fsread.h"

#define NAMES 4u
#define NUMBERS_MOST 10000u

/* The file itself comes last where there are no hard links: without it an application would delete its -wal. */
static const char *const tails[NAMES] = {"-wal", "-journal", "-shm", ""};
enum { WAL, JOURNAL, SHM, DATABASE };

struct set {
	struct fsw_place *place;
	char *from[NAMES], *to[NAMES];
	bool there[NAMES];
	bool kept[NAMES]; /* it has a name aside already */
	ino_t inode[NAMES];
	bool any;
	bool hot;   /* the -wal or the -journal may say more than the file */
	bool moved; /* renamed: the file system has no hard links */
};

static void set_wipe(struct set *s)
{
	for (size_t i = 0; i < NAMES; i++) {
		free(s->from[i]);
		free(s->to[i]);
	}
}

static int set_find(struct set *s, struct fsw_place *place, struct err *err)
{
	struct stat st;

	s->place = place;
	for (size_t i = 0; i < NAMES; i++) {
		if (asprintf(&s->from[i], "%s%s", place->name, tails[i]) < 0) {
			s->from[i] = NULL;
			return err_nomem(err);
		}
		if (fstatat(place->dir->fd, s->from[i], &st, AT_SYMLINK_NOFOLLOW) != 0) {
			if (errno != ENOENT && errno != ENAMETOOLONG)
				return err_sys(err, errno, "%s%s", place->path, tails[i]);
			continue;
		}
		if (i == DATABASE && S_ISDIR(st.st_mode))
			return err_set(err, ERR_EXISTS, "%s: a folder is in the way", place->path);
		s->there[i] = s->any = true;
		s->inode[i] = st.st_ino;
		if ((i == WAL || i == JOURNAL) && (!S_ISREG(st.st_mode) || st.st_size > 0))
			s->hot = true;
	}
	return 0;
}

/* --- what a restore that was killed here left --- */

static ino_t inode_of(const struct set *s, const char *name, size_t len)
{
	struct stat st = {0};
	char *copy = strndup(name, len);

	if (copy && fstatat(s->place->dir->fd, copy, &st, AT_SYMLINK_NOFOLLOW) != 0)
		st.st_ino = 0;
	free(copy);
	return st.st_ino;
}

/*
 * A name aside of something that still has its old name, so removing one of the two loses nothing. While the database has its
 * own, the set aside never came to be; when it has not, it was whole already.
 */
static void settle(struct set *s, const char *name, size_t which)
{
	size_t base = strlen(name) - strlen(tails[which]);
	ino_t database = inode_of(s, name, base);

	if (!s->there[DATABASE])
		s->kept[which] = database != 0;
	else if (which == DATABASE || database == 0 || database == s->inode[DATABASE])
		(void)unlinkat(s->place->dir->fd, name, 0);
}

static int settle_left_over(struct set *s, struct err *err)
{
	char **names = NULL, *prefix = NULL;
	size_t count = 0;
	int rc;

	if (asprintf(&prefix, "%s" FSW_ASIDE_INFIX, s->place->name) < 0)
		return err_nomem(err);
	rc = fs_list(s->place->dir->fd, s->place->path, &names, &count, err);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		ino_t inode;

		if (strncmp(names[i], prefix, strlen(prefix)) != 0)
			continue;
		inode = inode_of(s, names[i], strlen(names[i]));
		for (size_t j = 0; j < NAMES; j++) {
			if (s->there[j] && inode == s->inode[j])
				settle(s, names[i], j);
		}
	}
	free(names);
	free(prefix);
	return rc;
}

/* --- names --- */

static int name_set(struct set *s, const char *stamp, unsigned number, struct err *err)
{
	char more[16] = "";

	if (number > 1)
		(void)snprintf(more, sizeof(more), ".%u", number);
	for (size_t i = 0; i < NAMES; i++) {
		free(s->to[i]);
		if (asprintf(&s->to[i], "%s" FSW_ASIDE_INFIX "%s%s%s", s->place->name, stamp, more,
			     tails[i]) < 0) {
			s->to[i] = NULL;
			return err_nomem(err);
		}
	}
	return 0;
}

static bool is_taken(const struct set *s)
{
	struct stat st;
	bool taken = false;

	for (size_t i = 0; i < NAMES; i++)
		taken |= fstatat(s->place->dir->fd, s->to[i], &st, AT_SYMLINK_NOFOLLOW) == 0;
	return taken;
}

/* Gives the whole set its new names, or none of them. 0 or an errno. */
static int keep_all(const struct set *s)
{
	int fd = s->place->dir->fd, errnum = 0;
	size_t i;

	for (i = 0; i < NAMES && errnum == 0; i++) {
		if (!s->there[i] || s->kept[i])
			continue;
		if (s->moved)
			errnum = fsw_rename_new(fd, s->from[i], s->to[i]);
		else if (linkat(fd, s->from[i], fd, s->to[i], 0) != 0)
			errnum = errno;
	}
	if (errnum == 0)
		return 0;
	for (i--; i > 0; i--) {
		if (!s->there[i - 1] || s->kept[i - 1])
			continue;
		if (s->moved)
			(void)fsw_rename_new(fd, s->to[i - 1], s->from[i - 1]);
		else
			(void)unlinkat(fd, s->to[i - 1], 0);
	}
	return errnum;
}

static int set_keep(struct set *s, struct err *err)
{
	time_t now = time(NULL);
	char stamp[32] = "";
	struct tm tm;
	int errnum = EEXIST, rc = 0;

	if (gmtime_r(&now, &tm))
		(void)strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	for (unsigned i = 1; errnum == EEXIST && i < NUMBERS_MOST; i++) {
		rc = name_set(s, stamp, i, err);
		if (rc != 0)
			return rc;
		if (is_taken(s))
			continue;
		errnum = keep_all(s);
		if (errnum == 0 || errnum == EEXIST || s->moved)
			continue;
		s->moved = true;
		errnum = keep_all(s);
	}
	fsw_dir_changed(s->place->dir);
	return errnum == 0 ? 0 : err_sys(err, errnum, "%s: cannot move it aside", s->place->path);
}

static int sync_now(const struct fsw_place *p, struct err *err)
{
	if (fsync(p->dir->fd) != 0 && errno != EINVAL)
		return err_sys(err, errno, "%s: cannot sync its folder", p->path);
	return 0;
}

/* The old names go; the database's stays where the new one can take its place in one step. */
static int set_drop(const struct set *s, bool and_database, struct err *err)
{
	for (size_t i = NAMES; i > 0; i--) {
		if (!s->there[i - 1] || (i - 1 == DATABASE && !and_database))
			continue;
		if (unlinkat(s->place->dir->fd, s->from[i - 1], 0) != 0 && errno != ENOENT)
			return err_sys(err, errno, "%s%s: cannot move it aside", s->place->path,
				       tails[i - 1]);
	}
	return 0;
}

static void tell(struct set *s, struct fsw_aside *out)
{
	out->database = s->there[DATABASE];
	out->wal = s->there[WAL] && !s->kept[WAL];
	out->shm = s->there[SHM] && !s->kept[SHM];
	out->journal = s->there[JOURNAL] && !s->kept[JOURNAL];
	if (!out->database && !out->wal && !out->shm && !out->journal)
		return;
	out->name = s->to[DATABASE];
	s->to[DATABASE] = NULL;
}

/* Everything up to the moment at which no name of the set is in use any more, but the database's unless and_database. */
static int move_set(struct set *s, bool and_database, struct fsw_aside *out, struct err *err)
{
	int rc = s->any ? settle_left_over(s, err) : 0;

	if (rc != 0 || !s->any)
		return rc;
	rc = set_keep(s, err);
	if (rc != 0)
		return rc;
	tell(s, out);
	rc = sync_now(s->place, err);
	if (rc == 0 && !s->moved)
		rc = set_drop(s, and_database, err);
	/* Never the new database with the old -wal, after a power cut either. */
	if (rc == 0)
		rc = sync_now(s->place, err);
	return rc;
}

static int give_name(struct fsw_place *p, struct err *err)
{
	int errnum = fsw_rename_new(p->dir->fd, p->temp, p->name);

	if (errnum != 0)
		return err_sys(err, errnum, "%s: cannot give it its name", p->path);
	p->temp_made = false;
	fsw_dir_changed(p->dir);
	return 0;
}

int fsw_file_commit_aside(struct fsw_file *f, const struct fsw_attrs *attrs,
			  struct fsw_aside *out_aside, struct err *err)
{
	struct fsw_warning warning = fsw_warning_of(f->place.w, f->path);
	struct set set = {0};
	int rc;

	*out_aside = (struct fsw_aside){0};
	fsw_attrs_put(f->place.w->ids, f->fd, false, attrs, &warning);
	rc = fsync(f->fd) != 0 ? err_sys(err, errno, "%s", f->path) : fsw_file_is_ours(f, err);
	if (rc == 0)
		rc = set_find(&set, &f->place, err);
	if (rc == 0)
		rc = move_set(&set, set.hot, out_aside, err);
	if (rc == 0)
		rc = set.there[DATABASE] && !set.hot && !set.moved ? fsw_temp_rename(&f->place, err)
								   : give_name(&f->place, err);
	if (rc == 0)
		rc = sync_now(&f->place, err);
	set_wipe(&set);
	fsw_file_free(f);
	return rc;
}

int fsw_aside(struct fsw *w, const char *path, struct fsw_aside *out_aside, struct err *err)
{
	struct set set = {0};
	struct err why = {0};
	struct fsw_place p;
	int rc = fsw_place_find(w, path, &p, &why);

	*out_aside = (struct fsw_aside){0};
	if (rc == -ERR_MISSING)
		return 0;
	if (rc != 0) {
		*err = why;
		return rc;
	}
	rc = set_find(&set, &p, err);
	if (rc == 0)
		rc = move_set(&set, true, out_aside, err);
	set_wipe(&set);
	fsw_place_end(&p);
	return rc;
}

void fsw_aside_wipe(struct fsw_aside *a)
{
	free(a->name);
	*a = (struct fsw_aside){0};
}
