/*
 * What an SFTP server may say. The first byte chooses: a version, or an answer, of which all names are taken and the disk's
 * space is read. Whatever an answer points to lies within it; a name more than it holds is refused.
 */
#include <stdint.h>
#include <stdlib.h>

#include "core/limits.h"
#include "core/sftp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const uint8_t *data, size_t size, struct span s)
{
	if (s.len > 0 && (s.p < data || s.p + s.len > data + size))
		abort();
}

static void answer(const uint8_t *data, size_t size)
{
	struct sftp_reply r;
	struct err err = {0};
	uint64_t free_bytes;

	if (sftp_get(data, size, &r, &err) != 0)
		return;
	inside(data, size, r.text);
	inside(data, size, r.bytes);
	if (r.type == SFTP_HANDLE && (r.bytes.len == 0 || r.bytes.len > LIMIT_SFTP_HANDLE_BYTES))
		abort();
	if (r.type == SFTP_EXTENDED_REPLY && sftp_get_free_bytes(&r, &free_bytes, &err) == 0 &&
	    r.bytes.len < 40)
		abort();
	for (uint32_t i = 0; i < r.count; i++) {
		struct sftp_attrs attrs;
		struct span name;

		/* Twelve bytes are the least that a name takes: a count cannot make this long. */
		if (sftp_get_name(&r, &name, &attrs, &err) != 0)
			break;
		if (i > size / 12)
			abort();
		inside(data, size, name);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sftp_version version;
	struct err err = {0};

	if (size == 0)
		return 0;
	if (data[0] % 2u)
		answer(data + 1, size - 1);
	else if (sftp_get_version(data + 1, size - 1, &version, &err) == 0 && version.version < 3)
		abort();
	return 0;
}
