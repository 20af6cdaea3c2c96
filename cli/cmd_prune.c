#include "cli/command.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/parity_word.h"
#include "cli/process.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text.h"
#include "repo/condemned.h"
#include "repo/prune.h"

struct prune_words {
	const char *max_unused, *grace, *parity;
	struct option_number max_repack;
	bool dry_run, no_writers;
};

const struct option_spec cmd_prune_options[] = {
    {"max-unused", 0, OPTION_STRING, offsetof(struct prune_words, max_unused), "LIMIT",
     "what may stay that nobody needs: '5%' (the default), a size as '500m', or 'unlimited'"},
    {"max-repack-size", 0, OPTION_SIZE, offsetof(struct prune_words, max_repack), "SIZE",
     "repack at most so much in this run"},
    {"grace", 0, OPTION_STRING, offsetof(struct prune_words, grace), "TIME",
     "how long packs stay condemned before they are deleted: '72h' (the default), '3d'"},
    {"no-writers", 0, OPTION_FLAG, offsetof(struct prune_words, no_writers), NULL,
     "I know that no backup runs or starts meanwhile: delete at once"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct prune_words, dry_run), NULL,
     "only show what would be done"},
    {"parity", 0, OPTION_STRING, offsetof(struct prune_words, parity), "off|2|4",
     "parity of the packs that are written, instead of what 'init' set"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_prune_options_bytes = sizeof(struct prune_words);

struct teller {
	struct cli *cli;
	struct progress progress;
};

static unsigned long long llu(uint64_t n)
{
	return (unsigned long long)n;
}

/* --- words in --- */

static int parse_percent(const char *text, size_t len, struct prune_options *o, struct err *err)
{
	char *end = NULL;

	errno = 0;
	o->unused = PRUNE_UNUSED_PERCENT;
	o->unused_percent = strtod(text, &end);
	if (!isdigit((unsigned char)text[0]) || end != text + len - 1 || errno ||
	    !(o->unused_percent >= 0 && o->unused_percent <= 100))
		return err_set(err, ERR_USAGE, "--max-unused: '%s' is not from 0%% to 100%%", text);
	return 0;
}

static int parse_unused(const char *text, struct prune_options *o, struct err *err)
{
	static const char units[] = "kmgt";
	size_t len = text ? strlen(text) : 0;
	unsigned long long n;
	char *end = NULL;
	unsigned shift = 0;

	if (!len)
		return 0;
	if (strcmp(text, "unlimited") == 0) {
		o->unused = PRUNE_UNUSED_ALL;
		return 0;
	}
	if (text[len - 1] == '%')
		return parse_percent(text, len, o, err);
	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end && strchr(units, tolower((unsigned char)*end)))
		shift = 10 * (unsigned)(strchr(units, tolower((unsigned char)*end++)) - units + 1);
	if (!isdigit((unsigned char)text[0]) || *end || errno || n > (UINT64_MAX >> shift))
		return err_set(err, ERR_USAGE,
			       "--max-unused: '%s' is neither a percentage nor a size nor "
			       "'unlimited'",
			       text);
	/* Five of what? Of 0 there is no doubt. */
	if (n && isdigit((unsigned char)text[len - 1]))
		return err_set(err, ERR_USAGE,
			       "--max-unused: '%s' has no unit: a percentage as '5%%', a size as "
			       "'500m', or 'unlimited'",
			       text);
	o->unused = PRUNE_UNUSED_BYTES;
	o->unused_bytes = (uint64_t)n << shift;
	return 0;
}

