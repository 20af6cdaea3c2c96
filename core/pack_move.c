#include "core/pack_move.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/limits.h"
#include "core/seal.h"
#include "core/sha256.h"

#define SPELT_OUT_BYTES 11 /* slot, source and counter of an entry at most */
#define SOURCES_MOST 65535u

struct pack_mover {
	struct keys *keys;
	uint32_t domain;
	unsigned floor_log2, parity;
	uint64_t pack_number;
	struct slot *slots; /* [0] is the directory's, made when all else is known */
	size_t slot_count, slot_cap;
	struct pack_source *sources;
	size_t source_count, source_cap;
	struct pack_entry *entries;
	size_t *starts; /* of each entry in data */
	size_t count, cap;
	size_t entry_bytes; /* of all of them in the directory, at most */
	uint64_t *seen; /* slot and counter of each; open addressing, 0 = free (no counter is 0) */
	size_t seen_size;
	struct buf data, scratch;
};

int pack_mover_new(struct keys *keys, uint32_t domain, unsigned floor_log2,
		   struct pack_mover **out_mover, struct err *err)
{
	struct pack_mover *m;

	if (!keys->has_gc_secret)
		return err_set(err, ERR_KEY, "this needs a full or maintain key; this is a %s key",
			       role_name(keys->role));
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_nomem(err);
	m->keys = keys;
	m->domain = domain;
	m->floor_log2 = floor_log2;
	m->pack_number = 1;
	*out_mover = m;
	return 0;
}

void pack_mover_free(struct pack_mover *m)
{
	if (!m)
		return;
	free(m->slots);
	free(m->sources);
	free(m->entries);
	free(m->starts);
	free(m->seen);
	buf_free(&m->data);
	buf_free(&m->scratch);
	free(m);
}

void pack_mover_set_parity(struct pack_mover *m, unsigned level)
{
	m->parity = level;
}

size_t pack_mover_records(const struct pack_mover *m)
{
	return m->count;
}

static size_t bytes_with(const struct pack_mover *m, size_t slots, size_t sources,
			 size_t entry_bytes, size_t data_bytes)
{
	uint64_t dir = pack_dir_sealed_bytes(2 + PACK_SOURCE_BYTES * sources + 4 + entry_bytes);

	return (size_t)bucket_bytes(PACK_HEAD_BYTES + SLOT_BYTES * slots + dir + data_bytes,
				    m->floor_log2);
}

size_t pack_mover_bytes(const struct pack_mover *m)
{
	return bytes_with(m, m->slot_count, m->source_count, m->entry_bytes, m->data.len);
}

/* Makes room for one more in an array. */
static int grow(void **array, size_t count, size_t *cap, size_t item_bytes, struct err *err)
{
	size_t bigger = *cap ? *cap * 2 : 16;
	void *p;

	if (count < *cap)
		return 0;
	p = realloc(*array, bigger * item_bytes);
	if (!p)
		return err_nomem(err);
	*array = p;
	*cap = bigger;
	return 0;
}

static bool same_slot(const struct slot *a, const struct slot *b)
{
	return memcmp(a->eph, b->eph, sizeof(a->eph)) == 0 && a->recipient == b->recipient &&
	       a->epoch == b->epoch && a->domain == b->domain;
}

/* Records come pack by pack, so the slot is one of the last. Equal to the count: a new one. */
static size_t find_slot(const struct pack_mover *m, const struct slot *slot)
{
	for (size_t i = m->slot_count; i > 1; i--) {
		if (same_slot(&m->slots[i - 1], slot))
			return i - 1;
	}
	return m->slot_count ? m->slot_count : 1;
}

static size_t find_source(const struct pack_mover *m, const struct pack_source *source)
{
	for (size_t i = m->source_count; i > 0; i--) {
		if (m->sources[i - 1].sequence == source->sequence &&
		    memcmp(m->sources[i - 1].writer, source->writer, sizeof(source->writer)) == 0)
			return i - 1;
	}
	return m->source_count;
}

static uint64_t seen_key(const struct pack_entry *e)
{
	return (uint64_t)e->slot << 32 | e->counter;
}

/* Where the key is, or the free cell where it would go. */
static size_t seen_cell(const uint64_t *seen, size_t size, uint64_t key)
{
	size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (size - 1);

	while (seen[at] && seen[at] != key)
		at = (at + 1) & (size - 1);
	return at;
}

