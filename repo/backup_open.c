#include "repo/backup_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

static void warn_of(struct backup_run *run, enum store_type type, const struct id *name,
		    const struct err *why)
{
	char path[STORE_PATH_CHARS];
	struct err bare = *why;

	store_path(type, name, path);
	repo_unname(run->repo->store, type, name, &bare);
	backup_warning(run, path, bare.text);
}

/* A damaged segment costs space, not safety: what it named is stored again. */
static void on_bad_segment(void *arg, const struct id *segment, const struct err *why)
{
	warn_of(arg, STORE_INDEX, segment, why);
}

static void on_bad_manifest(void *arg, const struct id *name, const struct err *why)
{
	warn_of(arg, STORE_SNAPSHOTS, name, why);
}

static bool same_sources(const struct manifest *m, const struct sources *s)
{
	if (m->source_count != s->count)
		return false;
	for (size_t i = 0; i < s->count; i++) {
		bool found = false;

		for (size_t k = 0; !found && k < m->source_count; k++)
			found = strcmp(m->sources[k], s->items[i].path) == 0;
		if (!found)
			return false;
	}
	return true;
}

/*
 * The newest of this writer with the same host and paths; NULL: there is none. What another writer says that this host had is no reason not
 * to read a file.
 */
static const struct manifest_item *newest_alike(const struct backup_run *run)
{
	for (size_t i = run->manifests.count; i > 0; i--) {
		const struct manifest_item *item = &run->manifests.items[i - 1];

		if (memcmp(item->m.writer, run->repo->keys->writer_pub, 32) != 0 || !item->m.host ||
		    strcmp(item->m.host, run->options->host) != 0 ||
		    !same_sources(&item->m, &run->sources))
			continue;
		return item;
	}
	return NULL;
}

static void use_parent(struct backup_run *run, const struct manifest_item *item)
{
	run->parent = &item->m;
	run->parent_name = item->name;
}

static int find_parent(struct backup_run *run, struct err *err)
{
	const struct id *wanted = run->options->parent;
	char hex[ID_HEX_CHARS + 1];

	if (!wanted) {
		const struct manifest_item *item = newest_alike(run);

		if (item)
			use_parent(run, item);
		return 0;
	}
	for (size_t i = 0; !run->parent && i < run->manifests.count; i++) {
		if (id_eq(&run->manifests.items[i].name, wanted))
			use_parent(run, &run->manifests.items[i]);
	}
	id_hex(wanted, hex);
	if (!run->parent)
		return err_set(err, ERR_MISSING, "the parent manifest %.*s is not there",
			       ID_SHORT_CHARS, hex);
	if (!run->parent->has_read)
		return err_set(err, ERR_KEY, "this key cannot read the parent manifest %.*s",
			       ID_SHORT_CHARS, hex);
	return 0;
}

/* What was stored last night: from the cache, or from the repository by the reader that has just read the parent's nodes. */
static int get_base(void *arg, uint8_t kind, const struct id *id, struct buf *out, struct err *err)
{
	struct backup_run *run = arg;
	int r = chunkcache_get(run->chunks, kind, id, out, err);

	return r == -ERR_MISSING ? reader_get_base(run->reader, kind, id, out, err) : r;
}

static int keep_base(void *arg, uint8_t kind, const struct id *id, const void *plain, size_t len,
		     struct err *err)
{
	struct backup_run *run = arg;

	return run->options->dry_run ? 0 : chunkcache_keep(run->chunks, kind, id, plain, len, err);
}

/* A write key opens nothing in the repository: it reads of its last backup what the cache has. */
static int get_aside(void *arg, uint8_t kind, const struct id *id, struct buf *out, struct err *err)
{
	struct backup_run *run = arg;

	return chunkcache_get(run->chunks, kind, id, out, err);
}

static int open_packer(struct backup_run *run, uint64_t sequence, struct err *err)
{
	struct base_source source = {get_base, keep_base, run};
	struct packer_options options = {
	    .sequence = sequence,
	    .bases = &source,
	    .workers = run->options->workers,
	    .dry_run = run->options->dry_run,
	};

	return packer_new(run->repo, run->index, &options, &run->packer, err);
}

static void tell_lost_packs(struct backup_run *run)
{
	char text[128];

	(void)snprintf(
	    text, sizeof(text),
	    "packs that are missing or cut short: %llu; 'nightjar check' names what they touch",
	    (unsigned long long)packer_stats(run->packer)->packs_lost);
	backup_warning(run, run->repo->store->location, text);
}

/* Whatever is wrong with the cache costs time only. */
static void tell_cache(struct backup_run *run, const char *note)
{
	if (*note && run->options->cb.detail)
		run->options->cb.detail(run->options->cb.arg, "", note);
}

static void tell_caches(struct backup_run *run)
{
	tell_cache(run, filescache_note(run->cache));
	tell_cache(run, chunkcache_note(run->chunks));
}

