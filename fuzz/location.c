/* Where a repository is, as somebody types it: of sftp: and s3:. What is taken gives ssh no option and a URL no foreign character. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"
#include "repo/s3_location.h"
#include "repo/sftp_where.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sftp(const char *text)
{
	struct sftp_where w = {0};
	struct err err = {0};

	if (sftp_where_parse(text, &w, &err) == 0) {
		if (!w.host[0] || w.host[0] == '-' || strpbrk(w.host, " '\"\\$`;&|<>(){}\n\t") ||
		    (w.user && (w.user[0] == '-' || strpbrk(w.user, " '\"$`;&|<>(){}\n\t"))))
			abort();
		if (strspn(w.port, "0123456789") != strlen(w.port))
			abort();
	}
	sftp_where_free(&w);
}

static void all_url(const struct buf *b)
{
	for (size_t i = 0; i < b->len; i++) {
		if (b->data[i] <= ' ' || b->data[i] > '~' || strchr("?#\"<>\\", b->data[i]))
			abort();
	}
}

static void s3(const char *text, enum net_s3_lookup lookup)
{
	struct s3_location l;
	struct buf host = {0}, path = {0};
	struct err err = {0};

	if (s3_location_parse(text, lookup, &l, &err) == 0) {
		s3_location_put_host(&host, &l);
		s3_location_put_path(&path, &l, "data/ab");
		all_url(&host);
		all_url(&path);
		if (host.len == 0 || path.data[0] != '/')
			abort();
		s3_location_move(&l, "eu-west-1");
	}
	buf_free(&host);
	buf_free(&path);
}

/* The password of a URL is not shown, whatever is around it. */
static void shown(const char *text)
{
	char out[300], url[400];

	text_location(text, out, sizeof(out));
	if (strlen(text) > 100 || strpbrk(text, "/@?#"))
		return;
	memcpy(url, "rest:https://u:", 15);
	memcpy(url + 15, "SeCrEt", 6);
	memcpy(url + 21, text, strlen(text));
	memcpy(url + 21 + strlen(text), "@h/p", 5);
	text_location(url, out, sizeof(out));
	if (strstr(out, "SeCrEt"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1);

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	sftp(text);
	for (int lookup = NET_S3_LOOKUP_AUTO; lookup <= NET_S3_LOOKUP_PATH; lookup++)
		s3(text, (enum net_s3_lookup)lookup);
	shown(text);
	free(text);
	return 0;
}
