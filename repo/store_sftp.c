#include "repo/store_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sodium.h>

#include "repo/sftp_store.h"

/* --- paths --- */

/* store_sftp_open has made sure that this fits. */
static void join(const char *folder, const char *name, char out[PATH_MAX])
{
	if (*name)
		(void)snprintf(out, PATH_MAX, "%s/%s", folder, name);
	else
		(void)snprintf(out, PATH_MAX, "%s", *folder ? folder : "/");
}

void sftp_path_folder(const struct sftp_store *s, const char *below, struct sftp_path *out)
{
	out->store = s;
	(void)snprintf(out->below, sizeof(out->below), "%s", below);
	join(s->where.path, below, out->there);
}

void sftp_path_object(const struct sftp_store *s, enum store_type type, const struct id *name,
		      struct sftp_path *out)
{
	char below[STORE_PATH_CHARS];

	store_path(type, name, below);
	sftp_path_folder(s, below, out);
}

void sftp_path_parent(const struct sftp_path *path, char out[PATH_MAX])
{
	const char *slash = strrchr(path->there, '/');

	if (!slash)
		(void)snprintf(out, PATH_MAX, ".");
	else if (slash == path->there)
		(void)snprintf(out, PATH_MAX, "/");
	else
		(void)snprintf(out, PATH_MAX, "%.*s", (int)(slash - path->there), path->there);
}

void sftp_temp_path(const char *folder, char out[PATH_MAX])
{
	uint64_t random;
	char name[sizeof(SFTP_TEMP_PREFIX) + SFTP_TEMP_DIGITS];

	randombytes_buf(&random, sizeof(random));
	(void)snprintf(name, sizeof(name), SFTP_TEMP_PREFIX "%016llx", (unsigned long long)random);
	join(strcmp(folder, "/") == 0 ? "" : folder, name, out);
}

/* --- the connection --- */

static int name_it(const struct sftp_path *path, struct err *err)
{
	const char *slash = path->below[0] ? "/" : "";

	return err_prefix(err, "%s%s%s", path->store->base.location, slash, path->below);
}

int sftp_begin(struct sftp_store *s, const struct sftp_path *path, struct err *err)
{
	if (s->link)
		return 0;
	return sftp_link_open(&s->where, s->net, &s->link, err) == 0 ? 0 : name_it(path, err);
}

void sftp_drop(struct sftp_store *s, bool orderly)
{
	sftp_link_free(s->link, orderly);
	s->link = NULL;
	s->kept_count = 0;
}

int sftp_wait(struct sftp_store *s, unsigned most, const struct sftp_path *path, struct err *err)
{
	int rc = sftp_link_wait(s->link, most, err);

	if (rc == 0)
		return 0;
	/* Interrupted, the connection is whole: a put takes away what it began. */
	if (rc == -ERR_CANCELLED && s->temp)
		sftp_forget_file(s, s->temp);
	sftp_drop(s, rc == -ERR_CANCELLED);
	return name_it(path, err);
}

int sftp_refused(const struct sftp_path *path, const char *doing, const struct sftp_result *result,
		 struct err *err)
{
	const char *slash = path->below[0] ? "/" : "";
	const char *location = path->store->base.location;

	switch (result->code) {
	case SFTP_NO_SUCH_FILE:
		return err_set(err, ERR_MISSING, "cannot %s %s%s%s: no such file or folder there",
			       doing, location, slash, path->below);
	case SFTP_PERMISSION_DENIED:
		return err_set(err, ERR_DENIED,
			       "cannot %s %s%s%s: the server forbids it (\"%s\"): the folder is "
			       "another user's, or the server is set up to add only",
			       doing, location, slash, path->below, result->words);
	case SFTP_NO_CONNECTION:
	case SFTP_CONNECTION_LOST:
		return err_set(err, ERR_AGAIN, "cannot %s %s%s%s: the server says \"%s\"", doing,
			       location, slash, path->below, result->words);
	default:
		return err_set(err, ERR_IO, "cannot %s %s%s%s: the server says \"%s\"", doing,
			       location, slash, path->below, result->words);
	}
}

