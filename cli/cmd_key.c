#include "cli/command.h"

#include <stdlib.h>

#include "cli/secret.h"
#include "cli/session.h"
#include "cli/text.h"
#include "repo/keyadmin.h"

struct key_words {
	const char *new_password_file;
};

const struct option_spec cmd_key_options[] = {
    {"new-password-file", 0, OPTION_STRING, offsetof(struct key_words, new_password_file), "FILE",
     "read the new password from FILE instead of the terminal"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_key_options_bytes = sizeof(struct key_words);

static int new_password(const struct key_words *w, struct secret *out_secret, struct err *err)
{
	bool tolerated;

	if (w->new_password_file)
		return secret_from_file(w->new_password_file, out_secret, &tolerated, err);
	return secret_from_terminal("new password: ", "new password again: ", out_secret, err);
}

static int add_slot(struct repo *repo, const struct key_words *w, struct id *out_name,
		    struct err *err)
{
	struct kdf_cost cost = {0};
	struct keyslot_label label;
	struct secret secret = {0};
	int r = new_password(w, &secret, err);

	session_label(&label);
	if (!r)
		r = keyadmin_add(repo, secret.bytes, secret.len, &cost, &label, out_name, err);
	secret_free(&secret);
	return r;
}

static void say(struct cli *cli, const char *type, const char *words, const struct id *name)
{
	char hex[ID_HEX_CHARS + 1];
	struct json j = {0};

	id_hex(name, hex);
	out_note(&cli->out, "%s %.*s", words, ID_SHORT_CHARS, hex);
	if (!cli->out.json)
		return;
	json_object(&j, NULL);
	json_str(&j, "message_type", type);
	json_str(&j, "id", hex);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

enum exit_code cmd_key_add(struct cli *cli, const void *options, int count, char **operands)
{
	struct session s = {0};
	struct err err = {0};
	struct id name;
	int r = session_open(cli, &s, &err);

	(void)count;
	(void)operands;
	if (!r)
		r = add_slot(s.repo, options, &name, &err);
	if (!r)
		say(cli, "key_added", "added key", &name);
	session_close(&s);
	return r ? command_fail(cli, &err) : EXIT_OK;
}

static void print_slot(struct cli *cli, const struct keyadmin_slot *slot)
{
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS];

	id_hex(&slot->name, hex);
	text_time_local(slot->label.created_at, time);
	out_line(&cli->out, "%.*s  %-19s  %-12s  %s", ID_SHORT_CHARS, hex,
		 slot->damaged ? "damaged" : time, slot->label.user, slot->label.host);
}

static void print_slots_json(struct cli *cli, const struct keyadmin_slot *slots, size_t count)
{
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS];
	struct json j = {0};

	json_array(&j, NULL);
	for (size_t i = 0; i < count; i++) {
		id_hex(&slots[i].name, hex);
		text_time_json(slots[i].label.created_at, 0, time);
		json_object(&j, NULL);
		json_str(&j, "id", hex);
		json_str(&j, "userName", slots[i].label.user);
		json_str(&j, "hostName", slots[i].label.host);
		json_str(&j, "created", time);
		json_bool(&j, "damaged", slots[i].damaged);
		json_close(&j);
	}
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

enum exit_code cmd_key_list(struct cli *cli, const void *options, int count, char **operands)
{
	struct keyadmin_slot *slots = NULL;
	struct session s = {0};
	struct err err = {0};
	size_t found = 0;
	int r = session_open(cli, &s, &err);

	(void)options;
	(void)count;
	(void)operands;
	if (!r)
		r = keyadmin_list(s.repo, &slots, &found, &err);
	if (!r && cli->out.json)
		print_slots_json(cli, slots, found);
	for (size_t i = 0; !r && i < found; i++)
		print_slot(cli, &slots[i]);
	free(slots);
	session_close(&s);
	return r ? command_fail(cli, &err) : EXIT_OK;
}

enum exit_code cmd_key_remove(struct cli *cli, const void *options, int count, char **operands)
{
	struct session s = {0};
	struct err err = {0};
	struct id name;
	int r = session_open(cli, &s, &err);

	(void)options;
	(void)count;
	if (!r)
		r = keyadmin_remove(s.repo, operands[0], false, &name, &err);
	if (!r)
		say(cli, "key_removed", "removed key", &name);
	session_close(&s);
	return r ? command_fail(cli, &err) : EXIT_OK;
}

/* All that the old password opens: one that was added twice must not go on opening the repository. */
static int find_old(struct cli *cli, struct repo *repo, struct id **out_names, size_t *out_count,
		    struct err *err)
{
	struct secret old = {0};
	int r = session_password(cli, false, &old, err);

	if (!r)
		r = keyadmin_find(repo, old.bytes, old.len, out_names, out_count, err);
	secret_free(&old);
	return r;
}

/* The new slot is there before the old ones go: no moment without a password. */
static int replace_slots(struct cli *cli, struct repo *repo, const struct key_words *w,
			 struct id *out_name, struct err *err)
{
	struct id *old = NULL;
	size_t count = 0;
	int r;

	if (cli->global.key_file)
		return err_set(
		    err, ERR_USAGE,
		    "'key passwd' changes the password that opens the repository; with a "
		    "key file use 'key add' and 'key remove'");
	r = find_old(cli, repo, &old, &count, err);
	if (!r)
		r = add_slot(repo, w, out_name, err);
	for (size_t i = 0; !r && i < count; i++) {
		char hex[ID_HEX_CHARS + 1];

		id_hex(&old[i], hex);
		r = keyadmin_remove(repo, hex, false, &old[i], err);
	}
	free(old);
	return r;
}

enum exit_code cmd_key_passwd(struct cli *cli, const void *options, int count, char **operands)
{
	struct session s = {0};
	struct err err = {0};
	struct id name;
	int r = session_open(cli, &s, &err);

	(void)count;
	(void)operands;
	if (!r)
		r = replace_slots(cli, s.repo, options, &name, &err);
	if (!r)
		say(cli, "key_changed", "changed the password; its key is now", &name);
	session_close(&s);
	return r ? command_fail(cli, &err) : EXIT_OK;
}
