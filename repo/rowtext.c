#include "repo/rowtext.h"

#include <stdlib.h>
#include <string.h>

static uint32_t unit(const struct span *s, size_t at, bool big)
{
	return big ? (uint32_t)s->p[at] << 8 | s->p[at + 1]
		   : (uint32_t)s->p[at + 1] << 8 | s->p[at];
}

static size_t put(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

char *rowtext_utf8(const struct span *text, uint8_t encoding)
{
	bool big = encoding == 3;
	size_t used = 0;
	char *out;

	if (encoding != 2 && encoding != 3)
		return text->len ? strndup((const char *)text->p, text->len) : calloc(1, 1);
	out = malloc(text->len / 2 * 3 + 1); /* of one unit; a pair of them takes four */
	for (size_t at = 0; out && at + 1 < text->len; at += 2) {
		uint32_t c = unit(text, at, big);

		if (c == 0)
			break;
		if (c >= 0xd800 && c < 0xdc00 && at + 3 < text->len &&
		    (unit(text, at + 2, big) & 0xfc00) == 0xdc00) {
			c = 0x10000 + ((c - 0xd800) << 10) + (unit(text, at + 2, big) - 0xdc00);
			at += 2;
		} else if (c >= 0xd800 && c < 0xe000) {
			c = 0xfffd;
		}
		used += put(out + used, c);
	}
	if (out)
		out[used] = '\0';
	return out;
}
