/*
 * store_clock: a store over a store whose clock is a number that the test moves, also between processes that share it.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_STORE_CLOCK_H
#define NIGHTJAR_TESTS_SUPPORT_STORE_CLOCK_H

#include <stdatomic.h>

#include "repo/store.h"

/* Takes over inner. now_s must outlive the store; *now_s is what its clock says. */
int store_clock_new(struct store *inner, const _Atomic int64_t *now_s, struct store **out_store,
		    struct err *err) ERR_UNUSED_WARN;

#endif
