/*
 * dbcheck: what can be learnt from a database by reading it through SQLite: is it sound, how many rows,
 * which schema. Hostile and broken databases are its normal input; texts and counts are bounded.
 */
#ifndef NIGHTJAR_REPO_DBCHECK_H
#define NIGHTJAR_REPO_DBCHECK_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/dbconn.h"
#include "repo/snapshot.h"

#define DBCHECK_LINES 10       /* of a check's output are kept */
#define DBCHECK_LINE_BYTES 300 /* each, longer ones are cut */

/*
 * Runs quick_check or integrity_check. open_rc: what opening c gave; damage seen there is a FAILED, too. Fills
 * verdict and text (malloc'd; NULL when clean). Where a collation, function or module is missing the
 * rest is still checked, table by table, and damage found there wins over UNCHECKED. Errors only for what is no verdict: ERR_BUSY,
 * ERR_CANCELLED, ERR_NOMEM, ERR_SOURCE.
 */
int dbcheck_run(struct dbconn *c, int open_rc, enum snapshot_check kind,
		enum snapshot_verdict *out_verdict, char **out_text,
		struct err *err) ERR_UNUSED_WARN;

/*
 * Runs foreign_key_check: CLEAN, FAILED with a line that counts the rows and names the first, UNCHECKED where a collation, function or
 * module is missing. Text and errors as dbcheck_run.
 */
int dbcheck_foreign_keys(struct dbconn *c, enum snapshot_verdict *out_verdict, char **out_text,
			 struct err *err) ERR_UNUSED_WARN;

/*
 * Rows per table, internal sqlite_ tables left out; a table that cannot be counted is left out. *out_missing
 * (malloc'd) is the first message about a missing collation, function or module, or NULL.
 */
int dbcheck_count_rows(struct dbconn *c, struct snapshot_table **out_tables, size_t *out_count,
		       char **out_missing, struct err *err) ERR_UNUSED_WARN;

void dbcheck_free_tables(struct snapshot_table *tables, size_t count);

/*
 * SHA-256 over the rows of sqlite_schema, sorted by their bytes; each row is type, name, tbl_name, sql, each as
 * a little-endian u32 length and UTF-8 bytes (NULL: length 0xffffffff). Zeros when it is unreadable.
 */
int dbcheck_schema_hash(struct dbconn *c, uint8_t out_hash[32], struct err *err) ERR_UNUSED_WARN;

#endif
