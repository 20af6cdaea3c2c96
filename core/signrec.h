/*
 * signrec: what the small signed records of snapshots/ have in common (FORMAT.md §8): a clear head, then a maintenance and a reading part
 * or clear fields alone, and a signature. damage, drill, retire and tagrec say what is in theirs. Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_SIGNREC_H
#define NIGHTJAR_CORE_SIGNREC_H

#include "core/buf.h"
#include "core/keys.h"
#include "core/parts.h"

/* A kind of record. */
struct signrec_kind {
	uint8_t kind;     /* in the object header */
	const char *name; /* "damage note", for messages */
	const char *tag;  /* of the signature */
	size_t limit_bytes;
};

/* The first of the clear bytes. */
struct signrec_head {
	uint8_t repo[REPO_ID_BYTES];
	uint8_t signer[32]; /* its public key */
	uint64_t number;    /* from 1 */
	int64_t time_ns;
};

void signrec_put_head(struct buf *b, const struct signrec_kind *kind,
		      const struct signrec_head *head);
/* ERR_VERSION; ERR_DAMAGED another kind, cut short, number 0. */
int signrec_get_head(struct rd *r, const struct signrec_kind *kind, struct signrec_head *out_head,
		     struct err *err) ERR_UNUSED_WARN;

/* G's secret key where the keys hold it, otherwise their writer's, with its public key. ERR_KEY: they hold neither. */
int signrec_signer(const struct keys *keys, const struct signrec_kind *kind,
		   const uint8_t **out_secret, uint8_t out_pub[32],
		   struct err *err) ERR_UNUSED_WARN;

/* What sealing a record needs to know besides its bytes. */
struct signrec_form {
	const uint8_t *secret; /* of the signer; NULL = the keys' writer */
	uint64_t number;
	uint32_t domain;
	unsigned floor_log2;
};

/*
 * Seals, pads and signs what clear, maint and read hold, appends it to out, and frees the three in every case. ERR_LIMIT, ERR_KEY; out is
 * unchanged then.
 */
int signrec_seal(struct keys *keys, const struct signrec_kind *kind,
		 const struct signrec_form *form, struct buf *clear, struct buf *maint,
		 struct buf *read, struct buf *out, struct err *err) ERR_UNUSED_WARN;

/* Signs what clear holds, a record without parts, appends it to out, and frees clear in every case. Out is unchanged after an error. */
int signrec_sign(const struct signrec_kind *kind, const uint8_t *secret, struct buf *clear,
		 struct buf *out, struct err *err) ERR_UNUSED_WARN;

/* Before anything is read: ERR_LIMIT for more bytes than the kind may have; the bytes without the signature. */
int signrec_begin(const struct signrec_kind *kind, const void *bytes, size_t len, struct rd *out_rd,
		  struct err *err) ERR_UNUSED_WARN;
/* Its repository is the keys', and its signature that of the signer it names. */
int signrec_verify(const struct keys *keys, const struct signrec_kind *kind,
		   const struct signrec_head *head, const void *bytes, size_t len,
		   struct err *err) ERR_UNUSED_WARN;
/* signrec_verify, then opens the parts behind the clear bytes, which r has read: parts_open. */
int signrec_open(struct keys *keys, const struct signrec_kind *kind,
		 const struct signrec_head *head, struct rd *r, const void *bytes, size_t len,
		 parts_read_fn *maint, parts_read_fn *read, void *arg, uint32_t *out_domain,
		 struct err *err) ERR_UNUSED_WARN;
/* For a part that says nothing. */
int signrec_read_nothing(struct rd *r, void *arg, struct err *err) ERR_UNUSED_WARN;

#endif
