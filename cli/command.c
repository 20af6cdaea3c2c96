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

int command_repo(const struct cli *cli, const char **out_repo, struct err *err)
{
	if (!cli->global.repo)
		return err_set(err, ERR_USAGE,
			       "no repository given: use -r REPO or NIGHTJAR_REPOSITORY");
	*out_repo = cli->global.repo;
	return 0;
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
		take_output_options(cli);
		code = command_fail(cli, &err);
		goto out;
	}
	take_output_options(cli);
	if (cli->global.help) {
		help_command(&cli->out, c);
		code = EXIT_OK;
	} else if (options_resolve(&cli->global, &err) < 0 ||
		   check_operands(c, count - first, words + first, &err) < 0) {
		code = command_fail(cli, &err);
	} else {
		code = c->run(cli, options, count - first, words + first);
	}
out:
	options_wipe(c->options, options);
	free(options);
	return code;
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
	const struct command *c;
	struct err err = {0};
	int used = 0, words = 0;
	int status = options_parse_global(argc, argv, &cli->global, &used, &err);

	take_output_options(cli);
	if (status < 0)
		return command_fail(cli, &err);
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
	c = commands_find(argc - used, argv + used, &words, &err);
	if (!c)
		return command_fail(cli, &err);
	return run_command(cli, c, argc - used - words + 1, argv + used + words - 1);
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
			out_exit_error(&cli->out, EXIT_FAILED, err.text);
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
	return (int)conclude(&cli);
}
