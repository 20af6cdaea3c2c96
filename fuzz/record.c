/*
 * u8 kind and codec, u32 length, then: the plaintext of a record that is made as a writer does, or the compressed bytes of one that
 * somebody sealed who has the key. The first opens to what it was and, changed anywhere, not at all; the second gives exactly the length it
 * claims, or nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct domain_keys domain = {.id_key = {1}};
static const uint8_t key[32] = {2}, repo[REPO_ID_BYTES] = {3};

static int open_it(struct comp *comp, const struct record_info *info, const struct buf *sealed,
		   const struct domain_keys *by, struct buf *out)
{
	struct err err = {0};

	return record_open(comp, key, 7, repo, by, info, sealed->data, sealed->len, out, &err);
}

static void made_rightly(struct comp *comp, struct record_info *info, const uint8_t *plain,
			 size_t len)
{
	struct buf packed = {0}, sealed = {0}, out = {0};
	struct err err = {0};

	info->plain_bytes = (uint32_t)len;
	if (record_id(&domain, info->kind, plain, len, &info->id, &err) ||
	    comp_put(comp, 0, plain, len, &packed, &info->codec, &err) ||
	    record_seal(key, 7, repo, info, packed.data, packed.len, &sealed, &err) ||
	    open_it(comp, info, &sealed, &domain, &out))
		abort();
	if (out.len != len || (len && memcmp(out.data, plain, len) != 0))
		abort();
	sealed.data[len ? plain[0] % sealed.len : 0] ^= 1;
	if (open_it(comp, info, &sealed, &domain, &out) == 0)
		abort();
	buf_free(&packed);
	buf_free(&sealed);
	buf_free(&out);
}

static void made_wrongly(struct comp *comp, const struct record_info *info, const uint8_t *packed,
			 size_t len)
{
	struct buf sealed = {0}, out = {0};
	struct err err = {0};

	if (record_seal(key, 7, repo, info, packed, len, &sealed, &err) == 0) {
		if (open_it(comp, info, &sealed, NULL, &out) == 0 && out.len != info->plain_bytes)
			abort();
		buf_reset(&out);
		if (open_it(comp, info, &sealed, &domain, &out) == 0)
			abort(); /* somebody has found the HMAC of a chunk */
	}
	buf_free(&sealed);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record_info info = {0};
	struct comp *comp = NULL;
	struct err err = {0};
	struct rd r = rd_of(data, size);

	info.kind = rd_u8(&r);
	info.plain_bytes = rd_u32(&r);
	if (r.bad || comp_new(0, &comp, &err) != 0)
		return 0;
	if (info.kind & 0x80) {
		info.codec = info.kind / 8 % 4;
		info.kind %= 8;
		made_wrongly(comp, &info, r.p, r.left);
	} else if (chunk_kind_valid(info.kind)) {
		made_rightly(comp, &info, r.p, r.left);
	}
	comp_free(comp);
	return 0;
}
