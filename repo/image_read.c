#include "repo/image_read.h"

#include <stdlib.h>

#include <sodium.h>

#include "repo/pageimage.h"

#define RAM_BUDGET_BYTES ((size_t)96 << 20)
#define PIECE_BYTES (1u << 20)

void image_map_free(struct image_map *map)
{
	free(map->chunks);
	*map = (struct image_map){0};
}

static int add_chunks(struct image_map *map, size_t *cap, const struct list_node *n,
		      struct err *err)
{
	/* A few lists that name each other again and again would have any number of them. */
	if (n->body.count > LIMIT_IMAGE_CHUNKS - map->count)
		return err_set(err, ERR_LIMIT, "a database of more than %u chunks",
			       LIMIT_IMAGE_CHUNKS);
	for (size_t i = 0; i < n->body.count; i++) {
		if (map->count == *cap) {
			size_t more = *cap ? *cap * 2 : 256;
			struct image_chunk *chunks = realloc(map->chunks, more * sizeof(*chunks));

			if (!chunks)
				return err_nomem(err);
			map->chunks = chunks;
			*cap = more;
		}
		map->chunks[map->count++] = (struct image_chunk){
		    .id = n->children[i + 1].id,
		    .key = n->body.keys ? n->body.keys[i] : 0,
		    .bytes = (uint32_t)n->body.bytes[i],
		};
	}
	return 0;
}

static int add_list(struct reader *reader, const struct id *list, unsigned max_level,
		    struct image_map *map, size_t *cap, struct err *err)
{
	struct list_node n;
	int r = list_node_load(reader, list, max_level, &n, err);

	if (r)
		return r;
	if (n.body.level == 0)
		r = add_chunks(map, cap, &n, err);
	for (size_t i = 1; !r && n.body.level && i < n.count; i++)
		r = add_list(reader, &n.children[i].id, n.body.level - 1u, map, cap, err);
	list_node_free(&n);
	return r;
}

/* The cells end where a chunk ends. */
static int split(struct image_map *map, uint64_t data_bytes, struct err *err)
{
	uint64_t at = 0;

	while (map->data_count < map->count && at < data_bytes)
		at += map->chunks[map->data_count++].bytes;
	if (at != data_bytes)
		return err_set(err, ERR_DAMAGED,
			       "the streams of a database are not as long as the "
			       "tree says");
	return 0;
}

int image_map_load(struct reader *reader, const struct entry *entry,
		   const struct chunk_ref *children, struct image_map *out_map, struct err *err)
{
	size_t cap = 0;
	int r;

	*out_map = (struct image_map){0};
	r = add_list(reader, &children[0].id, LIMIT_NODE_LEVELS, out_map, &cap, err);
	if (!r)
		r = split(out_map, entry->data_bytes, err);
	if (r)
		image_map_free(out_map);
	return r;
}

/* --- decoding --- */

struct feed {
	struct reader *reader;
	struct image_map map;
	size_t at[2]; /* the next chunk of each stream */
	struct buf chunk[2];
};

static int next_chunk(void *arg, enum cells_stream stream, const uint8_t **out_bytes,
		      size_t *out_len, struct err *err)
{
	struct feed *f = arg;
	size_t end = stream == CELLS_DATA ? f->map.data_count : f->map.count;
	struct buf *chunk = &f->chunk[stream];
	int r = 0;

	buf_reset(chunk);
	if (f->at[stream] < end)
		r = reader_get(f->reader, CHUNK_DATA, &f->map.chunks[f->at[stream]++].id, chunk,
			       err);
	*out_bytes = chunk->data;
	*out_len = chunk->len;
	return r;
}

int image_decode(struct reader *reader, const struct entry *entry, const struct chunk_ref *children,
		 const struct cells_target *target, struct err *err)
{
	struct feed f = {.reader = reader};
	const struct cells_feed feed = {&f, next_chunk};
	int r = image_map_load(reader, entry, children, &f.map, err);

	f.at[CELLS_LAYOUT] = f.map.data_count;
	if (!r)
		r = cells_decode(&feed, entry->size, target, err);
	for (size_t i = 0; i < 2; i++)
		buf_wipe(&f.chunk[i]);
	image_map_free(&f.map);
	return r;
}

/* --- in order --- */

static int to_pages(void *arg, uint64_t offset, const void *bytes, size_t len, struct err *err)
{
	return pageimage_write(arg, offset, bytes, len, err);
}

static int each_piece(struct pageimage *pages, content_bytes_fn *fn, void *arg, struct err *err)
{
	uint64_t size = pageimage_size(pages);
	uint8_t *piece = malloc(PIECE_BYTES);
	int r = piece ? 0 : err_nomem(err);

	for (uint64_t at = 0; !r && at < size;) {
		size_t len = size - at < PIECE_BYTES ? (size_t)(size - at) : PIECE_BYTES;

		r = pageimage_read(pages, at, piece, len, err);
		if (!r)
			r = fn(arg, piece, len, err);
		at += len;
	}
	if (piece)
		sodium_memzero(piece, PIECE_BYTES);
	free(piece);
	return r;
}

struct filling {
	struct pageimage *image;
	struct content_spread spread;
};

static int to_end(void *arg, const void *bytes, size_t len, struct err *err)
{
	struct filling *f = arg;
	const uint8_t *p = bytes;
	int r = 0;

	while (!r && len) {
		uint64_t offset;
		size_t take = content_spread_next(&f->spread, len, &offset);

		r = pageimage_write(f->image, offset, p, take, err);
		p += take;
		len -= take;
	}
	return r;
}

int image_load(struct reader *reader, const struct entry *entry, const struct chunk_ref *children,
	       struct pageimage *image, struct err *err)
{
	const struct cells_target target = {image, to_pages};
	struct filling f = {.image = image, .spread = {.entry = entry}};
	int r = entry->encoding == ENCODING_CELLS
		    ? image_decode(reader, entry, children, &target, err)
		    : content_each(reader, entry, children, to_end, &f, err);

	return r ? r : pageimage_truncate(image, entry->size, err);
}

int image_each(struct reader *reader, const struct entry *entry, const struct chunk_ref *children,
	       content_bytes_fn *fn, void *arg, struct err *err)
{
	struct pageimage *pages = NULL;
	int r = pageimage_new(reader_scratch(reader), RAM_BUDGET_BYTES, &pages, err);
	const struct cells_target target = {pages, to_pages};

	if (!r)
		r = image_decode(reader, entry, children, &target, err);
	if (!r)
		r = pageimage_truncate(pages, entry->size, err);
	if (!r)
		r = each_piece(pages, fn, arg, err);
	pageimage_free(pages);
	return r;
}
