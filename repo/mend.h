/*
 * mend: a pack whose bytes are not those of its name gets them back from its parity tail (core/parity.h). Needs no key. What is mended has
 * the SHA-256 that its name is, so it is what was once stored. One thread.
 */
#ifndef NIGHTJAR_REPO_MEND_H
#define NIGHTJAR_REPO_MEND_H

#include "core/parity.h"
#include "repo/store.h"

enum mend_state {
	MEND_WHOLE, /* nothing is wrong with it */
	MEND_DONE,  /* it was damaged, and was written back */
	MEND_COULD, /* it is damaged, and what it was is known: writing was not asked for, not allowed, or failed (why) */
	MEND_BEYOND, /* its parity does not give it back (why) */
};

struct mend {
	enum mend_state state;
	struct parity_mended mended;
	struct err why;
};

/*
 * Reads the pack into bytes, which are reset first: those of its name but for MEND_BEYOND, where they are what can be read, zeros for
 * what a disk does not give, and nothing when that is all. With write a damaged one is replaced in the store. ERR_MISSING when it is not
 * there; ERR_IO, ERR_AGAIN, ERR_CANCELLED and the like of the store. That it could not be written, as a disk is full or may only be read, is
 * MEND_COULD: the next pack may fit.
 */
int mend_pack(struct store *store, const struct id *name, bool write, struct buf *bytes,
	      struct mend *out, struct err *err) ERR_UNUSED_WARN;

/* That something cannot be written here and now, and the store goes on answering: it is no reason to leave the rest alone. */
bool mend_is_refusal(const struct err *why);

/* What to say of one that is done, or could be: "3 of 72 blocks were damaged". */
#define MEND_TEXT_CHARS 96
void mend_text(const struct mend *m, char out[MEND_TEXT_CHARS]);

#endif
