#include "core/indexseg.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/limits.h"
#include "core/seal.h"
#include "core/sign.h"

#define KIND_WRITER 1
#define KIND_GC 2
#define KEY_BYTES 32
#define SALT_BYTES 32
#define NONCE_BYTES INDEXSEG_NONCE_BYTES
#define NONCE_AT (HEADER_BYTES + REPO_ID_BYTES + 32 + 4)
#define WRAP_BYTES (NONCE_BYTES + INDEXSEG_DOMAIN_KEY_BYTES + INDEXSEG_BOX_BYTES)
#define WRITER_BODY_AT (NONCE_AT + WRAP_BYTES)
#define GC_BODY_AT (WRITER_BODY_AT + 32 + SALT_BYTES)
#define AROUND_BYTES(body_at) ((body_at) + SEAL_TAG_BYTES + SIGN_BYTES)
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
static int pad(struct buf *body, size_t around, unsigned floor_log2, struct err *err)
{
	uint64_t whole = bucket_fine_bytes(around + body->len, floor_log2);

	if (whole > LIMIT_INDEX_BYTES)
		return err_set(err, ERR_LIMIT, "an index segment of %llu bytes is too large",
			       (unsigned long long)whole);
	buf_put_zeros(body, (size_t)whole - around - body->len);
	return buf_check(body, err);
}

static int front_put(struct buf *b, uint8_t kind, const uint8_t repo[REPO_ID_BYTES],
		     const uint8_t signer[32], uint32_t domain, struct err *err)
{
	header_put(b, OBJECT_INDEX, kind);
	buf_put(b, repo, REPO_ID_BYTES);
	buf_put(b, signer, 32);
	buf_put_u32(b, domain);
	return buf_check(b, err);
}

static void wrap_put(struct buf *b, const struct indexseg_wrap *wrap)
{
	buf_put(b, wrap->nonce, sizeof(wrap->nonce));
	buf_put(b, wrap->for_domain, sizeof(wrap->for_domain));
	buf_put(b, wrap->for_maint, sizeof(wrap->for_maint));
}

/* ad: the NONCE_AT bytes in front of the nonce, in the segment of the writer that made the key. */
static int wrap_make(const struct keys *keys, const struct domain_keys *domain,
		     const uint8_t writer[32], const uint8_t key[KEY_BYTES], const uint8_t *ad,
		     struct indexseg_wrap *out, struct err *err)
{
	memcpy(out->writer, writer, sizeof(out->writer));
	randombytes_buf(out->nonce, sizeof(out->nonce));
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(out->for_domain, NULL, key, KEY_BYTES, ad,
							 NONCE_AT, NULL, out->nonce,
							 domain->index_key);
	if (crypto_box_seal(out->for_maint, key, KEY_BYTES, keys->maint_pub) != 0)
		return err_set(err, ERR_KEY, "the maintenance key is not a usable public key");
	return 0;
}

/*
 * M's copy of the key first: who holds M's secret needs no domain, and a full key need not derive one for every
 * number that a segment by an unknown signer may name.
 */
static int wrap_open(struct keys *keys, uint32_t domain, const struct indexseg_wrap *wrap,
		     uint8_t out_key[KEY_BYTES], struct err *err)
{
	const struct domain_keys *dk;
	struct buf ad = {0};
	int rc;

	if (keys->has_maint_secret && keys->has_maint_pub) {
		if (crypto_box_seal_open(out_key, wrap->for_maint, sizeof(wrap->for_maint),
					 keys->maint_pub, keys->maint_secret) != 0)
			return err_set(err, ERR_DAMAGED, "an index segment's key does not open");
		return 0;
	}
	dk = keys_domain(keys, domain, err);
	if (!dk)
		return -err->code;
	rc = front_put(&ad, KIND_WRITER, keys->repo, wrap->writer, domain, err);
	if (!rc && crypto_aead_xchacha20poly1305_ietf_decrypt(
		       out_key, NULL, NULL, wrap->for_domain, sizeof(wrap->for_domain), ad.data,
		       ad.len, wrap->nonce, dk->index_key) != 0)
		rc = err_set(err, ERR_DAMAGED, "an index segment's key does not open");
	buf_free(&ad);
	return rc;
}

/* One wrapped key serves many segments of G; a salt makes each body's key another. */
static void gc_key(uint8_t key[KEY_BYTES], const uint8_t salt[SALT_BYTES])
{
	crypto_generichash_state state;

	(void)crypto_generichash_init(&state, key, KEY_BYTES, KEY_BYTES);
	(void)crypto_generichash_update(&state, (const uint8_t *)"nightjar gc index v1", 20);
	(void)crypto_generichash_update(&state, salt, SALT_BYTES);
	(void)crypto_generichash_final(&state, key, KEY_BYTES);
	sodium_memzero(&state, sizeof(state));
	sodium_stackzero(KEYS_STACK_BYTES);
}

/* b holds what is in front of the body. Seals the packs, signs, and appends all to out. */
static int finish(const uint8_t key[KEY_BYTES], const struct indexseg_pack *packs, size_t count,
		  unsigned floor_log2, const uint8_t secret[64], struct buf *b, struct buf *out,
		  struct err *err)
{
	struct buf body = {0}, sealed = {0};
	int rc = put_sorted(packs, count, &body, err);

