#include "core/keys.h"

#include <string.h>

#include <sodium.h>

static const char master_context[] = "njkeys01", read_context[] = "njread01",
		  domain_context[] = "njdomain", domain_keys_context[] = "njdokeys";

enum { SUB_OWNER = 1, SUB_MAINT = 2, SUB_GC = 3, SUB_WRITER_ROOT = 5 };

static void derive(const uint8_t key[32], const char *context, uint64_t n, uint8_t out[32])
{
	(void)crypto_kdf_derive_from_key(out, 32, n, context, key);
	sodium_stackzero(KEYS_STACK_BYTES);
}

void keys_random_master(uint8_t out_repo[REPO_ID_BYTES], uint8_t out_master[32])
{
	randombytes_buf(out_repo, REPO_ID_BYTES);
	randombytes_buf(out_master, 32);
}

int keys_new(enum role role, const uint8_t repo[REPO_ID_BYTES], struct keys **out_keys,
	     struct err *err)
{
	struct keys *keys;

	*out_keys = NULL;
	if (sodium_init() < 0)
		return err_set(err, ERR_IO, "libsodium does not start");
	keys = sodium_malloc(sizeof(*keys));
	if (!keys)
		return err_nomem(err);
	memset(keys, 0, sizeof(*keys));
	keys->role = role;
	memcpy(keys->repo, repo, REPO_ID_BYTES);
	*out_keys = keys;
	return 0;
}

void keys_free(struct keys *keys)
{
	sodium_free(keys); /* wipes */
}

void keys_set_maint_secret(struct keys *keys, const uint8_t secret[32])
{
	memcpy(keys->maint_secret, secret, 32);
	(void)crypto_scalarmult_base(keys->maint_pub, secret);
	keys->has_maint_secret = keys->has_maint_pub = true;
}

void keys_set_gc_seed(struct keys *keys, const uint8_t seed[32])
{
	(void)crypto_sign_seed_keypair(keys->gc_pub, keys->gc_secret, seed);
	keys->has_gc_secret = keys->has_gc_pub = true;
}

int keys_set_writer(struct keys *keys, const uint8_t seed[32], const void *host, size_t host_len,
		    uint32_t domain, struct err *err)
{
	if (host_len == 0 || host_len > LIMIT_HOST_BYTES || memchr(host, '\0', host_len))
		return err_set(err, ERR_USAGE, "a host name has 1 to %u bytes", LIMIT_HOST_BYTES);
	(void)crypto_sign_seed_keypair(keys->writer_pub, keys->writer_secret, seed);
	memcpy(keys->host, host, host_len);
	keys->host[host_len] = '\0';
	keys->writer_domain = domain;
	keys->has_writer = true;
	return 0;
}

/* Where epoch is or belongs; the epochs are ascending. */
static size_t epoch_place(const struct keys *keys, uint32_t epoch)
{
	size_t at = 0;

	while (at < keys->epoch_count && keys->epochs[at].epoch < epoch)
		at++;
	return at;
}

static int put_epoch(struct keys *keys, const struct read_epoch *e, struct err *err)
{
	size_t at = epoch_place(keys, e->epoch);
	struct read_epoch *place = &keys->epochs[at];

	if (e->epoch == 0)
		return err_set(err, ERR_DAMAGED, "read key of epoch 0");
	if (at < keys->epoch_count && place->epoch == e->epoch) {
		if (sodium_memcmp(place->pub, e->pub, 32) != 0)
			return err_set(err, ERR_DAMAGED,
				       "read key of epoch %u is not the one known", e->epoch);
		if (e->has_secret)
			*place = *e;
		return 0;
	}
	if (keys->epoch_count == LIMIT_EPOCHS)
		return err_set(err, ERR_LIMIT, "more than %u epochs of the read key", LIMIT_EPOCHS);
	memmove(place + 1, place, (keys->epoch_count - at) * sizeof(*place));
	*place = *e;
	keys->epoch_count++;
	return 0;
}

int keys_add_epoch_secret(struct keys *keys, uint32_t epoch, const uint8_t secret[32],
			  struct err *err)
{
	struct read_epoch e = {.epoch = epoch, .has_secret = true};
	int rc;

