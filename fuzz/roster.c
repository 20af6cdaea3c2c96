/*
 * A roster: the input as it is, then its fields between a good header and a valid signature. What decodes must
 * encode to the same, and merging it with itself must change nothing.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/roster.h"
#include "core/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_same(const struct roster *r, const uint8_t *data, size_t size,
			const uint8_t secret[64])
{
	static const uint8_t repo[REPO_ID_BYTES];
	struct buf again = {0};
	struct err err = {0};

	if (roster_enc(r, repo, secret, &again, &err) != 0 || again.len != size ||
	    memcmp(again.data, data, size) != 0)
		abort();
	buf_free(&again);
}

static void try_roster(const uint8_t *data, size_t size, const uint8_t secret[64])
{
	static const uint8_t repo[REPO_ID_BYTES];
	struct roster r = {0}, merged = {0};
	struct err err = {0};

	if (roster_dec(data, size, repo, secret + 32, &r, &err) != 0)
		return;
	expect_same(&r, data, size, secret);
	if (roster_merge(&merged, &r, &err) != 0 || roster_merge(&merged, &r, &err) != 0)
		abort();
	expect_same(&merged, data, size, secret);
	roster_free(&merged);
	roster_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[32] = {1};
	uint8_t pub[32], secret[64];
	struct buf b = {0};
	struct err err = {0};

	(void)crypto_sign_seed_keypair(pub, secret, seed);
	try_roster(data, size, secret);
	header_put(&b, OBJECT_ROSTER, 0);
	buf_put_zeros(&b, REPO_ID_BYTES);
	buf_put(&b, data, size);
	buf_put(&b, pub, 32);
	if (sign_append(&b, "roster", secret, &err) != 0)
		abort();
	try_roster(b.data, b.len, secret);
	buf_free(&b);
	return 0;
}
