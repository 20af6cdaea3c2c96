#include "repo/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "repo/durable.h"
#include "repo/store_leftovers.h"
#include "repo/store_local.h"

#define TEMP_CHARS (sizeof(STORE_LEFTOVERS_PREFIX) + STORE_LEFTOVERS_DIGITS)
#define KEPT_OPEN 64 /* a restore goes to and fro between the packs of about as many nights */

/* A pack that parts were read of, and soon others will be. It never changes, so its descriptor stays as good as its name. */
struct kept {
	int fd;
	struct id name;
	uint64_t bytes;
	uint64_t used; /* clock of the last use */
};

struct local {
	struct store base;
	struct kept kept[KEPT_OPEN];
	size_t kept_count;
	uint64_t clock;
	/*
	 * [type][first byte of a data name]: folders whose entry in their parent this process has
	 * synced. One that is merely there may be the work of a writer killed before its own sync.
	 */
	bool settled[STORE_TYPES][256];
};

/* store_local_open has made sure that this fits. */
static void full_path(const struct store *s, enum store_type type, const struct id *name,
		      char out[PATH_MAX])
{
	char below[STORE_PATH_CHARS];

	store_path(type, name, below);
	(void)snprintf(out, PATH_MAX, "%s/%s", s->location, below);
}

static const char *leaf_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int open_retry(int folder, const char *name, int flags)
{
	int fd;

	do
		fd = openat(folder, name, flags | O_CLOEXEC, 0400);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static int sync_retry(int fd)
{
	int rc;

	do
		rc = fsync(fd);
	while (rc != 0 && errno == EINTR);
	return rc;
}

/* Folders may be symlinks (`data` moved to a larger disk); objects may not. */
static int open_parent(const char *path)
{
	char parent[PATH_MAX];
	size_t len = (size_t)(leaf_of(path) - path);

	(void)snprintf(parent, sizeof(parent), "%.*s", (int)len, path);
	return open_retry(AT_FDCWD, len > 0 ? parent : ".", O_RDONLY | O_DIRECTORY);
}

/* Some network file systems have no sync for a folder and say EINVAL: more cannot be had there. */
static int sync_folder(int fd, const char *path, struct err *err)
{
	if (sync_retry(fd) == 0 || errno == EINVAL || errno == ENOTSUP)
		return 0;
	return err_sys(err, errno, "cannot sync the folder that holds %s", path);
}

static int sync_parent(const char *path, struct err *err)
{
	int rc, fd = open_parent(path);

	if (fd < 0)
		return err_sys(err, errno, "cannot open the folder that holds %s", path);
	rc = sync_folder(fd, path, err);
	(void)close(fd);
	return rc;
}

static int make_folder(const char *path, struct err *err)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	return err_sys(err, errno, "cannot make the folder %s", path);
}

/* Makes the folders of an object durable below the root, once a process. */
static int settle(struct store *s, enum store_type type, const struct id *name, struct err *err)
{
	bool *settled = &((struct local *)s)->settled[type][type == STORE_DATA ? name->b[0] : 0];
	char path[PATH_MAX], *slash;
	int rc = 0;

	full_path(s, type, name, path);
	slash = path + strlen(s->location);
	while (!*settled && rc == 0 && (slash = strchr(slash + 1, '/')) != NULL) {
		*slash = '\0';
		rc = make_folder(path, err);
		if (rc == 0)
			rc = sync_parent(path, err);
		*slash = '/';
	}
	*settled = rc == 0;
	return rc;
}

static bool is_ours(const char *entry)
{
	static const char *const fine[] = {".", "..", "lost+found"};

	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		if (strcmp(entry, fine[i]) == 0)
			return true;
	for (int t = STORE_KEYS; t < STORE_TYPES; t++)
		if (strcmp(entry, store_type_name((enum store_type)t)) == 0)
			return true;
	return strncmp(entry, STORE_LEFTOVERS_PREFIX, strlen(STORE_LEFTOVERS_PREFIX)) == 0;
}

/* `init` in a home folder must not scatter ours among the user's files. */
static int refuse_foreign(const char *root, struct err *err)
{
	DIR *dir = opendir(root);
	struct dirent *e;
	int rc = 0;

	if (!dir)
		return err_sys(err, errno, "cannot open the folder %s", root);
	while (rc == 0 && (errno = 0, e = readdir(dir)) != NULL)
		if (!is_ours(e->d_name))
			rc = err_set(err, ERR_EXISTS,
				     "%s holds \"%s\", which is no part of a repository; choose an "
				     "empty or a new folder",
				     root, e->d_name);
	if (rc == 0 && errno != 0)
		rc = err_sys(err, errno, "cannot list the folder %s", root);
	(void)closedir(dir);
	return rc;
}

