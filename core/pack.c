#include "core/pack.h"

#include <stdlib.h>

#include <sodium.h>

#include "core/limits.h"
#include "core/seal.h"

#define BODY_MIN_BYTES 6 /* no sources, no entries */

void pack_dir_free(struct pack_dir *dir)
{
	free(dir->slots);
	free(dir->sources);
	free(dir->entries);
	*dir = (struct pack_dir){0};
}

static void entry_put(struct buf *b, const struct pack_entry *e)
{
	buf_put(b, e->info.id.b, ID_BYTES);
	buf_put_u8(b, e->info.kind);
	buf_put_u8(b, e->info.codec);
	buf_put_u8(b, e->info.depth);
	buf_put_u8(b, e->info.base_count);
	buf_put_u16(b, e->slot);
	buf_put_u16(b, e->source);
	buf_put_u32(b, e->counter);
	buf_put_u32(b, e->offset);
	buf_put_u32(b, e->stored_bytes);
	buf_put_u32(b, e->info.plain_bytes);
	buf_put_u32(b, e->info.lineage);
	buf_put_u32(b, e->info.chain_bytes);
	for (size_t i = 0; i < e->info.base_count; i++)
		buf_put(b, e->info.bases[i].b, ID_BYTES);
}

void pack_dir_put(struct buf *b, const struct pack_dir *dir)
{
	buf_put_u16(b, (uint16_t)dir->source_count);
	for (size_t i = 0; i < dir->source_count; i++) {
		buf_put(b, dir->sources[i].writer, sizeof(dir->sources[i].writer));
		buf_put_u64(b, dir->sources[i].sequence);
	}
	buf_put_u32(b, (uint32_t)dir->entry_count);
	for (size_t i = 0; i < dir->entry_count; i++)
		entry_put(b, &dir->entries[i]);
}

static int sources_get(struct rd *r, struct pack_dir *dir, struct err *err)
{
	size_t count = rd_u16(r);

	if (count > r->left / PACK_SOURCE_BYTES)
		return err_set(err, ERR_DAMAGED, "a pack directory is cut short");
	dir->sources = calloc(count ? count : 1, sizeof(*dir->sources));
	if (!dir->sources)
		return err_nomem(err);
	dir->source_count = count;
	for (size_t i = 0; i < count; i++) {
		rd_copy(r, dir->sources[i].writer, sizeof(dir->sources[i].writer));
		dir->sources[i].sequence = rd_u64(r);
	}
	return 0;
}

/* Without base ids; their count is believed only after entry_fault. */
static void entry_get(struct rd *r, struct pack_entry *e)
{
	rd_copy(r, e->info.id.b, ID_BYTES);
	e->info.kind = rd_u8(r);
	e->info.codec = rd_u8(r);
	e->info.depth = rd_u8(r);
	e->info.base_count = rd_u8(r);
	e->slot = rd_u16(r);
	e->source = rd_u16(r);
	e->counter = rd_u32(r);
	e->offset = rd_u32(r);
	e->stored_bytes = rd_u32(r);
	e->info.plain_bytes = rd_u32(r);
	e->info.lineage = rd_u32(r);
	e->info.chain_bytes = rd_u32(r);
	for (size_t i = 0; i < e->info.base_count && i < LIMIT_BASES; i++)
		rd_copy(r, e->info.bases[i].b, ID_BYTES);
}

static const char *entry_fault(const struct pack_dir *dir, const struct pack_entry *e)
{
	const char *fault = record_info_fault(&e->info);

	if (fault)
		return fault;
	if (e->slot >= dir->slot_count)
		return "a slot that is not in the key table";
	if (e->source >= dir->source_count)
		return "a source that is not there";
	if (dir->slots[e->slot].recipient != chunk_kind_recipient(e->info.kind))
		return "a slot of the wrong recipient";
	if (e->counter == 0)
		return "the counter of a directory";
	if (e->stored_bytes < SEAL_TAG_BYTES || e->stored_bytes > LIMIT_RECORD_BYTES)
		return "an impossible stored length";
	if (e->info.codec == CODEC_RAW && e->stored_bytes - SEAL_TAG_BYTES != e->info.plain_bytes)
		return "lengths that do not agree";
	return NULL;
}

