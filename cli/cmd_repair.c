#include "cli/command.h"

#include "cli/process.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "repo/repair.h"

struct index_words {
	bool read_all_packs;
};

const struct option_spec cmd_repair_index_options[] = {
    {"read-all-packs", 0, OPTION_FLAG, offsetof(struct index_words, read_all_packs), NULL,
     "compare the index with every pack, not only with those that it does not name"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_repair_index_options_bytes = sizeof(struct index_words);

struct teller {
	struct cli *cli;
	struct progress progress;
	const char *phase;
};

static void on_repaired(void *arg, const char *object, const char *text)
{
	struct teller *t = arg;

	out_warning(&t->cli->out, "%s: %s", object, text);
}

static void on_lost(void *arg, const char *object, const char *text)
{
	struct teller *t = arg;

	out_error(&t->cli->out, "repair", object, text);
}

static int on_progress(void *arg, uint64_t done, uint64_t total, const char *what)
{
	struct teller *t = arg;

	progress_show(&t->progress, &(struct progress_state){
					.phase = t->phase,
					.unit = "packs",
					.files = done,
					.files_total = total,
					.path = what,
				    });
	return process_interrupted() ? 1 : 0;
}

static struct repair_callbacks callbacks_of(struct teller *t)
{
	return (struct repair_callbacks){
	    .repaired = on_repaired, .lost = on_lost, .progress = on_progress, .arg = t};
}

/* --- repair index --- */

static void index_json(struct cli *cli, const struct repair_index_result *res)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "summary");
	json_u64(&j, "index_segments", res->segments);
	json_u64(&j, "packs", res->packs);
	json_u64(&j, "segments_replaced", res->replaced);
	json_u64(&j, "segments_written", res->written);
	json_u64(&j, "packs_added", res->packs_added);
	json_u64(&j, "packs_missing", res->packs_missing);
	json_u64(&j, "packs_unreadable", res->packs_unreadable);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

static void index_people(struct cli *cli, const struct repair_index_result *res)
{
	if (!res->replaced && !res->written) {
		out_line(&cli->out, "the index is whole: nothing to repair (segments: %llu, packs: "
				    "%llu)",
			 (unsigned long long)res->segments, (unsigned long long)res->packs);
	} else {
		out_line(&cli->out,
			 "index segments written: %llu, removed: %llu; packs added: %llu, not named "
			 "any more: %llu",
			 (unsigned long long)res->written, (unsigned long long)res->replaced,
			 (unsigned long long)res->packs_added,
			 (unsigned long long)res->packs_missing);
		out_line(&cli->out, "next: 'nightjar check' says whether backups lack something");
	}
	if (res->packs_unreadable)
		out_line(&cli->out, "packs whose directory is damaged: %llu; next: 'nightjar repair "
				    "packs' saves what still opens",
			 (unsigned long long)res->packs_unreadable);
}

enum exit_code cmd_repair_index(struct cli *cli, const void *options, int count, char **operands)
{
	const struct index_words *w = options;
	struct teller teller = {.cli = cli, .phase = "index"};
	struct repair_index_options o = {.read_all_packs = w->read_all_packs,
					 .cb = callbacks_of(&teller)};
	struct repair_index_result res = {0};
	struct session s = {0};
	struct err err = {0};
	int r = session_open(cli, &s, &err);

	(void)count;
	(void)operands;
	progress_begin(&teller.progress, &cli->out);
	if (!r)
		r = repair_index(s.repo, &o, &res, &err);
	progress_end(&teller.progress);
	session_close(&s);
	if (r)
		return command_fail(cli, &err);
	if (cli->out.json)
		index_json(cli, &res);
	else
		index_people(cli, &res);
	return res.packs_unreadable ? EXIT_DAMAGED : EXIT_OK;
}
