/* testkeys: the keys that tests/vectors/gen.py computes with, from their known master. */
#ifndef NIGHTJAR_TESTS_TESTKEYS_H
#define NIGHTJAR_TESTS_TESTKEYS_H

#include "core/keys.h"

/* Full keys without a writer. Free with keys_free. */
struct keys *testkeys_full(void);
/* The same keys cut down to a role by way of a key file; the writer is db1.example in domain 0. */
struct keys *testkeys_role(enum role role);

#endif
