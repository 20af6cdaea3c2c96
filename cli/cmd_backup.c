#include "cli/command.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/backup_show.h"
#include "cli/incidents.h"
#include "cli/lines.h"
#include "cli/parity_word.h"
#include "cli/paths.h"
#include "cli/process.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text.h"
#include "core/glob.h"
#include "core/reference.h"
#include "repo/backup.h"

struct backup_words {
	struct option_list tags, excludes, exclude_files, if_present;
	struct option_list from, from_verbatim, from_raw;
	struct option_list refs, immutable;
	struct option_number largest;
	const char *host, *time, *integrity, *parent, *parity;
	bool dry_run, force, one_file_system, no_delta_cache;
};

/* What the options name, put together. */
struct backup_lists {
	struct lines paths, excludes, tags;
	int64_t time_ns;
};

const struct option_spec cmd_backup_options[] = {
    {"tag", 0, OPTION_LIST, offsetof(struct backup_words, tags), "TAG[,TAG…]",
     "mark the manifest with TAG; may be repeated"},
    {"exclude", 'e', OPTION_LIST, offsetof(struct backup_words, excludes), "PATTERN",
     "leave out what matches PATTERN; may be repeated"},
    {"exclude-file", 0, OPTION_LIST, offsetof(struct backup_words, exclude_files), "FILE",
     "leave out what matches a pattern in FILE, one a line; may be repeated"},
    {"exclude-if-present", 0, OPTION_LIST, offsetof(struct backup_words, if_present),
     "NAME[:HEADER]",
     "leave out what is in a folder that has a file NAME (that begins with HEADER), except that "
     "file; may be repeated"},
    {"exclude-larger-than", 0, OPTION_SIZE, offsetof(struct backup_words, largest), "SIZE",
     "leave out files and databases larger than SIZE (k, m, g, t: powers of 1024)"},
    {"one-file-system", 'x', OPTION_FLAG, offsetof(struct backup_words, one_file_system), NULL,
     "keep mount points as empty folders"},
    {"files-from", 0, OPTION_LIST, offsetof(struct backup_words, from), "FILE",
     "back up what the patterns in FILE match, too, one a line; - is standard input; may be "
     "repeated"},
    {"files-from-verbatim", 0, OPTION_LIST, offsetof(struct backup_words, from_verbatim), "FILE",
     "back up the paths in FILE, too, one a line as it is"},
    {"files-from-raw", 0, OPTION_LIST, offsetof(struct backup_words, from_raw), "FILE",
     "back up the paths in FILE, too, each ended by a zero byte (find -print0)"},
    {"refs", 0, OPTION_LIST, offsetof(struct backup_words, refs), "DB: SELECT…",
     "every file that the query names must be in the backup; may be repeated"},
    {"immutable", 0, OPTION_LIST, offsetof(struct backup_words, immutable), "DIR",
     "files in DIR never change: known ones are not opened, changed ones are an alarm; may be "
     "repeated"},
    {"time", 0, OPTION_STRING, offsetof(struct backup_words, time), "TIME",
     "record TIME, as 2024-05-01 03:04:05, instead of now"},
    {"host", 0, OPTION_STRING, offsetof(struct backup_words, host), "NAME",
     "record NAME instead of this machine's host name"},
    {"parent", 0, OPTION_STRING, offsetof(struct backup_words, parent), "MANIFEST",
     "compare with MANIFEST and store what changed since it, instead of the newest backup of the "
     "same host and paths"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct backup_words, dry_run), NULL,
     "do everything but store anything"},
    {"force", 'f', OPTION_FLAG, offsetof(struct backup_words, force), NULL,
     "read every file, also those that did not change since the last backup"},
    {"no-delta-cache", 0, OPTION_FLAG, offsetof(struct backup_words, no_delta_cache), NULL,
     "keep no contents on this machine, not even sealed; with a write key stores more"},
    {"integrity", 0, OPTION_STRING, offsetof(struct backup_words, integrity), "full",
     "integrity_check every database, not only when it is due"},
    {"parity", 0, OPTION_STRING, offsetof(struct backup_words, parity), "off|2|4",
     "parity of the packs that are written, instead of what 'init' set"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_backup_options_bytes = sizeof(struct backup_words);

struct teller {
	struct cli *cli;
	struct progress progress;
	uint64_t databases;
	struct json json; /* the summary, begun at the first database */
	uint64_t references;
	struct incidents incidents;
};

static void on_unreadable(void *arg, const char *path, const char *text)
{
	struct teller *t = arg;

	out_error(&t->cli->out, "archival", path, text);
	exit_add(&t->cli->codes, EXIT_SOURCE);
}

static void on_corrupt(void *arg, const char *path, const char *text)
{
	struct teller *t = arg;

	out_error(&t->cli->out, "integrity", path, text);
	exit_add(&t->cli->codes, EXIT_INTEGRITY);
}

static void json_begin(struct json *j)
{
	json_object(j, NULL);
	json_str(j, "message_type", "summary");
	json_array(j, "per_database");
}

static void on_database(void *arg, const struct manifest_db *db)
{
	struct teller *t = arg;
	struct json *j = &t->json;

	if (t->databases++ == 0)
		json_begin(j);
	json_object(j, NULL);
	json_str(j, "path", db->path);
	json_u64(j, "bytes", db->image_bytes);
	json_u64(j, "cells", db->cells);
	json_u64(j, "cells_changed", db->cells_changed);
	json_u64(j, "bytes_stored", db->bytes_stored);
	json_double(j, "plain_copy_ratio",
		    db->bytes_stored ? (double)db->image_bytes / (double)db->bytes_stored : 0);
	json_close(j);
}

/* Behind the databases. */
static void on_reference(void *arg, const struct manifest_ref *ref)
{
	struct teller *t = arg;
	struct json *j = &t->json;

	if (t->cli->out.json) {
		if (t->databases == 0 && t->references == 0)
			json_begin(j);
		if (t->references == 0) {
			json_close(j);
			json_array(j, "references");
		}
		incidents_reference_json(j, ref);
	}
	t->references++;
	out_note(&t->cli->out, "references of %s: %llu file%s named, %llu missing, %llu orphan%s",
		 ref->database, (unsigned long long)ref->referenced, text_plural(ref->referenced),
		 (unsigned long long)ref->missing, (unsigned long long)ref->orphans,
		 text_plural(ref->orphans));
}

static void on_missing(void *arg, const char *database, const char *path, const char *text)
{
	incidents_missing(((struct teller *)arg)->cli, database, path, text);
}

static void on_alarm(void *arg, const char *path, const char *what, const struct id *manifest)
{
	struct teller *t = arg;

	incidents_alarm(&t->incidents, t->cli, path, what, manifest);
}

static void on_warning(void *arg, const char *path, const char *text)
{
	struct teller *t = arg;

	out_warning(&t->cli->out, "%s: %s", path, text);
}

static void on_detail(void *arg, const char *path, const char *text)
{
	struct teller *t = arg;

	if (*path)
		out_detail(&t->cli->out, "%s: %s", path, text);
	else
		out_detail(&t->cli->out, "%s", text);
}

/* -v tells what is new or modified, -vv what is not, too. */
static void on_kept(void *arg, const char *path, enum backup_change change, uint64_t bytes)
{
	static const char *const actions[] = {
	    [BACKUP_NEW] = "new",
	    [BACKUP_CHANGED] = "modified",
	    [BACKUP_UNMODIFIED] = "unchanged",
	};
	struct out *out = &((struct teller *)arg)->cli->out;
	char size[TEXT_SIZE_CHARS], shown[4096];
	struct json j = {0};

	if (out->verbose < (change == BACKUP_UNMODIFIED ? 2 : 1))
		return;
	if (!out->json) {
		text_size(bytes, size);
		(void)text_printable(path, shown, sizeof(shown));
		out_detail(out, "%-9s  %12s  %s", actions[change], size, shown);
		return;
	}
	json_object(&j, NULL);
	json_str(&j, "message_type", "verbose_status");
	json_str(&j, "action", actions[change]);
	json_str(&j, "item", path);
	json_u64(&j, "size", bytes);
	json_close(&j);
	out_json(out, &j);
	json_free(&j);
}

static int on_progress(void *arg, const struct backup_progress *at)
{
	static const char *const phases[] = {
	    [BACKUP_SCAN] = "scan",
	    [BACKUP_SNAPSHOT] = "databases",
	    [BACKUP_FILES] = "files",
	    [BACKUP_PUBLISH] = "publish",
	};
	struct teller *t = arg;
	struct progress_state state = {
	    .phase = phases[at->phase],
	    .files = at->files,
	    .bytes = at->bytes,
	    .path = at->path,
	};

	if (at->pages_total) {
		state.unit = "pages";
		state.files = at->pages;
		state.files_total = at->pages_total;
	} else if (at->phase != BACKUP_SCAN) {
		state.files_total = at->files_total;
		state.bytes_total = at->bytes_total;
	}
	progress_show(&t->progress, &state);
	return process_interrupted() ? 1 : 0;
}

static int check_words(const struct backup_words *w, struct err *err)
{
	int64_t when;
	int r = parity_word_check(w->parity, err);

	if (!r && w->time && strcmp(w->time, "now") != 0 && !text_time_parse(w->time, &when))
		r = err_set(err, ERR_USAGE,
			    "--time takes a time as 2024-05-01 03:04:05, or now, not '%s'",
			    w->time);
	if (!r && w->integrity && strcmp(w->integrity, "full") != 0)
		r = err_set(err, ERR_USAGE, "--integrity takes 'full', not '%s'", w->integrity);
	for (size_t i = 0; !r && i < w->refs.count; i++) {
		char *database, *query;

		r = reference_split(w->refs.items[i], &database, &query, err);
		if (r)
			(void)err_prefix(err, "--refs");
		free(database);
		free(query);
	}
	for (size_t i = 0; !r && i < w->excludes.count; i++) {
		r = glob_validate(w->excludes.items[i], err);
		if (r)
			(void)err_prefix(err, "--exclude");
	}
	return r;
}

static int add_expanded(struct cli *cli, struct lines *paths, const char *pattern, struct err *err)
{
	struct err none = {0};
	int r = lines_expand(paths, pattern, err);

	if (r == 0) {
		(void)err_set(&none, ERR_SOURCE, "%s: nothing matches this of --files-from",
			      pattern);
		out_error(&cli->out, "archival", pattern, none.text);
		exit_add(&cli->codes, EXIT_SOURCE);
	}
	return r < 0 ? r : 0;
}

static int gather_paths(struct cli *cli, const struct backup_words *w, int count, char **operands,
			struct lines *paths, struct err *err)
{
	struct lines patterns = {0};
	int r = 0;

	for (int i = 0; !r && i < count; i++)
		r = lines_add(paths, operands[i], err);
	for (size_t i = 0; !r && i < w->from.count; i++)
		r = lines_read(&patterns, w->from.items[i], LINES_TRIMMED, err);
	for (size_t i = 0; !r && i < patterns.count; i++)
		r = add_expanded(cli, paths, patterns.items[i], err);
	for (size_t i = 0; !r && i < w->from_verbatim.count; i++)
		r = lines_read(paths, w->from_verbatim.items[i], LINES_VERBATIM, err);
	for (size_t i = 0; !r && i < w->from_raw.count; i++)
		r = lines_read(paths, w->from_raw.items[i], LINES_RAW, err);
	lines_free(&patterns);
	if (!r && paths->count == 0)
		r = err_set(err, ERR_USAGE,
			    "'backup' needs a PATH, or --files-from with one; see 'nightjar help "
			    "backup'");
	return r;
}

static int gather_tags(const struct backup_words *w, struct lines *tags, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < w->tags.count; i++)
		r = lines_add_parts(tags, w->tags.items[i], ',', err);
	for (size_t i = 0; !r && i < tags->count; i++) {
		if (strlen(tags->items[i]) > LIMIT_TAG_BYTES)
			r = err_set(err, ERR_USAGE, "--tag: at most %u bytes", LIMIT_TAG_BYTES);
	}
	return r;
}

