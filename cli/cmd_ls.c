#include "cli/command.h"

#include "cli/entry.h"
#include "cli/process.h"
#include "cli/session.h"
#include "repo/browse.h"

struct ls_words {
	const char *host;
	bool long_form;
};

const struct option_spec cmd_ls_options[] = {
    {"long", 'l', OPTION_FLAG, offsetof(struct ls_words, long_form), NULL,
     "show mode, owner, size and time, too"},
    {"host", 0, OPTION_STRING, offsetof(struct ls_words, host), "NAME",
     "'latest' means the latest of NAME"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_ls_options_bytes = sizeof(struct ls_words);

struct ls {
	struct cli *cli;
	bool long_form;
};

static int print_entry(void *arg, const char *path, const struct entry *e, struct err *err)
{
	const struct ls *ls = arg;
	struct json j = {0};

	if (process_interrupted())
		return err_set(err, ERR_CANCELLED, "interrupted; the list is not complete");
	if (ls->cli->out.write_errno)
		return err_sys(err, ls->cli->out.write_errno, "standard output");
	if (!ls->cli->out.json) {
		entry_line(&ls->cli->out, path, e, ls->long_form);
		return 0;
	}
	json_object(&j, NULL);
	json_str(&j, "message_type", "node");
	entry_json(&j, path, e);
	json_close(&j);
	out_json(&ls->cli->out, &j);
	json_free(&j);
	return 0;
}

enum exit_code cmd_ls(struct cli *cli, const void *options, int count, char **operands)
{
	const struct ls_words *w = options;
	struct ls ls = {cli, w->long_form};
	const struct manifest_item *item;
	struct session s = {0};
	struct err err = {0};
	const char *sub;
	int r = session_open_reader(cli, "ls", &s, &err);

	if (!r)
		r = session_find(cli, &s, operands[0], w->host, &item, &sub, &err);
	if (!r && count == 1)
		r = browse_list(s.reader, &item->m, sub, print_entry, &ls, &err);
	for (int i = 1; !r && i < count; i++)
		r = browse_list(s.reader, &item->m, operands[i], print_entry, &ls, &err);
	session_close(&s);
	/* What stdout refused is said once, at the end, and a reader that went away not at all. */
	if (r && cli->out.write_errno)
		return EXIT_FAILED;
	return r ? command_fail(cli, &err) : EXIT_OK;
}
