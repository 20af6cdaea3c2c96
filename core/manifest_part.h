/*
 * manifest_part: the two sealed parts of a manifest, as plaintext without padding (FORMAT.md §8). For
 * manifest.c, the tests and the fuzzer; nobody else needs it. Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_MANIFEST_PART_H
#define NIGHTJAR_CORE_MANIFEST_PART_H

#include "core/manifest.h"

/* Sorts tags, sources, databases and tables, and frees tags and sources that are there twice. */
void manifest_part_sort(struct manifest *m);

/* Append a part, from a manifest that is sorted and within the limits. */
void manifest_part_put_maint(struct buf *b, const struct manifest *m);
void manifest_part_put_read(struct buf *b, const struct manifest *m);

/*
 * Read a part into m, which must not have it yet, and leave r after it. Every rule of §8 is checked that can be within
 * one part: ERR_DAMAGED, ERR_LIMIT, ERR_NOMEM. After a failure m is only good for manifest_free.
 */
int manifest_part_get_maint(struct rd *r, struct manifest *m, struct err *err) ERR_UNUSED_WARN;
int manifest_part_get_read(struct rd *r, struct manifest *m, struct err *err) ERR_UNUSED_WARN;

/* What the maintenance part repeats of the reading part; wiped by manifest_part_repeat_wipe. */
struct manifest_repeat {
	struct id group;
	struct id *tag_macs; /* ascending */
	uint8_t *verdicts;
};
/* Computes it from the reading part of a sorted manifest. */
int manifest_part_repeat(const struct domain_keys *domain, const struct manifest *m,
			 struct manifest_repeat *out_repeat, struct err *err) ERR_UNUSED_WARN;
void manifest_part_repeat_wipe(struct manifest_repeat *repeat);

#endif
