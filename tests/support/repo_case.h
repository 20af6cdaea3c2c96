/*
 * repo_case: an initialised repository in memory, opened through a store_fault, for the tests of what lies above the
 * store. Everything here fails the running cmocka test when something is not as said.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_REPO_CASE_H
#define NIGHTJAR_TESTS_SUPPORT_REPO_CASE_H

#include "core/node.h"
#include "repo/index.h"
#include "repo/manifests.h"
#include "repo/repo.h"
#include "repo/store.h"
#include "tests/support/store_fault.h"

#define REPO_CASE_PASSWORD "a password of a test"
#define REPO_CASE_HOST "db1"

struct repo_case {
	struct store *inner; /* what is left after a crash */
	struct store *fault; /* over it; belongs to repo, new at each open, disarmed */
	struct repo *repo;   /* full role, writer of REPO_CASE_HOST */
	struct buf keyfile;  /* full role: opens without the password's cost */
	struct err err;
};

/* The cheapest Argon2id that is accepted. */
extern const struct kdf_cost repo_case_cost;

/* Its password, with which every case is made, and what else init asks for. */
extern const struct repo_credentials repo_case_password;
struct repo_init_options repo_case_init_options(void);
struct keys *repo_case_new_keys(void);

int repo_case_setup(void **state); /* a case in memory */
int repo_case_teardown(void **state);
/* The same over a store of the caller's (an empty one), which the case takes over. */
struct repo_case *repo_case_new(struct store *inner);
void repo_case_free(struct repo_case *c);

/* Closes and opens again, as the next run of the program would. */
void repo_case_reopen(struct repo_case *c);
/* Opens the inner store with the text of a key file; the result has no writer. */
int repo_case_open_with(struct repo_case *c, const struct buf *keyfile, struct repo **out_repo,
			struct err *err);
/* Opens what is in a store, which stays the caller's, and closes it again: 0, or what is wrong. */
int repo_case_try_open(struct store *inner, const struct repo_credentials *by, struct err *err);
int repo_case_try_keyfile(struct store *inner, const struct buf *text, struct err *err);
/* The key file of a role, cut from the case's keys. Free with buf_wipe. */
struct buf repo_case_keyfile(struct repo_case *c, enum role role);

/* Every segment, none of them bad. */
struct index *repo_case_index(struct repo_case *c);
/*
 * How many records the packs hold. It differs from run to run: the key is a new one, and where it ends a node between two
 * names a folder is more than one node.
 */
size_t repo_case_records(struct repo_case *c);

/* --- objects --- */
size_t repo_case_count(struct store *s, enum store_type type);
struct buf repo_case_get(struct store *s, enum store_type type, const struct id *name);
/* Puts other bytes under a name, as a disk that rots would. */
void repo_case_replace(struct store *s, enum store_type type, const struct id *name,
		       const void *bytes, size_t len);
void repo_case_flip(struct store *s, enum store_type type, const struct id *name, size_t at,
		    unsigned bit);
/* A store of its own with the same objects, whose clock says now_s. */
struct store *repo_case_clone(struct store *from, int64_t now_s, struct err *err);
/* Every name is the SHA-256 of its bytes; packs, segments and manifests are bucket-sized (FORMAT.md §2). */
void repo_case_assert_format(struct store *s);

/* --- contents --- */
/* Bytes that do not compress, the same for the same seed. */
void repo_case_bytes(uint64_t seed, void *out_bytes, size_t len);
/* As the above in a new block of memory. */
uint8_t *repo_case_block(uint64_t seed, size_t len);

struct repo_case_file {
	const char *name; /* one component */
	const void *bytes;
	size_t len;
};
/* A backup of files (ascending by name) in one folder, "/f", at a time. Gives the manifest's id; nonzero: err. */
int repo_case_try_backup(struct repo *repo, const struct repo_case_file *files, size_t count,
			 int64_t time_ns, struct id *out_manifest, struct err *err);
struct id repo_case_backup(struct repo_case *c, const struct repo_case_file *files, size_t count,
			   int64_t time_ns);
/* Every file of a manifest that repo_case_backup made reads back as given. 0, or the first error. */
int repo_case_try_read(struct repo *repo, const struct id *manifest,
		       const struct repo_case_file *files, size_t count, struct err *err);

#endif
