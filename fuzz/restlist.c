/*
 * A listing in one piece and byte by byte: the same entries, the same end. What is read, written plainly, reads the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/restlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int keep(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	struct buf *out = arg;
	char line[160], hex[ID_HEX_CHARS + 1];

	(void)err;
	id_hex(name, hex);
	(void)snprintf(line, sizeof(line), "%c{\"name\":\"%s\",\"size\":%llu}",
		       out->len ? ',' : '[', hex, (unsigned long long)size_bytes);
	buf_put(out, line, strlen(line));
	return 0;
}

static int read_in(const uint8_t *data, size_t size, size_t step, struct buf *out)
{
	struct err err = {0};
	struct restlist r;
	int rc = 0;

	restlist_init(&r, keep, out);
	for (size_t at = 0; at < size && !rc; at += step)
		rc = restlist_feed(&r, data + at, size - at < step ? size - at : step, &err);
	return rc ? rc : restlist_end(&r, &err);
}

static void same(const struct buf *a, const struct buf *b)
{
	if (a->len != b->len || (a->len && memcmp(a->data, b->data, a->len) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = {0}, bytes = {0}, again = {0};
	int rc = read_in(data, size, size ? size : 1, &whole);

	if (read_in(data, size, 1, &bytes) != rc)
		abort();
	if (rc == 0 && whole.len) {
		buf_put(&whole, "]", 1);
		buf_put(&bytes, "]", 1);
		if (read_in(whole.data, whole.len, 1, &again) != 0)
			abort();
		buf_put(&again, "]", 1);
		same(&whole, &again);
	}
	same(&whole, &bytes);
	buf_free(&whole);
	buf_free(&bytes);
	buf_free(&again);
	return 0;
}
