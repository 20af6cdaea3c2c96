#include "core/pack.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/limits.h"
#include "core/seal.h"

static const char *head_fault(const struct pack_head *head, uint8_t zero)
{
	if (head->slot_count == 0 || head->slot_count > LIMIT_PACK_SLOTS)
		return "an impossible number of slots";
	if (head->directory_bytes < SEAL_TAG_BYTES ||
	    head->directory_bytes > LIMIT_DIRECTORY_BYTES ||
	    pack_dir_sealed_bytes(head->directory_bytes - SEAL_TAG_BYTES) != head->directory_bytes)
		return "an impossible directory length";
	if (head->parity_kind > PARITY_FOUR || head->parity_kind == 3)
		return "an unknown kind of parity";
	if ((head->parity_kind == PARITY_NONE) != (head->parity_bytes == 0) ||
	    head->parity_bytes > LIMIT_PACK_BYTES)
		return "an impossible length of its parity tail";
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

uint64_t pack_bytes_with_parity(unsigned level, uint64_t body_bytes)
{
	enum parity_kind kind = parity_kind_of(level, body_bytes);
	uint64_t tail = parity_tail_bytes(kind, body_bytes);

	if (body_bytes > LIMIT_PACK_BYTES || (kind != PARITY_NONE && tail == 0))
		return UINT64_MAX;
	return body_bytes + tail;
}

struct pack_head pack_head_of(const struct keys *keys, uint64_t directory_bytes, size_t slots,
			      unsigned level, uint64_t body_bytes)
{
	struct pack_head head = {
	    .directory_bytes = (uint32_t)directory_bytes,
	    .slot_count = (uint16_t)slots,
	    .parity_kind = (uint8_t)parity_kind_of(level, body_bytes),
	};

	memcpy(head.repo, keys->repo, REPO_ID_BYTES);
	head.parity_bytes =
	    (uint32_t)parity_tail_bytes((enum parity_kind)head.parity_kind, body_bytes);
	return head;
}

void pack_head_put(struct buf *out, const struct pack_head *head)
{
	header_put(out, OBJECT_PACK, 0);
	buf_put(out, head->repo, REPO_ID_BYTES);
	buf_put_u32(out, head->directory_bytes);
	buf_put_u16(out, head->slot_count);
	buf_put_u8(out, head->parity_kind);
	buf_put_zeros(out, 1);
	buf_put_u32(out, head->parity_bytes);
}

/* Fisher–Yates. */
void pack_entries_shuffle(struct pack_entry *entries, size_t *starts, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = randombytes_uniform((uint32_t)i);
		struct pack_entry entry = entries[j];
		size_t start = starts[j];

		entries[j] = entries[i - 1];
		starts[j] = starts[i - 1];
		entries[i - 1] = entry;
		starts[i - 1] = start;
	}
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
	size_t body_bytes = body->len - r.left;

	if (rc)
		return rc;
	if (!rd_zeros_to_end(&r))
		return err_set(err, ERR_DAMAGED, "the padding of a pack directory is not zero");
	if (pack_dir_sealed_bytes(body_bytes) != head->directory_bytes)
		return err_set(err, ERR_DAMAGED, "a pack directory has too much padding");
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
	if (head.parity_bytes > pack_bytes ||
	    head.parity_bytes != parity_tail_bytes((enum parity_kind)head.parity_kind,
						   pack_bytes - head.parity_bytes))
		return err_set(err, ERR_DAMAGED,
			       "a pack has a parity tail that does not fit its length");
	rc = front_get(keys, &head, front, pack_bytes - head.parity_bytes, &dir, err);
	if (rc) {
		pack_dir_free(&dir);
		return rc;
	}
	*out_dir = dir;
	return 0;
}
