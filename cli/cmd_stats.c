#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/paths.h"
#include "cli/process.h"
#include "cli/session.h"
#include "cli/text.h"
#include "repo/drill.h"
#include "repo/stats.h"

#define NS_PER_S 1000000000
#define NIGHTS 14 /* shown to people who do not say how many */

struct stats_words {
	struct option_number latest;
};

const struct option_spec cmd_stats_options[] = {
    {"latest", 0, OPTION_NUMBER, offsetof(struct stats_words, latest), "N",
     "show only the last N backups of each host and paths; 0 = all"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_stats_options_bytes = sizeof(struct stats_words);

static void on_bad(void *arg, const struct id *name, const struct err *why)
{
	struct cli *cli = arg;
	char hex[ID_HEX_CHARS + 1], item[64];

	id_hex(name, hex);
	(void)snprintf(item, sizeof(item), "manifest %.*s", ID_SHORT_CHARS, hex);
	out_error(&cli->out, "stats", item, why->text);
	exit_add(&cli->codes, EXIT_FAILED);
}

static int on_progress(void *arg)
{
	(void)arg;
	return process_interrupted() ? 1 : 0;
}

static double ratio(uint64_t of, uint64_t to)
{
	return to ? (double)of / (double)to : 0;
}

static unsigned long long llu(uint64_t n)
{
	return (unsigned long long)n;
}

/* --- JSON --- */

static void json_objects(struct json *j, const struct stats *s)
{
	json_object(j, "objects");
	for (int type = 0; type < STORE_TYPES; type++) {
		json_object(j, store_type_name((enum store_type)type));
		json_u64(j, "count", s->objects[type].count);
		json_u64(j, "bytes", s->objects[type].bytes);
		json_close(j);
	}
	json_close(j);
}

static void json_databases(struct json *j, const struct manifest *m,
			   const struct stats_night *night)
{
	json_array(j, "databases");
	for (size_t i = 0; i < m->db_count; i++) {
		json_object(j, NULL);
		json_str(j, "path", m->dbs[i].path);
		json_u64(j, "bytes", m->dbs[i].image_bytes);
		json_u64(j, "cells", m->dbs[i].cells);
		json_u64(j, "cells_changed", m->dbs[i].cells_changed);
		json_u64(j, "bytes_stored", m->dbs[i].bytes_stored);
		json_double(j, "plain_copy_ratio",
			    ratio(m->dbs[i].image_bytes, m->dbs[i].bytes_stored));
		json_u64(j, "data_added_packed", night->db_stored[i]);
		json_close(j);
	}
	json_close(j);
}

static void json_night(struct json *j, const struct manifest_item *item,
		       const struct stats_night *night)
{
	const struct manifest *m = &item->m;
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS];

	id_hex(&item->name, hex);
	text_time_json(m->time_ns / NS_PER_S, (uint32_t)(m->time_ns % NS_PER_S), time);
	json_object(j, NULL);
	json_str(j, "id", hex);
	json_bytes(j, "short_id", hex, ID_SHORT_CHARS);
	json_str(j, "time", time);
	if (m->has_read)
		json_str(j, "hostname", m->host);
	json_u64(j, "total_size", m->bytes);
	json_u64(j, "total_file_count", m->files);
	json_u64(j, "blobs_added", night->chunks);
	json_u64(j, "data_added", night->plain_bytes);
	json_u64(j, "data_added_packed", night->stored_bytes);
	if (m->has_read)
		json_databases(j, m, night);
	json_close(j);
}

static void json_totals(struct json *j, const struct stats *s)
{
	double compression = ratio(s->plain_bytes, s->stored_bytes);

	json_u64(j, "snapshots_count", s->night_count);
	json_u64(j, "total_restore_size", s->restore_bytes);
	json_u64(j, "total_file_count", s->restore_files);
	json_u64(j, "total_blob_count", s->chunks);
	json_u64(j, "total_uncompressed_size", s->plain_bytes);
	json_u64(j, "total_size", s->stored_bytes);
	json_u64(j, "parity_bytes", s->parity_bytes);
	json_double(j, "compression_ratio", compression);
	json_double(j, "compression_space_saving",
		    compression > 0 ? 100 * (1 - 1 / compression) : 0);
	json_double(j, "deduplication_ratio", ratio(s->restore_bytes, s->plain_bytes));
}

/* --- for people --- */

static void print_totals(struct cli *cli, const struct stats *s)
{
	char a[TEXT_SIZE_CHARS], b[TEXT_SIZE_CHARS], c[TEXT_SIZE_CHARS];
	uint64_t bytes = 0;

	for (int type = 0; type < STORE_TYPES; type++)
		bytes += s->objects[type].bytes;
	text_size(bytes, a);
	out_line(&cli->out, "%-10s %8s  %12s", "Objects", "Number", "Size");
	for (int type = 0; type < STORE_TYPES; type++) {
		text_size(s->objects[type].bytes, b);
		out_line(&cli->out, "%-10s %8llu  %12s", store_type_name((enum store_type)type),
			 llu(s->objects[type].count), b);
	}
	out_line(&cli->out, "%-10s %8s  %12s", "together", "", a);
	text_size(s->restore_bytes, a);
	text_size(s->plain_bytes, b);
	text_size(s->stored_bytes, c);
	out_line(&cli->out, "%s", "");
	out_line(&cli->out, "%llu manifest%s; restoring each would write %s in %llu file%s",
		 llu(s->night_count), text_plural(s->night_count), a, llu(s->restore_files),
		 text_plural(s->restore_files));
	out_line(&cli->out, "%llu different chunk%s of %s, deduplicated %.2f times", llu(s->chunks),
		 text_plural(s->chunks), b, ratio(s->restore_bytes, s->plain_bytes));
	out_line(&cli->out, "stored in %s, compressed %.2f times", c,
		 ratio(s->plain_bytes, s->stored_bytes));
	text_size(s->parity_bytes, a);
	if (s->parity_bytes)
		out_line(&cli->out, "parity of the packs takes %s", a);
	out_line(&cli->out, "%s", "");
}

static void print_night(struct cli *cli, const struct manifest_item *item,
			const struct stats_night *night)
{
	const struct manifest *m = &item->m;
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS];
	char size[TEXT_SIZE_CHARS], stored[TEXT_SIZE_CHARS];

	id_hex(&item->name, hex);
	text_time_local(m->time_ns / NS_PER_S, time);
	text_size(m->bytes, size);
	text_size(night->stored_bytes, stored);
	out_line(&cli->out, "%.*s  %-19s  %12s  %12s  %llu file%s", ID_SHORT_CHARS, hex, time, size,
		 stored, llu(m->files), text_plural(m->files));
}