	if (!rc)
		rc = pad(&body, AROUND_BYTES(b->len), floor_log2, err);
	if (!rc)
		rc = seal_put(key, 0, b->data, b->len, body.data, body.len, &sealed, err);
	buf_put(b, sealed.data, rc ? 0 : sealed.len);
	if (!rc)
		rc = sign_append(b, "index", secret, err);
	if (!rc) {
		buf_put(out, b->data, b->len);
		rc = buf_check(out, err);
	}
	buf_wipe(&body);
	buf_free(&sealed);
	return rc;
}

int indexseg_enc(struct keys *keys, uint32_t domain, const struct indexseg_pack *packs,
		 size_t count, unsigned floor_log2, struct buf *out, struct err *err)
{
	const struct domain_keys *dk;
	struct indexseg_wrap wrap;
	uint8_t key[KEY_BYTES];
	struct buf b = {0};
	int rc;

	if (!keys->has_writer || !keys->has_maint_pub)
		return err_set(err, ERR_KEY, "storing needs a key with the role full or write");
	dk = keys_domain(keys, domain, err);
	if (!dk)
		return -err->code;
	randombytes_buf(key, sizeof(key));
	rc = front_put(&b, KIND_WRITER, keys->repo, keys->writer_pub, domain, err);
	if (!rc)
		rc = wrap_make(keys, dk, keys->writer_pub, key, b.data, &wrap, err);
	if (!rc) {
		wrap_put(&b, &wrap);
		rc = buf_check(&b, err);
	}
	if (!rc)
		rc = finish(key, packs, count, floor_log2, keys->writer_secret, &b, out, err);
	sodium_memzero(key, sizeof(key));
	buf_free(&b);
	return rc;
}

int indexseg_wrap_new(struct keys *keys, uint32_t domain, struct indexseg_wrap *out_wrap,
		      struct err *err)
{
	const struct domain_keys *dk = keys_domain(keys, domain, err);
	uint8_t key[KEY_BYTES];
	struct buf ad = {0};
	int rc;

	if (!dk)
		return -err->code;
	if (!keys->has_gc_secret || !keys->has_maint_pub)
		return err_set(err, ERR_KEY, "this needs a full key; this is a %s key",
			       role_name(keys->role));
	randombytes_buf(key, sizeof(key));
	/* As a writer's is, with G in the writer's place. */
	rc = front_put(&ad, KIND_WRITER, keys->repo, keys->gc_pub, domain, err);
	if (!rc)
		rc = wrap_make(keys, dk, keys->gc_pub, key, ad.data, out_wrap, err);
	sodium_memzero(key, sizeof(key));
	buf_free(&ad);
	return rc;
}

int indexseg_enc_gc(struct keys *keys, uint32_t domain, const struct indexseg_wrap *wrap,
		    const struct indexseg_pack *packs, size_t count, unsigned floor_log2,
		    struct buf *out, struct err *err)
{
	uint8_t key[KEY_BYTES], salt[SALT_BYTES];
	struct buf b = {0};
	int rc;

	if (!keys->has_gc_secret)
		return err_set(err, ERR_KEY, "this needs a full or maintain key; this is a %s key",
			       role_name(keys->role));
	rc = wrap_open(keys, domain, wrap, key, err);
	if (rc)
		return rc;
	randombytes_buf(salt, sizeof(salt));
	gc_key(key, salt);
	rc = front_put(&b, KIND_GC, keys->repo, keys->gc_pub, domain, err);
	if (!rc) {
		wrap_put(&b, wrap);
		buf_put(&b, wrap->writer, sizeof(wrap->writer));
		buf_put(&b, salt, sizeof(salt));
		rc = buf_check(&b, err);
	}
	if (!rc)
		rc = finish(key, packs, count, floor_log2, keys->gc_secret, &b, out, err);
	sodium_memzero(key, sizeof(key));
	buf_free(&b);
	return rc;
}

static size_t body_at(uint8_t kind)
{
	return kind == KIND_GC ? GC_BODY_AT : WRITER_BODY_AT;
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
	if (len < AROUND_BYTES(body_at(seg->kind)) || bucket_fine_bytes(len, 12) != len)
		return err_set(err, ERR_DAMAGED, "an index segment is cut short");
	rd_copy(&r, repo, sizeof(repo));
	rd_copy(&r, seg->signer, sizeof(seg->signer));
	seg->domain = rd_u32(&r);
	rd_copy(&r, seg->wrap.nonce, sizeof(seg->wrap.nonce));
	rd_copy(&r, seg->wrap.for_domain, sizeof(seg->wrap.for_domain));
	rd_copy(&r, seg->wrap.for_maint, sizeof(seg->wrap.for_maint));
	memcpy(seg->wrap.writer, seg->signer, sizeof(seg->wrap.writer));
	if (seg->kind == KIND_GC)
		rd_copy(&r, seg->wrap.writer, sizeof(seg->wrap.writer));
	if (sodium_memcmp(repo, keys->repo, sizeof(repo)) != 0)
		return err_set(err, ERR_DAMAGED, "an index segment belongs to another repository");
	return sign_check(bytes, len, "index", seg->signer, err);
}

static int body_get(const uint8_t key[KEY_BYTES], const uint8_t *bytes, size_t len,
		    struct indexseg *seg, struct err *err)
{
	size_t at = body_at(seg->kind);
	struct buf body = {0};
	struct rd r;
	int rc = seal_get(key, 0, bytes, at, bytes + at, len - at - SIGN_BYTES, "an index segment",
			  &body, err);

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
		rc = wrap_open(keys, seg.domain, &seg.wrap, key, err);
	if (!rc && seg.kind == KIND_GC)
		gc_key(key, (const uint8_t *)bytes + GC_BODY_AT - SALT_BYTES);
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
