#include "core/sightings.h"

#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"

#define MAGIC "njseen"
#define MAGIC_BYTES 6
#define VERSION 1
#define SUM_BYTES 8
#define ITEM_BYTES (ID_BYTES + 32 + 8 + 8 + 1)

void sightings_free(struct sightings *s)
{
	roster_free(&s->roster);
	free(s->items);
	*s = (struct sightings){0};
}

/* --- encoding --- */

static void put_item(struct buf *b, const struct sighting *item)
{
	buf_put(b, item->name.b, ID_BYTES);
	buf_put(b, item->writer, 32);
	buf_put_u64(b, item->sequence);
	buf_put_i64(b, item->time_ns);
	buf_put_u8(b, item->fate);
}

static int put_sum(struct buf *b, struct err *err)
{
	struct id sum;
	int rc = buf_check(b, err);

	if (rc == 0)
		rc = sha256_of(b->data, b->len, &sum, err);
	if (rc != 0)
		return rc;
	buf_put(b, sum.b, SUM_BYTES);
	return buf_check(b, err);
}

int sightings_enc(const struct sightings *s, struct buf *out, struct err *err)
{
	struct buf b = {0};
	int rc;

	if (s->count > LIMIT_SIGHTINGS || s->roster.epoch_count > LIMIT_EPOCHS ||
	    s->roster.writer_count > LIMIT_WRITERS)
		return err_set(err, ERR_LIMIT, "more backups or hosts than can be kept in mind");
	buf_put(&b, MAGIC, MAGIC_BYTES);
	buf_put_u16(&b, VERSION);
	buf_put(&b, s->repo, REPO_ID_BYTES);
	buf_put(&b, s->owner_pub, 32);
	buf_put_u64(&b, s->retire_number);
	buf_put_u64(&b, s->findings);
	roster_put_lists(&b, &s->roster);
	buf_put_u32(&b, (uint32_t)s->count);
	for (size_t i = 0; i < s->count; i++)
		put_item(&b, &s->items[i]);
	rc = put_sum(&b, err);
	if (rc == 0) {
		buf_put(out, b.data, b.len);
		rc = buf_check(out, err);
	}
	buf_free(&b);
	return rc;
}

/* --- decoding --- */

static int get_items(struct rd *r, struct sightings *s, struct err *err)
{
	size_t count = rd_u32(r);

	if (count > LIMIT_SIGHTINGS)
		return err_set(err, ERR_LIMIT, "more backups than there can be");
	if (r->bad || count > r->left / ITEM_BYTES)
		return err_set(err, ERR_DAMAGED, "cut short");
	s->items = calloc(count + 1, sizeof(*s->items));
	if (!s->items)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++) {
		struct sighting *item = &s->items[i];

		rd_copy(r, item->name.b, ID_BYTES);
		rd_copy(r, item->writer, 32);
		item->sequence = rd_u64(r);
		item->time_ns = rd_i64(r);
		item->fate = rd_u8(r);
		if (item->fate < SIGHTING_SEEN || item->fate > SIGHTING_ACCEPTED)
			return err_set(err, ERR_DAMAGED, "a backup of an unknown fate");
		if (i && id_cmp(&item[-1].name, &item->name) >= 0)
			return err_set(err, ERR_DAMAGED, "backups out of order");
	}
	s->count = count;
	return 0;
}

/* What is left of r is the fields alone then. */
static int check_frame(struct rd *r, const uint8_t *bytes, size_t len, struct err *err)
{
	const uint8_t *magic = rd_bytes(r, MAGIC_BYTES);
	uint16_t version = rd_u16(r);
	struct id sum;
	int rc;

	if (len > LIMIT_SIGHTINGS_BYTES)
		return err_set(err, ERR_LIMIT, "larger than it can be");
	if (r->bad || r->left < SUM_BYTES || memcmp(magic, MAGIC, MAGIC_BYTES) != 0)
		return err_set(err, ERR_DAMAGED, "not a file of what this host has seen");
	if (version > VERSION)
		return err_set(err, ERR_VERSION, "written by a newer nightjar");
	rc = sha256_of(bytes, len - SUM_BYTES, &sum, err);
	if (rc != 0)
		return rc;
	if (version != VERSION || memcmp(sum.b, bytes + len - SUM_BYTES, SUM_BYTES) != 0)
		return err_set(err, ERR_DAMAGED, "damaged");
	r->left -= SUM_BYTES;
	return 0;
}

int sightings_dec(const void *bytes, size_t len, const uint8_t repo[REPO_ID_BYTES],
		  struct sightings *out_sightings, struct err *err)
{
	struct rd r = rd_of(bytes, len);
	struct sightings s = {0};
	int rc = check_frame(&r, bytes, len, err);

	if (rc != 0)
		return rc;
	rd_copy(&r, s.repo, sizeof(s.repo));
	rd_copy(&r, s.owner_pub, sizeof(s.owner_pub));
	s.retire_number = rd_u64(&r);
	s.findings = rd_u64(&r);
	if (memcmp(s.repo, repo, sizeof(s.repo)) != 0)
		return err_set(err, ERR_DAMAGED, "it is of another repository");
	rc = roster_get_lists(&r, &s.roster, err);
	if (rc == 0)
		rc = get_items(&r, &s, err);
	if (rc == 0)
		rc = rd_end(&r, "what this host has seen", err);
	if (rc != 0)
		sightings_free(&s);
	else
		*out_sightings = s;
	return rc;
}

/* --- asking --- */

static int compare_to_name(const void *name, const void *item)
{
	return id_cmp(name, &((const struct sighting *)item)->name);
}

struct sighting *sightings_find(const struct sightings *s, const struct id *name)
{
	return s->count ? bsearch(name, s->items, s->count, sizeof(*s->items), compare_to_name)
			: NULL;
}

/* The newest of a writer first. */
static int compare_age(const void *a, const void *b)
{
	const struct sighting *x = a, *y = b;
	int order = memcmp(x->writer, y->writer, sizeof(x->writer));

	if (order == 0)
		order = (x->sequence < y->sequence) - (x->sequence > y->sequence);
	return order ? order : id_cmp(&x->name, &y->name);
}

int sightings_newest(const struct sightings *s, struct sighting **out_items, size_t *out_count,
		     struct err *err)
{
	struct sighting *all = calloc(s->count + 1, sizeof(*all));
	size_t seen = 0, kept = 0;

	if (!all)
		return err_nomem(err);
	for (size_t i = 0; i < s->count; i++) {
		if (s->items[i].fate == SIGHTING_SEEN)
			all[seen++] = s->items[i];
	}
	qsort(all, seen, sizeof(*all), compare_age);
	for (size_t i = 0; i < seen; i++) {
		const struct sighting *last = kept ? &all[kept - 1] : NULL;

		if (!last || memcmp(last->writer, all[i].writer, sizeof(last->writer)) != 0 ||
		    last->sequence == all[i].sequence)
			all[kept++] = all[i];
	}
	*out_items = all;
	*out_count = kept;
	return 0;
}
