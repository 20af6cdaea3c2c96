#include "cli/command.h"

#include <stdlib.h>
#include <string.h>

#include "cli/process.h"

enum exit_code command_fail(struct cli *cli, const struct err *err)
{
	enum exit_code code = exit_of_err(err);

	out_exit_error(&cli->out, code, err->text);
	return code;
}

int command_config(struct cli *cli, struct err *err)
{
	int r = cli->file_read ? 0 : config_file_load(&cli->global, &cli->file, err);

	cli->file_read = cli->file_read || !r;
	return r;
}

int command_repo(struct cli *cli, const char **out_repo, struct err *err)
{
	struct options_global *g = &cli->global;
	int r = 0;

	/* With a repository and a key at hand no file has a say. */
	if (!options_complete(g))
		r = command_config(cli, err);
	if (!r && !cli->reached) {
		cli->said = *g;
		r = config_file_fill(&cli->file, g, err);
		if (!r)
			r = transfers_set(cli, err);
		cli->reached = !r;
	}
	if (!r && !g->repo)
		r = err_set(err, ERR_USAGE,
			    "no repository given: use -r REPO or NIGHTJAR_REPOSITORY, or a "
			    "configuration file ('nightjar help config')");
	*out_repo = g->repo;
	return r;
}

static void take_output_options(struct cli *cli)
{
	cli->out.json = cli->global.json;
	cli->out.quiet = cli->global.quiet;
	cli->out.verbose = cli->global.verbose;
}

static int check_operands(const struct command *c, int count, char **operands, struct err *err)
{
	if (count < c->min_operands)
		return err_set(err, ERR_USAGE, "'%s' needs %s; see 'nightjar help %s'", c->name,
			       c->operands, c->name);
	if (c->max_operands != COMMAND_ANY && count > c->max_operands)
		return err_set(err, ERR_USAGE, "'%s' does not take '%s'; see 'nightjar help %s'",
			       c->name, operands[c->max_operands], c->name);
	for (int i = 0; i < count; i++) {
		if (operands[i][0] == '\0')
			return err_set(err, ERR_USAGE, "'%s': an operand is empty", c->name);
	}
	return 0;
}

/* Words that were not understood end before a --json that comes after them; who asked for it still gets it. */
static void find_json(struct cli *cli, int count, char **words)
{
	for (int i = 0; i < count && strcmp(words[i], "--") != 0; i++) {
		if (strcmp(words[i], "--json") == 0)
			cli->global.json = true;
	}
	take_output_options(cli);
}

static void tell_transfers(struct cli *cli)
{
	struct transfer_sums sums = {0};
	char words[TRANSFERS_CHARS];

	transfers_add(cli, &sums);
	transfers_words(&sums, words);
	if (*words)
		out_detail(&cli->out, "network: %s", words);
}

/* words[0] is the last word of the command's name. */
static enum exit_code run_command(struct cli *cli, const struct command *c, int count, char **words)
{
	void *options = calloc(1, c->options_bytes ? *c->options_bytes : 1);
	enum exit_code code;
	struct err err = {0};
	int first = 0;

	if (!options) {
		(void)err_nomem(&err);
		return command_fail(cli, &err);
	}
	if (options_parse_command(count, words, &cli->global, c->options, options, &first, &err) <
	    0) {
		find_json(cli, count, words);
		code = command_fail(cli, &err);
		goto out;
	}
	take_output_options(cli);
	cli->reached = false;
	if (cli->global.help) {
		help_command(&cli->out, c);
		code = EXIT_OK;
	} else if (options_resolve(&cli->global, &err) < 0 ||
		   check_operands(c, count - first, words + first, &err) < 0 ||
		   transfers_set(cli, &err) < 0) {
		code = command_fail(cli, &err);
	} else {
		code = c->run(cli, options, count - first, words + first);
		tell_transfers(cli);
	}
out:
	options_wipe(c->options, options);
	free(options);
	return code;
}

