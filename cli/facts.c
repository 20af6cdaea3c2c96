#include "cli/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "cli/paths.h"
#include "cli/text.h"
#include "repo/backup.h"
#include "repo/check.h"

void facts_location(const char *location, char *out, size_t out_size)
{
	char *real = location[0] == '/' || !strchr(location, ':') ? realpath(location, NULL) : NULL;

	text_location(real ? real : location, out, out_size);
	free(real);
}

void facts_repo(struct cli *cli, const struct repo *repo)
{
	struct facts *f = &cli->facts;

	runstate_id(repo->conf.repo, f->repo);
	facts_location(repo->store->location, f->location, sizeof(f->location));
}

void facts_keep(struct cli *cli, const char *repo_hex,
		void (*change)(void *arg, struct runstate *state), void *arg)
{
	struct err err = {0};
	char *dir = NULL;
	int r = paths_state(&cli->global, &dir, &err);

	if (!r)
		r = runstate_update(dir, repo_hex, change, arg, &err);
	if (r)
		out_warning(&cli->out, "'nightjar status' will not know of this: %s", err.text);
	free(dir);
}

static void keep_backup(void *arg, struct runstate *s)
{
	const struct cli *cli = arg;
	const struct facts *f = &cli->facts;

	memcpy(s->location, f->location, sizeof(s->location));
	memcpy(s->manifest, f->manifest, sizeof(s->manifest));
	s->backup_at_s = (int64_t)time(NULL);
	s->backup_exit = (int64_t)exit_first(&cli->codes);
	s->backup_alarms = (int64_t)f->alarms;
}

void facts_backup(struct cli *cli, const struct backup_result *res)
{
	struct facts *f = &cli->facts;

	f->bytes_stored = res->bytes_stored;
	f->files = res->files;
	f->databases = res->databases;
	f->databases_failed = res->databases_failed;
	f->unreadable = res->unreadable;
	f->refs_missing = res->refs_missing;
	f->alarms = res->alarms;
	if (!res->committed)
		return;
	f->backed_up = true;
	id_hex(&res->manifest, f->manifest);
	facts_keep(cli, f->repo, keep_backup, cli);
}

static void keep_check(void *arg, struct runstate *s)
{
	const struct cli *cli = arg;

	memcpy(s->location, cli->facts.location, sizeof(s->location));
	s->check_at_s = (int64_t)time(NULL);
	s->check_exit = (int64_t)exit_first(&cli->codes);
}

void facts_check(struct cli *cli, const struct check_result *res, bool whole)
{
	struct facts *f = &cli->facts;

	f->checked = true;
	f->packs_read = res->packs_read;
	f->bytes_read = res->bytes_read;
	f->damaged = res->damaged;
	if (whole)
		facts_keep(cli, f->repo, keep_check, cli);
}

static void keep_drill(void *arg, struct runstate *s)
{
	const struct cli *cli = arg;

	memcpy(s->location, cli->facts.location, sizeof(s->location));
	s->drill_good_at_s = (int64_t)time(NULL);
}

void facts_drill(struct cli *cli, bool good)
{
	if (good)
		facts_keep(cli, cli->facts.repo, keep_drill, cli);
}
