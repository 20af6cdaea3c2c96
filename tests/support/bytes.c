#include "tests/support/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static unsigned digit(char c)
{
	const char *digits = "0123456789abcdef", *at = strchr(digits, c);

	assert_true(c != '\0' && at);
	return at ? (unsigned)(at - digits) : 0;
}

void bytes_put_hex(struct buf *b, const char *hex)
{
	for (; hex[0] && hex[1]; hex += 2)
		buf_put_u8(b, (uint8_t)(digit(hex[0]) << 4 | digit(hex[1])));
	assert_true(hex[0] == '\0');
}

struct span bytes_span(const char *text)
{
	return (struct span){(const uint8_t *)text, strlen(text)};
}

struct id bytes_id(unsigned first)
{
	struct id id;

	for (unsigned i = 0; i < ID_BYTES; i++)
		id.b[i] = (uint8_t)(first + i);
	return id;
}

char *bytes_text(const char *text)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	return copy;
}
