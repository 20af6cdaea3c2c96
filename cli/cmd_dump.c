#include "cli/command.h"

#include <stdlib.h>

#include "cli/mending.h"
#include "cli/paths.h"
#include "cli/process.h"
#include "cli/session.h"
#include "repo/browse.h"

struct dump_words {
	const char *host;
};

const struct option_spec cmd_dump_options[] = {
    {"host", 0, OPTION_STRING, offsetof(struct dump_words, host), "NAME",
     "'latest' means the latest of NAME"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_dump_options_bytes = sizeof(struct dump_words);

static int print_bytes(void *arg, const void *bytes, size_t len, struct err *err)
{
	struct cli *cli = arg;

	if (process_interrupted())
		return err_set(err, ERR_CANCELLED, "interrupted; the output is not complete");
	out_bytes(&cli->out, bytes, len);
	if (cli->out.write_errno)
		return err_sys(err, cli->out.write_errno, "standard output");
	return 0;
}

/* A database is put together before its first byte can be given. */
static int use_scratch(struct cli *cli, struct session *s, struct err *err)
{
	char *dir = NULL;
	int r = paths_cache(&cli->global, &dir, err);

	if (!r)
		r = reader_set_scratch(s->reader, dir, err);
	free(dir);
	return r;
}

enum exit_code cmd_dump(struct cli *cli, const void *options, int count, char **operands)
{
	const struct dump_words *w = options;
	const struct manifest_item *item;
	struct session s = {0};
	struct err err = {0};
	const char *sub, *path;
	int r = session_open_reader(cli, "dump", &s, &err);

	if (!r)
		r = session_find(cli, &s, operands[0], w->host, &item, &sub, &err);
	if (!r) {
		path = count > 1 ? operands[1] : sub;
		if (path && (count == 1 || !sub))
			r = use_scratch(cli, &s, &err);
		else
			r = err_set(&err, ERR_USAGE,
				    "'dump' needs one file: dump MANIFEST:/path/of/the/file");
		if (!r)
			r = browse_dump(s.reader, &item->m, path, print_bytes, cli, &err);
	}
	session_close(&s);
	mending_hint(&err);
	/* What stdout refused is said once, at the end, and a reader that went away not at all. */
	if (r && cli->out.write_errno)
		return EXIT_FAILED;
	return r ? command_fail(cli, &err) : EXIT_OK;
}
