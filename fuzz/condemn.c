/* A condemn record without its signature. Refused, or encoded again to the same bytes up to what follows. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/condemn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);
	uint8_t repo[REPO_ID_BYTES];
	struct condemn c = {0};
	struct buf out = {0};
	struct err err = {0};

	if (condemn_get(&r, repo, &c, &err) == 0) {
		condemn_put(&out, repo, &c);
		if (!out.failed &&
		    (out.len != size - r.left || memcmp(out.data, data, out.len) != 0))
			abort();
	}
	condemn_free(&c);
	buf_free(&out);
	return 0;
}
