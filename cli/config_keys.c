#include "cli/config_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/parity_word.h"
#include "cli/ping.h"
#include "cli/text.h"
#include "cli/transfers.h"

#define MOST_NUMBER 36500u

const char *const config_section_names[CONFIG_SECTION_KINDS] = {
    [SECTION_REPOSITORY] = "repository",
    [SECTION_SOURCE] = "source",
    [SECTION_RETENTION] = "retention",
    [SECTION_CHECKS] = "checks",
    [SECTION_HOOKS] = "hooks",
    [SECTION_METRICS] = "metrics",
    [SECTION_PING] = "ping",
};

#define REPOSITORY(member) offsetof(struct config_repository, member)
#define SOURCE(member) offsetof(struct config_source, member)
#define RETENTION(member) offsetof(struct config_retention, member)
#define CHECKS(member) offsetof(struct config_checks, member)
#define HOOKS(member) offsetof(struct config_hooks, member)
#define PING(member) offsetof(struct config_ping, member)

const struct config_key config_keys[] = {
    {SECTION_REPOSITORY, "location", CONFIG_TEXT, REPOSITORY(location)},
    {SECTION_REPOSITORY, "password-file", CONFIG_PATH, REPOSITORY(password_file)},
    {SECTION_REPOSITORY, "password-command", CONFIG_TEXT, REPOSITORY(password_command)},
    {SECTION_REPOSITORY, "key-file", CONFIG_PATH, REPOSITORY(key_file)},
    {SECTION_REPOSITORY, "limit-upload", CONFIG_RATE, REPOSITORY(limit_upload)},
    {SECTION_REPOSITORY, "limit-download", CONFIG_RATE, REPOSITORY(limit_download)},
    {SECTION_REPOSITORY, "option", CONFIG_WAYS, REPOSITORY(extended)},
    {SECTION_REPOSITORY, "cacert", CONFIG_PATH, REPOSITORY(cacert)},
    {SECTION_REPOSITORY, "rest-username", CONFIG_TEXT, REPOSITORY(rest_username)},
    {SECTION_REPOSITORY, "rest-password-file", CONFIG_PATH, REPOSITORY(rest_password_file)},
    {SECTION_REPOSITORY, "append-only", CONFIG_BOOL, REPOSITORY(append_only)},
    {SECTION_REPOSITORY, "parity", CONFIG_PARITY, REPOSITORY(parity)},

    {SECTION_SOURCE, "path", CONFIG_PATHS, SOURCE(paths)},
    {SECTION_SOURCE, "exclude", CONFIG_WORDS, SOURCE(words)},
    {SECTION_SOURCE, "exclude-file", CONFIG_WORD_PATHS, SOURCE(words)},
    {SECTION_SOURCE, "exclude-if-present", CONFIG_WORDS, SOURCE(words)},
    {SECTION_SOURCE, "exclude-larger-than", CONFIG_WORD, SOURCE(words)},
    {SECTION_SOURCE, "one-file-system", CONFIG_WORD_FLAG, SOURCE(words)},
    {SECTION_SOURCE, "no-delta-cache", CONFIG_WORD_FLAG, SOURCE(words)},
    {SECTION_SOURCE, "tag", CONFIG_WORDS, SOURCE(words)},
    {SECTION_SOURCE, "host", CONFIG_WORD, SOURCE(words)},
    {SECTION_SOURCE, "refs", CONFIG_WORD_SQL, SOURCE(words)},
    {SECTION_SOURCE, "immutable", CONFIG_WORD_PATHS, SOURCE(words)},
    {SECTION_SOURCE, "assert", CONFIG_WORD_SQL, SOURCE(drill)},
    {SECTION_SOURCE, "before", CONFIG_SCRIPT, SOURCE(hooks.before)},
    {SECTION_SOURCE, "after", CONFIG_SCRIPT, SOURCE(hooks.after)},
    {SECTION_SOURCE, "failed", CONFIG_SCRIPT, SOURCE(hooks.failed)},
    {SECTION_SOURCE, "time-limit", CONFIG_SPAN, SOURCE(hooks.time_limit_s)},

    {SECTION_RETENTION, "keep-last", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "keep-hourly", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "keep-daily", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "keep-weekly", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "keep-monthly", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "keep-yearly", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "keep-within", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "keep-within-hourly", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "keep-within-daily", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "keep-within-weekly", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "keep-within-monthly", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "keep-within-yearly", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "keep-tag", CONFIG_WORDS, RETENTION(forget)},
    {SECTION_RETENTION, "group-by", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "min-age", CONFIG_WORD, RETENTION(forget)},
    {SECTION_RETENTION, "prune", CONFIG_BOOL, RETENTION(run_prune)},
    {SECTION_RETENTION, "max-unused", CONFIG_WORD, RETENTION(prune)},
    {SECTION_RETENTION, "max-repack-size", CONFIG_WORD, RETENTION(prune)},
    {SECTION_RETENTION, "grace", CONFIG_WORD, RETENTION(prune)},

    {SECTION_CHECKS, "read-data-days", CONFIG_NUMBER, CHECKS(read_data_days)},
    {SECTION_CHECKS, "drill-days", CONFIG_NUMBER, CHECKS(drill_days)},
    {SECTION_CHECKS, "assert", CONFIG_WORD_SQL, CHECKS(drill)},
    {SECTION_CHECKS, "integrity", CONFIG_FULL, CHECKS(integrity_full)},
    {SECTION_CHECKS, "off", CONFIG_BOOL, CHECKS(off)},

    {SECTION_HOOKS, "before", CONFIG_SCRIPT, HOOKS(before)},
    {SECTION_HOOKS, "after", CONFIG_SCRIPT, HOOKS(after)},
    {SECTION_HOOKS, "failed", CONFIG_SCRIPT, HOOKS(failed)},
    {SECTION_HOOKS, "time-limit", CONFIG_SPAN, HOOKS(time_limit_s)},

    {SECTION_METRICS, "textfile", CONFIG_PROM, 0},

    {SECTION_PING, "url", CONFIG_URL, PING(url)},
    {SECTION_PING, "url-file", CONFIG_PATH, PING(url_file)},
    {SECTION_PING, "timeout", CONFIG_SPAN, PING(timeout_s)},
};
const size_t config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);

