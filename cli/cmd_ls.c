#include "cli/command.h"

#include <string.h>

#include "cli/session.h"
#include "cli/text.h"
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

static const char *type_name(uint8_t type)
{
	static const char *const names[] = {"",     "file",   "dir",     "symlink",
					    "fifo", "socket", "chardev", "dev"};

	return names[type <= ENTRY_BLOCK ? type : 0];
}

static void mode_text(const struct entry *e, char out[11])
{
	static const char types[] = "?-dlpscb";
	static const char bits[] = "rwxrwxrwx";

	out[0] = types[e->type <= ENTRY_BLOCK ? e->type : 0];
	for (unsigned i = 0; i < 9; i++)
		out[i + 1] = e->mode >> (8 - i) & 1 ? bits[i] : '-';
	if (e->mode & 04000)
		out[3] = e->mode & 0100 ? 's' : 'S';
	if (e->mode & 02000)
		out[6] = e->mode & 010 ? 's' : 'S';
	if (e->mode & 01000)
		out[9] = e->mode & 01 ? 't' : 'T';
	out[10] = '\0';
}

static void print_json(struct out *out, const char *path, const struct entry *e)
{
	struct json j = {0};
	char time[TEXT_TIME_CHARS], mode[11];

	mode_text(e, mode);
	text_time_json(e->mtime_s, e->mtime_ns, time);
	json_object(&j, NULL);
	json_str(&j, "message_type", "node");
	json_bytes(&j, "name", e->name.p, e->name.len);
	json_str(&j, "type", type_name(e->type));
	json_str(&j, "path", path);
	json_u64(&j, "uid", e->uid);
	json_u64(&j, "gid", e->gid);
	json_bytes(&j, "user", e->user.p, e->user.len);
	json_bytes(&j, "group", e->group.p, e->group.len);
	if (e->type == ENTRY_FILE)
		json_u64(&j, "size", e->size);
	json_u64(&j, "mode", e->mode);
	json_str(&j, "permissions", mode);
	json_str(&j, "mtime", time);
	json_bool(&j, "database", e->type == ENTRY_FILE && e->encoding == ENCODING_DATABASE);
	if (e->type == ENTRY_SYMLINK)
		json_bytes(&j, "linktarget", e->target.p, e->target.len);
	json_close(&j);
	out_json(out, &j);
	json_free(&j);
}

struct ls {
	struct cli *cli;
	bool long_form;
};

static int print_entry(void *arg, const char *path, const struct entry *e, struct err *err)
{
	const struct ls *ls = arg;
	char shown[4096], target[1024] = "", mode[11], time[TEXT_TIME_CHARS];

	(void)err;
	if (ls->cli->out.json) {
		print_json(&ls->cli->out, path, e);
		return 0;
	}
	(void)text_printable(path, shown, sizeof(shown));
	if (!ls->long_form) {
		out_line(&ls->cli->out, "%s", shown);
		return 0;
	}
	if (e->type == ENTRY_SYMLINK && e->target.len < sizeof(target)) {
		char raw[1024];

		memcpy(raw, e->target.p, e->target.len);
		raw[e->target.len] = '\0';
		(void)text_printable(raw, target, sizeof(target));
	}
	mode_text(e, mode);
	text_time_local(e->mtime_s, time);
	out_line(&ls->cli->out, "%s %6u %6u %12llu %s %s%s%s", mode, e->uid, e->gid,
		 (unsigned long long)(e->type == ENTRY_FILE ? e->size : 0), time, shown,
		 *target ? " -> " : "", target);
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
	int r = session_open_reader(cli, &s, &err);

	if (!r)
		r = session_find(cli, &s, operands[0], w->host, &item, &sub, &err);
	if (!r && count == 1)
		r = browse_list(s.reader, &item->m, sub, print_entry, &ls, &err);
	for (int i = 1; !r && i < count; i++)
		r = browse_list(s.reader, &item->m, operands[i], print_entry, &ls, &err);
	session_close(&s);
	return r ? command_fail(cli, &err) : EXIT_OK;
}