/* A server that tells no types is taken to keep files. */
int sftp_object_attrs(const struct sftp_path *path, const struct sftp_result *lstat,
		      struct err *err)
{
	uint32_t type = lstat->attrs.has_mode ? lstat->attrs.mode & S_IFMT : 0;

	if (lstat->code != SFTP_OK)
		return sftp_refused(path, "find", lstat, err);
	if (type != 0 && type != S_IFREG)
		return err_set(err, ERR_DAMAGED,
			       "%s/%s is not a regular file; links are not followed here",
			       path->store->base.location, path->below);
	if (!lstat->attrs.has_size)
		return err_set(err, ERR_IO, "%s/%s: the server does not tell its size",
			       path->store->base.location, path->below);
	return 0;
}

void sftp_forget_file(struct sftp_store *s, const char *path)
{
	sftp_put_path(sftp_link_out(s->link), SFTP_REMOVE, sftp_link_unheard(s->link), path);
}

/* --- syncing folders --- */

/* OpenSSH's server opens a folder for reading like a file, and syncs it then. */
void sftp_folders_open(struct sftp_store *s, const char *path, struct sftp_folders *f)
{
	struct sftp_result *r = &f->opened[f->count];

	if (!sftp_link_version(s->link)->fsync)
		return;
	f->count++;
	sftp_put_open(sftp_link_out(s->link), sftp_link_expect(s->link, SFTP_HANDLE, r), path,
		      SFTP_READABLE, 0);
}

void sftp_folders_sync(struct sftp_store *s, struct sftp_folders *f)
{
	for (size_t i = 0; i < f->count; i++) {
		f->synced[i] = (struct sftp_result){0};
		if (f->opened[i].handle_len > 0)
			sftp_put_fsync(sftp_link_out(s->link),
				       sftp_link_expect(s->link, SFTP_STATUS, &f->synced[i]),
				       sftp_result_handle(&f->opened[i]));
	}
}

/* FAILURE is a disk that failed; the other answers are a server or file system that cannot do this: no more is to be had. */
int sftp_folders_check(const struct sftp_folders *f, const struct sftp_path *path, struct err *err)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->synced[i].code == SFTP_FAILURE)
			return sftp_refused(path, "sync the folder that holds", &f->synced[i], err);
	return 0;
}

void sftp_folders_close(struct sftp_store *s, const struct sftp_folders *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->opened[i].handle_len > 0)
			sftp_link_close(s->link, sftp_result_handle(&f->opened[i]));
}

/* --- create --- */

static bool is_ours(struct span name)
{
	static const char *const fine[] = {"lost+found", "keys",      "data",
					   "index",      "snapshots", "locks"};

	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		if (name.len == strlen(fine[i]) && memcmp(name.p, fine[i], name.len) == 0)
			return true;
	return name.len >= strlen(SFTP_TEMP_PREFIX) &&
	       memcmp(name.p, SFTP_TEMP_PREFIX, strlen(SFTP_TEMP_PREFIX)) == 0;
}

/* The text of the server's is cut to what a terminal may see. */
static int refuse_foreign(void *arg, struct span name, const struct sftp_attrs *attrs,
			  struct err *err)
{
	const struct sftp_store *s = arg;
	char words[80];
	const struct sftp_reply shown = {.text = name};

	(void)attrs;
	if (is_ours(name))
		return 0;
	sftp_link_words(&shown, words);
	return err_set(
	    err, ERR_EXISTS,
	    "%s holds \"%s\", which is no part of a repository; choose an empty or a new "
	    "folder",
	    s->base.location, words);
}

static void ask_mkdir(struct sftp_store *s, const char *path, struct sftp_result *result)
{
	sftp_put_mkdir(sftp_link_out(s->link), sftp_link_expect(s->link, SFTP_STATUS, result), path,
		       0700);
}

static void ask_attrs(struct sftp_store *s, enum sftp_type type, const char *path,
		      struct sftp_result *result)
{
	sftp_put_path(sftp_link_out(s->link), type, sftp_link_expect(s->link, SFTP_ATTRS, result),
		      path);
}