int cmd_backup_judge(const void *options, int count, struct err *err)
{
	const struct backup_words *w = options;
	struct lines tags = {0};
	char host[256];
	int r = check_words(w, err);

	(void)count; /* files may name the paths */
	if (!r && w->host)
		r = session_host(w->host, host, err);
	if (!r)
		r = gather_tags(w, &tags, err);
	lines_free(&tags);
	return r;
}

static int gather_excludes(const struct backup_words *w, struct lines *excludes, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < w->excludes.count; i++)
		r = lines_add(excludes, w->excludes.items[i], err);
	for (size_t i = 0; !r && i < w->exclude_files.count; i++)
		r = lines_read(excludes, w->exclude_files.items[i], LINES_TRIMMED, err);
	for (size_t i = 0; !r && i < excludes->count; i++)
		r = glob_validate(excludes->items[i], err);
	return r;
}

static void print_json(struct teller *t, const struct backup_result *res)
{
	struct json *j = &t->json;
	struct transfer_sums sums = {0};
	char hex[ID_HEX_CHARS + 1];

	if (t->databases == 0 && t->references == 0)
		json_begin(j);
	json_close(j);
	incidents_alarms_json(&t->incidents, j);
	json_bool(j, "dry_run", !res->committed);
	json_u64(j, "files_new", res->files_new);
	json_u64(j, "files_changed", res->files_changed);
	json_u64(j, "files_unmodified", res->files_unmodified);
	json_u64(j, "total_files_processed", res->files);
	json_u64(j, "total_bytes_processed", res->bytes);
	json_u64(j, "data_added", res->bytes_added);
	json_u64(j, "data_added_packed", res->bytes_packed);
	json_u64(j, "data_stored", res->bytes_stored);
	json_u64(j, "databases", res->databases);
	json_u64(j, "databases_failed", res->databases_failed);
	json_u64(j, "databases_unchecked", res->databases_unchecked);
	json_u64(j, "unreadable", res->unreadable);
	incidents_counts_json(res, j);
	transfers_add(t->cli, &sums);
	transfers_json(&sums, j);
	json_double(j, "total_duration", progress_seconds(&t->progress));
	if (res->committed) {
		id_hex(&res->manifest, hex);
		json_str(j, "manifest_id", hex);
	}
	json_close(j);
	out_json(&t->cli->out, j);
}

