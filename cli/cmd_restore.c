#include "cli/command.h"

#include <string.h>

#include "cli/mending.h"
#include "cli/process.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text.h"
#include "core/glob.h"
#include "repo/restore.h"

struct restore_words {
	const char *target;
	const char *host;
	struct option_list includes, excludes;
	const char *overwrite;
	bool remove, force, verify, dry_run;
};

const struct option_spec cmd_restore_options[] = {
    {"target", 't', OPTION_STRING, offsetof(struct restore_words, target), "DIR",
     "restore below DIR, which is made when it is not there (required)"},
    {"include", 'i', OPTION_LIST, offsetof(struct restore_words, includes), "PATTERN",
     "restore only what matches PATTERN; may be repeated"},
    {"exclude", 'e', OPTION_LIST, offsetof(struct restore_words, excludes), "PATTERN",
     "leave out what matches PATTERN; may be repeated"},
    {"overwrite", 0, OPTION_STRING, offsetof(struct restore_words, overwrite), "WHEN",
     "what becomes of files that are there: always (the default), if-changed, if-newer, never"},
    {"delete", 0, OPTION_FLAG, offsetof(struct restore_words, remove), NULL,
     "remove what lies in the restored folders and is not in the backup"},
    {"force", 0, OPTION_FLAG, offsetof(struct restore_words, force), NULL,
     "replace a database that another process has open, too"},
    {"verify", 0, OPTION_FLAG, offsetof(struct restore_words, verify), NULL,
     "read everything back, and integrity_check each database"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct restore_words, dry_run), NULL,
     "say what would be written, left and deleted, and change nothing; -v lists it"},
    {"host", 0, OPTION_STRING, offsetof(struct restore_words, host), "NAME",
     "'latest' means the latest of NAME"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_restore_options_bytes = sizeof(struct restore_words);

/* An ordinary user who restores others' files gets one for each: the first ones say it all. */
#define WARNINGS_SHOWN 10

struct teller {
	struct cli *cli;
	struct progress progress;
	uint64_t files_total, bytes_total; /* 0 when only a part is restored */
	unsigned long long warnings;
	bool dry_run;
};

static void on_warning(void *arg, const char *path, const char *text)
{
	struct teller *t = arg;

	if (++t->warnings <= WARNINGS_SHOWN || t->cli->out.verbose)
		out_warning(&t->cli->out, "%s: %s", path, text);
}

static void on_failed(void *arg, const char *path, const char *text)
{
	struct teller *t = arg;

	out_error(&t->cli->out, "restore", path, text);
	exit_add(&t->cli->codes, EXIT_FAILED);
}

static void sum_up_warnings(const struct teller *t)
{
	if (t->warnings > WARNINGS_SHOWN && !t->cli->out.verbose)
		out_warning(&t->cli->out, "and %llu more like these; -v shows them all",
			    t->warnings - WARNINGS_SHOWN);
}

static int on_progress(void *arg, uint64_t files, uint64_t bytes, const char *path)
{
	struct teller *t = arg;

	progress_show(&t->progress, &(struct progress_state){
					.phase = "restore",
					.files = files,
					.files_total = t->files_total,
					.bytes = bytes,
					.bytes_total = t->bytes_total,
					.path = path,
				    });
	return process_interrupted() ? 1 : 0;
}

static const struct {
	const char *word, *would; /* word: as restic's */
} actions[] = {
    [RESTORE_RESTORED] = {"restored", "would restore"},
    [RESTORE_UPDATED] = {"updated", "would update"},
    [RESTORE_UNCHANGED] = {"unchanged", "would leave"},
    [RESTORE_DELETED] = {"deleted", "would delete"},
};

/* Told only with -v: a large backup has many. */
static void on_action(void *arg, enum restore_action action, const char *path, uint64_t bytes)
{
	const struct teller *t = arg;
	char size[TEXT_SIZE_CHARS], shown[4096];
	struct json j = {0};

	if (!t->cli->out.verbose)
		return;
	if (!t->cli->out.json) {
		text_size(bytes, size);
		(void)text_printable(path, shown, sizeof(shown));
		out_detail(&t->cli->out, "%s %s with size %s",
			   t->dry_run ? actions[action].would : actions[action].word, shown, size);
		return;
	}
	json_object(&j, NULL);
	json_str(&j, "message_type", "verbose_status");
	json_str(&j, "action", actions[action].word);
	json_str(&j, "item", path);
	json_u64(&j, "size", bytes);
	json_close(&j);
	out_json(&t->cli->out, &j);
	json_free(&j);
}

/* Always told: it holds data. */
static void on_aside(void *arg, const char *path, const char *name)
{
	const struct teller *t = arg;
	char shown[4096], shown_name[1024];
	struct json j = {0};

	(void)text_printable(path, shown, sizeof(shown));
	(void)text_printable(name, shown_name, sizeof(shown_name));
	out_line(&t->cli->out, "%s: what was there is kept beside it as %s", shown, shown_name);
	if (!t->cli->out.json)
		return;
	json_object(&j, NULL);
	json_str(&j, "message_type", "moved_aside");
	json_str(&j, "item", path);
	json_str(&j, "moved_to", name);
	json_close(&j);
	out_json(&t->cli->out, &j);
	json_free(&j);
}

static int overwrite_of(const char *word, enum restore_overwrite *out, struct err *err)
{
	static const char *const words[] = {[RESTORE_ALWAYS] = "always",
					    [RESTORE_IF_CHANGED] = "if-changed",
					    [RESTORE_IF_NEWER] = "if-newer",
					    [RESTORE_NEVER] = "never"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(word, words[i]) == 0) {
			*out = (enum restore_overwrite)i;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE,
		       "--overwrite is one of always, if-changed, if-newer, never, not '%s'", word);
}

static int check_words(const struct restore_words *w, struct err *err)
{
	int r = 0;

	if (!w->target)
		return err_set(err, ERR_USAGE,
			       "'restore' needs --target DIR; --target / puts everything "
			       "back where it was");
	if (w->dry_run && w->verify)
		return err_set(err, ERR_USAGE, "--verify needs a restore that is not a dry run");
	for (size_t i = 0; !r && i < w->includes.count; i++)
		r = glob_validate(w->includes.items[i], err);
	for (size_t i = 0; !r && i < w->excludes.count; i++)
		r = glob_validate(w->excludes.items[i], err);
	return r;
}

static void print_result(struct cli *cli, const struct restore_result *res,
			 const struct restore_words *w)
{
	struct json j = {0};
	char size[TEXT_SIZE_CHARS];

	if (cli->out.json) {
		json_object(&j, NULL);
		json_str(&j, "message_type", "summary");
		json_bool(&j, "dry_run", w->dry_run);
		json_u64(&j, "files_restored", res->files);
		json_u64(&j, "files_skipped", res->skipped);
		json_u64(&j, "files_deleted", res->deleted);
		json_u64(&j, "dirs_restored", res->dirs);
		json_u64(&j, "others_restored", res->others);
		json_u64(&j, "databases_restored", res->databases);
		json_u64(&j, "bytes_restored", res->bytes);
		json_u64(&j, "bytes_skipped", res->bytes_skipped);
		json_u64(&j, "bytes_written", res->bytes_written);
		json_u64(&j, "files_verified", res->verified);
		json_u64(&j, "failed", res->failed);
		json_close(&j);
		out_json(&cli->out, &j);
		json_free(&j);
		return;
	}
	text_size(res->bytes, size);
	out_line(&cli->out, "%s %llu file%s (%llu database%s), %llu folder%s, %s to %s",
		 w->dry_run ? "would restore" : "restored", (unsigned long long)res->files,
		 text_plural(res->files), (unsigned long long)res->databases,
		 text_plural(res->databases), (unsigned long long)res->dirs, text_plural(res->dirs),
		 size, w->target);
	if (res->skipped) {
		text_size(res->bytes_skipped, size);
		out_line(&cli->out, "%s %llu file%s that %s there already, %s",
			 w->dry_run ? "would leave" : "left", (unsigned long long)res->skipped,
			 text_plural(res->skipped), res->skipped == 1 ? "was" : "were", size);
	}
	if (res->deleted)
		out_line(&cli->out, "%s %llu file%s or folder%s not in the backup",
			 w->dry_run ? "would delete" : "deleted", (unsigned long long)res->deleted,
			 text_plural(res->deleted), text_plural(res->deleted));
	if (res->verified)
		out_line(&cli->out,
			 "verified %llu file%s: every byte reads back as it was backed up",
			 (unsigned long long)res->verified, text_plural(res->verified));
	if (res->failed)
		out_line(&cli->out, "could NOT be restored: %llu", (unsigned long long)res->failed);
}

enum exit_code cmd_restore(struct cli *cli, const void *options, int count, char **operands)
{
	const struct restore_words *w = options;
	struct teller teller = {.cli = cli, .dry_run = w->dry_run};
	struct restore_options o = {
	    .target = w->target,
	    .includes = w->includes.items,
	    .include_count = w->includes.count,
	    .excludes = w->excludes.items,
	    .exclude_count = w->excludes.count,
	    .remove = w->remove,
	    .force = w->force,
	    .verify = w->verify,
	    .dry_run = w->dry_run,
	    .cb = {on_failed, on_warning, on_progress, on_action, on_aside, &teller},
	};
	const struct manifest_item *item;
	struct restore_result res = {0};
	struct session s = {0};
	struct err err = {0};
	int r = check_words(w, &err);

	(void)count;
	if (!r && w->overwrite)
		r = overwrite_of(w->overwrite, &o.overwrite, &err);
	if (!r)
		r = session_open_reader(cli, "restore", &s, &err);
	if (!r)
		r = session_find(cli, &s, operands[0], w->host, &item, &o.sub, &err);
	if (!r && item->m.unreadable)
		out_warning(
		    &cli->out,
		    "not all is in this backup: %llu could not be read when it was made; 'nightjar "
		    "manifests' shows which are '(incomplete)'",
		    (unsigned long long)item->m.unreadable);
	if (!r && !o.sub && o.include_count + o.exclude_count == 0) {
		teller.files_total = item->m.files;
		teller.bytes_total = item->m.bytes;
	}
	progress_begin(&teller.progress, &cli->out);
	if (!r)
		r = restore_run(s.reader, &item->m, &o, &res, &err);
	progress_end(&teller.progress);
	sum_up_warnings(&teller);
	if (!r)
		print_result(cli, &res, w);
	if (res.damaged)
		mending_advise(cli);
	if (!r && res.files + res.skipped + res.dirs + res.others + res.failed + res.deleted == 0) {
		out_error(&cli->out, "restore", operands[0],
			  "nothing in it matches what was asked for");
		exit_add(&cli->codes, EXIT_FAILED);
	}
	session_close(&s);
	return r ? command_fail(cli, &err) : EXIT_OK;
}