	memcpy(e.secret, secret, 32);
	(void)crypto_scalarmult_base(e.pub, secret);
	rc = put_epoch(keys, &e, err);
	sodium_memzero(&e, sizeof(e));
	return rc;
}

int keys_add_epoch(struct keys *keys, uint32_t epoch, const uint8_t pub[32], struct err *err)
{
	struct read_epoch e = {.epoch = epoch};
	int rc = 0;

	if (keys->has_master) {
		derive(keys->master, read_context, epoch, e.secret);
		(void)crypto_scalarmult_base(e.pub, e.secret);
		e.has_secret = true;
		if (sodium_memcmp(e.pub, pub, 32) != 0)
			rc = err_set(err, ERR_DAMAGED,
				     "read key of epoch %u does not come from this master key",
				     epoch);
	}
	memcpy(e.pub, pub, 32);
	if (rc == 0)
		rc = put_epoch(keys, &e, err);
	sodium_memzero(&e, sizeof(e));
	return rc;
}

int keys_epoch_secret(const struct keys *keys, uint32_t epoch, uint8_t out_secret[32],
		      uint8_t out_pub[32], struct err *err)
{
	size_t at = epoch_place(keys, epoch);

	if (at < keys->epoch_count && keys->epochs[at].epoch == epoch &&
	    keys->epochs[at].has_secret) {
		memcpy(out_secret, keys->epochs[at].secret, 32);
		memcpy(out_pub, keys->epochs[at].pub, 32);
		return 0;
	}
	if (keys->has_master) {
		derive(keys->master, read_context, epoch, out_secret);
		(void)crypto_scalarmult_base(out_pub, out_secret);
		return 0;
	}
	if (keys->role == ROLE_READ)
		return err_set(err, ERR_KEY,
			       "sealed for a newer read key (epoch %u) than this one: export it "
			       "again with the full key: 'nightjar key export --role read FILE'",
			       epoch);
	return err_set(err, ERR_KEY, "reading needs a full or read key; this is a %s key",
		       role_name(keys->role));
}

const struct read_epoch *keys_newest_epoch(const struct keys *keys)
{
	return keys->epoch_count ? &keys->epochs[keys->epoch_count - 1] : NULL;
}

static const struct domain_keys *find_domain(const struct keys *keys, uint32_t number)
{
	for (size_t i = 0; i < keys->domain_count; i++) {
		if (keys->domains[i].number == number)
			return &keys->domains[i];
	}
	return NULL;
}

int keys_add_domain(struct keys *keys, uint32_t number, const uint8_t root[32], struct err *err)
{
	struct domain_keys *d = &keys->domains[keys->domain_count];

	if (find_domain(keys, number))
		return err_set(err, ERR_DAMAGED, "domain %u twice in one key", number);
	if (keys->domain_count == LIMIT_KEY_DOMAINS)
		return err_set(err, ERR_LIMIT, "more than %u domains", LIMIT_KEY_DOMAINS);
	d->number = number;
	memcpy(d->root, root, 32);
	derive(root, domain_keys_context, 1, d->id_key);
	derive(root, domain_keys_context, 2, d->chunker_key);
	derive(root, domain_keys_context, 3, d->index_key);
	derive(root, domain_keys_context, 4, d->psk);
	keys->domain_count++;
	return 0;
}

const struct domain_keys *keys_domain(struct keys *keys, uint32_t number, struct err *err)
{
	const struct domain_keys *d = find_domain(keys, number);
	uint8_t root[32];
	int rc;

	if (d)
		return d;
	if (!keys->has_master && keys->role == ROLE_READ) {
		(void)err_set(err, ERR_KEY,
			      "of a host with a domain of its own (%u), which came after this read "
			      "key: export it again with the full key: 'nightjar key export --role "
			      "read FILE'",
			      number);
		return NULL;
	}
	if (!keys->has_master) {
		(void)err_set(err, ERR_KEY, "this %s key does not hold domain %u",
			      role_name(keys->role), number);
		return NULL;
	}
	derive(keys->master, domain_context, number, root);
	rc = keys_add_domain(keys, number, root, err);
	sodium_memzero(root, sizeof(root));
	return rc == 0 ? find_domain(keys, number) : NULL;
}

int keys_from_master(const uint8_t repo[REPO_ID_BYTES], const uint8_t master[32],
		     struct keys **out_keys, struct err *err)
{
	struct keys *keys = NULL;
	uint8_t sub[32];
	int rc = keys_new(ROLE_FULL, repo, &keys, err);

