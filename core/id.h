/*
 * id: a 32-byte name. Either the SHA-256 of an object's stored bytes (object names) or a chunk id,
 * HMAC-SHA-256 under the domain's id key (FORMAT.md §4). Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_ID_H
#define NIGHTJAR_CORE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_BYTES 32
#define ID_HEX_CHARS 64
#define ID_SHORT_CHARS 8 /* what people are shown */

struct id {
	uint8_t b[ID_BYTES];
};

bool id_eq(const struct id *a, const struct id *b);
int id_cmp(const struct id *a, const struct id *b);
bool id_is_zero(const struct id *a);
/* Writes 64 lowercase digits and a NUL. */
void id_hex(const struct id *id, char out_hex[ID_HEX_CHARS + 1]);
/* True when hex is exactly 64 lowercase hex digits; fills out_id. */
bool id_from_hex(const char *hex, struct id *out_id);

#endif
