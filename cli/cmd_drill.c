#include "cli/command.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/paths.h"
#include "cli/process.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text.h"
#include "core/reference.h"
#include "repo/drill.h"

#define NS_PER_S 1000000000

struct drill_words {
	const char *target, *host;
	struct option_list assertions;
};

const struct option_spec cmd_drill_options[] = {
    {"target", 't', OPTION_STRING, offsetof(struct drill_words, target), "DIR",
     "restore real files into DIR, which must be new or empty, and check those"},
    {"assert", 0, OPTION_LIST, offsetof(struct drill_words, assertions), "DB: SQL",
     "fail unless this query gives one row whose first column is true; may be repeated"},
    {"host", 0, OPTION_STRING, offsetof(struct drill_words, host), "NAME",
     "'latest' means the latest of NAME"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_drill_options_bytes = sizeof(struct drill_words);

/* --- telling --- */

struct teller {
	struct cli *cli;
	struct progress progress;
	uint64_t files_total, bytes_total;
};

static void on_failed(void *arg, const char *item, const char *text)
{
	struct teller *t = arg;

	out_error(&t->cli->out, "drill", item, text);
}

static void on_warning(void *arg, const char *item, const char *text)
{
	struct teller *t = arg;

	out_warning(&t->cli->out, "%s: %s", item, text);
}

static int on_progress(void *arg, uint64_t files, uint64_t bytes, const char *path)
{
	struct teller *t = arg;

	progress_show(&t->progress, &(struct progress_state){
					.phase = "drill",
					.files = files,
					.files_total = t->files_total,
					.bytes = bytes,
					.bytes_total = t->bytes_total,
					.path = path,
				    });
	return process_interrupted() ? 1 : 0;
}

static unsigned long long llu(uint64_t n)
{
	return (unsigned long long)n;
}

static void print_json(const struct teller *t, const struct drillnote *n, const char *recorded)
{
	const struct drillnote_counts *c = &n->counts;
	char hex[ID_HEX_CHARS + 1];
	struct json j = {0};

	id_hex(&n->manifest, hex);
	json_object(&j, NULL);
	json_str(&j, "message_type", "summary");
	json_str(&j, "manifest_id", hex);
	json_str(&j, "verdict", n->verdict == DRILLNOTE_GOOD ? "good" : "failed");
	json_u64(&j, "databases", c->databases);
	json_u64(&j, "databases_failed", c->databases_failed);
	json_u64(&j, "databases_unchecked", c->databases_unchecked);
	json_u64(&j, "assertions", c->assertions);
	json_u64(&j, "assertions_failed", c->assertions_failed);
	json_u64(&j, "references", c->references);
	json_u64(&j, "references_missing", c->references_missing);
	json_u64(&j, "references_failed", c->ref_queries_failed);
	json_u64(&j, "files", c->files);
	json_u64(&j, "files_failed", c->files_failed);
	json_u64(&j, "bytes", c->bytes);
	json_str(&j, "recorded", recorded);
	json_close(&j);
	out_json(&t->cli->out, &j);
	json_free(&j);
}

static void print_people(const struct teller *t, const struct drillnote *n,
			 const struct drill_words *w)
{
	const struct drillnote_counts *c = &n->counts;
	struct out *out = &t->cli->out;
	char hex[ID_HEX_CHARS + 1], size[TEXT_SIZE_CHARS];

	id_hex(&n->manifest, hex);
	text_size(c->bytes, size);
	out_note(out, "%s %llu file%s (%llu database%s), %s%s%s", w->target ? "restored" : "read",
		 llu(c->files), text_plural(c->files), llu(c->databases), text_plural(c->databases),
		 size, w->target ? " to " : "", w->target ? w->target : "");
	if (c->assertions)
		out_note(out, "assertions that hold: %llu of %llu",
			 llu(c->assertions - c->assertions_failed), llu(c->assertions));
	if (c->ref_queries)
		out_note(out, "files that databases name: %llu, missing: %llu", llu(c->references),
			 llu(c->references_missing));
	if (n->verdict == DRILLNOTE_GOOD)
		out_line(out, "drill of %.*s: good%s", ID_SHORT_CHARS, hex,
			 c->databases_unchecked
			     ? ", but not every database could be checked in full"
			     : "");
	else
		out_line(out, "drill of %.*s: FAILED", ID_SHORT_CHARS, hex);
}

/* --- doing it --- */

/* What the words of --assert own. */
struct assertions {
	struct drill_assertion *items;
	size_t count;
};

static void assertions_free(struct assertions *a)
{
	for (size_t i = 0; i < a->count; i++) {
		free(a->items[i].database);
		free(a->items[i].query);
	}
	free(a->items);
}

static int read_assertions(const struct option_list *from, struct assertions *out, struct err *err)
{
	int r = 0;

	out->items = calloc(from->count + 1, sizeof(*out->items));
	if (!out->items)
		return err_nomem(err);
	for (size_t i = 0; !r && i < from->count; i++) {
		struct drill_assertion *a = &out->items[out->count++];

		r = reference_split(from->items[i], &a->database, &a->query, err);
		if (r)
			err_prefix(err, "--assert");
	}
	return r;
}

int cmd_drill_judge(const void *options, int count, struct err *err)
{
	const struct drill_words *w = options;
	struct assertions assertions = {0};
	int r = read_assertions(&w->assertions, &assertions, err);

	(void)count;
	assertions_free(&assertions);
	return r;
}

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Where it is kept: "repository", "local", or "nowhere". */
static const char *keep(struct cli *cli, struct session *s, const struct manifest_item *item,
			struct drillnote *note)
{
	struct err why = {0}, err = {0};
	char *state = NULL;
	const char *kept = "repository";

	if (paths_state(&cli->global, &state, &err))
		state = NULL;
	note->head.time_ns = now_ns();
	if (drill_keep(s->repo, &s->manifests, item, state, note, &why, &err)) {
		out_error(&cli->out, "drill", "its record", err.text);
		exit_add(&cli->codes, EXIT_FAILED);
		kept = "nowhere";
	} else if (why.code == ERR_KEY) {
		out_warning(&cli->out, "this key signs nothing, so that only this host remembers "
				       "the drill; a full key leaves a note in the repository");
		kept = "local";
	} else if (why.code) {
		out_warning(&cli->out,
			    "the repository did not take a note of the drill, so that "
			    "only this host remembers it: %s",
			    why.text);
		kept = "local";
	}
	free(state);
	return kept;
}

static int find(struct cli *cli, struct session *s, const struct drill_words *w, int count,
		char **operands, const struct manifest_item **out_item, struct err *err)
{
	const char *sub = NULL;
	int r = session_find(cli, s, count ? operands[0] : "latest", w->host, out_item, &sub, err);

	if (!r && sub)
		r = err_set(err, ERR_USAGE, "'%s': a whole backup is drilled, not a path",
			    operands[0]);
	return r;
}

static int run(struct teller *t, const struct drill_words *w, struct drill_options *o, int count,
	       char **operands, struct err *err)
{
	struct drillnote note = {.place = w->target ? DRILLNOTE_FILES : DRILLNOTE_MEMORY};
	const struct manifest_item *item;
	struct session s = {0};
	const char *kept;
	int r = session_open_reader_direct(t->cli, "drill", &s, err);

	if (!r)
		r = find(t->cli, &s, w, count, operands, &item, err);
	if (!r)
		r = reader_set_scratch(s.reader, o->cache_dir, err);
	if (!r) {
		t->files_total = item->m.files;
		t->bytes_total = item->m.bytes;
		r = drill_run(s.reader, &item->m, o, &note.counts, err);
	}
	progress_end(&t->progress);
	if (!r) {
		kept = keep(t->cli, &s, item, &note);
		if (t->cli->out.json)
			print_json(t, &note, kept);
		else
			print_people(t, &note, w);
		facts_repo(t->cli, s.repo);
		facts_drill(t->cli, note.verdict == DRILLNOTE_GOOD);
		if (note.verdict == DRILLNOTE_FAILED)
			exit_add(&t->cli->codes, EXIT_DRILL);
	}
	session_close(&s);
	return r;
}

enum exit_code cmd_drill(struct cli *cli, const void *options, int count, char **operands)
{
	const struct drill_words *w = options;
	struct teller teller = {.cli = cli};
	struct assertions assertions = {0};
	char *cache = NULL;
	struct err err = {0};
	int r = read_assertions(&w->assertions, &assertions, &err);

	if (!r)
		r = paths_cache(&cli->global, &cache, &err);
	progress_begin(&teller.progress, &cli->out);
	if (!r) {
		struct drill_options o = {
		    .cache_dir = cache,
		    .target = w->target,
		    .assertions = assertions.items,
		    .assertion_count = assertions.count,
		    .cb = {on_failed, on_warning, on_progress, &teller},
		};

		r = run(&teller, w, &o, count, operands, &err);
	}
	assertions_free(&assertions);
	free(cache);
	return r ? command_fail(cli, &err) : EXIT_OK;
}
