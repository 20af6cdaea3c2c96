/*
 * vector: known answers out of tests/vectors/<file>, whose lines are a name, a space and hexadecimal digits.
 * Tests run from the top of the source tree. Aborts when something is not there.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_VECTOR_H
#define NIGHTJAR_TESTS_SUPPORT_VECTOR_H

#include "core/buf.h"
#include "core/keys.h"

/* The bytes of one name; free with buf_free. */
struct buf vector_get(const char *file, const char *name);
/* The keys that pack.txt is made with: full role, host "vector". */
struct keys *vector_keys(void);

#endif
