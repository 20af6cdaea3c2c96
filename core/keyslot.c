#include "core/keyslot.h"

#include <string.h>

#include <sodium.h>

#include "core/keys.h"

#define KEYSLOT_BYTES 448
#define NONCE_AT 80 /* the sealed master binds all before */
#define SEALED_AT 104
#define LABEL_NONCE_AT 152 /* the sealed label binds all before */
#define LABEL_SEALED_AT 176
#define LABEL_BYTES 256
#define NONCE_BYTES 24
#define TAG_BYTES 16

/* The fields that are read before anything is known to be genuine. */
struct slot_head {
	uint8_t repo[REPO_ID_BYTES];
	uint32_t passes, memory_kib;
	uint8_t salt[16], commitment[32];
};

static int refused(struct err *err)
{
	return err_set(err, ERR_KEY, "wrong password or damaged key slot");
}

static int check_cost(uint32_t passes, uint32_t memory_kib, struct err *err)
{
	if (passes < LIMIT_KDF_MIN_PASSES || passes > LIMIT_KDF_MAX_PASSES ||
	    memory_kib < LIMIT_KDF_MIN_KIB || memory_kib > LIMIT_KDF_MAX_KIB)
		return err_set(err, ERR_LIMIT, "key slot asks for %u passes over %u KiB", passes,
			       memory_kib);
	return 0;
}

static int head_get(const void *bytes, size_t len, const uint8_t repo[REPO_ID_BYTES],
		    struct slot_head *out_head, struct err *err)
{
	struct rd r = rd_of(bytes, len);
	uint8_t kind;
	int rc = header_get(&r, OBJECT_KEYSLOT, &kind, err);

	if (rc != 0)
		return rc == -ERR_VERSION ? rc : refused(err);
	if (kind != 0 || len != KEYSLOT_BYTES)
		return refused(err);
	rd_copy(&r, out_head->repo, REPO_ID_BYTES);
	out_head->passes = rd_u32(&r);
	out_head->memory_kib = rd_u32(&r);
	rd_copy(&r, out_head->salt, sizeof(out_head->salt));
	rd_copy(&r, out_head->commitment, sizeof(out_head->commitment));
	if (memcmp(out_head->repo, repo, REPO_ID_BYTES) != 0)
		return err_set(err, ERR_KEY, "key slot of another repository");
	return check_cost(out_head->passes, out_head->memory_kib, err);
}

/* Gives key ‖ commitment. Without sodium_init Argon2id would run, but several times slower. */
static int stretch(const void *password, size_t len, const struct slot_head *head, uint8_t out[64],
		   struct err *err)
{
	if (len > LIMIT_PASSWORD_BYTES)
		return err_set(err, ERR_LIMIT, "password longer than %u bytes",
			       LIMIT_PASSWORD_BYTES);
	if (sodium_init() < 0)
		return err_set(err, ERR_IO, "libsodium does not start");
	if (crypto_pwhash(out, 64, len ? password : "", len, head->salt, head->passes,
			  (size_t)head->memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return err_set(err, ERR_NOMEM, "no memory for the key slot's %u KiB",
			       head->memory_kib);
	sodium_stackzero(KEYS_STACK_BYTES);
	return 0;
}

static void label_key(const uint8_t master[32], uint8_t out_key[32])
{
	(void)crypto_kdf_derive_from_key(out_key, 32, 4, "njkeys01", master);
	sodium_stackzero(KEYS_STACK_BYTES);
}

/* Appends a fresh nonce and what it seals; all of b before is bound. */
static int put_sealed(struct buf *b, const uint8_t key[32], const void *plain, size_t len,
		      struct err *err)
{
	size_t ad_len = b->len;
	uint8_t *nonce = buf_extend(b, NONCE_BYTES + len + TAG_BYTES);

	if (!nonce)
		return err_nomem(err);
	randombytes_buf(nonce, NONCE_BYTES);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + NONCE_BYTES, NULL, plain, len,
							 b->data, ad_len, NULL, nonce, key);
	return 0;
}

static int put_label(struct buf *b, const uint8_t master[32], const struct keyslot_label *label,
		     struct err *err)
{
	struct buf plain = {0};
	uint8_t key[32];
	int rc;

