/*
 * store: where objects live. One table of calls a backend; a store over another store (cache,
 * retry, fault) is the same table. FORMAT.md §2 gives the layout that every backend shows.
 *
 * Promises that every backend keeps, and tests/repo/test_store.c checks on each:
 *  - put is atomic: an object is visible whole or not at all, whatever is killed when;
 *  - when put or remove has returned 0 the change survives a power loss;
 *  - put never replaces (but for replace below, which mends an object): an existing object of that name stays, and put says ERR_EXISTS;
 *  - names are those of enum store_type and 64 lowercase hex digits; nothing else reaches a backend,
 *    and list reports nothing else (left-over temporary files and foreign files are skipped).
 * A store does not verify contents: the caller compares the SHA-256.
 *
 * Errors: ERR_MISSING no such object; ERR_EXISTS; ERR_FULL; ERR_LIMIT (an object larger than the
 * caller allowed); ERR_DAMAGED (shorter than asked for, or a link, folder or device where an object
 * belongs); ERR_IO for the rest. Behind a network also
 * ERR_AGAIN, ERR_DENIED, ERR_CANCELLED. Each names the object. A failed get leaves what out held before.
 * Threads: one thread uses a store (the coordinator); distinct stores are independent.
 */
#ifndef NIGHTJAR_REPO_STORE_H
#define NIGHTJAR_REPO_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/id.h"
#include "repo/net.h"

enum store_type {
	STORE_CONFIG,    /* the one object `config`; its name is ignored (pass NULL) */
	STORE_KEYS,      /* keys/<name> */
	STORE_DATA,      /* data/<first 2 hex digits>/<name> */
	STORE_INDEX,     /* index/<name> */
	STORE_SNAPSHOTS, /* snapshots/<name> */
	STORE_LOCKS      /* locks/<name> */
};
#define STORE_TYPES 6

struct store;
struct net;

/*
 * Called once a name, in no order. Nonzero ends the listing, and list returns it. It must not put
 * into the store that is being listed, nor remove from it. `config` is listed with a zero name.
 */
typedef int store_list_fn(void *arg, const struct id *name, uint64_t size_bytes, struct err *err);

/* What killed puts left. */
struct store_leftovers {
	uint64_t files, bytes;
};

struct store_ops {
	/*
	 * Makes the layout (folders). ERR_EXISTS when a `config` is there, or anything that is not
	 * ours. An existing empty folder, or what a killed create left, is fine.
	 */
	int (*create)(struct store *s, struct err *err);
	/*
	 * Stores bytes under (type, name). Never replaces. ERR_EXISTS is as durable as 0: the object
	 * that is there survives a power loss. After another error it may be there (whole) or not.
	 */
	int (*put)(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		   size_t len, struct err *err);
	/* Appends the whole object to out. ERR_LIMIT when it is longer than max_bytes. */
	int (*get)(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		   struct buf *out, struct err *err);
	/* Appends exactly len bytes from offset. ERR_DAMAGED when the object ends before. */
	int (*get_range)(struct store *s, enum store_type type, const struct id *name,
			 uint64_t offset, size_t len, struct buf *out, struct err *err);
	int (*size)(struct store *s, enum store_type type, const struct id *name,
		    uint64_t *out_bytes, struct err *err);
	/* Every object of the type. A folder that is missing lists nothing. */
	int (*list)(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		    struct err *err);
	/* ERR_MISSING when it is not there. */
	int (*remove)(struct store *s, enum store_type type, const struct id *name,
		      struct err *err);
	/*
	 * The store's own clock, in seconds: what it would say of an object that is put now (local: the time of a fresh
	 * file, which a file server gives). It does not depend on this host's clock where the store has another. Read
	 * twice, the later reading is not smaller unless that clock was set back.
	 */
	int (*now)(struct store *s, int64_t *out_s, struct err *err);
	/*
	 * Removes what killed puts left and what is at least so old by the store's own clock, or only counts it. A put that is under
	 * way for that long fails then. Adds to *out what it came to, also when it fails. NULL: a killed put leaves nothing that this
	 * could see.
	 */
	int (*sweep)(struct store *s, int64_t least_age_s, bool dry_run,
		     struct store_leftovers *out, struct err *err);
	void (*free)(struct store *s);

	/* The rest a backend may leave NULL. See the calls of these names below. */
	int (*replace)(struct store *s, enum store_type type, const struct id *name,
		       const void *bytes, size_t len, struct err *err);
	int (*put_later)(struct store *s, enum store_type type, const struct id *name,
			 const void *bytes, size_t len, struct err *err);
	int (*flush)(struct store *s, struct err *err);
	bool (*distrust)(struct store *s, enum store_type type, const struct id *name);
	void (*expect)(struct store *s, enum store_type type, const struct id *names, size_t count);
};

/* A backend embeds this as its first member. */
struct store {
	const struct store_ops *ops;
	char *location; /* for messages: what the user would write after -r; owned by the backend */
};

/* "config", "keys", "data", "index", "snapshots", "locks": the file, and the folders. */
const char *store_type_name(enum store_type type);

