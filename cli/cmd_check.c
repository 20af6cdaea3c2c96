#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/mending.h"
#include "cli/paths.h"
#include "cli/process.h"
#include "cli/progress.h"
#include "cli/rollback.h"
#include "cli/session.h"
#include "cli/subset.h"
#include "cli/text.h"
#include "repo/check.h"

#define MOST_DAYS 3650u

struct check_words {
	bool read_data, repair;
	const char *subset;
	struct option_number days;
	bool accept_rollback;
	struct option_list expect;
};

const struct option_spec cmd_check_options[] = {
    {"repair", 0, OPTION_FLAG, offsetof(struct check_words, repair), NULL,
     "first read all packs, and mend damaged ones by their parity; needs no key"},
    {"read-data", 0, OPTION_FLAG, offsetof(struct check_words, read_data), NULL,
     "read, decrypt and verify every byte, not only the structure"},
    {"read-data-subset", 0, OPTION_STRING, offsetof(struct check_words, subset), "PART",
     "read a part: 2/5 (the second of five), 10% or 500M (so much, from a random place on)"},
    {"read-data-days", 0, OPTION_NUMBER, offsetof(struct check_words, days), "N",
     "read the part that is due so that everything is read every N days; this host remembers where "
     "it "
     "stopped"},
    {"accept-rollback", 0, OPTION_FLAG, offsetof(struct check_words, accept_rollback), NULL,
     "take what vanished for right: the repository is what it should be from now on"},
    {"expect", 0, OPTION_LIST, offsetof(struct check_words, expect), "RECORD",
     "a line that 'status' printed, written down elsewhere: that backup must be known"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_check_options_bytes = sizeof(struct check_words);

struct teller {
	struct cli *cli;
	struct progress progress;
	struct repair_parity_result parity; /* of --repair */
	bool partial; /* the key allows no check: what it does allow was done */
	enum exit_code partial_code;
};

static void on_damage(void *arg, const char *object, const char *text)
{
	struct teller *t = arg;

	out_error(&t->cli->out, "check", object, text);
}

static void on_healed(void *arg, const char *object, const char *text)
{
	struct teller *t = arg;

	out_warning(&t->cli->out, "%s: %s; nothing is lost by it, there is another copy", object,
		    text);
}

static void on_touched(void *arg, const struct id *manifest, const char *path, const char *text)
{
	struct teller *t = arg;
	char hex[ID_HEX_CHARS + 1], item[4200];

	id_hex(manifest, hex);
	(void)snprintf(item, sizeof(item), "manifest %.*s%s%s", ID_SHORT_CHARS, hex,
		       *path ? ": " : "", path);
	out_error(&t->cli->out, "check", item, text);
}

static void on_missing(void *arg, const struct id *manifest, const char *database, const char *path,
		       const char *text)
{
	struct teller *t = arg;
	char hex[ID_HEX_CHARS + 1], item[4200];

	id_hex(manifest, hex);
	if (*path)
		(void)snprintf(item, sizeof(item), "manifest %.*s: %s", ID_SHORT_CHARS, hex, path);
	else
		(void)snprintf(item, sizeof(item), "manifest %.*s: references%s%s", ID_SHORT_CHARS,
			       hex, *database ? " of " : "", database);
	out_error(&t->cli->out, "references", item, text);
	exit_add(&t->cli->codes, EXIT_REFS);
}

static void on_note(void *arg, const char *object, const char *text)
{
	struct teller *t = arg;

	out_detail(&t->cli->out, "%s: %s", object, text);
}

static void on_uncounted(void *arg, const char *object, const char *text)
{
	struct teller *t = arg;

	out_warning(&t->cli->out, "%s: %s", object, text);
}

static void on_unkept(void *arg, const char *where, const char *text)
{
	struct teller *t = arg;

	out_warning(&t->cli->out, "the damage could not be noted %s: %s", where, text);
}

static int on_progress(void *arg, uint64_t done, uint64_t total, const char *what)
{
	struct teller *t = arg;

	progress_show(&t->progress, &(struct progress_state){
					.phase = total ? "read data" : "structure",
					.unit = "packs",
					.files = done,
					.files_total = total,
					.path = what,
				    });
	return process_interrupted() ? 1 : 0;
}

static void print_json(struct cli *cli, const struct check_result *res,
		       const struct repair_parity_result *parity)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "summary");
	json_u64(&j, "num_errors", res->damaged);
	json_u64(&j, "manifests", res->manifests);
	json_u64(&j, "packs", res->packs);
	json_u64(&j, "index_segments", res->segments);
	json_u64(&j, "orphaned_packs", res->orphans);
	json_u64(&j, "references", res->refs_referenced);
	json_u64(&j, "references_missing", res->refs_missing);
	json_u64(&j, "references_failed", res->refs_failed);
	json_u64(&j, "condemned_packs", res->condemned);
	json_u64(&j, "damaged_copies", res->healed);
	json_u64(&j, "notes_withdrawn", res->withdrawn);
	json_u64(&j, "packs_mendable", res->mendable);
	mending_json(&j, parity);
	json_u64(&j, "noted", res->noted);
	json_u64(&j, "noted_before", res->noted_before);
	json_u64(&j, "chunks_read", res->chunks);
	json_u64(&j, "bytes_read", res->bytes_read);
	json_u64(&j, "packs_read", res->packs_read);
	json_bool(&j, "structure_only", res->structure_only);
	json_u64(&j, "vanished", cli->facts.rollback);
	json_u64(&j, "accepted", cli->facts.accepted);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

static void print_looked_at(struct cli *cli, const struct check_result *res, bool read_data,
			    bool whole)
{
	char size[TEXT_SIZE_CHARS];

	out_note(&cli->out, "manifests: %llu, packs: %llu, index segments: %llu",
		 (unsigned long long)res->manifests, (unsigned long long)res->packs,
		 (unsigned long long)res->segments);
	if (read_data) {
		text_size(res->bytes_read, size);
		out_note(&cli->out, "read %llu chunk%s in %s", (unsigned long long)res->chunks,
			 text_plural(res->chunks), size);
	}
	if (res->structure_only)
		out_note(&cli->out,
			 "with a maintain key: lists, directories and %s; that records give what "
			 "their ids say, databases and references a full or read key checks",
			 read_data ? "the bytes of packs were checked"
				   : "what is there were checked");
	if (read_data && !whole)
		out_note(&cli->out, "that is %llu of the packs: the part that was asked for",
			 (unsigned long long)res->packs_read);
	if (res->ref_queries)
		out_note(&cli->out, "references: %llu file%s named, %llu missing%s",
			 (unsigned long long)res->refs_referenced,
			 text_plural(res->refs_referenced), (unsigned long long)res->refs_missing,
			 res->refs_failed ? "; NOT all queries could be run" : "");
}

/* What is there besides, or waits for something. */
static void print_left_over(struct cli *cli, const struct check_result *res)
{
	if (res->orphans)
		out_note(&cli->out,
			 res->damaged
			     ? "packs that nothing names: %llu"
			     : "packs that interrupted backups left behind, harmless: %llu",
			 (unsigned long long)res->orphans);
	if (res->condemned)
		out_note(&cli->out,
			 "packs that a prune has condemned and a later one deletes: %llu",
			 (unsigned long long)res->condemned);
	if (res->noted)
		out_note(&cli->out,
			 "noted %llu damaged records: the next backup stores them again, as "
			 "far as the source still has them",
			 (unsigned long long)res->noted);
	if (res->noted_before)
		out_note(&cli->out,
			 "damaged as an earlier check noted, not stored again yet: %llu "
			 "records; --read-data looks at them again",
			 (unsigned long long)res->noted_before);
	if (res->withdrawn)
		out_note(
		    &cli->out,
		    "damaged as an earlier check noted, and whole or gone by now: %llu records; "
		    "the notes were removed",
		    (unsigned long long)res->withdrawn);
	if (res->mendable)
		out_note(&cli->out,
			 "packs that their parity can mend: %llu; next: 'nightjar check --repair'",
			 (unsigned long long)res->mendable);
}

static void print_verdict(struct cli *cli, const struct check_result *res, bool read_data,
			  bool whole)
{
	if (cli->facts.rollback)
		out_line(&cli->out,
			 "VANISHED, of what this host has seen or was told to expect: %llu",
			 (unsigned long long)cli->facts.rollback);
	if (res->damaged)
		out_line(&cli->out, "DAMAGE was found (findings: %llu)%s",
			 (unsigned long long)res->damaged,
			 read_data ? "; what is not named above can be restored"
				   : "; --read-data reads what this did not");
	if (res->damaged && !res->mendable)
		out_note(
		    &cli->out,
		    "next: what is named, from a copy of the repository; without one 'nightjar "
		    "repair index', 'repair packs', 'backup' and 'repair manifests', in this "
		    "order (BACKUP.md, 'Check and repair')");
	if (!res->damaged)
		out_line(&cli->out, "no damage found%s",
			 !read_data ? " (structure only; --read-data reads every byte)"
			 : whole    ? res->structure_only ? " (as far as a maintain key sees)" : ""
				    : " (in the structure, and in what was read)");
}

static void print_people(struct cli *cli, const struct check_result *res, bool read_data,
			 bool whole)
{
	print_looked_at(cli, res, read_data, whole);
	print_left_over(cli, res);
	print_verdict(cli, res, read_data, whole);
}

/* The backups that operands name; *out_ids is the caller's. What cannot be read the check itself tells. */
static int choose(struct session *s, int count, char **operands, struct id **out_ids,
		  struct err *err)
{
	const struct manifest_item *item;
	const char *sub;
	int r = 0;

	*out_ids = calloc((size_t)count + 1, sizeof(**out_ids));
	if (!*out_ids)
		r = err_nomem(err);
	for (int i = 0; !r && i < count; i++) {
		r = manifests_find(&s->manifests, operands[i], NULL, &item, &sub, err);
		if (!r && sub)
			r = err_set(err, ERR_USAGE, "'%s': a whole backup is checked, not a path",
				    operands[i]);
		if (!r)
			(*out_ids)[i] = item->name;
	}
	return r;
}

/* Before anything is opened. */
static int judge_expected(const struct check_words *w, struct err *err)
{
	struct sighting wanted;
	int r = 0;

	for (size_t i = 0; !r && i < w->expect.count; i++)
		r = rollback_record_parse(w->expect.items[i], &wanted, err);
	return r;
}

/* What is asked about single backups, for which they are read before the check reads them. */
static int ask(struct cli *cli, struct session *s, const struct check_words *w, int count,
	       char **operands, struct id **out_ids, struct err *err)
{
	struct sighting wanted;
	int r = 0;

	if (count || w->expect.count || w->accept_rollback)
		r = manifests_load(s->repo, NULL, NULL, &s->manifests, err);
	for (size_t i = 0; !r && i < w->expect.count; i++) {
		r = rollback_record_parse(w->expect.items[i], &wanted, err);
		if (!r)
			rollback_expect(cli, &s->manifests, w->expect.items[i], &wanted);
	}
	return r || !count ? r : choose(s, count, operands, out_ids, err);
}

/* Where damage is kept in mind. A check is made, too, where that cannot be. */
static int find_memory(struct cli *cli, char **out_state, struct check_options *o, struct err *err)
{
	struct err why = {0};
	int r = paths_state(&cli->global, out_state, &why);

	if (r == -ERR_NOMEM)
		return err_nomem(err);
	if (r)
		out_detail(&cli->out, "%s", why.text);
	else
		o->state_dir = *out_state;
	return 0;
}

/* What of the data is read. */
static int choose_part(const struct check_words *w, int count, struct check_options *o,
		       struct err *err)
{
	if (w->read_data + (w->subset != NULL) + w->days.given > 1)
		return err_set(err, ERR_USAGE,
			       "give one of --read-data, --read-data-subset and --read-data-days");
	o->read_data = w->read_data || w->days.given;
	if (w->subset)
		return subset_parse(w->subset, o, err);
	if (!w->days.given)
		return 0;
	if (w->days.value < 1 || w->days.value > MOST_DAYS)
		return err_set(err, ERR_USAGE, "--read-data-days takes 1 to %u days", MOST_DAYS);
	if (count)
		return err_set(err, ERR_USAGE,
			       "--read-data-days is about the whole repository, not one MANIFEST");
	o->part = CHECK_DUE;
	o->part_days = (unsigned)w->days.value;
	return 0;
}

/* What is beyond parity a check that does not read would not find. */
static int mend(struct cli *cli, struct session *s, bool read_data,
		struct repair_parity_result *parity, uint64_t *out_unmended, struct err *err)
{
	int r = mending_run(cli, s->repo->store, "check", 0, NULL, parity, err);

	*out_unmended = read_data ? 0 : parity->damaged - parity->mended;
	return r;
}

/*
 * With a key that may not check, such as a write key: what --repair does without any, and what vanished, as the host that holds that key
 * misses it, too, and each machine accepts for itself.
 */
static bool is_partial(const struct session *s, const struct check_words *w,
		       const struct check_options *o, int count)
{
	struct err why = {0};

	return (w->repair || w->accept_rollback || w->expect.count) && !o->read_data && !count &&
	       keys_allow(s->repo->keys, POWER_LISTS, "check", &why) != 0;
}

static void tell_partial(struct cli *cli)
{
	struct json j = {0};

	out_note(&cli->out, "only what has vanished was looked for; 'nightjar check' with a full, "
			    "read or maintain key looks at everything");
	if (!cli->out.json)
		return;
	json_object(&j, NULL);
	json_str(&j, "message_type", "summary");
	json_bool(&j, "vanished_only", true);
	json_u64(&j, "vanished", cli->facts.rollback);
	json_u64(&j, "accepted", cli->facts.accepted);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

static int run_partial(struct teller *t, struct session *s, const struct check_words *w,
		       struct err *err)
{
	int r = ask(t->cli, s, w, 0, NULL, NULL, err);

	t->partial = true;
	if (!r && w->repair)
		t->partial_code = mending_alone(t->cli, s->repo->store, "check", 0, NULL);
	else if (!r)
		tell_partial(t->cli);
	return r;
}

static int run_check(struct teller *t, const struct check_words *w, struct check_options *o,
		     int count, char **operands, struct check_result *res, struct err *err)
{
	struct cli *cli = t->cli;
	uint64_t unmended = 0;
	struct err why = {0};
	struct session s = {0};
	struct id *ids = NULL;
	char *state = NULL, *cache = NULL;
	struct timespec now;
	int r = find_memory(cli, &state, o, err);

	if (!r && o->part == CHECK_DUE && !o->state_dir)
		r = paths_state(&cli->global, &state, err); /* says why there is none */
	(void)clock_gettime(CLOCK_REALTIME, &now);
	o->put_notes = true;
	if (!r)
		r = paths_cache(&cli->global, &cache, err);
	o->cache_dir = cache;
	o->now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (!r)
		r = session_open_direct(cli, &s, err);
	if (!r && is_partial(&s, w, o, count)) {
		r = run_partial(t, &s, w, err);
		goto out;
	}
	if (!r)
		r = ask(cli, &s, w, count, operands, &ids, err);
	o->manifests = ids;
	o->manifest_count = (size_t)count;
	o->withdraw = w->repair && !r && keys_allow(s.repo->keys, POWER_OWN, "check", &why) == 0;
	if (!r && w->repair)
		r = mend(cli, &s, o->read_data, &t->parity, &unmended, err);
	progress_begin(&t->progress, &cli->out);
	if (!r)
		r = check_run(s.repo, o, res, err);
	progress_end(&t->progress);
	res->damaged += r ? 0 : unmended;
	if (!r)
		facts_repo(cli, s.repo);
out:
	session_close(&s);
	free(ids);
	free(state);
	free(cache);
	return r;
}

static enum exit_code check_without_key(struct cli *cli, const struct check_words *w,
					const struct check_options *o, int count)
{
	struct err err = {0};

	if (!o->read_data && !count && !w->accept_rollback && !w->expect.count)
		return mending_alone(cli, NULL, "check", 0, NULL);
	(void)err_set(
	    &err, ERR_KEY,
	    "no key and no password was given: without one only 'check --repair' by itself "
	    "works");
	return command_fail(cli, &err);
}

enum exit_code cmd_check(struct cli *cli, const void *options, int count, char **operands)
{
	const struct check_words *w = options;
	struct teller teller = {.cli = cli};
	struct check_options o = {
	    .damage = on_damage,
	    .healed = on_healed,
	    .touched = on_touched,
	    .missing = on_missing,
	    .note = on_note,
	    .uncounted = on_uncounted,
	    .unkept = on_unkept,
	    .progress = on_progress,
	    .arg = &teller,
	};
	struct check_result res = {0};
	struct err err = {0};
	int r = choose_part(w, count, &o, &err);

	if (!r)
		r = judge_expected(w, &err);
	if (r)
		return command_fail(cli, &err);
	if (w->repair && session_is_keyless(cli))
		return check_without_key(cli, w, &o, count);
	cli->accept_rollback = w->accept_rollback;
	r = run_check(&teller, w, &o, count, operands, &res, &err);
	cli->accept_rollback = false;
	if (!r && teller.partial)
		return teller.partial_code;
	/* A repository too damaged to open is what check is asked about. */
	if (r == -ERR_DAMAGED) {
		out_exit_error(&cli->out, EXIT_DAMAGED, err.text);
		return EXIT_DAMAGED;
	}
	if (r)
		return command_fail(cli, &err);
	if (cli->out.json)
		print_json(cli, &res, &teller.parity);
	else
		print_people(cli, &res, o.read_data, o.part == CHECK_WHOLE);
	exit_add(&cli->codes, res.damaged ? EXIT_DAMAGED : EXIT_OK);
	facts_check(cli, &res, count == 0);
	return EXIT_OK;
}