static void print_db_night(struct cli *cli, const struct manifest_item *item,
			   const struct manifest_db *db)
{
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS], size[TEXT_SIZE_CHARS];
	char cells[TEXT_SIZE_CHARS], changed[TEXT_SIZE_CHARS], stored[TEXT_SIZE_CHARS];
	char part[TEXT_SIZE_CHARS];

	id_hex(&item->name, hex);
	text_time_local(item->m.time_ns / NS_PER_S, time);
	text_size(db->image_bytes, size);
	text_count(db->cells, cells);
	text_count(db->cells_changed, changed);
	text_size(db->bytes_stored, stored);
	text_part(db->bytes_stored, db->image_bytes, part);
	out_line(&cli->out, "%.*s  %-19s  %12s  %13s  %13s  %12s  %13s", ID_SHORT_CHARS, hex, time,
		 size, cells, changed, stored, part);
}

/* --- database by database --- */

static const struct manifest_db *find_db(const struct manifest *m, const char *host,
					 const char *path)
{
	size_t low = 0, high = m->db_count;

	if (!m->host || strcmp(m->host, host) != 0)
		return NULL;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(path, m->dbs[mid].path);

		if (order == 0)
			return &m->dbs[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/* Its nights from the first-th manifest on. */
static void print_db(struct cli *cli, const struct manifest_list *list, const bool *chosen,
		     size_t first, const char *path)
{
	const char *host = list->items[first].m.host;
	char shown[4096], shown_host[1024];

	(void)text_printable(path, shown, sizeof(shown));
	(void)text_printable(host, shown_host, sizeof(shown_host));
	out_line(&cli->out, "%s", "");
	out_line(&cli->out, "%s (%s)", shown, shown_host);
	out_note(&cli->out, "%-8s  %-19s  %12s  %13s  %13s  %12s  %13s", "ID", "Time", "Image",
		 "Cells", "Changed", "Stored", "Of plain copy");
	for (size_t i = first; i < list->count; i++) {
		const struct manifest_db *db =
		    chosen[i] ? find_db(&list->items[i].m, host, path) : NULL;

		if (db)
			print_db_night(cli, &list->items[i], db);
	}
}

static bool told_before(const struct manifest_list *list, const bool *chosen, size_t at,
			const char *path)
{
	for (size_t i = 0; i < at; i++) {
		if (chosen[i] && find_db(&list->items[i].m, list->items[at].m.host, path))
			return true;
	}
	return false;
}

static void print_dbs(struct cli *cli, const struct manifest_list *list, const bool *chosen)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct manifest *m = &list->items[i].m;

		for (size_t k = 0; chosen[i] && k < m->db_count; k++) {
			if (!told_before(list, chosen, i, m->dbs[k].path))
				print_db(cli, list, chosen, i, m->dbs[k].path);
		}
	}
}

