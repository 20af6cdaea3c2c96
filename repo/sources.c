#include "repo/sources.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/limits.h"

void sources_free(struct sources *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->items[i].path);
		free(s->items[i].real);
	}
	for (size_t i = 0; i < s->nested_count; i++) {
		free(s->nested[i].path);
		free(s->nested[i].real);
	}
	free(s->items);
	free(s->nested);
	*s = (struct sources){0};
}

/* Takes out empty and "." components in place; says whether a ".." was met. */
static bool tidy(char *path)
{
	char *out = path;
	const char *in = path;
	bool dotdot = false;

	while (*in) {
		size_t len;

		in += strspn(in, "/");
		len = strcspn(in, "/");
		if (len == 2 && in[0] == '.' && in[1] == '.')
			dotdot = true;
		if (len && !(len == 1 && in[0] == '.')) {
			*out++ = '/';
			memmove(out, in, len);
			out += len;
		}
		in += len;
	}
	if (out == path)
		*out++ = '/';
	*out = '\0';
	return dotdot;
}

static char *absolute(const char *operand)
{
	char *cwd, *path = NULL;

	if (operand[0] == '/')
		return strdup(operand);
	cwd = getcwd(NULL, 0);
	if (cwd && asprintf(&path, "%s/%s", cwd, operand) < 0)
		path = NULL;
	free(cwd);
	return path;
}

static int missing(struct err *err, int errnum, const char *operand)
{
	if (errnum == ENOENT || errnum == ENOTDIR)
		return err_set(err, ERR_MISSING,
			       "%s: there is no such file or folder; nothing was stored", operand);
	return err_sys(err, errnum, "%s", operand);
}

static int resolve_one(const char *operand, struct source *out, struct err *err)
{
	struct stat st;

	if (!*operand)
		return err_set(err, ERR_USAGE, "an empty path cannot be backed up");
	out->path = absolute(operand);
	if (!out->path)
		return err_nomem(err);
	/* "a/.." is not "." when a is a symlink: only the kernel knows. */
	if (tidy(out->path)) {
		char *real = realpath(out->path, NULL);

		if (!real)
			return missing(err, errno, operand);
		free(out->path);
		out->path = real;
	}
	if (strlen(out->path) >= LIMIT_PATH_BYTES)
		return err_set(err, ERR_LIMIT, "%.80s…: the path is too long", operand);
	if (lstat(out->path, &st) != 0)
		return missing(err, errno, operand);
	out->real = S_ISLNK(st.st_mode) ? realpath(out->path, NULL) : strdup(out->path);
	if (!out->real)
		return missing(err, errno, operand);
	return 0;
}

/* '/' sorts lowest, so that a folder is followed directly by what lies below it. */
static int compare_sources(const void *a, const void *b)
{
	const unsigned char *x = (const unsigned char *)((const struct source *)a)->path;
	const unsigned char *y = (const unsigned char *)((const struct source *)b)->path;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	if (*x == *y)
		return 0;
	if (*x == '/' && *y)
		return -1;
	if (*y == '/' && *x)
		return 1;
	return *x < *y ? -1 : 1;
}

bool sources_lies_below(const char *path, const char *above)
{
	size_t len = strlen(above);

	if (strcmp(above, "/") == 0)
		return true;
	return strncmp(path, above, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static void part_nested(struct sources *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->count; i++) {
		if (kept && sources_lies_below(s->items[i].path, s->items[kept - 1].path)) {
			s->nested[s->nested_count++] = s->items[i];
		} else {
			s->items[kept++] = s->items[i];
		}
	}
	s->count = kept;
}

int sources_resolve(const char *const *operands, size_t count, struct sources *out_sources,
		    struct err *err)
{
	struct sources s = {0};
	int r = 0;

	if (count == 0 || count > LIMIT_SOURCES)
		return err_set(err, ERR_USAGE, count ? "too many paths" : "no path to back up");
	s.items = calloc(count, sizeof(*s.items));
	s.nested = calloc(count, sizeof(*s.nested));
	if (!s.items || !s.nested) {
		sources_free(&s);
		return err_nomem(err);
	}
	s.count = count;
	for (size_t i = 0; !r && i < count; i++)
		r = resolve_one(operands[i], &s.items[i], err);
	if (r) {
		sources_free(&s);
		return r;
	}
	qsort(s.items, s.count, sizeof(*s.items), compare_sources);
	part_nested(&s);
	*out_sources = s;
	return 0;
}
