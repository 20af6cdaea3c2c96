#include "cli/night.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/hook.h"
#include "cli/paths.h"
#include "cli/process.h"
#include "cli/session.h"
#include "cli/text.h"
#include "repo/drill.h"

#define DAY_S 86400
#define SECOND_NS 1000000000

double night_seconds(const struct timespec *since)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - since->tv_sec) + (double)(now.tv_nsec - since->tv_nsec) / 1e9;
}

/* --- repositories --- */

static void add_repo(struct night *night, const char *location, const char *name, bool append_only)
{
	struct night_repo *repo = &night->repos[night->repo_count++];

	repo->name = name;
	repo->append_only = append_only;
	repo->cli = *night->cli;
	repo->cli.codes = (struct exit_codes){0};
	repo->cli.transfers = (struct transfers){0};
	repo->cli.global.repo = location;
	facts_location(location, repo->location, sizeof(repo->location));
}

/* The configuration may know the repository that was chosen instead of its own. */
static void add_chosen(struct night *night, const char *location)
{
	const struct config *c = night->config;

	for (size_t i = 0; i < c->repository_count; i++) {
		if (strcmp(c->repositories[i].location, location) == 0) {
			add_repo(night, location, c->repositories[i].name,
				 c->repositories[i].append_only);
			return;
		}
	}
	add_repo(night, location, "repository", false);
}

int night_begin(struct night *night, struct cli *cli, bool dry_run, struct err *err)
{
	const struct config *c = &cli->file.config;
	const char *chosen = cli->global.repo;
	int r = 0;

	*night = (struct night){.cli = cli, .config = c, .dry_run = dry_run};
	(void)clock_gettime(CLOCK_MONOTONIC, &night->started);
	night->started_at_s = (int64_t)time(NULL);
	if (c->source_count == 0 && c->retention.forget.count == 0 && !c->retention.run_prune)
		return err_set(err, ERR_USAGE,
			       "%s: names neither a [source] to back up nor a [retention] to keep",
			       cli->file.path);
	if (!chosen && c->repository_count == 0)
		return err_set(
		    err, ERR_USAGE,
		    "%s: names no [repository], and neither -r nor NIGHTJAR_REPOSITORY does",
		    cli->file.path);
	night->repos = calloc(c->repository_count + 1, sizeof(*night->repos));
	if (!night->repos)
		return err_nomem(err);
	if (chosen)
		add_chosen(night, chosen);
	for (size_t i = 0; !chosen && i < c->repository_count; i++)
		add_repo(night, c->repositories[i].location, c->repositories[i].name,
			 c->repositories[i].append_only);
	for (size_t i = 0; !r && i < night->repo_count; i++) {
		struct night_repo *repo = &night->repos[i];

		repo->manifests = calloc(c->source_count + 1, sizeof(*repo->manifests));
		r = repo->manifests ? config_file_fill(&cli->file, &repo->cli.global, err)
				    : err_nomem(err);
	}
	return r ? r : night_words_try(night, cli->file.path, err);
}

void night_free(struct night *night)
{
	for (size_t i = 0; i < night->repo_count; i++) {
		free(night->repos[i].steps.items);
		free(night->repos[i].manifests);
		transfers_wipe(&night->repos[i].cli);
	}
	free(night->repos);
	free(night->steps.items);
}

/* --- how it goes --- */

void night_fail(struct night *night, enum exit_code code)
{
	exit_add(&night->codes, code);
	exit_add(&night->shared, code);
}

uint64_t night_alarms(const struct night *night)
{
	uint64_t alarms = 0;

	for (size_t i = 0; i < night->repo_count; i++)
		alarms += night->repos[i].alarms;
	return alarms;
}

bool night_is_well(const struct night *night)
{
	return exit_first(&night->codes) == EXIT_OK && night_alarms(night) == 0;
}

/* --- steps --- */

/* False without memory: then the step is missing in the summary, and the night has failed. */
bool night_add_step(struct night *night, struct night_repo *repo, const struct night_step *step)
{
	struct night_steps *steps = repo ? &repo->steps : &night->steps;
	struct night_step *grown =
	    realloc(steps->items, (steps->count + 1) * sizeof(*steps->items));

	exit_add(&night->codes, step->code);
	exit_add(repo ? &repo->codes : &night->shared, step->code);
	if (!grown) {
		night_fail(night, EXIT_FAILED);
		return false;
	}
	steps->items = grown;
	grown[steps->count++] = *step;
	return true;
}

