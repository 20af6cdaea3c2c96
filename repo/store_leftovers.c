#include "repo/store_leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sweeping {
	const char *folder;
	int64_t newest_s; /* a file that is newer may be somebody's who is writing it */
	bool dry_run;
	struct store_leftovers *out;
};

static bool is_temp(const char *entry)
{
	size_t prefix = strlen(STORE_LEFTOVERS_PREFIX);

	return strlen(entry) == prefix + STORE_LEFTOVERS_DIGITS &&
	       strncmp(entry, STORE_LEFTOVERS_PREFIX, prefix) == 0 &&
	       strspn(entry + prefix, "0123456789abcdef") == STORE_LEFTOVERS_DIGITS;
}

/* What has gone meanwhile is another prune's work, or was published. */
static int sweep_entry(const struct sweeping *w, int folder, const char *entry, struct err *err)
{
	struct stat st;

	if (!is_temp(entry))
		return 0;
	if (fstatat(folder, entry, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0
				       : err_sys(err, errno, "cannot stat %s/%s", w->folder, entry);
	if (!S_ISREG(st.st_mode) || st.st_mtim.tv_sec > w->newest_s)
		return 0;
	if (!w->dry_run && unlinkat(folder, entry, 0) != 0)
		return errno == ENOENT
			   ? 0
			   : err_sys(err, errno, "cannot remove %s/%s", w->folder, entry);
	w->out->files++;
	w->out->bytes += (uint64_t)st.st_size;
	return 0;
}

static int sweep_folder(const struct sweeping *w, struct err *err)
{
	DIR *dir = opendir(w->folder);
	struct dirent *e;
	int rc = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_sys(err, errno, "cannot list %s", w->folder);
	while (rc == 0 && (errno = 0, e = readdir(dir)) != NULL)
		rc = sweep_entry(w, dirfd(dir), e->d_name, err);
	if (rc == 0 && errno != 0)
		rc = err_sys(err, errno, "cannot list %s", w->folder);
	(void)closedir(dir);
	return rc;
}

int store_leftovers_sweep(const char *root, int64_t newest_s, bool dry_run,
			  struct store_leftovers *out, struct err *err)
{
	char path[PATH_MAX];
	const struct sweeping w = {
	    .folder = path, .newest_s = newest_s, .dry_run = dry_run, .out = out};
	int rc;

	(void)snprintf(path, sizeof(path), "%s", root);
	rc = sweep_folder(&w, err);
	for (int t = STORE_KEYS; t < STORE_TYPES && rc == 0; t++) {
		const char *type = store_type_name((enum store_type)t);

		(void)snprintf(path, sizeof(path), "%s/%s", root, type);
		rc = sweep_folder(&w, err);
		for (unsigned b = 0; t == STORE_DATA && b < 256 && rc == 0; b++) {
			(void)snprintf(path, sizeof(path), "%s/%s/%02x", root, type, b);
			rc = sweep_folder(&w, err);
		}
	}
	return rc;
}