/* The parent may be somebody else's and closed to us (0711): then it is theirs to sync. */
static int make_root(const char *root, struct err *err)
{
	struct err sync = {0};
	int rc = make_folder(root, err);

	if (rc == -ERR_MISSING)
		return err_prefix(err, "the folder that is to hold the repository is missing "
				       "(not mounted?)");
	if (rc == 0)
		rc = refuse_foreign(root, err);
	if (rc == 0 && sync_parent(root, &sync) != 0 && sync.sys_errno != EACCES) {
		*err = sync;
		rc = -sync.code;
	}
	return rc;
}

static int local_create(struct store *s, struct err *err)
{
	char path[PATH_MAX];
	struct stat st;
	int rc;

	full_path(s, STORE_CONFIG, NULL, path);
	if (lstat(path, &st) == 0)
		return err_set(err, ERR_EXISTS, "a repository is in %s already", s->location);
	rc = make_root(s->location, err);
	for (int t = STORE_KEYS; t < STORE_TYPES && rc == 0; t++) {
		(void)snprintf(path, sizeof(path), "%s/%s", s->location,
			       store_type_name((enum store_type)t));
		rc = make_folder(path, err);
	}
	return rc == 0 ? sync_parent(path, err) : rc;
}

/*
 * Writes and syncs a temporary file in the folder. A descriptor whose sync has failed is done with:
 * the kernel reports a lost page once and then calls it clean.
 */
