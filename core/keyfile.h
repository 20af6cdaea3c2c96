/*
 * keyfile: a role's keys as a text file (FORMAT.md §3 "Key file"). Pure.
 */
#ifndef NIGHTJAR_CORE_KEYFILE_H
#define NIGHTJAR_CORE_KEYFILE_H

#include "core/buf.h"
#include "core/keys.h"

/*
 * Appends the text of a key file of `role` cut from full keys (ERR_KEY from others, except their own role
 * again). write: keys->writer_* when has_writer is set by the caller to a writer made with keys_random_writer.
 */
int keyfile_enc(const struct keys *keys, enum role role, struct buf *out,
		struct err *err) ERR_UNUSED_WARN;
/* ERR_KEY "not a nightjar key file" / "damaged key file"; ERR_VERSION. */
int keyfile_dec(const void *text, size_t len, struct keys **out_keys,
		struct err *err) ERR_UNUSED_WARN;

#endif
