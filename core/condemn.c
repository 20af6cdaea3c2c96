#include "core/condemn.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/sign.h"

void condemn_free(struct condemn *c)
{
	free(c->packs);
	*c = (struct condemn){0};
}

void condemn_put(struct buf *b, const uint8_t repo[REPO_ID_BYTES], const struct condemn *c)
{
	header_put(b, OBJECT_CONDEMN, (uint8_t)c->kind);
	buf_put(b, repo, REPO_ID_BYTES);
	buf_put_i64(b, c->time_s);
	buf_put(b, c->salt, sizeof(c->salt));
	if (c->kind == CONDEMN_DATE) {
		buf_put(b, c->record.b, ID_BYTES);
		return;
	}
	buf_put_u32(b, (uint32_t)c->pack_count);
	for (size_t i = 0; i < c->pack_count; i++)
		buf_put(b, c->packs[i].b, ID_BYTES);
}

static const char *packs_fault(const struct condemn *c)
{
	for (size_t i = 1; i < c->pack_count; i++) {
		if (id_cmp(&c->packs[i - 1], &c->packs[i]) >= 0)
			return "packs in another order than theirs";
	}
	return c->pack_count ? NULL : "no pack";
}

static int packs_get(struct rd *r, struct condemn *c, struct err *err)
{
	uint32_t count = rd_u32(r);
	const char *fault;

	if (count > LIMIT_CONDEMN_PACKS)
		return err_set(err, ERR_LIMIT, "a condemn record of %u packs", count);
	if (r->bad || count > r->left / ID_BYTES)
		return err_set(err, ERR_DAMAGED, "a condemn record is cut short");
	c->packs = calloc(count ? count : 1, sizeof(*c->packs));
	if (!c->packs)
		return err_nomem(err);
	c->pack_count = count;
	for (size_t i = 0; i < count; i++)
		rd_copy(r, c->packs[i].b, ID_BYTES);
	fault = packs_fault(c);
	return fault ? err_set(err, ERR_DAMAGED, "a condemn record has %s", fault) : 0;
}

int condemn_get(struct rd *r, uint8_t out_repo[REPO_ID_BYTES], struct condemn *c, struct err *err)
{
	uint8_t kind = 0;
	int rc = header_get(r, OBJECT_CONDEMN, &kind, err);

	if (rc)
		return rc;
	if (kind < CONDEMN_PACKS || kind > CONDEMN_WATCH)
		return err_set(err, ERR_DAMAGED, "a condemn record of unknown kind %u", kind);
	c->kind = (enum condemn_kind)kind;
	rd_copy(r, out_repo, REPO_ID_BYTES);
	c->time_s = rd_i64(r);
	rd_copy(r, c->salt, sizeof(c->salt));
	if (c->kind == CONDEMN_DATE)
		rd_copy(r, c->record.b, ID_BYTES);
	else
		rc = packs_get(r, c, err);
	if (!rc && r->bad)
		rc = err_set(err, ERR_DAMAGED, "a condemn record is cut short");
	return rc;
}

int condemn_enc(const struct keys *keys, struct condemn *c, struct buf *out, struct err *err)
{
	const char *fault = c->kind == CONDEMN_DATE ? NULL : packs_fault(c);
	struct buf b = {0};
	int rc;

	if (!keys->has_gc_secret)
		return err_set(err, ERR_KEY, "this needs a full or maintain key; this is a %s key",
			       role_name(keys->role));
	if (c->pack_count > LIMIT_CONDEMN_PACKS)
		return err_set(err, ERR_LIMIT, "a condemn record of %zu packs", c->pack_count);
	if (fault)
		return err_set(err, ERR_USAGE, "a condemn record has %s", fault);
	randombytes_buf(c->salt, sizeof(c->salt));
	condemn_put(&b, keys->repo, c);
	rc = sign_append(&b, "condemn", keys->gc_secret, err);
	if (!rc) {
		buf_put(out, b.data, b.len);
		rc = buf_check(out, err);
	}
	buf_free(&b);
	return rc;
}

static int get_object(const uint8_t repo[REPO_ID_BYTES], const uint8_t gc_pub[32],
		      const uint8_t *bytes, size_t len, struct condemn *c, struct err *err)
{
	struct rd r = rd_of(bytes, len < SIGN_BYTES ? 0 : len - SIGN_BYTES);
	uint8_t own[REPO_ID_BYTES];
	int rc = condemn_get(&r, own, c, err);

	if (!rc)
		rc = rd_end(&r, "a condemn record", err);
	if (!rc && memcmp(own, repo, sizeof(own)) != 0)
		rc = err_set(err, ERR_DAMAGED, "a condemn record of another repository");
	return rc ? rc : sign_check(bytes, len, "condemn", gc_pub, err);
}

int condemn_dec(const uint8_t repo[REPO_ID_BYTES], const uint8_t gc_pub[32], const void *bytes,
		size_t len, struct condemn *out_condemn, struct err *err)
{
	struct condemn c = {0};
	int rc;

	if (len > LIMIT_CONDEMN_BYTES)
		return err_set(err, ERR_LIMIT, "a condemn record of %zu bytes", len);
	rc = get_object(repo, gc_pub, bytes, len, &c, err);
	if (rc)
		condemn_free(&c);
	else
		*out_condemn = c;
	return rc;
}
