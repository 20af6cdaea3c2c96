/*
 * packs: what several tests do with packs. Failures fail the test that asked.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_PACKS_H
#define NIGHTJAR_TESTS_SUPPORT_PACKS_H

#include "core/pack.h"

/* The directory of a whole pack; free with pack_dir_free. */
struct pack_dir packs_dec(struct keys *keys, const struct buf *pack);
/* What pack_front_dec says of these bytes; checks that a refusal has a text. */
int packs_try(struct keys *keys, const void *bytes, size_t len, uint64_t pack_bytes);
/* The plaintext of entry e; free with buf_free. */
struct buf packs_open(struct keys *keys, struct comp *comp, const struct pack_dir *dir, size_t e,
		      const struct buf *pack);
/* Between the last record and the end, where a pack has no parity tail, lies what cannot be told from records. */
void packs_expect_random_fill(const struct buf *pack, const struct pack_dir *dir);

#endif
