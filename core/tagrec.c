#include "core/tagrec.h"

#include <stdlib.h>
#include <string.h>

#include "core/manifest_part.h"
#include "core/signrec.h"

void tagrec_free(struct tagrec *t)
{
	for (size_t i = 0; t->tags && i < t->tag_count; i++)
		free(t->tags[i]);
	free(t->tags);
	free(t->macs);
	*t = (struct tagrec){0};
}

/* --- the clear part --- */

static const struct signrec_kind tagrec_kind = {TAGREC_KIND, "tag record", "tag",
						LIMIT_TAGREC_BYTES};

void tagrec_put_clear(struct buf *b, const struct tagrec *t)
{
	signrec_put_head(b, &tagrec_kind, &t->head);
	buf_put(b, t->manifest.b, ID_BYTES);
}

int tagrec_get_clear(struct rd *r, struct tagrec *t, struct err *err)
{
	int rc = signrec_get_head(r, &tagrec_kind, &t->head, err);

	if (rc != 0)
		return rc;
	rd_copy(r, t->manifest.b, ID_BYTES);
	return r->bad ? err_set(err, ERR_DAMAGED, "a tag record is cut short") : 0;
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
	if (t->head.number == 0)
		return err_set(err, ERR_USAGE, "a tag record needs a number from 1");
	memcpy(t->head.repo, keys->repo, sizeof(t->head.repo));
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
	struct signrec_form form = {
	    .number = t->head.number, .domain = t->domain, .floor_log2 = floor_log2};
	struct buf clear = {0}, maint = {0}, read = {0};
	int rc;

	rc = signrec_signer(keys, &tagrec_kind, &form.secret, t->head.signer, err);
	if (rc == 0)
		rc = check_limits(t, err);
	if (rc == 0)
		rc = complete(keys, t, err);
	if (rc != 0)
		return rc;
	tagrec_put_clear(&clear, t);
	manifest_part_put_macs(&maint, t->macs, t->mac_count);
	manifest_part_put_tags(&read, t->tags, t->tag_count);
	rc = signrec_seal(keys, &tagrec_kind, &form, &clear, &maint, &read, out, err);
	t->has_maint = t->has_read = rc == 0;
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

int tagrec_dec(struct keys *keys, const void *bytes, size_t len, struct tagrec *out_tagrec,
	       struct err *err)
{
	struct tagrec t = {0};
	struct rd r;
	int rc = signrec_begin(&tagrec_kind, bytes, len, &r, err);

	if (rc == 0)
		rc = tagrec_get_clear(&r, &t, err);
	if (rc == 0)
		rc = signrec_open(keys, &tagrec_kind, &t.head, &r, bytes, len, read_maint,
				  read_read, &t, &t.domain, err);
	if (rc == 0 && t.has_read)
		rc = check_repeat(keys, &t, err);
	if (rc != 0)
		tagrec_free(&t);
	else
		*out_tagrec = t;
	return rc;
}
