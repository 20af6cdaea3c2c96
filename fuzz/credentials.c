/* Amazon's credentials file, NUL, its configuration file. Read or refused, and no secret of it is in the text that refuses. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sodium.h>

#include "repo/net.h"
#include "repo/s3_credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char files[2][64];

static const char *variable(const char *name)
{
	if (strcmp(name, "AWS_SHARED_CREDENTIALS_FILE") == 0)
		return files[0];
	if (strcmp(name, "AWS_CONFIG_FILE") == 0)
		return files[1];
	return NULL;
}

static int file_of(int which, const uint8_t *bytes, size_t len)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		abort();
	(void)snprintf(files[which], sizeof(files[which]), "/proc/self/fd/%d", fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct net net = {.environment = variable};
	const uint8_t *cut = size ? memchr(data, 0, size) : NULL;
	size_t first = cut ? (size_t)(cut - data) : size;
	int fds[2] = {file_of(0, data, first),
		      file_of(1, data + first + (cut ? 1 : 0), size - first - (cut ? 1 : 0))};
	struct s3_credentials *c = NULL;
	struct err err = {0};

	if (sodium_init() < 0)
		abort();
	if (s3_credentials_new(&net, &c, &err) == 0) {
		if (!c->access_key[0] || !c->secret_key[0] || strlen(c->region) >= S3_REGION_CHARS)
			abort();
	} else if (!err.text[0] || strstr(err.text, "SeCrEt")) {
		abort();
	}
	s3_credentials_free(c);
	(void)close(fds[0]);
	(void)close(fds[1]);
	return 0;
}
