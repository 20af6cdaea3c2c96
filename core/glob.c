#include "core/glob.h"

#include <string.h>

/* Bytes of one component, of a pattern or of a path. */
struct part {
	const char *p;
	size_t len;
};

/* Takes the next component off *rest. False at the end. Empty components ("a//b", "a/") are none. */
static bool next_part(const char **rest, struct part *out)
{
	const char *p = *rest;

	while (*p == '/')
		p++;
	out->p = p;
	out->len = strcspn(p, "/");
	*rest = p + out->len;
	return out->len > 0;
}

static bool is_any_depth(const struct part *pat)
{
	return pat->len == 2 && pat->p[0] == '*' && pat->p[1] == '*';
}

/* The byte at *i, which may be escaped; *i moves past it. False when the pattern ends in the middle. */
static bool class_byte(const struct part *pat, size_t *i, unsigned char *out)
{
	if (*i < pat->len && pat->p[*i] == '\\')
		(*i)++;
	if (*i >= pat->len)
		return false;
	*out = (unsigned char)pat->p[(*i)++];
	return true;
}

/*
 * The class whose '[' is at *i; *i moves past its ']'. *out_hit says whether c is in it. False when it
 * is not closed. As in the shell, a ']' that comes first and a '-' that comes last stand for themselves.
 */
static bool class_match(const struct part *pat, size_t *i, unsigned char c, bool *out_hit)
{
	bool negated = false, hit = false, first = true;
	unsigned char lo, hi;
	size_t at = *i + 1;

	if (at < pat->len && (pat->p[at] == '^' || pat->p[at] == '!')) {
		negated = true;
		at++;
	}
	for (; at < pat->len && (first || pat->p[at] != ']'); first = false) {
		if (!class_byte(pat, &at, &lo))
			return false;
		hi = lo;
		if (at + 1 < pat->len && pat->p[at] == '-' && pat->p[at + 1] != ']') {
			at++;
			if (!class_byte(pat, &at, &hi))
				return false;
		}
		hit = hit || (lo <= c && c <= hi);
	}
	if (at >= pat->len)
		return false;
	*i = at + 1;
	*out_hit = hit != negated;
	return true;
}

/* Whether the single-byte item at *i, anything but '*', takes c; *i moves past the item. */
static bool item_match(const struct part *pat, size_t *i, unsigned char c)
{
	bool hit = false;

	switch (pat->p[*i]) {
	case '?':
		(*i)++;
		return true;
	case '[':
		return class_match(pat, i, c, &hit) && hit;
	case '\\':
		(*i)++;
		if (*i >= pat->len)
			return false;
		break;
	default:
		break;
	}
	return (unsigned char)pat->p[(*i)++] == c;
}

/*
 * Going back to the last '*' only is enough: what an earlier one took can stay, since a later '*' can
 * take whatever the earlier one would have. So the work is at most pattern length × name length.
 */
static bool part_match(const struct part *pat, const struct part *name)
{
	size_t i = 0, n = 0, star_i = 0, star_n = 0;
	bool star = false;

	while (n < name->len || i < pat->len) {
		if (i < pat->len && pat->p[i] == '*') {
			star = true;
			star_i = ++i;
			star_n = n;
		} else if (i < pat->len && n < name->len &&
			   item_match(pat, &i, (unsigned char)name->p[n])) {
			n++;
		} else if (star && star_n < name->len) {
			i = star_i;
			n = ++star_n;
		} else {
			return false;
		}
	}
	return true;
}

static bool part_valid(const struct part *pat)
{
	bool hit;
	size_t i = 0;

	while (i < pat->len) {
		if (pat->p[i] == '[') {
			if (!class_match(pat, &i, 0, &hit))
				return false;
			continue;
		}
		if (pat->p[i] == '\\')
			i++;
		if (i >= pat->len)
			return false;
		i++;
	}
	return true;
}

int glob_validate(const char *pattern, struct err *err)
{
	const char *rest = pattern;
	struct part pat;

	if (pattern[0] == '\0')
		return err_set(err, ERR_USAGE, "an empty pattern matches nothing");
	while (next_part(&rest, &pat)) {
		if (!part_valid(&pat))
			return err_set(
			    err, ERR_USAGE,
			    "pattern '%s': a '[' without its ']' or a '\\' before nothing",
			    pattern);
	}
	return 0;
}

static bool used_up(const char *path)
{
	return path[strspn(path, "/")] == '\0';
}

/*
 * The same walk as part_match one level up: components instead of bytes, "**" instead of '*'. A pattern
 * that is used up has matched the path or a parent of it.
 */
static bool path_match(const char *pattern, const char *path, bool whole)
{
	const char *pat_rest = pattern, *path_rest = path;
	const char *star_pat = NULL, *star_path = NULL;
	struct part pat, name;

	if (pattern[0] != '/') {
		star_pat = pattern;
		star_path = path;
	}
	for (;;) {
		if (!next_part(&pat_rest, &pat)) {
			if (!whole || used_up(path_rest))
				return true;
		} else if (is_any_depth(&pat)) {
			star_pat = pat_rest;
			star_path = path_rest;
			continue;
		} else if (next_part(&path_rest, &name) && part_match(&pat, &name)) {
			continue;
		}
		if (!star_pat || !next_part(&star_path, &name))
			return false;
		pat_rest = star_pat;
		path_rest = star_path;
	}
}

bool glob_match(const char *pattern, const char *path)
{
	return path_match(pattern, path, false);
}

bool glob_match_whole(const char *pattern, const char *path)
{
	return path_match(pattern, path, true);
}

bool glob_may_match_below(const char *pattern, const char *path)
{
	struct part pat, name;

	if (pattern[0] != '/')
		return true;
	while (next_part(&path, &name)) {
		if (!next_part(&pattern, &pat) || is_any_depth(&pat))
			return true;
		if (!part_match(&pat, &name))
			return false;
	}
	return true;
}
