#include <stdlib.h>

#include "core/limits.h"
#include "core/pack.h"
#include "core/seal.h"

#define SEALED_LEAST_BYTES 512
#define ENTRY_LEAST_BYTES (ID_BYTES + 2)
/* The byte behind an entry's id: its kind, its form (0 raw, 1 zstd, 1 + n delta of n bases), a flag. */
#define KIND_MASK 7
#define FORM_SHIFT 3
#define FORM_MASK 15
#define FORM_ZSTD 1
#define SPELT_OUT 0x80 /* slot, source and counter follow */

void pack_dir_free(struct pack_dir *dir)
{
	free(dir->slots);
	free(dir->sources);
	free(dir->entries);
	*dir = (struct pack_dir){0};
}

uint64_t pack_dir_sealed_bytes(uint64_t body_bytes)
{
	uint64_t needed = body_bytes + SEAL_TAG_BYTES;

	return needed < SEALED_LEAST_BYTES ? SEALED_LEAST_BYTES : padme_bytes(needed);
}

/*
 * The place that needs no words, as the pack's own writer gives them: the first slot of the recipient, the first
 * source, and counters that run from 1.
 */
struct usual {
	size_t slot;
	uint32_t counter;
};

struct usuals {
	struct usual r, m;
};

static struct usuals usuals_of(const struct pack_dir *dir)
{
	struct usuals u = {{dir->slot_count, 1}, {dir->slot_count, 1}};

	for (size_t i = dir->slot_count; i-- > 0;) {
		if (dir->slots[i].recipient == SLOT_M)
			u.m.slot = i;
		else
			u.r.slot = i;
	}
	return u;
}

static struct usual *usual_of(struct usuals *u, uint8_t kind)
{
	return chunk_kind_recipient(kind) == SLOT_M ? &u->m : &u->r;
}

static bool is_usual(const struct usual *u, const struct pack_entry *e)
{
	return e->slot == u->slot && e->source == 0 && e->counter == u->counter;
}

static void entry_put(struct buf *b, const struct pack_entry *e, bool spelt_out)
{
	const struct record_info *info = &e->info;
	bool delta = info->codec == CODEC_DELTA;
	unsigned form = delta ? FORM_ZSTD + info->base_count : info->codec;

	buf_put(b, info->id.b, ID_BYTES);
	buf_put_u8(b, (uint8_t)(info->kind | form << FORM_SHIFT | (spelt_out ? SPELT_OUT : 0)));
	if (spelt_out) {
		buf_put_varint(b, e->slot);
		buf_put_varint(b, e->source);
		buf_put_varint(b, e->counter);
	}
	buf_put_varint(b, e->stored_bytes - SEAL_TAG_BYTES);
	if (info->codec != CODEC_RAW)
		buf_put_varint(b, info->plain_bytes);
	if (!delta)
		return;
	buf_put_u8(b, info->depth);
	buf_put_varint(b, info->lineage);
	buf_put_varint(b, info->chain_bytes - e->stored_bytes);
	for (size_t i = 0; i < info->base_count; i++)
		buf_put(b, info->bases[i].b, ID_BYTES);
}

void pack_entry_put(struct buf *b, const struct pack_entry *e)
{
	entry_put(b, e, false);
}

