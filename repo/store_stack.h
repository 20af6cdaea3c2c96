/*
 * store_stack: the layers, stores over a store, and how a command's store is put together of them:
 *
 *	behind a network   cache over parallel over retry over the backend
 *	a local folder     limit over the backend, when a limit was asked for
 *
 * Each layer keeps the promises of repo/store.h that it is given, takes its inner store over when it could be made, and
 * frees it; after a failure that stays the caller's. Threads: as any store, one uses it.
 */
#ifndef NIGHTJAR_REPO_STORE_STACK_H
#define NIGHTJAR_REPO_STORE_STACK_H

#include "repo/net.h"
#include "repo/store.h"

/* --- retry --- */

/* How it passes time; NULL = CLOCK_MONOTONIC, net_sleep and libsodium. For tests, which have no time. */
struct store_retry_clock {
	int64_t (*now_ns)(void *arg);
	bool (*sleep)(void *arg, int64_t ns);          /* false: it was stopped */
	uint64_t (*random)(void *arg, uint64_t below); /* below ≥ 1 */
	void *arg;
};

/*
 * Tries again what failed with ERR_AGAIN: after a random part of 0.5 s, then of 1, 2, 4 … 60 s, or after what the server
 * asked for if that is longer, until net->retry_s have gone since the call's first failure; the error then says for how
 * long. After that each call is tried once, until one is answered. Other failures are final. ERR_CANCELLED when net says stop.
 *
 * An answer that was lost is recognised, as names are hashes: when an earlier try of the same call has failed, an object
 * that is there by now with this length is ours (config: with these bytes), and one that is gone was removed by us. One
 * of another length is ERR_DAMAGED. A listing is reported once it is whole. An object whose bytes do not have its name is
 * read twice more, and then given as it is.
 */
int store_retry_new(struct store *inner, const struct net *net,
		    const struct store_retry_clock *clock, struct store **out_store,
		    struct err *err) ERR_UNUSED_WARN;

/* --- parallel --- */

/* Opens one more connection, in the thread that will use it, where all signals are blocked. */
typedef int store_connect_fn(void *arg, const struct net *net, struct store **out_store,
			     struct err *err);

struct store_parallel_options {
	unsigned connections; /* ≥ 1, beside first */
	store_connect_fn *connect;
	void *arg;
	void (*release)(void *arg); /* of arg, when the layer is freed; may be NULL */
	const struct net
	    *net; /* may be NULL; what connect gets is a copy of it that stops earlier */
};

/*
 * Makes store_put_later what it promises: at most `connections` objects are under way, each a copy in memory; a further
 * one waits. All else goes by `first`, the caller's own connection: get, get_range and size wait for an object of that
 * name, put, list and remove for all. Freed before a flush it drops what is under way. Connections are opened when they
 * are needed.
 */
int store_parallel_new(struct store *first, const struct store_parallel_options *options,
		       struct store **out_store, struct err *err) ERR_UNUSED_WARN;

/* --- cache --- */

#define STORE_CACHE_BYTES (UINT64_C(1) << 30)
#define STORE_CACHE_FILES 65536
#define STORE_CACHE_RANGE_BYTES ((size_t)256 << 10)

/*
 * Keeps in <cache_dir>/<repository id>/store/ what was read or put of index/, snapshots/ and keys/, and ranges of packs up
 * to STORE_CACHE_RANGE_BYTES: the bytes as they are stored. A whole object is used when they have its name, a range when
 * a checksum kept with it fits; what does not is dropped and read from the inner store. It answers get and get_range
 * alone: what there is says the inner store. What put says is there already is not read from here any more: whoever asks
 * wants to know what the store has.
 *
 * limit_bytes on disk, 0 = STORE_CACHE_BYTES, and STORE_CACHE_FILES: what was used longest ago goes first, checked when
 * the store is freed and now and then. The repository's id is read off the config that passes by; until then, and where the
 * folder cannot be made or written, nothing is kept; no call fails for it. Several processes may share one.
 */
int store_cache_new(struct store *inner, const char *cache_dir, uint64_t limit_bytes,
		    struct store **out_store, struct err *err) ERR_UNUSED_WARN;
/* What kept it from keeping something, or "". */
const char *store_cache_note(const struct store *cache);

/* --- limit --- */

/* Lets bytes through at net's paces, for stores that know none. net must stay. */
int store_limit_new(struct store *inner, const struct net *net, struct store **out_store,
		    struct err *err) ERR_UNUSED_WARN;

/* --- all of it --- */

/* Is this location behind a network? */
bool store_is_remote(const char *location);

/*
 * The store of a location with its layers. net (may be NULL) must outlive it. cache_dir: NULL = without the cache layer,
 * as whoever verifies the repository wants it. Errors as store_open.
 */
int store_stack_open(const char *location, const struct net *net, const char *cache_dir,
		     struct store **out_store, struct err *err) ERR_UNUSED_WARN;

#endif
