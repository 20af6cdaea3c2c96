#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/entry.h"
#include "cli/process.h"
#include "cli/session.h"
#include "cli/text.h"
#include "core/glob.h"
#include "repo/browse.h"

#define NS_PER_S 1000000000

struct find_words {
	struct option_list manifests, hosts;
	const char *oldest, *newest;
	bool ignore_case, long_form;
};

const struct option_spec cmd_find_options[] = {
    {"manifest", 'm', OPTION_LIST, offsetof(struct find_words, manifests), "MANIFEST",
     "look only into MANIFEST; may be repeated"},
    {"host", 0, OPTION_LIST, offsetof(struct find_words, hosts), "NAME",
     "look only into backups of NAME; may be repeated"},
    {"ignore-case", 'i', OPTION_FLAG, offsetof(struct find_words, ignore_case), NULL,
     "A to Z match a to z"},
    {"long", 'l', OPTION_FLAG, offsetof(struct find_words, long_form), NULL,
     "show mode, owner, size and time, too"},
    {"oldest", 'O', OPTION_STRING, offsetof(struct find_words, oldest), "TIME",
     "only what was modified at TIME (2024-05-01 or 2024-05-01 03:04:05) or later"},
    {"newest", 'N', OPTION_STRING, offsetof(struct find_words, newest), "TIME",
     "only what was modified at TIME or earlier"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_find_options_bytes = sizeof(struct find_words);

struct find {
	struct cli *cli;
	const struct find_words *words;
	char **patterns; /* in lower case with --ignore-case */
	int count;
	bool has_oldest, has_newest;
	int64_t oldest_s, newest_s;
	const struct manifest_item *item; /* under way */
	uint64_t hits;                    /* in it */
	struct json json;
};

/* --- matching --- */

static char *lowered(const char *text)
{
	char *copy = strdup(text);

	for (char *c = copy; c && *c; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c | 0x20);
	}
	return copy;
}

/* A pattern without '/' says what a name is, wherever it is. */
static bool matches_any(const struct find *f, const char *path)
{
	const char *name = strrchr(path, '/');

	for (int i = 0; i < f->count; i++) {
		bool is_path = strchr(f->patterns[i], '/') != NULL;

		if (glob_match_whole(f->patterns[i], is_path ? path : name))
			return true;
	}
	return false;
}

static int matches(const struct find *f, const char *path, const struct entry *e, bool *out_hit,
		   struct err *err)
{
	char *low;

	*out_hit = false;
	if ((f->has_oldest && e->mtime_s < f->oldest_s) ||
	    (f->has_newest && e->mtime_s > f->newest_s))
		return 0;
	if (!f->words->ignore_case) {
		*out_hit = matches_any(f, path);
		return 0;
	}
	low = lowered(path);
	if (!low)
		return err_nomem(err);
	*out_hit = matches_any(f, low);
	free(low);
	return 0;
}

/* --- showing --- */

static void begin_hits(struct find *f)
{
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS];

	if (f->cli->out.json) {
		json_object(&f->json, NULL);
		json_array(&f->json, "matches");
		return;
	}
	id_hex(&f->item->name, hex);
	text_time_local(f->item->m.time_ns / NS_PER_S, time);
	out_note(&f->cli->out, "Found matching entries in manifest %.*s from %s", ID_SHORT_CHARS,
		 hex, time);
}

static void end_hits(struct find *f)
{
	char hex[ID_HEX_CHARS + 1];

	if (!f->cli->out.json) {
		out_note(&f->cli->out, "%s", "");
		return;
	}
	id_hex(&f->item->name, hex);
	json_close(&f->json);
	json_u64(&f->json, "hits", f->hits);
	json_str(&f->json, "snapshot", hex);
	json_close(&f->json);
}

static int find_entry(void *arg, const char *path, const struct entry *e, struct err *err)
{
	struct find *f = arg;
	bool hit;
	int r = matches(f, path, e, &hit, err);

	if (!r && process_interrupted())
		r = err_set(err, ERR_CANCELLED, "interrupted; the list is not complete");
	if (!r && f->cli->out.write_errno)
		r = err_sys(err, f->cli->out.write_errno, "standard output");
	if (r || !hit)
		return r;
	if (f->hits++ == 0)
		begin_hits(f);
	if (!f->cli->out.json) {
		entry_line(&f->cli->out, path, e, f->words->long_form);
		return 0;
	}
	json_object(&f->json, NULL);
	entry_json(&f->json, path, e);
	json_close(&f->json);
	return 0;
}

