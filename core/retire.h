/*
 * retire: a retire record: backups that were removed on purpose, signed by G (FORMAT.md §8). It is clear throughout: what it says is
 * clear in manifests too, and a host that only writes must be able to tell a removal from a loss. Pure codec; the array of a decoded
 * record is owned by it and freed by retire_free.
 */
#ifndef NIGHTJAR_CORE_RETIRE_H
#define NIGHTJAR_CORE_RETIRE_H

#include "core/buf.h"
#include "core/id.h"
#include "core/signrec.h"

#define RETIRE_KIND 2 /* in the object header */

/* A manifest that is to go. */
struct retire_entry {
	uint8_t writer[32];
	uint64_t sequence; /* from 1 */
	struct id name;
};
/* By writer, sequence, name. */
int retire_entry_cmp(const struct retire_entry *a, const struct retire_entry *b);

struct retire {
	struct signrec_head head;     /* its signer: G */
	struct retire_entry *entries; /* ascending, none twice, at least one */
	size_t count;
};
void retire_free(struct retire *r); /* {0} is fine */

/*
 * Appends the whole object, signed by G. Takes number, time and entries from r. ERR_LIMIT too many entries, ERR_USAGE what a reader
 * would refuse, ERR_KEY without G; out is unchanged then.
 */
int retire_enc(const struct keys *keys, struct retire *r, struct buf *out,
	       struct err *err) ERR_UNUSED_WARN;
/* Checks the signature by the signer it names; the caller compares that with G. Any key can. */
int retire_dec(const struct keys *keys, const void *bytes, size_t len, struct retire *out_retire,
	       struct err *err) ERR_UNUSED_WARN;

/* All but the signature: for tests and the fuzzer. */
void retire_put_clear(struct buf *b, const struct retire *r);
int retire_get_clear(struct rd *rd, struct retire *r, struct err *err) ERR_UNUSED_WARN;

#endif
