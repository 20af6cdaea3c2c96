/* manifest_kit: keys of every role, and a manifest with something everywhere. */
#ifndef NIGHTJAR_TESTS_SUPPORT_MANIFEST_KIT_H
#define NIGHTJAR_TESTS_SUPPORT_MANIFEST_KIT_H

#include "core/keys.h"
#include "core/manifest.h"

struct manifest_kit_ring {
	struct keys *full, *write, *maintain, *read;
};

/* For a group of cmocka tests: *state is a struct manifest_kit_ring. */
int manifest_kit_ring_setup(void **state);
int manifest_kit_ring_teardown(void **state);

/* Freed by manifest_free. Nothing in it is sorted, and some of it is there twice. */
struct manifest manifest_kit_sample(void);
/* Fills a database of a manifest with extremes. */
void manifest_kit_fill_db(struct manifest_db *db, const char *path, uint8_t verdict);

#endif
