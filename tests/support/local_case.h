/*
 * local_case: a local store in a folder of its own and one object, for the tests of the local store.
 * Everything here fails the running cmocka test when something is not as said.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_LOCAL_CASE_H
#define NIGHTJAR_TESTS_SUPPORT_LOCAL_CASE_H

#include "core/buf.h"
#include "core/err.h"
#include "core/id.h"
#include "repo/store.h"

struct local_case {
	char *dir;  /* temporary, removed by teardown */
	char *root; /* dir/repo */
	struct store *store;
	struct buf buf;
	struct err err;
};

int local_case_setup_bare(void **state); /* dir is empty: root is not there yet */
int local_case_setup(void **state);      /* root has been created */
int local_case_teardown(void **state);

/* The one object, in data/aa. */
#define LOCAL_CASE_BYTES 42
extern const struct id local_case_id;
extern const char local_case_text[LOCAL_CASE_BYTES];

int local_case_put(struct local_case *f) ERR_UNUSED_WARN; /* what store_put says */
void local_case_assert_whole(struct local_case *f);

/* Names in a folder that start with prefix; 0 when the folder is missing. */
unsigned local_case_entries(const char *dir, const char *prefix);

/* Temporary files in the object's folder. */
unsigned local_case_temps(struct local_case *f);

/* How many objects the store lists. */
unsigned local_case_listed(struct local_case *f, enum store_type type);

#endif
