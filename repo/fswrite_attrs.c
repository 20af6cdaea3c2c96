#include "repo/fswrite_attrs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define SCRATCH_BYTES_MAX (16u << 20)

/* ---- names to numbers ---- */

/* A restore meets the same few names again and again. */
struct id_entry {
	struct id_entry *next;
	bool is_group, known;
	uint32_t id;
	char name[];
};

struct fsw_ids {
	struct id_entry *entries;
};

struct fsw_ids *fsw_ids_new(void)
{
	return calloc(1, sizeof(struct fsw_ids));
}

void fsw_ids_free(struct fsw_ids *ids)
{
	struct id_entry *e, *next;

	if (!ids)
		return;
	for (e = ids->entries; e; e = next) {
		next = e->next;
		free(e);
	}
	free(ids);
}

/* One try with a scratch buffer of that size; ERANGE asks for a larger one. */
static int look_up_in(struct id_entry *e, char *scratch, size_t bytes)
{
	struct passwd pw, *user = NULL;
	struct group gr, *group = NULL;
	int errnum;

	if (e->is_group)
		errnum = getgrnam_r(e->name, &gr, scratch, bytes, &group);
	else
		errnum = getpwnam_r(e->name, &pw, scratch, bytes, &user);
	if (errnum != 0)
		return errnum;
	e->known = user || group;
	if (user)
		e->id = user->pw_uid;
	if (group)
		e->id = group->gr_gid;
	return 0;
}

static void look_up(struct id_entry *e)
{
	int errnum = ERANGE;

	for (size_t bytes = 4096; errnum == ERANGE && bytes <= SCRATCH_BYTES_MAX; bytes *= 4) {
		char *scratch = malloc(bytes);

		if (!scratch)
			return;
		errnum = look_up_in(e, scratch, bytes);
		free(scratch);
	}
}

/* The machine's number for name, else number. */
static uint32_t id_of(struct fsw_ids *ids, bool is_group, const char *name, uint32_t number)
{
	struct id_entry *e;
	size_t len = strlen(name);

	if (len == 0)
		return number;
	for (e = ids->entries; e; e = e->next) {
		if (e->is_group == is_group && strcmp(e->name, name) == 0)
			return e->known ? e->id : number;
	}
	e = calloc(1, sizeof(*e) + len + 1);
	if (!e)
		return number;
	e->is_group = is_group;
	memcpy(e->name, name, len + 1);
	look_up(e);
	e->next = ids->entries;
	ids->entries = e;
	return e->known ? e->id : number;
}

/* ---- putting ---- */

/* The entry under work. Through "/proc/self/fd/N" the calls that refuse an O_PATH descriptor reach the very same inode. */
struct entry {
	int fd;
	bool by_path;
	char proc[40];
	mode_t type;
	const struct fsw_warning *warning;
};

static void warn_errno(const struct entry *e, const char *what, int errnum)
{
	char text[400], reason[128];

	if (!e->warning->fn)
		return;
	(void)snprintf(text, sizeof(text), "cannot set %s: %s", what,
		       strerror_r(errnum, reason, sizeof(reason)));
	e->warning->fn(e->warning->arg, e->warning->path, text);
}

