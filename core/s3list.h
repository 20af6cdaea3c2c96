/*
 * s3list: the two documents that an S3 server answers with and we read: a page of ListObjectsV2, and an error. A strict
 * subset of XML: elements, attributes (skipped), text with the five named entities and numbered ones. No document
 * type, comment, CDATA or processing instruction but the first line; nothing is ever fetched. Lengths and depth are
 * bounded by core/limits.h. Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_S3LIST_H
#define NIGHTJAR_CORE_S3LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/limits.h"

/* A name in the bucket: decoded, without a NUL of its own, at most LIMIT_S3_TEXT_BYTES. Nonzero ends the reading. */
typedef int s3list_fn(void *arg, const char *key, uint64_t size_bytes, struct err *err);

struct s3list_page {
	bool truncated;                           /* there is more: */
	char next_token[LIMIT_S3_TEXT_BYTES + 1]; /* then never empty */
};

/*
 * Calls fn for each object of the page, in its order; never when the page's XML is refused. Its key is gone afterwards. ERR_DAMAGED for anything
 * that is no such page (another document, a missing Key or Size, one twice, more to come but no token), ERR_LIMIT above
 * LIMIT_S3_LIST_BYTES.
 */
int s3list_read(const void *bytes, size_t len, s3list_fn *fn, void *arg,
		struct s3list_page *out_page, struct err *err) ERR_UNUSED_WARN;

/* Printable characters only, cut; "" for what was not said. */
struct s3list_error {
	char code[64]; /* "NoSuchBucket" */
	char message[256];
	char region[64];
};

/* Reads as much as is there: such bodies come cut. False when not even a code is. */
bool s3list_read_error(const void *bytes, size_t len, struct s3list_error *out_error);

#endif
