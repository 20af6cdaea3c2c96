#include "core/indexseg.h"

#include <stdlib.h>

#include <sodium.h>

#include "core/limits.h"
#include "core/seal.h"
#include "core/sign.h"

#define KIND_WRITER 1
#define KIND_GC 2
#define KEY_BYTES 32
#define NONCE_BYTES 24
#define NONCE_AT (HEADER_BYTES + REPO_ID_BYTES + 32 + 4)
#define DOMAIN_KEY_BYTES (KEY_BYTES + SEAL_TAG_BYTES)
#define DOMAIN_KEY_AT (NONCE_AT + NONCE_BYTES)
#define BOX_BYTES (KEY_BYTES + crypto_box_SEALBYTES)
#define BOX_AT (DOMAIN_KEY_AT + DOMAIN_KEY_BYTES)
#define BODY_AT (BOX_AT + BOX_BYTES)
#define AROUND_BYTES (BODY_AT + SEAL_TAG_BYTES + SIGN_BYTES)
/* Name, length, slot count, one slot, no sources, no entries. */
#define PACK_MIN_BYTES (ID_BYTES + 8 + 2 + SLOT_BYTES + 2 + 4)

void indexseg_free(struct indexseg *seg)
{
	for (size_t i = 0; i < seg->pack_count; i++)
		pack_dir_free(&seg->packs[i].dir);
	free(seg->packs);
	*seg = (struct indexseg){0};
}

void indexseg_packs_put(struct buf *b, const struct indexseg_pack *const *packs, size_t count)
{
	buf_put_u32(b, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		buf_put(b, packs[i]->name.b, ID_BYTES);
		buf_put_u64(b, packs[i]->pack_bytes);
		buf_put_u16(b, (uint16_t)packs[i]->dir.slot_count);
		for (size_t j = 0; j < packs[i]->dir.slot_count; j++)
			slot_put(b, &packs[i]->dir.slots[j]);
		pack_dir_put(b, &packs[i]->dir);
	}
}

static int pack_get(struct rd *r, struct indexseg_pack *pack, struct err *err)
{
	char hex[ID_HEX_CHARS + 1];
	size_t slots;
	int rc;

	rd_copy(r, pack->name.b, ID_BYTES);
	pack->pack_bytes = rd_u64(r);
	slots = rd_u16(r);
	rc = pack_slots_get(r, slots, &pack->dir, err);
	if (!rc)
		rc = pack_dir_get(r, pack->pack_bytes, &pack->dir, err);
	if (rc) {
		id_hex(&pack->name, hex);
		return err_prefix(err, "pack %.*s", ID_SHORT_CHARS, hex);
	}
	return 0;
}

int indexseg_packs_get(struct rd *r, struct indexseg *seg, struct err *err)
{
	size_t count = rd_u32(r);

	if (r->bad || count > r->left / PACK_MIN_BYTES)
		return err_set(err, ERR_DAMAGED, "an index segment is cut short");
	seg->packs = calloc(count ? count : 1, sizeof(*seg->packs));
	if (!seg->packs)
		return err_nomem(err);
	seg->pack_count = count;
	for (size_t i = 0; i < count; i++) {
		int rc = pack_get(r, &seg->packs[i], err);

		if (rc)
			return rc;
		if (i && id_cmp(&seg->packs[i - 1].name, &seg->packs[i].name) >= 0)
			return err_set(err, ERR_DAMAGED,
				       "the packs of an index segment are not in order");
	}
	return 0;
}

static int cmp_packs(const void *a, const void *b)
{
	const struct indexseg_pack *const *x = a, *const *y = b;

	return id_cmp(&(*x)->name, &(*y)->name);
}

static int put_sorted(const struct indexseg_pack *packs, size_t count, struct buf *body,
		      struct err *err)
{
	const struct indexseg_pack **sorted = calloc(count ? count : 1, sizeof(*sorted));
	int rc = 0;

	if (!sorted)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++)
		sorted[i] = &packs[i];
	qsort(sorted, count, sizeof(*sorted), cmp_packs);
	for (size_t i = 1; i < count && !rc; i++) {
		if (id_eq(&sorted[i - 1]->name, &sorted[i]->name))
			rc = err_set(err, ERR_USAGE, "a pack twice in an index segment");
	}
	if (!rc) {
		indexseg_packs_put(body, sorted, count);
		rc = buf_check(body, err);
	}
	free(sorted);
	return rc;
}

