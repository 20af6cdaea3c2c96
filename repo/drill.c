#include "repo/drill.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/reference.h"
#include "repo/browse.h"
#include "repo/drill_db.h"
#include "repo/image_read.h"
#include "repo/refs.h"
#include "repo/restore.h"

#define IMAGE_RAM_BYTES ((size_t)64 << 20)

/* --- telling --- */

static void on_failed(void *arg, const char *item, const char *text)
{
	const struct drill *run = arg;

	if (run->options->cb.failed)
		run->options->cb.failed(run->options->cb.arg, item, text);
}

static void fail_file(struct drill *run, const char *path, const char *text)
{
	run->counts->files_failed++;
	on_failed(run, path, text);
}

int drill_tick(struct drill *run, const char *path)
{
	const struct drill_callbacks *cb = &run->options->cb;

	return cb->progress && cb->progress(cb->arg, run->counts->files, run->counts->bytes, path)
		   ? 1
		   : 0;
}

static int tick(struct drill *run, const char *path, struct err *err)
{
	return drill_tick(run, path) ? err_set(err, ERR_CANCELLED,
					       "interrupted; the drill says nothing about this "
					       "backup")
				     : 0;
}

/* Failures that end the run: they say nothing about the backup. */
static bool ends_it(int r)
{
	return r == -ERR_NOMEM || r == -ERR_KEY || r == -ERR_FULL || r == -ERR_DENIED ||
	       store_is_away(r);
}

/* --- the walk: databases into images, all else read --- */

struct folder {
	struct drill *run;
	const char *path;
};

struct reading {
	struct drill *run;
	const char *path;
};

static int read_bytes(void *arg, const void *bytes, size_t len, struct err *err)
{
	const struct reading *r = arg;

	(void)bytes;
	r->run->counts->bytes += len;
	return tick(r->run, r->path, err);
}

static int drill_image(struct drill *run, const char *path, const struct entry *e,
		       const struct chunk_ref *children, struct err *err)
{
	struct pageimage *image = NULL;
	size_t budget = run->options->ram_budget_bytes;
	int r = pageimage_new(run->options->cache_dir ? run->options->cache_dir : "",
			      budget ? budget : IMAGE_RAM_BYTES, &image, err);

	if (!r)
		r = image_load(run->reader, e, children, image, err);
	if (!r) {
		run->counts->bytes += e->size;
		r = drill_db_image(run, path, image, err);
	}
	pageimage_free(image);
	return r;
}

/* Every chunk of a file is read, and so verified: its id is that of its bytes. */
static int drill_file(struct drill *run, const char *path, const struct entry *e,
		      const struct chunk_ref *children, struct err *err)
{
	struct reading reading = {run, path};
	struct err why = {0};
	int r;

	run->counts->files++;
	r = tick(run, path, &why);
	if (!r && entry_is_database(e))
		r = drill_image(run, path, e, children, &why);
	else if (!r)
		r = browse_content(run->reader, e, children, read_bytes, &reading, &why);
	if (!r)
		return 0;
	if (ends_it(r)) {
		*err = why;
		return r;
	}
	fail_file(run, path, why.text);
	drill_db_lose(run, path);
	return 0;
}

static int drill_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
		       struct err *err)
{
	const struct folder *at = arg;
	struct folder below = {at->run, NULL};
	struct err why = {0};
	char *path = NULL;
	int r = browse_join(at->path, &e->name, &path, &why);

	below.path = path;
	if (!r && e->type == ENTRY_DIR)
		r = tree_each(at->run->reader, &children[0].id, drill_entry, &below, &why);
	else if (!r && e->type == ENTRY_FILE)
		r = drill_file(at->run, path, e, children, &why);
	if (ends_it(r)) {
		*err = why;
	} else if (r) { /* one folder is lost; the others are looked at all the same */
		fail_file(at->run, path ? path : at->path, why.text);
		r = 0;
	}
	free(path);
	return r;
}

static int walk(struct drill *run, struct err *err)
{
	struct folder top = {run, "/"};
	struct err why = {0};
	int r = tree_each(run->reader, &run->m->root, drill_entry, &top, &why);

	if (ends_it(r)) {
		*err = why;
		return r;
	}
	if (r)
		fail_file(run, "/", why.text);
	return 0;
}

/* --- a target: real files --- */

