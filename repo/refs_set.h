/*
 * refs_set: what the parts of refs share (refs.c, refs_set.c): the files that queries name, and those that a backup has. Internal to them.
 */
#ifndef NIGHTJAR_REPO_REFS_SET_H
#define NIGHTJAR_REPO_REFS_SET_H

#include "repo/refs.h"

#define REFS_TEXT_CHARS 160

enum refs_hash {
	REFS_HASH_NONE,
	REFS_HASH_ASKED, /* known to the database, not compared yet */
	REFS_HASH_BAD,   /* what the database says is no SHA-256 */
	REFS_HASH_SAME,
	REFS_HASH_DIFFERS
};

/* A file that a query names. */
struct refs_named {
	char *path;   /* absolute, tidy */
	uint64_t key; /* of it */
	int64_t size;
	uint8_t sha256[32];
	enum refs_hash hash;
	bool has_size;
	bool twin; /* the one before it has the same path */
};

struct refs_asked {
	char *database, *query, *db_path;
	struct refs_named *named; /* ascending by path once asked */
	size_t named_count, named_cap;
	char **folders; /* where orphans are looked for */
	size_t folder_count;
	struct refs_count count;
};

/* A file that the backup has; the path itself is not kept. */
struct refs_seen {
	uint64_t key, size;
	uint32_t beside; /* 1 + the first query whose folders it lies in; 0 = none */
	bool named;
};

struct refs_link {
	char *path, *target;
};

/* A named file whose SHA-256 is asked for. */
struct refs_asked_hash {
	uint64_t key;
	struct refs_named *named;
};

struct refs {
	struct refs_options options;
	uint8_t key[16]; /* a keyed hash: nobody can make paths that collide */
	struct refs_asked *asked;
	size_t asked_count;
	uint64_t bytes;
	struct refs_asked_hash *hashes; /* ascending by key */
	size_t hash_count;
	struct refs_seen *seen; /* ascending by key once settled */
	size_t seen_count, seen_cap;
	struct refs_link *links; /* ascending by path once settled */
	size_t link_count, link_cap;
	bool failed; /* no memory while links were followed */
};

uint64_t refs_key(const struct refs *r, const char *path, size_t len);
/* Sorts what was seen. */
void refs_settle(struct refs *r);
/* The file at a path, links followed; it is then a named one. NULL: there is none. */
struct refs_seen *refs_find(struct refs *r, const char *path);
void refs_count_orphans(struct refs *r);

#endif
