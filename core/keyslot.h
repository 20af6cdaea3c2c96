/*
 * keyslot: one password's way to the master key (FORMAT.md §3 "Key slot"). Pure. Memory: opening takes
 * what the slot's Argon2id parameters say, bounded by core/limits.h.
 */
#ifndef NIGHTJAR_CORE_KEYSLOT_H
#define NIGHTJAR_CORE_KEYSLOT_H

#include "core/buf.h"
#include "core/header.h"
#include "core/limits.h"

struct kdf_cost {
	uint32_t passes, memory_kib; /* {0} = 3 passes, 256 MiB */
};

struct keyslot_label {
	int64_t created_at; /* seconds, UTC */
	char user[96], host[128];
};

/* Appends a whole key slot object. */
int keyslot_enc(const uint8_t repo[REPO_ID_BYTES], const uint8_t master[32], const void *password,
		size_t password_len, const struct kdf_cost *cost, const struct keyslot_label *label,
		struct buf *out, struct err *err) ERR_UNUSED_WARN;
/*
 * ERR_KEY "wrong password or damaged key slot" (one error for both); ERR_VERSION; ERR_LIMIT for parameters out of
 * bounds; ERR_NOMEM. A slot of another repository is ERR_KEY too. The label is not looked at: damage there does not
 * shut out who has the password.
 */
int keyslot_open(const void *bytes, size_t len, const uint8_t repo[REPO_ID_BYTES],
		 const void *password, size_t password_len, uint8_t out_master[32],
		 struct err *err) ERR_UNUSED_WARN;
/* The label, for who holds the master. ERR_KEY when any byte of the slot is damaged or the master is another. */
int keyslot_label_get(const void *bytes, size_t len, const uint8_t repo[REPO_ID_BYTES],
		      const uint8_t master[32], struct keyslot_label *out_label,
		      struct err *err) ERR_UNUSED_WARN;

#endif