	buf_put_i64(&plain, label->created_at);
	buf_put_str16(&plain, label->user, strnlen(label->user, sizeof(label->user) - 1));
	buf_put_str16(&plain, label->host, strnlen(label->host, sizeof(label->host) - 1));
	buf_put_zeros(&plain, LABEL_BYTES - plain.len);
	rc = buf_check(&plain, err);
	if (rc == 0) {
		label_key(master, key);
		rc = put_sealed(b, key, plain.data, plain.len, err);
		sodium_memzero(key, sizeof(key));
	}
	buf_wipe(&plain);
	return rc;
}

static void put_head(struct buf *b, const struct slot_head *head)
{
	header_put(b, OBJECT_KEYSLOT, 0);
	buf_put(b, head->repo, REPO_ID_BYTES);
	buf_put_u32(b, head->passes);
	buf_put_u32(b, head->memory_kib);
	buf_put(b, head->salt, sizeof(head->salt));
	buf_put(b, head->commitment, sizeof(head->commitment));
}

int keyslot_enc(const uint8_t repo[REPO_ID_BYTES], const uint8_t master[32], const void *password,
		size_t password_len, const struct kdf_cost *cost, const struct keyslot_label *label,
		struct buf *out, struct err *err)
{
	struct slot_head head = {.passes = cost->passes ? cost->passes : 3,
				 .memory_kib = cost->memory_kib ? cost->memory_kib : 262144};
	struct buf b = {0};
	uint8_t stretched[64] = {0};
	int rc = check_cost(head.passes, head.memory_kib, err);

	if (rc != 0)
		return rc;
	memcpy(head.repo, repo, REPO_ID_BYTES);
	randombytes_buf(head.salt, sizeof(head.salt));
	rc = stretch(password, password_len, &head, stretched, err);
	if (rc != 0)
		goto out;
	memcpy(head.commitment, stretched + 32, 32);
	put_head(&b, &head);
	rc = put_sealed(&b, stretched, master, 32, err);
	if (rc == 0)
		rc = put_label(&b, master, label, err);
	if (rc == 0) {
		buf_put(out, b.data, b.len);
		rc = buf_check(out, err);
	}
out:
	sodium_memzero(stretched, sizeof(stretched));
	buf_free(&b);
	return rc;
}

/* The label is not looked at: a slot whose label has rotted still lets its owner in. */
int keyslot_open(const void *bytes, size_t len, const uint8_t repo[REPO_ID_BYTES],
		 const void *password, size_t password_len, uint8_t out_master[32], struct err *err)
{
	const uint8_t *p = bytes;
	struct slot_head head = {0};
	uint8_t stretched[64];
	int rc = head_get(bytes, len, repo, &head, err);

	if (rc != 0)
		return rc;
	rc = stretch(password, password_len, &head, stretched, err);
	if (rc == 0 && (sodium_memcmp(stretched + 32, head.commitment, 32) != 0 ||
			crypto_aead_xchacha20poly1305_ietf_decrypt(
			    out_master, NULL, NULL, p + SEALED_AT, 32 + TAG_BYTES, p, NONCE_AT,
			    p + NONCE_AT, stretched) != 0))
		rc = refused(err);
	sodium_memzero(stretched, sizeof(stretched));
	return rc;
}

/* False when the text does not fit or has a zero byte inside. */
static bool text_get(struct rd *r, char *out, size_t cap)
{
	struct span s = rd_str16(r);

	if (r->bad || s.len >= cap || (s.len && memchr(s.p, '\0', s.len)))
		return false;
	if (s.len)
		memcpy(out, s.p, s.len);
	out[s.len] = '\0';
	return true;
}

int keyslot_label_get(const void *bytes, size_t len, const uint8_t repo[REPO_ID_BYTES],
		      const uint8_t master[32], struct keyslot_label *out_label, struct err *err)
{
	const uint8_t *p = bytes;
	struct keyslot_label label = {0};
	struct slot_head head = {0};
	uint8_t key[32], plain[LABEL_BYTES] = {0};
	struct rd r = rd_of(plain, sizeof(plain));
	int rc = head_get(bytes, len, repo, &head, err);

	if (rc != 0)
		return rc;
	label_key(master, key);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, p + LABEL_SEALED_AT,
						       LABEL_BYTES + TAG_BYTES, p, LABEL_NONCE_AT,
						       p + LABEL_NONCE_AT, key) != 0)
		rc = err_set(err, ERR_KEY, "key slot is damaged or of another master key");
	sodium_memzero(key, sizeof(key));
	if (rc != 0)
		return rc;
	label.created_at = rd_i64(&r);
	if (!text_get(&r, label.user, sizeof(label.user)) ||
	    !text_get(&r, label.host, sizeof(label.host)) || !rd_zeros_to_end(&r))
		return err_set(err, ERR_DAMAGED, "key slot with a label that cannot be");
	*out_label = label;
	return 0;
}
