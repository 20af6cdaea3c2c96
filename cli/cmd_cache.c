#include "cli/command.h"

#include <stdlib.h>
#include <time.h>

#include "cli/paths.h"
#include "cli/text.h"
#include "repo/cachedir.h"

#define DAY_S 86400

struct cache_words {
	bool cleanup;
};

const struct option_spec cmd_cache_options[] = {
    {"cleanup", 0, OPTION_FLAG, offsetof(struct cache_words, cleanup), NULL,
     "remove the caches of repositories that were not used for 30 days"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_cache_options_bytes = sizeof(struct cache_words);

static void json_repo(struct json *j, const struct cachedir_repo *repo, bool removed)
{
	char when[TEXT_TIME_CHARS];

	text_time_json(repo->used_at_s, 0, when);
	json_object(j, NULL);
	json_str(j, "repository_id", repo->id);
	json_str(j, "last_used", when);
	json_u64(j, "bytes", repo->bytes);
	json_bool(j, "removed", removed);
	json_close(j);
}

static void print_row(struct out *out, const struct cachedir_repo *repo, int64_t age_s,
		      bool removed)
{
	char when[TEXT_TIME_CHARS], size[TEXT_SIZE_CHARS];

	text_time_local(repo->used_at_s, when);
	text_size(repo->bytes, size);
	out_line(out, "%s  %-19s  %6lld d  %12s%s", repo->id, when, (long long)(age_s / DAY_S),
		 size, removed ? "  removed" : "");
}

/* Removes what is due, and says of each what it is and became. */
static int walk(struct cli *cli, const char *dir, const struct cachedir_repo *repos, size_t count,
		bool cleanup, struct json *j, struct err *err)
{
	int64_t now = (int64_t)time(NULL);
	int r = 0;

	if (count)
		out_note(&cli->out, "%-32s  %-19s  %8s  %12s", "Repository", "Last used", "Age",
			 "Size");
	for (size_t i = 0; !r && i < count; i++) {
		int64_t age = now > repos[i].used_at_s ? now - repos[i].used_at_s : 0;
		bool due = cleanup && age > CACHEDIR_UNUSED_S;

		if (due)
			r = cachedir_remove(dir, &repos[i], err);
		if (r)
			break;
		json_repo(j, &repos[i], due);
		print_row(&cli->out, &repos[i], age, due);
	}
	out_note(&cli->out, "%zu cache%s in %s", count, text_plural(count), dir);
	return r;
}

enum exit_code cmd_cache(struct cli *cli, const void *options, int count, char **operands)
{
	const struct cache_words *w = options;
	struct cachedir_repo *repos = NULL;
	size_t repo_count = 0;
	struct json j = {0};
	struct err err = {0};
	char *dir = NULL;
	int r = paths_cache(&cli->global, &dir, &err);

	(void)count;
	(void)operands;
	if (!r)
		r = cachedir_list(dir, &repos, &repo_count, &err);
	json_array(&j, NULL);
	if (!r)
		r = walk(cli, dir, repos, repo_count, w->cleanup, &j, &err);
	json_close(&j);
	if (!r && cli->out.json)
		out_json(&cli->out, &j);
	json_free(&j);
	free(repos);
	free(dir);
	return r ? command_fail(cli, &err) : EXIT_OK;
}
