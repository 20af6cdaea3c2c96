/* The packs of an index segment's body. What is read is written again as the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/indexseg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct indexseg *seg, const uint8_t *bytes, size_t len)
{
	const struct indexseg_pack **packs = calloc(seg->pack_count + 1, sizeof(*packs));
	struct buf again = {0};

	if (!packs)
		return;
	for (size_t i = 0; i < seg->pack_count; i++)
		packs[i] = &seg->packs[i];
	indexseg_packs_put(&again, packs, seg->pack_count);
	if (!again.failed && (again.len != len || memcmp(again.data, bytes, len) != 0))
		abort();
	free(packs);
	buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);
	struct indexseg seg = {0};
	struct err err = {0};

	if (indexseg_packs_get(&r, &seg, &err) == 0)
		check_again(&seg, data, size - r.left);
	indexseg_free(&seg);
	return 0;
}
