/* A config: the input as it is, then its first bytes with a valid signature. What decodes must encode to the same. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/repoconf.h"
#include "core/sign.h"

#define OWNER_AT 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_config(const uint8_t *data, size_t size, const uint8_t secret[64])
{
	struct repoconf conf;
	struct buf again = {0};
	struct err err = {0};

	if (repoconf_dec(data, size, &conf, &err) != 0 ||
	    memcmp(conf.owner_pub, secret + 32, 32) != 0)
		return;
	if (repoconf_enc(&conf, secret, &again, &err) != 0 || again.len != size ||
	    memcmp(again.data, data, size) != 0)
		abort();
	buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[32] = {1};
	uint8_t pub[32], secret[64];
	struct buf b = {0};
	struct err err = {0};

	(void)crypto_sign_seed_keypair(pub, secret, seed);
	try_config(data, size, secret);
	buf_put(&b, data, size);
	if (b.len >= OWNER_AT + 32)
		memcpy(b.data + OWNER_AT, pub, 32);
	if (sign_append(&b, "config", secret, &err) != 0)
		abort();
	try_config(b.data, b.len, secret);
	buf_free(&b);
	return 0;
}