bool config_kind_repeats(enum config_kind kind)
{
	return kind == CONFIG_PATHS || kind == CONFIG_WORDS || kind == CONFIG_WORD_PATHS ||
	       kind == CONFIG_WORD_SQL || kind == CONFIG_WAYS;
}

bool config_kind_goes_on(enum config_kind kind)
{
	return kind == CONFIG_SCRIPT || config_kind_repeats(kind);
}

/* --- what a value must be --- */

static int need_path(const char *value, struct err *err)
{
	return value[0] == '/'
		   ? 0
		   : err_set(err, ERR_USAGE, "needs a path that begins with '/', not '%s'", value);
}

static int need_bool(const char *value, const char *yes, const char *no, bool *out, struct err *err)
{
	*out = strcmp(value, yes) == 0;
	if (*out || strcmp(value, no) == 0)
		return 0;
	return err_set(err, ERR_USAGE, "is %s or %s, not '%s'", yes, no, value);
}

static int need_number(const char *value, uint64_t *out, struct err *err)
{
	char *end = NULL;

	errno = 0;
	*out = strtoull(value, &end, 10);
	if (value[0] >= '0' && value[0] <= '9' && !*end && !errno && *out >= 1 &&
	    *out <= MOST_NUMBER)
		return 0;
	return err_set(err, ERR_USAGE, "needs a number from 1 to %u, not '%s'", MOST_NUMBER, value);
}

static int need_rate(const char *value, struct option_number *out, struct err *err)
{
	size_t len = strlen(value);

	*out = (struct option_number){.given = true};
	if (len > 0 && len < 19 && strspn(value, "0123456789") == len)
		out->value = strtoull(value, NULL, 10);
	else
		out->value = TRANSFERS_MOST_KIB + 1;
	if (out->value <= TRANSFERS_MOST_KIB)
		return 0;
	return err_set(err, ERR_USAGE, "needs a number of KiB a second, 0 for no limit, not '%s'",
		       value);
}

static int put_way(const char *value, struct lines *ways, struct err *err)
{
	int r = transfers_judge(value, err);

	/* "-o …": the name is said in the file's way. */
	if (r == -ERR_USAGE && strncmp(err->text, "-o ", 3) == 0)
		memmove(err->text, err->text + 3, strlen(err->text + 3) + 1);
	if (!r && ways->count == OPTION_WORDS_MOST)
		r = err_set(err, ERR_USAGE, "comes %d times at most", OPTION_WORDS_MOST);
	return r ? r : lines_add(ways, value, err);
}

static int need_span(const char *value, int64_t *out, struct err *err)
{
	if (text_span_parse(value, out) && *out > 0)
		return 0;
	return err_set(err, ERR_USAGE, "needs a time as 90s, 15m, 36h or 2d, not '%s'", value);
}

/* node_exporter reads no others. */
static int need_prom(const char *value, struct err *err)
{
	size_t len = strlen(value);
	int r = need_path(value, err);

	if (r || (len > 6 && strcmp(value + len - 5, ".prom") == 0 && value[len - 6] != '/'))
		return r;
	return err_set(err, ERR_USAGE,
		       "needs a name that ends with .prom, or node_exporter does not read it; "
		       "not '%s'",
		       value);
}

static int need_parity(const char *value, struct err *err)
{
	static const char option[] = "--parity";
	int r = parity_word_check(value, err);

	/* The name is said in the file's way. */
	if (r == -ERR_USAGE && strncmp(err->text, option, sizeof(option) - 1) == 0)
		memmove(err->text, err->text + sizeof(option) - 1,
			strlen(err->text + sizeof(option) - 1) + 1);
	return r;
}