static int entries_get(struct rd *r, struct pack_dir *dir, struct err *err)
{
	size_t count = rd_u32(r);

	if (count > LIMIT_PACK_RECORDS)
		return err_set(err, ERR_LIMIT, "a pack directory lists %zu records", count);
	if (count > r->left / PACK_ENTRY_BYTES)
		return err_set(err, ERR_DAMAGED, "a pack directory is cut short");
	dir->entries = calloc(count ? count : 1, sizeof(*dir->entries));
	if (!dir->entries)
		return err_nomem(err);
	dir->entry_count = count;
	for (size_t i = 0; i < count; i++) {
		const char *fault;

		entry_get(r, &dir->entries[i]);
		if (r->bad)
			return err_set(err, ERR_DAMAGED, "a pack directory is cut short");
		fault = entry_fault(dir, &dir->entries[i]);
		if (fault)
			return err_set(err, ERR_DAMAGED, "record %zu of a pack directory has %s", i,
				       fault);
	}
	return 0;
}

/* Each record where the one before ends, all between `first` and pack_bytes. */
static int check_places(const struct pack_dir *dir, uint64_t first, uint64_t pack_bytes,
			struct err *err)
{
	uint64_t at = dir->entry_count ? dir->entries[0].offset : first;

	if (at < first)
		return err_set(err, ERR_DAMAGED, "a record lies inside its pack's directory");
	for (size_t i = 0; i < dir->entry_count; i++) {
		if (dir->entries[i].offset != at)
			return err_set(err, ERR_DAMAGED,
				       "record %zu of a pack directory is not where it must be", i);
		at += dir->entries[i].stored_bytes;
	}
	if (at > pack_bytes)
		return err_set(err, ERR_DAMAGED, "the records of a pack do not fit into it");
	return 0;
}

static int cmp_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* A (slot, counter) that is there twice would be one key and nonce for two records. */
static int check_counters(const struct pack_dir *dir, struct err *err)
{
	uint64_t *used = calloc(dir->entry_count ? dir->entry_count : 1, sizeof(*used));
	int rc = 0;

	if (!used)
		return err_nomem(err);
	for (size_t i = 0; i < dir->entry_count; i++)
		used[i] = (uint64_t)dir->entries[i].slot << 32 | dir->entries[i].counter;
	qsort(used, dir->entry_count, sizeof(*used), cmp_u64);
	for (size_t i = 1; i < dir->entry_count && !rc; i++) {
		if (used[i] == used[i - 1])
			rc = err_set(err, ERR_DAMAGED, "a pack directory has a counter twice");
	}
	free(used);
	return rc;
}

int pack_dir_get(struct rd *r, uint64_t pack_bytes, struct pack_dir *dir, struct err *err)
{
	size_t before = r->left;
	uint64_t first;
	int rc;

	if (dir->slot_count == 0 || dir->slot_count > LIMIT_PACK_SLOTS ||
	    dir->slots[0].recipient != SLOT_M)
		return err_set(err, ERR_DAMAGED, "slot 0 of a pack is not for maintenance");
	if (pack_bytes > LIMIT_PACK_BYTES)
		return err_set(err, ERR_LIMIT, "a pack of %llu bytes is too large",
			       (unsigned long long)pack_bytes);
	rc = sources_get(r, dir, err);
	if (!rc)
		rc = entries_get(r, dir, err);
	if (rc)
		return rc;
	if (r->bad)
		return err_set(err, ERR_DAMAGED, "a pack directory is cut short");
	first = PACK_HEAD_BYTES + SLOT_BYTES * dir->slot_count + SEAL_TAG_BYTES + before - r->left;
	rc = check_places(dir, first, pack_bytes, err);
	return rc ? rc : check_counters(dir, err);
}

static const char *head_fault(const struct pack_head *head, uint8_t zero)
{
	if (head->slot_count == 0 || head->slot_count > LIMIT_PACK_SLOTS)
		return "an impossible number of slots";
	if (head->directory_bytes < BODY_MIN_BYTES + SEAL_TAG_BYTES ||
	    head->directory_bytes > LIMIT_DIRECTORY_BYTES ||
	    bucket_bytes(head->directory_bytes, 12) != head->directory_bytes)
		return "an impossible directory length";
	if (head->parity_kind != 0 || head->parity_bytes != 0)
		return "an unknown kind of parity";
	if (zero != 0)
		return "a reserved byte that is not zero";
	return NULL;
}