static int parse_grace(const char *text, struct prune_options *o, struct err *err)
{
	unsigned long long n;
	char *end = NULL;
	unsigned unit = 3600;

	if (!text)
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end == 'd')
		unit = 24 * 3600;
	if (!isdigit((unsigned char)text[0]) || (*end != 'h' && *end != 'd') || end[1] || errno ||
	    n > 36500)
		return err_set(err, ERR_USAGE, "--grace: '%s' is not a time such as '72h' or '3d'",
			       text);
	o->grace_s = (int64_t)(n * unit);
	if (o->grace_s < CONDEMNED_GRACE_LEAST_S)
		return err_set(err, ERR_USAGE,
			       "--grace: %d hours at least, or a running backup could lose what it "
			       "rests on; where none runs, use --no-writers",
			       CONDEMNED_GRACE_LEAST_S / 3600);
	return 0;
}

static int read_words(const struct prune_words *w, struct prune_options *o, struct err *err)
{
	int r = parse_unused(w->max_unused, o, err);

	if (!r)
		r = parity_word_check(w->parity, err);
	if (!r && w->grace && w->no_writers)
		return err_set(err, ERR_USAGE, "--grace does not go with --no-writers");
	o->max_repack_bytes = w->max_repack.given ? w->max_repack.value : 0;
	if (w->max_repack.given && w->max_repack.value == 0)
		o->unused = PRUNE_UNUSED_ALL; /* nothing is moved */
	o->no_writers = w->no_writers;
	o->dry_run = w->dry_run;
	return r ? r : parse_grace(w->grace, o, err);
}

int cmd_prune_judge(const void *options, int count, struct err *err)
{
	struct prune_options o = {0};

	(void)count;
	return read_words(options, &o, err);
}

/* --- words out --- */

static void on_warning(void *arg, const char *object, const char *text)
{
	struct teller *t = arg;

	out_warning(&t->cli->out, "%s: %s", object, text);
}

static void on_detail(void *arg, const char *object, const char *text)
{
	struct teller *t = arg;

	out_detail(&t->cli->out, "%s: %s", object, text);
}

static int on_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct teller *t = arg;

	progress_show(&t->progress,
		      &(struct progress_state){
			  .phase = phase, .unit = "packs", .files = done, .files_total = total});
	return process_interrupted() ? 1 : 0;
}

static void json_sum(struct json *j, const char *name, const struct prune_sum *sum)
{
	json_object(j, name);
	json_u64(j, "packs", sum->packs);
	json_u64(j, "bytes", sum->bytes);
	json_close(j);
}

static void print_json(struct cli *cli, const struct prune_result *res, bool dry_run)
{
	char time[TEXT_TIME_CHARS];
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "summary");
	json_bool(&j, "dry_run", dry_run);
	json_u64(&j, "manifests", res->manifests);
	json_u64(&j, "blobs", res->chunks);
	json_u64(&j, "used_bytes", res->used_bytes);
	json_u64(&j, "unused_bytes", res->unused_bytes);
	json_sum(&j, "before", &res->before);
	json_sum(&j, "deleted", &res->deleted);
	json_sum(&j, "condemned", &res->condemned);
	json_sum(&j, "repacked", &res->repacked);
	json_sum(&j, "written", &res->written);
	json_sum(&j, "needed_again", &res->needed_again);
	json_sum(&j, "watched", &res->watched);
	json_sum(&j, "waiting", &res->waiting);
	json_sum(&j, "after", &res->after);
	json_u64(&j, "index_segments_written", res->segments_written);
	json_u64(&j, "index_segments_removed", res->segments_removed);
	json_u64(&j, "leftover_files", res->left.files);
	json_u64(&j, "leftover_bytes", res->left.bytes);
	json_bool(&j, "unfinished", res->unfinished);
	if (res->due_s) {
		text_time_json(res->due_s, 0, time);
		json_str(&j, "next_due", time);
	}
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

static void print_sum(struct cli *cli, const char *what, const struct prune_sum *sum)
{
	char size[TEXT_SIZE_CHARS];

	text_size(sum->bytes, size);
	out_line(&cli->out, "%-34s %6llu pack%-1s  %12s", what, llu(sum->packs),
		 text_plural(sum->packs), size);
}

static void print_if_any(struct cli *cli, const char *what, const struct prune_sum *sum)
{
	if (sum->packs)
		print_sum(cli, what, sum);
}