static int open_cache(struct backup_run *run, struct err *err)
{
	struct cache_owner owner = {
	    .cache_dir = run->options->cache_dir,
	    .repo = run->repo->keys->repo,
	    .secret = packer_domain(run->packer)->id_key,
	    .host = run->options->host,
	    .source_count = run->sources.count,
	};
	const char **paths;
	int r;

	if (!owner.cache_dir)
		return 0;
	paths = calloc(run->sources.count, sizeof(*paths));
	if (!paths)
		return err_nomem(err);
	for (size_t i = 0; i < run->sources.count; i++)
		paths[i] = run->sources.items[i].path;
	owner.sources = paths;
	r = filescache_open(&owner, run->options->force, &run->cache, err);
	if (!r)
		r = chunkcache_open(&owner, 0, &run->chunks, err);
	free(paths);
	if (!r && run->options->no_delta_cache) {
		if (!run->options->dry_run)
			chunkcache_remove(run->chunks);
		chunkcache_close(run->chunks);
		run->chunks = NULL;
	}
	if (!r)
		tell_caches(run);
	return r;
}

/* The root of the parent's tree, under a path that nothing has. */
#define ROOT_MARK ""

static void find_root(struct backup_run *run)
{
	struct id root;

	run->follows = run->parent && filescache_get_mark(run->cache, ROOT_MARK, &root) &&
		       id_eq(&root, &run->parent->root);
}

static int note_root(struct backup_run *run, const struct id *root, struct err *err)
{
	struct id noted;

	if (filescache_get_mark(run->cache, ROOT_MARK, &noted) && id_eq(&noted, root))
		return 0;
	return filescache_put_mark(run->cache, ROOT_MARK, root, err);
}

void backup_save_caches(struct backup_run *run, const struct manifest *m)
{
	struct err ignored = {0};

	if (backup_own_keep(run, m, &ignored) == 0 && note_root(run, &m->root, &ignored) == 0 &&
	    filescache_save(run->cache, &ignored) == 0 &&
	    chunkcache_save(run->chunks, &ignored) == 0)
		tell_caches(run);
}

/* What a check found damaged is stored again: see repo/notes.h. */
static int apply_notes(struct backup_run *run, struct err *err)
{
	struct notes local = {0};
	struct err why = {0};
	int r = 0;

	notes_apply(&run->manifests.notes, run->index);
	if (run->options->state_dir)
		r = notes_load_local(run->options->state_dir, run->repo->conf.repo, &local, &why);
	notes_apply(&local, run->index);
	notes_free(&local);
	if (r == -ERR_NOMEM)
		return err_nomem(err);
	if (r)
		backup_warning(run, "", why.text);
	return 0;
}

int backup_open(struct backup_run *run, struct manifest *m, struct err *err)
{
	struct repo *repo = run->repo;
	int r = repo_use_writer(repo, run->options->host, run->options->dry_run, err);

	if (!r)
		r = manifests_load(repo, on_bad_manifest, run, &run->manifests, err);
	if (!r)
		r = index_load(repo, on_bad_segment, run, &run->index, err);
	if (!r)
		index_mark_revoked(repo, run->index);
	if (!r)
		r = apply_notes(run, err);
	if (!r)
		r = footing_open(&run->footing, repo, run->index, run->options->boot_s,
				 run->options->boot_arg, err);
	if (!r)
		r = manifests_succeed(repo, &run->manifests, m, err);
	if (!r)
		r = reader_new(repo, run->index, &run->reader, err);
	if (!r)
		r = open_packer(run, m->sequence, err);
	if (!r)
		r = content_writer_new(run->packer, &run->writer, err);
	if (!r)
		r = open_cache(run, err);
	if (r)
		return r;
	if (packer_stats(run->packer)->packs_lost)
		tell_lost_packs(run);
	if (repo->keys->role == ROLE_WRITE)
		reader_set_aside(run->reader, get_aside, run);
	r = backup_own_recall(run, err);
	if (!r)
		r = find_parent(run, err);
	if (r)
		return r;
	find_root(run);
	run->names = fs_names_new();
	run->io = malloc(IO_BYTES);
	return run->names && run->io ? 0 : err_nomem(err);
}

void backup_close(struct backup_run *run)
{
	backup_databases_free(run);
	backup_immutable_close_folder(run);
	backup_carry_free(run);
	refs_free(run->refs);
	sources_free(&run->immutable);
	content_writer_free(run->writer);
	packer_free(run->packer);
	reader_free(run->reader);
	index_free(run->index);
	manifest_list_free(&run->manifests);
	backup_filter_free(run->filter);
	sources_free(&run->sources);
	fs_names_free(run->names);
	filescache_close(run->cache);
	chunkcache_close(run->chunks);
	if (run->io)
		sodium_memzero(run->io, IO_BYTES);
	free(run->io);
	free(run->lacking);
}
