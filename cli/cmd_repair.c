#include "cli/command.h"

#include <stdlib.h>
#include <time.h>

#include "cli/mending.h"
#include "cli/parity_word.h"
#include "cli/paths.h"
#include "cli/pick.h"
#include "cli/process.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text.h"
#include "repo/repair.h"

struct index_words {
	bool read_all_packs;
};

const struct option_spec cmd_repair_index_options[] = {
    {"read-all-packs", 0, OPTION_FLAG, offsetof(struct index_words, read_all_packs), NULL,
     "compare the index with every pack, not only with those that it does not name"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_repair_index_options_bytes = sizeof(struct index_words);

struct packs_words {
	const char *parity;
};

const struct option_spec cmd_repair_packs_options[] = {
    {"parity", 0, OPTION_STRING, offsetof(struct packs_words, parity), "off|2|4",
     "parity of the packs that are written, instead of what 'init' set"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_repair_packs_options_bytes = sizeof(struct packs_words);

struct manifests_words {
	bool dry_run, forget;
	struct pick pick;
};

const struct option_spec cmd_repair_manifests_options[] = {
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct manifests_words, dry_run), NULL,
     "only say what would be left out, and removed"},
    {"forget", 0, OPTION_FLAG, offsetof(struct manifests_words, forget), NULL,
     "remove the damaged ones then, and those of which nothing can be had"},
    {"host", 0, OPTION_LIST, offsetof(struct manifests_words, pick.hosts), "NAME",
     "only backups of NAME; may be repeated"},
    {"tag", 0, OPTION_LIST, offsetof(struct manifests_words, pick.tags), "TAG[,TAG…]",
     "only backups with all these tags; may be repeated for others"},
    {"path", 0, OPTION_LIST, offsetof(struct manifests_words, pick.paths), "PATH",
     "only backups of PATH; may be repeated for all of them"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_repair_manifests_options_bytes = sizeof(struct manifests_words);

struct teller {
	struct cli *cli;
	struct progress progress;
	const char *phase, *unit;
};

static void on_repaired(void *arg, const char *object, const char *text)
{
	struct teller *t = arg;

	out_warning(&t->cli->out, "%s: %s", object, text);
}

static void on_lost(void *arg, const char *object, const char *text)
{
	struct teller *t = arg;

	out_error(&t->cli->out, "repair", object, text);
}

static int on_progress(void *arg, uint64_t done, uint64_t total, const char *what)
{
	struct teller *t = arg;

	progress_show(&t->progress, &(struct progress_state){
					.phase = t->phase,
					.unit = t->unit,
					.files = done,
					.files_total = total,
					.path = what,
				    });
	return process_interrupted() ? 1 : 0;
}

static void on_touched(void *arg, const struct id *manifest, const char *path, const char *text)
{
	struct teller *t = arg;
	char hex[ID_HEX_CHARS + 1], item[4200];

	id_hex(manifest, hex);
	(void)snprintf(item, sizeof(item), "manifest %.*s%s%s", ID_SHORT_CHARS, hex,
		       *path ? ": " : "", path);
	out_error(&t->cli->out, "repair", item, text);
}

static struct repair_callbacks callbacks_of(struct teller *t)
{
	return (struct repair_callbacks){.repaired = on_repaired,
					 .lost = on_lost,
					 .touched = on_touched,
					 .progress = on_progress,
					 .arg = t};
}

/* --- repair index --- */

static void index_json(struct cli *cli, const struct repair_index_result *res)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "summary");
	json_u64(&j, "index_segments", res->segments);
	json_u64(&j, "packs", res->packs);
	json_u64(&j, "segments_replaced", res->replaced);
	json_u64(&j, "segments_written", res->written);
	json_u64(&j, "packs_added", res->packs_added);
	json_u64(&j, "packs_missing", res->packs_missing);
	json_u64(&j, "packs_unreadable", res->packs_unreadable);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

static void index_people(struct cli *cli, const struct repair_index_result *res)
{
	if (!res->replaced && !res->written) {
		out_line(&cli->out,
			 "the index is whole: nothing to repair (segments: %llu, packs: "
			 "%llu)",
			 (unsigned long long)res->segments, (unsigned long long)res->packs);
	} else {
		out_line(
		    &cli->out,
		    "index segments written: %llu, removed: %llu; packs added: %llu, not named "
		    "any more: %llu",
		    (unsigned long long)res->written, (unsigned long long)res->replaced,
		    (unsigned long long)res->packs_added, (unsigned long long)res->packs_missing);
		out_line(&cli->out, "next: 'nightjar check' says whether backups lack something");
	}
	if (res->packs_unreadable)
		out_line(&cli->out,
			 "packs whose directory is damaged: %llu; next: 'nightjar repair "
			 "packs' saves what still opens",
			 (unsigned long long)res->packs_unreadable);
}

enum exit_code cmd_repair_index(struct cli *cli, const void *options, int count, char **operands)
{
	const struct index_words *w = options;
	struct teller teller = {.cli = cli, .phase = "index", .unit = "packs"};
	struct repair_index_options o = {.read_all_packs = w->read_all_packs,
					 .cb = callbacks_of(&teller)};
	struct repair_index_result res = {0};
	struct session s = {0};
	struct err err = {0};
	int r = session_open_direct(cli, &s, &err);

	(void)count;
	(void)operands;
	progress_begin(&teller.progress, &cli->out);
	if (!r)
		r = repair_index(s.repo, &o, &res, &err);
	progress_end(&teller.progress);
	session_close(&s);
	if (r)
		return command_fail(cli, &err);
	if (cli->out.json)
		index_json(cli, &res);
	else
		index_people(cli, &res);
	return res.packs_unreadable ? EXIT_DAMAGED : EXIT_OK;
}

/* --- repair packs --- */

static void packs_json(struct cli *cli, const struct repair_packs_result *res)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "summary");
	json_u64(&j, "packs", res->packs);
	json_u64(&j, "packs_damaged", res->damaged);
	json_u64(&j, "packs_mended", res->mended);
	json_u64(&j, "blocks_mended", res->blocks_mended);
	json_u64(&j, "packs_not_written", res->unwritten);
	json_u64(&j, "packs_lost", res->packs_lost);
	json_u64(&j, "records_saved", res->records_saved);
	json_u64(&j, "records_lost", res->records_lost);
	json_u64(&j, "records_not_judged", res->unjudged);
	json_u64(&j, "noted", res->noted);
	json_bool(&j, "not_noted", res->unnoted);
	json_u64(&j, "paths_touched", res->touched);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

/* Something is lost, or could not be written down. */
static bool packs_damaged(const struct repair_packs_result *res)
{
	return res->records_lost || res->packs_lost || res->unwritten || res->unnoted;
}

static void packs_people(struct cli *cli, const struct repair_packs_result *res)
{
	if (!res->damaged) {
		out_line(&cli->out, "no damaged pack (packs: %llu)",
			 (unsigned long long)res->packs);
		return;
	}
	out_line(
	    &cli->out,
	    "damaged packs: %llu of %llu; mended by their parity: %llu; of the others, records "
	    "moved into new packs: %llu, lost: %llu",
	    (unsigned long long)res->damaged, (unsigned long long)res->packs,
	    (unsigned long long)res->mended, (unsigned long long)res->records_saved,
	    (unsigned long long)res->records_lost);
	if (res->unwritten)
		out_line(&cli->out,
			 "packs that could not be written: %llu; they are as they were. When what "
			 "kept them from it is put right: 'nightjar repair packs' again",
			 (unsigned long long)res->unwritten);
	if (res->unjudged)
		out_line(
		    &cli->out,
		    "not judged, because sealed for reading: %llu; 'nightjar repair packs' "
		    "with the full key saves those that still open, and the next backup stores "
		    "again what its sources still have",
		    (unsigned long long)res->unjudged);
	else if (res->unwritten + res->unnoted)
		return;
	else if (res->damaged == res->mended)
		out_line(&cli->out,
			 "nothing is lost; next: a copy of the repository on another disk, "
			 "as this one loses blocks");
	else if (res->records_lost + res->packs_lost == 0)
		out_line(&cli->out, "nothing is lost; 'prune' will remove the damaged packs");
	else if (res->touched)
		out_line(
		    &cli->out,
		    "paths that are not whole: %llu; next: 'nightjar backup' stores again what "
		    "the sources still have, then 'nightjar repair manifests' makes backups "
		    "without the rest",
		    (unsigned long long)res->touched);
	else
		out_line(&cli->out, "no backup needs what is lost");
}

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* What a key that may move nothing can do. */
static enum exit_code parity_alone(struct cli *cli, struct session *s, int count, char **operands)
{
	enum exit_code code = mending_alone(cli, s->repo->store, "repair", count, operands);

	session_close(s);
	return code;
}

enum exit_code cmd_repair_packs(struct cli *cli, const void *options, int count, char **operands)
{
	struct teller teller = {.cli = cli, .phase = "packs", .unit = "packs"};
	struct repair_packs_options o = {.now_ns = now_ns(), .cb = callbacks_of(&teller)};
	struct repair_packs_result res = {0};
	struct session s = {0};
	struct err err = {0};
	const struct packs_words *w = options;
	struct id *ids = NULL;
	int r = parity_word_check(w->parity, &err);

	if (!r && session_is_keyless(cli))
		return mending_alone(cli, NULL, "repair", count, operands);
	if (!r)
		r = session_open_direct(cli, &s, &err);
	if (!r && keys_allow(s.repo->keys, POWER_MAINTAIN, "repair packs", &err))
		return parity_alone(cli, &s, count, operands);
	if (!r)
		parity_word_set(w->parity, &s.repo->parity);
	if (!r)
		r = mending_find_packs(s.repo->store, count, operands, &ids, &err);
	o.packs = count ? ids : NULL;
	o.pack_count = (size_t)count;
	progress_begin(&teller.progress, &cli->out);
	if (!r)
		r = repair_packs(s.repo, &o, &res, &err);
	progress_end(&teller.progress);
	free(ids);
	session_close(&s);
	if (r)
		return command_fail(cli, &err);
	if (cli->out.json)
		packs_json(cli, &res);
	else
		packs_people(cli, &res);
	return packs_damaged(&res) ? EXIT_DAMAGED : EXIT_OK;
}

/* --- repair manifests --- */

static void on_made(void *arg, const struct id *damaged, const struct id *repaired)
{
	struct teller *t = arg;
	char old[ID_HEX_CHARS + 1], made[ID_HEX_CHARS + 1];
	struct json j = {0};

	id_hex(damaged, old);
	id_hex(repaired, made);
	out_note(&t->cli->out, "manifest %.*s: what can be had of it is manifest %.*s now",
		 ID_SHORT_CHARS, old, ID_SHORT_CHARS, made);
	if (!t->cli->out.json)
		return;
	json_object(&j, NULL);
	json_str(&j, "message_type", "repaired");
	json_str(&j, "original", old);
	json_str(&j, "manifest_id", made);
	json_close(&j);
	out_json(&t->cli->out, &j);
	json_free(&j);
}

static void forgot_json(struct cli *cli, const char *id, const char *why)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "forgotten");
	json_str(&j, "manifest_id", id);
	json_str(&j, "reason", why);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

/* In a dry run the summary says that nothing was changed. */
static void on_forgot(void *arg, const struct id *name, const struct manifest *m, const char *why)
{
	struct teller *t = arg;
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS];

	id_hex(name, hex);
	if (t->cli->out.json) {
		forgot_json(t->cli, hex, why);
		return;
	}
	if (!m) {
		out_line(&t->cli->out, "forget snapshots/%s: %s", hex, why);
		return;
	}
	text_time_local(m->time_ns / 1000000000, time);
	out_line(&t->cli->out, "forget manifest %.*s of %s, host %s, %s%s: %s", ID_SHORT_CHARS, hex,
		 time, m->host, m->source_count ? m->sources[0] : "/",
		 m->source_count > 1 ? " and more" : "", why);
}

