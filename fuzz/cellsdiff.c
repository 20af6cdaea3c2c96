/* u16 length, a chunk of cells, another one. Of itself nothing is new; bases only take away; any bytes may be given. */
#include <stdint.h>
#include <stdlib.h>

#include "core/cells_diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t count(const struct span *chunk, const struct span *bases, size_t base_count)
{
	uint64_t n = 0;
	struct err err = {0};

	if (cells_diff(chunk, bases, base_count, &n, &err) != 0)
		abort();
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);
	size_t at = rd_u16(&r);
	struct span two[2];
	uint64_t all, by_other;

	if (r.bad)
		return 0;
	at = at < r.left ? at : r.left;
	two[0] = (struct span){r.p, at};
	two[1] = (struct span){r.p + at, r.left - at};
	all = count(&two[0], NULL, 0);
	by_other = count(&two[0], &two[1], 1);
	if (count(&two[0], &two[0], 1) != 0 || by_other > all || count(&two[0], two, 2) != 0 ||
	    all > at)
		abort();
	return 0;
}
