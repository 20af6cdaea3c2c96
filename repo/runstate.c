#include "repo/runstate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "repo/statefile.h"

#define MOST_BYTES 65536u
#define NAME "status"
#define HEAD "nightjar status 1"
#define TAIL "end"

enum kind { KIND_TEXT, KIND_NUMBER };

static const struct {
	const char *name;
	enum kind kind;
	size_t offset, room;
} members[] = {
#define TEXT(member)                                                                               \
	{                                                                                          \
#member, KIND_TEXT, offsetof(struct runstate, member),                             \
		    sizeof(((struct runstate *)0)->member)                                         \
	}
#define NUMBER(member)                                                                             \
	{                                                                                          \
#member, KIND_NUMBER, offsetof(struct runstate, member), 0                         \
	}
    TEXT(repo),
    TEXT(location),
    TEXT(manifest),
    NUMBER(backup_at_s),
    NUMBER(backup_exit),
    NUMBER(backup_alarms),
    NUMBER(nightly_at_s),
    NUMBER(nightly_exit),
    NUMBER(nightly_alarms),
    NUMBER(nightly_good_at_s),
    NUMBER(nightly_clean_at_s),
    NUMBER(check_at_s),
    NUMBER(check_exit),
    NUMBER(drill_good_at_s),
};
#define MEMBERS (sizeof(members) / sizeof(members[0]))

/* --- as text --- */

static bool parse_number(const char *text, int64_t *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0';
}

/* What a newer nightjar keeps besides is not ours. */
static bool parse_line(const char *line, struct runstate *s)
{
	const char *space = strchr(line, ' ');

	if (!space)
		return false;
	for (size_t i = 0; i < MEMBERS; i++) {
		void *member = (char *)s + members[i].offset;
		size_t len = strlen(members[i].name);

		if (len != (size_t)(space - line) || memcmp(line, members[i].name, len) != 0)
			continue;
		if (members[i].kind == KIND_NUMBER)
			return parse_number(space + 1, member);
		if (strlen(space + 1) >= members[i].room)
			return false;
		memcpy(member, space + 1, strlen(space + 1) + 1);
	}
	return true;
}

static bool parse(char *text, const char *repo_hex, struct runstate *s)
{
	bool ok, ended = false;
	char *next = strchr(text, '\n');

	if (!next)
		return false;
	*next++ = '\0';
	ok = strcmp(text, HEAD) == 0;
	for (char *line = next; ok && *line; line = next) {
		next = strchr(line, '\n');
		if (!next || ended)
			return false;
		*next++ = '\0';
		ended = strcmp(line, TAIL) == 0;
		ok = ended || parse_line(line, s);
	}
	return ok && ended && strcmp(s->repo, repo_hex) == 0;
}

/* A name may hold a newline, a line may not. */
static void put_text(struct buf *b, const char *text)
{
	for (; *text; text++)
		buf_put_u8(b, (uint8_t)((unsigned char)*text < 0x20 ? '?' : *text));
}

static void put(struct buf *b, const struct runstate *s)
{
	char number[32];

	put_text(b, HEAD);
	for (size_t i = 0; i < MEMBERS; i++) {
		const void *member = (const char *)s + members[i].offset;

		buf_put_u8(b, '\n');
		put_text(b, members[i].name);
		buf_put_u8(b, ' ');
		if (members[i].kind == KIND_NUMBER)
			(void)snprintf(number, sizeof(number), "%" PRId64,
				       *(const int64_t *)member);
		put_text(b, members[i].kind == KIND_NUMBER ? number : member);
	}
	buf_put_u8(b, '\n');
	put_text(b, TAIL);
	buf_put_u8(b, '\n');
}

/* --- as a file --- */

void runstate_id(const uint8_t repo[REPO_ID_BYTES], char out[RUNSTATE_ID_CHARS + 1])
{
	(void)sodium_bin2hex(out, RUNSTATE_ID_CHARS + 1, repo, REPO_ID_BYTES);
}

static bool is_id(const char *name)
{
	return strlen(name) == RUNSTATE_ID_CHARS &&
	       strspn(name, "0123456789abcdef") == RUNSTATE_ID_CHARS;
}

static int read_id(const char *hex, uint8_t out[REPO_ID_BYTES], struct err *err)
{
	if (is_id(hex) &&
	    sodium_hex2bin(out, REPO_ID_BYTES, hex, RUNSTATE_ID_CHARS, NULL, NULL, NULL) == 0)
		return 0;
	return err_set(err, ERR_USAGE, "'%.40s' is no repository's id", hex);
}

