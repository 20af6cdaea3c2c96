/* A retire record without its signature. Refused, or encoded again to the same bytes up to what follows. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/retire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct retire r = {0};
	struct buf out = {0};
	struct err err = {0};
	struct rd rd = rd_of(data, size);

	if (retire_get_clear(&rd, &r, &err) == 0) {
		retire_put_clear(&out, &r);
		if (!out.failed &&
		    (out.len != size - rd.left || memcmp(out.data, data, out.len) != 0))
			abort();
	}
	retire_free(&r);
	buf_free(&out);
	return 0;
}
