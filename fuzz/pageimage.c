/*
 * What a virtual file is told to do: u8 call, u24 offset, u16 length, again and again. It reads as plain memory does that was told the
 * same, with most of it spilt.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "repo/pageimage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST (1u << 19)
#define CALLS_MOST 200u

struct model {
	uint8_t *bytes;
	size_t len;
};

/* No room to spill to (a tmpfs): nothing to be learnt. */
static int gives_up(const struct err *err)
{
	if (err->code != ERR_FULL && err->code != ERR_IO)
		abort();
	return 1;
}

static int write_to(struct pageimage *p, struct model *m, uint64_t at, size_t len, uint8_t with)
{
	static uint8_t bytes[1 << 16];
	struct err err = {0};

	memset(bytes, with, len);
	if (pageimage_write(p, at, bytes, len, &err) != 0)
		return gives_up(&err);
	if (len) {
		memset(m->bytes + at, with, len);
		m->len = m->len > at + len ? m->len : at + len;
	}
	return 0;
}

static int read_from(struct pageimage *p, const struct model *m, uint64_t at, size_t len)
{
	static uint8_t bytes[1 << 16];
	struct err err = {0};
	int rc = pageimage_read(p, at, bytes, len, &err);

	if (at > m->len || len > m->len - at) {
		if (rc != -ERR_USAGE)
			abort();
		return 0;
	}
	if (rc != 0)
		return gives_up(&err);
	if (memcmp(bytes, m->bytes + at, len) != 0)
		abort();
	return 0;
}

static int cut(struct pageimage *p, struct model *m, uint64_t at)
{
	struct err err = {0};

	if (pageimage_truncate(p, at, &err) != 0)
		return gives_up(&err);
	if (at < m->len)
		memset(m->bytes + at, 0, m->len - at);
	m->len = at;
	return 0;
}

static void run(struct pageimage *p, struct model *m, struct rd *r)
{
	int done = 0;

	for (unsigned n = 0; n < CALLS_MOST && !done && r->left >= 6; n++) {
		uint8_t call = rd_u8(r);
		uint64_t at = (rd_u8(r) | (uint64_t)rd_u16(r) << 8) % MOST;
		size_t len = rd_u16(r);

		len = len < MOST - at ? len : (size_t)(MOST - at);
		if (call % 4 == 0)
			done = cut(p, m, at);
		else if (call % 4 == 1)
			done = read_from(p, m, at, len);
		else
			done = write_to(p, m, at, len, call);
		if (!done && pageimage_size(p) != m->len)
			abort();
	}
	if (!done)
		(void)read_from(p, m, 0, m->len < (1 << 16) ? m->len : (1 << 16) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);
	struct model m = {calloc(1, MOST), 0};
	struct pageimage *p = NULL;
	struct err err = {0};
	size_t budget = (size_t)rd_u8(&r) * 1024;

	if (m.bytes &&
	    pageimage_new(getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", budget, &p, &err) == 0)
		run(p, &m, &r);
	pageimage_free(p);
	free(m.bytes);
	return 0;
}
