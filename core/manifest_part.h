/*
 * manifest_part: the two sealed parts of a manifest, as plaintext without padding (FORMAT.md §8). For
 * manifest.c, tagrec.c, repo/backup_own.c, the tests and the fuzzer; nobody else needs it. Pure; any thread.
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

/*
 * The tags of a part, which tag records have, too. Readers give owned arrays that are the caller's to free also after a
 * failure (NULL texts behind the last one read). ERR_DAMAGED, ERR_LIMIT, ERR_NOMEM.
 */
void manifest_part_sort_tags(char **tags, size_t *count); /* frees those that are there twice */
void manifest_part_put_tags(struct buf *b, char *const *tags, size_t count);
void manifest_part_put_macs(struct buf *b, const struct id *macs, size_t count);
int manifest_part_get_tags(struct rd *r, char ***out_tags, size_t *out_count,
			   struct err *err) ERR_UNUSED_WARN;
int manifest_part_get_macs(struct rd *r, struct id **out_macs, size_t *out_count,
			   struct err *err) ERR_UNUSED_WARN;
/* Their HMACs, ascending; one allocation. */
int manifest_part_macs_of(const struct domain_keys *domain, char *const *tags, size_t count,
			  struct id **out_macs, struct err *err) ERR_UNUSED_WARN;

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
