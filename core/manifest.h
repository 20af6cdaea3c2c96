/*
 * manifest: one backup, signed (FORMAT.md §8). Pure codec; all strings and arrays of a decoded manifest are
 * owned by it and freed by manifest_free.
 */
#ifndef NIGHTJAR_CORE_MANIFEST_H
#define NIGHTJAR_CORE_MANIFEST_H

#include "core/buf.h"
#include "core/id.h"
#include "core/keys.h"

struct manifest_seen {
	uint8_t writer[32];
	uint64_t sequence;
	struct id name;
};

struct manifest_table {
	char *name;
	uint64_t rows;
};

struct manifest_db {
	char *path;     /* absolute, in the backup */
	uint8_t method; /* 1 vacuum, 2 pages, 3 raw */
	char *reason;
	uint32_t page_size;
	uint64_t page_count;
	uint8_t encoding;
	char *journal_mode;
	uint8_t auto_vacuum;
	uint32_t user_version, application_id;
	uint8_t schema_hash[32], image_sha256[32];
	uint64_t image_bytes;
	uint64_t cells, cells_changed; /* of the image; those that this backup stored anew */
	uint64_t bytes_stored;         /* of its chunks, as this backup packed them */
	uint8_t check, verdict;        /* 1 quick 2 integrity; 1 clean 2 failed 3 unchecked */
	char *check_text;
	char *sqlite_version;
	int64_t started_ns, finished_ns;
	struct manifest_table *tables;
	size_t table_count;
};

/* A query of --refs, as it was given, and what it came to. */
struct manifest_ref {
	char *database; /* whole trailing components of a database's path */
	char *query;
	uint64_t referenced; /* files named, each once */
	uint64_t missing; /* of them, those that are not in the backup, or not as they should be */
	uint64_t orphans; /* files beside the named ones that no query names */
};

/* What a manifest is, for who decides which backups stay. */
enum manifest_standing {
	MANIFEST_ORDINARY,
	MANIFEST_COPY, /* of a manifest of another repository */
	MANIFEST_REPAIRED /* the rest of a damaged one, of this repository or of the one it was copied from */
};

struct manifest {
	/* clear */
	uint8_t repo[REPO_ID_BYTES];
	uint8_t writer[32];
	uint64_t sequence;
	int64_t time_ns;
	struct id *parents;
	size_t parent_count;
	struct manifest_seen *seen;
	size_t seen_count;
	/* maintenance */
	uint32_t domain;
	bool has_maint; /* the M part was opened */
	struct id root; /* the root tree list */
	struct id group;
	struct id *tag_macs;
	size_t tag_mac_count;
	uint8_t *verdicts;
	size_t verdict_count;
	uint64_t files, bytes, bytes_added;
	enum manifest_standing standing; /* MANIFEST_ORDINARY exactly when there is no original */
	bool incomplete; /* something could not be read; manifest_enc sets it from `unreadable` */
	/* reading */
	bool has_read; /* the R part was opened */
	char *host, *user, *program;
	char **tags;
	size_t tag_count;
	char **sources;
	size_t source_count;
	int64_t started_ns, finished_ns;
	uint64_t unreadable;
	struct manifest_db *dbs;
	size_t db_count;
	struct manifest_ref *refs; /* in the order in which they were given */
	size_t ref_count;
	uint64_t carried; /* files that vanished meanwhile, kept as the parent manifest has them */
	uint64_t alarms;  /* files of immutable folders whose content was no longer the same */
	struct id
	    original; /* the manifest of another repository that this one is a copy of; zero: none */
};
void manifest_free(struct manifest *m); /* {0} is fine */
void manifest_db_wipe(
    struct manifest_db *db); /* frees what one database's facts own; {0} is fine */
/* A copy of it all, NULL texts as empty ones; *out_db is to be wiped in any case. ERR_NOMEM only. */
int manifest_db_copy(const struct manifest_db *db, struct manifest_db *out_db,
		     struct err *err) ERR_UNUSED_WARN;

/*
 * Appends the whole object, signed by the keys' writer. Takes clear and reading fields and the standing from m; computes group,
 * tag MACs, verdicts and incomplete from them; sorts what must be sorted (in m). m->domain says the domain. m owns its strings and arrays
 * as a decoded one does, also after a failure: tags and sources that are there twice are freed. NULL texts are stored
 * as empty ones. ERR_LIMIT beyond core/limits.h, ERR_USAGE for what a reader would refuse (a database twice, no host,
 * this writer among the others seen, a standing that its original contradicts), ERR_KEY without a writer or the domain; out is unchanged then.
 */
int manifest_enc(struct keys *keys, struct manifest *m, unsigned floor_log2, struct buf *out,
		 struct err *err) ERR_UNUSED_WARN;
/*
 * Checks the signature by the writer it names (the caller looks the writer up in the roster), then opens the parts that
 * the keys can open; at least the M part or ERR_KEY, except for the write role which gets the clear part only. Where both
 * parts open they must agree on group, tags, verdicts, standing and incomplete.
 */
int manifest_dec(struct keys *keys, const void *bytes, size_t len, struct manifest *out_manifest,
		 struct err *err) ERR_UNUSED_WARN;
/* HMAC of a tag under a domain's id key, for comparing without the R part. */
int manifest_tag_mac(const struct domain_keys *domain, const char *tag, struct id *out_mac,
		     struct err *err) ERR_UNUSED_WARN;

#endif
