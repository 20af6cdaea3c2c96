#include "repo/sftp_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AT_ONCE 64u /* removals on their way */

/* A file of a killed put. */
struct leftover {
	char below[STORE_PATH_CHARS];
	uint64_t bytes;
};

struct sweeping {
	int64_t newest_s;   /* a file that is newer may be somebody's who is writing it */
	const char *folder; /* below the repository */
	struct buf found; /* struct leftover: an entry must not use the connection that lists it */
};

static bool is_temp(struct span name)
{
	size_t prefix = strlen(SFTP_TEMP_PREFIX);

	if (name.len != prefix + SFTP_TEMP_DIGITS || memcmp(name.p, SFTP_TEMP_PREFIX, prefix) != 0)
		return false;
	for (size_t i = prefix; i < name.len; i++)
		if (!name.p[i] || !strchr("0123456789abcdef", name.p[i]))
			return false;
	return true;
}

/* Of a server that does not say what it is and how old, nothing is taken. */
static int look_at(void *arg, struct span name, const struct sftp_attrs *attrs, struct err *err)
{
	struct sweeping *w = arg;
	struct leftover file = {.bytes = attrs->size_bytes};

	if (!is_temp(name) || !attrs->has_mode || !S_ISREG(attrs->mode) || !attrs->has_times ||
	    !attrs->has_size || (int64_t)attrs->mtime_s > w->newest_s)
		return 0;
	(void)snprintf(file.below, sizeof(file.below), "%s%s%.*s", w->folder,
		       w->folder[0] ? "/" : "", (int)name.len, (const char *)name.p);
	buf_put(&w->found, &file, sizeof(file));
	return buf_check(&w->found, err);
}

static int look_at_pack(void *arg, uint8_t first_byte, struct span name,
			const struct sftp_attrs *attrs, struct err *err)
{
	struct sweeping *w = arg;
	char folder[16];
	int rc;

	(void)snprintf(folder, sizeof(folder), "data/%02x", first_byte);
	w->folder = folder;
	rc = look_at(w, name, attrs, err);
	w->folder = "";
	return rc;
}

static int find_in(struct sftp_store *s, struct sweeping *w, const char *folder, struct err *err)
{
	struct err why = {0};
	struct sftp_path path;
	int rc;

	sftp_path_folder(s, folder, &path);
	w->folder = folder;
	rc = sftp_each_entry(s, &path, look_at, w, &why);
	if (rc == 0 || rc == -ERR_MISSING)
		return 0;
	*err = why;
	return rc;
}

static int find_all(struct sftp_store *s, struct sweeping *w, struct err *err)
{
	int rc = find_in(s, w, "", err);

	for (int t = STORE_KEYS; t < STORE_TYPES && rc == 0; t++)
		rc = find_in(s, w, store_type_name((enum store_type)t), err);
	return rc == 0 ? sftp_each_pack_entry(s, look_at_pack, w, err) : rc;
}

/* What has gone meanwhile is another prune's work, or was published. */
static int count(const struct sftp_store *s, const struct leftover *file,
		 const struct sftp_result *removed, struct store_leftovers *out, struct err *err)
{
	struct sftp_path path;

	sftp_path_folder(s, file->below, &path);
	if (removed->code == SFTP_NO_SUCH_FILE)
		return 0;
	if (removed->code != SFTP_OK)
		return sftp_refused(&path, "remove", removed, err);
	out->files++;
	out->bytes += file->bytes;
	return 0;
}

static int remove_some(struct sftp_store *s, const struct leftover *files, size_t n, bool dry_run,
		       struct store_leftovers *out, struct err *err)
{
	struct sftp_result removed[AT_ONCE] = {0};
	struct sftp_path path;
	int rc;

	for (size_t i = 0; i < n && !dry_run; i++) {
		sftp_path_folder(s, files[i].below, &path);
		sftp_put_path(sftp_link_out(s->link), SFTP_REMOVE,
			      sftp_link_expect(s->link, SFTP_STATUS, &removed[i]), path.there);
	}
	sftp_path_folder(s, "", &path);
	rc = sftp_wait(s, 0, &path, err);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = count(s, &files[i], &removed[i], out, err);
	return rc;
}

int sftp_store_sweep(struct store *store, int64_t least_age_s, bool dry_run,
		     struct store_leftovers *out, struct err *err)
{
	struct sftp_store *s = (struct sftp_store *)store;
	struct sweeping w = {.folder = ""};
	int64_t now_s = 0;
	int rc = store_now(store, &now_s, err);

	w.newest_s = now_s - least_age_s;
	if (rc == 0)
		rc = find_all(s, &w, err);
	for (size_t at = 0, all = w.found.len / sizeof(struct leftover); at < all && rc == 0;) {
		size_t n = all - at < AT_ONCE ? all - at : AT_ONCE;
		const struct leftover *files = (const void *)w.found.data;

		rc = remove_some(s, files + at, n, dry_run, out, err);
		at += n;
	}
	buf_free(&w.found);
	return rc;
}
