#include "core/sqlrec.h"

/* SQLite's own: the most significant 7 bits first, the ninth byte whole. False: cut short. */
static bool varint(struct span *s, uint64_t *out)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 9; i++) {
		uint8_t byte;

		if (s->len == 0)
			return false;
		byte = *s->p++;
		s->len--;
		if (i == 8) {
			*out = v << 8 | byte;
			return true;
		}
		v = v << 7 | (byte & 0x7f);
		if (byte < 0x80)
			break;
	}
	*out = v;
	return true;
}

static uint64_t bytes_of(uint64_t serial)
{
	static const uint8_t of[12] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0};

	return serial < 12 ? of[serial] : (serial - 12) / 2;
}

bool sqlrec_open(const void *payload, size_t len, struct sqlrec *out_record)
{
	const uint8_t *p = payload;
	struct span s = {p, len};
	uint64_t header;
	size_t front;

	*out_record = (struct sqlrec){0};
	if (!varint(&s, &header))
		return false;
	front = len - s.len;
	if (header < front || header > len)
		return false;
	out_record->types = (struct span){p + front, (size_t)header - front};
	out_record->values = (struct span){p + header, len - (size_t)header};
	return true;
}

bool sqlrec_next(struct sqlrec *r, struct sqlrec_column *out_column)
{
	uint64_t bytes;

	*out_column = (struct sqlrec_column){0};
	if (r->types.len == 0 || !varint(&r->types, &out_column->serial))
		return false;
	bytes = bytes_of(out_column->serial);
	if (bytes > r->values.len)
		return false;
	out_column->value = (struct span){r->values.p, (size_t)bytes};
	r->values.p += bytes;
	r->values.len -= (size_t)bytes;
	return true;
}
