#include "cli/command.h"

#include <string.h>

const struct command commands[] = {
    {"help", NULL, "show help about a command", "[COMMAND]", NULL, 0, 2, NULL, 0, cmd_help},
    {"version", NULL, "show the version of nightjar and its libraries", "", NULL, 0, 0, NULL, 0,
     cmd_version},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, 0, NULL},
};

/* How many of the words spell name: 0, 1 or 2. */
static int words_of(const char *name, int count, char **words)
{
	const char *space = strchr(name, ' ');
	size_t first = space ? (size_t)(space - name) : strlen(name);

	if (strlen(words[0]) != first || memcmp(words[0], name, first) != 0)
		return 0;
	if (!space)
		return 1;
	return count > 1 && strcmp(words[1], space + 1) == 0 ? 2 : 0;
}

bool commands_is_group(const char *word)
{
	size_t len = strlen(word);

	for (const struct command *c = commands; c->name; c++) {
		if (strncmp(c->name, word, len) == 0 && c->name[len] == ' ')
			return true;
	}
	return false;
}

/* The members of a group, as "add, list, remove". */
static int refuse_group(const char *word, struct err *err)
{
	char members[256] = "";
	size_t len = strlen(word), used = 0;

	for (const struct command *c = commands; c->name; c++) {
		const char *rest = c->name + len + 1;

		if (strncmp(c->name, word, len) != 0 || c->name[len] != ' ')
			continue;
		if (used + strlen(rest) + 3 > sizeof(members))
			break;
		if (used > 0) {
			memcpy(members + used, ", ", 2);
			used += 2;
		}
		memcpy(members + used, rest, strlen(rest) + 1);
		used += strlen(rest);
	}
	return err_set(err, ERR_USAGE, "'%s' needs one of: %s", word, members);
}

const struct command *commands_find(int count, char **words, int *out_words, struct err *err)
{
	for (const struct command *c = commands; c->name; c++) {
		*out_words = words_of(c->name, count, words);
		if (*out_words > 0)
			return c;
		if (c->alias && strcmp(c->alias, words[0]) == 0) {
			*out_words = 1;
			return c;
		}
	}
	if (commands_is_group(words[0]))
		(void)refuse_group(words[0], err);
	else
		(void)err_set(err, ERR_USAGE,
			      "unknown command '%s'; 'nightjar help' lists the commands", words[0]);
	return NULL;
}
