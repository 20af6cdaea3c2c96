#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "cli/manifest_json.h"
#include "cli/session.h"
#include "cli/text.h"

#define NS_PER_S 1000000000

static const char *verdict_word(uint8_t verdict)
{
	static const char *const words[] = {"", "ok", "failed", "unchecked"};

	return words[verdict <= 3 ? verdict : 0];
}

static void json_hex(struct json *j, const char *key, const uint8_t digest[32])
{
	char hex[ID_HEX_CHARS + 1];
	struct id id;

	memcpy(id.b, digest, sizeof(id.b));
	id_hex(&id, hex);
	json_str(j, key, hex);
}

static void json_tables(struct json *j, const struct manifest_db *db)
{
	json_array(j, "tables");
	for (size_t i = 0; i < db->table_count; i++) {
		json_object(j, NULL);
		json_str(j, "name", db->tables[i].name);
		json_u64(j, "rows", db->tables[i].rows);
		json_close(j);
	}
	json_close(j);
}

static void json_databases(struct json *j, const struct manifest *m)
{
	static const char *const methods[] = {"", "vacuum", "pages", "raw"};

	json_array(j, "databases");
	for (size_t i = 0; i < m->db_count; i++) {
		const struct manifest_db *db = &m->dbs[i];

		json_object(j, NULL);
		json_str(j, "path", db->path);
		json_str(j, "method", methods[db->method <= 3 ? db->method : 0]);
		json_str(j, "check", db->check == 2 ? "integrity_check" : "quick_check");
		json_str(j, "verdict", verdict_word(db->verdict));
		json_u64(j, "bytes", db->image_bytes);
		json_str(j, "journal_mode", db->journal_mode);
		json_u64(j, "page_size", db->page_size);
		json_hex(j, "image_sha256", db->image_sha256);
		json_hex(j, "schema_hash", db->schema_hash);
		json_tables(j, db);
		json_close(j);
	}
	json_close(j);
}

static void json_verdicts(struct json *j, const struct manifest *m)
{
	json_array(j, "verdicts");
	for (size_t i = 0; i < m->verdict_count; i++)
		json_str(j, NULL, verdict_word(m->verdicts[i]));
	json_close(j);
}

static void json_manifest(struct json *j, const struct manifest_item *item)
{
	json_object(j, NULL);
	manifest_json_put(j, item);
	if (item->m.has_read)
		json_databases(j, &item->m);
	else if (item->m.has_maint)
		json_verdicts(j, &item->m);
	json_close(j);
}

static void print_json(struct out *out, const struct manifest_list *list)
{
	struct json j = {0};

	json_array(&j, NULL);
	for (size_t i = 0; i < list->count; i++)
		json_manifest(&j, &list->items[i]);
	json_close(&j);
	out_json(out, &j);
	json_free(&j);
}

/* The worst verdict of the manifest's databases, in a word. */
static const char *worst_verdict(const struct manifest *m)
{
	uint8_t worst = 0;

	for (size_t i = 0; i < m->verdict_count; i++) {
		uint8_t v = m->verdicts[i];

		if (v == 2 || worst == 0 || (v == 3 && worst == 1))
			worst = v;
		if (worst == 2)
			break;
	}
	return worst ? verdict_word(worst) : "-";
}

/* "  [keep,prod]", or nothing; cut when there are too many to show. */
static void join_tags(const struct manifest *m, char *out, size_t out_size)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < m->tag_count && used + 4 < out_size; i++) {
		char shown[LIMIT_TAG_BYTES + 1];

		(void)text_printable(m->tags[i], shown, sizeof(shown));
		(void)snprintf(out + used, out_size - used - 1, "%s%s", i ? "," : "  [", shown);
		used = strlen(out);
	}
	if (used)
		memcpy(out + used, "]", 2);
}

