/*
 * The first byte chooses. Bytes behind the clear ones of a signed record, as anybody may write them: parts lie within the object, and
 * none opens. Or u16 length and two plaintexts: sealed, found and opened again, they are what they were, and zeros.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/parts.h"
#include "core/sign.h"
#include "fuzz/fuzzkeys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLEAR_BYTES 16

struct want {
	const uint8_t *maint, *read;
	size_t maint_len, read_len;
	unsigned opened;
};

static int is(struct rd *r, const uint8_t *want, size_t len)
{
	const uint8_t *got = rd_bytes(r, len);

	return got && (len == 0 || memcmp(got, want, len) == 0);
}

static int read_maint(struct rd *r, void *arg, struct err *err)
{
	struct want *w = arg;

	(void)err;
	w->opened++;
	if (!is(r, w->maint, w->maint_len))
		abort();
	return 0;
}

static int read_read(struct rd *r, void *arg, struct err *err)
{
	struct want *w = arg;

	(void)err;
	w->opened++;
	if (!is(r, w->read, w->read_len))
		abort();
	return 0;
}

static void within(const struct parts *p, const struct part *part)
{
	if (part->front > p->object_len || part->len > p->object_len - part->front ||
	    part->sealed != p->object + part->front)
		abort();
}

static void found(const uint8_t *object, size_t len)
{
	struct rd r = rd_of(object, len > SIGN_BYTES ? len - SIGN_BYTES : 0);
	struct parts parts;
	struct want want = {0};
	struct err err = {0};

	(void)rd_bytes(&r, CLEAR_BYTES);
	if (r.bad || parts_get(&r, object, len, "a record", &parts, &err) != 0)
		return;
	within(&parts, &parts.maint);
	within(&parts, &parts.read);
	parts.domain %= 4;
	parts.maint.slot.domain = parts.read.slot.domain = parts.domain;
	if (parts_open(fuzzkeys_full(), &parts, read_maint, read_read, &want, &err) == 0 ||
	    want.opened)
		abort();
}

static void made(const uint8_t *data, size_t size)
{
	struct parts_form form = {.name = "a record",
				  .tag = "tag",
				  .limit_bytes = 1 << 20,
				  .sequence = 1,
				  .floor_log2 = 12};
	struct buf object = {0}, maint = {0}, read = {0};
	struct rd r = rd_of(data, size);
	size_t at = rd_u16(&r);
	struct want want = {0};
	struct parts parts;
	struct err err = {0};

	if (r.bad)
		return;
	at = at < r.left ? at : r.left;
	want = (struct want){r.p, r.p + at, at, r.left - at, 0};
	buf_put(&maint, want.maint, want.maint_len);
	buf_put(&read, want.read, want.read_len);
	buf_put_zeros(&object, CLEAR_BYTES);
	if (parts_put(fuzzkeys_full(), &form, &maint, &read, &object, &err) != 0 ||
	    sign_check(object.data, object.len, "tag", fuzzkeys_full()->writer_pub, &err) != 0)
		abort();
	r = rd_of(object.data + CLEAR_BYTES, object.len - CLEAR_BYTES - SIGN_BYTES);
	if (parts_get(&r, object.data, object.len, "a record", &parts, &err) != 0 ||
	    parts_open(fuzzkeys_full(), &parts, read_maint, read_read, &want, &err) != 0 ||
	    want.opened != 2)
		abort();
	buf_free(&object);
	buf_free(&maint);
	buf_free(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		made(data + 1, size - 1);
	else
		found(data + 1, size - 1);
	return 0;
}
