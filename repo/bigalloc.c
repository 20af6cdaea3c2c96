#include "repo/bigalloc.h"

#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_BYTES                                                                                 \
	((size_t)2 << 20) /* where they are larger, the advice is ignored or helps still */

void *bigalloc(size_t bytes)
{
	void *p;

	if (bytes < HUGE_BYTES || bytes % HUGE_BYTES)
		return malloc(bytes);
	p = aligned_alloc(HUGE_BYTES, bytes);
	if (p)
		(void)madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}