/* One row, and one for each further path. */
static void print_row(struct out *out, const struct manifest_item *item)
{
	const struct manifest *m = &item->m;
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS], size[TEXT_SIZE_CHARS];
	char host[1024], path[8192], tags[512];

	id_hex(&item->name, hex);
	text_time_local(m->time_ns / NS_PER_S, time);
	if (m->has_maint)
		text_size(m->bytes, size);
	else
		(void)snprintf(size, sizeof(size), "?");
	(void)text_printable(m->host ? m->host : "?", host, sizeof(host));
	(void)text_printable(m->source_count ? m->sources[0] : "?", path, sizeof(path));
	join_tags(m, tags, sizeof(tags));
	out_line(out, "%.*s  %-19s  %-16s  %10s  %-9s  %s%s%s", ID_SHORT_CHARS, hex, time, host,
		 size, worst_verdict(m), path, tags, m->incomplete ? "  (incomplete)" : "");
	for (size_t k = 1; k < m->source_count; k++) {
		(void)text_printable(m->sources[k], path, sizeof(path));
		out_line(out, "%71s  %s", "", path);
	}
}

/* For who sees no names. */
static void print_nameless(struct out *out, const struct manifest_item *item)
{
	const struct manifest *m = &item->m;
	char hex[ID_HEX_CHARS + 1], writer[ID_HEX_CHARS + 1], group[ID_HEX_CHARS + 1];
	char time[TEXT_TIME_CHARS], size[TEXT_SIZE_CHARS];
	struct id id;

	id_hex(&item->name, hex);
	memcpy(id.b, m->writer, sizeof(id.b));
	id_hex(&id, writer);
	id_hex(&m->group, group);
	text_time_local(m->time_ns / NS_PER_S, time);
	text_size(m->bytes, size);
	out_line(out, "%.*s  %-19s  %.*s  %.*s  %10s  %-9s%s", ID_SHORT_CHARS, hex, time,
		 ID_SHORT_CHARS, writer, ID_SHORT_CHARS, group, size, worst_verdict(m),
		 m->incomplete ? "  (incomplete)" : "");
}

static void print_rows(struct out *out, const struct manifest_list *list, bool nameless)
{
	if (list->count && nameless)
		out_note(out, "%-8s  %-19s  %-8s  %-8s  %10s  %s", "ID", "Time", "Writer", "Group",
			 "Size", "Databases");
	else if (list->count)
		out_note(out, "%-8s  %-19s  %-16s  %10s  %-9s  %s", "ID", "Time", "Host", "Size",
			 "Databases", "Paths");
	for (size_t i = 0; i < list->count; i++) {
		if (nameless)
			print_nameless(out, &list->items[i]);
		else
			print_row(out, &list->items[i]);
	}
	out_note(out, "%zu manifest%s", list->count, text_plural(list->count));
	if (nameless)
		out_note(out, "a maintain key sees no names: a group is one host and its paths");
}

/* They are in the list, but without a name; what to do about it is one line, however many they are. */
static void tell_unreadable(struct cli *cli, const struct session *s)
{
	struct err first = {0};
	size_t count = 0;

	for (size_t i = 0; i < s->manifests.count; i++) {
		struct err why = {0};

		if (manifests_readable(s->repo, &s->manifests.items[i], &why) == 0)
			continue;
		if (count++ == 0)
			first = why;
	}
	if (count == 0)
		return;
	if (count > 1)
		(void)err_prefix(&first, "%zu backups cannot be read by this key, the first is",
				 count);
	out_error(&cli->out, "manifests", NULL, first.text);
	exit_add(&cli->codes, EXIT_KEY);
}

enum exit_code cmd_manifests(struct cli *cli, const void *options, int count, char **operands)
{
	struct session s = {0};
	struct err err = {0};

	(void)options;
	(void)count;
	(void)operands;
	if (session_open_manifests(cli, &s, &err) < 0)
		return command_fail(cli, &err);
	if (cli->out.json)
		print_json(&cli->out, &s.manifests);
	else
		print_rows(&cli->out, &s.manifests, s.repo->keys->role == ROLE_MAINTAIN);
	if (!cli->out.json && s.repo->keys->role == ROLE_WRITE)
		out_note(&cli->out, "a write key sees no more; a full or read key does");
	tell_unreadable(cli, &s);
	if (s.manifests.bad)
		exit_add(&cli->codes, EXIT_FAILED);
	session_close(&s);
	return EXIT_OK;
}