static void print_people(struct teller *t, const struct backup_result *res)
{
	struct cli *cli = t->cli;
	char processed[TEXT_SIZE_CHARS], added[TEXT_SIZE_CHARS], stored[TEXT_SIZE_CHARS];
	char took[TEXT_SIZE_CHARS], hex[ID_HEX_CHARS + 1], sent[TRANSFERS_CHARS];
	struct transfer_sums sums = {0};

	text_size(res->bytes, processed);
	text_size(res->bytes_added, added);
	text_size(res->bytes_stored, stored);
	text_duration((uint64_t)(progress_seconds(&t->progress) + 0.5), took);
	out_note(&cli->out, "files: %llu new, %llu changed, %llu unmodified; databases: %llu",
		 (unsigned long long)res->files_new, (unsigned long long)res->files_changed,
		 (unsigned long long)res->files_unmodified, (unsigned long long)res->databases);
	backup_show_databases(cli, t->databases, res);
	out_note(&cli->out, "processed %s in %s; new data %s, the repository grew by %s", processed,
		 took, added, stored);
	transfers_add(cli, &sums);
	transfers_words(&sums, sent);
	if (*sent && !cli->out.verbose) /* with -v every command says it */
		out_note(&cli->out, "network: %s", sent);
	if (res->databases_failed)
		out_note(&cli->out, "databases that FAILED their integrity check: %llu",
			 (unsigned long long)res->databases_failed);
	if (res->unreadable)
		out_note(&cli->out,
			 "could NOT be read, and are not or not whole in this backup: %llu",
			 (unsigned long long)res->unreadable);
	incidents_print(cli, res);
	if (!res->committed) {
		out_line(&cli->out, "dry run: nothing was stored");
		return;
	}
	id_hex(&res->manifest, hex);
	out_line(&cli->out, "manifest %.*s saved", ID_SHORT_CHARS, hex);
}