static int seen_reserve(struct pack_mover *m, struct err *err)
{
	size_t size = m->seen_size ? m->seen_size * 2 : 256;
	uint64_t *seen;

	if (m->count * 2 < m->seen_size)
		return 0;
	seen = calloc(size, sizeof(*seen));
	if (!seen)
		return err_nomem(err);
	for (size_t i = 0; i < m->count; i++)
		seen[seen_cell(seen, size, seen_key(&m->entries[i]))] = seen_key(&m->entries[i]);
	free(m->seen);
	m->seen = seen;
	m->seen_size = size;
	return 0;
}

static int check_room(struct pack_mover *m, const struct pack_entry *e, struct err *err)
{
	size_t slots = e->slot < m->slot_count ? m->slot_count : e->slot + 1u;
	size_t sources = e->source < m->source_count ? m->source_count : e->source + 1u;
	int rc;

	buf_reset(&m->scratch);
	pack_entry_put(&m->scratch, e);
	rc = buf_check(&m->scratch, err);
	if (rc)
		return rc;
	if (m->count >= LIMIT_PACK_RECORDS || slots > LIMIT_PACK_SLOTS || sources > SOURCES_MOST ||
	    pack_bytes_with_parity(m->parity,
				   bytes_with(m, slots, sources,
					      m->entry_bytes + m->scratch.len + SPELT_OUT_BYTES,
					      m->data.len + e->stored_bytes)) > LIMIT_PACK_BYTES)
		return err_set(err, ERR_LIMIT, "a pack is full");
	return 0;
}

static int reserve(struct pack_mover *m, struct err *err)
{
	size_t cap = m->cap;
	int rc = seen_reserve(m, err);

	if (!rc)
		rc = grow((void **)&m->starts, m->count, &cap, sizeof(*m->starts), err);
	if (!rc)
		rc = grow((void **)&m->entries, m->count, &m->cap, sizeof(*m->entries), err);
	if (!rc)
		rc = grow((void **)&m->slots, m->slot_count + 1, &m->slot_cap, sizeof(*m->slots),
			  err);
	if (!rc)
		rc = grow((void **)&m->sources, m->source_count, &m->source_cap,
			  sizeof(*m->sources), err);
	return rc;
}

/*
 * What a directory says of slot and counter is no more than a claim: a hostile one may name those of somebody else's record. Only one that is
 * the same in all, its bytes too, is there already.
 */
static bool is_same(const struct pack_mover *m, const struct pack_entry *e, const void *sealed)
{
	const struct record_info *a = &e->info, *b;
	size_t i = 0;

	while (seen_key(&m->entries[i]) != seen_key(e))
		i++;
	b = &m->entries[i].info;
	return a->kind == b->kind && id_eq(&a->id, &b->id) && a->codec == b->codec &&
	       a->depth == b->depth && a->base_count == b->base_count &&
	       memcmp(a->bases, b->bases, a->base_count * sizeof(struct id)) == 0 &&
	       a->plain_bytes == b->plain_bytes && e->stored_bytes == m->entries[i].stored_bytes &&
	       memcmp(m->data.data + m->starts[i], sealed, e->stored_bytes) == 0;
}

int pack_mover_add(struct pack_mover *m, const struct pack_moved *record, struct err *err)
{
	struct pack_entry e = {
	    .info = record->info,
	    .slot = (uint16_t)find_slot(m, record->slot),
	    .source = (uint16_t)find_source(m, record->source),
	    .counter = record->counter,
	    .stored_bytes = (uint32_t)record->sealed_bytes,
	};
	size_t cell;
	int rc;

	if (record->slot->domain != m->domain)
		return err_set(err, ERR_USAGE, "a record of another domain for a pack");
	rc = check_room(m, &e, err);
	if (!rc)
		rc = reserve(m, err);
	if (rc)
		return rc;
	cell = seen_cell(m->seen, m->seen_size, seen_key(&e));
	if (m->seen[cell])
		return is_same(m, &e, record->sealed)
			   ? 0
			   : err_set(err, ERR_LIMIT, "a pack has this counter already");
	m->starts[m->count] = m->data.len;
	buf_put(&m->data, record->sealed, record->sealed_bytes);
	rc = buf_check(&m->data, err);
	if (rc)
		return rc;
	if (e.slot >= m->slot_count) {
		m->slots[e.slot] = *record->slot;
		m->slot_count = e.slot + 1u;
	}
	if (e.source == m->source_count)
		m->sources[m->source_count++] = *record->source;
	m->entry_bytes += m->scratch.len + SPELT_OUT_BYTES;
	m->seen[cell] = seen_key(&e);
	m->entries[m->count++] = e;
	return 0;
}

