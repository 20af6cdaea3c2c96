/*
 * tagrec: a tag record: the tags that a manifest has now, signed (FORMAT.md §8). Pure codec; the arrays of a decoded
 * record are owned by it and freed by tagrec_free.
 */
#ifndef NIGHTJAR_CORE_TAGREC_H
#define NIGHTJAR_CORE_TAGREC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/id.h"
#include "core/signrec.h"

#define TAGREC_KIND 3 /* in the object header */

struct tagrec {
	/* clear */
	struct signrec_head head; /* the highest number of a manifest holds */
	struct id manifest;
	uint32_t domain; /* the manifest's */
	/* maintenance */
	bool has_maint;
	struct id *macs; /* ascending */
	size_t mac_count;
	/* reading */
	bool has_read;
	char **tags; /* ascending */
	size_t tag_count;
};
void tagrec_free(struct tagrec *t); /* {0} is fine */

/*
 * Appends the whole object, signed by G where the keys hold it, otherwise by their writer, which no reader takes. Takes number, time, manifest, domain and tags from t; sorts the
 * tags and frees those that are there twice; computes the rest. ERR_LIMIT for too many or too long tags, ERR_USAGE for
 * what a reader would refuse (an empty tag, number 0), ERR_KEY without a signer or the domain; out is unchanged then.
 */
int tagrec_enc(struct keys *keys, struct tagrec *t, unsigned floor_log2, struct buf *out,
	       struct err *err) ERR_UNUSED_WARN;

/*
 * Checks the signature by the signer it names (the caller compares that with G), then opens the parts that the
 * keys can open, as manifest_dec does. Where both open they must agree.
 */
int tagrec_dec(struct keys *keys, const void *bytes, size_t len, struct tagrec *out_tagrec,
	       struct err *err) ERR_UNUSED_WARN;

/* The clear bytes: for tests and the fuzzer. */
void tagrec_put_clear(struct buf *b, const struct tagrec *t);
int tagrec_get_clear(struct rd *r, struct tagrec *t, struct err *err) ERR_UNUSED_WARN;

#endif
