/*
 * A drill note without its seals: the first byte chooses the clear bytes or the maintenance part, the rest is that. Refused, or encoded
 * again to the same bytes up to what follows.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/drillnote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct drillnote d = {0};
	struct buf out = {0};
	struct err err = {0};
	struct rd r;
	int rc;

	if (size == 0)
		return 0;
	r = rd_of(data + 1, size - 1);
	rc = data[0] % 2u ? drillnote_get_maint(&r, &d, &err) : drillnote_get_clear(&r, &d, &err);
	if (rc == 0 && data[0] % 2u)
		drillnote_put_maint(&out, &d);
	else if (rc == 0)
		drillnote_put_clear(&out, &d);
	if (rc == 0 && !out.failed &&
	    (out.len != size - 1 - r.left || memcmp(out.data, data + 1, out.len) != 0))
		abort();
	buf_free(&out);
	return 0;
}
