/*
 * attacker: a writer in the roster who holds a real write key and does with it what no program of ours does: packs and segments that lie,
 * manifests of any date and host. Failures fail the test that asked.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_ATTACKER_H
#define NIGHTJAR_TESTS_SUPPORT_ATTACKER_H

#include "core/indexseg.h"
#include "tests/support/repo_case.h"

struct attacker {
	struct repo *repo; /* of the write role, over the case's inner store */
	struct buf keyfile;
	struct err *err;
};

/* Gives a new random writer to the roster, in a domain, and opens the repository with nothing but its key file. */
struct attacker *attacker_new(struct repo_case *c, const char *host, uint32_t domain);
void attacker_free(struct attacker *a);

/* A record as it is to be sealed, whatever it says. */
struct attacker_record {
	struct record_info info;
	const void *bytes; /* compressed, or raw */
	size_t len;
};
/* Raw bytes under an id. */
struct attacker_record attacker_raw(uint8_t kind, const struct id *id, const void *bytes,
				    size_t len);

/* A pack of them, which is in the store; its directory as it is in it. indexseg_pack's dir: pack_dir_free. */
struct indexseg_pack attacker_pack(struct attacker *a, const struct attacker_record *records,
				   size_t count, uint64_t sequence);
/*
 * The same records in another pack, whose directory says that somebody else stored them; no segment names it. garbage: their bytes are not the
 * records', only as long.
 */
struct indexseg_pack attacker_claim(struct attacker *a, const struct indexseg_pack *pack,
				    const struct pack_source *source, bool garbage);
/* A segment that says this of packs, signed by the attacker. */
struct id attacker_segment(struct attacker *a, const struct indexseg_pack *packs, size_t count);

/* Garbage under every id of these kinds (bits of 1 << kind) that the case's index has; in one pack, with its segment. */
void attacker_spoil(struct attacker *a, struct repo_case *c, unsigned kinds, uint64_t sequence);

/* A manifest of the attacker's that claims a host, source, time and sequence; root: any. Gives its name. */
struct id attacker_manifest(struct attacker *a, const char *host, const char *source,
			    int64_t time_ns, uint64_t sequence, const struct id *root);

#endif
