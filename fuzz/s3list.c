/* An answer of an S3 server as it comes: a page is read the same twice, and what it gives keeps to its bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/s3list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
	size_t count, bytes;
};

static int count(void *arg, const char *key, uint64_t size_bytes, struct err *err)
{
	struct sum *sum = arg;
	size_t len = strlen(key);

	(void)size_bytes;
	(void)err;
	if (len == 0 || len > LIMIT_S3_TEXT_BYTES)
		abort();
	sum->count++;
	sum->bytes += len;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct s3list_page page, again;
	struct s3list_error error;
	struct sum a = {0}, b = {0};
	struct err err = {0};
	int rc = s3list_read(data, size, count, &a, &page, &err);

	if (s3list_read(data, size, count, &b, &again, &err) != rc || a.count != b.count ||
	    a.bytes != b.bytes || a.bytes > size)
		abort();
	if (rc == 0 && page.truncated && !page.next_token[0])
		abort();
	if (s3list_read_error(data, size, &error) && (rc == 0 || !error.code[0]))
		abort();
	return 0;
}
