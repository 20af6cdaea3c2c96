/*
 * sigv4: Amazon's Signature Version 4, as S3 wants it: the bytes that are signed, the signature, and the encoding of
 * paths and queries that both sides must agree on. Pure; any thread. The secret is wiped from every copy made here
 * and never enters an error text.
 *
 * What is signed is what is sent: path and query are given in the form that goes into the URL, and nothing here
 * encodes them again (S3 encodes once; other services of Amazon's do so twice).
 */
#ifndef NIGHTJAR_CORE_SIGV4_H
#define NIGHTJAR_CORE_SIGV4_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/id.h"

#define SIGV4_DATE_CHARS 16 /* "20130524T000000Z" */

struct sigv4_pair {
	const char *name, *value;
};

/* Who signs. The pointers are the caller's. */
struct sigv4_key {
	const char *access_key, *secret_key;
	const char *region;  /* "us-east-1" */
	const char *service; /* "s3" */
};

struct sigv4_request {
	const char *method;
	const char *path;  /* "/bucket/a%20b": sigv4_put_path */
	const char *query; /* sorted and encoded: sigv4_put_query; "" for none */
	/* The signed ones: names in lower case and in ascending order, none twice, host among them. */
	const struct sigv4_pair *headers;
	size_t header_count;
	const char *payload_hash; /* 64 hex digits of the body's SHA-256 */
	const char *date;         /* SIGV4_DATE_CHARS, UTC, what x-amz-date says */
};

/*
 * RFC 3986: everything but letters, digits and "-._~" becomes %XX, in upper case; a path keeps its slashes. Appends;
 * like the other puts of a buf, a failed allocation shows in buf_check.
 */
void sigv4_put_path(struct buf *out, const char *path);
void sigv4_put_word(struct buf *out, const char *word);
/* "a=1&b=": pairs are in ascending order of their names, none twice. */
void sigv4_put_query(struct buf *out, const struct sigv4_pair *pairs, size_t count);

/* The canonical request: what a server logs when it disagrees. Values of headers lose blanks around and runs within. */
void sigv4_put_canonical(struct buf *out, const struct sigv4_request *request);
/* The three lines and the hash that the key signs. ERR_NOMEM. */
int sigv4_put_string_to_sign(struct buf *out, const struct sigv4_request *request,
			     const struct sigv4_key *key, struct err *err) ERR_UNUSED_WARN;
/* 32 bytes. ERR_NOMEM. */
int sigv4_sign(const struct sigv4_request *request, const struct sigv4_key *key,
	       struct id *out_signature, struct err *err) ERR_UNUSED_WARN;
/* Appends "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…", without a NUL. ERR_NOMEM. */
int sigv4_put_authorization(struct buf *out, const struct sigv4_request *request,
			    const struct sigv4_key *key, struct err *err) ERR_UNUSED_WARN;

#endif
