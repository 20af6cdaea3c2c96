#include <stdlib.h>
#include <string.h>

#include <sodium.h>
#include <xxhash.h>

#include "core/limits.h"
#include "core/pack.h"
#include "core/seal.h"
#include "core/sha256.h"

#define SLOT_COUNT_MAX 2 /* M, then R */

struct pack_builder {
	struct keys *keys;
	uint64_t sequence, pack_number;
	unsigned floor_log2, parity;
	struct buf data; /* the compressed records in the order they came */
	struct pack_entry *entries;
	size_t *starts; /* of each entry in data */
	size_t count, cap;
	size_t entry_bytes; /* of all of them in the directory */
	struct buf scratch; /* for one entry */
	uint32_t slot_records[SLOT_COUNT_MAX];
};

int pack_builder_new(struct keys *keys, uint64_t sequence, unsigned floor_log2,
		     struct pack_builder **out_builder, struct err *err)
{
	struct pack_builder *b;

	if (!keys->has_writer)
		return err_set(err, ERR_KEY, "storing needs a key with the role full or write");
	if (floor_log2 < 12 || floor_log2 > 20)
		return err_set(err, ERR_USAGE, "a floor of 2^%u is not in 2^12 to 2^20",
			       floor_log2);
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_nomem(err);
	b->keys = keys;
	b->sequence = sequence;
	b->pack_number = 1;
	b->floor_log2 = floor_log2;
	*out_builder = b;
	return 0;
}

void pack_builder_free(struct pack_builder *b)
{
	if (!b)
		return;
	buf_wipe(&b->data);
	buf_wipe(&b->scratch);
	free(b->entries);
	free(b->starts);
	free(b);
}

void pack_builder_set_parity(struct pack_builder *b, unsigned level)
{
	b->parity = level;
}

static size_t slots_used(const struct pack_builder *b)
{
	return b->slot_records[1] ? 2 : 1;
}

/* An entry's length depends on its record alone, so all lengths are known before the directory is made. */
static size_t directory_bytes(size_t entry_bytes)
{
	return (size_t)pack_dir_sealed_bytes(2 + PACK_SOURCE_BYTES + 4 + entry_bytes);
}

static size_t front_bytes(size_t slots, size_t entry_bytes)
{
	return PACK_HEAD_BYTES + SLOT_BYTES * slots + directory_bytes(entry_bytes);
}

/* Of the records, sealed. */
static size_t stored_bytes(const struct pack_builder *b)
{
	return b->data.len + b->count * SEAL_TAG_BYTES;
}

size_t pack_builder_bytes(const struct pack_builder *b)
{
	size_t needed = front_bytes(slots_used(b), b->entry_bytes) + stored_bytes(b);

	return (size_t)bucket_bytes(needed, b->floor_log2);
}

size_t pack_builder_records(const struct pack_builder *b)
{
	return b->count;
}

static int grow(struct pack_builder *b, struct err *err)
{
	size_t cap = b->cap ? 2 * b->cap : 64;
	struct pack_entry *entries;
	size_t *starts;

	if (b->count < b->cap)
		return 0;
	entries = realloc(b->entries, cap * sizeof(*entries));
	if (!entries)
		return err_nomem(err);
	b->entries = entries;
	starts = realloc(b->starts, cap * sizeof(*starts));
	if (!starts)
		return err_nomem(err);
	b->starts = starts;
	b->cap = cap;
	return 0;
}

/* Whether the pack, with one more record, stays within what readers accept. */
static int check_room(const struct pack_builder *b, size_t entry_bytes, size_t len, struct err *err)
{
	size_t needed = front_bytes(SLOT_COUNT_MAX, b->entry_bytes + entry_bytes) +
			stored_bytes(b) + len + SEAL_TAG_BYTES;

	if (b->count >= LIMIT_PACK_RECORDS ||
	    pack_bytes_with_parity(b->parity, bucket_bytes(needed, b->floor_log2)) >
		LIMIT_PACK_BYTES)
		return err_set(err, ERR_LIMIT, "a pack is full");
	return 0;
}

