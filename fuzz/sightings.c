/*
 * What a host has seen of a repository: refused, or encoded again to the same bytes. The sum at the end is put right first, since no
 * fuzzer would guess it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"
#include "core/sightings.h"

#define SUM_BYTES 8
#define REPO_AT 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try(const uint8_t *bytes, size_t len)
{
	struct sightings s = {0};
	struct sighting *newest = NULL;
	struct buf again = {0};
	struct err err = {0};
	size_t count;

	if (sightings_dec(bytes, len, bytes + REPO_AT, &s, &err))
		return;
	if (sightings_enc(&s, &again, &err) == 0 &&
	    (again.len != len || memcmp(again.data, bytes, len) != 0))
		abort();
	if (sightings_newest(&s, &newest, &count, &err) == 0 && count > s.count)
		abort();
	free(newest);
	buf_free(&again);
	sightings_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	struct id sum;
	uint8_t *bytes;

	if (size < REPO_AT + REPO_ID_BYTES + SUM_BYTES)
		return 0;
	bytes = malloc(size);
	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	if (sha256_of(bytes, size - SUM_BYTES, &sum, &err) == 0) {
		memcpy(bytes + size - SUM_BYTES, sum.b, SUM_BYTES);
		try(bytes, size);
	}
	free(bytes);
	return 0;
}
