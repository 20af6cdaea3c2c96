#include "cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIST_BYTES ((size_t)1 << 30)
#define READ_BYTES 65536u

void lines_free(struct lines *lines)
{
	for (size_t i = 0; i < lines->text_count; i++)
		free(lines->texts[i]);
	free(lines->texts);
	free(lines->items);
	*lines = (struct lines){0};
}

/* Room for one more at powers of two. */
static int grow(char ***array, size_t count, struct err *err)
{
	char **grown;

	if (count & (count - 1))
		return 0;
	grown = realloc(*array, (count ? 2 * count : 1) * sizeof(*grown));
	if (!grown)
		return err_nomem(err);
	*array = grown;
	return 0;
}

static int keep_text(struct lines *lines, char *text, struct err *err)
{
	int r = grow(&lines->texts, lines->text_count, err);

	if (r)
		free(text);
	else
		lines->texts[lines->text_count++] = text;
	return r;
}

static int add_item(struct lines *lines, char *item, struct err *err)
{
	int r = grow(&lines->items, lines->count, err);

	if (!r)
		lines->items[lines->count++] = item;
	return r;
}

int lines_add(struct lines *lines, const char *item, struct err *err)
{
	char *copy = strdup(item);
	int r = copy ? keep_text(lines, copy, err) : err_nomem(err);

	return r ? r : add_item(lines, copy, err);
}

int lines_add_parts(struct lines *lines, const char *text, char separator, struct err *err)
{
	char *copy = strdup(text);
	int r = copy ? keep_text(lines, copy, err) : err_nomem(err);

	for (char *part = copy, *next; !r && part; part = next) {
		next = strchr(part, separator);
		if (next)
			*next++ = '\0';
		if (*part)
			r = add_item(lines, part, err);
	}
	return r;
}

static char *trimmed(char *line)
{
	static const char white[] = " \t\r\v\f";
	size_t len;

	line += strspn(line, white);
	for (len = strlen(line); len && strchr(white, line[len - 1]); len--)
		line[len - 1] = '\0';
	return line;
}

/* A CR before the newline belongs to it also where the rest of a line is taken as it is. */
static void cut_cr(char *line)
{
	size_t len = strlen(line);

	if (len && line[len - 1] == '\r')
		line[len - 1] = '\0';
}

static int split_lines(struct lines *lines, char *text, enum lines_kind kind, struct err *err)
{
	int r = 0;

	for (char *line = text, *next; !r && line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (kind == LINES_TRIMMED)
			line = trimmed(line);
		else
			cut_cr(line);
		if (*line && !(kind == LINES_TRIMMED && *line == '#'))
			r = add_item(lines, line, err);
	}
	return r;
}

static int split_raw(struct lines *lines, char *text, size_t len, const char *from, struct err *err)
{
	int r = 0;

	if (len && text[len - 1] != '\0')
		return err_set(err, ERR_USAGE,
			       "%s: its last path has no zero byte behind it: cut short?", from);
	for (size_t at = 0; !r && at < len; at += strlen(text + at) + 1) {
		if (text[at] == '\0')
			return err_set(err, ERR_USAGE, "%s: holds an empty path", from);
		r = add_item(lines, text + at, err);
	}
	return r;
}

int lines_split(struct lines *lines, char *text, size_t len, enum lines_kind kind, const char *from,
		struct err *err)
{
	char *ended = realloc(text, len + 1);
	int r;

	if (!ended) {
		free(text);
		return err_nomem(err);
	}
	ended[len] = '\0';
	r = keep_text(lines, ended, err);
	if (r)
		return r;
	if (kind == LINES_RAW)
		return split_raw(lines, ended, len, from, err);
	if (strlen(ended) != len)
		return err_set(err, ERR_USAGE, "%s: holds a zero byte and is no list of lines",
			       from);
	return split_lines(lines, ended, kind, err);
}

static int read_all(int fd, const char *path, char **out_text, size_t *out_len, struct err *err)
{
	char *text = NULL, *grown;
	size_t len = 0, room = 0;

	for (;;) {
		ssize_t got;

		if (len == room) {
			room = room ? 2 * room : READ_BYTES;
			grown = room <= LIST_BYTES ? realloc(text, room) : NULL;
			if (!grown) {
				free(text);
				return room <= LIST_BYTES
					   ? err_nomem(err)
					   : err_set(err, ERR_LIMIT, "%s: is too long", path);
			}
			text = grown;
		}
		got = read(fd, text + len, room - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			free(text);
			return err_sys(err, errno, "%s", path);
		}
		if (got == 0)
			break;
		len += (size_t)got;
	}
	*out_text = text;
	*out_len = len;
	return 0;
}

int lines_read(struct lines *lines, const char *path, enum lines_kind kind, struct err *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int r, fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	const char *from = is_stdin ? "standard input" : path;
	char *text = NULL;
	size_t len = 0;

	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	r = read_all(fd, from, &text, &len, err);
	if (!is_stdin)
		(void)close(fd);
	return r ? r : lines_split(lines, text, len, kind, from, err);
}

/* GLOB_PERIOD also finds "." and "..", which nobody means by "*". */
static bool is_dots(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int lines_expand(struct lines *lines, const char *pattern, struct err *err)
{
	glob_t found = {0};
	int count = 0, r = glob(pattern, GLOB_PERIOD, NULL, &found);

	if (r == GLOB_NOMATCH)
		return 0;
	if (r != 0)
		return r == GLOB_NOSPACE ? err_nomem(err)
					 : err_set(err, ERR_IO, "%s: cannot be read", pattern);
	for (size_t i = 0; r == 0 && i < found.gl_pathc; i++) {
		if (is_dots(found.gl_pathv[i]) && !is_dots(pattern))
			continue;
		r = lines_add(lines, found.gl_pathv[i], err);
		count++;
	}
	globfree(&found);
	return r ? r : count;
}