static const char *record_fault(const struct record_info *info, size_t len)
{
	const char *fault = record_info_fault(info);

	if (fault)
		return fault;
	if (info->codec == CODEC_RAW && len != info->plain_bytes)
		return "lengths that do not agree";
	if (info->codec == CODEC_DELTA && info->chain_bytes < len + SEAL_TAG_BYTES)
		return "a chain that is shorter than itself";
	return NULL;
}

/* Its counter is given when the order is known. */
static struct pack_entry entry_of(const struct record_info *info, size_t len)
{
	struct pack_entry e = {.info = *info, .stored_bytes = (uint32_t)(len + SEAL_TAG_BYTES)};

	e.slot = chunk_kind_recipient(info->kind) == SLOT_M ? 0 : 1;
	if (info->codec != CODEC_DELTA) {
		e.info.lineage = 0;
		e.info.chain_bytes = e.stored_bytes;
	}
	return e;
}

int pack_builder_add(struct pack_builder *b, const struct record_info *info, const void *compressed,
		     size_t len, struct err *err)
{
	const char *fault = record_fault(info, len);
	struct pack_entry e;
	int rc;

	if (fault)
		return err_set(err, ERR_USAGE, "a record to be packed has %s", fault);
	if (len > LIMIT_RECORD_BYTES - SEAL_TAG_BYTES)
		return err_set(err, ERR_LIMIT, "a record of %zu bytes is too large", len);
	e = entry_of(info, len);
	buf_reset(&b->scratch);
	pack_entry_put(&b->scratch, &e);
	rc = buf_check(&b->scratch, err);
	if (!rc)
		rc = check_room(b, b->scratch.len, len, err);
	if (!rc)
		rc = grow(b, err);
	if (rc)
		return rc;
	b->starts[b->count] = b->data.len;
	buf_put(&b->data, compressed, len);
	rc = buf_check(&b->data, err);
	if (rc)
		return rc;
	b->entry_bytes += b->scratch.len;
	b->slot_records[e.slot]++;
	b->entries[b->count++] = e;
	return 0;
}

static void transcript_put(struct buf *t, const struct pack_entry *e, const uint8_t *compressed)
{
	XXH128_canonical_t hash;

	pack_entry_put(t, e);
	XXH128_canonicalFromHash(&hash, XXH3_128bits(compressed, e->stored_bytes - SEAL_TAG_BYTES));
	buf_put(t, hash.digest, sizeof(hash.digest));
}

/*
 * The order is that of the directory by now, so the transcript settles what the key will seal under which counter:
 * were random bytes ever to repeat themselves, equal keys would still only seal equal bytes. Slot 0 also seals the
 * directory, which tells of every record: its transcript covers them all.
 */
static int make_slot(const struct pack_builder *b, uint16_t index, struct slot *out_slot,
		     uint8_t out_key[32], struct err *err)
{
	struct buf t = {0};
	struct slot_hedge hedge = {
	    .sequence = b->sequence, .pack_number = b->pack_number, .slot_index = index};
	int rc;

	for (size_t i = 0; i < b->count; i++) {
		if (index == 0 || b->entries[i].slot == index)
			transcript_put(&t, &b->entries[i], b->data.data + b->starts[i]);
	}
	rc = buf_check(&t, err);
	if (!rc) {
		hedge.transcript = t.data;
		hedge.transcript_len = t.len;
		rc = slot_make(b->keys, index == 0 ? SLOT_M : SLOT_R, b->keys->writer_domain,
			       &hedge, out_slot, out_key, err);
	}
	buf_free(&t);
	return rc;
}

/* Counters run in the order of the directory, which so need not name them. */
static void place(struct pack_builder *b)
{
	uint32_t counters[SLOT_COUNT_MAX] = {0};
	size_t at = front_bytes(slots_used(b), b->entry_bytes);

	for (size_t i = 0; i < b->count; i++) {
		struct pack_entry *e = &b->entries[i];

		e->counter = ++counters[e->slot];
		e->offset = (uint32_t)at;
		at += e->stored_bytes;
	}
}