static int owner_set(const struct entry *e, uid_t uid, gid_t gid)
{
	return fchownat(e->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
}

/* Both, else the group alone: an ordinary user may give a file to a group of his. Gives the mode bits that are safe to set. */
static mode_t put_owner(struct fsw_ids *ids, const struct entry *e, const struct stat *st,
			const struct fsw_attrs *attrs)
{
	uid_t uid = id_of(ids, false, attrs->user, attrs->uid);
	gid_t gid = id_of(ids, true, attrs->group, attrs->gid);
	mode_t mode = attrs->mode & 07777;
	bool uid_ok = true, gid_ok = true;
	char what[80];
	int errnum;

	if (st->st_uid == uid && st->st_gid == gid)
		return mode;
	if (owner_set(e, uid, gid) == 0)
		return mode;
	errnum = errno;
	uid_ok = st->st_uid == uid || owner_set(e, uid, (gid_t)-1) == 0;
	gid_ok = st->st_gid == gid || owner_set(e, (uid_t)-1, gid) == 0;
	if (uid_ok && gid_ok)
		return mode;
	(void)snprintf(what, sizeof(what), "the owner %lu:%lu", (unsigned long)uid,
		       (unsigned long)gid);
	warn_errno(e, what, errnum);
	/* with another owner these bits would give his rights away instead of the wanted one's */
	return mode & ~(mode_t)((uid_ok ? 0 : S_ISUID) | (gid_ok ? 0 : S_ISGID));
}

static int xattr_set(const struct entry *e, const struct fsw_xattr *x)
{
	return e->by_path ? setxattr(e->proc, x->name, x->value, x->value_len, 0)
			  : fsetxattr(e->fd, x->name, x->value, x->value_len, 0);
}

static bool has_xattr(const struct fsw_attrs *attrs, const char *name)
{
	for (size_t i = 0; i < attrs->xattr_count; i++) {
		if (strcmp(attrs->xattrs[i].name, name) == 0)
			return true;
	}
	return false;
}

/* A folder with a default ACL gives one to what is made in it, which may let in whom the source did not. */
static void drop_inherited_acl(const struct entry *e, const struct fsw_attrs *attrs,
			       const char *name)
{
	if (has_xattr(attrs, name))
		return;
	if (e->by_path)
		(void)removexattr(e->proc, name);
	else
		(void)fremovexattr(e->fd, name);
}

static void put_xattrs(const struct entry *e, const struct fsw_attrs *attrs)
{
	char what[300];

	if (e->type != S_IFLNK)
		drop_inherited_acl(e, attrs, ACL_ACCESS);
	if (e->type == S_IFDIR)
		drop_inherited_acl(e, attrs, ACL_DEFAULT);
	for (size_t i = 0; i < attrs->xattr_count; i++) {
		if (xattr_set(e, &attrs->xattrs[i]) == 0)
			continue;
		(void)snprintf(what, sizeof(what), "the extended attribute %s",
			       attrs->xattrs[i].name);
		warn_errno(e, what, errno);
	}
}

static void put_mode(const struct entry *e, mode_t wanted, mode_t safe)
{
	char what[64];

	if ((e->by_path ? chmod(e->proc, safe) : fchmod(e->fd, safe)) != 0) {
		(void)snprintf(what, sizeof(what), "the mode %04o", (unsigned)safe);
		warn_errno(e, what, errno);
	} else if (safe != wanted && e->warning->fn) {
		e->warning->fn(e->warning->arg, e->warning->path,
			       "setuid or setgid is left out, because the owner is another");
	}
}

static void put_times(const struct entry *e, const struct fsw_attrs *attrs)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
				    {.tv_sec = attrs->mtime_s, .tv_nsec = attrs->mtime_ns}};

	if ((e->by_path ? utimensat(AT_FDCWD, e->proc, times, 0) : futimens(e->fd, times)) != 0)
		warn_errno(e, "the modification time", errno);
}

void fsw_attrs_put(struct fsw_ids *ids, int fd, bool by_path, const struct fsw_attrs *attrs,
		   const struct fsw_warning *warning)
{
	struct entry e = {.fd = fd, .by_path = by_path, .warning = warning};
	struct stat st;
	mode_t safe;

	(void)snprintf(e.proc, sizeof(e.proc), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) != 0) {
		warn_errno(&e, "any attribute", errno);
		return;
	}
	e.type = st.st_mode & S_IFMT;
	/* chown takes setuid bits and security.capability away, so it is first */
	safe = put_owner(ids, &e, &st, attrs);
	/* before the mode, which may forbid its owner to write user.* attributes */
	put_xattrs(&e, attrs);
	if (e.type != S_IFLNK)
		put_mode(&e, attrs->mode & 07777, safe);
	put_times(&e, attrs);
}

static bool xattr_same(int fd, const struct fsw_xattr *x)
{
	ssize_t len = fgetxattr(fd, x->name, NULL, 0);
	uint8_t *value;
	bool same;

	if (len < 0 || (size_t)len != x->value_len)
		return false;
	value = malloc(x->value_len + 1);
	same = value && fgetxattr(fd, x->name, value, x->value_len + 1) == len &&
	       (len == 0 || memcmp(value, x->value, x->value_len) == 0);
	free(value);
	return same;
}

bool fsw_attrs_same(struct fsw_ids *ids, int fd, const struct stat *st,
		    const struct fsw_attrs *attrs)
{
	if ((st->st_mode & 07777) != (attrs->mode & 07777) ||
	    st->st_mtim.tv_sec != attrs->mtime_s || st->st_mtim.tv_nsec != (long)attrs->mtime_ns)
		return false;
	if (geteuid() == 0 && (st->st_uid != id_of(ids, false, attrs->user, attrs->uid) ||
			       st->st_gid != id_of(ids, true, attrs->group, attrs->gid)))
		return false;
	for (size_t i = 0; i < attrs->xattr_count; i++) {
		if (!xattr_same(fd, &attrs->xattrs[i]))
			return false;
	}
	return true;
}
