/*
 * repoconf: the object `config` (FORMAT.md §3). Pure.
 */
#ifndef NIGHTJAR_CORE_REPOCONF_H
#define NIGHTJAR_CORE_REPOCONF_H

#include "core/buf.h"
#include "core/keys.h"

struct repoconf {
	uint8_t repo[REPO_ID_BYTES];
	int64_t created_at; /* seconds, UTC */
	uint8_t owner_pub[32], maint_pub[32], gc_pub[32];
	uint8_t parity;     /* of packs (core/parity.h): 0, 2 or 4 */
	uint8_t floor_log2; /* 12…20 */
};

int repoconf_enc(const struct repoconf *conf, const uint8_t owner_secret[64], struct buf *out,
		 struct err *err) ERR_UNUSED_WARN;
/* Checks the signature by the O it names (the caller compares O with its own key). ERR_VERSION, ERR_DAMAGED. */
int repoconf_dec(const void *bytes, size_t len, struct repoconf *out_conf,
		 struct err *err) ERR_UNUSED_WARN;
/* ERR_KEY when the key is of another repository or the public keys differ. */
int repoconf_matches(const struct repoconf *conf, const struct keys *keys,
		     struct err *err) ERR_UNUSED_WARN;

#endif
