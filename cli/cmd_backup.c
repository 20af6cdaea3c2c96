#include "cli/command.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/paths.h"
#include "cli/process.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text.h"
#include "core/glob.h"
#include "repo/backup.h"

struct backup_words {
	struct option_list tags, excludes;
	const char *host;
	bool dry_run, force;
	const char *integrity;
};

const struct option_spec cmd_backup_options[] = {
    {"tag", 0, OPTION_LIST, offsetof(struct backup_words, tags), "TAG",
     "mark the manifest with TAG; may be repeated"},
    {"exclude", 'e', OPTION_LIST, offsetof(struct backup_words, excludes), "PATTERN",
     "leave out what matches PATTERN; may be repeated"},
    {"host", 0, OPTION_STRING, offsetof(struct backup_words, host), "NAME",
     "record NAME instead of this machine's host name"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct backup_words, dry_run), NULL,
     "do everything but store anything"},
    {"force", 'f', OPTION_FLAG, offsetof(struct backup_words, force), NULL,
     "read every file, also those that did not change since the last backup"},
    {"integrity", 0, OPTION_STRING, offsetof(struct backup_words, integrity), "full",
     "integrity_check every database, not only when it is due"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_backup_options_bytes = sizeof(struct backup_words);

struct teller {
	struct cli *cli;
	struct progress progress;
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
	int r = 0;

	for (size_t i = 0; !r && i < w->excludes.count; i++)
		r = glob_validate(w->excludes.items[i], err);
	for (size_t i = 0; !r && i < w->tags.count; i++) {
		if (strlen(w->tags.items[i]) > LIMIT_TAG_BYTES)
			r = err_set(err, ERR_USAGE, "--tag: at most %u bytes", LIMIT_TAG_BYTES);
	}
	if (!r && w->integrity && strcmp(w->integrity, "full") != 0)
		r = err_set(err, ERR_USAGE, "--integrity takes 'full', not '%s'", w->integrity);
	return r;
}

static void print_json(struct cli *cli, const struct backup_result *res, double seconds)
{
	struct json j = {0};
	char hex[ID_HEX_CHARS + 1];

	json_object(&j, NULL);
	json_str(&j, "message_type", "summary");
	json_bool(&j, "dry_run", !res->committed);
	json_u64(&j, "files_new", res->files_new);
	json_u64(&j, "files_changed", res->files_changed);
	json_u64(&j, "files_unmodified", res->files_unmodified);
	json_u64(&j, "total_files_processed", res->files);
	json_u64(&j, "total_bytes_processed", res->bytes);
	json_u64(&j, "data_added", res->bytes_added);
	json_u64(&j, "data_added_packed", res->bytes_packed);
	json_u64(&j, "data_stored", res->bytes_stored);
	json_u64(&j, "databases", res->databases);
	json_u64(&j, "databases_failed", res->databases_failed);
	json_u64(&j, "databases_unchecked", res->databases_unchecked);
	json_u64(&j, "unreadable", res->unreadable);
	json_double(&j, "total_duration", seconds);
	if (res->committed) {
		id_hex(&res->manifest, hex);
		json_str(&j, "manifest_id", hex);
	}
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

static void print_people(struct cli *cli, const struct backup_result *res, double seconds)
{
	char processed[TEXT_SIZE_CHARS], added[TEXT_SIZE_CHARS], stored[TEXT_SIZE_CHARS];
	char took[TEXT_SIZE_CHARS], hex[ID_HEX_CHARS + 1];

	text_size(res->bytes, processed);
	text_size(res->bytes_added, added);
	text_size(res->bytes_stored, stored);
	text_duration((uint64_t)(seconds + 0.5), took);
	out_note(&cli->out, "files: %llu new, %llu changed, %llu unmodified; databases: %llu",
		 (unsigned long long)res->files_new, (unsigned long long)res->files_changed,
		 (unsigned long long)res->files_unmodified, (unsigned long long)res->databases);
	out_note(&cli->out, "processed %s in %s; new data %s, the repository grew by %s", processed,
		 took, added, stored);
	if (res->databases_failed)
		out_note(&cli->out, "databases that FAILED their integrity check: %llu",
			 (unsigned long long)res->databases_failed);
	if (res->unreadable)
		out_note(&cli->out,
			 "could NOT be read, and are not or not whole in this backup: %llu",
			 (unsigned long long)res->unreadable);
	if (!res->committed) {
		out_line(&cli->out, "dry run: nothing was stored");
		return;
	}
	id_hex(&res->manifest, hex);
	out_line(&cli->out, "manifest %.*s saved", ID_SHORT_CHARS, hex);
}

static int run_backup(struct teller *t, const struct backup_words *w, int count, char **operands,
		      struct backup_result *res, struct err *err)
{
	struct cli *cli = t->cli;
	struct session s = {0};
	char host[256], *cache = NULL;
	const struct passwd *pw = getpwuid(geteuid());
	struct backup_options o = {
	    .paths = (const char *const *)operands,
	    .path_count = (size_t)count,
	    .tags = w->tags.items,
	    .tag_count = w->tags.count,
	    .excludes = w->excludes.items,
	    .exclude_count = w->excludes.count,
	    .host = host,
	    .user = pw ? pw->pw_name : "",
	    .program = "nightjar " NIGHTJAR_VERSION,
	    .dry_run = w->dry_run,
	    .force = w->force,
	    .integrity_full = w->integrity != NULL,
	    .cb = {on_unreadable, on_corrupt, on_warning, on_detail, on_progress, t},
	};
	int r = check_words(w, err);

	if (!r)
		r = session_host(w->host, host, err);
	if (!r)
		r = paths_cache(&cli->global, &cache, err);
	o.cache_dir = cache;
	if (!r)
		r = session_open(cli, &s, err);
	if (!r)
		r = backup_run(s.repo, &o, res, err);
	session_close(&s);
	free(cache);
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
	if (r)
		return command_fail(cli, &err);
	if (cli->out.json)
		print_json(cli, &res, progress_seconds(&teller.progress));
	else
		print_people(cli, &res, progress_seconds(&teller.progress));
	return EXIT_OK;
}
