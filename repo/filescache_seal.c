#include "repo/filescache_seal.h"

#include <sodium.h>

#include "core/seal.h"
#include "core/sha256.h"

#define SALT_BYTES 32

static int bucket_key(const uint8_t seal_key[32], const uint8_t *salt, struct id *out_key,
		      struct err *err)
{
	const struct hmac_part parts[] = {{"bucket", 6}, {salt, SALT_BYTES}};

	return hmac256_of(seal_key, parts, 2, out_key, err);
}

int filescache_seal(const uint8_t seal_key[32], const uint8_t repo[REPO_ID_BYTES],
		    const struct buf *plain, struct buf *out, struct err *err)
{
	uint8_t salt[SALT_BYTES];
	struct id key;
	int r;

	randombytes_buf(salt, sizeof(salt));
	r = bucket_key(seal_key, salt, &key, err);
	buf_put(out, salt, sizeof(salt));
	if (!r)
		r = seal_put(key.b, 0, repo, REPO_ID_BYTES, plain->data, plain->len, out, err);
	sodium_memzero(&key, sizeof(key));
	return r ? r : buf_check(out, err);
}

int filescache_unseal(const uint8_t seal_key[32], const uint8_t repo[REPO_ID_BYTES],
		      const uint8_t *row, size_t len, struct buf *out_plain, struct err *err)
{
	struct id key;
	int r;

	if (len < SALT_BYTES)
		return err_set(err, ERR_DAMAGED, "a bucket of the files cache is cut short");
	r = bucket_key(seal_key, row, &key, err);
	if (!r)
		r = seal_get(key.b, 0, repo, REPO_ID_BYTES, row + SALT_BYTES, len - SALT_BYTES,
			     "a bucket of the files cache", out_plain, err);
	sodium_memzero(&key, sizeof(key));
	return r;
}
