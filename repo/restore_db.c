#include "repo/restore_db.h"

#include <stdlib.h>

#include "repo/snapshot.h"

static int image_read(void *arg, uint64_t offset, void *out_bytes, size_t len, struct err *err)
{
	return fsw_file_read(arg, offset, out_bytes, len, err);
}

int restore_db_verify(struct fsw_file *file, const char *path, uint64_t size,
		      const struct dbfile_progress *progress, struct err *err)
{
	const struct dbfile_bytes bytes = {image_read, file, size};
	bool ok = true;
	char *text = NULL;
	int r = dbfile_verify_bytes(path, &bytes, progress, &ok, &text, err);

	if (!r && !ok)
		r = err_set(err, ERR_DAMAGED, "integrity_check failed: %s", text ? text : "");
	free(text);
	return r;
}

/* Only VACUUM INTO leaves the journal_mode out; what was kept page by page or raw has it. */
int restore_db_put_mode(struct fsw_file *file, uint64_t size, const struct manifest_db *db,
			struct err *err)
{
	uint8_t head[DBFILE_MODE_BYTES];
	int r;

	if (db->method != SNAPSHOT_VACUUM || size < sizeof(head))
		return 0;
	r = fsw_file_read(file, 0, head, sizeof(head), err);
	if (r)
		return r;
	dbfile_put_mode(db->journal_mode, head);
	return fsw_file_write(file, 0, head, sizeof(head), err);
}
