#include "cli/incidents.h"

#include <stdio.h>

void incidents_free(struct incidents *n)
{
	lines_free(&n->alarms);
}

void incidents_missing(struct cli *cli, const char *database, const char *path, const char *text)
{
	char item[300];

	(void)snprintf(item, sizeof(item), "--refs %.250s", database);
	out_error(&cli->out, "references", *path ? path : item, text);
	exit_add(&cli->codes, EXIT_REFS);
}

/* An error, and so not muted by --quiet: it is what the mail of a night is for. */
void incidents_alarm(struct incidents *n, struct cli *cli, const char *path, const char *what,
		     const struct id *manifest)
{
	char hex[ID_HEX_CHARS + 1], text[9000];
	struct err err = {0};

	id_hex(manifest, hex);
	(void)snprintf(text, sizeof(text),
		       "ALARM: %.4000s %s, though files in its folder never change; manifest %.*s "
		       "has the old one: nightjar dump '%.*s:%.4000s' > FILE",
		       path, what, ID_SHORT_CHARS, hex, ID_SHORT_CHARS, hex, path);
	out_error(&cli->out, "immutable", path, text);
	if (n->incomplete || n->alarms.count >= INCIDENTS_ALARMS * 3)
		return;
	n->incomplete = lines_add(&n->alarms, path, &err) != 0 ||
			lines_add(&n->alarms, what, &err) != 0 ||
			lines_add(&n->alarms, hex, &err) != 0;
}

void incidents_reference_json(struct json *j, const struct manifest_ref *ref)
{
	json_object(j, NULL);
	json_str(j, "database", ref->database);
	json_str(j, "query", ref->query);
	json_u64(j, "referenced", ref->referenced);
	json_u64(j, "missing", ref->missing);
	json_u64(j, "orphans", ref->orphans);
	json_close(j);
}

void incidents_alarms_json(const struct incidents *n, struct json *j)
{
	json_array(j, "alarms");
	for (size_t i = 0; i + 2 < n->alarms.count; i += 3) {
		json_object(j, NULL);
		json_str(j, "path", n->alarms.items[i]);
		json_str(j, "message", n->alarms.items[i + 1]);
		json_str(j, "manifest_id", n->alarms.items[i + 2]);
		json_close(j);
	}
	json_close(j);
}

void incidents_counts_json(const struct backup_result *res, struct json *j)
{
	json_u64(j, "files_carried_over", res->carried);
	json_u64(j, "references_missing", res->refs_missing);
	json_u64(j, "references_failed", res->refs_failed);
	json_u64(j, "references_not_hashed", res->refs_unhashed);
	json_u64(j, "immutable_alarms", res->alarms);
}

void incidents_print(struct cli *cli, const struct backup_result *res)
{
	if (res->carried)
		out_note(&cli->out,
			 "files that vanished during the backup and were kept from the last one: "
			 "%llu",
			 (unsigned long long)res->carried);
	if (res->refs_missing)
		out_note(&cli->out, "files that databases name and that are MISSING: %llu",
			 (unsigned long long)res->refs_missing);
	if (res->refs_failed)
		out_note(&cli->out, "queries of --refs that could NOT be run: %llu",
			 (unsigned long long)res->refs_failed);
	if (res->refs_unhashed)
		out_detail(&cli->out,
			   "not read in this backup, so their SHA-256 was not compared: %llu",
			   (unsigned long long)res->refs_unhashed);
	if (res->alarms)
		out_note(&cli->out,
			 "ALARM: files of immutable folders that are not what they were: %llu",
			 (unsigned long long)res->alarms);
}
