/* A path, NUL, a word, NUL, a value of a header. What is encoded decodes to what it was, and holds nothing that a URL may not. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int digit(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void check_encoded(const struct buf *b, const char *text, int slashes)
{
	size_t at = 0;

	for (; *text; text++) {
		uint8_t c;

		if (at >= b->len)
			abort();
		c = b->data[at++];
		if (c == '%') {
			if (at + 2 > b->len || digit(b->data[at]) < 0 || digit(b->data[at + 1]) < 0)
				abort();
			c = (uint8_t)(digit(b->data[at]) * 16 + digit(b->data[at + 1]));
			at += 2;
		} else if (c <= ' ' || c > '~' || strchr("?#&=+\"<>", c) ||
			   (c == '/' && !slashes)) {
			abort();
		}
		if (c != (uint8_t)*text)
			abort();
	}
	if (at != b->len)
		abort();
}

static void sign(const char *path, const char *word, const char *value)
{
	static const char hash[] =
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	const struct sigv4_pair headers[] = {{"host", "h"}, {"x-amz-meta", value}};
	const struct sigv4_key key = {word, word, "us-east-1", "s3"};
	struct buf p = {0}, q = {0}, out = {0};
	struct sigv4_request request = {.method = "GET",
					.headers = headers,
					.header_count = 2,
					.payload_hash = hash,
					.date = "20130524T000000Z"};
	struct err err = {0};

	sigv4_put_path(&p, path);
	sigv4_put_word(&q, word);
	check_encoded(&p, path, 1);
	check_encoded(&q, word, 0);
	buf_put_u8(&p, 0);
	buf_put_u8(&q, 0);
	request.path = (const char *)p.data;
	request.query = (const char *)q.data;
	if (sigv4_put_authorization(&out, &request, &key, &err) != 0)
		abort();
	buf_free(&p);
	buf_free(&q);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 3), *word, *value;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	word = text + strlen(text) + 1;
	value = word + strlen(word) + (word < text + size);
	sign(text, word, value);
	free(text);
	return 0;
}
