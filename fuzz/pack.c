/* u16 slot count, u32 pack length, key table, directory body. What is read is written again as the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct pack_dir *dir, const uint8_t *bytes, size_t len)
{
	struct buf again = {0};

	for (size_t i = 0; i < dir->slot_count; i++)
		slot_put(&again, &dir->slots[i]);
	pack_dir_put(&again, dir);
	if (!again.failed && (again.len != len || memcmp(again.data, bytes, len) != 0))
		abort();
	buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);
	struct pack_head head;
	struct pack_dir dir = {0};
	struct err err = {0};
	size_t slots = rd_u16(&r);
	uint64_t pack_bytes = rd_u32(&r);
	const uint8_t *start = r.p;

	if (pack_slots_get(&r, slots, &dir, &err) == 0 &&
	    pack_dir_get(&r, pack_bytes, &dir, &err) == 0)
		check_again(&dir, start, (size_t)(r.p - start));
	pack_dir_free(&dir);
	if (pack_head_get(data, size, &head, &err) == 0 &&
	    pack_front_bytes(&head) <= PACK_HEAD_BYTES)
		abort();
	return 0;
}
