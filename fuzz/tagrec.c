/*
 * A tag record without its seals: the first byte chooses the clear bytes or one of the parts, the rest is that. Refused,
 * or encoded again to the same bytes up to what follows.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/manifest_part.h"
#include "core/tagrec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int again(struct rd *r, unsigned what, struct buf *out)
{
	struct tagrec t = {0};
	struct err err = {0};
	int rc;

	if (what == 0) {
		rc = tagrec_get_clear(r, &t, &err);
		tagrec_put_clear(out, &t);
	} else if (what == 1) {
		rc = manifest_part_get_macs(r, &t.macs, &t.mac_count, &err);
		if (rc == 0)
			manifest_part_put_macs(out, t.macs, t.mac_count);
	} else {
		rc = manifest_part_get_tags(r, &t.tags, &t.tag_count, &err);
		if (rc == 0)
			manifest_part_put_tags(out, t.tags, t.tag_count);
	}
	tagrec_free(&t);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = {0};
	struct rd r;

	if (size == 0)
		return 0;
	r = rd_of(data + 1, size - 1);
	if (again(&r, data[0] % 3u, &out) == 0 && !out.failed &&
	    (out.len != size - 1 - r.left || memcmp(out.data, data + 1, out.len) != 0))
		abort();
	buf_free(&out);
	return 0;
}
