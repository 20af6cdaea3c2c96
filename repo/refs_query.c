#include "repo/refs_query.h"

#include "repo/dbquery.h"

/* The bytes of a column; a number is its text. NULL only without memory. */
static const void *bytes_of(sqlite3_stmt *st, int column, size_t *out_len)
{
	const void *bytes = sqlite3_column_type(st, column) == SQLITE_BLOB
				? sqlite3_column_blob(st, column)
				: sqlite3_column_text(st, column);

	*out_len = (size_t)sqlite3_column_bytes(st, column);
	return bytes;
}

static int give_row(void *arg, sqlite3_stmt *st, struct err *err)
{
	const struct refs_query *q = arg;
	int columns = sqlite3_column_count(st);
	struct refs_row row = {0};

	if (sqlite3_column_type(st, 0) == SQLITE_NULL)
		return 0;
	row.path = bytes_of(st, 0, &row.path_len);
	if (row.path_len == 0)
		return 0;
	if (columns > 1 && sqlite3_column_type(st, 1) != SQLITE_NULL) {
		row.has_size = true;
		row.size = sqlite3_column_int64(st, 1);
	}
	if (columns > 2 && sqlite3_column_type(st, 2) != SQLITE_NULL)
		row.sha256 = bytes_of(st, 2, &row.sha256_len);
	row.has_sha256 = row.sha256_len > 0;
	if (!row.path || (row.has_sha256 && !row.sha256))
		return err_nomem(err);
	return q->row(q->row_arg, &row, err);
}

int refs_query_run(const struct refs_query *q, struct err *err)
{
	struct refs_query again = *q;
	const struct dbquery query = {
	    .path = q->path,
	    .what = "the query of --refs",
	    .sql = q->sql,
	    .most_columns = 3,
	    .columns_text = "path, size and sha256",
	    .image = q->image,
	    .cache_dir = q->cache_dir,
	    .most_steps = q->most_steps,
	    .tick = q->tick,
	    .tick_arg = q->tick_arg,
	    .row = give_row,
	    .row_arg = &again,
	};

	return dbquery_run(&query, err);
}