/* Without the run itself: what must be right before a password is asked for. */
static int prepare(struct cli *cli, const struct backup_words *w, int count, char **operands,
		   struct backup_lists *lists, struct backup_options *o, struct err *err)
{
	int r = check_words(w, err);

	if (!r)
		r = gather_paths(cli, w, count, operands, &lists->paths, err);
	if (!r)
		r = gather_tags(w, &lists->tags, err);
	if (!r)
		r = gather_excludes(w, &lists->excludes, err);
	o->paths = (const char *const *)lists->paths.items;
	o->path_count = lists->paths.count;
	o->tags = (const char *const *)lists->tags.items;
	o->tag_count = lists->tags.count;
	o->filter.excludes = (const char *const *)lists->excludes.items;
	o->filter.exclude_count = lists->excludes.count;
	if (w->time && text_time_parse(w->time, &lists->time_ns))
		o->time_ns = &lists->time_ns;
	return r;
}

static int find_parent(struct session *s, const struct backup_words *w, struct id *out_parent,
		       struct err *err)
{
	const struct manifest_item *item;
	const char *sub;
	int r = manifests_load(s->repo, NULL, NULL, &s->manifests, err); /* the run says bad ones */

	if (!r)
		r = manifests_find(&s->manifests, w->parent, w->host, &item, &sub, err);
	if (!r && sub)
		r = err_set(err, ERR_USAGE, "--parent takes a whole backup, not '%s'", w->parent);
	if (!r)
		*out_parent = item->name;
	return r;
}