static void manifests_json(struct cli *cli, const struct repair_manifests_result *res, bool dry_run)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "summary");
	json_bool(&j, "dry_run", dry_run);
	json_u64(&j, "manifests", res->manifests);
	json_u64(&j, "manifests_damaged", res->damaged);
	json_u64(&j, "manifests_repaired", res->repaired);
	json_u64(&j, "manifests_repaired_before", res->repaired_before);
	json_u64(&j, "manifests_lost", res->hopeless);
	json_u64(&j, "manifests_forgotten", res->forgotten);
	json_u64(&j, "paths_left_out", res->left_out);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

static void manifests_people(struct cli *cli, const struct repair_manifests_result *res,
			     bool dry_run)
{
	if (res->damaged + res->hopeless == 0) {
		out_line(&cli->out,
			 "no backup lacks anything that is known to be lost (manifests: %llu); "
			 "'nightjar check --read-data' looks for damage that nobody knows of",
			 (unsigned long long)res->manifests);
		return;
	}
	out_line(&cli->out,
		 "damaged manifests: %llu of %llu; %s: %llu, earlier: %llu, nothing left of: %llu; "
		 "paths left out: %llu",
		 (unsigned long long)res->damaged, (unsigned long long)res->manifests,
		 dry_run ? "would be repaired" : "repaired", (unsigned long long)res->repaired,
		 (unsigned long long)res->repaired_before, (unsigned long long)res->hopeless,
		 (unsigned long long)res->left_out);
	if (res->spared)
		out_line(&cli->out,
			 "nothing was forgotten: not one backup is whole; is the disk of data/ "
			 "there (mounted)? If all is lost: make a backup first");
	if (dry_run)
		out_line(&cli->out, "dry run: nothing was changed; next: the same without "
				    "--dry-run");
	else if (res->forgotten)
		out_line(&cli->out, "forgotten: %llu; next: make a backup, and 'nightjar prune'",
			 (unsigned long long)res->forgotten);
	else if (res->repaired)
		out_line(&cli->out,
			 "the damaged ones stay; next: restore from those that are tagged "
			 "'repaired', and make a backup");
}

