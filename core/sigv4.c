#include "core/sigv4.h"

#include <string.h>

#include <sodium.h>

#include "core/sha256.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define DAY_CHARS 8 /* of a date */

static void put_text(struct buf *out, const char *text)
{
	buf_put(out, text, strlen(text));
}

/* --- encoding --- */

static bool is_unreserved(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static void put_encoded(struct buf *out, const char *text, bool keep_slash)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *text; text++) {
		uint8_t byte = (uint8_t)*text;

		if (is_unreserved(*text) || (keep_slash && *text == '/')) {
			buf_put_u8(out, byte);
			continue;
		}
		buf_put_u8(out, '%');
		buf_put_u8(out, (uint8_t)digits[byte >> 4]);
		buf_put_u8(out, (uint8_t)digits[byte & 15]);
	}
}

void sigv4_put_path(struct buf *out, const char *path)
{
	put_encoded(out, path, true);
}

void sigv4_put_word(struct buf *out, const char *word)
{
	put_encoded(out, word, false);
}

void sigv4_put_query(struct buf *out, const struct sigv4_pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (i)
			put_text(out, "&");
		sigv4_put_word(out, pairs[i].name);
		put_text(out, "=");
		sigv4_put_word(out, pairs[i].value);
	}
}

/* --- what is signed --- */

static void put_trimmed(struct buf *out, const char *value)
{
	size_t begin = out->len;

	for (; *value; value++) {
		bool blank = *value == ' ' || *value == '\t';

		if (blank && (out->len == begin || out->data[out->len - 1] == ' '))
			continue;
		buf_put_u8(out, blank ? ' ' : (uint8_t)*value);
	}
	if (out->len > begin && out->data[out->len - 1] == ' ')
		out->len--;
}

static void put_signed_names(struct buf *out, const struct sigv4_request *request)
{
	for (size_t i = 0; i < request->header_count; i++) {
		if (i)
			put_text(out, ";");
		put_text(out, request->headers[i].name);
	}
}

void sigv4_put_canonical(struct buf *out, const struct sigv4_request *request)
{
	const char *const first[] = {request->method, request->path, request->query};

	for (size_t i = 0; i < 3; i++) {
		put_text(out, first[i]);
		put_text(out, "\n");
	}
	for (size_t i = 0; i < request->header_count; i++) {
		put_text(out, request->headers[i].name);
		put_text(out, ":");
		put_trimmed(out, request->headers[i].value);
		put_text(out, "\n");
	}
	put_text(out, "\n");
	put_signed_names(out, request);
	put_text(out, "\n");
	put_text(out, request->payload_hash);
}

/* "20130524/us-east-1/s3/aws4_request" */
static void put_scope(struct buf *out, const struct sigv4_request *request,
		      const struct sigv4_key *key)
{
	buf_put(out, request->date, DAY_CHARS);
	put_text(out, "/");
	put_text(out, key->region);
	put_text(out, "/");
	put_text(out, key->service);
	put_text(out, "/aws4_request");
}

static void put_hex(struct buf *out, const struct id *id)
{
	char hex[ID_HEX_CHARS + 1];

	id_hex(id, hex);
	put_text(out, hex);
}

int sigv4_put_string_to_sign(struct buf *out, const struct sigv4_request *request,
			     const struct sigv4_key *key, struct err *err)
{
	struct buf canonical = {0};
	struct id hash;
	int rc;

	sigv4_put_canonical(&canonical, request);
	rc = buf_check(&canonical, err);
	if (rc == 0)
		rc = sha256_of(canonical.data, canonical.len, &hash, err);
	buf_wipe(&canonical); /* it may hold a session token */
	if (rc != 0)
		return rc;
	put_text(out, ALGORITHM "\n");
	put_text(out, request->date);
	put_text(out, "\n");
	put_scope(out, request, key);
	put_text(out, "\n");
	put_hex(out, &hash);
	return buf_check(out, err);
}

/* --- the signature --- */

static void start(crypto_auth_hmacsha256_state *state, const void *key, size_t len)
{
	(void)crypto_auth_hmacsha256_init(state, key, len);
}

static void add(crypto_auth_hmacsha256_state *state, const void *bytes, size_t len)
{
	(void)crypto_auth_hmacsha256_update(state, bytes, len);
}

/* HMAC under the key of the step before. */
static void step(uint8_t key[32], const void *bytes, size_t len)
{
	crypto_auth_hmacsha256_state state;

	start(&state, key, 32);
	add(&state, bytes, len);
	(void)crypto_auth_hmacsha256_final(&state, key);
	sodium_memzero(&state, sizeof(state));
}

/* The first key is "AWS4" and the secret. */
static int first_step(const char *secret, const char *day, uint8_t out_key[32], struct err *err)
{
	crypto_auth_hmacsha256_state state;
	struct buf key = {0};
	int rc;

	put_text(&key, "AWS4");
	put_text(&key, secret);
	rc = buf_check(&key, err);
	if (rc == 0) {
		start(&state, key.data, key.len);
		add(&state, day, DAY_CHARS);
		(void)crypto_auth_hmacsha256_final(&state, out_key);
		sodium_memzero(&state, sizeof(state));
	}
	buf_wipe(&key);
	return rc;
}

int sigv4_sign(const struct sigv4_request *request, const struct sigv4_key *key,
	       struct id *out_signature, struct err *err)
{
	struct buf text = {0};
	uint8_t k[32];
	int rc = sigv4_put_string_to_sign(&text, request, key, err);

	if (rc == 0)
		rc = first_step(key->secret_key, request->date, k, err);
	if (rc == 0) {
		step(k, key->region, strlen(key->region));
		step(k, key->service, strlen(key->service));
		step(k, "aws4_request", strlen("aws4_request"));
		step(k, text.data, text.len);
		memcpy(out_signature->b, k, sizeof(k));
	}
	sodium_memzero(k, sizeof(k));
	buf_free(&text);
	return rc;
}

int sigv4_put_authorization(struct buf *out, const struct sigv4_request *request,
			    const struct sigv4_key *key, struct err *err)
{
	struct id signature;
	int rc = sigv4_sign(request, key, &signature, err);

	if (rc != 0)
		return rc;
	put_text(out, ALGORITHM " Credential=");
	put_text(out, key->access_key);
	put_text(out, "/");
	put_scope(out, request, key);
	put_text(out, ", SignedHeaders=");
	put_signed_names(out, request);
	put_text(out, ", Signature=");
	put_hex(out, &signature);
	return buf_check(out, err);
}