enum exit_code command_run(struct cli *cli, int count, char **words)
{
	struct err err = {0};
	int used = 0;
	const struct command *c = commands_find(count, words, &used, &err);

	if (!c) {
		find_json(cli, count, words);
		return command_fail(cli, &err);
	}
	return run_command(cli, c, count - used + 1, words + used - 1);
}

int command_try(int count, char **words, struct err *err)
{
	struct options_global global = {0};
	int used = 0, first = 0, r;
	const struct command *c = commands_find(count, words, &used, err);
	void *options;

	if (!c)
		return -err->code;
	options = calloc(1, c->options_bytes ? *c->options_bytes : 1);
	if (!options)
		return err_nomem(err);
	count -= used - 1;
	words += used - 1;
	r = options_parse_command(count, words, &global, c->options, options, &first, err);
	if (!r)
		r = check_operands(c, count - first, words + first, err);
	if (!r)
		r = commands_judge(c, options, count - first, err);
	options_wipe(c->options, options);
	free(options);
	return r;
}

/* "-h key" or "key -h": the group has no options of its own that could be parsed. */
static bool asks_about_group(const struct cli *cli, int count, char **words)
{
	if (!commands_is_group(words[0]))
		return false;
	if (count == 1)
		return cli->global.help;
	return count == 2 && (strcmp(words[1], "-h") == 0 || strcmp(words[1], "--help") == 0);
}

static enum exit_code run_words(struct cli *cli, int argc, char **argv)
{
	struct err err = {0};
	int used = 0;
	int status = options_parse_global(argc, argv, &cli->global, &used, &err);

	take_output_options(cli);
	if (status < 0) {
		find_json(cli, argc, argv);
		return command_fail(cli, &err);
	}
	if (cli->global.version)
		return cmd_version(cli, NULL, 0, NULL);
	if (used >= argc && cli->global.help) {
		help_list(&cli->out);
		return EXIT_OK;
	}
	if (used >= argc) {
		(void)err_set(&err, ERR_USAGE,
			      "no command given; 'nightjar help' lists the commands");
		return command_fail(cli, &err);
	}
	if (asks_about_group(cli, argc - used, argv + used)) {
		help_group(&cli->out, argv[used]);
		return EXIT_OK;
	}
	return command_run(cli, argc - used, argv + used);
}

/* A write that a signal broke off is not what went wrong. */
static void say_output_lost(struct cli *cli, const struct err *err)
{
	if (process_interrupted())
		out_exit_error(&cli->out, EXIT_INTERRUPTED,
			       "interrupted; the output is not complete");
	else
		out_exit_error(&cli->out, EXIT_FAILED, err->text);
}

/* The winner of all that applied, with what could not be printed; said once, in JSON too. */
static enum exit_code conclude(struct cli *cli)
{
	struct err err = {0};
	bool pipe_closed = false;
	enum exit_code code;

	if (out_finish(&cli->out, &pipe_closed, &err) < 0) {
		exit_add(&cli->codes, EXIT_FAILED);
		if (!pipe_closed && !cli->out.exit_error_said)
			say_output_lost(cli, &err);
	}
	code = exit_first(&cli->codes);
	if (code != EXIT_OK && cli->out.json && !cli->out.exit_error_said)
		out_exit_error(&cli->out, code, exit_text(code));
	return code;
}

int command_main(int argc, char **argv)
{
	struct cli cli = {.out = {.results = stdout, .errors = stderr}};
	struct err err = {0};

	if (process_start(&err) < 0)
		exit_add(&cli.codes, command_fail(&cli, &err));
	else
		exit_add(&cli.codes, run_words(&cli, argc, argv));
	if (process_interrupted())
		exit_add(&cli.codes, EXIT_INTERRUPTED);
	transfers_wipe(&cli);
	config_file_free(&cli.file);
	return (int)conclude(&cli);
}
