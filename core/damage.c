#include "core/damage.h"

#include <stdlib.h>
#include <string.h>

#include "core/signrec.h"

#define PLACE_BYTES (ID_BYTES + 4)

static const struct signrec_kind damage_kind = {DAMAGE_KIND, "damage note", "damage",
						LIMIT_DAMAGE_BYTES};

int damage_place_cmp(const struct damage_place *a, const struct damage_place *b)
{
	int order = id_cmp(&a->pack, &b->pack);

	return order ? order : (a->record > b->record) - (a->record < b->record);
}

void damage_free(struct damage *d)
{
	free(d->places);
	*d = (struct damage){0};
}

void damage_put_clear(struct buf *b, const struct damage *d)
{
	signrec_put_head(b, &damage_kind, &d->head);
	buf_put_u32(b, (uint32_t)d->count);
	for (size_t i = 0; i < d->count; i++) {
		buf_put(b, d->places[i].pack.b, ID_BYTES);
		buf_put_u32(b, d->places[i].record);
	}
}

static const char *places_fault(const struct damage *d)
{
	for (size_t i = 0; i < d->count; i++) {
		if (d->places[i].record >= LIMIT_PACK_RECORDS)
			return "a record that no pack can have";
		if (i && damage_place_cmp(&d->places[i - 1], &d->places[i]) >= 0)
			return "places in another order than theirs";
	}
	return d->count ? NULL : "no place";
}

static int get_places(struct rd *r, struct damage *d, struct err *err)
{
	uint32_t count = rd_u32(r);
	const char *fault;

	if (count > LIMIT_DAMAGE_PLACES)
		return err_set(err, ERR_LIMIT, "a damage note of %u places", count);
	if (r->bad || count > r->left / PLACE_BYTES)
		return err_set(err, ERR_DAMAGED, "a damage note is cut short");
	d->places = calloc(count ? count : 1, sizeof(*d->places));
	if (!d->places)
		return err_nomem(err);
	d->count = count;
	for (size_t i = 0; i < count; i++) {
		rd_copy(r, d->places[i].pack.b, ID_BYTES);
		d->places[i].record = rd_u32(r);
	}
	fault = places_fault(d);
	return fault ? err_set(err, ERR_DAMAGED, "a damage note has %s", fault) : 0;
}

int damage_get_clear(struct rd *r, struct damage *d, struct err *err)
{
	int rc = signrec_get_head(r, &damage_kind, &d->head, err);

	if (rc != 0)
		return rc;
	return get_places(r, d, err);
}

int damage_enc(const struct keys *keys, struct damage *d, struct buf *out, struct err *err)
{
	const char *fault = places_fault(d);
	const uint8_t *secret = NULL;
	struct buf clear = {0};
	int rc = signrec_signer(keys, &damage_kind, &secret, d->head.signer, err);

	if (rc != 0)
		return rc;
	if (d->count > LIMIT_DAMAGE_PLACES)
		return err_set(err, ERR_LIMIT, "a damage note of %zu places", d->count);
	if (fault || d->head.number == 0)
		return err_set(err, ERR_USAGE, "a damage note has %s", fault ? fault : "no number");
	memcpy(d->head.repo, keys->repo, sizeof(d->head.repo));
	damage_put_clear(&clear, d);
	return signrec_sign(&damage_kind, secret, &clear, out, err);
}

int damage_dec(const struct keys *keys, const void *bytes, size_t len, struct damage *out_damage,
	       struct err *err)
{
	struct damage d = {0};
	struct rd r;
	int rc = signrec_begin(&damage_kind, bytes, len, &r, err);

	if (rc == 0)
		rc = damage_get_clear(&r, &d, err);
	if (rc == 0)
		rc = signrec_verify(keys, &damage_kind, &d.head, bytes, len, err);
	if (rc == 0)
		rc = rd_end(&r, "damage note", err);
	if (rc != 0)
		damage_free(&d);
	else
		*out_damage = d;
	return rc;
}