static int need_empty(const char *target, struct err *err)
{
	DIR *dir = opendir(target);
	const struct dirent *e;
	int found = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_sys(err, errno, "%s", target);
	while (!found && (e = readdir(dir)))
		found = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	(void)closedir(dir);
	return found ? err_set(err, ERR_USAGE,
			       "%s is not empty; a drill restores into a new folder, so that it "
			       "harms nothing",
			       target)
		     : 0;
}

static void on_restore_failed(void *arg, const char *path, const char *text)
{
	fail_file(arg, path, text);
	drill_db_lose(arg, path);
}

static void on_restore_warning(void *arg, const char *path, const char *text)
{
	const struct drill *run = arg;

	if (run->options->cb.warning)
		run->options->cb.warning(run->options->cb.arg, path, text);
}

static int on_restore_progress(void *arg, uint64_t files, uint64_t bytes, const char *path)
{
	struct drill *run = arg;

	run->counts->files = files;
	run->counts->bytes = bytes;
	return drill_tick(run, path);
}

static int check_files(struct drill *run, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < run->m->db_count; i++) {
		const char *path = run->m->dbs[i].path;
		struct err why = {0};

		r = drill_db_file(run, path, &why);
		if (ends_it(r)) {
			*err = why;
		} else if (r) {
			fail_file(run, path, why.text);
			drill_db_lose(run, path);
			r = 0;
		}
	}
	return r;
}

static int restore(struct drill *run, struct err *err)
{
	const struct restore_options o = {
	    .target = run->options->target,
	    .verify = true,
	    .cb = {.failed = on_restore_failed,
		   .warning = on_restore_warning,
		   .progress = on_restore_progress,
		   .arg = run},
	};
	struct restore_result res = {0};
	int r = need_empty(o.target, err);

	if (!r)
		r = restore_run(run->reader, run->m, &o, &res, err);
	if (r)
		return r;
	run->counts->files = res.files;
	run->counts->bytes = res.bytes;
	return check_files(run, err);
}

/* --- references --- */

static int on_refs_tick(void *arg)
{
	return drill_tick(arg, "");
}

static void on_missing(void *arg, const char *database, const char *path, const char *text)
{
	char item[4200];

	(void)snprintf(item, sizeof(item), "%s%s", *path ? "" : "references of ",
		       *path ? path : database);
	on_failed(arg, item, text);
}

static int references(struct drill *run, struct err *err)
{
	const struct refs_rerun rerun = {
	    .options = {.cache_dir = run->options->cache_dir,
			.tick = on_refs_tick,
			.missing = on_missing,
			.arg = run},
	    .hash = true,
	};
	struct drillnote_counts *c = run->counts;
	struct refs_count sum;
	struct err why = {0};
	int r = refs_rerun(run->reader, run->m, &rerun, &sum, &why);

	if (ends_it(r)) {
		*err = why;
		return r;
	}
	c->ref_queries = (uint32_t)run->m->ref_count;
	c->references = sum.referenced;
	c->references_missing = sum.missing;
	c->ref_queries_failed = r || sum.failed;
	if (r)
		on_missing(run, "", "", why.text);
	return 0;
}

/* --- the whole --- */

static size_t matches_of(const struct manifest *m, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < m->db_count; i++)
		count += reference_matches(name, m->dbs[i].path);
	return count;
}

/* Each names exactly one database of the manifest. */
static int check_assertions(const struct manifest *m, const struct drill_options *options,
			    struct err *err)
{
	if (!m->has_read)
		return err_set(err, ERR_KEY, "drill needs a full or read key");
	for (size_t i = 0; i < options->assertion_count; i++) {
		const char *name = options->assertions[i].database;
		size_t count = matches_of(m, name);

		if (count != 1)
			return err_set(err, ERR_USAGE,
				       "--assert: '%.200s' names %s database of this backup", name,
				       count ? "more than one" : "no");
	}
	return 0;
}

/* One that the tree did not have was not looked at. */
static void tell_unseen(struct drill *run)
{
	for (size_t i = 0; i < run->m->db_count; i++) {
		if (!run->seen[i]) {
			run->counts->databases_failed++;
			on_failed(run, run->m->dbs[i].path, "could not be checked as a database");
		}
	}
}

int drill_run(struct reader *reader, const struct manifest *m, const struct drill_options *options,
	      struct drillnote_counts *out_counts, struct err *err)
{
	struct drill run = {.reader = reader, .m = m, .options = options, .counts = out_counts};
	int r;

