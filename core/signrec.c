#include "core/signrec.h"

#include <string.h>

#include "core/sign.h"

void signrec_put_head(struct buf *b, const struct signrec_kind *kind,
		      const struct signrec_head *head)
{
	header_put(b, OBJECT_SNAPSHOT, kind->kind);
	buf_put(b, head->repo, sizeof(head->repo));
	buf_put(b, head->signer, sizeof(head->signer));
	buf_put_u64(b, head->number);
	buf_put_i64(b, head->time_ns);
}

int signrec_get_head(struct rd *r, const struct signrec_kind *kind, struct signrec_head *out_head,
		     struct err *err)
{
	struct signrec_head h = {0};
	uint8_t found = 0;
	int rc = header_get(r, OBJECT_SNAPSHOT, &found, err);

	if (rc != 0)
		return rc;
	if (found != kind->kind)
		return err_set(err, ERR_DAMAGED, "a signed record of kind %u is no %s",
			       (unsigned)found, kind->name);
	rd_copy(r, h.repo, sizeof(h.repo));
	rd_copy(r, h.signer, sizeof(h.signer));
	h.number = rd_u64(r);
	h.time_ns = rd_i64(r);
	if (r->bad)
		return err_set(err, ERR_DAMAGED, "a %s is cut short", kind->name);
	if (h.number == 0)
		return err_set(err, ERR_DAMAGED, "a %s of number 0", kind->name);
	*out_head = h;
	return 0;
}

/* G first: whoever works with the full key need not become a writer for that. */
int signrec_signer(const struct keys *keys, const struct signrec_kind *kind,
		   const uint8_t **out_secret, uint8_t out_pub[32], struct err *err)
{
	if (!keys->has_gc_secret && !keys->has_writer)
		return err_set(err, ERR_KEY, "a %s needs a full or write key; this is a %s key",
			       kind->name, role_name(keys->role));
	*out_secret = keys->has_gc_secret ? keys->gc_secret : keys->writer_secret;
	memcpy(out_pub, keys->has_gc_secret ? keys->gc_pub : keys->writer_pub, 32);
	return 0;
}

int signrec_seal(struct keys *keys, const struct signrec_kind *kind,
		 const struct signrec_form *form, struct buf *clear, struct buf *maint,
		 struct buf *read, struct buf *out, struct err *err)
{
	struct parts_form parts = {
	    .name = kind->name,
	    .tag = kind->tag,
	    .signer_secret = form->secret,
	    .limit_bytes = kind->limit_bytes,
	    .domain = form->domain,
	    .sequence = form->number,
	    .floor_log2 = form->floor_log2,
	};
	int rc = clear->failed || maint->failed || read->failed ? err_nomem(err) : 0;

	if (rc == 0)
		rc = parts_put(keys, &parts, maint, read, clear, err);
	if (rc == 0) {
		buf_put(out, clear->data, clear->len);
		rc = buf_check(out, err);
	}
	buf_free(clear);
	buf_wipe(maint);
	buf_wipe(read);
	return rc;
}

int signrec_sign(const struct signrec_kind *kind, const uint8_t *secret, struct buf *clear,
		 struct buf *out, struct err *err)
{
	int rc = buf_check(clear, err);

	if (rc == 0)
		rc = sign_append(clear, kind->tag, secret, err);
	if (rc == 0) {
		buf_put(out, clear->data, clear->len);
		rc = buf_check(out, err);
	}
	buf_free(clear);
	return rc;
}

int signrec_begin(const struct signrec_kind *kind, const void *bytes, size_t len, struct rd *out_rd,
		  struct err *err)
{
	if (len > kind->limit_bytes)
		return err_set(err, ERR_LIMIT, "a %s of %zu bytes", kind->name, len);
	*out_rd = rd_of(bytes, len < SIGN_BYTES ? 0 : len - SIGN_BYTES);
	return 0;
}

int signrec_verify(const struct keys *keys, const struct signrec_kind *kind,
		   const struct signrec_head *head, const void *bytes, size_t len, struct err *err)
{
	if (memcmp(head->repo, keys->repo, sizeof(head->repo)) != 0)
		return err_set(err, ERR_DAMAGED, "a %s of another repository", kind->name);
	return sign_check(bytes, len, kind->tag, head->signer, err);
}

int signrec_open(struct keys *keys, const struct signrec_kind *kind,
		 const struct signrec_head *head, struct rd *r, const void *bytes, size_t len,
		 parts_read_fn *maint, parts_read_fn *read, void *arg, uint32_t *out_domain,
		 struct err *err)
{
	struct parts parts;
	int rc = signrec_verify(keys, kind, head, bytes, len, err);

	if (rc == 0)
		rc = parts_get(r, bytes, len, kind->name, &parts, err);
	if (rc != 0)
		return rc;
	*out_domain = parts.domain;
	return parts_open(keys, &parts, maint, read, arg, err);
}

int signrec_read_nothing(struct rd *r, void *arg, struct err *err)
{
	(void)r;
	(void)arg;
	(void)err;
	return 0;
}
