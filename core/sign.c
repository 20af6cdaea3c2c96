#include "core/sign.h"

#include <sodium.h>

/* The hash is signed rather than the object: one pass over large index segments instead of two. */
static int message_of(const void *bytes, size_t len, const char *tag, struct buf *out,
		      struct err *err)
{
	uint8_t hash[64];

	(void)crypto_generichash(hash, sizeof(hash), bytes, len, NULL, 0);
	buf_put(out, "nightjar ", 9);
	for (const char *c = tag; *c; c++)
		buf_put_u8(out, (uint8_t)*c);
	buf_put(out, " v1", 4); /* with its zero byte */
	buf_put(out, hash, sizeof(hash));
	return buf_check(out, err);
}

int sign_append(struct buf *b, const char *tag, const uint8_t secret[64], struct err *err)
{
	struct buf message = {0};
	uint8_t *at;
	int rc = buf_check(b, err);

	if (rc == 0)
		rc = message_of(b->data, b->len, tag, &message, err);
	if (rc != 0)
		goto out;
	at = buf_extend(b, SIGN_BYTES);
	if (!at) {
		rc = err_nomem(err);
		goto out;
	}
	(void)crypto_sign_detached(at, NULL, message.data, message.len, secret);
out:
	buf_free(&message);
	return rc;
}

int sign_check(const void *bytes, size_t len, const char *tag, const uint8_t pub[32],
	       struct err *err)
{
	const uint8_t *p = bytes;
	struct buf message = {0};
	int rc;

	if (len < SIGN_BYTES)
		return err_set(err, ERR_DAMAGED, "%s is cut short", tag);
	rc = message_of(p, len - SIGN_BYTES, tag, &message, err);
	if (rc == 0 &&
	    crypto_sign_verify_detached(p + len - SIGN_BYTES, message.data, message.len, pub) != 0)
		rc = err_set(err, ERR_DAMAGED, "%s with a wrong signature", tag);
	buf_free(&message);
	return rc;
}
