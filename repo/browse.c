#include "repo/browse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t components_of(const char *path)
{
	size_t count = 0;

	for (; *path; path++)
		count += *path == '/';
	return count;
}

int browse_join(const char *folder, const struct span *name, char **out_path, struct err *err)
{
	*out_path = NULL;
	if (components_of(folder) >= LIMIT_READ_DEPTH)
		return err_set(err, ERR_LIMIT, "folders are nested deeper than %u",
			       LIMIT_READ_DEPTH);
	if (asprintf(out_path, "%s/%.*s", strcmp(folder, "/") == 0 ? "" : folder, (int)name->len,
		     (const char *)name->p) < 0) {
		*out_path = NULL;
		return err_nomem(err);
	}
	return 0;
}

char *browse_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return strdup("/");
	return strndup(path, (size_t)(slash - path));
}

char *browse_tidy(const char *sub)
{
	char *path = malloc((sub ? strlen(sub) : 0) + 2), *out = path;

	if (!path)
		return NULL;
	while (sub && *(sub += strspn(sub, "/"))) {
		size_t len = strcspn(sub, "/");

		*out++ = '/';
		memcpy(out, sub, len);
		out += len;
		sub += len;
	}
	if (out == path)
		*out++ = '/';
	*out = '\0';
	return path;
}

/* --- dump --- */

struct dump {
	content_bytes_fn *fn;
	void *arg;
	struct content_spread spread;
	uint64_t at; /* how much was given out */
};

struct dumping {
	struct reader *reader;
	const char *path;
	content_bytes_fn *fn;
	void *arg;
};

static int dump_zeros(struct dump *d, uint64_t until, struct err *err)
{
	static const uint8_t zeros[65536];
	int r = 0;

	while (!r && d->at < until) {
		uint64_t left = until - d->at;
		size_t take = left < sizeof(zeros) ? (size_t)left : sizeof(zeros);

		r = d->fn(d->arg, zeros, take, err);
		d->at += take;
	}
	return r;
}

static int dump_bytes(void *arg, const void *bytes, size_t len, struct err *err)
{
	struct dump *d = arg;
	const uint8_t *p = bytes;
	int r = 0;

	while (!r && len) {
		uint64_t offset;
		size_t take = content_spread_next(&d->spread, len, &offset);

		r = dump_zeros(d, offset, err);
		if (!r)
			r = d->fn(d->arg, p, take, err);
		d->at += take;
		p += take;
		len -= take;
	}
	return r;
}

int browse_content(struct reader *reader, const struct entry *entry,
		   const struct chunk_ref *children, content_bytes_fn *fn, void *arg,
		   struct err *err)
{
	struct dump d = {.fn = fn, .arg = arg, .spread.entry = entry};
	int r = content_each(reader, entry, children, dump_bytes, &d, err);

	return r ? r : dump_zeros(&d, entry->size, err);
}

static int dump_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
		      struct err *err)
{
	const struct dumping *d = arg;

	if (e->type != ENTRY_FILE)
		return err_set(err, ERR_USAGE, "%s: is not a file in this backup", d->path);
	return browse_content(d->reader, e, children, d->fn, d->arg, err);
}

int browse_dump(struct reader *reader, const struct manifest *m, const char *path,
		content_bytes_fn *fn, void *arg, struct err *err)
{
	struct dumping d = {reader, path, fn, arg};

	return tree_lookup(reader, &m->root, path, dump_entry, &d, err);
}

/* --- listing --- */

struct listing {
	struct reader *reader;
	const char *path; /* of the folder */
	browse_list_fn *fn;
	void *arg;
};

static int list_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
		      struct err *err)
{
	const struct listing *l = arg;
	char *path = NULL;
	int r = browse_join(l->path, &e->name, &path, err);
	struct listing below = {l->reader, path, l->fn, l->arg};

	if (!r)
		r = l->fn(l->arg, path, e, err);
	if (!r && e->type == ENTRY_DIR)
		r = tree_each(l->reader, &children[0].id, list_entry, &below, err);
	free(path);
	return r;
}

int browse_list(struct reader *reader, const struct manifest *m, const char *sub,
		browse_list_fn *fn, void *arg, struct err *err)
{
	char *tidy = browse_tidy(sub);
	char *folder = tidy ? browse_folder_of(tidy) : NULL;
	struct listing l = {reader, folder, fn, arg};
	int r;

	if (!folder)
		r = err_nomem(err);
	else if (strcmp(tidy, "/") == 0)
		r = tree_each(reader, &m->root, list_entry, &l, err);
	else
		r = tree_lookup(reader, &m->root, tidy, list_entry, &l, err);
	free(tidy);
	free(folder);
	return r;
}