static int write_temp(int folder, const void *bytes, size_t len, char out_temp[TEMP_CHARS])
{
	uint64_t random;
	int fd, failed;

	randombytes_buf(&random, sizeof(random));
	(void)snprintf(out_temp, TEMP_CHARS, STORE_LEFTOVERS_PREFIX "%016llx",
		       (unsigned long long)random);
	fd = open_retry(folder, out_temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
	if (fd < 0)
		return errno;
	failed = durable_write(fd, bytes, len);
	if (failed == 0 && sync_retry(fd) != 0)
		failed = errno;
	/* On Linux the descriptor is gone after EINTR too, and the bytes were synced before. */
	if (close(fd) != 0 && errno != EINTR && failed == 0)
		failed = errno;
	if (failed != 0)
		(void)unlinkat(folder, out_temp, 0);
	return failed;
}

/* NFS and some FUSE file systems cannot rename without replacing; a hard link never replaces. */
static int publish(int folder, const char *temp, const char *leaf)
{
	int failed = 0;

	if (renameat2(folder, temp, folder, leaf, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		failed = errno;
	else if (linkat(folder, temp, folder, leaf, 0) != 0)
		failed = errno;
	(void)unlinkat(folder, temp, 0);
	return failed;
}

/* How a temporary file of a folder gets its name: 0 or an errno; then the file is gone. */
typedef int publish_fn(int folder, const char *temp, const char *leaf);

static int put_by(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		  size_t len, publish_fn *by, struct err *err)
{
	char path[PATH_MAX], temp[TEMP_CHARS];
	int folder, failed, rc = settle(s, type, name, err);

	if (rc != 0)
		return rc;
	full_path(s, type, name, path);
	folder = open_parent(path);
	if (folder < 0)
		return err_sys(err, errno, "cannot open the folder that holds %s", path);
	failed = write_temp(folder, bytes, len, temp);
	if (failed == 0)
		failed = by(folder, temp, leaf_of(path));
	/* What is there already may come from a writer that was killed before it synced the folder. */
	if (failed == 0 || failed == EEXIST)
		rc = sync_folder(folder, path, err);
	if (rc == 0 && failed != 0)
		rc = err_sys(err, failed, "cannot write %s", path);
	(void)close(folder);
	return rc;
}

static int local_put(struct store *s, enum store_type type, const struct id *name,
		     const void *bytes, size_t len, struct err *err)
{
	return put_by(s, type, name, bytes, len, publish, err);
}

static int not_an_object(const char *path, struct err *err)
{
	return err_set(err, ERR_DAMAGED, "%s is not a regular file; links are not followed here",
		       path);
}

/* O_NONBLOCK: a pipe planted in an object's place must not hang us. */
static int open_object(const char *path, int *out_fd, uint64_t *out_bytes, struct err *err)
{
	int fd = open_retry(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int rc = 0;

	if (fd < 0)
		return errno == ELOOP ? not_an_object(path, err)
				      : err_sys_own(err, errno, "cannot open %s", path);
	if (fstat(fd, &st) != 0)
		rc = err_sys(err, errno, "cannot stat %s", path);
	else if (!S_ISREG(st.st_mode))
		rc = not_an_object(path, err);
	if (rc != 0) {
		(void)close(fd);
		return rc;
	}
	*out_fd = fd;
	*out_bytes = (uint64_t)st.st_size;
	return 0;
}

#define CUT_SHORT (-1) /* beside values of errno */

/* Appends len bytes, or leaves out as it was and returns CUT_SHORT or an errno. */
static int read_exactly(int fd, uint64_t offset, size_t len, struct buf *out)
{
	size_t before = out->len, done = 0;
	uint8_t *at = buf_extend(out, len);
	int failed = at ? 0 : ENOMEM;

	while (done < len && failed == 0) {
		ssize_t n = pread(fd, at + done, len - done, (off_t)(offset + done));

		if (n > 0)
			done += (size_t)n;
		else if (n == 0)
			failed = CUT_SHORT;
		else if (errno != EINTR)
			failed = errno;
	}
	if (failed != 0)
		out->len = before;
	return failed;
}

static int read_failed(const char *path, int failed, struct err *err)
{
	if (failed == CUT_SHORT)
		return err_set(err, ERR_DAMAGED, "%s: cut short: it is shorter than it must be",
			       path);
	return failed == ENOMEM ? err_nomem(err) : err_sys(err, failed, "cannot read %s", path);
}

static int local_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		     struct buf *out, struct err *err)
{
	char path[PATH_MAX];
	uint64_t bytes;
	int fd, failed, rc;

	full_path(s, type, name, path);
	rc = open_object(path, &fd, &bytes, err);
	if (rc != 0)
		return rc;
	if (bytes > max_bytes) {
		rc = err_set(err, ERR_LIMIT, "%s has %llu bytes, more than the %zu allowed", path,
			     (unsigned long long)bytes, max_bytes);
	} else {
		failed = read_exactly(fd, 0, (size_t)bytes, out);
		if (failed != 0)
			rc = read_failed(path, failed, err);
	}
	(void)close(fd);
	return rc;
}

/* --- packs that are kept open --- */

static void kept_close(struct local *l, struct kept *k)
{
	(void)close(k->fd);
	*k = l->kept[--l->kept_count];
}

static struct kept *kept_find(struct local *l, const struct id *name)
{
	for (size_t i = 0; i < l->kept_count; i++) {
		if (id_eq(&l->kept[i].name, name))
			return &l->kept[i];
	}
	return NULL;
}

static struct kept *kept_oldest(struct local *l)
{
	struct kept *oldest = &l->kept[0];

	for (size_t i = 1; i < l->kept_count; i++) {
		if (l->kept[i].used < oldest->used)
			oldest = &l->kept[i];
	}
	return oldest;
}

static int kept_open(struct local *l, enum store_type type, const struct id *name,
		     struct kept **out, struct err *err)
{
	struct kept fresh = {0};
	char path[PATH_MAX];
	int rc;

	if (name)
		fresh.name = *name;
	full_path(&l->base, type, name, path);
	rc = open_object(path, &fresh.fd, &fresh.bytes, err);
	if (rc != 0)
		return rc;
	if (l->kept_count == KEPT_OPEN)
		kept_close(l, kept_oldest(l));
	*out = &l->kept[l->kept_count++];
	**out = fresh;
	return 0;
}

/* Parts are read of packs alone, and of many of them one after the other. */
static int local_get_range(struct store *s, enum store_type type, const struct id *name,
			   uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	struct local *l = (struct local *)s;
	struct kept *k = type == STORE_DATA ? kept_find(l, name) : NULL;
	char path[PATH_MAX];
	int failed = CUT_SHORT, rc = k ? 0 : kept_open(l, type, name, &k, err);

	if (rc != 0)
		return rc;
	k->used = ++l->clock;
	if (offset <= k->bytes && len <= k->bytes - offset)
		failed = read_exactly(k->fd, offset, len, out);
	if (failed != 0 || type != STORE_DATA)
		kept_close(l, k);
	if (failed == 0)
		return 0;
	full_path(s, type, name, path);
	return read_failed(path, failed, err);
}

static int local_size(struct store *s, enum store_type type, const struct id *name,
		      uint64_t *out_bytes, struct err *err)
{
	char path[PATH_MAX];
	struct stat st;

	full_path(s, type, name, path);
	if (lstat(path, &st) != 0)
		return err_sys(err, errno, "cannot stat %s", path);
	if (!S_ISREG(st.st_mode))
		return not_an_object(path, err);
	*out_bytes = (uint64_t)st.st_size;
	return 0;
}

static int list_config(struct store *s, store_list_fn *fn, void *arg, struct err *err)
{
	const struct id none = {0};
	uint64_t bytes;
	int rc = local_size(s, STORE_CONFIG, NULL, &bytes, err);

	if (rc == -ERR_MISSING)
		return 0;
	return rc == 0 ? fn(arg, &none, bytes, err) : rc;
}

static int local_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		      struct err *err)
{
	return type == STORE_CONFIG ? list_config(s, fn, arg, err)
				    : store_local_list(s->location, type, fn, arg, err);
}

static int local_remove(struct store *s, enum store_type type, const struct id *name,
			struct err *err)
{
	struct local *l = (struct local *)s;
	struct kept *k = type == STORE_DATA ? kept_find(l, name) : NULL;
	char path[PATH_MAX];

	if (k)
		kept_close(l, k);
	full_path(s, type, name, path);
	if (unlink(path) != 0)
		return err_sys(err, errno, "cannot remove %s", path);
	return sync_parent(path, err);
}

/* A rename puts the new file in the old one's place in one step; what has gone meanwhile stays gone. */
static int publish_over(int folder, const char *temp, const char *leaf)
{
	struct stat st;
	int failed = 0;

	if (fstatat(folder, leaf, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    renameat(folder, temp, folder, leaf) != 0)
		failed = errno;
	if (failed != 0)
		(void)unlinkat(folder, temp, 0);
	return failed;
}

static int local_replace(struct store *s, enum store_type type, const struct id *name,
			 const void *bytes, size_t len, struct err *err)
{
	struct local *l = (struct local *)s;
	struct kept *k = type == STORE_DATA ? kept_find(l, name) : NULL;

	if (k)
		kept_close(l, k);
	return put_by(s, type, name, bytes, len, publish_over, err);
}

/* A file that nobody else sees: where the disk is another machine's, its clock says when it was made. */
static int local_now(struct store *s, int64_t *out_s, struct err *err)
{
	char temp[TEMP_CHARS];
	struct stat st;
	int folder, failed, rc = 0;

	folder = open_retry(AT_FDCWD, s->location, O_RDONLY | O_DIRECTORY);
	if (folder < 0)
		return err_sys(err, errno, "cannot open the folder %s", s->location);
	failed = write_temp(folder, "", 0, temp);
	if (failed == 0) {
		if (fstatat(folder, temp, &st, AT_SYMLINK_NOFOLLOW) != 0)
			failed = errno;
		(void)unlinkat(folder, temp, 0);
	}
	if (failed == 0)
		*out_s = st.st_mtim.tv_sec;
	else
		rc = err_sys(err, failed, "cannot read the clock of %s by a file made in it",
			     s->location);
	(void)close(folder);
	return rc;
}

static int local_sweep(struct store *s, int64_t least_age_s, bool dry_run,
		       struct store_leftovers *out, struct err *err)
{
	int64_t now_s = 0;
	int rc = local_now(s, &now_s, err);

	return rc ? rc : store_leftovers_sweep(s->location, now_s - least_age_s, dry_run, out, err);
}

static void local_free(struct store *s)
{
	struct local *l = (struct local *)s;

	while (l->kept_count > 0)
		kept_close(l, l->kept);
	free(s->location);
	free(s);
}

static const struct store_ops local_ops = {
    .create = local_create,
    .put = local_put,
    .get = local_get,
    .get_range = local_get_range,
    .size = local_size,
    .list = local_list,
    .remove = local_remove,
    .now = local_now,
    .sweep = local_sweep,
    .free = local_free,
    .replace = local_replace,
};

int store_local_open(const char *path, struct store **out_store, struct err *err)
{
	size_t len = strlen(path);
	struct local *l;

	if (len == 0)
		return err_set(err, ERR_USAGE, "the repository's path is empty");
	if (len >= PATH_MAX - STORE_PATH_CHARS)
		return err_set(err, ERR_USAGE, "the repository's path is too long");
	while (len > 1 && path[len - 1] == '/')
		len--;
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_nomem(err);
	l->base.ops = &local_ops;
	l->base.location = strndup(path, len);
	if (!l->base.location) {
		free(l);
		return err_nomem(err);
	}
	*out_store = &l->base;
	return 0;
}
