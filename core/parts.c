#include "core/parts.h"

#include <sodium.h>

#include "core/seal.h"
#include "core/sign.h"

#define MAINT_MIN_BYTES 512

/* The length of the sealed M part with these bytes of plaintext. */
static size_t maint_bytes(size_t plain)
{
	size_t bytes = MAINT_MIN_BYTES;

	while (bytes < plain + SEAL_TAG_BYTES)
		bytes *= 2;
	return bytes;
}

/* The length of the object with this plaintext in the R part, before the bucket; front is all before the R slot. */
static size_t whole_bytes(size_t front, size_t plain)
{
	return front + SLOT_BYTES + 4 + plain + SEAL_TAG_BYTES + SIGN_BYTES;
}

/* --- writing --- */

/* Appends slot, length and sealed part to the object, whose bytes so far are authenticated with it. */
static int seal_part(struct keys *keys, const struct parts_form *form, uint8_t recipient,
		     const struct buf *plain, struct buf *object, struct err *err)
{
	struct slot_hedge hedge = {
	    .sequence = form->sequence,
	    .slot_index = recipient == SLOT_M ? 0 : 1,
	    .transcript = plain->data,
	    .transcript_len = plain->len,
	};
	struct slot slot = {0};
	struct buf sealed = {0};
	uint8_t key[32] = {0};
	int rc = slot_make(keys, recipient, form->domain, &hedge, &slot, key, err);

	if (rc != 0)
		goto out;
	slot_put(object, &slot);
	buf_put_u32(object, (uint32_t)(plain->len + SEAL_TAG_BYTES));
	rc = buf_check(object, err);
	if (rc == 0)
		rc = seal_put(key, 0, object->data, object->len, plain->data, plain->len, &sealed,
			      err);
	if (rc == 0)
		buf_put(object, sealed.data, sealed.len);
	if (rc == 0)
		rc = buf_check(object, err);
out:
	sodium_memzero(key, sizeof(key));
	buf_free(&sealed);
	return rc;
}

int parts_put(struct keys *keys, const struct parts_form *form, struct buf *maint, struct buf *read,
	      struct buf *object, struct err *err)
{
	const uint8_t *secret = form->signer_secret ? form->signer_secret : keys->writer_secret;
	uint64_t whole, bucket;
	int rc;

	buf_put_zeros(maint, maint_bytes(maint->len) - SEAL_TAG_BYTES - maint->len);
	rc = buf_check(maint, err);
	if (rc == 0)
		rc = seal_part(keys, form, SLOT_M, maint, object, err);
	if (rc != 0)
		return rc;
	whole = whole_bytes(object->len, read->len);
	bucket = whole > form->limit_bytes ? whole : bucket_bytes(whole, form->floor_log2);
	if (bucket > form->limit_bytes)
		return err_set(err, ERR_LIMIT, "a %s of more than %zu bytes", form->name,
			       form->limit_bytes);
	buf_put_zeros(read, bucket - whole);
	rc = buf_check(read, err);
	if (rc == 0)
		rc = seal_part(keys, form, SLOT_R, read, object, err);
	return rc != 0 ? rc : sign_append(object, form->tag, secret, err);
}

/* --- reading --- */

static int get_part(struct rd *r, const struct parts *parts, uint8_t recipient,
		    struct part *out_part, struct err *err)
{
	struct part part = {0};
	int rc = slot_get(r, &part.slot, err);

	if (rc != 0)
		return rc;
	part.len = rd_u32(r);
	part.sealed = rd_bytes(r, part.len);
	if (r->bad || part.len < SEAL_TAG_BYTES || part.slot.recipient != recipient)
		return err_set(err, ERR_DAMAGED, "a %s's part is cut short or for somebody else",
			       parts->name);
	part.front = (size_t)(part.sealed - parts->object);
	*out_part = part;
	return 0;
}

/* The floor is in the config, which no codec of a record has; some floor must give this length. */
static bool bucket_valid(size_t whole, size_t len)
{
	for (unsigned floor = 12; floor <= 20; floor++)
		if (bucket_bytes(whole, floor) == len)
			return true;
	return false;
}

int parts_get(struct rd *r, const void *object, size_t len, const char *name,
	      struct parts *out_parts, struct err *err)
{
	struct parts p = {.object = object, .object_len = len, .name = name};
	int rc = get_part(r, &p, SLOT_M, &p.maint, err);

	if (rc == 0)
		rc = get_part(r, &p, SLOT_R, &p.read, err);
	if (rc == 0 && (r->bad || r->left > 0))
		rc = err_set(err, ERR_DAMAGED, "a %s is too long", name);
	if (rc != 0)
		return rc;
	p.domain = p.maint.slot.domain;
	if (p.read.slot.domain != p.domain ||
	    maint_bytes(p.maint.len - SEAL_TAG_BYTES) != p.maint.len || !bucket_valid(len, len))
		return err_set(err, ERR_DAMAGED, "a %s's parts have wrong lengths or domains",
			       name);
	*out_parts = p;
	return 0;
}

static int open_part(struct keys *keys, const struct parts *p, const struct part *part,
		     struct buf *out_plain, struct err *err)
{
	uint8_t key[32] = {0};
	int rc = slot_open(keys, &part->slot, key, err);

	if (rc == 0)
		rc = seal_get(key, 0, p->object, part->front, part->sealed, part->len,
			      "a record's part", out_plain, err);
	sodium_memzero(key, sizeof(key));
	return rc;
}

/* used: bytes of plaintext that say something. */
static bool padded_right(const struct parts *p, const struct part *part, size_t used)
{
	if (part == &p->maint)
		return maint_bytes(used) == part->len;
	return bucket_valid(whole_bytes(part->front - 4 - SLOT_BYTES, used), p->object_len);
}

static int read_part(struct keys *keys, const struct parts *p, const struct part *part,
		     parts_read_fn *read, void *arg, struct err *err)
{
	struct buf plain = {0};
	struct rd r;
	int rc = open_part(keys, p, part, &plain, err);

	if (rc != 0)
		goto out;
	r = rd_of(plain.data, plain.len);
	rc = read(&r, arg, err);
	if (rc == 0 && (!padded_right(p, part, plain.len - r.left) || !rd_zeros_to_end(&r)))
		rc = err_set(err, ERR_DAMAGED, "a %s's %s part is padded wrongly", p->name,
			     part == &p->maint ? "maintenance" : "reading");
out:
	buf_wipe(&plain);
	return rc;
}

int parts_open(struct keys *keys, const struct parts *parts, parts_read_fn *maint,
	       parts_read_fn *read, void *arg, struct err *err)
{
	struct err refused = {0};
	int rc;

	if (keys->role == ROLE_WRITE)
		return 0;
	rc = read_part(keys, parts, &parts->maint, maint, arg, err);
	if (rc != 0)
		return rc;
	rc = read_part(keys, parts, &parts->read, read, arg, &refused);
	if (rc == -ERR_KEY)
		return 0;
	if (rc != 0)
		*err = refused;
	return rc;
}
