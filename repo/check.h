/*
 * check: is everything that the manifests promise there and whole? Changes no object (but for withdraw); what it finds damaged it notes, so that the next backup
 * stores it again (repo/notes.h). A maintain key opens lists and directories alone: it finds what is missing, and with read_data every pack whose
 * bytes are not those of its name, all of whose records sealed for reading then count as damaged; it cannot tell a record that never was what
 * its id says. One thread.
 */
#ifndef NIGHTJAR_REPO_CHECK_H
#define NIGHTJAR_REPO_CHECK_H

#include "core/rotation.h"
#include "repo/repo.h"

/* Which packs read_data reads. */
enum check_part {
	CHECK_WHOLE,
	CHECK_ARC,   /* those on an arc */
	CHECK_BYTES, /* about so many bytes of them */
	CHECK_DUE /* what is due so that each is read every so many days; the state folder remembers where that is */
};

struct check_options {
	bool read_data; /* every byte: decrypt, decompress, recompute ids */
	enum check_part part;
	struct rotation arc;        /* CHECK_ARC; of CHECK_BYTES only where it begins */
	uint64_t part_bytes;        /* CHECK_BYTES */
	unsigned part_days;         /* CHECK_DUE, which needs state_dir and now_ns; at least 1 */
	const struct id *manifests; /* only what these backups rest on; NULL = everything */
	size_t manifest_count;
	bool by_notes;  /* what notes name counts as damaged, unread */
	bool put_notes; /* of damage, into the repository */
	bool
	    withdraw; /* with read_data of everything: damage notes that hold no more go; needs a key that may delete */
	const char *state_dir; /* where this host remembers damage; NULL = nowhere */
	const char *cache_dir; /* where images of databases with references spill; NULL = nowhere */
	int64_t now_ns;
	/* One line a damaged thing: object is its path in the repository ("data/3f/3fa9…", "index/…") or "" */
	void (*damage)(void *arg, const char *object, const char *text);
	/* A damaged or lost copy of something that another copy still gives: nothing is lost, and it does not count. */
	void (*healed)(void *arg, const char *object, const char *text);
	/* One line for each path of each manifest that damage touches; with path "" for the whole of it, where paths cannot be told. */
	void (*touched)(void *arg, const struct id *manifest, const char *path, const char *text);
	/*
	 * A file that the references of a manifest name, newest of its group or chosen, and that is not in it as it should be;
	 * with path "" something about a whole query. No damage: exit 22. A database that cannot be read, so that nothing could be asked, is
	 * damage and told by touched instead. SHA-256 is compared with read_data of everything only.
	 */
	void (*missing)(void *arg, const struct id *manifest, const char *database,
			const char *path, const char *text);
	/* Orphans and other things that are no damage. */
	void (*note)(void *arg, const char *object, const char *text);
	/* A manifest that is whole and does not count: a revoked writer made it. No damage. */
	void (*uncounted)(void *arg, const char *object, const char *text);
	/* What was found could not be noted where ("in the repository", "on this host"). No error. */
	void (*unkept)(void *arg, const char *where, const char *text);
	int (*progress)(void *arg, uint64_t done, uint64_t total, const char *what);
	void *arg;
}; /* callbacks may be NULL */

struct check_result {
	uint64_t manifests, packs, segments, chunks, bytes_read;
	uint64_t packs_read;
	uint64_t damaged;   /* objects and paths reported; > 0: exit 20 */
	uint64_t healed;    /* damaged copies of what is still there */
	uint64_t mendable;  /* damaged packs that their parity can mend: 'check --repair' */
	uint64_t withdrawn; /* places of notes that went */
	uint64_t noted;     /* damaged records that no note named before */
	uint64_t
	    noted_before; /* the same, noted earlier: no other copy yet, and not read this time */
	uint64_t ref_queries, refs_referenced, refs_missing;
	uint64_t refs_failed; /* queries that could not be run, for damage or as missing told */
	uint64_t orphans;     /* packs that no index segment names */
	uint64_t condemned;   /* packs that a prune is about to delete */
	bool
	    structure_only; /* by a maintain key: of what is sealed for reading only the packs' bytes were compared with their names */
};

/* ERR_KEY a write key, ERR_IO, ERR_CANCELLED; ERR_MISSING a chosen manifest is not there. Damage is not an error: it is in the result. */
int check_run(struct repo *repo, const struct check_options *options,
	      struct check_result *out_result, struct err *err) ERR_UNUSED_WARN;

#endif