static void skip(struct night *night, struct night_repo *repo, const char *name, const char *source,
		 const char *why)
{
	(void)night_add_step(night, repo, &(struct night_step){name, source, why, EXIT_OK, 0});
}

/* What a command's answer and the codes that it added come to. Further ones are not lost. */
static enum exit_code settle(struct night *night, struct night_repo *repo, enum exit_code code)
{
	struct cli *cli = &repo->cli;

	exit_add(&cli->codes, code);
	if (process_interrupted())
		exit_add(&cli->codes, EXIT_INTERRUPTED);
	night->codes.seen |= cli->codes.seen;
	repo->codes.seen |= cli->codes.seen;
	/* A full disk under standard output is not forgotten with the copy. */
	if (cli->out.write_errno && !night->cli->out.write_errno)
		night->cli->out.write_errno = cli->out.write_errno;
	return exit_first(&cli->codes);
}

static void say_step(struct night *night, const struct night_repo *repo, const char *name,
		     const char *source)
{
	char title[128];

	(void)snprintf(title, sizeof(title), "--- %s%s%s", name, source ? " " : "",
		       source ? source : "");
	if (night->repo_count > 1 && repo)
		out_note(&night->cli->out, "%s: %s", title, repo->name);
	else
		out_note(&night->cli->out, "%s", title);
}

/* Runs a command on a repository. Its facts are in repo->cli.facts until the next. */
static enum exit_code run_step(struct night *night, struct night_repo *repo,
			       enum night_command command, const struct config_source *source,
			       const char *manifest)
{
	struct night_step step = {.name = night_command_name(command),
				  .source = source ? source->name : NULL};
	struct cli *cli = &repo->cli;
	struct lines words = {0};
	struct timespec began;
	struct err err = {0};
	enum exit_code code;

	(void)clock_gettime(CLOCK_MONOTONIC, &began);
	cli->codes = (struct exit_codes){0};
	cli->facts = (struct facts){0};
	if (night_words(night, command, source, manifest, repo->full > 0, &words, &err)) {
		code = command_fail(cli, &err);
	} else {
		cli->out.step = step.name;
		say_step(night, repo, step.name, step.source);
		code = command_run(cli, (int)words.count, words.items);
		transfers_add(cli, &repo->transfers);
	}
	step.code = settle(night, repo, code);
	if (cli->facts.rollback > repo->vanished)
		repo->vanished = cli->facts.rollback;
	repo->lost = repo->lost || (step.code != EXIT_OK && net_is_given_up(&cli->net));
	step.seconds = night_seconds(&began);
	(void)night_add_step(night, repo, &step);
	lines_free(&words);
	return step.code;
}

/* --- hooks --- */

/* True when there is none, or it went well. */
static bool run_hook(struct night *night, const char *event, const char *script, int64_t limit_s,
		     const struct config_source *source, const struct exit_codes *codes)
{
	const struct night_repo *only = night->repo_count == 1 ? &night->repos[0] : NULL;
	const struct hook_facts facts = {
	    .event = event,
	    .source = source ? source->name : NULL,
	    .manifest = only ? only->manifest : NULL,
	    .location = only ? only->location : NULL,
	    .exit_code = (int)exit_first(codes),
	    .alarms = night_alarms(night),
	};
	struct night_step step = {.source = facts.source};
	struct timespec began;
	struct err err = {0};
	int r;

	if (!script)
		return true;
	step.name = strcmp(event, "before") == 0  ? "hook:before"
		    : strcmp(event, "after") == 0 ? "hook:after"
						  : "hook:failed";
	if (night->dry_run) {
		skip(night, NULL, step.name, facts.source, "dry run");
		return true;
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &began);
	say_step(night, NULL, step.name, facts.source);
	r = hook_run(&night->cli->out, script, limit_s, &facts, &err);
	if (r)
		out_error(&night->cli->out, "hook", NULL, err.text);
	step.code = r ? exit_of_err(&err) : EXIT_OK;
	step.seconds = night_seconds(&began);
	(void)night_add_step(night, NULL, &step);
	return r == 0;
}

