/* A damage note without its signature. Refused, or encoded again to the same bytes up to what follows. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/damage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct damage d = {0};
	struct buf out = {0};
	struct err err = {0};
	struct rd rd = rd_of(data, size);

	if (damage_get_clear(&rd, &d, &err) == 0) {
		damage_put_clear(&out, &d);
		if (!out.failed &&
		    (out.len != size - rd.left || memcmp(out.data, data, out.len) != 0))
			abort();
	}
	damage_free(&d);
	buf_free(&out);
	return 0;
}
