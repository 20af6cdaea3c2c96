#include "cli/command.h"

#include "cli/process.h"
#include "cli/session.h"
#include "cli/text.h"
#include "repo/diff.h"

struct diff_words {
	const char *host;
	bool metadata, stat;
};

const struct option_spec cmd_diff_options[] = {
    {"metadata", 0, OPTION_FLAG, offsetof(struct diff_words, metadata), NULL,
     "show entries of which only owner, mode, times or attributes differ, too"},
    {"stat", 0, OPTION_FLAG, offsetof(struct diff_words, stat), NULL,
     "show only how much differs, not what"},
    {"host", 0, OPTION_STRING, offsetof(struct diff_words, host), "NAME",
     "'latest' means the latest of NAME"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_diff_options_bytes = sizeof(struct diff_words);

struct teller {
	struct cli *cli;
	bool stat;
	uint64_t rows_added, rows_removed, rows_changed;
};

static unsigned long long llu(uint64_t n)
{
	return (unsigned long long)n;
}

static void on_change(void *arg, const char *modifier, const char *path)
{
	const struct teller *t = arg;
	struct json j = {0};
	char shown[4096];

	if (t->stat)
		return;
	(void)text_printable(path, shown, sizeof(shown));
	out_line(&t->cli->out, "%-5s%s", modifier, shown);
	if (!t->cli->out.json)
		return;
	json_object(&j, NULL);
	json_str(&j, "message_type", "change");
	json_str(&j, "path", path);
	json_str(&j, "modifier", modifier);
	json_close(&j);
	out_json(&t->cli->out, &j);
	json_free(&j);
}

static void print_tables(const struct teller *t, const struct rowdiff *rows, uint64_t before,
			 uint64_t after)
{
	static const char *const states[] = {
	    [ROWDIFF_KEPT] = "table", [ROWDIFF_NEW] = "new table", [ROWDIFF_GONE] = "gone: table"};
	char size[2][TEXT_SIZE_CHARS], shown[1024];

	if (rows->uncounted) {
		text_size(before, size[0]);
		text_size(after, size[1]);
		out_line(&t->cli->out, "     %s, before %s; rows are not counted: %s", size[1],
			 size[0], rows->uncounted);
		return;
	}
	if (rows->count == 0)
		out_line(&t->cli->out, "     no row of a table differs");
	for (size_t i = 0; i < rows->count; i++) {
		const struct rowdiff_table *table = &rows->tables[i];

		(void)text_printable(table->name, shown, sizeof(shown));
		out_line(&t->cli->out, "     %s %s: %llu row%s added, %llu removed, %llu changed",
			 states[table->is], shown, llu(table->added), text_plural(table->added),
			 llu(table->removed), llu(table->changed));
	}
}

static void json_tables(const struct teller *t, const char *path, const struct rowdiff *rows,
			uint64_t before, uint64_t after)
{
	static const char *const states[] = {
	    [ROWDIFF_KEPT] = "kept", [ROWDIFF_NEW] = "new", [ROWDIFF_GONE] = "gone"};
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "database");
	json_str(&j, "path", path);
	json_u64(&j, "bytes_before", before);
	json_u64(&j, "bytes_after", after);
	if (rows->uncounted)
		json_str(&j, "uncounted", rows->uncounted);
	else
		json_array(&j, "tables");
	for (size_t i = 0; i < rows->count; i++) {
		const struct rowdiff_table *table = &rows->tables[i];

		json_object(&j, NULL);
		json_str(&j, "name", table->name);
		json_str(&j, "state", states[table->is]);
		json_u64(&j, "rows_added", table->added);
		json_u64(&j, "rows_removed", table->removed);
		json_u64(&j, "rows_changed", table->changed);
		json_close(&j);
	}
	if (!rows->uncounted)
		json_close(&j);
	json_close(&j);
	out_json(&t->cli->out, &j);
	json_free(&j);
}

static void on_database(void *arg, const char *path, const struct rowdiff *rows, uint64_t before,
			uint64_t after)
{
	struct teller *t = arg;

	for (size_t i = 0; i < rows->count; i++) {
		t->rows_added += rows->tables[i].added;
		t->rows_removed += rows->tables[i].removed;
		t->rows_changed += rows->tables[i].changed;
	}
	if (t->stat)
		return;
	if (t->cli->out.json)
		json_tables(t, path, rows, before, after);
	else
		print_tables(t, rows, before, after);
}

static int on_progress(void *arg)
{
	const struct teller *t = arg;

	return process_interrupted() || t->cli->out.write_errno ? 1 : 0;
}

/* --- the numbers --- */

static void json_counts(struct json *j, const char *key, const struct diff_counts *c)
{
	json_object(j, key);
	json_u64(j, "files", c->files);
	json_u64(j, "dirs", c->dirs);
	json_u64(j, "others", c->others);
	json_u64(j, "data_blobs", c->data_blobs);
	json_u64(j, "tree_blobs", c->tree_blobs);
	json_u64(j, "bytes", c->bytes);
	json_close(j);
}

static void json_statistics(const struct teller *t, const struct manifest_item *const items[2],
			    const struct diff_result *res)
{
	static const char *const keys[] = {"source_snapshot", "target_snapshot"};
	char hex[ID_HEX_CHARS + 1];
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "statistics");
	for (size_t i = 0; i < 2; i++) {
		id_hex(&items[i]->name, hex);
		json_str(&j, keys[i], hex);
	}
	json_u64(&j, "changed_files", res->changed_files);
	json_u64(&j, "rows_added", t->rows_added);
	json_u64(&j, "rows_removed", t->rows_removed);
	json_u64(&j, "rows_changed", t->rows_changed);
	json_counts(&j, "added", &res->added);
	json_counts(&j, "removed", &res->removed);
	json_close(&j);
	out_json(&t->cli->out, &j);
	json_free(&j);
}

