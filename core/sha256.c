#include "core/sha256.h"

#include <stdlib.h>

#include <sodium.h>

#define BLOCK_BYTES 64

/*
 * The two libraries differ only in start, update and finish; all else is written once below. libcrypto
 * finds an algorithm's implementation when a context is first started, and that is slow; starting
 * again without naming one keeps it, which is why an HMAC uses one context twice.
 */
#ifdef HAVE_LIBCRYPTO

#include <openssl/evp.h>

#if OPENSSL_VERSION_NUMBER >= 0x30000000L
#include <stdatomic.h>

/*
 * In a library context of our own: where there is no memory for libcrypto's default one it says nothing and every use of it crashes,
 * while a new one that cannot be made is simply not there. Found once; the first of two threads to find it wins.
 */
static const EVP_MD *algorithm(void)
{
	static _Atomic(EVP_MD *) found;
	EVP_MD *md = atomic_load(&found), *other = NULL;
	OSSL_LIB_CTX *library;

	if (md)
		return md;
	library = OSSL_LIB_CTX_new();
	md = library ? EVP_MD_fetch(library, "SHA256", NULL) : NULL;
	if (md && atomic_compare_exchange_strong(&found, &other, md))
		return md;
	EVP_MD_free(md);
	OSSL_LIB_CTX_free(library);
	return other;
}
#else
static const EVP_MD *algorithm(void)
{
	return EVP_sha256();
}
#endif

struct sha256 {
	EVP_MD_CTX *md;
};

static int failed(struct err *err)
{
	return err_set(err, ERR_NOMEM, "SHA-256 failed: out of memory");
}

static int restart(struct sha256 *ctx, struct err *err)
{
	return EVP_DigestInit_ex(ctx->md, NULL, NULL) == 1 ? 0 : failed(err);
}

int sha256_new(struct sha256 **out_ctx, struct err *err)
{
	struct sha256 *ctx = calloc(1, sizeof(*ctx));
	const EVP_MD *md;

	*out_ctx = NULL;
	if (!ctx)
		return err_nomem(err);
	md = algorithm();
	ctx->md = md ? EVP_MD_CTX_new() : NULL;
	if (!ctx->md || EVP_DigestInit_ex(ctx->md, md, NULL) != 1) {
		sha256_free(ctx);
		return failed(err);
	}
	*out_ctx = ctx;
	return 0;
}

int sha256_update(struct sha256 *ctx, const void *bytes, size_t len, struct err *err)
{
	return EVP_DigestUpdate(ctx->md, bytes, len) == 1 ? 0 : failed(err);
}

int sha256_final(struct sha256 *ctx, struct id *out_digest, struct err *err)
{
	return EVP_DigestFinal_ex(ctx->md, out_digest->b, NULL) == 1 ? 0 : failed(err);
}

void sha256_free(struct sha256 *ctx)
{
	if (!ctx)
		return;
	EVP_MD_CTX_free(ctx->md); /* wipes its state */
	free(ctx);
}

int sha256_of(const void *bytes, size_t len, struct id *out_digest, struct err *err)
{
	const EVP_MD *md = algorithm();

	return md && EVP_Digest(bytes, len, out_digest->b, NULL, md, NULL) == 1 ? 0 : failed(err);
}

#else

struct sha256 {
	crypto_hash_sha256_state state;
};

static int restart(struct sha256 *ctx, struct err *err)
{
	(void)err;
	(void)crypto_hash_sha256_init(&ctx->state);
	return 0;
}

int sha256_new(struct sha256 **out_ctx, struct err *err)
{
	struct sha256 *ctx = calloc(1, sizeof(*ctx));

	*out_ctx = ctx;
	return ctx ? restart(ctx, err) : err_nomem(err);
}

int sha256_update(struct sha256 *ctx, const void *bytes, size_t len, struct err *err)
{
	(void)err;
	(void)crypto_hash_sha256_update(&ctx->state, bytes, len);
	return 0;
}

int sha256_final(struct sha256 *ctx, struct id *out_digest, struct err *err)
{
	(void)err;
	(void)crypto_hash_sha256_final(&ctx->state, out_digest->b);
	return 0;
}

void sha256_free(struct sha256 *ctx)
{
	if (!ctx)
		return;
	sodium_memzero(ctx, sizeof(*ctx));
	free(ctx);
}

int sha256_of(const void *bytes, size_t len, struct id *out_digest, struct err *err)
{
	(void)err;
	(void)crypto_hash_sha256(out_digest->b, bytes, len);
	return 0;
}

#endif

static int put_pad(struct sha256 *ctx, const uint8_t key[32], uint8_t with, struct err *err)
{
	uint8_t pad[BLOCK_BYTES];
	int rc;

	for (size_t i = 0; i < BLOCK_BYTES; i++)
		pad[i] = (uint8_t)((i < 32 ? key[i] : 0) ^ with);
	rc = sha256_update(ctx, pad, sizeof(pad), err);
	sodium_memzero(pad, sizeof(pad));
	return rc;
}

/* RFC 2104 by hand: libcrypto's own HMAC costs several times the hashing of a short input to set up. */
int hmac256_of(const uint8_t key[32], const struct hmac_part *parts, size_t count,
	       struct id *out_mac, struct err *err)
{
	struct sha256 *ctx = NULL;
	struct id inner;
	int rc = sha256_new(&ctx, err);

	if (rc == 0)
		rc = put_pad(ctx, key, 0x36, err);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = sha256_update(ctx, parts[i].p, parts[i].len, err);
	if (rc == 0)
		rc = sha256_final(ctx, &inner, err);
	if (rc == 0)
		rc = restart(ctx, err);
	if (rc == 0)
		rc = put_pad(ctx, key, 0x5c, err);
	if (rc == 0)
		rc = sha256_update(ctx, inner.b, sizeof(inner.b), err);
	if (rc == 0)
		rc = sha256_final(ctx, out_mac, err);
	sha256_free(ctx);
	return rc;
}