/* --- which --- */

/* Marks what the operands name; none = all. */
static int choose(struct cli *cli, const struct session *s, int count, char **operands,
		  bool *chosen, struct err *err)
{
	const struct manifest_list *list = &s->manifests;
	const struct manifest_item *item;
	const char *sub;
	int r = 0;

	for (size_t i = 0; i < list->count; i++)
		chosen[i] = count == 0;
	for (int i = 0; !r && i < count; i++) {
		r = session_find(cli, s, operands[i], NULL, &item, &sub, err);
		if (!r && sub)
			r = err_set(err, ERR_USAGE, "'%s': 'stats' takes whole backups",
				    operands[i]);
		if (!r)
			chosen[item - list->items] = true;
	}
	return r;
}

/* Leaves the last few chosen ones of each group, and gives how many it drops. */
static size_t keep_latest(const struct manifest_list *list, uint64_t most, bool *chosen)
{
	size_t dropped = 0;

	for (size_t i = 0; i < list->count; i++) {
		uint64_t later = 0;

		for (size_t k = i + 1; chosen[i] && k < list->count && later < most; k++)
			later +=
			    chosen[k] && id_eq(&list->items[i].m.group, &list->items[k].m.group);
		dropped += chosen[i] && later >= most;
		chosen[i] = chosen[i] && later < most;
	}
	return dropped;
}

static uint64_t latest(const struct cli *cli, const struct stats_words *w, int operands)
{
	if (w->latest.given)
		return w->latest.value ? w->latest.value : UINT64_MAX;
	return cli->out.json || operands ? UINT64_MAX : NIGHTS;
}

/* --- drills --- */

/* The last drill, and the last good one. */
struct drilled {
	bool has_last, has_good;
	struct drillnote last, good;
};

static int find_drills(struct cli *cli, const struct session *s, struct drilled *out,
		       struct err *err)
{
	const uint8_t *repo = s->repo->keys->repo;
	struct err why = {0};
	char *state = NULL;

	if (paths_state(&cli->global, &state, &why) == -ERR_NOMEM)
		return err_nomem(err);
	out->has_last = drill_last(&s->manifests, repo, state, &out->last);
	out->has_good = drill_last_good(&s->manifests, repo, state, &out->good);
	free(state);
	return 0;
}

static void json_drill(struct json *j, const char *key, const struct drillnote *n)
{
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS];

	id_hex(&n->manifest, hex);
	text_time_json(n->head.time_ns / NS_PER_S, (uint32_t)(n->head.time_ns % NS_PER_S), time);
	json_object(j, key);
	json_str(j, "manifest_id", hex);
	json_str(j, "time", time);
	json_str(j, "verdict", n->verdict == DRILLNOTE_GOOD ? "good" : "failed");
	json_close(j);
}

