/*
 * memscan: does a secret lie anywhere in the memory of this process? Heap, stacks of all threads (ended ones, too, as far as they
 * are mapped), statics. What is looked for is kept masked, so that the search finds no copy of its own. Linux only; nothing
 * else may run meanwhile.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_MEMSCAN_H
#define NIGHTJAR_TESTS_SUPPORT_MEMSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False under sanitizers, which keep what was freed and put frames elsewhere. */
extern const bool memscan_works;

#define MEMSCAN_BYTES 16 /* of a secret: half of a key is as bad as a whole one */
#define MEMSCAN_MOST 255

struct memscan {
	size_t count;
	struct memscan_needle {
		char what[48];
		uint8_t masked[MEMSCAN_BYTES];
		size_t hits;       /* of the last run */
		char where[48];    /* the mapping of the last of them, as "[heap]" */
		uint64_t from_end; /* and where in it */
	} needles[MEMSCAN_MOST];
};

/*
 * Every MEMSCAN_BYTES bytes of the secret, from its begin and up to its end, are to be looked for, each byte of it changed by with (0, or
 * the pads of HMAC). len ≥ MEMSCAN_BYTES.
 */
void memscan_add(struct memscan *scan, const char *what, const void *secret, size_t len,
		 uint8_t with);

/* Counts them in all that may be written to. Returns how many needles were found at all; each is told as a TAP comment when tell. */
size_t memscan_run(struct memscan *scan, int tell);

#endif
