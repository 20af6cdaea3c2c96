/*
 * keys: the key hierarchy of FORMAT.md §3 and what each role holds. A struct keys lives in locked,
 * guarded memory (sodium_malloc) and is wiped when freed. Pure. One thread changes it (keys_domain of
 * the full role derives on demand); afterwards any may read.
 */
#ifndef NIGHTJAR_CORE_KEYS_H
#define NIGHTJAR_CORE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/header.h"
#include "core/limits.h"

enum role { ROLE_FULL = 1, ROLE_WRITE = 2, ROLE_MAINTAIN = 3, ROLE_READ = 4 };
/*
 * To sodium_stackzero after a key was derived: libsodium leaves what BLAKE2b gave in frames that have ended, where the next struct err, or
 * whatever else lies there and is not set, would take it along.
 */
#define KEYS_STACK_BYTES 4096u
#define ROLE_ALL 0 /* no role: an error's "any" */

struct domain_keys {
	uint32_t number;
	uint8_t root[32], id_key[32], chunker_key[32], index_key[32], psk[32];
};

struct read_epoch {
	uint32_t epoch;
	bool has_secret;
	uint8_t pub[32], secret[32];
};

struct keys {
	enum role role;
	uint8_t repo[REPO_ID_BYTES];
	uint8_t owner_pub[32], maint_pub[32], gc_pub[32];
	bool has_master, has_maint_secret, has_gc_secret, has_writer, has_gc_pub, has_maint_pub;
	uint8_t master[32];
	uint8_t owner_secret[64]; /* full only */
	uint8_t maint_secret[32];
	uint8_t gc_secret[64];
	uint8_t writer_pub[32], writer_secret[64];
	uint32_t writer_domain;          /* the domain that the writer stores into */
	char host[LIMIT_HOST_BYTES + 1]; /* whose writer it is */
	size_t epoch_count;              /* ascending */
	struct read_epoch epochs[LIMIT_EPOCHS];
	size_t domain_count; /* as they came: a pointer that keys_domain gave stays good */
	struct domain_keys domains[LIMIT_KEY_DOMAINS];
};

/* A fresh repository id and master. */
void keys_random_master(uint8_t out_repo[REPO_ID_BYTES], uint8_t out_master[32]);

/* Everything the master gives: O, M, G, R epoch 1, domain 0. The writer comes with keys_use_host. */
int keys_from_master(const uint8_t repo[REPO_ID_BYTES], const uint8_t master[32],
		     struct keys **out_keys, struct err *err) ERR_UNUSED_WARN;
void keys_free(struct keys *keys); /* NULL is fine */

/* For keyfile: keys of a role that hold nothing yet, and the parts that a file gives them. */
int keys_new(enum role role, const uint8_t repo[REPO_ID_BYTES], struct keys **out_keys,
	     struct err *err) ERR_UNUSED_WARN;
void keys_set_maint_secret(struct keys *keys, const uint8_t secret[32]); /* and its public key */
void keys_set_gc_seed(struct keys *keys, const uint8_t seed[32]);
/* host: 1…LIMIT_HOST_BYTES bytes without a NUL, otherwise ERR_USAGE. */
int keys_set_writer(struct keys *keys, const uint8_t seed[32], const void *host, size_t host_len,
		    uint32_t domain, struct err *err) ERR_UNUSED_WARN;
int keys_add_epoch_secret(struct keys *keys, uint32_t epoch, const uint8_t secret[32],
			  struct err *err) ERR_UNUSED_WARN;
int keys_add_domain(struct keys *keys, uint32_t number, const uint8_t root[32],
		    struct err *err) ERR_UNUSED_WARN;

/* Full role: derives S_w of this host name (1…LIMIT_HOST_BYTES bytes), domain 0. ERR_KEY in other roles that do not
 * hold it; for the write role it only checks that a writer is there. */
int keys_use_host(struct keys *keys, const char *host, struct err *err) ERR_UNUSED_WARN;

/* Gives keys a fresh random writer for host in domain; the full role only (for exporting a write key). */
int keys_random_writer(struct keys *keys, const char *host, uint32_t domain,
		       struct err *err) ERR_UNUSED_WARN;

/* Adds a public R epoch (from the roster); the full role derives its secret and refuses a public key that differs (ERR_DAMAGED). */
int keys_add_epoch(struct keys *keys, uint32_t epoch, const uint8_t pub[32],
		   struct err *err) ERR_UNUSED_WARN;

/* NULL with err set (ERR_KEY) when this key does not hold the domain. Full role: derived. */
const struct domain_keys *keys_domain(struct keys *keys, uint32_t number, struct err *err);
/* R's pair of an epoch; ERR_KEY when this key does not hold it. The full role derives any epoch. */
int keys_epoch_secret(const struct keys *keys, uint32_t epoch, uint8_t out_secret[32],
		      uint8_t out_pub[32], struct err *err) ERR_UNUSED_WARN;
/* The newest R epoch; never NULL for full, write and read. */
const struct read_epoch *keys_newest_epoch(const struct keys *keys);

const char *role_name(enum role role); /* "full", "write", "maintain", "read" */
bool role_from_name(const char *name, enum role *out_role);

/* What an operation needs. keys_allow gives ERR_KEY with one line naming the role needed. */
enum power {
	POWER_READ,
	POWER_WRITE,
	POWER_MAINTAIN,
	POWER_LISTS, /* to read or to maintain */
	POWER_OWN
};
int keys_allow(const struct keys *keys, enum power power, const char *operation,
	       struct err *err) ERR_UNUSED_WARN;

#endif
