/* signed_kit: what must be refused of every signed object: cut, lengthened, with a bit flipped. Include after cmocka.h. */
#ifndef NIGHTJAR_TESTS_SUPPORT_SIGNED_KIT_H
#define NIGHTJAR_TESTS_SUPPORT_SIGNED_KIT_H

#include "core/keys.h"
#include "tests/support/manifest_kit.h"

/* Decodes, and gives 0 or what the object is refused with. */
typedef int signed_kit_dec_fn(struct keys *keys, const void *bytes, size_t len);
/* Appends a sound object. */
typedef void signed_kit_sample_fn(const struct manifest_kit_ring *ring, struct buf *object);

/*
 * The sample decodes; cut at a length, with a byte more, or with one bit flipped it does not: each of its first dense bytes, and a sample
 * of the others, the same in every run.
 */
void signed_kit_cut_and_flip(struct manifest_kit_ring *ring, signed_kit_sample_fn *sample,
			     signed_kit_dec_fn *dec, size_t dense);

/* What reader says of the sample, one byte of it changed, signed again by the writer as an object of that tag. */
int signed_kit_change(struct manifest_kit_ring *ring, signed_kit_sample_fn *sample,
		      signed_kit_dec_fn *dec, struct keys *reader, size_t at, uint8_t to,
		      const char *tag);

#endif