/* The command whose option the key is. */
static const char *command_of(const struct config_key *key)
{
	if (key->section == SECTION_RETENTION)
		return key->offset == RETENTION(prune) ? "prune" : "forget";
	return key->section == SECTION_SOURCE && key->offset == SOURCE(words) ? "backup" : "drill";
}

/* Asks the command itself, with what it needs besides, so that one place knows what a value may be. */
static int try_word(const struct config_key *key, const char *word, struct err *err)
{
	struct lines words = {0};
	size_t name = strlen(key->name) + 2; /* "--name" */
	const char *command = command_of(key);
	int r = lines_add(&words, command, err);

	if (!r && strcmp(command, "forget") == 0)
		r = lines_add(&words, "--keep-last=1", err);
	if (!r)
		r = lines_add(&words, word, err);
	if (!r) {
		r = command_try((int)words.count, words.items, err);
		/* "--name: …": the name is said in the file's way. */
		if (r == -ERR_USAGE && strncmp(err->text, word, name) == 0)
			memmove(err->text, err->text + name, strlen(err->text + name) + 1);
		else if (r == -ERR_USAGE)
			(void)err_prefix(err, "%s", "");
	}
	lines_free(&words);
	return r;
}

/* --- where it goes --- */

static int put_text(char **member, const char *value, const char *between, struct err *err)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", *member ? *member : "", *member ? between : "", value) < 0)
		return err_nomem(err);
	free(*member);
	*member = joined;
	return 0;
}

static int put_word(const struct config_key *key, struct lines *words, const char *value,
		    struct err *err)
{
	char *word;
	int r = 0;

	if (asprintf(&word, "--%s%s%s", key->name, value ? "=" : "", value ? value : "") < 0)
		return err_nomem(err);
	/* A query may go on in the next line. */
	if (key->kind != CONFIG_WORD_SQL)
		r = try_word(key, word, err);
	if (!r)
		r = lines_add(words, word, err);
	free(word);
	return r;
}

/* To the word that came last, which is this key's. */
static int put_more(struct lines *words, const char *value, struct err *err)
{
	char *joined;
	int r;

	if (asprintf(&joined, "%s %s", words->items[words->count - 1], value) < 0)
		return err_nomem(err);
	words->count--; /* its text stays in the lines until they are freed */
	r = lines_add(words, joined, err);
	free(joined);
	return r;
}

static int set_word(const struct config_key *key, struct lines *words, const char *value, bool more,
		    struct err *err)
{
	bool yes = true;
	int r = 0;

	if (key->kind == CONFIG_WORD_PATHS)
		r = need_path(value, err);
	else if (key->kind == CONFIG_WORD_FLAG)
		r = need_bool(value, "yes", "no", &yes, err);
	if (r || !yes)
		return r;
	if (key->kind == CONFIG_WORD_SQL && more && words->count)
		return put_more(words, value, err);
	return put_word(key, words, key->kind == CONFIG_WORD_FLAG ? NULL : value, err);
}

int config_key_close(const struct config_key *key, const void *section, struct err *err)
{
	const struct lines *words = (const void *)((const char *)section + key->offset);

	return key->kind == CONFIG_WORD_SQL ? try_word(key, words->items[words->count - 1], err)
					    : 0;
}

int config_key_set(const struct config_key *key, void *section, const char *value, bool more,
		   struct err *err)
{
	void *member = (char *)section + key->offset;
	int r;

	switch (key->kind) {
	case CONFIG_TEXT:
	case CONFIG_SCRIPT:
		return put_text(member, value, "\n", err);
	case CONFIG_PATH:
		r = need_path(value, err);
		return r ? r : put_text(member, value, "", err);
	case CONFIG_PROM:
		r = need_prom(value, err);
		return r ? r : put_text(member, value, "", err);
	case CONFIG_PARITY:
		r = need_parity(value, err);
		return r ? r : put_text(member, value, "", err);
	case CONFIG_URL:
		r = ping_url_judge(value, err);
		return r ? r : put_text(member, value, "", err);
	case CONFIG_PATHS:
		r = need_path(value, err);
		return r ? r : lines_add(member, value, err);
	case CONFIG_BOOL:
		return need_bool(value, "yes", "no", member, err);
	case CONFIG_FULL:
		return need_bool(value, "full", "due", member, err);
	case CONFIG_NUMBER:
		return need_number(value, member, err);
	case CONFIG_SPAN:
		return need_span(value, member, err);
	case CONFIG_RATE:
		return need_rate(value, member, err);
	case CONFIG_WAYS:
		return put_way(value, member, err);
	case CONFIG_WORD:
	case CONFIG_WORDS:
	case CONFIG_WORD_PATHS:
	case CONFIG_WORD_SQL:
	case CONFIG_WORD_FLAG:
		break;
	}
	return set_word(key, member, value, more, err);
}
