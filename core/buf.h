/*
 * buf: a growing byte buffer to write stored objects into, and a bounded reader to take them apart.
 *
 * Both are sticky: after a failed allocation a buf ignores further puts, after a short read a
 * reader yields zeros; the caller asks once at the end (buf_check, rd_end). So codecs read as the
 * list of fields that FORMAT.md gives. Integers are little-endian (FORMAT.md §1).
 * No thread shares one.
 */
#ifndef NIGHTJAR_CORE_BUF_H
#define NIGHTJAR_CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* {0} is a valid empty buffer. data is owned by the buf; free with buf_free (buf_wipe if secret). */
struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	bool failed; /* an allocation failed; contents are incomplete */
};

void buf_free(struct buf *b);
void buf_wipe(struct buf *b);  /* zeroes, then frees; old copies left by growth are zeroed too */
void buf_reset(struct buf *b); /* len = 0, keeps the memory, clears failed */

void buf_put(struct buf *b, const void *bytes, size_t len);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_i64(struct buf *b, int64_t v);
void buf_put_zeros(struct buf *b, size_t len);
/* u16 length, then the bytes. len above 65535 makes the buf failed. */
void buf_put_str16(struct buf *b, const void *bytes, size_t len);
/* u32 length, then the bytes. */
void buf_put_str32(struct buf *b, const void *bytes, size_t len);
/* 7 bits a byte, the least first, the high bit on all but the last: FORMAT.md §1 varint. */
void buf_put_varint(struct buf *b, uint64_t v);
/* The same of 2v, or of -2v - 1 when v is negative. */
void buf_put_zigzag(struct buf *b, int64_t v);
/* Makes room for len more bytes and returns where they go, already counted in len; NULL = failed. */
uint8_t *buf_extend(struct buf *b, size_t len);

uint64_t zigzag_of(int64_t v);
int64_t zigzag_back(uint64_t z);

/* 0, or ERR_NOMEM if any put failed. */
int buf_check(const struct buf *b, struct err *err) ERR_UNUSED_WARN;

/* Points into bytes that somebody else owns. */
struct span {
	const uint8_t *p;
	size_t len;
};

struct rd {
	const uint8_t *p;
	size_t left;
	bool bad; /* somebody asked for more than there was */
};

struct rd rd_of(const void *bytes, size_t len);
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
int64_t rd_i64(struct rd *r);
/* The next len bytes, which stay in the source; NULL (and bad) when there are not that many. */
const uint8_t *rd_bytes(struct rd *r, size_t len);
/* Copies the next len bytes to out (zeros when bad). */
void rd_copy(struct rd *r, void *out, size_t len);
/* bad, too, when a shorter form or a wider number than 64 bits was written. */
uint64_t rd_varint(struct rd *r);
struct span rd_str16(struct rd *r);
struct span rd_str32(struct rd *r);
/* True when what is left is all zeros; consumes it. Padding is checked with this. */
bool rd_zeros_to_end(struct rd *r);
/* 0 when everything was read, exactly; otherwise ERR_DAMAGED naming `what`. */
int rd_end(const struct rd *r, const char *what, struct err *err) ERR_UNUSED_WARN;

#endif