	*out_keys = NULL;
	if (rc != 0)
		return rc;
	memcpy(keys->master, master, 32);
	keys->has_master = true;
	derive(master, master_context, SUB_OWNER, sub);
	(void)crypto_sign_seed_keypair(keys->owner_pub, keys->owner_secret, sub);
	derive(master, master_context, SUB_MAINT, sub);
	keys_set_maint_secret(keys, sub);
	derive(master, master_context, SUB_GC, sub);
	keys_set_gc_seed(keys, sub);
	derive(master, read_context, 1, sub);
	rc = keys_add_epoch_secret(keys, 1, sub, err);
	sodium_memzero(sub, sizeof(sub));
	if (rc == 0 && !keys_domain(keys, 0, err))
		rc = -err->code;
	if (rc != 0)
		keys_free(keys);
	else
		*out_keys = keys;
	return rc;
}

int keys_use_host(struct keys *keys, const char *host, struct err *err)
{
	static const char label[] = "nightjar writer v1";
	crypto_generichash_state state;
	uint8_t root[32], seed[32];
	int rc;

	if (!keys->has_master)
		return keys->has_writer ? 0 : keys_allow(keys, POWER_WRITE, "writing", err);
	derive(keys->master, master_context, SUB_WRITER_ROOT, root);
	(void)crypto_generichash_init(&state, root, 32, 32);
	(void)crypto_generichash_update(&state, (const uint8_t *)label, sizeof(label) - 1);
	(void)crypto_generichash_update(&state, (const uint8_t *)host, strlen(host));
	(void)crypto_generichash_final(&state, seed, 32);
	rc = keys_set_writer(keys, seed, host, strlen(host), 0, err);
	sodium_memzero(root, sizeof(root));
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(&state, sizeof(state));
	sodium_stackzero(KEYS_STACK_BYTES);
	return rc;
}

int keys_random_writer(struct keys *keys, const char *host, uint32_t domain, struct err *err)
{
	uint8_t seed[32];
	int rc = keys_allow(keys, POWER_OWN, "making a write key", err);

	if (rc != 0)
		return rc;
	if (!keys_domain(keys, domain, err))
		return -err->code;
	randombytes_buf(seed, sizeof(seed));
	rc = keys_set_writer(keys, seed, host, strlen(host), domain, err);
	sodium_memzero(seed, sizeof(seed));
	return rc;
}

const char *role_name(enum role role)
{
	switch (role) {
	case ROLE_FULL:
		return "full";
	case ROLE_WRITE:
		return "write";
	case ROLE_MAINTAIN:
		return "maintain";
	case ROLE_READ:
		return "read";
	}
	return "unknown";
}

bool role_from_name(const char *name, enum role *out_role)
{
	static const enum role roles[] = {ROLE_FULL, ROLE_WRITE, ROLE_MAINTAIN, ROLE_READ};

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (strcmp(name, role_name(roles[i])) == 0) {
			*out_role = roles[i];
			return true;
		}
	}
	return false;
}

int keys_allow(const struct keys *keys, enum power power, const char *operation, struct err *err)
{
	enum role other = ROLE_FULL;

	switch (power) {
	case POWER_READ:
		other = ROLE_READ;
		break;
	case POWER_WRITE:
		other = ROLE_WRITE;
		break;
	case POWER_MAINTAIN:
		other = ROLE_MAINTAIN;
		break;
	case POWER_LISTS:
		other = ROLE_MAINTAIN;
		break;
	case POWER_OWN:
		break;
	}
	if (keys->role == ROLE_FULL || keys->role == other ||
	    (power == POWER_LISTS && keys->role == ROLE_READ))
		return 0;
	if (power == POWER_LISTS)
		return err_set(err, ERR_KEY,
			       "%s needs a full, read or maintain key; this is a %s key", operation,
			       role_name(keys->role));
	if (other == ROLE_FULL)
		return err_set(err, ERR_KEY, "%s needs a full key; this is a %s key", operation,
			       role_name(keys->role));
	return err_set(err, ERR_KEY, "%s needs a full or %s key; this is a %s key", operation,
		       role_name(other), role_name(keys->role));
}
