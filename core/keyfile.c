#include "core/keyfile.h"

#include <string.h>

#include <sodium.h>

#include "core/sha256.h"

#define LINE_CHARS 76
#define CHECK_BYTES 8
#define TEXT_MAX_CHARS 16384
/* More than the largest of any role, with its final NUL: a read key of all epochs and domains. */
#define BLOB_MAX_BYTES 8192

static const char first_word[] = "nightjar-key-";

static void put_write_fields(struct buf *b, const struct keys *keys, const uint8_t root[32])
{
	const struct read_epoch *e = keys_newest_epoch(keys);

	buf_put(b, keys->writer_secret, 32);
	buf_put(b, keys->owner_pub, 32);
	buf_put(b, keys->maint_pub, 32);
	buf_put(b, keys->gc_pub, 32);
	buf_put_u32(b, e->epoch);
	buf_put(b, e->pub, 32);
	buf_put_u32(b, keys->writer_domain);
	buf_put(b, root, 32);
	buf_put_str16(b, keys->host, strlen(keys->host));
}

static const struct domain_keys *next_domain(const struct keys *keys,
					     const struct domain_keys *last)
{
	const struct domain_keys *best = NULL;

	for (size_t i = 0; i < keys->domain_count; i++) {
		const struct domain_keys *d = &keys->domains[i];

		if ((!last || d->number > last->number) && (!best || d->number < best->number))
			best = d;
	}
	return best;
}

static void put_read_fields(struct buf *b, const struct keys *keys)
{
	uint16_t secrets = 0;

	buf_put(b, keys->maint_secret, 32);
	buf_put(b, keys->owner_pub, 32);
	buf_put(b, keys->gc_pub, 32);
	for (size_t i = 0; i < keys->epoch_count; i++)
		secrets = (uint16_t)(secrets + keys->epochs[i].has_secret);
	buf_put_u16(b, secrets);
	for (size_t i = 0; i < keys->epoch_count; i++) {
		if (!keys->epochs[i].has_secret)
			continue;
		buf_put_u32(b, keys->epochs[i].epoch);
		buf_put(b, keys->epochs[i].secret, 32);
	}
	buf_put_u16(b, (uint16_t)keys->domain_count);
	for (const struct domain_keys *d = next_domain(keys, NULL); d; d = next_domain(keys, d)) {
		buf_put_u32(b, d->number);
		buf_put(b, d->root, 32);
	}
}

static int put_fields(struct buf *b, const struct keys *keys, enum role role, struct err *err)
{
	const struct domain_keys *d = keys->domains;

	switch (role) {
	case ROLE_FULL:
		buf_put(b, keys->master, 32);
		return 0;
	case ROLE_WRITE:
		while (d < keys->domains + keys->domain_count && d->number != keys->writer_domain)
			d++;
		if (!keys->has_writer || d == keys->domains + keys->domain_count ||
		    !keys_newest_epoch(keys))
			return err_set(err, ERR_USAGE, "a write key needs a writer first");
		put_write_fields(b, keys, d->root);
		return 0;
	case ROLE_MAINTAIN:
		buf_put(b, keys->maint_secret, 32);
		buf_put(b, keys->gc_secret, 32);
		buf_put(b, keys->owner_pub, 32);
		return 0;
	case ROLE_READ:
		put_read_fields(b, keys);
		return 0;
	}
	return err_set(err, ERR_USAGE, "no such role: %u", role);
}

/* A key file is often the first that a process touches, and sodium_malloc aborts before sodium_init. */
static void *secret_new(size_t size)
{
	return sodium_init() < 0 ? NULL : sodium_malloc(size);
}

static int put_text(struct buf *out, enum role role, const struct buf *blob, struct err *err)
{
	size_t cap = sodium_base64_encoded_len(blob->len, sodium_base64_VARIANT_ORIGINAL);
	char *base64 = secret_new(cap);

	if (!base64)
		return err_nomem(err);
	(void)sodium_bin2base64(base64, cap, blob->data, blob->len, sodium_base64_VARIANT_ORIGINAL);
	buf_put(out, first_word, sizeof(first_word) - 1);
	buf_put(out, "1 ", 2);
	buf_put(out, role_name(role), strlen(role_name(role)));
	for (size_t at = 0; at < cap - 1; at += LINE_CHARS) {
		buf_put_u8(out, '\n');
		buf_put(out, base64 + at, cap - 1 - at < LINE_CHARS ? cap - 1 - at : LINE_CHARS);
	}
	buf_put_u8(out, '\n');
	sodium_free(base64);
	return buf_check(out, err);
}

