/* A list: refused, or encoded again to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chunk_ref *children = NULL;
	struct err err = {0};
	struct buf out = {0};
	size_t count = 0;

	if (list_get(data, size, &children, &count, &err) != 0)
		return 0;
	list_put(&out, children, count);
	if (!out.failed && (out.len != size || memcmp(out.data, data, size) != 0))
		abort();
	buf_free(&out);
	free(children);
	return 0;
}