/* Zeros up to where the whole object is a bucket. */
static int pad(struct buf *body, unsigned floor_log2, struct err *err)
{
	uint64_t whole = bucket_bytes(AROUND_BYTES + body->len, floor_log2);

	if (whole > LIMIT_INDEX_BYTES)
		return err_set(err, ERR_LIMIT, "an index segment of %llu bytes is too large",
			       (unsigned long long)whole);
	buf_put_zeros(body, (size_t)whole - AROUND_BYTES - body->len);
	return buf_check(body, err);
}

struct signer {
	uint8_t kind;
	const uint8_t *pub, *secret;
};

/* Everything in front of the body. */
static int put_front(const struct keys *keys, const struct signer *signer,
		     const struct domain_keys *domain, const uint8_t key[KEY_BYTES], struct buf *b,
		     struct err *err)
{
	uint8_t nonce[NONCE_BYTES], for_domain[DOMAIN_KEY_BYTES], for_maint[BOX_BYTES];
	int rc;

	header_put(b, OBJECT_INDEX, signer->kind);
	buf_put(b, keys->repo, REPO_ID_BYTES);
	buf_put(b, signer->pub, 32);
	buf_put_u32(b, domain->number);
	rc = buf_check(b, err);
	if (rc)
		return rc;
	randombytes_buf(nonce, sizeof(nonce));
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(for_domain, NULL, key, KEY_BYTES, b->data,
							 NONCE_AT, NULL, nonce, domain->index_key);
	if (crypto_box_seal(for_maint, key, KEY_BYTES, keys->maint_pub) != 0)
		return err_set(err, ERR_KEY, "the maintenance key is not a usable public key");
	buf_put(b, nonce, sizeof(nonce));
	buf_put(b, for_domain, sizeof(for_domain));
	buf_put(b, for_maint, sizeof(for_maint));
	return buf_check(b, err);
}

static int seal_body(const struct keys *keys, const struct signer *signer,
		     const struct domain_keys *domain, const struct buf *body, struct buf *b,
		     struct err *err)
{
	uint8_t key[KEY_BYTES];
	struct buf sealed = {0};
	int rc;

	randombytes_buf(key, sizeof(key));
	rc = put_front(keys, signer, domain, key, b, err);
	if (!rc)
		rc = seal_put(key, 0, b->data, b->len, body->data, body->len, &sealed, err);
	sodium_memzero(key, sizeof(key));
	buf_put(b, sealed.data, rc ? 0 : sealed.len);
	buf_free(&sealed);
	return rc ? rc : buf_check(b, err);
}

static int enc(struct keys *keys, const struct signer *signer, uint32_t domain,
	       const struct indexseg_pack *packs, size_t count, unsigned floor_log2,
	       struct buf *out, struct err *err)
{
	const struct domain_keys *dk = keys_domain(keys, domain, err);
	struct buf body = {0}, b = {0};
	int rc;

	if (!dk)
		return -err->code;
	rc = put_sorted(packs, count, &body, err);
	if (!rc)
		rc = pad(&body, floor_log2, err);
	if (!rc)
		rc = seal_body(keys, signer, dk, &body, &b, err);
	if (!rc)
		rc = sign_append(&b, "index", signer->secret, err);
	if (!rc) {
		buf_put(out, b.data, b.len);
		rc = buf_check(out, err);
	}
	buf_wipe(&body);
	buf_free(&b);
	return rc;
}

int indexseg_enc(struct keys *keys, uint32_t domain, const struct indexseg_pack *packs,
		 size_t count, unsigned floor_log2, struct buf *out, struct err *err)
{
	const struct signer writer = {KIND_WRITER, keys->writer_pub, keys->writer_secret};

	if (!keys->has_writer || !keys->has_maint_pub)
		return err_set(err, ERR_KEY, "storing needs a key with the role full or write");
	return enc(keys, &writer, domain, packs, count, floor_log2, out, err);
}