void pack_dir_put(struct buf *b, const struct pack_dir *dir)
{
	struct usuals usuals = usuals_of(dir);

	buf_put_u16(b, (uint16_t)dir->source_count);
	for (size_t i = 0; i < dir->source_count; i++) {
		buf_put(b, dir->sources[i].writer, sizeof(dir->sources[i].writer));
		buf_put_u64(b, dir->sources[i].sequence);
	}
	buf_put_u32(b, (uint32_t)dir->entry_count);
	for (size_t i = 0; i < dir->entry_count; i++) {
		const struct pack_entry *e = &dir->entries[i];
		struct usual *usual = usual_of(&usuals, e->info.kind);

		if (is_usual(usual, e)) {
			usual->counter++;
			entry_put(b, e, false);
		} else {
			entry_put(b, e, true);
		}
	}
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

/* A varint of at most `most`. */
static uint32_t number_get(struct rd *r, uint32_t most)
{
	uint64_t v = rd_varint(r);

	r->bad |= v > most;
	return r->bad ? 0 : (uint32_t)v;
}

/* False: it says what went without saying. */
static bool place_get(struct rd *r, bool spelt_out, struct usual *usual, struct pack_entry *e)
{
	if (!spelt_out) {
		e->slot = (uint16_t)usual->slot;
		e->counter = usual->counter++;
		return true;
	}
	e->slot = (uint16_t)number_get(r, UINT16_MAX);
	e->source = (uint16_t)number_get(r, UINT16_MAX);
	e->counter = number_get(r, UINT32_MAX);
	return !is_usual(usual, e);
}

/* What only deltas have; a full record is its own chain. */
static void delta_get(struct rd *r, struct pack_entry *e)
{
	e->info.chain_bytes = e->stored_bytes;
	if (e->info.codec != CODEC_DELTA)
		return;
	e->info.depth = rd_u8(r);
	e->info.lineage = number_get(r, UINT32_MAX);
	e->info.chain_bytes += number_get(r, UINT32_MAX - e->stored_bytes);
	for (size_t i = 0; i < e->info.base_count; i++)
		rd_copy(r, e->info.bases[i].b, ID_BYTES);
}

/* Into zeroed e, which entry_fault has yet to judge: what fits no field is left as an unknown codec. */
static bool entry_get(struct rd *r, struct usuals *usuals, struct pack_entry *e)
{
	uint8_t byte, form;
	bool said_well;

	rd_copy(r, e->info.id.b, ID_BYTES);
	byte = rd_u8(r);
	form = byte >> FORM_SHIFT & FORM_MASK;
	e->info.kind = byte & KIND_MASK;
	e->info.codec = form;
	if (form > FORM_ZSTD && form <= FORM_ZSTD + LIMIT_BASES) {
		e->info.codec = CODEC_DELTA;
		e->info.base_count = (uint8_t)(form - FORM_ZSTD);
	}
	said_well = place_get(r, byte & SPELT_OUT, usual_of(usuals, e->info.kind), e);
	e->stored_bytes = SEAL_TAG_BYTES + number_get(r, LIMIT_RECORD_BYTES - SEAL_TAG_BYTES);
	e->info.plain_bytes = e->info.codec == CODEC_RAW ? e->stored_bytes - SEAL_TAG_BYTES
							 : number_get(r, LIMIT_CHUNK_BYTES);
	delta_get(r, e);
	return said_well;
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
	return NULL;
}

static int entries_get(struct rd *r, struct pack_dir *dir, struct err *err)
{
	struct usuals usuals = usuals_of(dir);
	size_t count = rd_u32(r);

	if (count > LIMIT_PACK_RECORDS)
		return err_set(err, ERR_LIMIT, "a pack directory lists %zu records", count);
	if (count > r->left / ENTRY_LEAST_BYTES)
		return err_set(err, ERR_DAMAGED, "a pack directory is cut short");
	dir->entries = calloc(count ? count : 1, sizeof(*dir->entries));
	if (!dir->entries)
		return err_nomem(err);
	dir->entry_count = count;
	for (size_t i = 0; i < count; i++) {
		const char *fault = NULL;

		if (!entry_get(r, &usuals, &dir->entries[i]))
			fault = "a place that goes without saying";
		if (r->bad)
			return err_set(err, ERR_DAMAGED,
				       "record %zu of a pack directory cannot be read", i);
		if (!fault)
			fault = entry_fault(dir, &dir->entries[i]);
		if (fault)
			return err_set(err, ERR_DAMAGED, "record %zu of a pack directory has %s", i,
				       fault);
	}
	return 0;
}

/* Records lie back to back, the first behind the directory, whose length is known by now. */
static int give_places(struct pack_dir *dir, uint64_t body_bytes, uint64_t pack_bytes,
		       struct err *err)
{
	uint64_t sealed = pack_dir_sealed_bytes(body_bytes), at;

	if (sealed > LIMIT_DIRECTORY_BYTES)
		return err_set(err, ERR_LIMIT, "a pack directory of %llu bytes is too large",
			       (unsigned long long)sealed);
	at = PACK_HEAD_BYTES + SLOT_BYTES * dir->slot_count + sealed;
	for (size_t i = 0; i < dir->entry_count; i++) {
		dir->entries[i].offset = (uint32_t)at;
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
	rc = give_places(dir, before - r->left, pack_bytes, err);
	return rc ? rc : check_counters(dir, err);
}