static int make_root(struct sftp_store *s, const struct sftp_path *root, struct err *err)
{
	struct sftp_result there = {0}, made = {0};
	struct sftp_path config;
	int rc;

	sftp_path_object(s, STORE_CONFIG, NULL, &config);
	ask_attrs(s, SFTP_LSTAT, config.there, &there);
	ask_mkdir(s, root->there, &made);
	rc = sftp_wait(s, 0, root, err);
	if (rc == 0 && there.code == SFTP_OK)
		return err_set(err, ERR_EXISTS, "a repository is in %s already", s->base.location);
	if (rc == 0 && made.code == SFTP_NO_SUCH_FILE)
		return err_set(
		    err, ERR_MISSING,
		    "%s: the folder that is to hold the repository is missing on %s (not "
		    "mounted?)",
		    s->base.location, s->where.host);
	if (rc == 0)
		rc = sftp_each_entry(s, root, refuse_foreign, s, err);
	/* It was not made, nor is it there: why it was not made is what matters. */
	if (rc == -ERR_MISSING && made.code != SFTP_OK)
		rc = sftp_refused(root, "make the folder", &made, err);
	return rc;
}

/* MKDIR of a folder that is there fails as anything else does. */
static int make_folders(struct sftp_store *s, const struct sftp_path *root, struct err *err)
{
	struct sftp_result made[STORE_TYPES] = {{0}}, there[STORE_TYPES] = {{0}};
	struct sftp_folders folders = {0};
	char parent[PATH_MAX];
	int rc;

	for (int t = STORE_KEYS; t < STORE_TYPES; t++) {
		struct sftp_path folder;

		sftp_path_folder(s, store_type_name((enum store_type)t), &folder);
		ask_mkdir(s, folder.there, &made[t]);
		ask_attrs(s, SFTP_STAT, folder.there, &there[t]);
	}
	sftp_path_parent(root, parent);
	sftp_folders_open(s, root->there, &folders);
	sftp_folders_open(s, parent, &folders);
	rc = sftp_wait(s, 0, root, err);
	for (int t = STORE_KEYS; t < STORE_TYPES && rc == 0; t++)
		if (there[t].code != SFTP_OK ||
		    (there[t].attrs.has_mode && !S_ISDIR(there[t].attrs.mode)))
			rc = sftp_refused(root, "make the folders of", &made[t], err);
	if (rc != 0)
		return rc;
	sftp_folders_sync(s, &folders);
	rc = sftp_wait(s, 0, root, err);
	if (rc == 0)
		rc = sftp_folders_check(&folders, root, err);
	if (s->link)
		sftp_folders_close(s, &folders);
	return rc;
}

static int sftp_create(struct store *store, struct err *err)
{
	struct sftp_store *s = (struct sftp_store *)store;
	struct sftp_path root;
	int rc;

	sftp_path_folder(s, "", &root);
	rc = sftp_begin(s, &root, err);
	if (rc == 0)
		rc = make_root(s, &root, err);
	if (rc == 0)
		rc = make_folders(s, &root, err);
	return rc;
}

/* --- size, remove, now --- */

static int sftp_size(struct store *store, enum store_type type, const struct id *name,
		     uint64_t *out_bytes, struct err *err)
{
	struct sftp_store *s = (struct sftp_store *)store;
	struct sftp_result there = {0};
	struct sftp_path path;
	int rc;

	sftp_path_object(s, type, name, &path);
	rc = sftp_begin(s, &path, err);
	if (rc != 0)
		return rc;
	ask_attrs(s, SFTP_LSTAT, path.there, &there);
	rc = sftp_wait(s, 0, &path, err);
	if (rc == 0)
		rc = sftp_object_attrs(&path, &there, err);
	if (rc == 0)
		*out_bytes = there.attrs.size_bytes;
	return rc;
}

static int sftp_remove(struct store *store, enum store_type type, const struct id *name,
		       struct err *err)
{
	struct sftp_store *s = (struct sftp_store *)store;
	struct sftp_result removed = {0};
	struct sftp_folders folders = {0};
	struct sftp_path path;
	char parent[PATH_MAX];
	int rc;

