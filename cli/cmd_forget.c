#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/forget_show.h"
#include "cli/lines.h"
#include "cli/parity_word.h"
#include "cli/pick.h"
#include "cli/process.h"
#include "cli/session.h"
#include "cli/text.h"

struct forget_words {
	const char *count[RETENTION_UNITS], *within[RETENTION_UNITS], *min_age, *parity;
	struct option_list keep_tags, hosts, tags, paths, group_by;
	bool prune, dry_run;
};

#define COUNT(unit) offsetof(struct forget_words, count[RETENTION_##unit])
#define WITHIN(unit) offsetof(struct forget_words, within[RETENTION_##unit])

const struct option_spec cmd_forget_options[] = {
    {"keep-last", 'l', OPTION_STRING, COUNT(LAST), "N", "keep the last N"},
    {"keep-hourly", 'H', OPTION_STRING, COUNT(HOURLY), "N", "keep one of each of the last N hours"},
    {"keep-daily", 'd', OPTION_STRING, COUNT(DAILY), "N", "keep one of each of the last N days"},
    {"keep-weekly", 'w', OPTION_STRING, COUNT(WEEKLY), "N", "keep one of each of the last N weeks"},
    {"keep-monthly", 'm', OPTION_STRING, COUNT(MONTHLY), "N",
     "keep one of each of the last N months"},
    {"keep-yearly", 'y', OPTION_STRING, COUNT(YEARLY), "N", "keep one of each of the last N years"},
    {"keep-within", 0, OPTION_STRING, WITHIN(LAST), "DURATION",
     "keep all that are this near to the newest"},
    {"keep-within-hourly", 0, OPTION_STRING, WITHIN(HOURLY), "DURATION",
     "keep one an hour that near"},
    {"keep-within-daily", 0, OPTION_STRING, WITHIN(DAILY), "DURATION", "keep one a day that near"},
    {"keep-within-weekly", 0, OPTION_STRING, WITHIN(WEEKLY), "DURATION",
     "keep one a week that near"},
    {"keep-within-monthly", 0, OPTION_STRING, WITHIN(MONTHLY), "DURATION",
     "keep one a month that near"},
    {"keep-within-yearly", 0, OPTION_STRING, WITHIN(YEARLY), "DURATION",
     "keep one a year that near"},
    {"keep-tag", 0, OPTION_LIST, offsetof(struct forget_words, keep_tags), "TAG[,TAG…]",
     "keep what has all of these tags; may be repeated"},
    {"min-age", 0, OPTION_STRING, offsetof(struct forget_words, min_age), "DURATION",
     "remove nothing that is younger"},
    {"host", 0, OPTION_LIST, offsetof(struct forget_words, hosts), "NAME",
     "only backups of NAME; may be repeated"},
    {"tag", 0, OPTION_LIST, offsetof(struct forget_words, tags), "TAG[,TAG…]",
     "only backups with all of these tags, '' = without any; may be repeated"},
    {"path", 0, OPTION_LIST, offsetof(struct forget_words, paths), "PATH",
     "only backups of this absolute path; may be repeated: of all of them"},
    {"group-by", 'g', OPTION_LIST, offsetof(struct forget_words, group_by), "WHAT",
     "what makes a group: of host, paths, tags; '' = one group (default host,paths)"},
    {"prune", 0, OPTION_FLAG, offsetof(struct forget_words, prune), NULL,
     "then prune, as 'nightjar prune' without options does"},
    {"parity", 0, OPTION_STRING, offsetof(struct forget_words, parity), "off|2|4",
     "with --prune: parity of the packs that it writes, instead of what 'init' set"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct forget_words, dry_run), NULL,
     "only show what would be removed, and why the rest is kept"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_forget_options_bytes = sizeof(struct forget_words);

static const char *const unit_words[RETENTION_UNITS][2] = {
    {"--keep-last", "--keep-within"},
    {"--keep-hourly", "--keep-within-hourly"},
    {"--keep-daily", "--keep-within-daily"},
    {"--keep-weekly", "--keep-within-weekly"},
    {"--keep-monthly", "--keep-within-monthly"},
    {"--keep-yearly", "--keep-within-yearly"},
};

/* What the words own, next to the options that point at it. */
struct wanted {
	struct forget_options o;
	struct lines *lists; /* behind keep_tags, then tags */
	size_t list_count;
	struct forget_tags *keep_tags, *tags;
	struct id *names;
};

static void wanted_free(struct wanted *w)
{
	for (size_t i = 0; i < w->list_count; i++)
		lines_free(&w->lists[i]);
	free(w->lists);
	free(w->keep_tags);
	free(w->tags);
	free(w->names);
}

/* --- words into options --- */

/* The zone is the environment's, which core does not read. */
static int32_t zone_offset(int64_t utc_s)
{
	time_t when = (time_t)utc_s;
	struct tm tm = {0};

	return localtime_r(&when, &tm) ? (int32_t)tm.tm_gmtoff : 0;
}

static int read_policy(const struct forget_words *words, struct retention_policy *p,
		       struct err *err)
{
	struct timespec now;
	int r = 0;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	p->now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	p->utc_offset_s = zone_offset;
	for (size_t u = 0; !r && u < RETENTION_UNITS; u++) {
		if (words->count[u])
			r = retention_parse_count(unit_words[u][0], words->count[u], &p->count[u],
						  err);
		if (!r && words->within[u])
			r = retention_parse_span(unit_words[u][1], words->within[u], &p->within[u],
						 err);
	}
	if (!r && words->min_age)
		r = retention_parse_span("--min-age", words->min_age, &p->min_age, err);
	return r;
}

static int read_tags(const struct option_list *from, const char *word, struct lines *lists,
		     struct forget_tags **out_tags, struct err *err)
{
	*out_tags = calloc(from->count + 1, sizeof(**out_tags));
	if (!*out_tags)
		return err_nomem(err);
	for (size_t i = 0; i < from->count; i++) {
		const char *text = from->items[i];
		int r = *text ? lines_add_parts(&lists[i], text, ',', err)
			      : lines_add(&lists[i], text, err);

		if (r)
			return r;
		if (lists[i].count == 0)
			return err_set(err, ERR_USAGE, "%s: '%s' names no tag", word, text);
		(*out_tags)[i] = (struct forget_tags){lists[i].items, lists[i].count};
	}
	return 0;
}

static int read_group_by(const struct option_list *from, unsigned *out_by, struct err *err)
{
	static const char *const words[] = {"host", "paths", "tags"};
	const char *text = from->count ? from->items[from->count - 1] : "host,paths";

	*out_by = 0;
	while (*text) {
		size_t len = strcspn(text, ","), i = 0;

		while (i < 3 && (strlen(words[i]) != len || strncmp(words[i], text, len) != 0))
			i++;
		if (i == 3)
			return err_set(err, ERR_USAGE,
				       "--group-by: '%.*s' is none of host, paths, tags", (int)len,
				       text);
		*out_by |= 1u << i;
		text += len + (text[len] == ',');
	}
	return 0;
}

static int read_paths(const struct option_list *paths, struct err *err)
{
	for (size_t i = 0; i < paths->count; i++) {
		if (paths->items[i][0] != '/')
			return err_set(err, ERR_USAGE,
				       "--path: '%s' is not absolute, as the paths of backups are",
				       paths->items[i]);
	}
	return 0;
}

static int read_words(const struct forget_words *words, struct wanted *w, struct err *err)
{
	int r = read_policy(words, &w->o.policy, err);

	w->lists = calloc(words->keep_tags.count + words->tags.count + 1, sizeof(*w->lists));
	if (!w->lists)
		return err_nomem(err);
	w->list_count = words->keep_tags.count + words->tags.count;
	if (!r)
		r = read_tags(&words->keep_tags, "--keep-tag", w->lists, &w->keep_tags, err);
	if (!r)
		r = read_tags(&words->tags, "--tag", w->lists + words->keep_tags.count, &w->tags,
			      err);
	if (!r)
		r = read_group_by(&words->group_by, &w->o.group_by, err);
	if (!r)
		r = read_paths(&words->paths, err);
	if (!r)
		r = parity_word_check(words->parity, err);
	if (!r && words->parity && !words->prune)
		r = err_set(err, ERR_USAGE,
			    "--parity: goes with --prune, as only prune writes packs");
	w->o.keep_tags = w->keep_tags;
	w->o.keep_tag_count = words->keep_tags.count;
	w->o.tags = w->tags;
	w->o.tag_count = words->tags.count;
	w->o.hosts = words->hosts.items;
	w->o.host_count = words->hosts.count;
	w->o.paths = words->paths.items;
	w->o.path_count = words->paths.count;
	return r;
}

/* Words that choose do not go with names, which choose already. */
static int check_words(const struct wanted *w, int count, struct err *err)
{
	const struct forget_options *o = &w->o;
	bool policy = o->keep_tag_count || !retention_policy_empty(&o->policy);

	if (count && (policy || o->host_count || o->tag_count || o->path_count))
		return err_set(err, ERR_USAGE,
			       "either backups are named or a policy is given, not both");
	if (!count && !policy)
		return err_set(err, ERR_USAGE,
			       "no policy was given, so nothing is removed: say what to keep, such "
			       "as --keep-daily 7 --keep-weekly 4 --keep-monthly 12");
	return 0;
}

int cmd_forget_judge(const void *options, int count, struct err *err)
{
	struct wanted w = {0};
	int r = read_words(options, &w, err);

	if (!r)
		r = check_words(&w, count, err);
	wanted_free(&w);
	return r;
}

/* --- doing it --- */

static int find_names(const struct session *s, struct wanted *w, int count, char **operands,
		      struct err *err)
{
	const struct manifest_item *item;
	const char *sub;
	int r = 0;

	w->names = calloc((size_t)count + 1, sizeof(*w->names));
	if (!w->names)
		return err_nomem(err);
	for (int i = 0; !r && i < count; i++) {
		r = manifests_find(&s->manifests, operands[i], NULL, &item, &sub, err);
		if (!r && sub)
			r = err_set(err, ERR_USAGE, "'%s': a whole backup is removed, not a path",
				    operands[i]);
		if (!r)
			w->names[w->o.name_count++] = item->name;
	}
	w->o.names = w->names;
	return r;
}

static int on_progress(void *arg, size_t done, size_t total)
{
	(void)arg;
	(void)done;
	(void)total;
	return process_interrupted() ? 1 : 0;
}

static void show(struct cli *cli, const struct wanted *w, const struct forget_plan *plan,
		 bool dry_run, bool prunes)
{
	size_t kept = plan->count - plan->removed;

	if (cli->out.json)
		forget_show_json(&cli->out, plan, w->o.group_by);
	else if (dry_run)
		out_line(&cli->out, "would remove %zu manifest%s and keep %zu", plan->removed,
			 text_plural(plan->removed), kept);
	else
		out_line(&cli->out, "removed %zu manifest%s, kept %zu%s", plan->removed,
			 text_plural(plan->removed), kept,
			 plan->removed && !prunes ? "; 'nightjar prune' frees their space" : "");
}

static int run(struct cli *cli, const struct forget_words *words, struct wanted *w, int count,
	       char **operands, struct err *err)
{
	const struct forget_callbacks cb = {.progress = on_progress};
	struct session s = {0};
	struct forget_plan plan = {0};
	struct forget_result result;
	int r = session_open(cli, &s, err);

	/* Before manifests are read, so that a key that cannot do it says so at once. */
	if (!r)
		r = keys_allow(s.repo->keys, POWER_MAINTAIN, "forget", err);
	if (!r)
		r = session_load_manifests(cli, &s, err);
	if (!r)
		r = find_names(&s, w, count, operands, err);
	if (!r)
		r = forget_plan(s.repo, &s.manifests, &w->o, &plan, err);
	if (!r && s.manifests.count) /* of an empty repository nothing was asked in vain */
		pick_tell_none(&cli->out, &(struct pick){words->hosts, words->tags, words->paths},
			       plan.count);
	if (!r)
		forget_show_tables(&cli->out, &plan, w->o.group_by, !words->dry_run);
	if (!r && !words->dry_run)
		r = forget_apply(s.repo, &s.manifests, &plan, w->o.policy.now_ns, &cb, &result,
				 err);
	if (!r)
		show(cli, w, &plan, words->dry_run, words->prune);
	/* What cannot be read stays, and may be newer than what was taken for the newest. */
	if (!r && s.manifests.bad)
		exit_add(&cli->codes, EXIT_DAMAGED);
	forget_plan_free(&plan);
	session_close(&s);
	return r;
}

/* With what prune does unless told otherwise. Of a dry run it would see what is still there. */
static enum exit_code prune(struct cli *cli, const struct forget_words *w)
{
	char word[] = "prune", parity[24], *words[] = {word, parity, NULL};

	(void)snprintf(parity, sizeof(parity), "--parity=%s", w->parity ? w->parity : "");
	if (!w->dry_run)
		return command_run(cli, w->parity ? 2 : 1, words);
	out_note(&cli->out, "a dry run: nothing was removed, so there is nothing new to prune");
	return EXIT_OK;
}

enum exit_code cmd_forget(struct cli *cli, const void *options, int count, char **operands)
{
	const struct forget_words *words = options;
	struct wanted w = {0};
	struct err err = {0};
	int r = read_words(words, &w, &err);

	if (!r)
		r = check_words(&w, count, &err);
	if (!r)
		r = run(cli, words, &w, count, operands, &err);
	wanted_free(&w);
	if (r)
		return command_fail(cli, &err);
	return words->prune ? prune(cli, words) : EXIT_OK;
}
