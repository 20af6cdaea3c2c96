/* A key slot as it lies in a store. What asks for more than the least of the KDF is not tried: it takes minutes. */
#include <stdlib.h>

#include "core/keyslot.h"

#define PASSES_AT 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t u32_at(const uint8_t *data, size_t at)
{
	struct rd r = rd_of(data + at, 4);

	return rd_u32(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t master[32] = {1};
	uint8_t repo[REPO_ID_BYTES] = {0}, out[32];
	struct keyslot_label label;
	struct err err = {0};

	/* The repository that the slot names itself, so that mutations get past the comparison. */
	for (size_t i = 0; size >= PASSES_AT && i < REPO_ID_BYTES; i++)
		repo[i] = data[HEADER_BYTES + i];
	if (keyslot_label_get(data, size, repo, master, &label, &err) == 0)
		abort();
	if (size >= PASSES_AT + 8 && u32_at(data, PASSES_AT) <= 1 &&
	    u32_at(data, PASSES_AT + 4) <= LIMIT_KDF_MIN_KIB &&
	    keyslot_open(data, size, repo, "x", 1, out, &err) == 0)
		abort();
	return 0;
}
