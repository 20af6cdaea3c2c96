/* `restore` between the hooks that the configuration file has for it. */
#include "cli/command.h"

#include <stdlib.h>
#include <string.h>

#include "cli/hook.h"

static enum exit_code run_hook(struct cli *cli, const char *event, const char *script,
			       enum exit_code so_far)
{
	const struct hook_facts facts = {.event = event, .exit_code = (int)so_far};
	struct err err = {0};

	if (!script || hook_run(&cli->out, script, cli->file.config.restore_hooks.time_limit_s,
				&facts, &err) == 0)
		return EXIT_OK;
	out_error(&cli->out, "hook", NULL, err.text);
	return exit_of_err(&err);
}

enum exit_code cmd_restore_hooked(struct cli *cli, const void *options, int count, char **operands)
{
	const struct config_hooks *h = &cli->file.config.restore_hooks;
	struct exit_codes codes = {0};
	struct err err = {0};

	/* On the worst day a file that does not read is no reason to restore nothing. */
	if (command_config(cli, &err)) {
		if (!options_complete(&cli->global) || err.code == ERR_NOMEM)
			return command_fail(cli, &err);
		out_warning(&cli->out,
			    "%s; the repository and the key were given without it, so it is "
			    "ignored, and with it the hooks that it may have for 'restore'",
			    err.text);
	}
	/* What only says what it would do must not stop an application. */
	if (options_flag(cmd_restore_options, options, "dry-run"))
		return cmd_restore(cli, options, count, operands);
	exit_add(&codes, run_hook(cli, "before", h->before, EXIT_OK));
	if (exit_first(&codes) == EXIT_OK)
		exit_add(&codes, cmd_restore(cli, options, count, operands));
	else
		out_error(&cli->out, "hook", NULL, "nothing was restored");
	codes.seen |= cli->codes.seen;
	if (exit_first(&codes) != EXIT_OK)
		exit_add(&codes, run_hook(cli, "failed", h->failed, exit_first(&codes)));
	exit_add(&codes, run_hook(cli, "after", h->after, exit_first(&codes)));
	cli->codes.seen |= codes.seen;
	return exit_first(&codes);
}