/* --- backups --- */

/* Why nothing can be done with it; NULL = it can. One server that is down must not cost each step its patience. */
static const char *out_of_reach(const struct night_repo *repo)
{
	if (process_interrupted())
		return "interrupted";
	if (!repo->open)
		return "not open";
	return repo->lost ? "the repository can no longer be reached" : NULL;
}

/* The repository's own notes know of drills that other hosts made. */
static void find_last_drill(struct night_repo *repo, struct session *s)
{
	struct err why = {0};
	struct drillnote note;
	char *dir = NULL;

	if (manifests_load(s->repo, NULL, NULL, &s->manifests, &why))
		return; /* the steps will say why */
	if (paths_state(&repo->cli.global, &dir, &why))
		dir = NULL;
	if (drill_last_good(&s->manifests, s->repo->conf.repo, dir, &note))
		repo->drill_good_at_s = note.head.time_ns / SECOND_NS;
	free(dir);
}

static void fail_open(struct night *night, struct night_repo *repo, const struct err *err,
		      double seconds)
{
	enum exit_code code = command_fail(&repo->cli, err);

	(void)settle(night, repo, code);
	(void)night_add_step(night, repo, &(struct night_step){"open", NULL, NULL, code, seconds});
}

/* Before the first step: can it be opened at all, and with what rights? */
static void open_repo(struct night *night, struct night_repo *repo)
{
	struct session s = {0};
	struct err err = {0};
	struct timespec began;

	(void)clock_gettime(CLOCK_MONOTONIC, &began);
	repo->cli.out.step = "open";
	if (transfers_set(&repo->cli, &err) || session_open(&repo->cli, &s, &err)) {
		transfers_add(&repo->cli, &repo->transfers);
		fail_open(night, repo, &err, night_seconds(&began));
		return;
	}
	facts_repo(&repo->cli, s.repo);
	memcpy(repo->id, repo->cli.facts.repo, sizeof(repo->id));
	memcpy(repo->location, repo->cli.facts.location, sizeof(repo->location));
	repo->role = s.repo->keys->role;
	repo->open = true;
	if (night->config->checks.drill_days)
		find_last_drill(repo, &s);
	session_close(&s);
	transfers_add(&repo->cli, &repo->transfers);
}

static void backup_one(struct night *night, struct night_repo *repo,
		       const struct config_source *source)
{
	const struct facts *f = &repo->cli.facts;

	(void)run_step(night, repo, NIGHT_BACKUP, source, NULL);
	repo->bytes_stored += f->bytes_stored;
	repo->files += f->files;
	repo->databases_failed += f->databases_failed;
	repo->refs_missing += f->refs_missing;
	repo->alarms += f->alarms;
	repo->full += f->full;
	if (f->backed_up) {
		repo->backups++;
		memcpy(repo->manifest, f->manifest, sizeof(repo->manifest));
		memcpy(repo->manifests[source - night->config->sources], f->manifest,
		       sizeof(repo->manifest));
	} else if (!night->dry_run) {
		repo->backup_failed = true;
	}
}

/* That of one source, in every repository: this night has no backup of it. */
static void skip_backups(struct night *night, const struct config_source *source, const char *why)
{
	for (size_t i = 0; i < night->repo_count; i++) {
		struct night_repo *repo = &night->repos[i];

		repo->backup_failed = true;
		exit_add(&repo->codes, EXIT_FAILED);
		skip(night, repo, "backup", source->name, why);
	}
}

static bool any_in_reach(const struct night *night)
{
	bool any = false;

	for (size_t i = 0; i < night->repo_count; i++)
		any = any || !out_of_reach(&night->repos[i]);
	return any;
}

/* Why no source can be backed up anywhere. */
static const char *none_in_reach(const struct night *night)
{
	for (size_t i = 0; i < night->repo_count; i++) {
		if (night->repos[i].open)
			return "the repository can no longer be reached";
	}
	return "not open";
}