/* The directory's key seals the directory alone, and these bytes are all of it and of what it is bound to. */
static int make_slot(struct pack_mover *m, const struct buf *body, uint8_t out_key[32],
		     struct err *err)
{
	struct slot_hedge hedge = {.pack_number = m->pack_number};
	struct buf t = {0};
	int rc;

	for (size_t i = 1; i < m->slot_count; i++)
		slot_put(&t, &m->slots[i]);
	buf_put(&t, body->data, body->len);
	rc = buf_check(&t, err);
	if (!rc) {
		hedge.transcript = t.data;
		hedge.transcript_len = t.len;
		rc = slot_make(m->keys, SLOT_M, m->domain, &hedge, &m->slots[0], out_key, err);
	}
	buf_free(&t);
	return rc;
}

static int put_front(struct pack_mover *m, struct buf *body, size_t sealed_bytes, struct buf *out,
		     struct err *err)
{
	const uint64_t needed =
	    PACK_HEAD_BYTES + SLOT_BYTES * m->slot_count + sealed_bytes + m->data.len;
	const struct pack_head head = pack_head_of(m->keys, sealed_bytes, m->slot_count, m->parity,
						   bucket_bytes(needed, m->floor_log2));
	size_t start = out->len;
	struct buf sealed = {0};
	uint8_t key[32];
	int rc = make_slot(m, body, key, err);

	if (rc)
		return rc;
	pack_head_put(out, &head);
	for (size_t i = 0; i < m->slot_count; i++)
		slot_put(out, &m->slots[i]);
	buf_put_zeros(body, sealed_bytes - SEAL_TAG_BYTES - body->len);
	rc = body->failed || out->failed ? err_nomem(err) : 0;
	if (!rc)
		rc = seal_put(key, 0, out->data + start, out->len - start, body->data, body->len,
			      &sealed, err);
	buf_put(out, sealed.data, rc ? 0 : sealed.len);
	sodium_memzero(key, sizeof(key));
	buf_free(&sealed);
	return rc ? rc : buf_check(out, err);
}

/* Records, then random bytes up to the bucket. */
static int put_records(struct pack_mover *m, size_t start, struct buf *out, struct err *err)
{
	uint8_t *fill;
	size_t len;

	for (size_t i = 0; i < m->count; i++) {
		m->entries[i].offset = (uint32_t)(out->len - start);
		buf_put(out, m->data.data + m->starts[i], m->entries[i].stored_bytes);
	}
	len = out->len - start;
	fill = buf_extend(out, (size_t)bucket_bytes(len, m->floor_log2) - len);
	if (!fill)
		return err_nomem(err);
	randombytes_buf(fill, (size_t)(out->data + out->len - fill));
	return 0;
}

/* What the mover has gathered becomes the directory, and the mover is empty. */
static void hand_over(struct pack_mover *m, struct pack_dir *out_dir)
{
	*out_dir = (struct pack_dir){m->slots,        m->slot_count, m->sources,
				     m->source_count, m->entries,    m->count};
	m->slots = NULL;
	m->sources = NULL;
	m->entries = NULL;
	free(m->starts);
	free(m->seen);
	m->starts = NULL;
	m->seen = NULL;
	m->seen_size = 0;
	m->slot_count = m->slot_cap = m->source_count = m->source_cap = 0;
	m->count = m->cap = m->entry_bytes = 0;
	buf_reset(&m->data);
	m->pack_number++;
}

int pack_mover_finish(struct pack_mover *m, struct buf *out, struct pack_dir *out_dir,
		      struct id *out_name, struct err *err)
{
	struct pack_dir dir;
	size_t start = out->len;
	struct buf body = {0};
	int rc;

	if (m->count == 0)
		return err_set(err, ERR_USAGE, "a pack without records");
	pack_entries_shuffle(m->entries, m->starts, m->count);
	/* Only the recipients of slots matter here, and slot 0 is for M. */
	m->slots[0] = (struct slot){.recipient = SLOT_M, .domain = m->domain};
	dir = (struct pack_dir){m->slots,        m->slot_count, m->sources,
				m->source_count, m->entries,    m->count};
	pack_dir_put(&body, &dir);
	rc = buf_check(&body, err);
	if (!rc)
		rc = put_front(m, &body, (size_t)pack_dir_sealed_bytes(body.len), out, err);
	if (!rc)
		rc = put_records(m, start, out, err);
	if (!rc)
		rc = parity_put(parity_kind_of(m->parity, out->len - start), start, out, err);
	if (!rc)
		rc = sha256_of(out->data + start, out->len - start, out_name, err);
	buf_wipe(&body);
	if (rc) {
		out->len = start;
		return rc;
	}
	hand_over(m, out_dir);
	return 0;
}