static void json_drills(struct json *j, const struct drilled *d)
{
	if (d->has_last)
		json_drill(j, "last_drill", &d->last);
	if (d->has_good)
		json_drill(j, "last_good_drill", &d->good);
}

static void print_drills(struct cli *cli, const struct drilled *d)
{
	char time[TEXT_TIME_CHARS], hex[ID_HEX_CHARS + 1];
	struct timespec now;
	int64_t age;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	age = ((int64_t)now.tv_sec - d->good.head.time_ns / NS_PER_S) / 86400;
	id_hex(&d->good.manifest, hex);
	text_time_local(d->good.head.time_ns / NS_PER_S, time);
	if (d->has_good)
		out_line(&cli->out, "%-24s %s, of %.*s (%lld day%s ago)", "Last good drill:", time,
			 ID_SHORT_CHARS, hex, (long long)age, text_plural((uint64_t)age));
	else
		out_line(&cli->out, "%-24s %s",
			 "Last good drill:", "never; 'nightjar drill' restores for practice");
	if (d->has_last && d->last.verdict != DRILLNOTE_GOOD) {
		id_hex(&d->last.manifest, hex);
		text_time_local(d->last.head.time_ns / NS_PER_S, time);
		out_line(&cli->out, "%-24s %s, of %.*s: FAILED", "Last drill:", time,
			 ID_SHORT_CHARS, hex);
	}
}

static void print_json(struct cli *cli, const struct manifest_list *list, const bool *chosen,
		       const struct stats *s, const struct drilled *drilled)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_totals(&j, s);
	json_objects(&j, s);
	json_drills(&j, drilled);
	json_array(&j, "snapshots");
	for (size_t i = 0; i < list->count; i++) {
		if (chosen[i])
			json_night(&j, &list->items[i], &s->nights[i]);
	}
	json_close(&j);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

static void print_people(struct cli *cli, const struct manifest_list *list, const bool *chosen,
			 size_t dropped, const struct stats *s, const struct drilled *drilled)
{
	print_totals(cli, s);
	print_drills(cli, drilled);
	out_note(&cli->out, "%-8s  %-19s  %12s  %12s", "ID", "Time", "Restore size", "Stored new");
	for (size_t i = 0; i < list->count; i++) {
		if (chosen[i])
			print_night(cli, &list->items[i], &s->nights[i]);
	}
	print_dbs(cli, list, chosen);
	if (dropped)
		out_note(&cli->out, "\n%zu older backup%s not shown; --latest 0 shows all", dropped,
			 dropped == 1 ? " is" : "s are");
}

enum exit_code cmd_stats(struct cli *cli, const void *options, int count, char **operands)
{
	const struct stats_callbacks cb = {on_bad, on_progress, cli};
	struct session s = {0};
	struct stats stats = {0};
	struct drilled drilled = {0};
	struct err err = {0};
	size_t dropped = 0;
	bool *chosen = NULL;
	int r = session_open_reader(cli, NULL, &s, &err);

	if (!r) {
		chosen = calloc(s.manifests.count + 1, sizeof(*chosen));
		r = chosen ? choose(cli, &s, count, operands, chosen, &err) : err_nomem(&err);
	}
	if (!r && s.manifests.bad && count == 0)
		exit_add(&cli->codes, EXIT_FAILED);
	if (!r)
		dropped = keep_latest(&s.manifests, latest(cli, options, count), chosen);
	if (!r)
		r = stats_run(s.reader, &s.manifests, &cb, &stats, &err);
	if (!r)
		r = find_drills(cli, &s, &drilled, &err);
	if (!r && cli->out.json)
		print_json(cli, &s.manifests, chosen, &stats, &drilled);
	else if (!r)
		print_people(cli, &s.manifests, chosen, dropped, &stats, &drilled);
	stats_free(&stats);
	free(chosen);
	session_close(&s);
	return r ? command_fail(cli, &err) : EXIT_OK;
}
