#include "core/record.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "core/limits.h"
#include "core/seal.h"
#include "core/sha256.h"
#include "core/slot.h"

#define AD_MAX (REPO_ID_BYTES + 1 + ID_BYTES + 4 + 3 + LIMIT_BASES * ID_BYTES)

bool chunk_kind_valid(uint8_t kind)
{
	return kind >= CHUNK_DATA && kind <= CHUNK_LIST_BODY;
}

uint8_t chunk_kind_recipient(uint8_t kind)
{
	return kind == CHUNK_TREE_LIST || kind == CHUNK_LIST ? SLOT_M : SLOT_R;
}

static const char *bases_fault(const struct record_info *info)
{
	for (size_t i = 0; i < info->base_count; i++) {
		if (id_eq(&info->bases[i], &info->id))
			return "itself as a base";
		for (size_t j = 0; j < i; j++) {
			if (id_eq(&info->bases[i], &info->bases[j]))
				return "a base twice";
		}
	}
	return NULL;
}

const char *record_info_fault(const struct record_info *info)
{
	bool delta = info->codec == CODEC_DELTA;

	if (!chunk_kind_valid(info->kind))
		return "an unknown kind";
	if (info->codec > CODEC_DELTA)
		return "an unknown codec";
	if (info->base_count > LIMIT_BASES)
		return "too many bases";
	if (delta != (info->base_count > 0) || delta != (info->depth > 0))
		return "codec, depth and bases that do not agree";
	if (info->plain_bytes > LIMIT_CHUNK_BYTES)
		return "a length that is too large";
	return bases_fault(info);
}

int record_id(const struct domain_keys *domain, uint8_t kind, const void *plain, size_t len,
	      struct id *out_id, struct err *err)
{
	const struct hmac_part parts[2] = {{&kind, 1}, {plain, len}};

	return hmac256_of(domain->id_key, parts, 2, out_id, err);
}

static size_t add_bytes(uint8_t *ad, size_t at, const void *bytes, size_t len)
{
	memcpy(ad + at, bytes, len);
	return at + len;
}

/* On the stack, not in a buf: this runs for every record. */
static size_t make_ad(const uint8_t repo[REPO_ID_BYTES], const struct record_info *info,
		      uint8_t ad[AD_MAX])
{
	size_t at = add_bytes(ad, 0, repo, REPO_ID_BYTES);

	ad[at++] = info->kind;
	at = add_bytes(ad, at, info->id.b, ID_BYTES);
	for (size_t i = 0; i < 4; i++)
		ad[at++] = (uint8_t)(info->plain_bytes >> (8 * i));
	ad[at++] = info->codec;
	ad[at++] = info->depth;
	ad[at++] = info->base_count;
	for (size_t i = 0; i < info->base_count; i++)
		at = add_bytes(ad, at, info->bases[i].b, ID_BYTES);
	return at;
}

int record_seal(const uint8_t slot_key[32], uint32_t counter, const uint8_t repo[REPO_ID_BYTES],
		const struct record_info *info, const void *compressed, size_t len, struct buf *out,
		struct err *err)
{
	const char *fault = record_info_fault(info);
	uint8_t ad[AD_MAX];

	if (!fault && counter == 0)
		fault = "the counter of a directory";
	if (fault)
		return err_set(err, ERR_USAGE, "a record to be sealed has %s", fault);
	if (len > LIMIT_RECORD_BYTES - SEAL_TAG_BYTES)
		return err_set(err, ERR_LIMIT, "a record of %zu bytes is too large", len);
	return seal_put(slot_key, counter, ad, make_ad(repo, info, ad), compressed, len, out, err);
}

static int check_id(const struct domain_keys *domain, const struct record_info *info,
		    const struct buf *out, size_t from, struct err *err)
{
	struct id id;
	int rc = record_id(domain, info->kind, out->data + from, out->len - from, &id, err);

	if (rc)
		return rc;
	if (!id_eq(&id, &info->id))
		return err_set(err, ERR_DAMAGED, "the bytes are those of another chunk");
	return 0;
}

static int unseal(const uint8_t slot_key[32], uint32_t counter, const uint8_t repo[REPO_ID_BYTES],
		  const struct record_info *info, const void *sealed, size_t len,
		  struct buf *out_compressed, struct err *err)
{
	const char *fault = record_info_fault(info);
	uint8_t ad[AD_MAX];

	if (!fault && counter == 0)
		fault = "the counter of a directory";
	if (fault)
		return err_set(err, ERR_DAMAGED, "the record has %s", fault);
	if (len > LIMIT_RECORD_BYTES)
		return err_set(err, ERR_DAMAGED, "a record of %zu bytes is too large", len);
	return seal_get(slot_key, counter, ad, make_ad(repo, info, ad), sealed, len, "the record",
			out_compressed, err);
}

int record_check(const uint8_t slot_key[32], uint32_t counter, const uint8_t repo[REPO_ID_BYTES],
		 const struct record_info *info, const void *sealed, size_t len, struct err *err)
{
	struct buf compressed = {0};
	int rc = unseal(slot_key, counter, repo, info, sealed, len, &compressed, err);

	buf_wipe(&compressed);
	return rc;
}

static int open_bytes(struct comp *comp, const uint8_t slot_key[32], uint32_t counter,
		      const uint8_t repo[REPO_ID_BYTES], const struct record_info *info,
		      const struct span *bases, const void *sealed, size_t len, struct buf *out,
		      struct err *err)
{
	struct buf compressed = {0};
	int rc = unseal(slot_key, counter, repo, info, sealed, len, &compressed, err);

	if (!rc && bases && info->codec == CODEC_DELTA)
		rc = comp_get_delta(comp, bases->p, bases->len, compressed.data, compressed.len,
				    info->plain_bytes, out, err);
	else if (!rc)
		rc = comp_get(comp, info->codec, compressed.data, compressed.len, info->plain_bytes,
			      out, err);
	buf_wipe(&compressed);
	return rc;
}

static int open_any(struct comp *comp, const uint8_t slot_key[32], uint32_t counter,
		    const uint8_t repo[REPO_ID_BYTES], const struct domain_keys *domain,
		    const struct record_info *info, const struct span *bases, const void *sealed,
		    size_t len, struct buf *out, struct err *err)
{
	size_t before = out->len;
	char hex[ID_HEX_CHARS + 1];
	int rc;

	rc = open_bytes(comp, slot_key, counter, repo, info, bases, sealed, len, out, err);
	if (!rc && domain)
		rc = check_id(domain, info, out, before, err);
	if (rc) {
		out->len = before;
		id_hex(&info->id, hex);
		return err_prefix(err, "chunk %.*s", ID_SHORT_CHARS, hex);
	}
	return 0;
}

int record_open(struct comp *comp, const uint8_t slot_key[32], uint32_t counter,
		const uint8_t repo[REPO_ID_BYTES], const struct domain_keys *domain,
		const struct record_info *info, const void *sealed, size_t len, struct buf *out,
		struct err *err)
{
	return open_any(comp, slot_key, counter, repo, domain, info, NULL, sealed, len, out, err);
}

int record_open_delta(struct comp *comp, const uint8_t slot_key[32], uint32_t counter,
		      const uint8_t repo[REPO_ID_BYTES], const struct domain_keys *domain,
		      const struct record_info *info, struct span bases, const void *sealed,
		      size_t len, struct buf *out, struct err *err)
{
	return open_any(comp, slot_key, counter, repo, domain, info, &bases, sealed, len, out, err);
}
