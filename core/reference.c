#include "core/reference.h"

#include <stdlib.h>
#include <string.h>

#include "core/limits.h"

static const char blanks[] = " \t\r\n";

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_word(char c)
{
	c = lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static bool begins_with_word(const char *text, const char *word)
{
	size_t i = 0;

	while (word[i] && lower(text[i]) == word[i])
		i++;
	return !word[i] && !is_word(text[i]);
}

static bool is_query(const char *text)
{
	return begins_with_word(text, "select") || begins_with_word(text, "with") ||
	       begins_with_word(text, "values");
}

int reference_split(const char *text, char **out_database, char **out_query, struct err *err)
{
	const char *name = text + strspn(text, blanks), *colon = strchr(name, ':'), *query;
	size_t len;

	*out_database = *out_query = NULL;
	while (colon && !is_query(colon + 1 + strspn(colon + 1, blanks)))
		colon = strchr(colon + 1, ':');
	if (!colon)
		return err_set(err, ERR_USAGE,
			       "a query is written 'DATABASE: SELECT …', not '%.200s'", text);
	len = (size_t)(colon - name);
	while (len > 0 && strchr(blanks, name[len - 1]))
		len--;
	query = colon + 1 + strspn(colon + 1, blanks);
	if (len == 0)
		return err_set(err, ERR_USAGE, "no database is named before ': %.100s'", query);
	if (len > LIMIT_REF_BYTES || strlen(query) > LIMIT_REF_BYTES)
		return err_set(err, ERR_USAGE, "a query has at most %u bytes", LIMIT_REF_BYTES);
	*out_database = strndup(name, len);
	*out_query = strdup(query);
	return *out_database && *out_query ? 0 : err_nomem(err);
}

bool reference_matches(const char *name, const char *path)
{
	size_t name_len = strlen(name), len = strlen(path);

	if (name_len == 0 || name_len > len || strcmp(path + len - name_len, name) != 0)
		return false;
	return name_len == len || (name[0] != '/' && path[len - name_len - 1] == '/');
}

/* --- paths --- */

/* Appends the components of p to out, which holds an absolute path of len bytes without '/' at the end ("" is "/"). */
static size_t add_components(char *out, size_t len, const char *p, size_t left)
{
	while (left) {
		const char *slash = memchr(p, '/', left);
		size_t take = slash ? (size_t)(slash - p) : left;

		if (take == 2 && p[0] == '.' && p[1] == '.') {
			while (len > 0 && out[--len] != '/')
				;
		} else if (take > 0 && !(take == 1 && p[0] == '.')) {
			out[len++] = '/';
			memcpy(out + len, p, take);
			len += take;
		}
		take += slash != NULL;
		p += take;
		left -= take;
	}
	return len;
}

char *reference_path(const char *db_path, const void *bytes, size_t len)
{
	const char *p = bytes, *zero = len ? memchr(p, '\0', len) : NULL;
	const char *slash = strrchr(db_path, '/');
	size_t folder = slash ? (size_t)(slash - db_path) : 0, at = 0;
	char *out;

	if (zero)
		len = (size_t)(zero - p);
	if (len > 0 && p[0] == '/')
		folder = 0;
	out = malloc(folder + len + 3);
	if (!out)
		return NULL;
	at = add_components(out, at, db_path, folder);
	at = add_components(out, at, p, len);
	if (at == 0)
		out[at++] = '/';
	out[at < LIMIT_PATH_BYTES ? at : LIMIT_PATH_BYTES] = '\0';
	return out;
}

/* --- hashes --- */

static int digit(char c)
{
	c = lower(c);
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool reference_sha256(const void *bytes, size_t len, uint8_t out_sha256[32])
{
	const char *p = bytes;

	if (len == 32)
		memcpy(out_sha256, bytes, 32);
	if (len != 64)
		return len == 32;
	for (size_t i = 0; i < 32; i++) {
		int high = digit(p[2 * i]), low = digit(p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out_sha256[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}