/* "data/3f/3fa9…" or "config": the path below the repository, for messages and local files. */
#define STORE_PATH_CHARS 96
void store_path(enum store_type type, const struct id *name, char out[STORE_PATH_CHARS]);

/* Thin calls through the table. */
int store_create(struct store *s, struct err *err) ERR_UNUSED_WARN;
int store_put(struct store *s, enum store_type type, const struct id *name, const void *bytes,
	      size_t len, struct err *err) ERR_UNUSED_WARN;
int store_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
	      struct buf *out, struct err *err) ERR_UNUSED_WARN;
int store_get_range(struct store *s, enum store_type type, const struct id *name, uint64_t offset,
		    size_t len, struct buf *out, struct err *err) ERR_UNUSED_WARN;
int store_size(struct store *s, enum store_type type, const struct id *name, uint64_t *out_bytes,
	       struct err *err) ERR_UNUSED_WARN;
int store_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
	       struct err *err) ERR_UNUSED_WARN;
int store_remove(struct store *s, enum store_type type, const struct id *name,
		 struct err *err) ERR_UNUSED_WARN;
/*
 * Puts bytes in the place of an object whose own have rotted: what its name says, which the caller has verified. Atomic and as durable as
 * put: at each moment, whatever fails, the old object or the new one is there whole. ERR_MISSING when none is there. ERR_DENIED
 * where the store cannot do that (a rest: server removes or adds, no more; one that only adds refuses); then nothing was changed.
 */
int store_replace(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		  size_t len, struct err *err) ERR_UNUSED_WARN;
int store_now(struct store *s, int64_t *out_s, struct err *err) ERR_UNUSED_WARN;
int store_sweep(struct store *s, int64_t least_age_s, bool dry_run, struct store_leftovers *out,
		struct err *err) ERR_UNUSED_WARN;
void store_free(struct store *s); /* NULL is fine */

struct net;

/*
 * As put, but 0 promises nothing yet: the bytes were taken over, and may be under way. That an object of that name is
 * there is no failure. Objects are stored for sure, all of them, when a later flush, or a put, list or remove, has
 * returned 0; each of them fails, and so does every later one, once a put_later has failed, in the words of the first
 * failure, which name the object. Reads wait for what they read. Whatever records that an object is stored, here or
 * there, comes after such a call (I2). Where nothing is sent in parallel it is put.
 */
int store_put_later(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		    size_t len, struct err *err) ERR_UNUSED_WARN;
int store_flush(struct store *s, struct err *err) ERR_UNUSED_WARN;

/*
 * Of what a call returned: the store does not answer, or somebody wants an end. Nothing was learned of the object, and the
 * next will fare no better: who goes through many ends here.
 */
bool store_is_away(int rc);

/*
 * What was read of this object is not what it must be. True when some of it may have come from a cache of this host,
 * which is dropped, or have been spoiled on a network: then it is worth reading once more, from where the object really is.
 */
bool store_distrust(struct store *s, enum store_type type, const struct id *name);

/*
 * A hint: get will be asked for these objects, soon and in this order, so that a store behind a network may read some ahead:
 * as many as it has connections, none longer than STORE_AHEAD_BYTES. names need not stay. It is given up by the next expect,
 * and by a put or a remove: no get gives what was there before those. What get says is the same with and without it.
 */
#define STORE_AHEAD_BYTES ((size_t)20 << 20)
void store_expect(struct store *s, enum store_type type, const struct id *names, size_t count);

/*
 * Opens the backend that a repository location names: an absolute or relative path, `sftp:`,
 * `rest:`, `s3:` (repo/store_net.h). Those keep to net (NULL: its defaults), which must outlive them. It is the bare backend:
 * store_stack_open puts the layers over it that a command needs. Opening touches nothing; where no repository is, the first read of config
 * says ERR_MISSING. ERR_USAGE for a location no backend knows, and for "word:…" in general (a folder
 * with a colon in its name is written ./word:…). *out_store is the caller's, freed with store_free.
 */
int store_open(const char *location, const struct net *net, struct store **out_store,
	       struct err *err) ERR_UNUSED_WARN;

/*
 * A local directory; path may be a symlink to it. Create makes the last component of path only, so
 * that a disk which is not mounted is noticed. Packs of which parts are read stay open until free, 64 of
 * them. Objects get mode 0400, folders 0700. What a killed put
 * leaves is a file `.tmp-<16 hex digits>` beside the objects, which sweep removes and nothing reads. A file size
 * limit is ERR_FULL only in a process that ignores SIGXFSZ.
 */
int store_local_open(const char *path, struct store **out_store, struct err *err) ERR_UNUSED_WARN;

/* Memory, for tests and for the reader's sake: the shortest complete backend. */
int store_mem_new(struct store **out_store, struct err *err) ERR_UNUSED_WARN;
/* Its clock, which stands still until it is set again; 0 at first. */
void store_mem_set_now(struct store *mem, int64_t now_s);

#endif
