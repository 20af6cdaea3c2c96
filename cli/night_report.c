/* The end of a night, for people and as JSON. */
#include "cli/night.h"

#include <stdio.h>

#include "cli/text.h"

static void say_step(struct out *out, const struct night_step *s)
{
	char what[96], took[TEXT_SIZE_CHARS];

	(void)snprintf(what, sizeof(what), "%s%s%s", s->name, s->source ? " " : "",
		       s->source ? s->source : "");
	text_duration((uint64_t)(s->seconds + 0.5), took);
	if (s->skipped)
		out_line(out, "  %-28s not done: %s", what, s->skipped);
	else if (s->code == EXIT_OK)
		out_line(out, "  %-28s ok, %s", what, took);
	else
		out_line(out, "  %-28s exit code %d: %s, %s", what, (int)s->code,
			 exit_text(s->code), took);
}

static void say_repo(struct out *out, const struct night_repo *repo)
{
	char stored[TEXT_SIZE_CHARS], sent[TRANSFERS_CHARS];

	out_line(out, "repository %s (%s)", repo->name, repo->location);
	for (size_t i = 0; i < repo->steps.count; i++)
		say_step(out, &repo->steps.items[i]);
	if (repo->vanished)
		out_line(
		    out,
		    "  VANISHED: %llu thing%s that this host has seen in the repository; the log "
		    "names each; nothing is removed until they are back, or accepted by "
		    "'nightjar check --accept-rollback'",
		    (unsigned long long)repo->vanished, text_plural(repo->vanished));
	if (repo->full)
		out_line(out,
			 "  the disk is FULL: there was no room for a backup; 'df' shows which, "
			 "make room and start the night again");
	if (repo->alarms)
		out_line(out,
			 "  ALARM: %llu file%s of immutable folders changed; the log names "
			 "each, and the backup that has the old content",
			 (unsigned long long)repo->alarms, text_plural(repo->alarms));
	transfers_words(&repo->transfers, sent);
	if (*sent)
		out_line(out, "  network: %s", sent);
	if (!repo->backups)
		return;
	text_size(repo->bytes_stored, stored);
	out_line(out, "  %zu backup%s, newest manifest %.*s; the repository grew by %s",
		 repo->backups, text_plural(repo->backups), ID_SHORT_CHARS, repo->manifest, stored);
}

static void say_people(const struct night *night)
{
	struct out *out = &night->cli->out;
	char took[TEXT_SIZE_CHARS];

	text_duration((uint64_t)(night_seconds(&night->started) + 0.5), took);
	out_note(out, "--- summary");
	for (size_t i = 0; i < night->repo_count; i++)
		say_repo(out, &night->repos[i]);
	if (night->steps.count)
		out_line(out, "hooks");
	for (size_t i = 0; i < night->steps.count; i++)
		say_step(out, &night->steps.items[i]);
	out_line(out, "nightly%s: %s, %s", night->dry_run ? " (dry run)" : "",
		 night_is_well(night) ? "all is well" : "NOT all is well", took);
}

static void json_steps(struct json *j, const struct night_steps *steps)
{
	json_array(j, "steps");
	for (size_t i = 0; i < steps->count; i++) {
		const struct night_step *s = &steps->items[i];

		json_object(j, NULL);
		json_str(j, "name", s->name);
		json_str(j, "source", s->source);
		json_str(j, "skipped", s->skipped);
		json_i64(j, "exit_code", (int64_t)s->code);
		json_double(j, "seconds", s->seconds);
		json_close(j);
	}
	json_close(j);
}

static void json_codes(struct json *j, const struct exit_codes *codes)
{
	enum exit_code all[EXIT_CODES];
	size_t count = exit_list(codes, all);

	json_i64(j, "exit_code", (int64_t)exit_first(codes));
	json_array(j, "exit_codes");
	for (size_t i = 0; i < count; i++)
		json_i64(j, NULL, (int64_t)all[i]);
	json_close(j);
}

static void json_repo(struct json *j, const struct night_repo *repo)
{
	json_object(j, NULL);
	json_str(j, "name", repo->name);
	json_str(j, "location", repo->location);
	json_str(j, "id", repo->id[0] ? repo->id : NULL);
	json_u64(j, "backups", repo->backups);
	json_str(j, "manifest_id", repo->manifest[0] ? repo->manifest : NULL);
	json_u64(j, "data_stored", repo->bytes_stored);
	json_u64(j, "databases_failed", repo->databases_failed);
	json_u64(j, "refs_missing", repo->refs_missing);
	json_u64(j, "immutable_alarms", repo->alarms);
	json_u64(j, "vanished", repo->vanished);
	json_bool(j, "disk_full", repo->full > 0);
	transfers_json(&repo->transfers, j);
	json_codes(j, &repo->codes);
	json_steps(j, &repo->steps);
	json_close(j);
}

static void say_json(const struct night *night)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "nightly_summary");
	json_bool(&j, "dry_run", night->dry_run);
	json_codes(&j, &night->codes);
	json_double(&j, "total_duration", night_seconds(&night->started));
	json_array(&j, "repositories");
	for (size_t i = 0; i < night->repo_count; i++)
		json_repo(&j, &night->repos[i]);
	json_close(&j);
	json_steps(&j, &night->steps);
	json_close(&j);
	out_json(&night->cli->out, &j);
	json_free(&j);
}

void night_report(const struct night *night)
{
	if (night->cli->out.json)
		say_json(night);
	else
		say_people(night);
}
