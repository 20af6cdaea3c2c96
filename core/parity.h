/*
 * parity: the tail of a pack that mends it (FORMAT.md §5 "Parity"): a second copy of a small pack, Reed–Solomon blocks of a larger one,
 * and sums that tell which blocks are damaged, held twice. Needs no key. Pure; any thread.
 *
 * The body is what lies before the tail. It determines the tail, and its length and the kind determine the tail's length, so the tail tells
 * no more of a pack's size than its bucket does.
 */
#ifndef NIGHTJAR_CORE_PARITY_H
#define NIGHTJAR_CORE_PARITY_H

#include "core/buf.h"
#include "core/id.h"
#include "core/parity_code.h"

/* Of the tail, as the head of a pack says it. */
enum parity_kind {
	PARITY_NONE = 0,
	PARITY_COPY = 1, /* of a body of less than 8 blocks */
	PARITY_TWO = 2,  /* two or four parity blocks to 64 blocks */
	PARITY_FOUR = 4
};
#define PARITY_DEFAULT 2 /* of a new repository */

/* May a config say so: 0, 2 or 4? */
bool parity_is_level(uint64_t level);
/* The kind of a body of so many bytes in a repository of that level. */
enum parity_kind parity_kind_of(unsigned level, uint64_t body_bytes);
/* How long the tail is; 0: without one, and where the two do not go together. body_bytes up to 2^32. */
uint64_t parity_tail_bytes(enum parity_kind kind, uint64_t body_bytes);

/* Appends the tail of the body, which is what object holds from start on. */
int parity_put(enum parity_kind kind, size_t start, struct buf *object,
	       struct err *err) ERR_UNUSED_WARN;

/* What became of an object. */
struct parity_mended {
	uint64_t blocks; /* of 4 KiB that were damaged, counted in the whole object */
	uint64_t of;     /* so many */
};

/*
 * Appends to out the object of that name which these bytes once were: its SHA-256 is the name, always. bytes may be cut short, have
 * something appended, and be wrong anywhere. Up to two (four) damaged blocks of each stripe are mended, so any run of two (four) blocks a
 * stripe, and in a copied pack any in which not both copies of a block are hit. ERR_DAMAGED says why it cannot be. Takes at most the memory of two packs; out is as before after a failure.
 */
int parity_mend(const void *bytes, size_t len, const struct id *name, struct buf *out,
		struct parity_mended *out_mended, struct err *err) ERR_UNUSED_WARN;

#endif
