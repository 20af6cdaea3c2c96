/*
 * repo: a repository that was opened with a key: its store, config, roster and keys, and the two calls
 * through which every object but packs' ranges goes, so that a name is always the SHA-256 of the bytes.
 * One thread (the coordinator) uses a repo.
 */
#ifndef NIGHTJAR_REPO_REPO_H
#define NIGHTJAR_REPO_REPO_H

#include "core/keys.h"
#include "core/keyslot.h"
#include "core/repoconf.h"
#include "core/roster.h"
#include "repo/store.h"

struct repo {
	struct store *store; /* owned */
	struct keys *keys;   /* owned */
	struct repoconf conf;
	struct roster roster;
	uint8_t
	    parity; /* of packs that are made from now on: conf's, unless the caller wants another level */
	struct witness *witness; /* owned; NULL: what vanishes is not noticed (repo/witness.h) */
};

/* What opens a repository: a password or the text of a key file; the other is NULL. Not owned. */
struct repo_credentials {
	const void *password;
	size_t password_len;
	const void *keyfile;
	size_t keyfile_len;
};

struct repo_init_options {
	const void *password; /* NULL: no key slot (the key goes into a key file) */
	size_t password_len;
	struct kdf_cost cost; /* {0} = default */
	struct keyslot_label label;
	int64_t now_s;
	uint8_t parity; /* 0, 2 or 4 */
};

/* Fresh full-role keys for a repository that does not exist yet; keys_free. */
int repo_new_keys(struct keys **out_keys, struct err *err) ERR_UNUSED_WARN;

/*
 * Makes a repository in store: layout, key slot, roster, config last, which is read back. ERR_EXISTS when
 * there is one, one that lost its config, or another init was first. Neither store nor keys are taken over.
 */
int repo_init(struct store *store, struct keys *keys, const struct repo_init_options *options,
	      struct err *err) ERR_UNUSED_WARN;

/*
 * 0 when no backup and no pack is there. ERR_EXISTS when there are: asked where config is missing, since a new
 * repository must not be made among the objects of one that lost it. ERR_MISSING when a place for it is missing that
 * store_create makes (a bucket).
 */
int repo_without_config(struct store *store, struct err *err) ERR_UNUSED_WARN;

/*
 * Opens. On success takes over store; on failure it stays the caller's. ERR_NOREPO no config; ERR_KEY wrong
 * password or key, or a key of another repository; ERR_VERSION; ERR_DAMAGED config; ERR_IO no slot opened and one
 * could not be read.
 */
int repo_open(struct store *store, const struct repo_credentials *credentials,
	      struct repo **out_repo, struct err *err) ERR_UNUSED_WARN;
void repo_close(struct repo *repo); /* NULL is fine */

/*
 * Makes the keys ready to write as host, in the roster: publishes a roster that names the writer when none
 * does (unless dry_run). ERR_KEY when the role may not write.
 */
int repo_use_writer(struct repo *repo, const char *host, bool dry_run,
		    struct err *err) ERR_UNUSED_WARN;

/*
 * Publishes next, which is signed anew with an epoch above all, and makes it the repo's own roster. The repo's changes only once the new
 * one is stored, so that a second try is a real one; after a failure next is still the caller's. Needs the full role.
 */
int repo_publish_roster(struct repo *repo, struct roster *next, struct err *err) ERR_UNUSED_WARN;
/* Merges what rosters have come since. A write key asks before it counts on being allowed to write. */
int repo_refresh_roster(struct repo *repo, struct err *err) ERR_UNUSED_WARN;

/*
 * The roster's word on a writer, NULL when it does not name it. One that is not known is looked for in the store again: a new host
 * may have made its first backup since the repository was opened.
 */
const struct roster_writer *repo_find_writer(struct repo *repo, const uint8_t pub[32]);

/* The id of the repository whose config is in store, whatever opens it. As repo_open. */
int repo_peek(struct store *store, uint8_t out_repo[REPO_ID_BYTES],
	      struct err *err) ERR_UNUSED_WARN;

/* ERR_KEY: the keys' writer was revoked; what its host is to do. */
int repo_say_revoked(const struct repo *repo, const struct roster_writer *w, struct err *err);

/* Appends the object to out after comparing its SHA-256 with its name. ERR_DAMAGED names the object. */
int repo_get(struct repo *repo, enum store_type type, const struct id *name, size_t max_bytes,
	     struct buf *out, struct err *err) ERR_UNUSED_WARN;
/*
 * What an error says of an object, without the object's own place at the beginning of the text: for who tells the name beside it. The other
 * way round: with the place, unless the text names the object; returns the error's code, negative.
 */
void repo_unname(const struct store *store, enum store_type type, const struct id *name,
		 struct err *err);
int repo_name(const struct store *store, enum store_type type, const struct id *name,
	      struct err *err);

/*
 * Stores under the SHA-256 of the bytes. An object that is there already is fine when its bytes are still the same;
 * ERR_DAMAGED when they are not.
 */
int repo_put(struct repo *repo, enum store_type type, const struct buf *bytes, struct id *out_name,
	     struct err *err) ERR_UNUSED_WARN;

/* Every name of a type, sorted; *out_names is one allocation, free(). sizes may be NULL. */
int repo_list(struct store *store, enum store_type type, struct id **out_names,
	      uint64_t **out_sizes, size_t *out_count, struct err *err) ERR_UNUSED_WARN;

#endif
