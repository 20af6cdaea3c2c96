#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/parity_word.h"
#include "cli/secret.h"
#include "cli/session.h"
#include "core/keyfile.h"
#include "core/parity.h"
#include "repo/durable.h"
#include "repo/store_stack.h"

struct init_words {
	const char *parity;
};

const struct option_spec cmd_init_options[] = {
    {"parity", 0, OPTION_STRING, offsetof(struct init_words, parity), "off|2|4",
     "parity of the packs: so many damaged blocks of 64 can be mended (default 2)"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_init_options_bytes = sizeof(struct init_words);

static void print_result(struct cli *cli, const struct store *store, const struct keys *keys)
{
	struct json j = {0};
	char id[2 * REPO_ID_BYTES + 1] = "";

	for (size_t i = 0; i < REPO_ID_BYTES; i++) {
		static const char digits[] = "0123456789abcdef";

		id[2 * i] = digits[keys->repo[i] >> 4];
		id[2 * i + 1] = digits[keys->repo[i] & 15];
	}
	if (cli->out.json) {
		json_object(&j, NULL);
		json_str(&j, "message_type", "initialized");
		json_str(&j, "id", id);
		json_str(&j, "repository", store->location);
		json_close(&j);
		out_json(&cli->out, &j);
		json_free(&j);
		return;
	}
	out_note(&cli->out, "created repository %.8s at %s", id, store->location);
	if (cli->global.key_file)
		out_note(&cli->out,
			 "The key is in %s. Keep a copy of it away from this machine:\n"
			 "without it nobody, and no tool, can ever read a backup.",
			 cli->global.key_file);
	else
		out_note(&cli->out,
			 "Keep the password away from this machine, too: without it nobody,\n"
			 "and no tool, can ever read a backup.");
}

/* False when it cannot be told: a repository without its key would have to be taken away by hand. */
static bool made_none(struct store *store, int failed)
{
	struct err ignored = {0};
	uint64_t bytes;

	return failed == -ERR_EXISTS ||
	       store_size(store, STORE_CONFIG, NULL, &bytes, &ignored) == -ERR_MISSING;
}

/*
 * The key file comes first: a repository whose key was lost on the way would be worse than none. So an init that is killed may
 * leave one to no repository; it is not taken for that, because it may as well be another repository's.
 */
static int init_with_keyfile(struct cli *cli, struct store *store, struct keys *keys,
			     struct repo_init_options *options, struct err *err)
{
	struct buf text = {0};
	bool written = false;
	int r = keyfile_enc(keys, ROLE_FULL, &text, err);

	if (!r) {
		r = durable_create(cli->global.key_file, text.data, text.len, err);
		written = !r;
	}
	if (r == -ERR_EXISTS)
		r = err_set(
		    err, ERR_EXISTS,
		    "%s: exists already; it was not touched (if it was left by an init that was "
		    "cut off, move it away and run init again)",
		    cli->global.key_file);
	if (!r)
		r = repo_init(store, keys, options, err);
	if (r && written && made_none(store, r))
		(void)unlink(cli->global.key_file);
	else if (r && written)
		(void)err_set(err, (enum err_code)err->code,
			      "%s; perhaps the repository is made: its key stays in %s, and "
			      "'nightjar check' says if it serves",
			      err->text, cli->global.key_file);
	buf_wipe(&text);
	return r;
}

static int init_with_password(struct cli *cli, struct store *store, struct keys *keys,
			      struct repo_init_options *options, struct err *err)
{
	struct secret secret = {0};
	int r = session_password(cli, true, &secret, err);

	if (!r) {
		options->password = secret.bytes;
		options->password_len = secret.len;
		r = repo_init(store, keys, options, err);
	}
	secret_free(&secret);
	return r;
}

/* Said before a password is asked for or a key file made. */
static int refuse_existing(struct store *store, struct err *err)
{
	int r = session_probe(store, err);

	if (r == -ERR_NOREPO)
		return err_set(err, ERR_EXISTS, "%s", err->text);
	if (r > 0)
		return err_set(err, ERR_EXISTS,
			       "%s: there is a repository already; nothing was changed",
			       store->location);
	return r == -ERR_MISSING ? 0 : r;
}

enum exit_code cmd_init(struct cli *cli, const void *options, int count, char **operands)
{
	const struct init_words *w = options;
	struct repo_init_options init = {.now_s = (int64_t)time(NULL), .parity = PARITY_DEFAULT};
	struct store *store = NULL;
	struct keys *keys = NULL;
	struct err err = {0};
	const char *location = NULL;
	int r = parity_word_check(w->parity, &err);

	(void)count;
	(void)operands;
	session_label(&init.label);
	if (!r)
		r = command_repo(cli, &location, &err);
	parity_word_set(w->parity ? w->parity : cli->global.parity, &init.parity);
	if (!r)
		r = store_stack_open(location, &cli->net, NULL, &store, &err);
	if (!r)
		r = refuse_existing(store, &err);
	if (!r)
		r = repo_new_keys(&keys, &err);
	if (!r)
		r = cli->global.key_file ? init_with_keyfile(cli, store, keys, &init, &err)
					 : init_with_password(cli, store, keys, &init, &err);
	if (!r)
		print_result(cli, store, keys);
	keys_free(keys);
	store_free(store);
	return r ? command_fail(cli, &err) : EXIT_OK;
}