static int ids_of(const struct manifest_list *list, const bool *wanted, struct id **out_ids,
		  size_t *out_count, struct err *err)
{
	*out_count = 0;
	*out_ids = calloc(list->count + 1, sizeof(**out_ids));
	if (!*out_ids)
		return err_nomem(err);
	for (size_t i = 0; i < list->count; i++) {
		if (wanted[i])
			(*out_ids)[(*out_count)++] = list->items[i].name;
	}
	return 0;
}

/* Without words about which: all, and then also what does not open is told. */
static int choose_manifests(struct session *s, const struct pick *pick, int count, char **operands,
			    struct repair_manifests_options *o, struct id **out_ids,
			    struct err *err)
{
	bool *wanted = NULL;
	int r;

	if (!count && pick->hosts.count + pick->tags.count + pick->paths.count == 0)
		return 0;
	r = manifests_load(s->repo, NULL, NULL, &s->manifests, err);
	if (!r)
		r = pick_manifests(pick, &s->manifests, count, operands, &wanted, err);
	if (!r)
		r = ids_of(&s->manifests, wanted, out_ids, &o->manifest_count, err);
	o->manifests = *out_ids;
	free(wanted);
	return r;
}

static int run_manifests(struct cli *cli, const struct manifests_words *w, int count,
			 char **operands, struct repair_manifests_options *o,
			 struct repair_manifests_result *res, struct err *err)
{
	struct session s = {0};
	struct id *ids = NULL;
	char *state = NULL;
	int r = paths_state(&cli->global, &state, err);

