/*
 * comp: zstd with reusable contexts (FORMAT.md §4). Pure; one thread a context.
 */
#ifndef NIGHTJAR_CORE_COMP_H
#define NIGHTJAR_CORE_COMP_H

#include "core/buf.h"
#include "core/limits.h"

#define CODEC_RAW 0
#define CODEC_ZSTD 1
#define CODEC_DELTA 2

#define COMP_PREFIX_BYTES (LIMIT_BASES * LIMIT_CHUNK_BYTES) /* the most that bases can come to */

/*
 * Level of a chunk that is stored full although it follows one of an earlier night. There are few in a night, but they are most of its
 * bytes: 3 % of all that is stored.
 */
#define COMP_FOLLOWER 6

struct comp;
/* level 1…19; 0 = 3. Deltas have a level of their own. */
int comp_new(int level, struct comp **out_comp, struct err *err) ERR_UNUSED_WARN;
void comp_free(struct comp *c);

/*
 * Appends the compressed bytes, or the plain ones where that is not smaller; says which. level 1…19, 0 = the
 * context's.
 */
int comp_put(struct comp *c, int level, const void *plain, size_t len, struct buf *out,
	     uint8_t *out_codec, struct err *err) ERR_UNUSED_WARN;
/* Appends exactly plain_len bytes (checked against LIMIT_CHUNK_BYTES first); ERR_DAMAGED otherwise. CODEC_RAW, CODEC_ZSTD. */
int comp_get(struct comp *c, uint8_t codec, const void *bytes, size_t len, size_t plain_len,
	     struct buf *out, struct err *err) ERR_UNUSED_WARN;

/*
 * Levels for deltas. Measured on a night that changes 940 chunks of 70 KiB: FAST makes 1.65 MB in 0.08 s, SMALL 1.57 MB in 0.36 s; where few
 * rows of a chunk changed, the case of a quiet night, SMALL gives two thirds of the bytes.
 */
#define COMP_DELTA_FAST 3
#define COMP_DELTA_SMALL 9
/*
 * CODEC_DELTA: the same with a prefix, the plaintext of the bases one after the other, that matches may reach into. The
 * context is clean afterwards. put never gives plain bytes: whether the frame is small enough the caller says. What it
 * gives depends on level, prefix and plain alone. prefix_len ≤ COMP_PREFIX_BYTES; get does not ask whether the prefix is the
 * right one (record_open_delta does).
 */
int comp_put_delta(struct comp *c, int level, const void *prefix, size_t prefix_len,
		   const void *plain, size_t len, struct buf *out, struct err *err) ERR_UNUSED_WARN;
int comp_get_delta(struct comp *c, const void *prefix, size_t prefix_len, const void *bytes,
		   size_t len, size_t plain_len, struct buf *out, struct err *err) ERR_UNUSED_WARN;

#endif
