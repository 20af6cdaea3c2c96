#include "core/id.h"

#include <string.h>

bool id_eq(const struct id *a, const struct id *b)
{
	return memcmp(a->b, b->b, ID_BYTES) == 0;
}

int id_cmp(const struct id *a, const struct id *b)
{
	return memcmp(a->b, b->b, ID_BYTES);
}

bool id_is_zero(const struct id *a)
{
	static const struct id zero;

	return id_eq(a, &zero);
}

void id_hex(const struct id *id, char out_hex[ID_HEX_CHARS + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < ID_BYTES; i++) {
		out_hex[2 * i] = digits[id->b[i] >> 4];
		out_hex[2 * i + 1] = digits[id->b[i] & 15];
	}
	out_hex[ID_HEX_CHARS] = '\0';
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool id_from_hex(const char *hex, struct id *out_id)
{
	struct id id;

	for (size_t i = 0; i < ID_BYTES; i++) {
		int high = digit_value(hex[2 * i]);
		int low = high < 0 ? -1 : digit_value(hex[2 * i + 1]);

		if (low < 0)
			return false;
		id.b[i] = (uint8_t)(high << 4 | low);
	}
	if (hex[ID_HEX_CHARS] != '\0')
		return false;
	*out_id = id;
	return true;
}
