#include "repo/backup_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#define BACKUP_CANCELLED "interrupted; no manifest was made, earlier backups are untouched"

void backup_unreadable(struct backup_run *run, const char *path, const char *text)
{
	run->result->unreadable++;
	if (run->options->cb.unreadable)
		run->options->cb.unreadable(run->options->cb.arg, path, text);
}

void backup_warning(struct backup_run *run, const char *path, const char *text)
{
	if (run->options->cb.warning)
		run->options->cb.warning(run->options->cb.arg, path, text);
}

int backup_tick(struct backup_run *run, enum backup_phase phase, const char *path, struct err *err)
{
	const struct backup_callbacks *cb = &run->options->cb;
	struct backup_progress at = {
	    .phase = phase,
	    .files = run->result->files,
	    .bytes = run->result->bytes + run->bytes_read,
	    .files_total = run->files_total,
	    .bytes_total = run->bytes_total,
	    .pages = run->pages,
	    .pages_total = run->pages_total,
	    .path = path,
	};

	if (cb->progress && cb->progress(cb->arg, &at) != 0)
		return err_set(err, ERR_CANCELLED, "%s", BACKUP_CANCELLED);
	return 0;
}

bool backup_wants(struct backup_run *run, int dirfd, const char *name, const char *path,
		  struct stat *out_st)
{
	const char *own;
	bool wanted = backup_filter_wants(run->filter, dirfd, name, path, out_st, &own);

	if (own)
		backup_warning(run, path, own);
	return wanted;
}

bool backup_fatal(int r)
{
	return r != -ERR_SOURCE && r != -ERR_MISSING && r != -ERR_BUSY && r != -ERR_DAMAGED;
}

char *backup_join(const char *folder, const char *name)
{
	size_t above = strcmp(folder, "/") == 0 ? 0 : strlen(folder), len = strlen(name);
	char *path = malloc(above + 1 + len + 1);

	if (!path)
		return NULL;
	memcpy(path, folder, above);
	path[above] = '/';
	memcpy(path + above + 1, name, len + 1);
	return path;
}

int64_t backup_clock_ns(const struct backup_run *run)
{
	struct timespec now;

	if (run->options->now_ns)
		return run->options->now_ns;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int copy_strings(const char *const *from, size_t count, char ***out, size_t *out_count,
			struct err *err)
{
	*out = calloc(count ? count : 1, sizeof(**out));
	if (!*out)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++) {
		(*out)[i] = strdup(from[i]);
		if (!(*out)[i])
			return err_nomem(err);
		*out_count = i + 1;
	}
	return 0;
}

static int copy_sources(const struct sources *s, struct manifest *m, struct err *err)
{
	m->sources = calloc(s->count, sizeof(*m->sources));
	if (!m->sources)
		return err_nomem(err);
	for (size_t i = 0; i < s->count; i++) {
		m->sources[i] = strdup(s->items[i].path);
		if (!m->sources[i])
			return err_nomem(err);
		m->source_count = i + 1;
	}
	return 0;
}

/* What the workers made of a database is known when they are done. */
static void complete(struct backup_run *run, const struct backup_db *db, struct manifest_db *f)
{
	struct backup_result *res = run->result;

	f->cells_changed = db->tally->cells_new;
	f->bytes_stored = db->tally->bytes_packed;
	res->image_bytes += f->image_bytes;
	res->cells += f->cells;
	res->cells_changed += f->cells_changed;
	res->image_packed += f->bytes_stored;
	if (run->options->cb.database)
		run->options->cb.database(run->options->cb.arg, f);
}

/* Moves the facts of each database that has an image into the manifest. */
static int move_databases(struct backup_run *run, struct manifest *m, struct err *err)
{
	m->dbs = calloc(run->db_count ? run->db_count : 1, sizeof(*m->dbs));
	if (!m->dbs)
		return err_nomem(err);
	for (size_t i = 0; i < run->db_count; i++) {
		if (run->dbs[i].failed)
			continue;
		complete(run, &run->dbs[i], &run->dbs[i].facts);
		m->dbs[m->db_count++] = run->dbs[i].facts;
		run->dbs[i].facts = (struct manifest_db){0};
	}
	return 0;
}

static int describe(struct backup_run *run, struct manifest *m, struct err *err)
{
	const struct backup_options *o = run->options;
	int r = copy_strings(o->tags, o->tag_count, &m->tags, &m->tag_count, err);

	if (!r)
		r = copy_sources(&run->sources, m, err);
	if (!r)
		r = move_databases(run, m, err);
	if (r)
		return r;
	backup_refs_tell(run, m);
	m->host = strdup(o->host);
	m->user = strdup(o->user ? o->user : "");
	m->program = strdup(o->program ? o->program : "");
	m->finished_ns = backup_clock_ns(run);
	m->files = run->result->files;
	m->bytes = run->result->bytes;
	m->bytes_added = packer_stats(run->packer)->bytes_stored;
	m->unreadable = run->result->unreadable;
	m->carried = run->result->carried;
	m->alarms = run->result->alarms;
	return m->host && m->user && m->program ? 0 : err_nomem(err);
}

static void sum_up(struct backup_run *run, uint64_t manifest_bytes)
{
	const struct packer_stats *s = packer_stats(run->packer);

	run->result->bytes_added = s->bytes_new;
	run->result->bytes_packed = s->bytes_packed;
	run->result->bytes_stored = s->bytes_stored + manifest_bytes;
}

/*
 * An interrupted first backup may have taken hours. Its packs are published with their index, which says nothing but where
 * chunks are, so that the next backup finds them and goes on from there.
 */
