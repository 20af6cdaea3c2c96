/* A chunk-list body: refused, or encoded again to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct list_body body = {0};
	struct err err = {0};
	struct buf out = {0};

	if (list_body_get(data, size, &body, &err) != 0)
		return 0;
	list_body_put(&out, body.level, body.bytes, body.keys, body.count);
	if (!out.failed && (out.len != size || memcmp(out.data, data, size) != 0))
		abort();
	buf_free(&out);
	list_body_free(&body);
	return 0;
}
