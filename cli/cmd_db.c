#include "cli/command.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/process.h"
#include "repo/dbfile.h"

/* A line on the terminal, redrawn a few times a second. */
struct meter {
	struct cli *cli;
	bool shown;
	struct timespec last;
};

static bool meter_due(struct meter *m)
{
	struct timespec now;
	long ms;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (long)(now.tv_sec - m->last.tv_sec) * 1000 + (now.tv_nsec - m->last.tv_nsec) / 1000000;
	if (m->last.tv_sec && ms < 200)
		return false;
	m->last = now;
	return true;
}

static int on_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct meter *m = arg;

	if (process_interrupted())
		return 1;
	if (m->cli->out.json || m->cli->out.quiet || !isatty(STDERR_FILENO) || !meter_due(m))
		return 0;
	m->shown = true;
	if (total)
		(void)fprintf(m->cli->out.errors, "\r\033[K%s: %3u %%", phase,
			      (unsigned)(done < total ? done * 100 / total : 100));
	else
		(void)fprintf(m->cli->out.errors, "\r\033[K%s: %llu pages", phase,
			      (unsigned long long)done);
	(void)fflush(m->cli->out.errors);
	return 0;
}

static void meter_end(struct meter *m)
{
	if (m->shown)
		(void)fputs("\r\033[K", m->cli->out.errors);
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
	struct meter meter = {.cli = cli};
	struct dbfile_progress progress = {on_progress, &meter};
	struct err err = {0};
	int r = dbfile_copy(operands[0], operands[1], 0, &progress, &err);

	(void)options;
	(void)count;
	meter_end(&meter);
	if (r)
		return command_fail(cli, &err);
	out_note(&cli->out, "%s: copied to %s and verified (integrity_check: ok)", operands[0],
		 operands[1]);
	say_done(cli, "db copy", operands[1], "ok");
	return EXIT_OK;
}

enum exit_code cmd_db_verify(struct cli *cli, const void *options, int count, char **operands)
{
	struct meter meter = {.cli = cli};
	struct dbfile_progress progress = {on_progress, &meter};
	bool ok = false, unchecked = false;
	struct err err = {0};
	char *text = NULL;
	int r = dbfile_verify(operands[0], 0, &progress, &ok, &unchecked, &text, &err);

	(void)options;
	(void)count;
	meter_end(&meter);
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
