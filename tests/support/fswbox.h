/* fswbox: a target folder with a writer over it, for the tests of fswrite. */
#ifndef NIGHTJAR_TESTS_SUPPORT_FSWBOX_H
#define NIGHTJAR_TESTS_SUPPORT_FSWBOX_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/fswrite.h"

struct fswbox {
	char *dir;    /* everything */
	char *target; /* dir/target, made by fsw_open */
	struct fsw *w;
	int fd; /* of the target */
	unsigned warnings;
	char last_warning[512];
};

/* For one cmocka test: *state is a struct fswbox. */
int fswbox_setup(void **state);
int fswbox_teardown(void **state);
#define FSWBOX_TEST(f) cmocka_unit_test_setup_teardown(f, fswbox_setup, fswbox_teardown)

/* What belongs to whoever runs the test. */
struct fsw_attrs fswbox_attrs(uint32_t mode);
/* Writes a whole file; 0 or the error of fswrite. */
int fswbox_put(struct fsw *w, const char *path, const char *text, const struct fsw_attrs *attrs,
	       struct err *err);
size_t fswbox_entries(int dirfd);
void fswbox_assert_content(const struct fswbox *b, const char *path, const char *want);

#endif
