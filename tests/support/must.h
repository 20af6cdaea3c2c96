/*
 * must: checks of a call's result that show the error's text when they fail. Include after cmocka.h.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_MUST_H
#define NIGHTJAR_TESTS_SUPPORT_MUST_H

#include "core/err.h"

/* The call, which was given &err or err itself, has returned 0. */
#define MUST(call, err)                                                                            \
	do {                                                                                       \
		if ((call) != 0)                                                                   \
			fail_msg("%s: %s", #call, (err)->text);                                    \
	} while (0)

/* It has returned -want, and err agrees. */
#define MUST_FAIL(call, want, err)                                                                 \
	do {                                                                                       \
		int must_rc = (call);                                                              \
		if (must_rc != -(int)(want) || (err)->code != (int)(want))                         \
			fail_msg("%s gave %d, not %s: %s", #call, must_rc, #want,                  \
				 must_rc ? (err)->text : "no error");                              \
	} while (0)

#endif
