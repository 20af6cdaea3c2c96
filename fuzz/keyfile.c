/*
 * A key file: first the input as the text itself, then as what the text holds (a role, then its fields),
 * with header, sum and base64 put around it. What decodes must encode to the same.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/keyfile.h"
#include "core/sha256.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_text(const void *text, size_t len)
{
	struct keys *keys = NULL;
	struct buf again = {0};
	struct err err = {0};

	if (keyfile_dec(text, len, &keys, &err) != 0)
		return;
	if (keyfile_enc(keys, keys->role, &again, &err) != 0 || again.len != len ||
	    memcmp(again.data, text, len) != 0)
		abort();
	buf_wipe(&again);
	keys_free(keys);
}

static void put_lines(struct buf *text, const struct buf *blob)
{
	size_t cap = sodium_base64_encoded_len(blob->len, sodium_base64_VARIANT_ORIGINAL);
	char *base64 = malloc(cap);

	if (!base64)
		abort();
	(void)sodium_bin2base64(base64, cap, blob->data, blob->len, sodium_base64_VARIANT_ORIGINAL);
	for (size_t at = 0; at < cap - 1; at += 76) {
		buf_put(text, base64 + at, cap - 1 - at < 76 ? cap - 1 - at : 76);
		buf_put_u8(text, '\n');
	}
	free(base64);
}

static void try_fields(const uint8_t *data, size_t size)
{
	enum role role = (enum role)(data[0] % 4 + 1);
	struct buf blob = {0}, text = {0};
	struct err err = {0};
	struct id sum;

	header_put(&blob, OBJECT_KEYFILE, (uint8_t)role);
	buf_put_zeros(&blob, REPO_ID_BYTES);
	buf_put(&blob, data + 1, size - 1);
	if (sha256_of(blob.data, blob.len, &sum, &err) != 0)
		abort();
	buf_put(&blob, sum.b, 8);
	buf_put(&text, "nightjar-key-1 ", 15);
	buf_put(&text, role_name(role), strlen(role_name(role)));
	buf_put_u8(&text, '\n');
	put_lines(&text, &blob);
	try_text(text.data, text.len);
	buf_free(&blob);
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_text(data, size);
	if (size)
		try_fields(data, size);
	return 0;
}
