/* A database on its way from one repository to another: its image is put together, compared, and taken apart again by the other's keys. */
#include "repo/copy_run.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/sha256.h"
#include "repo/image_write.h"
#include "repo/pageimage.h"

#define RAM_BUDGET_BYTES ((size_t)96 << 20)
#define PIECE_BYTES (1u << 20)

struct filling {
	struct copy_run *run;
	const char *path;
	struct pageimage *pages;
	uint64_t at;
	size_t untold; /* bytes since the last tick */
};

/* Also for pages of 512 bytes cheap. */
static int tick(struct filling *f, size_t bytes, struct err *err)
{
	f->untold += bytes;
	if (f->untold < PIECE_BYTES)
		return 0;
	f->untold = 0;
	return copy_tick(f->run, f->path, 0, err);
}

static int fill_at(void *arg, uint64_t offset, const void *bytes, size_t len, struct err *err)
{
	struct filling *f = arg;
	int r = tick(f, len, err);

	return r ? r : copy_to(f->run, pageimage_write(f->pages, offset, bytes, len, err));
}

static int fill_next(void *arg, const void *bytes, size_t len, struct err *err)
{
	struct filling *f = arg;
	int r = fill_at(f, f->at, bytes, len, err);

	f->at += len;
	return r;
}

static int fill(struct filling *f, const struct entry *e, const struct chunk_ref *children,
		struct err *err)
{
	const struct cells_target target = {f, fill_at};
	int r = e->encoding == ENCODING_CELLS
		    ? image_decode(f->run->from_reader, e, children, &target, err)
		    : content_each(f->run->from_reader, e, children, fill_next, f, err);

	return r ? r : copy_to(f->run, pageimage_truncate(f->pages, e->size, err));
}

static size_t find_facts(const struct manifest *m, const char *path)
{
	size_t i = 0;

	while (i < m->db_count && strcmp(m->dbs[i].path, path) != 0)
		i++;
	return i;
}

static int hash_pages(struct filling *f, struct id *out_hash, struct err *err)
{
	uint64_t size = pageimage_size(f->pages);
	uint8_t *piece = malloc(PIECE_BYTES);
	struct sha256 *hash = NULL;
	int r = piece ? sha256_new(&hash, err) : err_nomem(err);

	for (uint64_t at = 0; !r && at < size;) {
		size_t len = size - at < PIECE_BYTES ? (size_t)(size - at) : PIECE_BYTES;

		r = copy_to(f->run, pageimage_read(f->pages, at, piece, len, err));
		if (!r)
			r = sha256_update(hash, piece, len, err);
		if (!r)
			r = tick(f, len, err);
		at += len;
	}
	if (!r)
		r = sha256_final(hash, out_hash, err);
	sha256_free(hash);
	if (piece)
		sodium_memzero(piece, PIECE_BYTES);
	free(piece);
	return r;
}

static int compare(struct filling *f, const struct manifest_db *facts, struct err *err)
{
	struct id hash;
	int r = hash_pages(f, &hash, err);

	if (!r && memcmp(hash.b, facts->image_sha256, ID_BYTES) != 0)
		r = err_set(err, ERR_DAMAGED,
			    "the image of this database is not the one that was backed up "
			    "(another SHA-256)");
	return r;
}

static int read_pages(void *arg, uint64_t offset, void *out, size_t len, struct err *err)
{
	struct filling *f = arg;
	int r = tick(f, len, err);

	return r ? r : copy_to(f->run, pageimage_read(f->pages, offset, out, len, err));
}

/* Of the night before, what cannot be had costs only space. */
static int load_before(struct copy_run *run, const struct entry *former,
		       const struct chunk_ref *children, struct image_map *map,
		       struct former *lists, bool *out_known, struct err *err)
{
	struct err why = {0};
	int r;

	*out_known = false;
	if (!former || former->encoding != ENCODING_CELLS)
		return 0;
	r = former_load_list(lists, run->to_reader, &children[0].id, &why);
	if (!r)
		r = image_map_load(run->to_reader, former, children, map, &why);
	*out_known = !r;
	return r == -ERR_NOMEM ? err_nomem(err) : 0;
}

static int store(struct filling *f, const struct image_map *before, const struct former *lists,
		 size_t number, struct content *out, struct err *err)
{
	struct copy_run *run = f->run;
	bool has_facts = number < run->m.db_count;
	struct image_write_options options = {
	    .source = {f, pageimage_size(f->pages), read_pages},
	    .before = before,
	    .tally = has_facts ? &run->tallies[number] : NULL,
	};
	struct cells_stats stats = {0};
	int r;

	content_writer_reset(run->writer);
	content_writer_follow(run->writer, lists);
	r = copy_to(run, image_write(run->packer, run->writer, &options, out, &stats, err));
	content_writer_follow(run->writer, NULL);
	if (!r && has_facts)
		run->m.dbs[number].cells = stats.cells;
	return r;
}

int copy_image(struct copy_run *run, const char *path, const struct entry *e,
	       const struct chunk_ref *children, const struct entry *former,
	       const struct chunk_ref *former_children, struct content *out_content,
	       struct err *err)
{
	size_t number = find_facts(&run->m, path);
	struct filling f = {.run = run, .path = path};
	struct image_map map = {0};
	struct former lists = {0};
	bool known = false;
	int r = pageimage_new(run->options->cache_dir ? run->options->cache_dir : "",
			      RAM_BUDGET_BYTES, &f.pages, err);

	if (!r)
		r = fill(&f, e, children, err);
	if (!r && number < run->m.db_count)
		r = compare(&f, &run->m.dbs[number], err);
	if (!r)
		r = load_before(run, former, former_children, &map, &lists, &known, err);
	if (!r)
		r = store(&f, known ? &map : NULL, &lists, number, out_content, err);
	if (!r)
		r = copy_tick(run, path, e->size, err);
	image_map_free(&map);
	former_free(&lists);
	pageimage_free(f.pages);
	return r;
}