int keyfile_enc(const struct keys *keys, enum role role, struct buf *out, struct err *err)
{
	struct buf blob = {0};
	struct id digest;
	int rc;

	if (keys->role != ROLE_FULL && keys->role != role)
		return err_set(err, ERR_KEY, "making a %s key needs a full key; this is a %s key",
			       role_name(role), role_name(keys->role));
	header_put(&blob, OBJECT_KEYFILE, (uint8_t)role);
	buf_put(&blob, keys->repo, REPO_ID_BYTES);
	rc = put_fields(&blob, keys, role, err);
	if (rc == 0)
		rc = buf_check(&blob, err);
	if (rc == 0)
		rc = sha256_of(blob.data, blob.len, &digest, err);
	if (rc != 0)
		goto out;
	buf_put(&blob, digest.b, CHECK_BYTES);
	rc = buf_check(&blob, err);
	if (rc == 0)
		rc = put_text(out, role, &blob, err);
out:
	buf_wipe(&blob);
	return rc;
}

static int not_a_key(struct err *err)
{
	return err_set(err, ERR_KEY, "not a nightjar key file");
}

static int damaged(struct err *err)
{
	return err_set(err, ERR_KEY, "damaged key file");
}

/* Reads the first line; *text is then at the base64. */
static int get_role(const char **text, size_t *len, enum role *out_role, struct err *err)
{
	const char *line = *text, *end = memchr(*text, '\n', *len < 64 ? *len : 64);
	size_t word = sizeof(first_word) - 1;
	char role[16] = {0};

	if (!end || (size_t)(end - line) < word + 2 || memcmp(line, first_word, word) != 0)
		return not_a_key(err);
	line += word;
	if (line[0] < '1' || line[0] > '9')
		return not_a_key(err);
	if (line[0] != '1' || line[1] != ' ')
		return err_set(err, ERR_VERSION, "key file made by a newer nightjar");
	line += 2;
	if ((size_t)(end - line) >= sizeof(role))
		return damaged(err);
	memcpy(role, line, (size_t)(end - line));
	if (!role_from_name(role, out_role))
		return damaged(err);
	*len -= (size_t)(end + 1 - *text);
	*text = end + 1;
	return 0;
}

/* One text for one key: what would not be written this way again was edited or damaged. */
static int check_text(const char *text, size_t len, enum role role, uint8_t *blob, size_t blob_len,
		      struct err *err)
{
	struct buf again = {0}, borrowed = {.data = blob, .len = blob_len};
	int rc = put_text(&again, role, &borrowed, err);

	if (rc == 0 && (again.len != len || sodium_memcmp(again.data, text, len) != 0))
		rc = damaged(err);
	buf_wipe(&again);
	return rc;
}

static int check_digest(const uint8_t *blob, size_t len, struct err *err)
{
	struct id digest;
	int rc;

	if (len < HEADER_BYTES + REPO_ID_BYTES + CHECK_BYTES)
		return damaged(err);
	rc = sha256_of(blob, len - CHECK_BYTES, &digest, err);
	if (rc == 0 && sodium_memcmp(digest.b, blob + len - CHECK_BYTES, CHECK_BYTES) != 0)
		rc = damaged(err);
	return rc;
}

static int get_write_fields(struct rd *r, struct keys *keys, struct err *err)
{
	const uint8_t *seed = rd_bytes(r, 32), *pub, *root;
	uint32_t epoch, domain;
	struct span host;
	int rc;

	rd_copy(r, keys->owner_pub, 32);
	rd_copy(r, keys->maint_pub, 32);
	rd_copy(r, keys->gc_pub, 32);
	keys->has_maint_pub = keys->has_gc_pub = true;
	epoch = rd_u32(r);
	pub = rd_bytes(r, 32);
	domain = rd_u32(r);
	root = rd_bytes(r, 32);
	host = rd_str16(r);
	if (r->bad)
		return damaged(err);
	rc = keys_add_epoch(keys, epoch, pub, err);
	if (rc == 0)
		rc = keys_add_domain(keys, domain, root, err);
	if (rc == 0)
		rc = keys_set_writer(keys, seed, host.p, host.len, domain, err);
	return rc;
}