	o->state_dir = state;
	if (!r)
		r = session_open_direct(cli, &s, err);
	if (!r)
		r = choose_manifests(&s, &w->pick, count, operands, o, &ids, err);
	if (!r)
		r = repair_manifests(s.repo, o, res, err);
	session_close(&s);
	free(ids);
	free(state);
	return r;
}

enum exit_code cmd_repair_manifests(struct cli *cli, const void *options, int count,
				    char **operands)
{
	const struct manifests_words *w = options;
	struct teller teller = {.cli = cli, .phase = "manifests", .unit = "manifests"};
	struct repair_manifests_options o = {.dry_run = w->dry_run,
					     .forget = w->forget,
					     .now_ns = now_ns(),
					     .cb = callbacks_of(&teller),
					     .forgot = on_forgot,
					     .made = on_made};
	struct repair_manifests_result res = {0};
	struct err err = {0};
	int r;

	progress_begin(&teller.progress, &cli->out);
	r = run_manifests(cli, w, count, operands, &o, &res, &err);
	progress_end(&teller.progress);
	if (r)
		return command_fail(cli, &err);
	if (cli->out.json)
		manifests_json(cli, &res, w->dry_run);
	else
		manifests_people(cli, &res, w->dry_run);
	return res.hopeless > res.lost_forgotten || (w->dry_run && res.hopeless) ? EXIT_DAMAGED
										 : EXIT_OK;
}