/* --- choosing --- */

static bool of_host(const struct find *f, const struct manifest *m)
{
	for (size_t i = 0; i < f->words->hosts.count; i++) {
		if (m->host && strcmp(m->host, f->words->hosts.items[i]) == 0)
			return true;
	}
	return f->words->hosts.count == 0;
}

static int find_in(struct find *f, struct session *s, const struct manifest_item *item,
		   struct err *err)
{
	int r;

	if (!of_host(f, &item->m))
		return 0;
	f->item = item;
	f->hits = 0;
	r = browse_list(s->reader, &item->m, NULL, find_entry, f, err);
	if (f->hits)
		end_hits(f);
	return r;
}

static int find_in_named(struct find *f, struct session *s, struct err *err)
{
	const struct option_list *names = &f->words->manifests;
	const char *host = f->words->hosts.count ? f->words->hosts.items[0] : NULL;
	int r = 0;

	for (size_t i = 0; !r && i < names->count; i++) {
		const struct manifest_item *item;
		const char *sub;

		r = session_find(f->cli, s, names->items[i], host, &item, &sub, err);
		if (!r && sub)
			r = err_set(err, ERR_USAGE,
				    "'%s': a whole backup is searched; a path goes into PATTERN",
				    names->items[i]);
		if (!r)
			r = find_in(f, s, item, err);
	}
	return r;
}

static int find_all(struct find *f, struct err *err)
{
	struct session s = {0};
	int r = session_open_reader(f->cli, "find", &s, err);

	json_array(&f->json, NULL);
	/* What is in a manifest that cannot be read is not found. */
	if (!r && s.manifests.bad && !f->words->manifests.count)
		exit_add(&f->cli->codes, EXIT_FAILED);
	if (!r && f->words->manifests.count)
		r = find_in_named(f, &s, err);
	else
		for (size_t i = 0; !r && i < s.manifests.count; i++)
			r = find_in(f, &s, &s.manifests.items[i], err);
	session_close(&s);
	if (r)
		return r;
	json_close(&f->json);
	if (f->cli->out.json)
		out_json(&f->cli->out, &f->json);
	return 0;
}

static int read_time(const char *option, const char *text, bool *out_given, int64_t *out_s,
		     struct err *err)
{
	char whole[64];
	int64_t ns;

	if (!text)
		return 0;
	(void)snprintf(whole, sizeof(whole), "%s%s", text, strlen(text) == 10 ? " 00:00:00" : "");
	if (!text_time_parse(whole, &ns))
		return err_set(err, ERR_USAGE,
			       "%s takes 2024-05-01 or 2024-05-01 03:04:05, not '%s'", option,
			       text);
	*out_given = true;
	*out_s = ns / NS_PER_S;
	return 0;
}

static int prepare(struct find *f, char **operands, struct err *err)
{
	int r = read_time("--oldest", f->words->oldest, &f->has_oldest, &f->oldest_s, err);

	if (!r)
		r = read_time("--newest", f->words->newest, &f->has_newest, &f->newest_s, err);
	for (int i = 0; !r && i < f->count; i++) {
		r = glob_validate(operands[i], err);
		f->patterns[i] = f->words->ignore_case ? lowered(operands[i]) : strdup(operands[i]);
		if (!r && !f->patterns[i])
			r = err_nomem(err);
	}
	return r;
}

enum exit_code cmd_find(struct cli *cli, const void *options, int count, char **operands)
{
	struct find f = {.cli = cli, .words = options, .count = count};
	struct err err = {0};
	int r;

	f.patterns = calloc((size_t)count, sizeof(*f.patterns));
	r = f.patterns ? prepare(&f, operands, &err) : err_nomem(&err);
	if (!r)
		r = find_all(&f, &err);
	for (int i = 0; f.patterns && i < count; i++)
		free(f.patterns[i]);
	free(f.patterns);
	json_free(&f.json);
	if (r && cli->out.write_errno)
		return EXIT_FAILED;
	return r ? command_fail(cli, &err) : EXIT_OK;
}
