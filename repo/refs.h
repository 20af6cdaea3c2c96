/*
 * refs: are all files that a backup's databases name in the backup, as they should be? Queries name files (refs_ask), a walk
 * says which there are (refs_saw), and at the end what is missing is told (refs_judge). For `backup --refs`, and with
 * refs_rerun for `check` and `drill`. What is kept of each file that the walk comes by is 24 bytes. One thread.
 *
 * A path that does not lead to a file directly is followed through the symbolic links of the backup itself.
 *
 * Orphans: files that no query names, below the folders of files that one does. Those folders: the named files below one folder of the
 * database's own folder have the deepest folder that they all lie in; so have the other named files, by
 * source; files beside the database itself have none. Databases are no orphans.
 */
#ifndef NIGHTJAR_REPO_REFS_H
#define NIGHTJAR_REPO_REFS_H

#include "core/manifest.h"
#include "core/node.h"
#include "repo/pageimage.h"
#include "repo/reader.h"

#define REFS_TOLD 100u /* missing files of one query that are told one by one */

struct refs;

struct refs_options {
	const char *cache_dir;  /* for what spills; NULL = nowhere */
	uint64_t most_steps;    /* see refs_query.h; 0 = the default */
	uint64_t most_bytes;    /* of memory for the names; 0 = 256 MiB */
	int (*tick)(void *arg); /* now and then; nonzero cancels. May be NULL */
	/*
	 * database: as the query named it. path: what is missing and text why; "" for what concerns the whole query, the "and N
	 * more" behind REFS_TOLD of them too.
	 */
	void (*missing)(void *arg, const char *database, const char *path, const char *text);
	/*
	 * The database or the file at this path of the backup cannot be read, or is none: damage, and no reference is missing for
	 * it. Nonzero ends it with that. NULL: it is told by missing.
	 */
	int (*damaged)(void *arg, const char *path, const struct err *why, struct err *err);
	void *arg;
};

struct refs_count {
	uint64_t referenced, missing, orphans; /* as in the manifest */
	uint64_t unhashed;                     /* SHA-256 known to the database, not compared */
	bool failed; /* the query could not be run; what is damaged was told */
};

/* options (not what they point to) are copied. ERR_NOMEM. */
int refs_new(const struct refs_options *options, struct refs **out_refs,
	     struct err *err) ERR_UNUSED_WARN;
void refs_free(struct refs *r); /* NULL is fine */

/*
 * The next query, numbered from 0. database: as given, query: SQL. Both are copied. ERR_LIMIT above LIMIT_REFS, ERR_NOMEM.
 */
int refs_add(struct refs *r, const char *database, const char *query,
	     struct err *err) ERR_UNUSED_WARN;
size_t refs_query_count(const struct refs *r);
const char *refs_database(const struct refs *r, size_t query);
const char *refs_sql(const struct refs *r, size_t query);

/*
 * Runs a query on the image of the database whose path in the backup is db_path. A query that is refused, fails, or names too much
 * is told by missing, and no error; a database that is none by damaged. ERR_CANCELLED, ERR_NOMEM, errors of the image.
 */
int refs_ask(struct refs *r, size_t query, const char *db_path, struct pageimage *image,
	     struct err *err) ERR_UNUSED_WARN;
/* Tells that the query cannot be run. */
void refs_fail(struct refs *r, size_t query, const char *text);
/* The same for what is wrong with the database at db_path: by damaged where why says that it is. What that gives. */
int refs_lose(struct refs *r, size_t query, const char *db_path, const struct err *why,
	      struct err *err) ERR_UNUSED_WARN;
/* Is it damage that is told by damaged? */
bool refs_tells_damage(const struct refs *r, const struct err *why);

/* After the last refs_ask, before the first refs_saw. sources: those of the backup. */
int refs_ready(struct refs *r, const char *const *sources, size_t count,
	       struct err *err) ERR_UNUSED_WARN;
/* Does a query know the SHA-256 of the file at this path? NULL r: no. */
bool refs_wants_hash(const struct refs *r, const char *path);
void refs_hashed(struct refs *r, const char *path, const uint8_t sha256[32]);
/* An entry of the backup: files, databases among them, and symbolic links count. NULL r: nothing. */
int refs_saw(struct refs *r, const char *path, const struct entry *e,
	     struct err *err) ERR_UNUSED_WARN;

/* After the last refs_saw: tells what is missing and counts. */
int refs_judge(struct refs *r, struct err *err) ERR_UNUSED_WARN;
const struct refs_count *refs_counted(const struct refs *r, size_t query);

/* --- what a manifest recorded, again --- */

struct refs_rerun {
	struct refs_options options; /* missing is told; cache_dir is where images spill */
	bool hash;                   /* read the files whose SHA-256 a query knows */
};

/*
 * Runs the queries of a manifest on its own databases and looks for the files in its own tree. *out_sum: all queries together; failed:
 * one of them was. A manifest without references is a success. ERR_KEY when its reading part was not opened; ERR_MISSING and
 * ERR_DAMAGED when the tree cannot be read (an image that cannot is told by damaged or missing).
 */
int refs_rerun(struct reader *reader, const struct manifest *m, const struct refs_rerun *rerun,
	       struct refs_count *out_sum, struct err *err) ERR_UNUSED_WARN;

#endif
