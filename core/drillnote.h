/*
 * drillnote: a drill note: that a backup was restored for practice, when, and how it went, signed (FORMAT.md §8). Pure codec; nothing in it
 * is owned.
 */
#ifndef NIGHTJAR_CORE_DRILLNOTE_H
#define NIGHTJAR_CORE_DRILLNOTE_H

#include "core/buf.h"
#include "core/id.h"
#include "core/signrec.h"

#define DRILLNOTE_KIND 4 /* in the object header */

enum drillnote_verdict { DRILLNOTE_GOOD = 1, DRILLNOTE_FAILED = 2 };
enum drillnote_place { DRILLNOTE_MEMORY = 1, DRILLNOTE_FILES = 2 }; /* where it was restored to */

/* What was done, and what of it went wrong. */
struct drillnote_counts {
	uint32_t databases, databases_failed, databases_unchecked;
	uint32_t assertions, assertions_failed;
	uint32_t ref_queries, ref_queries_failed;
	uint64_t references, references_missing;
	uint64_t files,
	    files_failed; /* databases among them; folders that could not be read, too */
	uint64_t bytes;
};
/* What they come to. */
enum drillnote_verdict drillnote_judge(const struct drillnote_counts *counts);

struct drillnote {
	/* clear */
	struct signrec_head head; /* its time: when the drill ended */
	struct id manifest;
	uint32_t domain; /* the manifest's */
	/* maintenance */
	bool has_maint;
	enum drillnote_verdict verdict;
	enum drillnote_place place;
	struct drillnote_counts counts;
};

/*
 * Appends the whole object, signed by G where the keys hold it, otherwise by their writer, which no reader takes. Takes number, time, manifest, domain, place and
 * counts from d; the verdict follows from these. ERR_USAGE what a reader would refuse, ERR_KEY without a signer or the domain; out is
 * unchanged then.
 */
int drillnote_enc(struct keys *keys, struct drillnote *d, unsigned floor_log2, struct buf *out,
		  struct err *err) ERR_UNUSED_WARN;

/* Checks the signature by the signer it names (the caller compares that with G), then opens what the keys can open. */
int drillnote_dec(struct keys *keys, const void *bytes, size_t len, struct drillnote *out_note,
		  struct err *err) ERR_UNUSED_WARN;

/* The clear bytes, and the maintenance part: for tests and the fuzzer. */
void drillnote_put_clear(struct buf *b, const struct drillnote *d);
int drillnote_get_clear(struct rd *r, struct drillnote *d, struct err *err) ERR_UNUSED_WARN;
void drillnote_put_maint(struct buf *b, const struct drillnote *d);
int drillnote_get_maint(struct rd *r, struct drillnote *d, struct err *err) ERR_UNUSED_WARN;

#endif