static int make_dir(struct pack_builder *b, struct pack_dir *dir,
		    uint8_t slot_keys[SLOT_COUNT_MAX][32], struct err *err)
{
	dir->slots = calloc(slots_used(b), sizeof(*dir->slots));
	dir->sources = calloc(1, sizeof(*dir->sources));
	dir->entries = calloc(b->count, sizeof(*dir->entries));
	if (!dir->slots || !dir->sources || !dir->entries)
		return err_nomem(err);
	dir->slot_count = slots_used(b);
	pack_entries_shuffle(b->entries, b->starts, b->count);
	place(b);
	for (uint16_t i = 0; i < dir->slot_count; i++) {
		int rc = make_slot(b, i, &dir->slots[i], slot_keys[i], err);

		if (rc)
			return rc;
	}
	dir->source_count = 1;
	memcpy(dir->sources[0].writer, b->keys->writer_pub, sizeof(dir->sources[0].writer));
	dir->sources[0].sequence = b->sequence;
	memcpy(dir->entries, b->entries, b->count * sizeof(*dir->entries));
	dir->entry_count = b->count;
	return 0;
}

static int put_front(const struct pack_builder *b, const struct pack_dir *dir,
		     const uint8_t dir_key[32], struct buf *out, struct err *err)
{
	size_t start = out->len, sealed_bytes = directory_bytes(b->entry_bytes);
	const struct pack_head head =
	    pack_head_of(b->keys, sealed_bytes, dir->slot_count, b->parity, pack_builder_bytes(b));
	struct buf body = {0};
	int rc;

	pack_head_put(out, &head);
	for (size_t i = 0; i < dir->slot_count; i++)
		slot_put(out, &dir->slots[i]);
	pack_dir_put(&body, dir);
	if (!body.failed)
		buf_put_zeros(&body, sealed_bytes - SEAL_TAG_BYTES - body.len);
	rc = buf_check(&body, err);
	if (!rc)
		rc = buf_check(out, err);
	if (!rc) {
		struct buf sealed = {0};

		rc = seal_put(dir_key, 0, out->data + start, out->len - start, body.data, body.len,
			      &sealed, err);
		buf_put(out, sealed.data, rc ? 0 : sealed.len);
		buf_free(&sealed);
	}
	buf_wipe(&body);
	return rc;
}

static int put_records(const struct pack_builder *b, uint8_t slot_keys[SLOT_COUNT_MAX][32],
		       struct buf *out, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < b->count && !rc; i++) {
		const struct pack_entry *e = &b->entries[i];

		rc = record_seal(slot_keys[e->slot], e->counter, b->keys->repo, &e->info,
				 b->data.data + b->starts[i], e->stored_bytes - SEAL_TAG_BYTES, out,
				 err);
	}
	return rc;
}

static int put_fill(const struct pack_builder *b, size_t start, struct buf *out, struct err *err)
{
	size_t fill = pack_builder_bytes(b) - (out->len - start);
	uint8_t *at = buf_extend(out, fill);

	if (!at)
		return err_nomem(err);
	randombytes_buf(at, fill);
	return 0;
}

static void restart(struct pack_builder *b)
{
	buf_reset(&b->data);
	b->count = b->entry_bytes = 0;
	memset(b->slot_records, 0, sizeof(b->slot_records));
	b->pack_number++;
}

int pack_builder_finish(struct pack_builder *b, struct buf *out, struct pack_dir *out_dir,
			struct id *out_name, struct err *err)
{
	uint8_t slot_keys[SLOT_COUNT_MAX][32] = {{0}};
	struct pack_dir dir = {0};
	size_t start = out->len;
	int rc;

	if (b->count == 0)
		return err_set(err, ERR_USAGE, "a pack without records");
	rc = make_dir(b, &dir, slot_keys, err);
	if (!rc)
		rc = put_front(b, &dir, slot_keys[0], out, err);
	if (!rc)
		rc = put_records(b, slot_keys, out, err);
	if (!rc)
		rc = put_fill(b, start, out, err);
	if (!rc)
		rc = parity_put(parity_kind_of(b->parity, pack_builder_bytes(b)), start, out, err);
	if (!rc)
		rc = sha256_of(out->data + start, out->len - start, out_name, err);
	sodium_memzero(slot_keys, sizeof(slot_keys));
	if (rc) {
		out->len = start;
		pack_dir_free(&dir);
		return rc;
	}
	restart(b);
	*out_dir = dir;
	return 0;
}