static int get_maintain_fields(struct rd *r, struct keys *keys, struct err *err)
{
	const uint8_t *maint = rd_bytes(r, 32), *gc = rd_bytes(r, 32);

	rd_copy(r, keys->owner_pub, 32);
	if (r->bad)
		return damaged(err);
	keys_set_maint_secret(keys, maint);
	keys_set_gc_seed(keys, gc);
	return 0;
}

/* Reads one of the two lists of a read key: at least one, ascending. */
static int get_list(struct rd *r, struct keys *keys, bool domains, struct err *err)
{
	size_t count = rd_u16(r);
	uint32_t last = 0;

	if (count == 0)
		return damaged(err);
	for (size_t i = 0; i < count; i++) {
		uint32_t number = rd_u32(r);
		const uint8_t *key = rd_bytes(r, 32);
		int rc;

		if (!key || (i && number <= last))
			return damaged(err);
		rc = domains ? keys_add_domain(keys, number, key, err)
			     : keys_add_epoch_secret(keys, number, key, err);
		if (rc != 0)
			return rc;
		last = number;
	}
	return 0;
}

static int get_read_fields(struct rd *r, struct keys *keys, struct err *err)
{
	const uint8_t *maint = rd_bytes(r, 32);
	int rc;

	rd_copy(r, keys->owner_pub, 32);
	rd_copy(r, keys->gc_pub, 32);
	if (r->bad)
		return damaged(err);
	keys->has_gc_pub = true;
	keys_set_maint_secret(keys, maint);
	rc = get_list(r, keys, false, err);
	return rc == 0 ? get_list(r, keys, true, err) : rc;
}

static int get_fields(struct rd *r, enum role role, const uint8_t repo[REPO_ID_BYTES],
		      struct keys **out_keys, struct err *err)
{
	int rc;

	if (role == ROLE_FULL) {
		const uint8_t *master = rd_bytes(r, 32);

		return master ? keys_from_master(repo, master, out_keys, err) : damaged(err);
	}
	rc = keys_new(role, repo, out_keys, err);
	if (rc != 0)
		return rc;
	if (role == ROLE_WRITE)
		return get_write_fields(r, *out_keys, err);
	if (role == ROLE_MAINTAIN)
		return get_maintain_fields(r, *out_keys, err);
	return get_read_fields(r, *out_keys, err);
}

static int blob_dec(const uint8_t *blob, size_t len, enum role role, struct keys **out_keys,
		    struct err *err)
{
	struct rd r = rd_of(blob, len - CHECK_BYTES);
	const uint8_t *repo;
	uint8_t kind;
	int rc = header_get(&r, OBJECT_KEYFILE, &kind, err);

	if (rc != 0)
		return rc == -ERR_VERSION ? rc : damaged(err);
	repo = rd_bytes(&r, REPO_ID_BYTES);
	if (kind != (uint8_t)role)
		return damaged(err);
	rc = get_fields(&r, role, repo, out_keys, err);
	if (rc == 0 && rd_end(&r, "key file", err) != 0)
		rc = damaged(err);
	if (rc == -ERR_USAGE || rc == -ERR_DAMAGED)
		rc = damaged(err);
	return rc;
}

int keyfile_dec(const void *text, size_t len, struct keys **out_keys, struct err *err)
{
	const char *base64 = text;
	size_t left = len, blob_len = 0;
	enum role role = ROLE_FULL;
	struct keys *keys = NULL;
	uint8_t *blob = NULL;
	int rc;

	*out_keys = NULL;
	if (len > TEXT_MAX_CHARS)
		return not_a_key(err);
	rc = get_role(&base64, &left, &role, err);
	if (rc != 0)
		return rc;
	blob = secret_new(BLOB_MAX_BYTES);
	if (!blob)
		return err_nomem(err);
	if (sodium_base642bin(blob, BLOB_MAX_BYTES, base64, left, "\n", &blob_len, NULL,
			      sodium_base64_VARIANT_ORIGINAL) != 0)
		rc = damaged(err);
	if (rc == 0)
		rc = check_text(text, len, role, blob, blob_len, err);
	if (rc == 0)
		rc = check_digest(blob, blob_len, err);
	if (rc == 0)
		rc = blob_dec(blob, blob_len, role, &keys, err);
	if (rc == 0)
		*out_keys = keys;
	else
		keys_free(keys);
	sodium_free(blob);
	return rc;
}
