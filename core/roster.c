#include "core/roster.h"

#include <stdlib.h>
#include <string.h>

#include "core/sign.h"

void roster_free(struct roster *r)
{
	for (size_t i = 0; r->writers && i < r->writer_count; i++)
		free(r->writers[i].kept);
	free(r->epochs);
	free(r->writers);
	*r = (struct roster){0};
}

static int check_counts(size_t epochs, size_t writers, struct err *err)
{
	if (epochs > LIMIT_EPOCHS)
		return err_set(err, ERR_LIMIT, "roster with more than %u epochs", LIMIT_EPOCHS);
	if (writers > LIMIT_WRITERS)
		return err_set(err, ERR_LIMIT, "roster with more than %u writers", LIMIT_WRITERS);
	return 0;
}

bool roster_revoked(const struct roster_writer *w)
{
	return w->last_sequence != UINT64_MAX;
}

static int compare_ids(const void *a, const void *b)
{
	return id_cmp(a, b);
}

bool roster_counts(const struct roster_writer *w, uint64_t sequence, const struct id *name)
{
	if (sequence < w->first_sequence || sequence > w->last_sequence)
		return false;
	return !roster_revoked(w) || (w->kept_count && bsearch(name, w->kept, w->kept_count,
							       sizeof(*w->kept), compare_ids));
}

static void put_writer(struct buf *b, const struct roster_writer *w)
{
	buf_put(b, w->pub, 32);
	buf_put_u32(b, w->domain);
	buf_put_u64(b, w->first_sequence);
	buf_put_u64(b, w->last_sequence);
	buf_put_u64(b, w->version);
	if (!roster_revoked(w))
		return;
	buf_put_u32(b, (uint32_t)w->kept_count);
	for (size_t i = 0; i < w->kept_count; i++)
		buf_put(b, w->kept[i].b, ID_BYTES);
}

void roster_put_lists(struct buf *b, const struct roster *r)
{
	buf_put_u64(b, r->epoch);
	buf_put_u16(b, (uint16_t)r->epoch_count);
	for (size_t i = 0; i < r->epoch_count; i++) {
		buf_put_u32(b, r->epochs[i].epoch);
		buf_put(b, r->epochs[i].pub, 32);
	}
	buf_put_u32(b, (uint32_t)r->writer_count);
	for (size_t i = 0; i < r->writer_count; i++)
		put_writer(b, &r->writers[i]);
}

int roster_enc(const struct roster *r, const uint8_t repo[REPO_ID_BYTES],
	       const uint8_t owner_secret[64], struct buf *out, struct err *err)
{
	struct buf b = {0};
	int rc = check_counts(r->epoch_count, r->writer_count, err);

	if (rc != 0)
		return rc;
	header_put(&b, OBJECT_ROSTER, 0);
	buf_put(&b, repo, REPO_ID_BYTES);
	roster_put_lists(&b, r);
	buf_put(&b, owner_secret + 32, 32); /* an Ed25519 secret ends with its public key */
	rc = sign_append(&b, "roster", owner_secret, err);
	if (rc == 0 && b.len > LIMIT_ROSTER_BYTES)
		rc = err_set(err, ERR_LIMIT, "roster of %zu bytes", b.len);
	if (rc == 0) {
		buf_put(out, b.data, b.len);
		rc = buf_check(out, err);
	}
	buf_free(&b);
	return rc;
}

static int get_epochs(struct rd *r, struct roster *out, struct err *err)
{
	size_t count = rd_u16(r);
	int rc = check_counts(count, 0, err);

	if (rc != 0)
		return rc;
	out->epochs = calloc(count + 1, sizeof(*out->epochs));
	if (!out->epochs)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++) {
		struct roster_epoch *e = &out->epochs[i];

		e->epoch = rd_u32(r);
		rd_copy(r, e->pub, 32);
		if (e->epoch <= (i ? e[-1].epoch : 0))
			return err_set(err, ERR_DAMAGED, "roster with epochs out of order");
	}
	out->epoch_count = count;
	return 0;
}

