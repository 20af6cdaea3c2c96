#include "core/slot.h"

#include <string.h>

#include <sodium.h>

void slot_put(struct buf *b, const struct slot *slot)
{
	buf_put(b, slot->eph, sizeof(slot->eph));
	buf_put_u8(b, slot->recipient);
	buf_put_zeros(b, 3);
	buf_put_u32(b, slot->epoch);
	buf_put_u32(b, slot->domain);
}

int slot_get(struct rd *r, struct slot *out_slot, struct err *err)
{
	struct slot s = {0};
	uint8_t zero[3];

	rd_copy(r, s.eph, sizeof(s.eph));
	s.recipient = rd_u8(r);
	rd_copy(r, zero, sizeof(zero));
	s.epoch = rd_u32(r);
	s.domain = rd_u32(r);
	if (r->bad)
		return err_set(err, ERR_DAMAGED, "key table is cut short");
	if ((s.recipient != SLOT_R && s.recipient != SLOT_M) ||
	    (zero[0] | zero[1] | zero[2]) != 0 || (s.recipient == SLOT_M) != (s.epoch == 0))
		return err_set(err, ERR_DAMAGED, "key table with a slot that cannot be");
	*out_slot = s;
	return 0;
}

static void update_int(crypto_generichash_state *state, uint64_t v, size_t len)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(v >> (8 * i));
	(void)crypto_generichash_update(state, bytes, len);
}

/*
 * The ephemeral secret depends on fresh random bytes and on what will be sealed under it: should the random
 * source repeat itself (a cloned machine), other contents still get another key.
 */
static void eph_secret(const struct keys *keys, const struct slot_hedge *hedge,
		       uint8_t out_secret[32])
{
	crypto_generichash_state state;
	uint8_t fresh[32];

	randombytes_buf(fresh, sizeof(fresh));
	(void)crypto_generichash_init(&state, fresh, sizeof(fresh), 32);
	(void)crypto_generichash_update(&state, (const uint8_t *)"nightjar eph v1", 15);
	(void)crypto_generichash_update(&state, keys->writer_pub, 32);
	update_int(&state, hedge->sequence, 8);
	update_int(&state, hedge->pack_number, 8);
	update_int(&state, hedge->slot_index, 2);
	(void)crypto_generichash_update(&state, hedge->transcript, hedge->transcript_len);
	(void)crypto_generichash_final(&state, out_secret, 32);
	sodium_memzero(fresh, sizeof(fresh));
	sodium_memzero(&state, sizeof(state));
	sodium_stackzero(KEYS_STACK_BYTES);
}

/* Everything the key depends on goes into it, so that no slot can be moved to another place or recipient. */
static void key_of(const struct slot *slot, const uint8_t repo[REPO_ID_BYTES],
		   const uint8_t psk[32], const uint8_t recipient_pub[32], const uint8_t shared[32],
		   uint8_t out_key[32])
{
	crypto_generichash_state state;

	(void)crypto_generichash_init(&state, psk, 32, 32);
	(void)crypto_generichash_update(&state, (const uint8_t *)"nightjar slot v1", 16);
	(void)crypto_generichash_update(&state, repo, REPO_ID_BYTES);
	(void)crypto_generichash_update(&state, slot->eph, 32);
	update_int(&state, slot->recipient, 4); /* and its three zero bytes */
	update_int(&state, slot->epoch, 4);
	update_int(&state, slot->domain, 4);
	(void)crypto_generichash_update(&state, recipient_pub, 32);
	(void)crypto_generichash_update(&state, shared, 32);
	(void)crypto_generichash_final(&state, out_key, 32);
	sodium_memzero(&state, sizeof(state));
	sodium_stackzero(KEYS_STACK_BYTES);
}

static int psk_of(struct keys *keys, uint8_t recipient, uint32_t domain, uint8_t out_psk[32],
		  struct err *err)
{
	const struct domain_keys *d;

	memset(out_psk, 0, 32);
	if (recipient == SLOT_M)
		return 0;
	d = keys_domain(keys, domain, err);
	if (!d)
		return -err->code;
	memcpy(out_psk, d->psk, 32);
	return 0;
}

static int recipient_of(const struct keys *keys, uint8_t recipient, uint32_t *out_epoch,
			const uint8_t **out_pub, struct err *err)
{
	const struct read_epoch *e = keys_newest_epoch(keys);

	if (recipient != SLOT_R && recipient != SLOT_M)
		return err_set(err, ERR_USAGE, "no such recipient: %u", recipient);
	if ((!keys->has_writer && !keys->has_gc_secret) ||
	    (recipient == SLOT_R ? !e : !keys->has_maint_pub))
		return err_set(err, ERR_KEY, "writing needs a full or write key; this is a %s key",
			       role_name(keys->role));
	*out_epoch = recipient == SLOT_R ? e->epoch : 0;
	*out_pub = recipient == SLOT_R ? e->pub : keys->maint_pub;
	return 0;
}

int slot_make(struct keys *keys, uint8_t recipient, uint32_t domain, const struct slot_hedge *hedge,
	      struct slot *out_slot, uint8_t out_key[32], struct err *err)
{
	struct slot s = {.recipient = recipient, .domain = domain};
	uint8_t psk[32], secret[32], shared[32];
	const uint8_t *pub = NULL;
	int rc = recipient_of(keys, recipient, &s.epoch, &pub, err);

	if (rc == 0)
		rc = psk_of(keys, recipient, domain, psk, err);
	if (rc != 0)
		return rc;
	eph_secret(keys, hedge, secret);
	if (crypto_scalarmult_base(s.eph, secret) != 0 ||
	    crypto_scalarmult(shared, secret, pub) != 0) {
		rc = err_set(err, ERR_DAMAGED, "public key of the recipient is not usable");
	} else {
		key_of(&s, keys->repo, psk, pub, shared, out_key);
		*out_slot = s;
	}
	sodium_memzero(psk, sizeof(psk));
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(shared, sizeof(shared));
	return rc;
}

static int secret_of(const struct keys *keys, const struct slot *slot, uint8_t out_secret[32],
		     uint8_t out_pub[32], struct err *err)
{
	if (slot->recipient == SLOT_M) {
		if (!keys->has_maint_secret)
			return err_set(err, ERR_KEY,
				       "this needs a full, read or maintain key; this is a %s key",
				       role_name(keys->role));
		memcpy(out_secret, keys->maint_secret, 32);
		memcpy(out_pub, keys->maint_pub, 32);
		return 0;
	}
	return keys_epoch_secret(keys, slot->epoch, out_secret, out_pub, err);
}

int slot_open(struct keys *keys, const struct slot *slot, uint8_t out_key[32], struct err *err)
{
	uint8_t psk[32], secret[32] = {0}, pub[32], shared[32];
	int rc = secret_of(keys, slot, secret, pub, err);

	if (rc == 0)
		rc = psk_of(keys, slot->recipient, slot->domain, psk, err);
	if (rc != 0)
		goto out;
	if (crypto_scalarmult(shared, secret, slot->eph) != 0)
		rc = err_set(err, ERR_DAMAGED, "key table with an ephemeral key that cannot be");
	else
		key_of(slot, keys->repo, psk, pub, shared, out_key);
out:
	sodium_memzero(psk, sizeof(psk));
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(shared, sizeof(shared));
	return rc;
}
