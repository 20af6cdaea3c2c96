#include "core/drillnote.h"

#include <string.h>

#include "core/signrec.h"

static const struct signrec_kind drillnote_kind = {DRILLNOTE_KIND, "drill note", "drill",
						   LIMIT_DRILL_BYTES};

enum drillnote_verdict drillnote_judge(const struct drillnote_counts *c)
{
	bool bad = c->databases_failed || c->assertions_failed || c->ref_queries_failed ||
		   c->references_missing || c->files_failed;

	return bad ? DRILLNOTE_FAILED : DRILLNOTE_GOOD;
}

/* --- the clear part --- */

void drillnote_put_clear(struct buf *b, const struct drillnote *d)
{
	signrec_put_head(b, &drillnote_kind, &d->head);
	buf_put(b, d->manifest.b, ID_BYTES);
}

int drillnote_get_clear(struct rd *r, struct drillnote *d, struct err *err)
{
	int rc = signrec_get_head(r, &drillnote_kind, &d->head, err);

	if (rc != 0)
		return rc;
	rd_copy(r, d->manifest.b, ID_BYTES);
	return r->bad ? err_set(err, ERR_DAMAGED, "a drill note is cut short") : 0;
}

/* --- the maintenance part --- */

void drillnote_put_maint(struct buf *b, const struct drillnote *d)
{
	const struct drillnote_counts *c = &d->counts;
	const uint32_t small[] = {
	    c->databases,         c->databases_failed, c->databases_unchecked, c->assertions,
	    c->assertions_failed, c->ref_queries,      c->ref_queries_failed};
	const uint64_t large[] = {c->references, c->references_missing, c->files, c->files_failed,
				  c->bytes};

	buf_put_u8(b, (uint8_t)d->verdict);
	buf_put_u8(b, (uint8_t)d->place);
	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
		buf_put_u32(b, small[i]);
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		buf_put_u64(b, large[i]);
}

static const char *maint_fault(const struct drillnote *d)
{
	const struct drillnote_counts *c = &d->counts;

	if (d->place != DRILLNOTE_MEMORY && d->place != DRILLNOTE_FILES)
		return "an unknown place";
	if (d->verdict != drillnote_judge(c))
		return "another verdict than what it counts comes to";
	if (c->databases_failed > c->databases ||
	    c->databases_unchecked > c->databases - c->databases_failed ||
	    c->assertions_failed > c->assertions || c->ref_queries_failed > c->ref_queries)
		return "more that failed than there was";
	return NULL;
}

int drillnote_get_maint(struct rd *r, struct drillnote *d, struct err *err)
{
	struct drillnote_counts c;
	const char *fault;

	d->verdict = (enum drillnote_verdict)rd_u8(r);
	d->place = (enum drillnote_place)rd_u8(r);
	c.databases = rd_u32(r);
	c.databases_failed = rd_u32(r);
	c.databases_unchecked = rd_u32(r);
	c.assertions = rd_u32(r);
	c.assertions_failed = rd_u32(r);
	c.ref_queries = rd_u32(r);
	c.ref_queries_failed = rd_u32(r);
	c.references = rd_u64(r);
	c.references_missing = rd_u64(r);
	c.files = rd_u64(r);
	c.files_failed = rd_u64(r);
	c.bytes = rd_u64(r);
	if (r->bad)
		return err_set(err, ERR_DAMAGED, "a drill note is cut short");
	d->counts = c;
	fault = maint_fault(d);
	return fault ? err_set(err, ERR_DAMAGED, "a drill note has %s", fault) : 0;
}

static int read_maint(struct rd *r, void *arg, struct err *err)
{
	struct drillnote *d = arg;
	int rc = drillnote_get_maint(r, d, err);

	d->has_maint = rc == 0;
	return rc;
}

/* --- whole notes --- */

int drillnote_enc(struct keys *keys, struct drillnote *d, unsigned floor_log2, struct buf *out,
		  struct err *err)
{
	struct signrec_form form = {
	    .number = d->head.number, .domain = d->domain, .floor_log2 = floor_log2};
	struct buf clear = {0}, maint = {0}, read = {0};
	const char *fault;
	int rc = signrec_signer(keys, &drillnote_kind, &form.secret, d->head.signer, err);

	if (rc != 0)
		return rc;
	d->verdict = drillnote_judge(&d->counts);
	fault = d->head.number ? maint_fault(d) : "no number";
	if (fault)
		return err_set(err, ERR_USAGE, "a drill note has %s", fault);
	memcpy(d->head.repo, keys->repo, sizeof(d->head.repo));
	drillnote_put_clear(&clear, d);
	drillnote_put_maint(&maint, d);
	rc = signrec_seal(keys, &drillnote_kind, &form, &clear, &maint, &read, out, err);
	d->has_maint = rc == 0;
	return rc;
}

int drillnote_dec(struct keys *keys, const void *bytes, size_t len, struct drillnote *out_note,
		  struct err *err)
{
	struct drillnote d = {0};
	struct rd r;
	int rc = signrec_begin(&drillnote_kind, bytes, len, &r, err);

	if (rc == 0)
		rc = drillnote_get_clear(&r, &d, err);
	if (rc == 0)
		rc = signrec_open(keys, &drillnote_kind, &d.head, &r, bytes, len, read_maint,
				  signrec_read_nothing, &d, &d.domain, err);
	if (rc == 0)
		*out_note = d;
	return rc;
}
