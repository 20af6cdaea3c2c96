/*
 * A file that is there already is compared with the entry's chunks by their ids; only a chunk that differs is read from the
 * repository, and only blocks of it that differ are written.
 */
#include "repo/restore_run.h"

#include <stdlib.h>
#include <string.h>

#include "core/record.h"
#include "repo/image_read.h"

#define BLOCK_BYTES 4096u
#define IN_PLACE_BYTES (128u << 10) /* smaller files are replaced, in one step */

enum state {
	COMPARING,
	UPDATING, /* what differs is written in place */
	REPLACE,  /* it differs, and must be written as a whole */
	WOULD,    /* it differs, and a dry run goes no further */
	CHECKING  /* it was written, and must be the same now */
};

struct update {
	struct restore_run *run;
	struct restore_item *item;
	struct fsw_file *file;
	struct image_map map; /* the chunks and how long they are */
	uint64_t there_bytes; /* what was in the file; beyond are zeros */
	enum state state;
};

/* --- chunks and their lengths --- */

static int map_inline(struct update *u, struct err *err)
{
	const struct index *index = reader_index(u->run->reader);
	size_t count = u->item->e->child_count;

	u->map.chunks = calloc(count + 1, sizeof(*u->map.chunks));
	if (!u->map.chunks)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++) {
		uint32_t at = index_find(index, CHUNK_DATA, &u->item->children[i].id);

		if (at == INDEX_NONE)
			return err_set(err, ERR_MISSING, "a chunk is in no pack");
		u->map.chunks[u->map.count++] = (struct image_chunk){
		    .id = u->item->children[i].id, .bytes = index->places[at].info.plain_bytes};
	}
	return 0;
}

static int map_chunks(struct update *u, struct err *err)
{
	const struct entry *e = u->item->e;
	uint64_t bytes = 0;
	int r = e->shape == SHAPE_INLINE
		    ? map_inline(u, err)
		    : image_map_load(u->run->reader, e, u->item->children, &u->map, err);

	for (size_t i = 0; !r && i < u->map.count; i++) {
		bytes += u->map.chunks[i].bytes;
		if (u->map.chunks[i].bytes > LIMIT_CHUNK_BYTES)
			r = err_set(err, ERR_DAMAGED, "a chunk is too long");
	}
	if (!r && bytes != content_stored_bytes(e))
		r = err_set(err, ERR_DAMAGED, "its chunks are not as long as the tree says");
	return r;
}

/* --- what is there --- */

