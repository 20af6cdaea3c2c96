/*
 * cells_read: both streams of the cell codec, read: numbers and bytes of the layout, cells and pieces of the data (FORMAT.md §11). Nothing
 * they say is believed before it is compared with what is there. Internal to cells. Pure.
 */
#ifndef NIGHTJAR_CORE_CELLS_READ_H
#define NIGHTJAR_CORE_CELLS_READ_H

#include "core/cells.h"

/* Sticky: after a failure everything reads as zero and `failed` is its code. */
struct layout_reader {
	const struct cells_feed *feed;
	const uint8_t *p;
	size_t left;
	bool ended;
	int failed;
	struct err err;
};
struct layout_reader layout_reader_of(const struct cells_feed *feed);
uint8_t layout_u8(struct layout_reader *r);
uint64_t layout_varint(struct layout_reader *r);
int64_t layout_zigzag(struct layout_reader *r);
void layout_copy(struct layout_reader *r, uint8_t *out, size_t len);
/* ERR_DAMAGED with the first failure; what: in words. */
int layout_bad(struct layout_reader *r, const char *what, struct err *err);
int layout_check(const struct layout_reader *r, struct err *err) ERR_UNUSED_WARN;
/* Is everything read? */
int layout_end(struct layout_reader *r, struct err *err) ERR_UNUSED_WARN;

/* The cell that comes next. */
struct cell_ahead {
	bool any; /* false: the stream has ended */
	bool table, big;
	uint64_t rowid, payload;
};

struct cells_reader {
	const struct cells_feed *feed;
	struct rd rowids, lens, bytes; /* of the group; bytes: to the chunk's end */
	uint64_t left;                 /* cells of the group that were not looked at */
	bool table;
	uint64_t before; /* rowid */
	uint64_t pieces; /* bytes of a big payload still to come */
	struct rd piece;
	struct cell_ahead ahead;
	bool looked, ended;
};
struct cells_reader cells_reader_of(const struct cells_feed *feed);
/* Looks at the next cell; the pieces of the last one must be read. */
int cells_look(struct cells_reader *r, struct cell_ahead *out_cell,
	       struct err *err) ERR_UNUSED_WARN;
/* Takes the cell that was looked at. *out_payload stays good until the next look; NULL when big: cells_pieces gives its bytes. */
int cells_take(struct cells_reader *r, const uint8_t **out_payload,
	       struct err *err) ERR_UNUSED_WARN;
int cells_pieces(struct cells_reader *r, uint8_t *out, size_t len, struct err *err) ERR_UNUSED_WARN;
/* The next whole piece of a file that is no database; len 0: the end. */
int cells_file_piece(struct cells_reader *r, struct rd *out_piece, struct err *err) ERR_UNUSED_WARN;
/* Is everything read? */
int cells_end(struct cells_reader *r, struct err *err) ERR_UNUSED_WARN;

#endif
