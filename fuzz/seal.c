/* u8: how long the AD is; AD, plaintext. What was sealed opens, cut short or changed in either it does not; and so for a signature. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/seal.h"
#include "core/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[32] = {1};

static int opens(const struct buf *b, size_t ad_len, size_t len)
{
	struct buf out = {0};
	struct err err = {0};
	int rc = seal_get(key, 5, b->data, ad_len, b->data + ad_len, len, "it", &out, &err);

	if (rc && (out.len || err.code != ERR_DAMAGED))
		abort();
	buf_free(&out);
	return rc == 0;
}

static void seal(const uint8_t *ad, size_t ad_len, const uint8_t *plain, size_t len)
{
	struct buf b = {0}, out = {0};
	struct err err = {0};
	size_t sealed = len + SEAL_TAG_BYTES, at;

	buf_put(&b, ad, ad_len);
	/* The AD lies in the buffer that grows. */
	if (seal_put(key, 5, b.data, ad_len, plain, len, &b, &err) ||
	    seal_get(key, 5, b.data, ad_len, b.data + ad_len, sealed, "it", &out, &err) ||
	    out.len != len || (len && memcmp(out.data, plain, len) != 0))
		abort();
	if (opens(&b, ad_len, sealed - 1) || (ad_len && opens(&b, ad_len - 1, sealed)))
		abort();
	at = (ad_len + len * 31) % b.len;
	b.data[at] ^= 0x10;
	if (opens(&b, ad_len, sealed))
		abort();
	buf_free(&b);
	buf_free(&out);
}

static void sign(const uint8_t *bytes, size_t len)
{
	uint8_t pub[32], secret[64];
	static const uint8_t seed[32] = {9};
	struct buf b = {0};
	struct err err = {0};

	(void)crypto_sign_seed_keypair(pub, secret, seed);
	buf_put(&b, bytes, len);
	if (sign_append(&b, "retire", secret, &err) || b.len != len + SIGN_BYTES ||
	    sign_check(b.data, b.len, "retire", pub, &err))
		abort();
	if (sign_check(b.data, b.len, "tag", pub, &err) == 0 ||
	    sign_check(bytes, len, "retire", pub, &err) == 0)
		abort();
	b.data[len * 17 % b.len] ^= 1;
	if (sign_check(b.data, b.len, "retire", pub, &err) == 0)
		abort();
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t ad_len;

	if (size == 0)
		return 0;
	ad_len = data[0] < size ? data[0] : size - 1;
	seal(data + 1, ad_len, data + 1 + ad_len, size - 1 - ad_len);
	sign(data, size);
	return 0;
}