/* Between the source's hooks; one that cannot have it fails for itself. */
static void backup_into(struct night *night, struct night_repo *repo,
			const struct config_source *source)
{
	const char *why = out_of_reach(repo);

	if (!why) {
		backup_one(night, repo, source);
	} else {
		skip(night, repo, "backup", source->name, why);
		repo->backup_failed = true;
		night->codes.seen |= repo->codes.seen;
	}
	repo->backup_failed = repo->backup_failed || process_interrupted();
}

/* Into each repository, between the source's hooks. */
static void backup_source(struct night *night, const struct config_source *source)
{
	const struct config_hooks *h = &source->hooks;
	struct exit_codes before = night->codes;

	/* An application is not stopped for nothing, nor after an interrupt. */
	if (!any_in_reach(night)) {
		skip_backups(night, source,
			     process_interrupted() ? "interrupted" : none_in_reach(night));
		return;
	}
	night->codes = (struct exit_codes){0}; /* its own, for its hooks */
	if (!run_hook(night, "before", h->before, h->time_limit_s, source, &night->codes)) {
		skip_backups(night, source, "its hook 'before' failed");
	} else {
		for (size_t i = 0; i < night->repo_count; i++)
			backup_into(night, &night->repos[i], source);
	}
	if (exit_first(&night->codes) != EXIT_OK)
		(void)run_hook(night, "failed", h->failed, h->time_limit_s, source, &night->codes);
	(void)run_hook(night, "after", h->after, h->time_limit_s, source, &night->codes);
	night->codes.seen |= before.seen;
}

/* --- what is kept --- */

/* A repository that did not open is known by where it is, if it ever was opened. */
static void find_id(struct night_repo *repo, const char *dir)
{
	char(*ids)[RUNSTATE_ID_CHARS + 1];
	struct runstate state;
	struct err ignored = {0};
	size_t count;

	if (runstate_list(dir, &ids, &count, &ignored))
		return;
	for (size_t i = 0; i < count && !repo->id[0]; i++) {
		if (runstate_load(dir, ids[i], &state, &ignored) > 0 &&
		    strcmp(state.location, repo->location) == 0)
			memcpy(repo->id, ids[i], sizeof(repo->id));
	}
	free(ids);
}

/* What does not read counts as nothing; the next update writes it anew. */
static void load_state(struct night_repo *repo, struct runstate *out_state)
{
	struct err why = {0};
	char *dir = NULL;

	*out_state = (struct runstate){0};
	if (paths_state(&repo->cli.global, &dir, &why))
		return;
	if (!repo->id[0])
		find_id(repo, dir);
	if (repo->id[0] && runstate_load(dir, repo->id, out_state, &why) < 0)
		*out_state = (struct runstate){0};
	free(dir);
}

/* --- what comes after --- */

static bool drill_due(const struct night *night, struct night_repo *repo)
{
	const int64_t days = (int64_t)night->config->checks.drill_days;

	/* An hour early is not a day late: nights do not begin to the second. */
	return night->started_at_s - repo->drill_good_at_s >= days * DAY_S - DAY_S / 24;
}

/* What tonight's backup of each source made; of one that made none, and without sources, what there is. */
static void drill(struct night *night, struct night_repo *repo)
{
	size_t drilled = 0;

	for (size_t i = 0; i < night->config->source_count && !out_of_reach(repo); i++) {
		if (!repo->manifests[i][0])
			continue;
		(void)run_step(night, repo, NIGHT_DRILL, &night->config->sources[i],
			       repo->manifests[i]);
		drilled++;
	}
	if (!drilled && !out_of_reach(repo))
		(void)run_step(night, repo, NIGHT_DRILL, NULL, NULL);
}

/* NULL: it can be done. */
static const char *obstacle(struct night *night, struct night_repo *repo,
			    enum night_command command)
{
	bool writes = command == NIGHT_FORGET || command == NIGHT_PRUNE;
	const char *why = out_of_reach(repo);

