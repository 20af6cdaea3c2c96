#include "core/damage.h"

#include <stdlib.h>
#include <string.h>

#include "core/record.h"
#include "core/signrec.h"

#define PLACE_BYTES (ID_BYTES + 1 + ID_BYTES)

int damage_place_cmp(const struct damage_place *a, const struct damage_place *b)
{
	int order = id_cmp(&a->pack, &b->pack);

	if (order == 0)
		order = (a->kind > b->kind) - (a->kind < b->kind);
	return order ? order : id_cmp(&a->chunk, &b->chunk);
}

void damage_free(struct damage *d)
{
	free(d->places);
	free(d->packs);
	*d = (struct damage){0};
}

/* --- the clear part --- */

static const struct signrec_kind damage_kind = {DAMAGE_KIND, "damage note", "damage",
						LIMIT_DAMAGE_BYTES};

static struct signrec_head head_of(const struct damage *d)
{
	struct signrec_head head = {.number = d->number, .time_ns = d->time_ns};

	memcpy(head.repo, d->repo, sizeof(head.repo));
	memcpy(head.signer, d->signer, sizeof(head.signer));
	return head;
}

void damage_put_clear(struct buf *b, const struct damage *d)
{
	const struct signrec_head head = head_of(d);

	signrec_put_head(b, &damage_kind, &head);
	buf_put_u32(b, (uint32_t)d->pack_count);
	for (size_t i = 0; i < d->pack_count; i++)
		buf_put(b, d->packs[i].b, ID_BYTES);
}

static int get_packs(struct rd *r, struct damage *d, struct err *err)
{
	uint32_t count = rd_u32(r);

	if (count > LIMIT_DAMAGE_PLACES)
		return err_set(err, ERR_LIMIT, "a damage note of %u packs", count);
	if (r->bad || count > r->left / ID_BYTES)
		return err_set(err, ERR_DAMAGED, "a damage note is cut short");
	d->packs = calloc((size_t)count + 1, sizeof(*d->packs));
	if (!d->packs)
		return err_nomem(err);
	d->pack_count = count;
	for (size_t i = 0; i < count; i++) {
		rd_copy(r, d->packs[i].b, ID_BYTES);
		if (i && id_cmp(&d->packs[i - 1], &d->packs[i]) >= 0)
			return err_set(err, ERR_DAMAGED, "a damage note's packs are not in order");
	}
	return count ? 0 : err_set(err, ERR_DAMAGED, "a damage note of no pack");
}

int damage_get_clear(struct rd *r, struct damage *d, struct err *err)
{
	struct signrec_head head;
	int rc = signrec_get_head(r, &damage_kind, &head, err);

	if (rc != 0)
		return rc;
	memcpy(d->repo, head.repo, sizeof(d->repo));
	memcpy(d->signer, head.signer, sizeof(d->signer));
	d->number = head.number;
	d->time_ns = head.time_ns;
	return get_packs(r, d, err);
}

/* --- the places --- */

void damage_put_places(struct buf *b, const struct damage *d)
{
	buf_put_u32(b, (uint32_t)d->count);
	for (size_t i = 0; i < d->count; i++) {
		buf_put(b, d->places[i].pack.b, ID_BYTES);
		buf_put_u8(b, d->places[i].kind);
		buf_put(b, d->places[i].chunk.b, ID_BYTES);
	}
}

static const char *places_fault(const struct damage *d)
{
	for (size_t i = 0; i < d->count; i++) {
		if (!chunk_kind_valid(d->places[i].kind))
			return "a place of an unknown kind";
		if (i && damage_place_cmp(&d->places[i - 1], &d->places[i]) >= 0)
			return "places in another order than theirs";
	}
	return d->count ? NULL : "no place";
}

int damage_get_places(struct rd *r, struct damage *d, struct err *err)
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
		d->places[i].kind = rd_u8(r);
		rd_copy(r, d->places[i].chunk.b, ID_BYTES);
	}
	fault = places_fault(d);
	return fault ? err_set(err, ERR_DAMAGED, "a damage note has %s", fault) : 0;
}

static int read_maint(struct rd *r, void *arg, struct err *err)
{
	struct damage *d = arg;
	int rc = damage_get_places(r, d, err);

	d->has_maint = rc == 0;
	return rc;
}

/* --- whole notes --- */

/* Places are in the order of their packs. *out_packs is the caller's. */
static int packs_of(const struct damage *d, struct id **out_packs, size_t *out_count,
		    struct err *err)
{
	struct id *packs = calloc(d->count + 1, sizeof(*packs));
	size_t count = 0;

	if (!packs)
		return err_nomem(err);
	for (size_t i = 0; i < d->count; i++) {
		if (!count || !id_eq(&packs[count - 1], &d->places[i].pack))
			packs[count++] = d->places[i].pack;
	}
	*out_packs = packs;
	*out_count = count;
	return 0;
}

/* Who can open the places must not be told another story than who cannot. */
static int check_packs(const struct damage *d, struct err *err)
{
	struct id *packs = NULL;
	size_t count = 0;
	int rc = packs_of(d, &packs, &count, err);

	if (rc == 0 &&
	    (count != d->pack_count || memcmp(packs, d->packs, count * sizeof(*packs)) != 0))
		rc = err_set(err, ERR_DAMAGED, "a damage note's packs are not those of its places");
	free(packs);
	return rc;
}

int damage_enc(struct keys *keys, struct damage *d, unsigned floor_log2, struct buf *out,
	       struct err *err)
{
	struct signrec_form form = {
	    .number = d->number, .domain = d->domain, .floor_log2 = floor_log2};
	struct buf clear = {0}, maint = {0}, read = {0};
	struct damage told;
	const char *fault = places_fault(d);
	int rc = signrec_signer(keys, &damage_kind, &form.secret, d->signer, err);

	if (rc != 0)
		return rc;
	if (d->count > LIMIT_DAMAGE_PLACES)
		return err_set(err, ERR_LIMIT, "a damage note of %zu places", d->count);
	if (fault || d->number == 0)
		return err_set(err, ERR_USAGE, "a damage note has %s", fault ? fault : "no number");
	memcpy(d->repo, keys->repo, sizeof(d->repo));
	told = *d;
	rc = packs_of(d, &told.packs, &told.pack_count, err);
	if (rc != 0)
		return rc;
	damage_put_clear(&clear, &told);
	free(told.packs);
	damage_put_places(&maint, d);
	/* The reading part says nothing that maintenance may not know. */
	rc = signrec_seal(keys, &damage_kind, &form, &clear, &maint, &read, out, err);
	d->has_maint = rc == 0;
	return rc;
}

int damage_dec(struct keys *keys, const void *bytes, size_t len, struct damage *out_damage,
	       struct err *err)
{
	struct damage d = {0};
	struct signrec_head head;
	struct rd r;
	int rc = signrec_begin(&damage_kind, bytes, len, &r, err);

	if (rc == 0)
		rc = damage_get_clear(&r, &d, err);
	if (rc == 0) {
		head = head_of(&d);
		rc = signrec_open(keys, &damage_kind, &head, &r, bytes, len, read_maint,
				  signrec_read_nothing, &d, &d.domain, err);
	}
	if (rc == 0 && d.has_maint)
		rc = check_packs(&d, err);
	if (rc != 0)
		damage_free(&d);
	else
		*out_damage = d;
	return rc;
}
