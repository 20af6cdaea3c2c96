#include "cli/command.h"

#include <string.h>

#include "cli/session.h"
#include "repo/keyexport.h"

struct export_words {
	const char *role, *host;
	bool own_domain;
};

const struct option_spec cmd_key_export_options[] = {
    {"role", 0, OPTION_STRING, offsetof(struct export_words, role), "ROLE",
     "full, write, maintain or read; see below"},
    {"host", 0, OPTION_STRING, offsetof(struct export_words, host), "NAME",
     "write: the host that it is for (default: this machine's name)"},
    {"own-domain", 0, OPTION_FLAG, offsetof(struct export_words, own_domain), NULL,
     "write: share no data with other hosts; see below"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_key_export_options_bytes = sizeof(struct export_words);

static int judge(const struct export_words *w, enum role *out_role, struct err *err)
{
	if (!w->role)
		return err_set(err, ERR_USAGE,
			       "'key export' needs --role full, write, maintain or read");
	if (!role_from_name(w->role, out_role))
		return err_set(err, ERR_USAGE,
			       "--role takes full, write, maintain or read, not '%s'", w->role);
	if (*out_role != ROLE_WRITE && (w->own_domain || w->host))
		return err_set(err, ERR_USAGE, "%s is for --role write only",
			       w->own_domain ? "--own-domain" : "--host");
	return 0;
}

static void tell_write(struct cli *cli, const struct keyexport_options *o,
		       const struct keyexport_result *res, const char *path)
{
	out_note(&cli->out,
		 "%s makes backups of host %s. It cannot read any backup, delete, or write as\n"
		 "another host.",
		 path, o->host);
	if (o->own_domain)
		out_note(&cli->out,
			 "Read keys that were exported before cannot read this host: export them "
			 "again.");
	else if (res->domain == 0)
		out_note(&cli->out,
			 "It shares data with the other hosts of this repository; --own-domain "
			 "would not.");
}

static void tell(struct cli *cli, const struct keyexport_options *o,
		 const struct keyexport_result *res, const char *path)
{
	switch (o->role) {
	case ROLE_FULL:
		out_note(&cli->out, "%s can do everything, as long as this repository exists.",
			 path);
		return;
	case ROLE_WRITE:
		tell_write(cli, o, res, path);
		return;
	case ROLE_MAINTAIN:
		out_note(&cli->out,
			 "%s checks, forgets, prunes and repairs. It cannot read names or "
			 "contents, or make a\nbackup.",
			 path);
		return;
	case ROLE_READ:
		out_note(
		    &cli->out,
		    "%s restores and verifies every backup. It cannot make a backup or delete.\n"
		    "It is to be exported again after 'key rotate', and after a host with "
		    "--own-domain came.",
		    path);
		return;
	}
}

static void print_json(struct cli *cli, const struct keyexport_options *o,
		       const struct keyexport_result *res, const char *path)
{
	struct json j = {0};
	char hex[ID_HEX_CHARS + 1];
	struct id id;

	json_object(&j, NULL);
	json_str(&j, "message_type", "key_exported");
	json_str(&j, "role", role_name(o->role));
	json_str(&j, "path", path);
	if (o->role == ROLE_WRITE) {
		memcpy(id.b, res->writer, sizeof(id.b));
		id_hex(&id, hex);
		json_str(&j, "writer", hex);
		json_str(&j, "hostName", o->host);
		json_u64(&j, "domain", res->domain);
	}
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

enum exit_code cmd_key_export(struct cli *cli, const void *options, int count, char **operands)
{
	const struct export_words *w = options;
	char host[256];
	struct keyexport_options o = {.host = host, .own_domain = w->own_domain};
	struct keyexport_result res;
	struct session s = {0};
	struct err err = {0};
	int r = judge(w, &o.role, &err);

	(void)count;
	if (!r && o.role == ROLE_WRITE)
		r = session_host(w->host, host, &err);
	if (!r)
		r = session_open(cli, &s, &err);
	if (!r)
		r = keyexport_file(s.repo, &o, operands[0], &res, &err);
	session_close(&s);
	if (r)
		return command_fail(cli, &err);
	if (cli->out.json)
		print_json(cli, &o, &res, operands[0]);
	else
		tell(cli, &o, &res, operands[0]);
	return EXIT_OK;
}

enum exit_code cmd_key_rotate(struct cli *cli, const void *options, int count, char **operands)
{
	struct session s = {0};
	struct err err = {0};
	struct json j = {0};
	uint32_t epoch = 0;
	int r = session_open(cli, &s, &err);

	(void)options;
	(void)count;
	(void)operands;
	if (!r)
		r = keyexport_rotate(s.repo, &epoch, &err);
	session_close(&s);
	if (r)
		return command_fail(cli, &err);
	out_note(&cli->out,
		 "Backups that begin from now on are sealed for read key %u. A read key that was "
		 "exported\nbefore opens the older ones only: export those that are to read on "
		 "again.",
		 epoch);
	if (!cli->out.json)
		return EXIT_OK;
	json_object(&j, NULL);
	json_str(&j, "message_type", "key_rotated");
	json_u64(&j, "epoch", epoch);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
	return EXIT_OK;
}