/* Reading tells one that is there and holds nothing no other than one that is not. */
static bool is_empty_file(const char *state_dir, const char *repo_hex)
{
	struct stat st;
	char *path;
	bool there;

	if (asprintf(&path, "%s/%s/" NAME, state_dir, repo_hex) < 0)
		return false;
	there = lstat(path, &st) == 0;
	free(path);
	return there;
}

/* text: as it was read, not empty. */
static int take(struct buf *text, const char *state_dir, const uint8_t repo[REPO_ID_BYTES],
		const char *repo_hex, struct runstate *out_state, struct err *err)
{
	struct runstate s = {0};
	bool whole = !memchr(text->data, '\0', text->len);

	buf_put_u8(text, '\0');
	if (buf_check(text, err))
		return -err->code;
	if (!whole || !parse((char *)text->data, repo_hex, &s))
		return statefile_damaged(state_dir, repo, NAME,
					 "damaged; the next backup writes it anew", err);
	*out_state = s;
	return 1;
}

int runstate_load(const char *state_dir, const char *repo_hex, struct runstate *out_state,
		  struct err *err)
{
	uint8_t repo[REPO_ID_BYTES];
	struct buf text = {0};
	int r = read_id(repo_hex, repo, err);

	*out_state = (struct runstate){0};
	if (r)
		return r;
	memcpy(out_state->repo, repo_hex, sizeof(out_state->repo));
	r = statefile_read(state_dir, repo, NAME, MOST_BYTES, &text, err);
	if (r == -ERR_LIMIT)
		r = statefile_damaged(state_dir, repo, NAME,
				      "damaged; the next backup writes it anew", err);
	if (!r && text.len)
		r = take(&text, state_dir, repo, repo_hex, out_state, err);
	else if (!r)
		r = is_empty_file(state_dir, repo_hex)
			? statefile_damaged(state_dir, repo, NAME,
					    "damaged; the next backup writes it anew", err)
			: 0;
	buf_free(&text);
	return r;
}

int runstate_update(const char *state_dir, const char *repo_hex,
		    void (*change)(void *arg, struct runstate *state), void *arg, struct err *err)
{
	struct runstate s;
	struct buf text = {0};
	struct err why = {0};
	uint8_t repo[REPO_ID_BYTES];
	int fd = -1, r = read_id(repo_hex, repo, err);

	if (!r)
		r = statefile_lock(state_dir, repo, &fd, err);
	if (r)
		return r;
	r = runstate_load(state_dir, repo_hex, &s, &why);
	if (r == -ERR_NOMEM) {
		*err = why;
	} else {
		change(arg, &s);
		put(&text, &s);
		r = buf_check(&text, err);
		if (!r)
			r = statefile_write(state_dir, repo, NAME, text.data, text.len, err);
	}
	buf_free(&text);
	(void)close(fd);
	return r;
}

/* --- all of them --- */

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int gather(DIR *dir, const char *state_dir, char (**ids)[RUNSTATE_ID_CHARS + 1],
		  size_t *count, struct err *err)
{
	const struct dirent *e;
	char below[2 * RUNSTATE_ID_CHARS];
	struct stat st;

	while (errno = 0, (e = readdir(dir)) != NULL) {
		char(*grown)[RUNSTATE_ID_CHARS + 1];

		if (!is_id(e->d_name))
			continue;
		(void)snprintf(below, sizeof(below), "%.*s/" NAME, (int)RUNSTATE_ID_CHARS,
			       e->d_name);
		if (fstatat(dirfd(dir), below, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		grown = realloc(*ids, (*count + 1) * sizeof(**ids));
		if (!grown)
			return err_nomem(err);
		*ids = grown;
		memcpy(grown[(*count)++], e->d_name, RUNSTATE_ID_CHARS + 1);
	}
	return errno ? err_sys(err, errno, "%s", state_dir) : 0;
}

int runstate_list(const char *state_dir, char (**out_ids)[RUNSTATE_ID_CHARS + 1], size_t *out_count,
		  struct err *err)
{
	DIR *dir = opendir(state_dir);
	int r;

	*out_ids = NULL;
	*out_count = 0;
	if (!dir)
		return errno == ENOENT ? 0 : err_sys(err, errno, "%s", state_dir);
	r = gather(dir, state_dir, out_ids, out_count, err);
	(void)closedir(dir);
	if (r) {
		free(*out_ids);
		*out_ids = NULL;
		*out_count = 0;
	} else if (*out_count) {
		qsort(*out_ids, *out_count, sizeof(**out_ids), compare);
	}
	return r;
}
