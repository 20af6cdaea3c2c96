/* The references of a manifest, from the repository alone: for check and drill. */
#include "repo/refs.h"

#include <stdlib.h>
#include <string.h>

#include "core/reference.h"
#include "core/sha256.h"
#include "repo/browse.h"
#include "repo/image_read.h"

#define IMAGE_RAM_BYTES ((size_t)64 << 20)

struct rerun {
	struct reader *reader;
	const struct manifest *m;
	const struct refs_rerun *options;
	struct refs *refs;
};

/* --- the databases --- */

struct loading {
	struct reader *reader;
	struct pageimage *image;
};

static int load_image(void *arg, const struct entry *e, const struct chunk_ref *children,
		      struct err *err)
{
	const struct loading *l = arg;

	if (e->type != ENTRY_FILE)
		return err_set(err, ERR_DAMAGED, "is not a file in this backup");
	return image_load(l->reader, e, children, l->image, err);
}

static bool ends_it(int r)
{
	return r == -ERR_NOMEM || r == -ERR_CANCELLED || r == -ERR_KEY || r == -ERR_FULL;
}

/* The one database that is meant; NULL: none, or more than one. */
static const char *database_of(const struct manifest *m, const char *name)
{
	const char *path = NULL;

	for (size_t i = 0; i < m->db_count; i++) {
		if (!reference_matches(name, m->dbs[i].path))
			continue;
		if (path)
			return NULL;
		path = m->dbs[i].path;
	}
	return path;
}

static int ask_one(struct rerun *run, size_t query, struct err *err)
{
	const char *path = database_of(run->m, refs_database(run->refs, query));
	struct loading l = {.reader = run->reader};
	struct err why = {0};
	int r;

	if (!path) {
		refs_fail(run->refs, query, "no database of this backup is the one that is meant");
		return 0;
	}
	r = pageimage_new(run->options->options.cache_dir ? run->options->options.cache_dir : "",
			  IMAGE_RAM_BYTES, &l.image, err);
	if (r)
		return r;
	r = tree_lookup(run->reader, &run->m->root, path, load_image, &l, &why);
	if (!r) {
		r = refs_ask(run->refs, query, path, l.image, err);
	} else if (ends_it(r)) {
		*err = why;
	} else {
		r = refs_lose(run->refs, query, path, &why, err);
	}
	pageimage_free(l.image);
	return r;
}

/* --- the files --- */

static int hash_bytes(void *arg, const void *bytes, size_t len, struct err *err)
{
	return sha256_update(arg, bytes, len, err);
}

static int hash_file(struct rerun *run, const char *path, const struct entry *e,
		     const struct chunk_ref *children, struct err *err)
{
	const struct refs_options *o = &run->options->options;
	struct sha256 *hash = NULL;
	struct err why = {0};
	struct id digest;
	int r = sha256_new(&hash, &why);

	if (!r)
		r = browse_content(run->reader, e, children, hash_bytes, hash, &why);
	if (!r)
		r = sha256_final(hash, &digest, &why);
	sha256_free(hash);
	if (!r)
		refs_hashed(run->refs, path, digest.b);
	if (!r || (!ends_it(r) && refs_tells_damage(run->refs, &why)))
		return r ? o->damaged(o->arg, path, &why, err) : 0;
	*err = why;
	return err_prefix(err, "%s", path);
}

struct folder {
	struct rerun *run;
	const char *path;
};

static int saw_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
		     struct err *err)
{
	const struct folder *at = arg;
	const struct refs_options *o = &at->run->options->options;
	struct folder below = {at->run, NULL};
	char *path = NULL;
	int r = browse_join(at->path, &e->name, &path, err);

	below.path = path;
	if (!r && o->tick && o->tick(o->arg) != 0)
		r = err_set(err, ERR_CANCELLED, "interrupted");
	if (!r)
		r = refs_saw(at->run->refs, path, e, err);
	if (!r && e->type == ENTRY_DIR)
		r = tree_each(at->run->reader, &children[0].id, saw_entry, &below, err);
	else if (!r && e->type == ENTRY_FILE && at->run->options->hash &&
		 refs_wants_hash(at->run->refs, path))
		r = hash_file(at->run, path, e, children, err);
	free(path);
	return r;
}

static void sum_up(const struct refs *refs, struct refs_count *sum)
{
	for (size_t i = 0; i < refs_query_count(refs); i++) {
		const struct refs_count *c = refs_counted(refs, i);

		sum->referenced += c->referenced;
		sum->missing += c->missing;
		sum->orphans += c->orphans;
		sum->unhashed += c->unhashed;
		sum->failed = sum->failed || c->failed;
	}
}

static int run_all(struct rerun *run, struct err *err)
{
	const struct manifest *m = run->m;
	struct folder top = {run, "/"};
	int r = 0;

	for (size_t i = 0; !r && i < m->ref_count; i++)
		r = refs_add(run->refs, m->refs[i].database, m->refs[i].query, err);
	for (size_t i = 0; !r && i < m->ref_count; i++)
		r = ask_one(run, i, err);
	if (!r)
		r = refs_ready(run->refs, (const char *const *)m->sources, m->source_count, err);
	if (!r)
		r = tree_each(run->reader, &m->root, saw_entry, &top, err);
	return r ? r : refs_judge(run->refs, err);
}

int refs_rerun(struct reader *reader, const struct manifest *m, const struct refs_rerun *rerun,
	       struct refs_count *out_sum, struct err *err)
{
	struct rerun run = {.reader = reader, .m = m, .options = rerun};
	int r;

	*out_sum = (struct refs_count){0};
	if (!m->has_read)
		return err_set(err, ERR_KEY, "this key cannot read which references are recorded");
	if (m->ref_count == 0)
		return 0;
	r = refs_new(&rerun->options, &run.refs, err);
	if (!r)
		r = run_all(&run, err);
	if (!r)
		sum_up(run.refs, out_sum);
	refs_free(run.refs);
	return r;
}
