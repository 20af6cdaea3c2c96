/* What a configuration asks for, in the words that one could type. */
#include "cli/night.h"

#include <stdio.h>
#include <string.h>

#include "cli/session.h"

static const char *const names[] = {
    [NIGHT_BACKUP] = "backup", [NIGHT_FORGET] = "forget", [NIGHT_PRUNE] = "prune",
    [NIGHT_CHECK] = "check",   [NIGHT_DRILL] = "drill",
};

const char *night_command_name(enum night_command command)
{
	return names[command];
}

bool night_asks(const struct night *night, enum night_command command)
{
	const struct config *c = night->config;

	switch (command) {
	case NIGHT_BACKUP:
		return c->source_count > 0;
	case NIGHT_FORGET:
		return c->retention.forget.count > 0;
	case NIGHT_PRUNE:
		return c->retention.run_prune;
	case NIGHT_CHECK:
		return !c->checks.off && !night->dry_run;
	case NIGHT_DRILL:
		break;
	}
	return c->checks.drill_days > 0 && !night->dry_run;
}

static int add_all(struct lines *out, const struct lines *from, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < from->count; i++)
		r = lines_add(out, from->items[i], err);
	return r;
}

static int add_read_data(struct lines *out, uint64_t days, struct err *err)
{
	char word[64];

	(void)snprintf(word, sizeof(word), "--read-data-days=%llu", (unsigned long long)days);
	return lines_add(out, word, err);
}

static int add_backup(const struct night *night, const struct config_source *source,
		      struct lines *out, struct err *err)
{
	int r = add_all(out, &source->words, err);

	if (!r && night->config->checks.integrity_full)
		r = lines_add(out, "--integrity=full", err);
	if (!r && night->dry_run)
		r = lines_add(out, "--dry-run", err);
	if (!r)
		r = lines_add(out, "--", err);
	return r ? r : add_all(out, &source->paths, err);
}

/*
 * Whose backups a night may forget: those of the hosts that it backs up as. Others that share the repository have policies of their own. A night
 * without sources looks after the whole repository.
 */
static int add_hosts(const struct night *night, struct lines *out, struct err *err)
{
	const struct config *c = night->config;
	char host[256], word[sizeof(host) + 8];
	int r = 0;

	for (size_t i = 0; !r && i < c->source_count; i++) {
		const struct lines *words = &c->sources[i].words;
		const char *said = NULL;

		for (size_t k = 0; k < words->count; k++) {
			if (strncmp(words->items[k], "--host=", 7) == 0)
				said = words->items[k] + 7;
		}
		r = session_host(said, host, err);
		(void)snprintf(word, sizeof(word), "--host=%s", host);
		if (!r)
			r = lines_add(out, word, err);
	}
	return r;
}

static int add_forget(const struct night *night, struct lines *out, struct err *err)
{
	int r = add_all(out, &night->config->retention.forget, err);

	return r ? r : add_hosts(night, out, err);
}

int night_words(const struct night *night, enum night_command command,
		const struct config_source *source, const char *manifest, bool full,
		struct lines *out_words, struct err *err)
{
	const struct config *c = night->config;
	int r = lines_add(out_words, names[command], err);

	switch (command) {
	case NIGHT_BACKUP:
		return r ? r : add_backup(night, source, out_words, err);
	case NIGHT_FORGET:
	case NIGHT_PRUNE:
		if (!r)
			r = command == NIGHT_FORGET ? add_forget(night, out_words, err)
						    : add_all(out_words, &c->retention.prune, err);
		/* What is moved needs room before it gives any. */
		if (!r && command == NIGHT_PRUNE && full)
			r = lines_add(out_words, "--max-repack-size=0", err);
		return !r && night->dry_run ? lines_add(out_words, "--dry-run", err) : r;
	case NIGHT_CHECK:
		if (!r && c->checks.read_data_days)
			r = add_read_data(out_words, c->checks.read_data_days, err);
		return r;
	case NIGHT_DRILL:
		break;
	}
	if (!r)
		r = add_all(out_words, &c->checks.drill, err);
	if (!r && source)
		r = add_all(out_words, &source->drill, err);
	return !r && manifest ? lines_add(out_words, manifest, err) : r;
}

static int try_one(const struct night *night, enum night_command command,
		   const struct config_source *source, struct err *err)
{
	struct lines words = {0};
	int r = night_words(night, command, source, NULL, false, &words, err);

	if (!r)
		r = command_try((int)words.count, words.items, err);
	lines_free(&words);
	return r;
}

int night_words_try(const struct night *night, const char *file, struct err *err)
{
	const struct config *c = night->config;
	int r = 0;

	for (size_t i = 0; !r && i < c->source_count; i++) {
		r = try_one(night, NIGHT_BACKUP, &c->sources[i], err);
		if (r)
			return err_prefix(err, "%s:%u: source '%s'", file, c->sources[i].line,
					  c->sources[i].name);
	}
	for (int command = NIGHT_FORGET; !r && command <= NIGHT_DRILL; command++) {
		if (!night_asks(night, (enum night_command)command))
			continue;
		r = try_one(night, (enum night_command)command, NULL, err);
		if (r)
			err_prefix(err, "%s: what [%s] asks for", file,
				   command <= NIGHT_PRUNE ? "retention" : "checks");
	}
	return r;
}
