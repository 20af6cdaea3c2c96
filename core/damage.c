#include "core/damage.h"

#include <stdlib.h>
#include <string.h>

#include "core/parts.h"
#include "core/record.h"
#include "core/sign.h"

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
	*d = (struct damage){0};
}

/* --- the clear part --- */

void damage_put_clear(struct buf *b, const struct damage *d)
{
	header_put(b, OBJECT_SNAPSHOT, DAMAGE_KIND);
	buf_put(b, d->repo, sizeof(d->repo));
	buf_put(b, d->signer, sizeof(d->signer));
	buf_put_u64(b, d->number);
	buf_put_i64(b, d->time_ns);
}

int damage_get_clear(struct rd *r, struct damage *d, struct err *err)
{
	uint8_t kind = 0;
	int rc = header_get(r, OBJECT_SNAPSHOT, &kind, err);

	if (rc != 0)
		return rc;
	if (kind != DAMAGE_KIND)
		return err_set(err, ERR_DAMAGED, "a signed record of kind %u is no damage note",
			       (unsigned)kind);
	rd_copy(r, d->repo, sizeof(d->repo));
	rd_copy(r, d->signer, sizeof(d->signer));
	d->number = rd_u64(r);
	d->time_ns = rd_i64(r);
	if (r->bad)
		return err_set(err, ERR_DAMAGED, "a damage note is cut short");
	if (d->number == 0)
		return err_set(err, ERR_DAMAGED, "a damage note of number 0");
	return 0;
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

/* It says nothing that maintenance may not know. */
static int read_nothing(struct rd *r, void *arg, struct err *err)
{
	(void)r;
	(void)arg;
	(void)err;
	return 0;
}

/* --- whole notes --- */

/* G where the key holds it: whoever checks with the full key need not become a writer for that. */
static const uint8_t *signer_of(const struct keys *keys, uint8_t out_pub[32])
{
	if (!keys->has_gc_secret && !keys->has_writer)
		return NULL;
	memcpy(out_pub, keys->has_gc_secret ? keys->gc_pub : keys->writer_pub, 32);
	return keys->has_gc_secret ? keys->gc_secret : keys->writer_secret;
}

int damage_enc(struct keys *keys, struct damage *d, unsigned floor_log2, struct buf *out,
	       struct err *err)
{
	struct parts_form form = {
	    .name = "damage note",
	    .tag = "damage",
	    .limit_bytes = LIMIT_DAMAGE_BYTES,
	    .domain = d->domain,
	    .sequence = d->number,
	    .floor_log2 = floor_log2,
	};
	struct buf object = {0}, maint = {0}, read = {0};
	const char *fault = places_fault(d);
	int rc;

	form.signer_secret = signer_of(keys, d->signer);
	if (!form.signer_secret)
		return err_set(err, ERR_KEY,
			       "a damage note needs a full or write key; this is a %s key",
			       role_name(keys->role));
	if (d->count > LIMIT_DAMAGE_PLACES)
		return err_set(err, ERR_LIMIT, "a damage note of %zu places", d->count);
	if (fault || d->number == 0)
		return err_set(err, ERR_USAGE, "a damage note has %s", fault ? fault : "no number");
	memcpy(d->repo, keys->repo, sizeof(d->repo));
	damage_put_clear(&object, d);
	damage_put_places(&maint, d);
	rc = object.failed || maint.failed ? err_nomem(err) : 0;
	if (rc == 0)
		rc = parts_put(keys, &form, &maint, &read, &object, err);
	if (rc == 0) {
		buf_put(out, object.data, object.len);
		rc = buf_check(out, err);
	}
	d->has_maint = rc == 0;
	buf_free(&object);
	buf_wipe(&maint);
	buf_wipe(&read);
	return rc;
}

static int get_object(struct keys *keys, const uint8_t *object, size_t len, struct damage *d,
		      struct err *err)
{
	struct rd r = rd_of(object, len < SIGN_BYTES ? 0 : len - SIGN_BYTES);
	struct parts parts;
	int rc = damage_get_clear(&r, d, err);

	if (rc != 0)
		return rc;
	if (memcmp(d->repo, keys->repo, sizeof(d->repo)) != 0)
		return err_set(err, ERR_DAMAGED, "a damage note of another repository");
	rc = sign_check(object, len, "damage", d->signer, err);
	if (rc == 0)
		rc = parts_get(&r, object, len, "damage note", &parts, err);
	if (rc != 0)
		return rc;
	d->domain = parts.domain;
	return parts_open(keys, &parts, read_maint, read_nothing, d, err);
}

int damage_dec(struct keys *keys, const void *bytes, size_t len, struct damage *out_damage,
	       struct err *err)
{
	struct damage d = {0};
	int rc;

	if (len > LIMIT_DAMAGE_BYTES)
		return err_set(err, ERR_LIMIT, "a damage note of %zu bytes", len);
	rc = get_object(keys, bytes, len, &d, err);
	if (rc != 0)
		damage_free(&d);
	else
		*out_damage = d;
	return rc;
}
