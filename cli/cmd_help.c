#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#define COLUMN 26

/* Bytes that take no column of their own: the later ones of a character. */
static int later_bytes(const char *text)
{
	int count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xc0) == 0x80;
	return count;
}

/* "  -r, --repo REPO", then the help at a common column. */
static void help_options(struct out *out, const char *title, const struct option_spec *specs)
{
	char left[64], letter[5];

	if (!specs || !specs->name)
		return;
	out_line(out, "\n%s:", title);
	for (; specs->name; specs++) {
		(void)snprintf(letter, sizeof(letter), "    ");
		if (specs->letter)
			(void)snprintf(letter, sizeof(letter), "-%c, ", specs->letter);
		(void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, specs->name,
			       specs->value ? " " : "", specs->value ? specs->value : "");
		out_line(out, "  %-*s  %s", COLUMN + later_bytes(left), left, specs->help);
	}
}

static void list_commands(struct out *out, const char *group)
{
	size_t len = group ? strlen(group) : 0;

	for (const struct command *c = commands; c->name; c++) {
		if (!group || (strncmp(c->name, group, len) == 0 && c->name[len] == ' '))
			out_line(out, "  %-16s  %s", c->name, c->summary);
	}
}

void help_list(struct out *out)
{
	out->json = false;
	out_line(out, "nightjar: deduplicating, encrypted backups of SQLite databases and files");
	out_line(out, "\nUsage: nightjar [OPTION…] COMMAND [OPTION…] [OPERAND…]\n\nCommands:");
	list_commands(out, NULL);
	help_options(out, "Options of every command", options_global_specs);
	out_line(out,
		 "\n'nightjar help COMMAND' tells more about one, 'nightjar help config' about the "
		 "configuration file.");
}

void help_group(struct out *out, const char *word)
{
	out->json = false;
	out_line(out, "Usage: nightjar %s COMMAND\n\nCommands:", word);
	list_commands(out, word);
}

void help_command(struct out *out, const struct command *command)
{
	out->json = false;
	out_line(out, "Usage: nightjar %s%s%s%s", command->name,
		 command->options ? " [OPTION…]" : "", command->operands[0] ? " " : "",
		 command->operands);
	out_line(out, "\n%s", command->summary);
	if (command->alias)
		out_line(out, "Also called '%s'.", command->alias);
	if (command->detail)
		out_line(out, "\n%s", command->detail);
	help_options(out, "Options", command->options);
	help_options(out, "Options of every command", options_global_specs);
}

enum exit_code cmd_help(struct cli *cli, const void *options, int count, char **operands)
{
	const struct command *command;
	struct err err = {0};
	int words = 0;

	(void)options;
	if (count == 0) {
		help_list(&cli->out);
		return EXIT_OK;
	}
	if (count == 1 && strcmp(operands[0], "config") == 0) {
		out_bytes(&cli->out, config_example, strlen(config_example));
		return EXIT_OK;
	}
	if (count == 1 && commands_is_group(operands[0])) {
		help_group(&cli->out, operands[0]);
		return EXIT_OK;
	}
	command = commands_find(count, operands, &words, &err);
	if (command && words < count)
		(void)err_set(&err, ERR_USAGE, "unknown command '%s %s'", operands[0], operands[1]);
	if (err.code)
		return command_fail(cli, &err);
	help_command(&cli->out, command);
	return EXIT_OK;
}