	*out_counts = (struct drillnote_counts){0};
	r = keys_allow(reader_repo(reader)->keys, POWER_READ, "drill", err);
	if (!r)
		r = check_assertions(m, options, err);
	if (r)
		return r;
	out_counts->databases = (uint32_t)m->db_count;
	out_counts->assertions = (uint32_t)options->assertion_count;
	run.seen = calloc(m->db_count + 1, sizeof(*run.seen));
	run.asserted = calloc(options->assertion_count + 1, sizeof(*run.asserted));
	if (!run.seen || !run.asserted)
		r = err_nomem(err);
	if (!r)
		r = options->target ? restore(&run, err) : walk(&run, err);
	if (!r)
		tell_unseen(&run);
	if (!r)
		drill_db_unasserted(&run);
	if (!r && m->ref_count)
		r = references(&run, err);
	free(run.seen);
	free(run.asserted);
	return r;
}

/* --- what is kept of it --- */

static const struct id *group_of(const struct manifest_list *list, const struct id *manifest)
{
	for (size_t i = 0; i < list->count; i++) {
		if (id_eq(&list->items[i].name, manifest))
			return &list->items[i].m.group;
	}
	return NULL;
}

/* Another note says as much of the same host and paths, and later; those of backups that are gone are one more group. */
static bool says_as_much(const struct manifest_list *list, const struct drillnote *later,
			 const struct drillnote *note)
{
	const struct id *a = group_of(list, &later->manifest), *b = group_of(list, &note->manifest);

	if (note == later || !later->has_maint || !note->has_maint ||
	    later->head.time_ns < note->head.time_ns || (a == NULL) != (b == NULL) ||
	    (a && !id_eq(a, b)))
		return false;
	return later->verdict == DRILLNOTE_GOOD || note->verdict == DRILLNOTE_FAILED;
}

static bool *find_superseded(const struct manifest_list *list, const struct drillnote *note)
{
	const struct drills *d = &list->drills;
	bool *out = calloc(d->count + 1, sizeof(*out));

	for (size_t i = 0; out && i < d->count; i++) {
		out[i] = says_as_much(list, note, &d->items[i].d);
		for (size_t k = 0; !out[i] && k < d->count; k++)
			out[i] =
			    k != i && !out[k] && says_as_much(list, &d->items[k].d, &d->items[i].d);
	}
	return out;
}

int drill_keep(struct repo *repo, const struct manifest_list *list,
	       const struct manifest_item *item, const char *state_dir, struct drillnote *note,
	       struct err *out_why, struct err *err)
{
	bool *superseded;
	int r;

	note->manifest = item->name;
	note->domain = item->m.domain;
	note->verdict = drillnote_judge(&note->counts);
	note->has_maint = true;
	superseded = find_superseded(list, note);
	if (!superseded)
		return err_nomem(err);
	*out_why = (struct err){0};
	r = drills_put(repo, &list->drills, note, superseded, out_why);
	free(superseded);
	if (!r)
		return 0;
	if (!state_dir) {
		*err = *out_why;
		return r;
	}
	return drills_save_local(state_dir, repo->keys->repo, note, err);
}

static bool last_of(const struct manifest_list *list, const uint8_t repo[REPO_ID_BYTES],
		    const char *state_dir, bool good, struct drillnote *out_note)
{
	const struct drillnote *(*find)(const struct drills *) =
	    good ? drills_last_good : drills_last;
	const struct drillnote *theirs = find(&list->drills), *ours;
	struct drills local = {0};
	struct err ignored = {0};

	/* What does not read says nothing. */
	if (state_dir)
		(void)!drills_load_local(state_dir, repo, &local, &ignored);
	ours = find(&local);
	if (ours && (!theirs || ours->head.time_ns > theirs->head.time_ns))
		theirs = ours;
	if (theirs)
		*out_note = *theirs;
	drills_free(&local);
	return theirs != NULL;
}

bool drill_last(const struct manifest_list *list, const uint8_t repo[REPO_ID_BYTES],
		const char *state_dir, struct drillnote *out_note)
{
	return last_of(list, repo, state_dir, false, out_note);
}

bool drill_last_good(const struct manifest_list *list, const uint8_t repo[REPO_ID_BYTES],
		     const char *state_dir, struct drillnote *out_note)
{
	return last_of(list, repo, state_dir, true, out_note);
}