	sftp_path_object(s, type, name, &path);
	sftp_path_parent(&path, parent);
	rc = sftp_begin(s, &path, err);
	if (rc != 0)
		return rc;
	if (type == STORE_DATA)
		sftp_kept_drop(s, name);
	sftp_folders_open(s, parent, &folders);
	sftp_put_path(sftp_link_out(s->link), SFTP_REMOVE,
		      sftp_link_expect(s->link, SFTP_STATUS, &removed), path.there);
	rc = sftp_wait(s, 0, &path, err);
	if (rc == 0 && removed.code == SFTP_OK) {
		sftp_folders_sync(s, &folders);
		rc = sftp_wait(s, 0, &path, err);
	}
	if (rc == 0)
		rc = removed.code == SFTP_OK ? sftp_folders_check(&folders, &path, err)
					     : sftp_refused(&path, "remove", &removed, err);
	if (s->link)
		sftp_folders_close(s, &folders);
	return rc;
}

/* A fresh file of which nobody else knows: its time is the server's. */
static int sftp_now(struct store *store, int64_t *out_s, struct err *err)
{
	struct sftp_store *s = (struct sftp_store *)store;
	struct sftp_result file = {0}, stat = {0};
	struct sftp_path root;
	char temp[PATH_MAX];
	struct buf *out;
	int rc;

	sftp_path_folder(s, "", &root);
	sftp_temp_path(root.there, temp);
	rc = sftp_begin(s, &root, err);
	if (rc != 0)
		return rc;
	out = sftp_link_out(s->link);
	sftp_put_open(out, sftp_link_expect(s->link, SFTP_HANDLE, &file), temp,
		      SFTP_WRITABLE | SFTP_CREATE | SFTP_EXCLUSIVE, 0400);
	s->temp = temp;
	rc = sftp_wait(s, 0, &root, err);
	s->temp = NULL;
	if (rc == 0 && file.code != SFTP_OK)
		rc = sftp_refused(&root, "read the clock, by a new file, of", &file, err);
	if (rc != 0)
		return rc;
	sftp_put_handle(out, SFTP_FSTAT, sftp_link_expect(s->link, SFTP_ATTRS, &stat),
			sftp_result_handle(&file));
	sftp_link_close(s->link, sftp_result_handle(&file));
	sftp_forget_file(s, temp);
	rc = sftp_wait(s, 0, &root, err);
	if (rc == 0 && stat.code != SFTP_OK)
		rc = sftp_refused(&root, "read the clock of", &stat, err);
	else if (rc == 0 && !stat.attrs.has_times)
		rc = err_set(err, ERR_IO, "%s: the server does not tell the time of a file",
			     s->base.location);
	if (rc == 0)
		*out_s = stat.attrs.mtime_s;
	return rc;
}

/* --- open and free --- */

static void sftp_free(struct store *store)
{
	struct sftp_store *s = (struct sftp_store *)store;

	sftp_drop(s, true);
	sftp_where_free(&s->where);
	free(s->base.location);
	free(s);
}

static const struct store_ops sftp_ops = {
    .create = sftp_create,
    .put = sftp_store_put,
    .get = sftp_store_get,
    .get_range = sftp_store_get_range,
    .size = sftp_size,
    .list = sftp_store_list,
    .remove = sftp_remove,
    .now = sftp_now,
    .sweep = sftp_store_sweep,
    .free = sftp_free,
    .replace = sftp_store_replace,
};

int store_sftp_open(const char *location, const struct net *net, struct store **out_store,
		    struct err *err)
{
	struct sftp_store *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_nomem(err);
	rc = sftp_where_parse(location, &s->where, err);
	if (rc == 0 && !(s->base.location = strdup(location)))
		rc = err_nomem(err);
	if (rc != 0) {
		sftp_where_free(&s->where);
		free(s);
		return rc;
	}
	s->base.ops = &sftp_ops;
	s->net = net;
	*out_store = &s->base;
	return 0;
}
