#include "repo/store_local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

struct listing {
	const char *folder;
	int first_byte; /* names must start with it; -1: any */
	store_list_fn *fn;
	void *arg;
};

/* Foreign names, what is no regular file and what has gone since readdir are passed over. */
static int list_entry(const struct listing *l, int folder, const char *entry, struct err *err)
{
	struct stat st;
	struct id name;

	if (!id_from_hex(entry, &name) || (l->first_byte >= 0 && name.b[0] != l->first_byte))
		return 0;
	if (fstatat(folder, entry, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0
				       : err_sys(err, errno, "cannot stat %s/%s", l->folder, entry);
	return S_ISREG(st.st_mode) ? l->fn(l->arg, &name, (uint64_t)st.st_size, err) : 0;
}

static int list_folder(const struct listing *l, struct err *err)
{
	DIR *dir = opendir(l->folder);
	struct dirent *e;
	int rc = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_sys_own(err, errno, "cannot list %s", l->folder);
	while (rc == 0 && (errno = 0, e = readdir(dir)) != NULL)
		rc = list_entry(l, dirfd(dir), e->d_name, err);
	if (rc == 0 && errno != 0)
		rc = err_sys(err, errno, "cannot list %s", l->folder);
	(void)closedir(dir);
	return rc;
}

int store_local_list(const char *root, enum store_type type, store_list_fn *fn, void *arg,
		     struct err *err)
{
	char path[PATH_MAX];
	struct listing l = {.folder = path, .first_byte = -1, .fn = fn, .arg = arg};
	size_t used = (size_t)snprintf(path, sizeof(path), "%s/%s", root, store_type_name(type));
	int rc = 0;

	if (type != STORE_DATA)
		return list_folder(&l, err);
	for (l.first_byte = 0; l.first_byte < 256 && rc == 0; l.first_byte++) {
		(void)snprintf(path + used, sizeof(path) - used, "/%02x", (unsigned)l.first_byte);
		rc = list_folder(&l, err);
	}
	return rc;
}