static int get_kept(struct rd *r, struct roster_writer *w, struct err *err)
{
	size_t count = rd_u32(r);

	if (count > LIMIT_KEPT)
		return err_set(err, ERR_LIMIT, "roster with %zu backups of one writer", count);
	if (r->bad || count > r->left / ID_BYTES)
		return err_set(err, ERR_DAMAGED, "roster is cut short");
	w->kept = calloc(count + 1, sizeof(*w->kept));
	if (!w->kept)
		return err_nomem(err);
	w->kept_count = count;
	for (size_t i = 0; i < count; i++) {
		rd_copy(r, w->kept[i].b, ID_BYTES);
		if (i && id_cmp(&w->kept[i - 1], &w->kept[i]) >= 0)
			return err_set(err, ERR_DAMAGED, "roster with backups out of order");
	}
	return 0;
}

static int get_writers(struct rd *r, struct roster *out, struct err *err)
{
	size_t count = rd_u32(r);
	int rc = check_counts(0, count, err);

	if (rc != 0)
		return rc;
	out->writers = calloc(count + 1, sizeof(*out->writers));
	if (!out->writers)
		return err_nomem(err);
	out->writer_count = count;
	for (size_t i = 0; i < count; i++) {
		struct roster_writer *w = &out->writers[i];

		rd_copy(r, w->pub, 32);
		w->domain = rd_u32(r);
		w->first_sequence = rd_u64(r);
		w->last_sequence = rd_u64(r);
		w->version = rd_u64(r);
		if (i && memcmp(w[-1].pub, w->pub, 32) >= 0)
			return err_set(err, ERR_DAMAGED, "roster with writers out of order");
		rc = roster_revoked(w) ? get_kept(r, w, err) : 0;
		if (rc != 0)
			return rc;
	}
	return 0;
}

int roster_get_lists(struct rd *r, struct roster *out, struct err *err)
{
	int rc;

	out->epoch = rd_u64(r);
	rc = get_epochs(r, out, err);
	return rc ? rc : get_writers(r, out, err);
}

static int get_fields(struct rd *r, const uint8_t owner_pub[32], struct roster *out,
		      struct err *err)
{
	uint8_t owner[32];
	int rc = roster_get_lists(r, out, err);

	if (rc != 0)
		return rc;
	rd_copy(r, owner, 32);
	rc = rd_end(r, "roster", err);
	if (rc == 0 && memcmp(owner, owner_pub, 32) != 0)
		rc = err_set(err, ERR_DAMAGED, "roster that names another owner");
	return rc;
}

int roster_dec(const void *bytes, size_t len, const uint8_t repo[REPO_ID_BYTES],
	       const uint8_t owner_pub[32], struct roster *out_roster, struct err *err)
{
	struct rd r = rd_of(bytes, len);
	struct roster roster = {0};
	uint8_t kind, of[REPO_ID_BYTES];
	int rc = header_get(&r, OBJECT_ROSTER, &kind, err);

	if (rc != 0)
		return rc;
	if (len > LIMIT_ROSTER_BYTES)
		return err_set(err, ERR_LIMIT, "roster of %zu bytes", len);
	rd_copy(&r, of, sizeof(of));
	if (kind != 0 || memcmp(of, repo, sizeof(of)) != 0)
		return err_set(err, ERR_DAMAGED, "roster of another repository");
	rc = sign_check(bytes, len, "roster", owner_pub, err);
	if (rc != 0)
		return rc;
	if (r.left < SIGN_BYTES)
		return err_set(err, ERR_DAMAGED, "roster is cut short");
	r.left -= SIGN_BYTES;
	rc = get_fields(&r, owner_pub, &roster, err);
	if (rc != 0)
		roster_free(&roster);
	else
		*out_roster = roster;
	return rc;
}

/* Copies an array with one more element free at `at`; NULL when there is no memory. */
static void *with_gap(const void *old, size_t count, size_t size, size_t at)
{
	uint8_t *fresh = calloc(count + 1, size);

	if (fresh && at)
		memcpy(fresh, old, at * size);
	if (fresh && count > at)
		memcpy(fresh + (at + 1) * size, (const uint8_t *)old + at * size,
		       (count - at) * size);
	return fresh;
}

