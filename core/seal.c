#include "core/seal.h"

#include <stdbool.h>

#include <sodium.h>

static void nonce_of(uint64_t counter, uint8_t out_nonce[24])
{
	for (size_t i = 0; i < 24; i++)
		out_nonce[i] = (uint8_t)((i < 8 ? counter >> (8 * i) : 0) & 0xff);
}

/* Callers bind what they wrote so far, so the data often lies in the buffer that grows here and may move. */
static bool lies_in(const struct buf *out, const void *p)
{
	uintptr_t at = (uintptr_t)p, from = (uintptr_t)out->data;

	return p && out->data && at >= from && at - from <= out->len;
}

int seal_put(const uint8_t key[32], uint64_t counter, const void *ad, size_t ad_len,
	     const void *plain, size_t len, struct buf *out, struct err *err)
{
	bool inside = lies_in(out, ad);
	size_t ad_at = inside ? (size_t)((uintptr_t)ad - (uintptr_t)out->data) : 0;
	uint8_t nonce[24], *at;

	if (len > SIZE_MAX - SEAL_TAG_BYTES)
		return err_nomem(err);
	at = buf_extend(out, len + SEAL_TAG_BYTES);
	if (!at)
		return err_nomem(err);
	nonce_of(counter, nonce);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(
	    at, NULL, plain, len, inside ? out->data + ad_at : ad, ad_len, NULL, nonce, key);
	return 0;
}

int seal_get(const uint8_t key[32], uint64_t counter, const void *ad, size_t ad_len,
	     const void *sealed, size_t len, const char *what, struct buf *out, struct err *err)
{
	uint8_t nonce[24], *at;

	if (len < SEAL_TAG_BYTES)
		return err_set(err, ERR_DAMAGED, "%s is cut short", what);
	at = buf_extend(out, len - SEAL_TAG_BYTES);
	if (!at)
		return err_nomem(err);
	nonce_of(counter, nonce);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(at, NULL, NULL, sealed, len, ad, ad_len,
						       nonce, key) != 0) {
		out->len -= len - SEAL_TAG_BYTES;
		return err_set(err, ERR_DAMAGED, "%s is damaged or was changed", what);
	}
	return 0;
}
