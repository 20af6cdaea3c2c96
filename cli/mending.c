#include "cli/mending.h"

#include <stdlib.h>

#include "cli/process.h"
#include "cli/progress.h"
#include "cli/session.h"

struct teller {
	struct cli *cli;
	struct progress progress;
	const char *during;
};

static void on_mended(void *arg, const char *object, const char *text)
{
	struct teller *t = arg;

	out_warning(&t->cli->out, "%s: %s", object, text);
}

static void on_lost(void *arg, const char *object, const char *text)
{
	struct teller *t = arg;

	out_error(&t->cli->out, t->during, object, text);
}

static int on_progress(void *arg, uint64_t done, uint64_t total, const char *what)
{
	struct teller *t = arg;

	progress_show(&t->progress, &(struct progress_state){
					.phase = "parity",
					.unit = "packs",
					.files = done,
					.files_total = total,
					.path = what,
				    });
	return process_interrupted() ? 1 : 0;
}

int mending_find_packs(struct store *store, int count, char **operands, struct id **out_ids,
		       struct err *err)
{
	int r = 0;

	*out_ids = calloc((size_t)count + 1, sizeof(**out_ids));
	if (!*out_ids)
		return err_nomem(err);
	for (int i = 0; !r && i < count; i++)
		r = repair_find_pack(store, operands[i], &(*out_ids)[i], err);
	return r;
}

int mending_run(struct cli *cli, struct store *store, const char *during, int count,
		char **operands, struct repair_parity_result *out_result, struct err *err)
{
	struct teller t = {.cli = cli, .during = during};
	struct repair_parity_options o = {
	    .cb = {.repaired = on_mended, .lost = on_lost, .progress = on_progress, .arg = &t}};
	struct id *ids = NULL;
	int r = mending_find_packs(store, count, operands, &ids, err);

	o.packs = count ? ids : NULL;
	o.pack_count = (size_t)count;
	progress_begin(&t.progress, &cli->out);
	if (!r)
		r = repair_parity(store, &o, out_result, err);
	progress_end(&t.progress);
	free(ids);
	return r;
}

void mending_json(struct json *j, const struct repair_parity_result *res)
{
	json_u64(j, "packs_damaged", res->damaged);
	json_u64(j, "packs_mended", res->mended);
	json_u64(j, "blocks_mended", res->blocks);
	json_u64(j, "packs_not_written", res->unwritten);
}

static void show_json(struct cli *cli, const struct repair_parity_result *res)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "summary");
	json_bool(&j, "parity_only", true);
	json_u64(&j, "num_errors", res->damaged - res->mended);
	json_u64(&j, "packs", res->packs);
	mending_json(&j, res);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

static void show_people(struct cli *cli, const struct repair_parity_result *res)
{
	if (!res->damaged)
		out_line(&cli->out, "no damaged pack (packs: %llu)",
			 (unsigned long long)res->packs);
	else
		out_line(
		    &cli->out,
		    "damaged packs: %llu of %llu; mended by their parity: %llu (blocks: %llu); "
		    "not mended: %llu",
		    (unsigned long long)res->damaged, (unsigned long long)res->packs,
		    (unsigned long long)res->mended, (unsigned long long)res->blocks,
		    (unsigned long long)(res->damaged - res->mended));
	out_note(&cli->out, "only the bytes of packs were looked at; 'nightjar check' with a key "
			    "looks at everything");
}

#define ADVICE                                                                                     \
	"'nightjar check --repair', which needs no key, mends damaged packs as far as their "      \
	"parity reaches"

void mending_advise(struct cli *cli)
{
	out_warning(&cli->out, "next: " ADVICE "; then do this again");
}

void mending_hint(struct err *err)
{
	const struct err was = *err;

	if (was.code == ERR_DAMAGED)
		(void)err_set(err, ERR_DAMAGED, "%s; " ADVICE, was.text);
}

enum exit_code mending_alone(struct cli *cli, struct store *store, const char *during, int count,
			     char **operands)
{
	struct repair_parity_result res = {0};
	struct store *opened = NULL;
	struct err err = {0};
	int r = store ? 0 : session_open_store(cli, &opened, &err);

	if (!r)
		r = mending_run(cli, store ? store : opened, during, count, operands, &res, &err);
	store_free(opened);
	if (r)
		return command_fail(cli, &err);
	if (cli->out.json)
		show_json(cli, &res);
	else
		show_people(cli, &res);
	return res.damaged > res.mended ? EXIT_DAMAGED : EXIT_OK;
}
