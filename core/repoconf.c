#include "core/repoconf.h"

#include <string.h>

#include <sodium.h>

#include "core/parity.h"
#include "core/sign.h"

#define CONFIG_BYTES 200

static bool fields_valid(const struct repoconf *conf)
{
	return parity_is_level(conf->parity) && conf->floor_log2 >= 12 && conf->floor_log2 <= 20;
}

int repoconf_enc(const struct repoconf *conf, const uint8_t owner_secret[64], struct buf *out,
		 struct err *err)
{
	struct buf b = {0};
	int rc;

	if (!fields_valid(conf))
		return err_set(err, ERR_USAGE, "config with parity %u and floor %u", conf->parity,
			       conf->floor_log2);
	header_put(&b, OBJECT_CONFIG, 0);
	buf_put(&b, conf->repo, REPO_ID_BYTES);
	buf_put_i64(&b, conf->created_at);
	buf_put(&b, conf->owner_pub, 32);
	buf_put(&b, conf->maint_pub, 32);
	buf_put(&b, conf->gc_pub, 32);
	buf_put_u8(&b, conf->parity);
	buf_put_u8(&b, conf->floor_log2);
	buf_put_zeros(&b, 6);
	rc = sign_append(&b, "config", owner_secret, err);
	if (rc == 0) {
		buf_put(out, b.data, b.len);
		rc = buf_check(out, err);
	}
	buf_free(&b);
	return rc;
}

int repoconf_dec(const void *bytes, size_t len, struct repoconf *out_conf, struct err *err)
{
	struct rd r = rd_of(bytes, len);
	struct repoconf c = {0};
	uint8_t kind;
	int rc = header_get(&r, OBJECT_CONFIG, &kind, err);

	if (rc != 0)
		return rc;
	if (len != CONFIG_BYTES)
		return err_set(err, ERR_DAMAGED, "config of %zu bytes", len);
	rd_copy(&r, c.repo, REPO_ID_BYTES);
	c.created_at = rd_i64(&r);
	rd_copy(&r, c.owner_pub, 32);
	rc = sign_check(bytes, len, "config", c.owner_pub, err);
	if (rc != 0)
		return rc;
	rd_copy(&r, c.maint_pub, 32);
	rd_copy(&r, c.gc_pub, 32);
	c.parity = rd_u8(&r);
	c.floor_log2 = rd_u8(&r);
	r.left -= SIGN_BYTES;
	if (kind != 0 || !fields_valid(&c) || !rd_zeros_to_end(&r))
		return err_set(err, ERR_DAMAGED, "config with fields that cannot be");
	*out_conf = c;
	return 0;
}

int repoconf_matches(const struct repoconf *conf, const struct keys *keys, struct err *err)
{
	if (memcmp(conf->repo, keys->repo, REPO_ID_BYTES) != 0)
		return err_set(err, ERR_KEY, "the key belongs to another repository");
	if (sodium_memcmp(conf->owner_pub, keys->owner_pub, 32) != 0 ||
	    (keys->has_maint_pub && sodium_memcmp(conf->maint_pub, keys->maint_pub, 32) != 0) ||
	    (keys->has_gc_pub && sodium_memcmp(conf->gc_pub, keys->gc_pub, 32) != 0))
		return err_set(err, ERR_KEY, "config was signed with other keys than this one's");
	return 0;
}
