#include "cli/command.h"

#include <stdlib.h>

#include "cli/process.h"
#include "cli/progress.h"
#include "repo/dbfile.h"

struct teller {
	struct cli *cli;
	struct progress progress;
};

static int on_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct teller *t = arg;

	progress_show(&t->progress, &(struct progress_state){
					.phase = phase,
					.unit = "pages",
					.files = done,
					.files_total = total,
				    });
	return process_interrupted() ? 1 : 0;
}

static void say_done(struct cli *cli, const char *type, const char *path, const char *verdict)
{
	struct json j = {0};

	if (!cli->out.json)
		return;
	json_object(&j, NULL);
	json_str(&j, "message_type", "summary");
	json_str(&j, "operation", type);
	json_str(&j, "path", path);
	json_str(&j, "verdict", verdict);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

enum exit_code cmd_db_copy(struct cli *cli, const void *options, int count, char **operands)
{
	struct teller teller = {.cli = cli};
	struct dbfile_progress progress = {on_progress, &teller};
	struct err err = {0};
	int r;

	(void)options;
	(void)count;
	progress_begin(&teller.progress, &cli->out);
	r = dbfile_copy(operands[0], operands[1], 0, &progress, &err);
	progress_end(&teller.progress);
	if (r)
		return command_fail(cli, &err);
	out_note(&cli->out, "%s: copied to %s and verified (integrity_check: ok)", operands[0],
		 operands[1]);
	say_done(cli, "db copy", operands[1], "ok");
	return EXIT_OK;
}

enum exit_code cmd_db_verify(struct cli *cli, const void *options, int count, char **operands)
{
	struct teller teller = {.cli = cli};
	struct dbfile_progress progress = {on_progress, &teller};
	bool ok = false, unchecked = false;
	struct err err = {0};
	char *text = NULL;
	int r;

	(void)options;
	(void)count;
	progress_begin(&teller.progress, &cli->out);
	r = dbfile_verify(operands[0], 0, &progress, &ok, &unchecked, &text, &err);
	progress_end(&teller.progress);
	if (r)
		return command_fail(cli, &err);
	if (unchecked)
		out_warning(&cli->out, "%s: could not be checked in full: %s", operands[0],
			    text ? text : "");
	else if (ok)
		out_note(&cli->out, "%s: integrity_check: ok", operands[0]);
	else
		out_error(&cli->out, "db verify", operands[0],
			  text ? text : "integrity_check failed");
	free(text);
	say_done(cli, "db verify", operands[0], unchecked ? "unchecked" : ok ? "ok" : "failed");
	return ok || unchecked ? EXIT_OK : EXIT_INTEGRITY;
}
