#include "core/header.h"

#include <string.h>

static const uint8_t magic[4] = {'n', 'j', 'a', 'r'};

void header_put(struct buf *b, enum object_type type, uint8_t kind)
{
	buf_put(b, magic, sizeof(magic));
	buf_put_u8(b, HEADER_VERSION);
	buf_put_u8(b, (uint8_t)type);
	buf_put_u8(b, kind);
	buf_put_u8(b, 0);
}

static const char *type_name(enum object_type type)
{
	switch (type) {
	case OBJECT_CONFIG:
		return "config";
	case OBJECT_KEYSLOT:
		return "key slot";
	case OBJECT_ROSTER:
		return "roster";
	case OBJECT_PACK:
		return "pack";
	case OBJECT_INDEX:
		return "index segment";
	case OBJECT_SNAPSHOT:
		return "manifest";
	case OBJECT_CONDEMN:
		return "condemn record";
	case OBJECT_KEYFILE:
		return "key file";
	}
	return "object";
}

int header_get(struct rd *r, enum object_type type, uint8_t *out_kind, struct err *err)
{
	const uint8_t *p = rd_bytes(r, HEADER_BYTES);

	*out_kind = 0;
	if (!p || memcmp(p, magic, sizeof(magic)) != 0)
		return err_set(err, ERR_DAMAGED, "not a nightjar %s", type_name(type));
	if (p[4] > HEADER_VERSION)
		return err_set(err, ERR_VERSION, "%s made by a newer nightjar (version %u)",
			       type_name(type), p[4]);
	if (p[4] != HEADER_VERSION || p[5] != (uint8_t)type || p[7] != 0)
		return err_set(err, ERR_DAMAGED, "%s with a wrong header", type_name(type));
	*out_kind = p[6];
	return 0;
}

uint8_t header_type(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	if (len < HEADER_BYTES || memcmp(p, magic, sizeof(magic)) != 0)
		return 0;
	return p[4] == HEADER_VERSION && p[7] == 0 ? p[5] : 0;
}

static unsigned log2_floor(uint64_t n)
{
	unsigned e = 0;

	while (n >>= 1)
		e++;
	return e;
}

uint64_t padme_bytes(uint64_t n)
{
	unsigned e = log2_floor(n);
	uint64_t unit = (uint64_t)1 << (e - (log2_floor(e) + 1));

	return (n + unit - 1) / unit * unit;
}

uint64_t bucket_fine_bytes(uint64_t n, unsigned floor_log2)
{
	uint64_t least = (uint64_t)1 << floor_log2;

	return n <= least ? least : padme_bytes(n);
}

uint64_t bucket_bytes(uint64_t n, unsigned floor_log2)
{
	uint64_t least = (uint64_t)1 << floor_log2;
	unsigned e;

	if (n <= least)
		return least;
	if (n >= (uint64_t)1 << 20)
		return padme_bytes(n);
	e = log2_floor(n);
	return n == (uint64_t)1 << e ? n : (uint64_t)2 << e;
}
