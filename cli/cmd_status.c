#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "cli/paths.h"
#include "cli/rollback.h"
#include "cli/text.h"
#include "repo/witness.h"

#define MAX_AGE "26h"

struct status_words {
	const char *max_age;
	bool strict;
};

const struct option_spec cmd_status_options[] = {
    {"max-age", 0, OPTION_STRING, offsetof(struct status_words, max_age), "TIME",
     "how old the last backup may be: 90m, 26h, 2d [" MAX_AGE "]"},
    {"strict", 0, OPTION_FLAG, offsetof(struct status_words, strict), NULL,
     "exit code 1 also when the last night ended with 3: a source could not be read"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_status_options_bytes = sizeof(struct status_words);

/* One repository as this host remembers it. */
struct line {
	struct runstate state;
	bool fresh;
	char trouble[1024];      /* "" = all is well */
	struct sighting *newest; /* the newest backups that this host has seen of each writer */
	size_t newest_count;
	uint64_t vanished; /* what the last look at the repository missed */
};

struct status {
	struct line *lines;
	size_t count;
	int64_t now_s, max_age_s;
	bool strict;
};

/* Of a night only one that backed up every source counts. */
static int64_t good_at(const struct runstate *s)
{
	return s->nightly_at_s ? s->nightly_good_at_s : s->backup_at_s;
}

/* Of the last night, or without nights of the last backup. */
static enum exit_code ended_with(const struct runstate *s)
{
	return (enum exit_code)(s->nightly_at_s ? s->nightly_exit : s->backup_exit);
}

static uint64_t alarms_of(const struct runstate *s)
{
	return (uint64_t)(s->nightly_at_s ? s->nightly_alarms : s->backup_alarms);
}

/* "the last night ended with exit code 22 (referenced files are missing)" */
static void say_end(const struct runstate *s, char *out, size_t out_size)
{
	(void)snprintf(out, out_size, "the last %s ended with exit code %d (%s)",
		       s->nightly_at_s ? "night" : "backup", (int)ended_with(s),
		       exit_text(ended_with(s)));
}

static void judge_age(const struct status *st, struct line *line)
{
	const struct runstate *s = &line->state;
	int64_t age = st->now_s - good_at(s);
	char shown[TEXT_TIME_CHARS], most[TEXT_TIME_CHARS], end[256];

	line->fresh = good_at(s) && age <= st->max_age_s;
	if (line->fresh)
		return;
	text_age(age, shown);
	text_age(st->max_age_s, most);
	say_end(s, end, sizeof(end));
	if (!good_at(s))
		(void)snprintf(line->trouble, sizeof(line->trouble),
			       "no night has backed up every source yet; %s", end);
	else if (s->nightly_at_s && s->nightly_at_s != s->nightly_good_at_s)
		(void)snprintf(line->trouble, sizeof(line->trouble),
			       "the last whole backup is %s old, more than %s; %s", shown, most,
			       end);
	else
		(void)snprintf(line->trouble, sizeof(line->trouble),
			       "the last %s is %s old, more than %s",
			       s->nightly_at_s ? "night" : "backup", shown, most);
}

/* 3 leaves a backup that is good but for what it names; every other code is for somebody to look at. */
static void judge_end(const struct status *st, struct line *line)
{
	const struct runstate *s = &line->state;
	enum exit_code code = ended_with(s);
	uint64_t alarms = alarms_of(s);
	char age[TEXT_TIME_CHARS], end[256];

	text_age(st->now_s - good_at(s), age);
	say_end(s, end, sizeof(end));
	if (code != EXIT_OK && (code != EXIT_SOURCE || st->strict))
		(void)snprintf(line->trouble, sizeof(line->trouble),
			       "%s; its log says why; the last backup is %s old", end, age);
	else if (alarms)
		(void)snprintf(line->trouble, sizeof(line->trouble),
			       "the last %s raised an ALARM: %llu file%s of immutable folders "
			       "changed; its log names each",
			       s->nightly_at_s ? "night" : "backup", (unsigned long long)alarms,
			       text_plural(alarms));
}

static void judge(const struct status *st, struct line *line)
{
	if (!line->trouble[0] && line->vanished)
		(void)snprintf(line->trouble, sizeof(line->trouble),
			       "something has vanished from it that this host has seen; 'nightjar "
			       "check' names it");
	if (!line->trouble[0])
		judge_age(st, line);
	if (!line->trouble[0])
		judge_end(st, line);
}

/* --- which repositories --- */

static struct line *new_line(struct status *st, struct err *err)
{
	struct line *grown = realloc(st->lines, (st->count + 1) * sizeof(*grown));

	if (!grown) {
		(void)err_nomem(err);
		return NULL;
	}
	st->lines = grown;
	grown += st->count++;
	*grown = (struct line){0};
	return grown;
}

/* One that does not read is told by the command that next looks at the repository. */
static int add_seen(struct line *line, const char *dir, const char *id, struct err *err)
{
	uint8_t repo[REPO_ID_BYTES];
	struct sightings seen = {0};
	struct err why = {0};
	int r;

	if (sodium_hex2bin(repo, sizeof(repo), id, RUNSTATE_ID_CHARS, NULL, NULL, NULL))
		return 0;
	r = witness_load(dir, repo, line->state.location, &seen, &why);
	if (!r)
		r = sightings_newest(&seen, &line->newest, &line->newest_count, &why);
	line->vanished = seen.findings;
	sightings_free(&seen);
	return r == -ERR_NOMEM ? err_nomem(err) : 0;
}

static int add_kept(struct status *st, const char *dir, const char *id, const char *location,
		    struct err *err)
{
	struct err why = {0};
	struct runstate state;
	struct line *line;
	int r = runstate_load(dir, id, &state, &why);

	if (r == -ERR_NOMEM)
		return err_nomem(err);
	/* One that does not read may be the one that is asked for. */
	if (r > 0 && location && strcmp(state.location, location) != 0)
		return 0;
	line = new_line(st, err);
	if (!line)
		return -err->code;
	line->state = state;
	if (r < 0)
		(void)snprintf(line->trouble, sizeof(line->trouble), "%s", why.text);
	return add_seen(line, dir, id, err);
}

static int add_all(struct status *st, const char *dir, const char *location, struct err *err)
{
	char(*ids)[RUNSTATE_ID_CHARS + 1];
	size_t count;
	int r = runstate_list(dir, &ids, &count, err);

	for (size_t i = 0; !r && i < count; i++)
		r = add_kept(st, dir, ids[i], location, err);
	free(ids);
	return r;
}

/* A repository that is asked for and was never backed up into. */
static int add_wanted(struct status *st, const char *dir, const char *location, struct err *err)
{
	char shown[RUNSTATE_LOCATION_CHARS];
	size_t before = st->count;
	struct line *line;
	int r;

	facts_location(location, shown, sizeof(shown));
	r = add_all(st, dir, shown, err);
	if (r || st->count > before)
		return r;
	line = new_line(st, err);
	if (!line)
		return -err->code;
	memcpy(line->state.location, shown, sizeof(shown));
	(void)snprintf(line->trouble, sizeof(line->trouble),
		       "no backup into it was ever made from this host");
	return 0;
}

/* The one that is named, else those of the configuration file, else all that this host knows. */
static int gather(struct cli *cli, struct status *st, struct err *err)
{
	const struct config *c = &cli->file.config;
	char *dir = NULL;
	int r = cli->global.repo ? 0 : command_config(cli, err);

	if (!r)
		r = paths_state(&cli->global, &dir, err);
	if (!r && cli->global.repo)
		r = add_wanted(st, dir, cli->global.repo, err);
	for (size_t i = 0; !r && !cli->global.repo && i < c->repository_count; i++)
		r = add_wanted(st, dir, c->repositories[i].location, err);
	if (!r && !cli->global.repo && !c->repository_count)
		r = add_all(st, dir, NULL, err);
	free(dir);
	return r;
}

/* --- telling --- */

static void json_time(struct json *j, const char *key, int64_t seconds)
{
	char text[TEXT_TIME_CHARS];

	text_time_json(seconds, 0, text);
	json_str(j, key, seconds ? text : NULL);
}

/* What never ended has no code. */
static void json_code(struct json *j, const char *key, int64_t at_s, int64_t code)
{
	if (at_s)
		json_i64(j, key, code);
	else
		json_str(j, key, NULL);
}

static void json_newest(struct json *j, const struct line *line)
{
	char writer[ID_HEX_CHARS + 1], name[ID_HEX_CHARS + 1], record[ROLLBACK_RECORD_CHARS];

	json_array(j, "newest");
	for (size_t i = 0; i < line->newest_count; i++) {
		const struct sighting *s = &line->newest[i];

		(void)sodium_bin2hex(writer, sizeof(writer), s->writer, sizeof(s->writer));
		id_hex(&s->name, name);
		rollback_record(s, record);
		json_object(j, NULL);
		json_str(j, "writer", writer);
		json_u64(j, "sequence", s->sequence);
		json_str(j, "manifest_id", name);
		json_str(j, "record", record);
		json_close(j);
	}
	json_close(j);
}

static void json_line(struct json *j, const struct line *line)
{
	const struct runstate *s = &line->state;

	json_object(j, NULL);
	json_str(j, "repository_id", s->repo[0] ? s->repo : NULL);
	json_str(j, "location", s->location[0] ? s->location : NULL);
	json_bool(j, "ok", !line->trouble[0]);
	json_bool(j, "fresh", line->fresh);
	json_str(j, "trouble", line->trouble[0] ? line->trouble : NULL);
	json_time(j, "last_success", good_at(s));
	json_time(j, "last_backup", s->backup_at_s);
	json_code(j, "backup_exit_code", s->backup_at_s, s->backup_exit);
	json_str(j, "manifest_id", s->manifest[0] ? s->manifest : NULL);
	json_time(j, "last_nightly", s->nightly_at_s);
	json_code(j, "nightly_exit_code", s->nightly_at_s, s->nightly_exit);
	json_code(j, "immutable_alarms", good_at(s), (int64_t)alarms_of(s));
	json_time(j, "last_check", s->check_at_s);
	json_code(j, "check_exit_code", s->check_at_s, s->check_exit);
	json_time(j, "last_good_drill", s->drill_good_at_s);
	json_u64(j, "vanished", line->vanished);
	json_newest(j, line);
	json_close(j);
}

static void print_json(struct cli *cli, const struct status *st, bool ok, bool fresh)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "status_summary");
	json_bool(&j, "ok", ok);
	json_bool(&j, "fresh", fresh);
	json_i64(&j, "max_age_seconds", st->max_age_s);
	json_array(&j, "repositories");
	for (size_t i = 0; i < st->count; i++)
		json_line(&j, &st->lines[i]);
	json_close(&j);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

static const char *where(const struct line *line)
{
	return line->state.location[0] ? line->state.location : line->state.repo;
}

/* For paper, or another machine: see --expect of `check`. */
static void print_newest(struct cli *cli, const struct line *line)
{
	char record[ROLLBACK_RECORD_CHARS];

	for (size_t i = 0; i < line->newest_count; i++) {
		rollback_record(&line->newest[i], record);
		out_line(&cli->out, "%s", record);
	}
}

static void print_line(struct cli *cli, const struct status *st, const struct line *line)
{
	const struct runstate *s = &line->state;
	char age[TEXT_TIME_CHARS], end[256] = "";

	text_age(st->now_s - good_at(s), age);
	if (ended_with(s) != EXIT_OK)
		say_end(s, end, sizeof(end));
	out_line(&cli->out, "%s: last backup %s ago, manifest %.*s%s%s", where(line), age,
		 ID_SHORT_CHARS, s->manifest, end[0] ? "; " : "", end);
}

static void print_people(struct cli *cli, const struct status *st)
{
	for (size_t i = 0; i < st->count; i++) {
		if (!st->lines[i].trouble[0])
			print_line(cli, st, &st->lines[i]);
		print_newest(cli, &st->lines[i]);
	}
}

static enum exit_code conclude(struct cli *cli, struct status *st)
{
	bool fresh = st->count > 0, ok = fresh;

	for (size_t i = 0; i < st->count; i++) {
		judge(st, &st->lines[i]);
		fresh = fresh && st->lines[i].fresh;
		ok = ok && !st->lines[i].trouble[0];
		if (st->lines[i].vanished)
			exit_add(&cli->codes, EXIT_ROLLBACK);
	}
	if (cli->out.json)
		print_json(cli, st, ok, fresh);
	else
		print_people(cli, st);
	for (size_t i = 0; i < st->count; i++) {
		if (st->lines[i].trouble[0])
			out_error(&cli->out, "status", where(&st->lines[i]), st->lines[i].trouble);
	}
	if (st->count == 0)
		out_exit_error(&cli->out, EXIT_FAILED, "no backup was ever made from this host");
	return ok ? EXIT_OK : EXIT_FAILED;
}

enum exit_code cmd_status(struct cli *cli, const void *options, int count, char **operands)
{
	const struct status_words *w = options;
	struct status st = {.now_s = (int64_t)time(NULL), .strict = w->strict};
	struct err err = {0};
	enum exit_code code;
	int r = 0;

	(void)count;
	(void)operands;
	if (!text_span_parse(w->max_age ? w->max_age : MAX_AGE, &st.max_age_s))
		r = err_set(&err, ERR_USAGE, "--max-age takes a time as 90m, 26h or 2d, not '%s'",
			    w->max_age);
	if (!r)
		r = gather(cli, &st, &err);
	code = r ? command_fail(cli, &err) : conclude(cli, &st);
	for (size_t i = 0; i < st.count; i++)
		free(st.lines[i].newest);
	free(st.lines);
	return code;
}