static void print_statistics(const struct teller *t, const struct diff_result *res)
{
	const struct diff_counts *a = &res->added, *r = &res->removed;
	struct out *o = &t->cli->out;
	char size[2][TEXT_SIZE_CHARS];

	if (!t->stat)
		out_line(o, "%s", "");
	out_line(o, "Files:       %5llu new, %5llu removed, %5llu changed", llu(a->files),
		 llu(r->files), llu(res->changed_files));
	out_line(o, "Dirs:        %5llu new, %5llu removed", llu(a->dirs), llu(r->dirs));
	out_line(o, "Others:      %5llu new, %5llu removed", llu(a->others), llu(r->others));
	out_line(o, "Rows:        %5llu new, %5llu removed, %5llu changed", llu(t->rows_added),
		 llu(t->rows_removed), llu(t->rows_changed));
	out_line(o, "Data Blobs:  %5llu new, %5llu removed", llu(a->data_blobs),
		 llu(r->data_blobs));
	out_line(o, "Tree Blobs:  %5llu new, %5llu removed", llu(a->tree_blobs),
		 llu(r->tree_blobs));
	text_size(a->bytes, size[0]);
	text_size(r->bytes, size[1]);
	out_line(o, "  Added:   %s", size[0]);
	out_line(o, "  Removed: %s", size[1]);
}

enum exit_code cmd_diff(struct cli *cli, const void *options, int count, char **operands)
{
	const struct diff_words *w = options;
	struct teller teller = {.cli = cli, .stat = w->stat};
	struct diff_options o = {.metadata = w->metadata,
				 .cb = {on_change, on_database, on_progress, &teller}};
	const struct manifest_item *items[2] = {NULL, NULL};
	struct diff_side sides[2] = {{NULL, NULL}, {NULL, NULL}};
	struct diff_result res;
	struct session s = {0};
	struct err err = {0};
	int r = session_open_reader(cli, "diff", &s, &err);

	(void)count;
	for (int i = 0; !r && i < 2; i++) {
		r = session_find(cli, &s, operands[i], w->host, &items[i], &sides[i].sub, &err);
		if (!r)
			sides[i].m = &items[i]->m;
	}
	if (!r)
		r = diff_run(s.reader, &sides[0], &sides[1], &o, &res, &err);
	if (!r && cli->out.json)
		json_statistics(&teller, items, &res);
	else if (!r)
		print_statistics(&teller, &res);
	session_close(&s);
	if (r && cli->out.write_errno)
		return EXIT_FAILED;
	return r ? command_fail(cli, &err) : EXIT_OK;
}