	if (why)
		return why;
	if (writes && repo->role == ROLE_WRITE)
		return "this host's key may only write; the storage side does this";
	if (writes && repo->append_only)
		return "append-only, as the configuration says; the storage side does this";
	if (!writes && repo->role == ROLE_WRITE)
		return "this host's key may only write; a reading key does this";
	if (command == NIGHT_DRILL && repo->role == ROLE_MAINTAIN)
		return "this host's key maintains and cannot read; a reading key does this";
	/* What prune deletes no backup needs, and the next one needs the room. */
	if (writes && repo->backup_failed && !(command == NIGHT_PRUNE && repo->full))
		return "a backup failed; nothing is deleted then";
	if (command == NIGHT_DRILL && !drill_due(night, repo))
		return "not due";
	return NULL;
}

static void look_after(struct night *night, struct night_repo *repo)
{
	bool forgotten = true;

	if (repo->open && repo->role == ROLE_MAINTAIN && night->config->source_count == 0)
		out_note(&night->cli->out,
			 "this key maintains: no backup is made here, the hosts with the data "
			 "make them");

	for (int i = NIGHT_FORGET; i <= NIGHT_DRILL; i++) {
		enum night_command command = (enum night_command)i;
		const char *why;

		if (!night_asks(night, command))
			continue;
		why = obstacle(night, repo, command);
		if (!why && command == NIGHT_PRUNE && !forgotten)
			why = "forget failed";
		if (why)
			skip(night, repo, night_command_name(command), NULL, why);
		else if (command == NIGHT_DRILL)
			drill(night, repo);
		else if (run_step(night, repo, command, NULL, NULL) != EXIT_OK &&
			 command == NIGHT_FORGET)
			forgotten = false;
	}
}

struct kept_night {
	const struct night *night;
	struct night_repo *repo;
};

static void keep_night(void *arg, struct runstate *s)
{
	const struct kept_night *k = arg;
	struct exit_codes codes = {k->repo->codes.seen | k->night->shared.seen};
	int code = (int)exit_first(&codes);

	memcpy(s->location, k->repo->location, sizeof(s->location));
	s->nightly_at_s = (int64_t)time(NULL);
	if (s->drill_good_at_s < k->repo->drill_good_at_s)
		s->drill_good_at_s = k->repo->drill_good_at_s;
	s->nightly_exit = code;
	s->nightly_alarms = (int64_t)k->repo->alarms;
	if (!k->repo->backup_failed && k->repo->backups == k->night->config->source_count)
		s->nightly_good_at_s = s->nightly_at_s;
	if (!k->repo->kept)
		k->repo->clean_before_s = s->nightly_clean_at_s;
	k->repo->kept = true;
	s->nightly_clean_at_s = code == EXIT_OK ? s->nightly_at_s : k->repo->clean_before_s;
}

void night_keep(struct night *night)
{
	if (night->dry_run)
		return;
	for (size_t i = 0; i < night->repo_count; i++) {
		struct night_repo *repo = &night->repos[i];
		struct kept_night k = {night, repo};

		load_state(repo, &repo->state);
		/* A night that only looks after the repository says nothing about backups. */
		if (repo->id[0] && night->config->source_count)
			facts_keep(night->cli, repo->id, keep_night, &k);
		load_state(repo, &repo->state);
	}
}

/* --- the whole --- */

void night_run(struct night *night)
{
	const struct config *c = night->config;
	bool go;

	go = run_hook(night, "before", c->hooks.before, c->hooks.time_limit_s, NULL, &night->codes);
	for (size_t i = 0; i < night->repo_count && !process_interrupted(); i++)
		open_repo(night, &night->repos[i]);
	for (size_t i = 0; i < c->source_count; i++) {
		if (go)
			backup_source(night, &c->sources[i]);
		else
			skip_backups(night, &c->sources[i], "the hook 'before' failed");
	}
	for (size_t i = 0; i < night->repo_count; i++)
		look_after(night, &night->repos[i]);
	if (process_interrupted())
		night_fail(night, EXIT_INTERRUPTED);
}

bool night_run_last_hooks(struct night *night)
{
	const struct config_hooks *h = &night->config->hooks;
	size_t before = night->steps.count;

	if (!night_is_well(night))
		(void)run_hook(night, "failed", h->failed, h->time_limit_s, NULL, &night->codes);
	(void)run_hook(night, "after", h->after, h->time_limit_s, NULL, &night->codes);
	if (process_interrupted())
		night_fail(night, EXIT_INTERRUPTED);
	return night->steps.count > before;
}
