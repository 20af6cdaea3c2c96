/* --refs of a backup: asked on each snapshot, held against each entry of the tree. */
#include "repo/backup_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/reference.h"
#include "core/sha256.h"

static int on_tick(void *arg)
{
	struct backup_run *run = arg;
	struct err ignored = {0};

	return backup_tick(run, BACKUP_SNAPSHOT, run->snapshotting ? run->snapshotting : "",
			   &ignored);
}

static void on_missing(void *arg, const char *database, const char *path, const char *text)
{
	struct backup_run *run = arg;
	const struct backup_callbacks *cb = &run->options->cb;

	if (cb->missing)
		cb->missing(cb->arg, database, path, text);
}

int backup_refs_open(struct backup_run *run, struct err *err)
{
	const struct backup_options *o = run->options;
	const struct refs_options options = {
	    .cache_dir = o->cache_dir,
	    .tick = on_tick,
	    .missing = on_missing,
	    .arg = run,
	};
	int r = o->ref_count ? refs_new(&options, &run->refs, err) : 0;

	for (size_t i = 0; !r && i < o->ref_count; i++) {
		char *database, *query;

		r = reference_split(o->refs[i], &database, &query, err);
		if (!r)
			r = refs_add(run->refs, database, query, err);
		free(database);
		free(query);
	}
	return r;
}

/* --- which database is meant --- */

static int one_must_match(struct backup_run *run, const char *name, struct err *err)
{
	struct backup_db *found = NULL;

	for (size_t i = 0; i < run->db_count; i++) {
		if (!reference_matches(name, run->dbs[i].path))
			continue;
		if (found)
			return err_set(err, ERR_USAGE,
				       "--refs '%.200s' means both %.200s and %.200s: name more of "
				       "its path; nothing was stored",
				       name, found->path, run->dbs[i].path);
		found = &run->dbs[i];
	}
	if (!found)
		return err_set(err, ERR_USAGE,
			       "--refs '%.200s': none of the %zu databases of this backup ends "
			       "so; nothing was stored",
			       name, run->db_count);
	found->asked = true;
	return 0;
}

int backup_refs_match(struct backup_run *run, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < refs_query_count(run->refs); i++)
		r = one_must_match(run, refs_database(run->refs, i), err);
	return r;
}

bool backup_refs_mean(const struct backup_run *run, const char *path)
{
	for (size_t i = 0; run->refs && i < refs_query_count(run->refs); i++) {
		if (reference_matches(refs_database(run->refs, i), path))
			return true;
	}
	return false;
}

/* --- asking --- */

static int read_snapshot(void *arg, uint64_t offset, void *out, size_t len, struct err *err)
{
	return snapshot_read(arg, offset, out, len, err);
}

int backup_refs_ask(struct backup_run *run, const struct backup_db *db, struct err *err)
{
	struct pageimage *image = NULL;
	int r = 0;

	if (!db->asked)
		return 0;
	r = pageimage_over(read_snapshot, db->snapshot, snapshot_info(db->snapshot)->image_bytes,
			   &image, err);
	for (size_t i = 0; !r && i < refs_query_count(run->refs); i++) {
		if (reference_matches(refs_database(run->refs, i), db->path))
			r = refs_ask(run->refs, i, db->path, image, err);
	}
	pageimage_free(image);
	return r;
}

void backup_refs_lost(struct backup_run *run, const struct backup_db *db)
{
	for (size_t i = 0; db->asked && i < refs_query_count(run->refs); i++) {
		if (reference_matches(refs_database(run->refs, i), db->path))
			refs_fail(run->refs, i,
				  "the database could not be copied, so what it names is not "
				  "known");
	}
}

int backup_refs_ready(struct backup_run *run, struct err *err)
{
	const char **paths;
	int r;

	if (!run->refs)
		return 0;
	paths = calloc(run->sources.count, sizeof(*paths));
	if (!paths)
		return err_nomem(err);
	for (size_t i = 0; i < run->sources.count; i++)
		paths[i] = run->sources.items[i].path;
	r = refs_ready(run->refs, paths, run->sources.count, err);
	free(paths);
	return r;
}

/* --- while a file is read --- */

int backup_refs_hash_begin(struct backup_run *run, const char *path, struct err *err)
{
	return refs_wants_hash(run->refs, path) ? sha256_new(&run->hash, err) : 0;
}

void backup_refs_hash_drop(struct backup_run *run)
{
	sha256_free(run->hash);
	run->hash = NULL;
}

int backup_refs_hash_end(struct backup_run *run, const char *path, struct err *err)
{
	struct id digest;
	int r = run->hash ? sha256_final(run->hash, &digest, err) : 0;

	if (run->hash && !r)
		refs_hashed(run->refs, path, digest.b);
	backup_refs_hash_drop(run);
	return r;
}

/* --- the result --- */

static int put_ref(struct backup_run *run, size_t query, struct manifest_ref *ref, struct err *err)
{
	const struct refs_count *c = refs_counted(run->refs, query);
	struct backup_result *res = run->result;

	*ref = (struct manifest_ref){
	    .database = strdup(refs_database(run->refs, query)),
	    .query = strdup(refs_sql(run->refs, query)),
	    .referenced = c->referenced,
	    .missing = c->missing,
	    .orphans = c->orphans,
	};
	if (!ref->database || !ref->query)
		return err_nomem(err);
	res->refs_referenced += c->referenced;
	res->refs_missing += c->missing;
	res->refs_orphans += c->orphans;
	res->refs_unhashed += c->unhashed;
	res->refs_failed += c->failed;
	return 0;
}

void backup_refs_tell(struct backup_run *run, const struct manifest *m)
{
	const struct backup_callbacks *cb = &run->options->cb;

	for (size_t i = 0; cb->reference && i < m->ref_count; i++)
		cb->reference(cb->arg, &m->refs[i]);
}

int backup_refs_finish(struct backup_run *run, struct manifest *m, struct err *err)
{
	size_t count = refs_query_count(run->refs);
	int r = run->refs ? refs_judge(run->refs, err) : 0;

	if (r || count == 0)
		return r;
	m->refs = calloc(count, sizeof(*m->refs));
	if (!m->refs)
		return err_nomem(err);
	for (size_t i = 0; !r && i < count; i++) {
		m->ref_count = i + 1;
		r = put_ref(run, i, &m->refs[i], err);
	}
	return r;
}
