/* A location: refused, or its URL, which names no user, is a location of the same place, and what is shown has no password. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/resturl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct resturl *first)
{
	struct buf text = {0};
	struct resturl second;
	struct err err = {0};

	buf_put(&text, "rest:", 5);
	buf_put(&text, first->url, strlen(first->url) + 1);
	if (text.failed || resturl_parse((const char *)text.data, &second, &err) != 0)
		abort();
	if (strcmp(first->url, second.url) != 0 || second.user)
		abort();
	if (first->password && first->password[0] && !strstr(first->location, "***@"))
		abort();
	resturl_free(&second);
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = {0};
	struct resturl url;
	struct err err = {0};

	buf_put(&text, "rest:http", 9);
	buf_put(&text, data, size);
	buf_put_u8(&text, 0);
	if (!text.failed && resturl_parse((const char *)text.data, &url, &err) == 0) {
		again(&url);
		resturl_free(&url);
	}
	buf_free(&text);
	return 0;
}