int pack_head_get(const void *bytes, size_t len, struct pack_head *out_head, struct err *err)
{
	struct rd r = rd_of(bytes, len < PACK_HEAD_BYTES ? len : PACK_HEAD_BYTES);
	struct pack_head head = {0};
	uint8_t kind = 0, zero;
	const char *fault;
	int rc = header_get(&r, OBJECT_PACK, &kind, err);

	if (rc)
		return rc;
	rd_copy(&r, head.repo, sizeof(head.repo));
	head.directory_bytes = rd_u32(&r);
	head.slot_count = rd_u16(&r);
	head.parity_kind = rd_u8(&r);
	zero = rd_u8(&r);
	head.parity_bytes = rd_u32(&r);
	rc = rd_end(&r, "the head of a pack", err);
	if (rc)
		return rc;
	fault = kind ? "an unknown kind" : head_fault(&head, zero);
	if (fault)
		return err_set(err, ERR_DAMAGED, "the head of a pack has %s", fault);
	*out_head = head;
	return 0;
}

uint64_t pack_front_bytes(const struct pack_head *head)
{
	return PACK_HEAD_BYTES + (uint64_t)SLOT_BYTES * head->slot_count + head->directory_bytes;
}

int pack_slots_get(struct rd *r, size_t count, struct pack_dir *dir, struct err *err)
{
	if (count == 0 || count > LIMIT_PACK_SLOTS || count > r->left / SLOT_BYTES)
		return err_set(err, ERR_DAMAGED, "the key table of a pack is cut short");
	dir->slots = calloc(count, sizeof(*dir->slots));
	if (!dir->slots)
		return err_nomem(err);
	dir->slot_count = count;
	for (size_t i = 0; i < count; i++) {
		int rc = slot_get(r, &dir->slots[i], err);

		if (rc)
			return rc;
	}
	return 0;
}

static int body_get(const struct buf *body, const struct pack_head *head, uint64_t pack_bytes,
		    struct pack_dir *dir, struct err *err)
{
	struct rd r = rd_of(body->data, body->len);
	int rc = pack_dir_get(&r, pack_bytes, dir, err);

	if (rc)
		return rc;
	if (!rd_zeros_to_end(&r))
		return err_set(err, ERR_DAMAGED, "the padding of a pack directory is not zero");
	if (dir->entry_count && dir->entries[0].offset != pack_front_bytes(head))
		return err_set(err, ERR_DAMAGED, "records do not follow their pack's directory");
	return 0;
}

/* front holds at least pack_front_bytes(head). */
static int front_get(struct keys *keys, const struct pack_head *head, const uint8_t *front,
		     uint64_t pack_bytes, struct pack_dir *dir, struct err *err)
{
	size_t table_end = PACK_HEAD_BYTES + (size_t)SLOT_BYTES * head->slot_count;
	struct rd r = rd_of(front + PACK_HEAD_BYTES, table_end - PACK_HEAD_BYTES);
	struct buf body = {0};
	uint8_t key[32];
	int rc = pack_slots_get(&r, head->slot_count, dir, err);

	if (rc)
		return rc;
	if (dir->slots[0].recipient != SLOT_M)
		return err_set(err, ERR_DAMAGED, "slot 0 of a pack is not for maintenance");
	rc = slot_open(keys, &dir->slots[0], key, err);
	if (!rc)
		rc = seal_get(key, 0, front, table_end, front + table_end, head->directory_bytes,
			      "a pack directory", &body, err);
	if (!rc)
		rc = body_get(&body, head, pack_bytes, dir, err);
	sodium_memzero(key, sizeof(key));
	buf_wipe(&body);
	return rc;
}

int pack_front_dec(struct keys *keys, const void *front, size_t len, uint64_t pack_bytes,
		   struct pack_dir *out_dir, struct err *err)
{
	struct pack_dir dir = {0};
	struct pack_head head;
	int rc = pack_head_get(front, len, &head, err);

	if (rc)
		return rc;
	if (sodium_memcmp(head.repo, keys->repo, REPO_ID_BYTES) != 0)
		return err_set(err, ERR_DAMAGED, "a pack belongs to another repository");
	if (pack_front_bytes(&head) > len || pack_bytes < len)
		return err_set(err, ERR_DAMAGED, "a pack is cut short");
	rc = front_get(keys, &head, front, pack_bytes, &dir, err);
	if (rc) {
		pack_dir_free(&dir);
		return rc;
	}
	*out_dir = dir;
	return 0;
}
