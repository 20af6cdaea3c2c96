#include "cli/tail.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct passage {
	struct tail *tail;
	FILE *to;
};

static ssize_t on_write(void *cookie, const char *bytes, size_t len)
{
	struct passage *p = cookie;

	for (size_t i = 0; i < len; i++)
		p->tail->bytes[p->tail->total++ % TAIL_BYTES] = bytes[i];
	/* A write that fails must be seen where it is made, with its errno. */
	return fwrite(bytes, 1, len, p->to) == len && fflush(p->to) == 0 ? (ssize_t)len : 0;
}

static int on_close(void *cookie)
{
	free(cookie);
	return 0;
}

int tail_open(struct tail *tail, FILE *to, FILE **out_stream, struct err *err)
{
	const cookie_io_functions_t calls = {.write = on_write, .close = on_close};
	struct passage *p = malloc(sizeof(*p));

	if (!p)
		return err_nomem(err);
	*p = (struct passage){tail, to};
	*out_stream = fopencookie(p, "w", calls);
	if (!*out_stream) {
		free(p);
		return err_nomem(err);
	}
	/* Two streams share a tail: a line goes in when it is said. */
	(void)setvbuf(*out_stream, NULL, _IOLBF, BUFSIZ);
	return 0;
}

/* "https://user:password@host" loses what is before the '@'. */
static void drop_users(char *text)
{
	for (char *url = strstr(text, "://"); url; url = strstr(url + 3, "://")) {
		char *host = url + 3, *at = host + strcspn(host, "/?# \t\n'\"");

		while (at > host && at[-1] != '@')
			at--;
		memmove(host, at, strlen(at) + 1);
	}
}

static void drop_secret(char *text, const char *secret)
{
	static const char instead[] = "***";
	size_t len = strlen(secret);

	if (len < sizeof(instead) - 1)
		return;
	for (char *at = strstr(text, secret); at; at = strstr(at, secret)) {
		memcpy(at, instead, sizeof(instead) - 1);
		memmove(at + sizeof(instead) - 1, at + len, strlen(at + len) + 1);
	}
}

int tail_text(const struct tail *tail, const char *secret, char **out_text, struct err *err)
{
	bool cut = tail->total > TAIL_BYTES;
	size_t len = cut ? TAIL_BYTES : tail->total;
	char *text = malloc(len + 1), *line;

	if (!text)
		return err_nomem(err);
	for (size_t i = 0; i < len; i++) {
		char c = tail->bytes[(tail->total - len + i) % TAIL_BYTES];

		text[i] = c ? c : '?';
	}
	text[len] = '\0';
	/* The half line at the front may be the second half of a secret. */
	line = cut ? strchr(text, '\n') : NULL;
	if (line)
		memmove(text, line + 1, strlen(line + 1) + 1);
	else if (cut)
		text[0] = '\0';
	drop_users(text);
	if (secret)
		drop_secret(text, secret);
	*out_text = text;
	return 0;
}