/* "in 72 hours (2024-05-04 03:00:00)" */
static void print_due(struct cli *cli, const struct prune_result *res)
{
	int64_t wait = res->due_s - res->now_s;
	char time[TEXT_TIME_CHARS];

	if (!res->due_s)
		return;
	text_time_local(res->due_s, time);
	if (wait <= 0)
		out_line(&cli->out, "condemned packs are due: the next prune deletes them");
	else
		out_line(&cli->out,
			 "condemned packs stay until no running backup can need them: a prune in "
			 "%lld hour%s (after %s) deletes the first of them",
			 (long long)(wait + 3599) / 3600,
			 text_plural((uint64_t)(wait + 3599) / 3600), time);
}

static void print_left(struct cli *cli, const struct store_leftovers *left, bool dry_run)
{
	char size[TEXT_SIZE_CHARS];

	text_size(left->bytes, size);
	if (left->files)
		out_line(&cli->out, "unfinished files of killed backups %s: %llu, %s",
			 dry_run ? "to be removed" : "removed", llu(left->files), size);
}

static void print_people(struct cli *cli, const struct prune_result *res, bool dry_run,
			 bool no_writers)
{
	char used[TEXT_SIZE_CHARS], unused[TEXT_SIZE_CHARS];

	text_size(res->used_bytes, used);
	text_size(res->unused_bytes, unused);
	if (dry_run)
		out_line(&cli->out, "a dry run: nothing was changed; this would be done:");
	out_note(&cli->out,
		 "manifests: %llu; chunks needed: %llu, of %s; not needed in packs that stay: %s",
		 llu(res->manifests), llu(res->chunks), used, unused);
	print_sum(cli, "before", &res->before);
	print_if_any(cli, no_writers ? "deleted" : "deleted, as condemned earlier", &res->deleted);
	print_if_any(cli, "repacked: what was needed of", &res->repacked);
	print_if_any(cli, "  now lies in", &res->written);
	print_if_any(cli, "condemned now", &res->condemned);
	print_if_any(cli, "condemned, needed again: moved", &res->needed_again);
	print_if_any(cli, "of no finished backup: kept 14 days", &res->watched);
	print_sum(cli, "after", &res->after);
	print_if_any(cli, "  of these condemned", &res->waiting);
	print_left(cli, &res->left, dry_run);
	print_due(cli, res);
	if (res->unfinished)
		out_line(&cli->out, "an hour was not enough; the next prune goes on deleting");
}

static int run_prune(struct cli *cli, const char *parity, const struct prune_options *o,
		     struct prune_result *res, struct err *err)
{
	struct session s = {0};
	int r = session_open(cli, &s, err);

	if (!r)
		parity_word_set(parity, &s.repo->parity);
	if (!r)
		r = prune_run(s.repo, o, res, err);
	session_close(&s);
	return r;
}

enum exit_code cmd_prune(struct cli *cli, const void *options, int count, char **operands)
{
	const struct prune_words *w = options;
	struct teller teller = {.cli = cli};
	struct prune_options o = {
	    .warning = on_warning, .detail = on_detail, .progress = on_progress, .arg = &teller};
	struct prune_result res = {0};
	struct err err = {0};
	int r = read_words(w, &o, &err);

	(void)count, (void)operands;
	if (r)
		return command_fail(cli, &err);
	progress_begin(&teller.progress, &cli->out);
	r = run_prune(cli, w->parity, &o, &res, &err);
	progress_end(&teller.progress);
	/* What is lost or cannot be read is named, as check names it. */
	if (r == -ERR_DAMAGED) {
		out_exit_error(&cli->out, EXIT_DAMAGED, err.text);
		return EXIT_DAMAGED;
	}
	if (r)
		return command_fail(cli, &err);
	if (cli->out.json)
		print_json(cli, &res, o.dry_run);
	else
		print_people(cli, &res, o.dry_run, o.no_writers);
	return EXIT_OK;
}
