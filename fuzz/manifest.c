/*
 * A part of a manifest without its seal: the first byte chooses which (even: maintenance), the rest is its
 * plaintext. Refused, or encoded again to the same bytes up to the padding.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/manifest_part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int again(struct rd *r, bool maint, struct buf *out)
{
	struct manifest m = {0};
	struct err err = {0};
	int rc = maint ? manifest_part_get_maint(r, &m, &err) : manifest_part_get_read(r, &m, &err);

	if (rc == 0 && maint)
		manifest_part_put_maint(out, &m);
	else if (rc == 0)
		manifest_part_put_read(out, &m);
	manifest_free(&m);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = {0};
	struct rd r;

	if (size == 0)
		return 0;
	r = rd_of(data + 1, size - 1);
	if (again(&r, data[0] % 2 == 0, &out) == 0 && !out.failed &&
	    (out.len != size - 1 - r.left || memcmp(out.data, data + 1, out.len) != 0))
		abort();
	buf_free(&out);
	return 0;
}
