#include "core/tagrec.h"

#include <stdlib.h>
#include <string.h>

#include "core/manifest_part.h"
#include "core/parts.h"
#include "core/sign.h"

void tagrec_free(struct tagrec *t)
{
	for (size_t i = 0; t->tags && i < t->tag_count; i++)
		free(t->tags[i]);
	free(t->tags);
	free(t->macs);
	*t = (struct tagrec){0};
}

/* --- the clear part --- */

void tagrec_put_clear(struct buf *b, const struct tagrec *t)
{
	header_put(b, OBJECT_SNAPSHOT, TAGREC_KIND);
	buf_put(b, t->repo, sizeof(t->repo));
	buf_put(b, t->signer, sizeof(t->signer));
	buf_put_u64(b, t->number);
	buf_put_i64(b, t->time_ns);
	buf_put(b, t->manifest.b, ID_BYTES);
}

int tagrec_get_clear(struct rd *r, struct tagrec *t, struct err *err)
{
	uint8_t kind = 0;
	int rc = header_get(r, OBJECT_SNAPSHOT, &kind, err);

	if (rc != 0)
		return rc;
	if (kind != TAGREC_KIND)
		return err_set(err, ERR_DAMAGED, "a signed record of kind %u is no tag record",
			       (unsigned)kind);
	rd_copy(r, t->repo, sizeof(t->repo));
	rd_copy(r, t->signer, sizeof(t->signer));
	t->number = rd_u64(r);
	t->time_ns = rd_i64(r);
	rd_copy(r, t->manifest.b, ID_BYTES);
	if (r->bad)
		return err_set(err, ERR_DAMAGED, "a tag record is cut short");
	if (t->number == 0)
		return err_set(err, ERR_DAMAGED, "a tag record of number 0");
	return 0;
}

/* --- the parts --- */

static int read_maint(struct rd *r, void *arg, struct err *err)
{
	struct tagrec *t = arg;
	int rc = manifest_part_get_macs(r, &t->macs, &t->mac_count, err);

	t->has_maint = rc == 0;
	return rc;
}

static int read_read(struct rd *r, void *arg, struct err *err)
{
	struct tagrec *t = arg;
	int rc = manifest_part_get_tags(r, &t->tags, &t->tag_count, err);

	t->has_read = rc == 0;
	return rc;
}

/* --- writing --- */

static int check_limits(const struct tagrec *t, struct err *err)
{
	bool fits = t->tag_count <= LIMIT_TAGS;

	for (size_t i = 0; fits && i < t->tag_count; i++)
		fits = strnlen(t->tags[i], LIMIT_TAG_BYTES + 1) <= LIMIT_TAG_BYTES;
	return fits ? 0
		    : err_set(err, ERR_LIMIT, "more than %u tags, or one of more than %u bytes",
			      LIMIT_TAGS, LIMIT_TAG_BYTES);
}

static int complete(struct keys *keys, struct tagrec *t, struct err *err)
{
	const struct domain_keys *domain = keys_domain(keys, t->domain, err);
	struct id *macs = NULL;
	int rc;

	if (!domain)
		return -err->code;
	if (t->number == 0)
		return err_set(err, ERR_USAGE, "a tag record needs a number from 1");
	memcpy(t->repo, keys->repo, sizeof(t->repo));
	memcpy(t->signer, keys->writer_pub, sizeof(t->signer));
	manifest_part_sort_tags(t->tags, &t->tag_count);
	for (size_t i = 0; i < t->tag_count; i++)
		if (t->tags[i][0] == '\0')
			return err_set(err, ERR_USAGE, "a tag is empty");
	rc = manifest_part_macs_of(domain, t->tags, t->tag_count, &macs, err);
	if (rc != 0)
		return rc;
	free(t->macs);
	t->macs = macs;
	t->mac_count = t->tag_count;
	return 0;
}

int tagrec_enc(struct keys *keys, struct tagrec *t, unsigned floor_log2, struct buf *out,
	       struct err *err)
{
	struct parts_form form = {
	    .name = "tag record",
	    .tag = "tag",
	    .limit_bytes = LIMIT_TAGREC_BYTES,
	    .domain = t->domain,
	    .sequence = t->number,
	    .floor_log2 = floor_log2,
	};
	struct buf object = {0}, maint = {0}, read = {0};
	int rc;

	if (!keys->has_writer)
		return err_set(err, ERR_KEY, "a tag record needs the key of a writer");
	rc = check_limits(t, err);
	if (rc == 0)
		rc = complete(keys, t, err);
	if (rc != 0)
		return rc;
	tagrec_put_clear(&object, t);
	manifest_part_put_macs(&maint, t->macs, t->mac_count);
	manifest_part_put_tags(&read, t->tags, t->tag_count);
	if (object.failed || maint.failed || read.failed)
		rc = err_nomem(err);
	if (rc == 0)
		rc = parts_put(keys, &form, &maint, &read, &object, err);
	if (rc != 0)
		goto out;
	buf_put(out, object.data, object.len);
	rc = buf_check(out, err);
	t->has_maint = t->has_read = rc == 0;
out:
	buf_free(&object);
	buf_wipe(&maint);
	buf_wipe(&read);
	return rc;
}

/* --- reading --- */

/* Who maintains sees only HMACs; they must not tell another story than the tags. */
static int check_repeat(struct keys *keys, const struct tagrec *t, struct err *err)
{
	const struct domain_keys *domain = keys_domain(keys, t->domain, err);
	struct id *macs = NULL;
	bool same;
	int rc;

	if (!domain)
		return -err->code;
	rc = manifest_part_macs_of(domain, t->tags, t->tag_count, &macs, err);
	if (rc != 0)
		return rc;
	same = t->mac_count == t->tag_count &&
	       memcmp(macs, t->macs, t->tag_count * sizeof(*macs)) == 0;
	free(macs);
	return same ? 0
		    : err_set(err, ERR_DAMAGED, "a tag record's two parts contradict each other");
}

static int get_object(struct keys *keys, const uint8_t *object, size_t len, struct tagrec *t,
		      struct err *err)
{
	struct rd r = rd_of(object, len < SIGN_BYTES ? 0 : len - SIGN_BYTES);
	struct parts parts;
	int rc = tagrec_get_clear(&r, t, err);

	if (rc != 0)
		return rc;
	if (memcmp(t->repo, keys->repo, sizeof(t->repo)) != 0)
		return err_set(err, ERR_DAMAGED, "a tag record of another repository");
	rc = sign_check(object, len, "tag", t->signer, err);
	if (rc == 0)
		rc = parts_get(&r, object, len, "tag record", &parts, err);
	if (rc != 0)
		return rc;
	t->domain = parts.domain;
	rc = parts_open(keys, &parts, read_maint, read_read, t, err);
	return rc == 0 && t->has_read ? check_repeat(keys, t, err) : rc;
}

int tagrec_dec(struct keys *keys, const void *bytes, size_t len, struct tagrec *out_tagrec,
	       struct err *err)
{
	struct tagrec t = {0};
	int rc;

	if (len > LIMIT_TAGREC_BYTES)
		return err_set(err, ERR_LIMIT, "a tag record of %zu bytes", len);
	rc = get_object(keys, bytes, len, &t, err);
	if (rc != 0)
		tagrec_free(&t);
	else
		*out_tagrec = t;
	return rc;
}
