/*
 * known: the known answers of tests/vectors, and the demand that damaged bytes be refused. For tests that
 * run in the top folder; a failure here fails the running cmocka test.
 */
#ifndef NIGHTJAR_TESTS_KNOWN_H
#define NIGHTJAR_TESTS_KNOWN_H

#include "core/buf.h"

/* The value `name` of tests/vectors/<file>.hex. Free with buf_free. */
struct buf known_get(const char *file, const char *name);
/* Fails unless the bytes are exactly that value. */
void known_expect(const char *file, const char *name, const void *bytes, size_t len);

/* A decoder under test: 0 or a negative code. */
struct decoder {
	int (*dec)(void *arg, const uint8_t *bytes, size_t len);
	void *arg;
};
/* Every proper prefix is refused. Each try is its own allocation, so that ASan sees a read past it. */
void expect_prefixes_refused(const struct decoder *d, const uint8_t *bytes, size_t len);
/* Every change of one bit in bytes [from, to) is refused. */
void expect_flips_refused(const struct decoder *d, const uint8_t *bytes, size_t len, size_t from,
			  size_t to);

#endif