static void keep_stored(struct backup_run *run, struct err *err)
{
	struct err ignored = {0};

	if (!run->packer || run->options->dry_run || packer_finish(run->packer, &ignored) != 0)
		return;
	if (packer_stats(run->packer)->bytes_stored)
		(void)err_set(err, ERR_CANCELLED,
			      "%s; the %llu KiB that were stored are kept, and the next backup "
			      "goes on from there",
			      BACKUP_CANCELLED,
			      (unsigned long long)packer_stats(run->packer)->bytes_stored / 1024);
}

/* Nothing of it is condemned or gone? If not, run->again. */
static int look(struct backup_run *run, struct err *err)
{
	int r;

	free(run->lacking);
	run->lacking = NULL;
	run->lacking_count = 0;
	r = footing_look(&run->footing, run->packer, &run->lacking, &run->lacking_count, err);
	run->again = !r && run->lacking_count > 0;
	return r;
}

/* Between the look and the put lies little; only a machine that slept just then looks again. */
static int put_manifest(struct backup_run *run, struct manifest *m, uint64_t *out_bytes,
			struct err *err)
{
	int r = 0;

	do
		r = look(run, err);
	while (!r && !run->again && !footing_in_time(&run->footing));
	if (!r && !run->again)
		r = describe(run, m, err);
	if (!r && !run->again)
		r = manifests_put(run->repo, m, &run->result->manifest, out_bytes, err);
	return r;
}

/*
 * A machine that slept between the last look and the put has perhaps published what rests on nothing. So a backup is acknowledged
 * only when it was looked at once more (I1, I6).
 */
static int look_after(struct backup_run *run, struct err *err)
{
	char hex[ID_HEX_CHARS + 1];
	int r = look(run, err);

	id_hex(&run->result->manifest, hex);
	if (r && r != -ERR_NOMEM)
		err_prefix(err, "manifest %.*s was made, but not looked at once more",
			   ID_SHORT_CHARS, hex);
	return r;
}

static int run_all(struct backup_run *run, struct manifest *m, struct err *err)
{
	uint64_t manifest_bytes = 0;
	bool dry = run->options->dry_run;
	int r = backup_open(run, m, err);

	if (!r)
		r = backup_databases(run, err);
	if (!r)
		r = backup_tree(run, &m->root, err);
	if (!r)
		backup_tell_gone(run);
	if (!r)
		r = backup_refs_finish(run, m, err);
	if (!r)
		r = backup_tick(run, BACKUP_PUBLISH, "", err);
	if (!r)
		r = packer_finish(run->packer, err);
	if (!r)
		r = dry ? describe(run, m, err) : put_manifest(run, m, &manifest_bytes, err);
	if (!r && !run->again) {
		run->result->committed = !dry;
		sum_up(run, manifest_bytes);
		if (!dry)
			backup_save_caches(run, m);
	}
	if (!r && run->result->committed)
		r = look_after(run, err);
	if (r == -ERR_CANCELLED)
		keep_stored(run, err);
	return r;
}

static int run_once(struct backup_run *run, struct err *err)
{
	struct manifest m = {0};
	int r;

	m.time_ns = m.started_ns = backup_clock_ns(run);
	r = sources_resolve(run->options->paths, run->options->path_count, &run->sources, err);
	if (run->options->time_ns)
		m.time_ns = *run->options->time_ns;
	if (!r)
		r = backup_filter_new(&run->options->filter, &run->sources, &run->filter, err);
	if (!r)
		r = backup_refs_open(run, err);
	if (!r)
		r = backup_immutable_open(run, err);
	if (!r)
		r = run_all(run, &m, err);
	manifest_free(&m);
	return r;
}

/* --- when a prune was faster (FORMAT.md §12 R6) --- */

#define RUNS_MOST 8

/* What a manifest lacks that was published in the very moment; the run after it may have stored it again. */
struct published {
	struct id name;
	struct chunk_ref *lacking;
	size_t count;
};

static void tell_again(struct backup_run *run)
{
	backup_warning(run, "",
		       "a prune has condemned meanwhile what this backup rests on; the sources are "
		       "gone over once more");
}

static void tell_published(struct backup_run *run, const struct published *p)
{
	char hex[ID_HEX_CHARS + 1], text[200];
	size_t lost = 0;

	for (size_t i = 0; i < p->count; i++)
		lost += index_find_good(run->index, p->lacking[i].kind, &p->lacking[i].id) ==
			INDEX_NONE;
	if (!lost)
		return;
	id_hex(&p->name, hex);
	(void)snprintf(text, sizeof(text),
		       "manifest %.*s lacks %zu chunks that a prune deleted while this machine "
		       "slept, and the sources have no more; this newer manifest takes its place",
		       ID_SHORT_CHARS, hex, lost);
	backup_unreadable(run, "", text);
}

int backup_run(struct repo *repo, const struct backup_options *options,
	       struct backup_result *out_result, struct err *err)
{
	struct published published = {0};
	uint64_t stored = 0;
	bool again = true;
	int r = 0;

	for (int i = 0; !r && again; i++) {
		struct backup_run run = {.repo = repo, .options = options, .result = out_result};

		if (i == RUNS_MOST)
			r = err_set(err, ERR_BUSY,
				    "prunes condemn what this backup rests on again and again; "
				    "nothing was saved, try when none runs");
		*out_result = (struct backup_result){0};
		if (!r)
			r = run_once(&run, err);
		again = !r && run.again;
		if (again)
			tell_again(&run);
		if (!r && !again && published.count)
			tell_published(&run, &published);
		if (again && out_result->committed) {
			free(published.lacking);
			published = (struct published){out_result->manifest, run.lacking,
						       run.lacking_count};
			run.lacking = NULL;
		}
		if (again)
			stored += packer_stats(run.packer)->bytes_stored;
		backup_close(&run);
	}
	free(published.lacking);
	out_result->bytes_stored += stored;
	return r;
}