int indexseg_enc_gc(struct keys *keys, uint32_t domain, const struct indexseg_pack *packs,
		    size_t count, unsigned floor_log2, struct buf *out, struct err *err)
{
	const struct signer gc = {KIND_GC, keys->gc_pub, keys->gc_secret};

	if (!keys->has_gc_secret || !keys->has_maint_pub)
		return err_set(err, ERR_KEY,
			       "writing the index anew needs a full or maintain key; this is a %s "
			       "key",
			       role_name(keys->role));
	return enc(keys, &gc, domain, packs, count, floor_log2, out, err);
}

/*
 * M's copy of the key first: who holds M's secret needs no domain, and a full key need not derive one for every
 * number that a segment by an unknown signer may name.
 */
static int open_key(struct keys *keys, const uint8_t *bytes, uint32_t domain,
		    uint8_t out_key[KEY_BYTES], struct err *err)
{
	const struct domain_keys *dk;

	if (keys->has_maint_secret && keys->has_maint_pub) {
		if (crypto_box_seal_open(out_key, bytes + BOX_AT, BOX_BYTES, keys->maint_pub,
					 keys->maint_secret) != 0)
			return err_set(err, ERR_DAMAGED, "an index segment's key does not open");
		return 0;
	}
	dk = keys_domain(keys, domain, err);
	if (!dk)
		return -err->code;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(out_key, NULL, NULL, bytes + DOMAIN_KEY_AT,
						       DOMAIN_KEY_BYTES, bytes, NONCE_AT,
						       bytes + NONCE_AT, dk->index_key) != 0)
		return err_set(err, ERR_DAMAGED, "an index segment's key does not open");
	return 0;
}

static int front_get(const struct keys *keys, const uint8_t *bytes, size_t len,
		     struct indexseg *seg, struct err *err)
{
	struct rd r = rd_of(bytes, len);
	uint8_t repo[REPO_ID_BYTES];
	int rc = header_get(&r, OBJECT_INDEX, &seg->kind, err);

	if (rc)
		return rc;
	if (seg->kind != KIND_WRITER && seg->kind != KIND_GC)
		return err_set(err, ERR_DAMAGED, "an index segment of unknown kind %d", seg->kind);
	if (len > LIMIT_INDEX_BYTES)
		return err_set(err, ERR_LIMIT, "an index segment of %zu bytes is too large", len);
	if (len < AROUND_BYTES || bucket_bytes(len, 12) != len)
		return err_set(err, ERR_DAMAGED, "an index segment is cut short");
	rd_copy(&r, repo, sizeof(repo));
	rd_copy(&r, seg->signer, sizeof(seg->signer));
	seg->domain = rd_u32(&r);
	if (sodium_memcmp(repo, keys->repo, sizeof(repo)) != 0)
		return err_set(err, ERR_DAMAGED, "an index segment belongs to another repository");
	return sign_check(bytes, len, "index", seg->signer, err);
}

static int body_get(const uint8_t key[KEY_BYTES], const uint8_t *bytes, size_t len,
		    struct indexseg *seg, struct err *err)
{
	struct buf body = {0};
	struct rd r;
	int rc = seal_get(key, 0, bytes, BODY_AT, bytes + BODY_AT, len - BODY_AT - SIGN_BYTES,
			  "an index segment", &body, err);

	if (!rc) {
		r = rd_of(body.data, body.len);
		rc = indexseg_packs_get(&r, seg, err);
	}
	if (!rc && !rd_zeros_to_end(&r))
		rc = err_set(err, ERR_DAMAGED, "the padding of an index segment is not zero");
	buf_wipe(&body);
	return rc;
}

int indexseg_dec(struct keys *keys, const void *bytes, size_t len, struct indexseg *out_seg,
		 struct err *err)
{
	struct indexseg seg = {0};
	uint8_t key[KEY_BYTES];
	int rc = front_get(keys, bytes, len, &seg, err);

	if (!rc)
		rc = open_key(keys, bytes, seg.domain, key, err);
	if (!rc)
		rc = body_get(key, bytes, len, &seg, err);
	sodium_memzero(key, sizeof(key));
	if (rc) {
		indexseg_free(&seg);
		return rc;
	}
	*out_seg = seg;
	return 0;
}
