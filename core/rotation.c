#include "core/rotation.h"

static uint64_t point_of(const struct id *pack)
{
	uint64_t point = 0;

	for (unsigned i = 0; i < 8; i++)
		point = point << 8 | pack->b[i];
	return point;
}

bool rotation_has(const struct rotation *part, const struct id *pack)
{
	/* Unsigned, so that an arc over the end of the ring needs no second case. */
	return part->all || point_of(pack) - part->from < part->span;
}

uint64_t rotation_end(const struct rotation *part)
{
	return part->all ? part->from : part->from + part->span;
}

struct rotation rotation_nth(uint64_t n, uint64_t t)
{
	uint64_t step = UINT64_MAX / t;
	uint64_t from = step * (n - 1);

	/* The last one takes what the division left over. */
	return (struct rotation){.all = t == 1, .from = from, .span = n == t ? 0 - from : step};
}

struct rotation rotation_share(uint64_t from, uint64_t share, uint64_t whole)
{
	uint64_t step;

	if (share >= whole)
		return (struct rotation){.all = true, .from = from};
	/* Rounded up: shares that add up to the whole leave no gap. */
	step = UINT64_MAX / whole + 1;
	if (share && step > UINT64_MAX / share)
		return (struct rotation){.all = true, .from = from};
	return (struct rotation){.from = from, .span = step * share};
}