static size_t writer_place(const struct roster *r, const uint8_t pub[32])
{
	size_t low = 0, high = r->writer_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (memcmp(r->writers[mid].pub, pub, 32) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct roster_writer *roster_find(const struct roster *r, const uint8_t pub[32])
{
	size_t at = writer_place(r, pub);

	return at < r->writer_count && memcmp(r->writers[at].pub, pub, 32) == 0 ? &r->writers[at]
										: NULL;
}

static int copy_kept(struct roster_writer *into, const struct roster_writer *from, struct err *err)
{
	struct id *kept = malloc((from->kept_count + 1) * sizeof(*kept));

	if (!kept)
		return err_nomem(err);
	if (from->kept_count)
		memcpy(kept, from->kept, from->kept_count * sizeof(*kept));
	free(into->kept);
	into->kept = kept;
	into->kept_count = from->kept_count;
	return 0;
}

static int replace_writer(struct roster_writer *into, const struct roster_writer *w,
			  struct err *err)
{
	int rc = copy_kept(into, w, err);
	struct id *kept = into->kept;

	if (rc != 0)
		return rc;
	*into = *w;
	into->kept = kept;
	return 0;
}

static void intersect(struct roster_writer *into, const struct roster_writer *w)
{
	size_t kept = 0;

	for (size_t i = 0; i < into->kept_count; i++) {
		if (w->kept_count &&
		    bsearch(&into->kept[i], w->kept, w->kept_count, sizeof(*w->kept), compare_ids))
			into->kept[kept++] = into->kept[i];
	}
	into->kept_count = kept;
}

/* Gives the same result in whatever order rosters are merged, and never more rights than each gave. */
static int merge_writer(struct roster_writer *into, const struct roster_writer *w, struct err *err)
{
	int rc = 0;

	if (w->version != into->version)
		return w->version > into->version ? replace_writer(into, w, err) : 0;
	if (roster_revoked(w) && roster_revoked(into))
		intersect(into, w);
	else if (roster_revoked(w))
		rc = copy_kept(into, w, err);
	if (rc != 0)
		return rc;
	if (w->domain < into->domain)
		into->domain = w->domain;
	if (w->first_sequence > into->first_sequence)
		into->first_sequence = w->first_sequence;
	if (w->last_sequence < into->last_sequence)
		into->last_sequence = w->last_sequence;
	return 0;
}

int roster_add_writer(struct roster *r, const struct roster_writer *w, struct err *err)
{
	size_t at = writer_place(r, w->pub);
	struct roster_writer *fresh, own = *w;
	int rc;

	if (at < r->writer_count && memcmp(r->writers[at].pub, w->pub, 32) == 0)
		return merge_writer(&r->writers[at], w, err);
	rc = check_counts(0, r->writer_count + 1, err);
	if (rc != 0)
		return rc;
	own.kept = NULL;
	rc = copy_kept(&own, w, err);
	if (rc != 0)
		return rc;
	fresh = with_gap(r->writers, r->writer_count, sizeof(*fresh), at);
	if (!fresh) {
		free(own.kept);
		return err_nomem(err);
	}
	fresh[at] = own;
	free(r->writers);
	r->writers = fresh;
	r->writer_count++;
	return 0;
}

int roster_add_epoch(struct roster *r, uint32_t epoch, const uint8_t pub[32], struct err *err)
{
	struct roster_epoch *fresh;
	size_t at = 0;
	int rc;

	if (epoch == 0)
		return err_set(err, ERR_USAGE, "epochs of the read key count from 1");
	while (at < r->epoch_count && r->epochs[at].epoch < epoch)
		at++;
	if (at < r->epoch_count && r->epochs[at].epoch == epoch) {
		if (memcmp(r->epochs[at].pub, pub, 32) != 0)
			return err_set(err, ERR_DAMAGED, "two read keys of epoch %u", epoch);
		return 0;
	}
	rc = check_counts(r->epoch_count + 1, 0, err);
	if (rc != 0)
		return rc;
	fresh = with_gap(r->epochs, r->epoch_count, sizeof(*fresh), at);
	if (!fresh)
		return err_nomem(err);
	fresh[at].epoch = epoch;
	memcpy(fresh[at].pub, pub, 32);
	free(r->epochs);
	r->epochs = fresh;
	r->epoch_count++;
	return 0;
}

int roster_merge(struct roster *into, const struct roster *from, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < from->epoch_count; i++)
		rc = roster_add_epoch(into, from->epochs[i].epoch, from->epochs[i].pub, err);
	for (size_t i = 0; rc == 0 && i < from->writer_count; i++)
		rc = roster_add_writer(into, &from->writers[i], err);
	if (rc == 0 && from->epoch > into->epoch)
		into->epoch = from->epoch;
	return rc;
}
