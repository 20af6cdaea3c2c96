/*
 * keyfile: a role's keys as a text file (FORMAT.md §3 "Key file"). Pure.
 */
#ifndef NIGHTJAR_CORE_KEYFILE_H
#define NIGHTJAR_CORE_KEYFILE_H

#include "core/buf.h"
#include "core/keys.h"

/*
 * Appends the text of a key file of `role` cut from full keys (ERR_KEY from others, except their own role
 * again). write: the keys' writer (keys_random_writer first; ERR_USAGE without one). read: every R epoch and
 * domain that the keys hold at this moment. out holds secrets: wipe it.
 */
int keyfile_enc(const struct keys *keys, enum role role, struct buf *out,
		struct err *err) ERR_UNUSED_WARN;
/* Accepts only the text that keyfile_enc writes. ERR_KEY "not a nightjar key file" / "damaged key file"; ERR_VERSION. */
int keyfile_dec(const void *text, size_t len, struct keys **out_keys,
		struct err *err) ERR_UNUSED_WARN;

#endif
