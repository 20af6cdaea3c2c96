/*
 * A damage note without its seals: the first byte chooses the clear bytes or the places, the rest is that. Refused, or encoded again to
 * the same bytes up to what follows.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/damage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int again(struct rd *r, bool places, struct buf *out)
{
	struct damage d = {0};
	struct err err = {0};
	int rc = places ? damage_get_places(r, &d, &err) : damage_get_clear(r, &d, &err);

	if (rc == 0 && places)
		damage_put_places(out, &d);
	else if (rc == 0)
		damage_put_clear(out, &d);
	damage_free(&d);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = {0};
	struct rd r;

	if (size == 0)
		return 0;
	r = rd_of(data + 1, size - 1);
	if (again(&r, data[0] % 2u, &out) == 0 && !out.failed &&
	    (out.len != size - 1 - r.left || memcmp(out.data, data + 1, out.len) != 0))
		abort();
	buf_free(&out);
	return 0;
}
