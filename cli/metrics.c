#include "cli/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "repo/durable.h"

static void put(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

static void put_label(struct buf *b, const char *name, const char *value)
{
	put(b, name);
	put(b, "=\"");
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			buf_put_u8(b, '\\');
		if (*value == '\n')
			put(b, "\\n");
		else
			buf_put_u8(b, (uint8_t)*value);
	}
	put(b, "\"");
}

static void put_help(struct buf *b, const char *name, const char *help)
{
	put(b, "# HELP nightjar_");
	put(b, name);
	put(b, " ");
	put(b, help);
	put(b, "\n# TYPE nightjar_");
	put(b, name);
	put(b, " gauge\n");
}

static void put_sample(struct buf *b, const char *name, const struct night_repo *repo,
		       const char *label, const char *label_value, double value)
{
	char number[64];

	put(b, "nightjar_");
	put(b, name);
	if (repo || label)
		put(b, "{");
	if (repo) {
		put_label(b, "repository", repo->name);
		put(b, ",");
		put_label(b, "location", repo->location);
	}
	if (repo && label)
		put(b, ",");
	if (label)
		put_label(b, label, label_value);
	if (repo || label)
		put(b, "}");
	(void)snprintf(number, sizeof(number), " %.17g\n", value);
	put(b, number);
}

enum from { FROM_STATE, FROM_REPO };

/* 0 = never is told by no sample: an age since 1970 says nothing. */
static const struct {
	const char *name, *help;
	enum from from;
	size_t offset;
} gauges[] = {
    {"last_success_timestamp_seconds", "When a night last backed up every source.", FROM_STATE,
     offsetof(struct runstate, nightly_good_at_s)},
    {"last_clean_timestamp_seconds", "When a night last ended with exit code 0.", FROM_STATE,
     offsetof(struct runstate, nightly_clean_at_s)},
    {"last_backup_timestamp_seconds", "When a backup was last made.", FROM_STATE,
     offsetof(struct runstate, backup_at_s)},
    {"last_check_timestamp_seconds", "When a check of the repository last came to its end.",
     FROM_STATE, offsetof(struct runstate, check_at_s)},
    {"last_good_drill_timestamp_seconds", "When a drill last went well.", FROM_STATE,
     offsetof(struct runstate, drill_good_at_s)},
    {"bytes_stored", "By how much the repository grew.", FROM_REPO,
     offsetof(struct night_repo, bytes_stored)},
    {"files", "Files in the backups of the night.", FROM_REPO, offsetof(struct night_repo, files)},
    {"databases_failed", "Databases that failed their integrity check.", FROM_REPO,
     offsetof(struct night_repo, databases_failed)},
    {"references_missing", "Attachments that a database names and the backup lacks.", FROM_REPO,
     offsetof(struct night_repo, refs_missing)},
    {"immutable_alarms", "Files of immutable folders that are not what they were.", FROM_REPO,
     offsetof(struct night_repo, alarms)},
    {"vanished", "What this host has seen in the repository and is gone, with no word why.",
     FROM_REPO, offsetof(struct night_repo, vanished)},
    {"disk_full", "Backups for which there was no room.", FROM_REPO,
     offsetof(struct night_repo, full)},
};

static void put_gauge(struct buf *b, const struct night *night, size_t g)
{
	put_help(b, gauges[g].name, gauges[g].help);
	for (size_t i = 0; i < night->repo_count; i++) {
		const struct night_repo *repo = &night->repos[i];
		const char *from =
		    gauges[g].from == FROM_STATE ? (const char *)&repo->state : (const char *)repo;
		int64_t number;

		memcpy(&number, from + gauges[g].offset, sizeof(number));
		if (number != 0 || gauges[g].from == FROM_REPO)
			put_sample(b, gauges[g].name, repo, NULL, NULL, (double)number);
	}
}

/* A source's step with its repository, a hook with neither. */
static void put_step(struct buf *b, const struct night_repo *repo, const struct night_step *s,
		     bool code)
{
	char number[32];

	if (s->skipped)
		return;
	put(b, code ? "nightjar_step_exit_code{" : "nightjar_step_duration_seconds{");
	if (repo) {
		put_label(b, "repository", repo->name);
		put(b, ",");
	}
	put_label(b, "step", s->name);
	put(b, ",");
	put_label(b, "source", s->source ? s->source : "");
	(void)snprintf(number, sizeof(number), code ? "} %.0f\n" : "} %.3f\n",
		       code ? (double)s->code : s->seconds);
	put(b, number);
}

static void put_steps(struct buf *b, const struct night *night, bool code)
{
	for (size_t i = 0; i < night->repo_count; i++) {
		for (size_t k = 0; k < night->repos[i].steps.count; k++)
			put_step(b, &night->repos[i], &night->repos[i].steps.items[k], code);
	}
	for (size_t k = 0; k < night->steps.count; k++)
		put_step(b, NULL, &night->steps.items[k], code);
}

/* now_s: when the night ended. */
static void put_night(const struct night *night, int64_t now_s, struct buf *out)
{
	put_help(out, "last_run_timestamp_seconds", "When the last night ended.");
	put_sample(out, "last_run_timestamp_seconds", NULL, NULL, NULL, (double)now_s);
	put_help(out, "exit_code", "The exit code of the last night.");
	put_sample(out, "exit_code", NULL, NULL, NULL, (double)exit_first(&night->codes));
	put_help(out, "duration_seconds", "How long the last night took.");
	put_sample(out, "duration_seconds", NULL, NULL, NULL, night_seconds(&night->started));
	put_help(out, "repository_exit_code", "The exit code of the last night in a repository.");
	for (size_t i = 0; i < night->repo_count; i++)
		put_sample(out, "repository_exit_code", &night->repos[i], NULL, NULL,
			   (double)exit_first(&night->repos[i].codes));
	for (size_t g = 0; g < sizeof(gauges) / sizeof(gauges[0]); g++)
		put_gauge(out, night, g);
	put_help(out, "step_duration_seconds", "How long a step took.");
	put_steps(out, night, false);
	put_help(out, "step_exit_code", "The exit code of a step.");
	put_steps(out, night, true);
}

int metrics_write(const struct night *night, const char *path, struct err *err)
{
	struct buf text = {0};
	int r;

	put_night(night, (int64_t)time(NULL), &text);
	r = buf_check(&text, err);
	if (!r)
		r = durable_replace(path, 0644, text.data, text.len, err);
	buf_free(&text);
	return r;
}