static bool all_zeros(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static int read_there(struct update *u, uint64_t offset, uint8_t *out, size_t len, struct err *err)
{
	size_t there = 0;

	if (offset < u->there_bytes)
		there = u->there_bytes - offset < len ? (size_t)(u->there_bytes - offset) : len;
	memset(out + there, 0, len - there);
	return there ? fsw_file_read(u->file, offset, out, there, err) : 0;
}

/* The bytes at a chunk's place, wherever in the file its parts lie. */
static int read_chunk_there(struct update *u, struct content_spread spread, size_t len,
			    struct err *err)
{
	struct buf *have = &u->run->have;
	uint8_t *out;
	int r = 0;

	buf_reset(have);
	out = buf_extend(have, len);
	if (!out)
		return err_nomem(err);
	while (!r && len) {
		uint64_t offset;
		size_t take = content_spread_next(&spread, len, &offset);

		r = read_there(u, offset, out, take, err);
		out += take;
		len -= take;
	}
	return r;
}

/* --- what differs --- */

/* Something differs. Goes on to writing, if that can be. */
static int begin_update(struct update *u, struct err *err)
{
	const struct entry *e = u->item->e;
	struct err why = {0};
	int r;

	if (u->state == CHECKING)
		return err_set(err, ERR_DAMAGED,
			       "what was written does not read back the same: the target's disk "
			       "is at fault");
	if (u->state != COMPARING)
		return 0;
	u->state = REPLACE;
	if (e->size <= IN_PLACE_BYTES || u->item->st.st_nlink != 1)
		return 0;
	if (u->run->options->dry_run) {
		u->state = WOULD;
		return 0;
	}
	r = fsw_file_update(u->file, e->size, &why);
	if (r == -ERR_EXISTS)
		return 0;
	if (r)
		*err = why;
	else
		u->state = UPDATING;
	return r;
}

static int write_run(struct update *u, uint64_t offset, const uint8_t *p, size_t len,
		     struct err *err)
{
	u->run->result->bytes_written += len;
	return fsw_file_write(u->file, offset, p, len, err);
}

/* Writes the blocks that differ, those that follow one another at once. */
static int write_different(struct update *u, uint64_t offset, const uint8_t *have,
			   const uint8_t *want, size_t len, struct err *err)
{
	size_t from = 0, at = 0;
	int r = 0;

	while (!r && at < len) {
		size_t to_edge = BLOCK_BYTES - (size_t)((offset + at) % BLOCK_BYTES);
		size_t take = to_edge < len - at ? to_edge : len - at;
		bool same = memcmp(have + at, want + at, take) == 0;

		if (same && from < at)
			r = write_run(u, offset + from, want + from, at - from, err);
		at += take;
		if (same)
			from = at;
	}
	return r || from == len ? r : write_run(u, offset + from, want + from, len - from, err);
}

static int write_chunk(struct update *u, struct content_spread spread,
		       const struct image_chunk *chunk, struct err *err)
{
	struct restore_run *run = u->run;
	size_t at = 0;
	int r;

	buf_reset(&run->want);
	r = reader_get(run->reader, CHUNK_DATA, &chunk->id, &run->want, err);
	if (!r && run->want.len != chunk->bytes)
		r = err_set(err, ERR_DAMAGED, "a chunk is not as long as the tree says");
	while (!r && at < chunk->bytes) {
		uint64_t offset;
		size_t take = content_spread_next(&spread, chunk->bytes - at, &offset);

		r = write_different(u, offset, run->have.data + at, run->want.data + at, take, err);
		at += take;
	}
	return r;
}

static void skip_spread(struct content_spread *spread, size_t len)
{
	uint64_t ignored;

	while (len)
		len -= content_spread_next(spread, len, &ignored);
}

static bool stopped(const struct update *u)
{
	return u->state == REPLACE || u->state == WOULD;
}

static int each_chunk(struct update *u, struct err *err)
{
	struct content_spread spread = {.entry = u->item->e};
	struct restore_run *run = u->run;
	int r = 0;

	for (size_t i = 0; !r && !stopped(u) && i < u->map.count; i++) {
		const struct image_chunk *chunk = &u->map.chunks[i];
		struct id id;

		r = read_chunk_there(u, spread, chunk->bytes, err);
		if (!r)
			r = record_id(run->domain, CHUNK_DATA, run->have.data, chunk->bytes, &id,
				      err);
		if (!r && !id_eq(&id, &chunk->id)) {
			r = begin_update(u, err);
			if (!r && u->state == UPDATING)
				r = write_chunk(u, spread, chunk, err);
		}
		skip_spread(&spread, chunk->bytes);
		if (!r)
			r = restore_tick(run, u->item->path, err);
	}
	return r;
}

/* --- holes --- */

/* What must be a hole, or zeros, from from to to. */
static int clear_hole(struct update *u, uint64_t from, uint64_t to, struct err *err)
{
	int r = 0;

	while (!r && !stopped(u) && from < to && from < u->there_bytes) {
		size_t take;

		r = fsw_file_next_data(u->file, from, &from, err);
		if (r || from >= to || from >= u->there_bytes)
			break;
		take = to - from < RESTORE_IO_BYTES ? (size_t)(to - from) : RESTORE_IO_BYTES;
		r = read_there(u, from, u->run->io, take, err);
		if (!r && !all_zeros(u->run->io, take)) {
			r = begin_update(u, err);
			if (!r && u->state == UPDATING)
				r = fsw_file_zero(u->file, from, take, err);
		}
		from += take;
	}
	return r;
}

static int each_hole(struct update *u, struct err *err)
{
	const struct entry *e = u->item->e;
	uint64_t at = 0;
	int r = 0;

	if (e->extent_count == 0)
		return 0;
	for (size_t i = 0; !r && i < e->extent_count; i++) {
		r = clear_hole(u, at, e->extents[i].offset, err);
		at = e->extents[i].offset + e->extents[i].len;
	}
	return r ? r : clear_hole(u, at, e->size, err);
}

/* --- the file --- */

static int walk(struct update *u, struct err *err)
{
	int r = each_chunk(u, err);

	return r ? r : each_hole(u, err);
}

static int compare(struct update *u, struct err *err)
{
	const struct entry *e = u->item->e;
	int r = map_chunks(u, err);

	u->there_bytes = fsw_file_size(u->file);
	if (!r && u->there_bytes != e->size)
		r = begin_update(u, err);
	if (!r && u->there_bytes > e->size)
		u->there_bytes = e->size;
	if (!r)
		r = walk(u, err);
	if (r || !u->run->options->verify || stopped(u))
		return r;
	if (u->state == UPDATING) {
		u->there_bytes = e->size;
		u->state = CHECKING;
		r = walk(u, err);
		u->state = UPDATING;
	}
	u->run->result->verified += !r;
	return r;
}

/* Size and time are as wanted, and that shall do. */
static bool looks_the_same(const struct update *u)
{
	const struct entry *e = u->item->e;
	const struct stat *st = &u->item->st;

	return u->run->options->overwrite == RESTORE_IF_CHANGED &&
	       (uint64_t)st->st_size == e->size && st->st_mtim.tv_sec == e->mtime_s &&
	       st->st_mtim.tv_nsec == (long)e->mtime_ns;
}

/* What was found about the file is done: it gets its attributes, and is told and counted. */
static int finish(struct update *u, bool *out_done, struct err *err)
{
	struct restore_run *run = u->run;
	int r = 0;

	*out_done = u->state != REPLACE;
	if (*out_done && !run->options->dry_run) {
		r = fsw_file_keep(u->file, u->item->attrs, out_done, err);
		u->file = NULL;
	}
	if (r || !*out_done)
		return r;
	if (u->state == COMPARING) {
		restore_left_whole(run, u->item);
		return 0;
	}
	if (u->state == UPDATING)
		run->result->bytes += content_stored_bytes(u->item->e);
	restore_written(run, RESTORE_UPDATED, u->item);
	return 0;
}

int restore_update(struct restore_run *run, struct restore_item *item, bool *out_done,
		   struct err *err)
{
	struct update u = {.run = run, .item = item};
	struct err why = {0};
	int r = fsw_file_open(run->fsw, item->rel, &u.file, &why);

	*out_done = false;
	/* What may not be read can still be replaced. */
	if (r && r != -ERR_NOMEM)
		return 0;
	if (!r && !looks_the_same(&u))
		r = compare(&u, &why);
	if (!r)
		r = finish(&u, out_done, &why);
	fsw_file_abort(u.file);
	image_map_free(&u.map);
	/* What cannot be compared, because of its disk or because no index names a chunk, can be written. */
	if (!r || (u.state == COMPARING && !restore_fatal(r)))
		return 0;
	*err = why;
	return u.state == COMPARING ? r : err_prefix(err, "it was updated only in part");
}
