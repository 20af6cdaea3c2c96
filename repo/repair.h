/*
 * repair: puts right what can be put right of a damaged repository. What is new is published before anything old goes, and nothing
 * that holds data is ever removed: of index segments the broken ones, of packs none, of manifests none but by forget. So a repair that is interrupted
 * is repeated, and one that is repeated does nothing. One thread.
 */
#ifndef NIGHTJAR_REPO_REPAIR_H
#define NIGHTJAR_REPO_REPAIR_H

#include "core/manifest.h"
#include "repo/repo.h"

struct repair_callbacks {
	/* What was wrong with an object ("index/…", "data/…", "snapshots/…"), and what was done about it. */
	void (*repaired)(void *arg, const char *object, const char *text);
	/* What is lost, or could not be repaired. */
	void (*lost)(void *arg, const char *object, const char *text);
	/* One line for each path of a manifest that is lost. */
	void (*touched)(void *arg, const struct id *manifest, const char *path, const char *text);
	/* Nonzero cancels. */
	int (*progress)(void *arg, uint64_t done, uint64_t total, const char *what);
	void *arg;
}; /* each may be NULL */

/* --- the index --- */

struct repair_index_options {
	bool
	    read_all_packs; /* compare the directory of every pack with the index, not only of those that no segment names */
	struct repair_callbacks cb;
};

struct repair_index_result {
	uint64_t segments, packs; /* that there were */
	uint64_t replaced;        /* segments that were damaged or wrong, and are gone */
	uint64_t written;         /* new ones */
	uint64_t packs_added;     /* that no segment named */
	uint64_t
	    packs_missing; /* that a segment named and the store has not; they are named no more */
	uint64_t packs_unreadable; /* whose directory does not open: > 0: exit 20 */
};

/*
 * Packs that no segment names get into new segments, signed by G, from their own directories; then segments that are damaged, or
 * name packs that are not there, are removed. ERR_KEY without G's secret, and with a maintain key where no segment is left; ERR_VERSION when something is of a
 * newer format, ERR_IO when something cannot be read though it may be whole: nothing was changed then. ERR_CANCELLED.
 */
int repair_index(struct repo *repo, const struct repair_index_options *options,
		 struct repair_index_result *out_result, struct err *err) ERR_UNUSED_WARN;

/* --- packs, by their parity --- */

struct repair_parity_options {
	const struct id *packs; /* only these; NULL = all */
	size_t pack_count;
	struct repair_callbacks cb; /* touched is not called */
};

struct repair_parity_result {
	uint64_t packs;     /* looked at */
	uint64_t damaged;   /* of them */
	uint64_t mended;    /* of these: written back as they were */
	uint64_t blocks;    /* of 4 KiB that were damaged in those */
	uint64_t unwritten; /* damaged; parity gives them back, and they could not be written */
};                          /* damaged > mended: exit 20 */

/*
 * Reads every pack, and mends those whose bytes are not those of their names by their parity, in place, where the store allows that (repo/mend.h). Each that could not be
 * written is told as lost, with the reason, and the next one is looked at.
 * Needs no key. ERR_MISSING a named pack is not there; ERR_IO, ERR_CANCELLED.
 */
int repair_parity(struct store *store, const struct repair_parity_options *options,
		  struct repair_parity_result *out_result, struct err *err) ERR_UNUSED_WARN;

/* --- packs --- */

struct repair_packs_options {
	const struct id *packs; /* only these; NULL = all */
	size_t pack_count;
	int64_t now_ns; /* of the note */
	struct repair_callbacks cb;
};

struct repair_packs_result {
	uint64_t packs;         /* looked at */
	uint64_t damaged;       /* of them */
	uint64_t mended;        /* of these, by their parity: they are as they were */
	uint64_t blocks_mended; /* in those */
	uint64_t records_saved; /* moved into new packs */
	uint64_t records_lost;  /* damaged, and no other copy of the chunk is known: > 0: exit 20 */
	uint64_t
	    unjudged; /* of records_lost: sealed for reading, so a maintain key left them where they are */
	uint64_t packs_lost; /* damaged, and it is not known what was in them: > 0: exit 20 */
	uint64_t noted;      /* records that no note named before */
	uint64_t touched;    /* paths of manifests that miss something */
	uint64_t
	    unwritten; /* damaged, and neither put back nor moved, as writing failed: > 0: exit 20 */
	bool unnoted;  /* the note could not be written: exit 20 */
};

/*
 * Packs whose bytes are not those of their names: what parity gives back is put in its place again. Of the others what still opens is moved, as it is, into new packs, which an index segment names; all that
 * was in the damaged pack is noted, so that nobody rests on it any more and prune may take it. Where something is lost every path of
 * every manifest that it touches is told. A record can only be judged with the key that it is sealed for: a maintain key moves lists, notes
 * the rest as damaged, whole or not, and counts it as lost until a full key has judged it. Where writing fails, as on a full disk, the pack is told
 * as lost with the reason, left as it is and not noted, and the next one is looked at. ERR_KEY another role. ERR_MISSING a named pack is not there; ERR_IO, ERR_VERSION, ERR_CANCELLED.
 */
int repair_packs(struct repo *repo, const struct repair_packs_options *options,
		 struct repair_packs_result *out_result, struct err *err) ERR_UNUSED_WARN;

/* The pack whose name begins so. ERR_MISSING; ERR_USAGE several. */
int repair_find_pack(struct store *store, const char *prefix, struct id *out_name,
		     struct err *err) ERR_UNUSED_WARN;

/* --- manifests --- */

struct repair_manifests_options {
	const struct id *manifests; /* only these; NULL = all */
	size_t manifest_count;
	bool dry_run;
	bool forget;           /* what can never be restored is removed in the end */
	int64_t now_ns;        /* of its retire record */
	const char *state_dir; /* where this host remembers damage; NULL = nowhere */
	struct repair_callbacks cb;
	/* Is removed next, in a dry run would be; m is NULL where it does not open. */
	void (*forgot)(void *arg, const struct id *name, const struct manifest *m, const char *why);
	/* A manifest was repaired: what can be had of it is the other one now. Not in a dry run. */
	void (*made)(void *arg, const struct id *damaged, const struct id *repaired);
};

struct repair_manifests_result {
	uint64_t manifests; /* looked at */
	uint64_t damaged;   /* of them, those that were repaired before counted too */
	uint64_t repaired;  /* in a dry run: would be */
	uint64_t repaired_before;
	uint64_t hopeless; /* of which nothing can be had, or that do not even open: > 0: exit 20 */
	uint64_t left_out; /* paths */
	uint64_t forgotten;      /* manifests; in a dry run: would be */
	uint64_t lost_forgotten; /* of hopeless */
	bool
	    spared; /* nothing was forgotten, as not one backup of the repository is whole: is data/ there? */
};

/*
 * Makes of each manifest that rests on lost or noted chunks another one without the files, folders and databases that cannot be had,
 * tagged `repaired`, whose original is the damaged one. That one stays: it may become whole again when a backup or a copy of the repository
 * heals it. With forget it goes, and so does what is hopeless, though it be the newest of its writer and group: with a retire
 * record where it opens, and where it does not only if its bytes are not those of its name. Nothing goes while no backup at all is whole. Damage that nobody has found yet is not seen: 'check --read-data' looks for it. ERR_KEY without the full key;
 * ERR_MISSING a named manifest is not there; ERR_CANCELLED; ERR_FULL, ERR_IO the store.
 */
int repair_manifests(struct repo *repo, const struct repair_manifests_options *options,
		     struct repair_manifests_result *out_result, struct err *err) ERR_UNUSED_WARN;

#endif