/* A write key is of one host, whatever this machine, or container, is called today. */
static int use_own_host(const struct repo *repo, const char *said, char out_host[256],
			struct err *err)
{
	const struct keys *keys = repo->keys;

	if (keys->role != ROLE_WRITE)
		return 0;
	if (said && strcmp(said, keys->host) != 0)
		return err_set(err, ERR_KEY,
			       "this write key is of host %s and cannot make backups of %s; leave "
			       "--host out",
			       keys->host, said);
	(void)snprintf(out_host, 256, "%s", keys->host);
	return 0;
}

static struct backup_callbacks callbacks_of(struct teller *t)
{
	return (struct backup_callbacks){
	    .unreadable = on_unreadable,
	    .corrupt = on_corrupt,
	    .database = on_database,
	    .missing = on_missing,
	    .reference = on_reference,
	    .alarm = on_alarm,
	    .warning = on_warning,
	    .detail = on_detail,
	    .kept = t->cli->out.verbose ? on_kept : NULL,
	    .progress = on_progress,
	    .arg = t,
	};
}

static int run_backup(struct teller *t, const struct backup_words *w, int count, char **operands,
		      struct backup_result *res, struct err *err)
{
	struct cli *cli = t->cli;
	struct session s = {0};
	struct backup_lists lists = {0};
	struct backup_own own[2];
	char host[256], *cache = NULL, *state = NULL;
	struct id parent;
	const struct passwd *pw = getpwuid(geteuid());
	struct backup_options o = {
	    .filter =
		{
		    .if_present = w->if_present.items,
		    .if_present_count = w->if_present.count,
		    .has_largest = w->largest.given,
		    .largest_bytes = w->largest.value,
		    .one_file_system = w->one_file_system,
		    .own = own,
		    .own_count = 2,
		},
	    .host = host,
	    .user = pw ? pw->pw_name : "",
	    .program = "nightjar " NIGHTJAR_VERSION,
	    .dry_run = w->dry_run,
	    .force = w->force,
	    .no_delta_cache = w->no_delta_cache,
	    .integrity_full = w->integrity != NULL,
	    .parent = w->parent ? &parent : NULL,
	    .refs = w->refs.items,
	    .ref_count = w->refs.count,
	    .immutable = w->immutable.items,
	    .immutable_count = w->immutable.count,
	    .cb = callbacks_of(t),
	};
	int r = prepare(cli, w, count, operands, &lists, &o, err);

	if (!r)
		r = session_host(w->host, host, err);
	if (!r)
		r = paths_cache(&cli->global, &cache, err);
	if (!r)
		r = paths_state(&cli->global, &state, err);
	o.cache_dir = cache;
	o.state_dir = state;
	own[1] = (struct backup_own){cache, "is nightjar's cache; left out"};
	if (!r)
		r = session_open(cli, &s, err);
	if (!r)
		r = use_own_host(s.repo, w->host, host, err);
	if (!r)
		own[0] = (struct backup_own){s.repo->store->location,
					     "is the repository of this backup; left out"};
	if (!r)
		parity_word_set(w->parity, &s.repo->parity);
	if (!r && w->parent)
		r = find_parent(&s, w, &parent, err);
	if (!r)
		r = backup_run(s.repo, &o, res, err);
	if (!r)
		facts_repo(cli, s.repo);
	session_close(&s);
	lines_free(&lists.paths);
	lines_free(&lists.excludes);
	lines_free(&lists.tags);
	free(cache);
	free(state);
	return r;
}

enum exit_code cmd_backup(struct cli *cli, const void *options, int count, char **operands)
{
	struct teller teller = {.cli = cli};
	struct backup_result res = {0};
	struct err err = {0};
	int r;

	progress_begin(&teller.progress, &cli->out);
	r = run_backup(&teller, options, count, operands, &res, &err);
	progress_end(&teller.progress);
	if (!r && cli->out.json)
		print_json(&teller, &res);
	else if (!r)
		print_people(&teller, &res);
	if (!r)
		facts_backup(cli, &res);
	cli->facts.full = r == -ERR_FULL;
	json_free(&teller.json);
	incidents_free(&teller.incidents);
	return r ? command_fail(cli, &err) : EXIT_OK;
}
