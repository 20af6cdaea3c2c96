#include "core/retire.h"

#include <stdlib.h>
#include <string.h>

#include "core/signrec.h"

#define ENTRY_BYTES (32 + 8 + ID_BYTES)

static const struct signrec_kind retire_kind = {RETIRE_KIND, "retire record", "retire",
						LIMIT_RETIRE_BYTES};

int retire_entry_cmp(const struct retire_entry *a, const struct retire_entry *b)
{
	int order = memcmp(a->writer, b->writer, sizeof(a->writer));

	if (order == 0)
		order = (a->sequence > b->sequence) - (a->sequence < b->sequence);
	return order ? order : id_cmp(&a->name, &b->name);
}

void retire_free(struct retire *r)
{
	free(r->entries);
	*r = (struct retire){0};
}

void retire_put_clear(struct buf *b, const struct retire *r)
{
	signrec_put_head(b, &retire_kind, &r->head);
	buf_put_u32(b, (uint32_t)r->count);
	for (size_t i = 0; i < r->count; i++) {
		buf_put(b, r->entries[i].writer, sizeof(r->entries[i].writer));
		buf_put_u64(b, r->entries[i].sequence);
		buf_put(b, r->entries[i].name.b, ID_BYTES);
	}
}

static const char *entries_fault(const struct retire *r)
{
	for (size_t i = 0; i < r->count; i++) {
		if (r->entries[i].sequence == 0)
			return "a backup of sequence 0";
		if (i && retire_entry_cmp(&r->entries[i - 1], &r->entries[i]) >= 0)
			return "backups in another order than theirs";
	}
	return r->count ? NULL : "no backup";
}

static int get_entries(struct rd *rd, struct retire *r, struct err *err)
{
	uint32_t count = rd_u32(rd);
	const char *fault;

	if (count > LIMIT_RETIRED)
		return err_set(err, ERR_LIMIT, "a retire record of %u backups", count);
	if (rd->bad || count > rd->left / ENTRY_BYTES)
		return err_set(err, ERR_DAMAGED, "a retire record is cut short");
	r->entries = calloc(count ? count : 1, sizeof(*r->entries));
	if (!r->entries)
		return err_nomem(err);
	r->count = count;
	for (size_t i = 0; i < count; i++) {
		rd_copy(rd, r->entries[i].writer, sizeof(r->entries[i].writer));
		r->entries[i].sequence = rd_u64(rd);
		rd_copy(rd, r->entries[i].name.b, ID_BYTES);
	}
	fault = entries_fault(r);
	return fault ? err_set(err, ERR_DAMAGED, "a retire record has %s", fault) : 0;
}

int retire_get_clear(struct rd *rd, struct retire *r, struct err *err)
{
	int rc = signrec_get_head(rd, &retire_kind, &r->head, err);

	if (rc != 0)
		return rc;
	return get_entries(rd, r, err);
}

int retire_enc(const struct keys *keys, struct retire *r, struct buf *out, struct err *err)
{
	const char *fault = entries_fault(r);
	struct buf clear = {0};

	if (!keys->has_gc_secret)
		return err_set(err, ERR_KEY,
			       "a retire record needs a full or maintain key; this is a %s key",
			       role_name(keys->role));
	if (r->count > LIMIT_RETIRED)
		return err_set(err, ERR_LIMIT, "a retire record of %zu backups", r->count);
	if (fault || r->head.number == 0)
		return err_set(err, ERR_USAGE, "a retire record has %s",
			       fault ? fault : "no number");
	memcpy(r->head.repo, keys->repo, sizeof(r->head.repo));
	memcpy(r->head.signer, keys->gc_pub, sizeof(r->head.signer));
	retire_put_clear(&clear, r);
	return signrec_sign(&retire_kind, keys->gc_secret, &clear, out, err);
}

int retire_dec(const struct keys *keys, const void *bytes, size_t len, struct retire *out_retire,
	       struct err *err)
{
	struct retire r = {0};
	struct rd rd;
	int rc = signrec_begin(&retire_kind, bytes, len, &rd, err);

	if (rc == 0)
		rc = retire_get_clear(&rd, &r, err);
	if (rc == 0)
		rc = signrec_verify(keys, &retire_kind, &r.head, bytes, len, err);
	if (rc == 0)
		rc = rd_end(&rd, "retire record", err);
	if (rc != 0)
		retire_free(&r);
	else
		*out_retire = r;
	return rc;
}
