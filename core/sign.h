/*
 * sign: Ed25519 signatures over a domain-tagged hash (FORMAT.md §3). Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_SIGN_H
#define NIGHTJAR_CORE_SIGN_H

#include "core/buf.h"
#include "core/err.h"

#define SIGN_BYTES 64

/* Appends the signature over everything in b. tag: "config", "roster", "index", "manifest", "tag", "damage", "retire". */
int sign_append(struct buf *b, const char *tag, const uint8_t secret[64],
		struct err *err) ERR_UNUSED_WARN;
/* ERR_DAMAGED when the last 64 of len bytes are not pub's signature over those before. */
int sign_check(const void *bytes, size_t len, const char *tag, const uint8_t pub[32],
	       struct err *err) ERR_UNUSED_WARN;

#endif
