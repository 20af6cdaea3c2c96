#include "repo/restore_db.h"

#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"
#include "repo/restore_run.h"
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

/* The image's own first bytes from those of the file; false: the file does not have the journal_mode that it would get. */
static bool mode_back(const struct manifest_db *db, uint8_t head[DBFILE_MODE_BYTES])
{
	uint8_t image[DBFILE_MODE_BYTES], wanted[DBFILE_MODE_BYTES];

	if (db->method != SNAPSHOT_VACUUM)
		return true;
	memcpy(image, head, sizeof(image));
	dbfile_put_mode("delete", image);
	memcpy(wanted, image, sizeof(wanted));
	dbfile_put_mode(db->journal_mode, wanted);
	if (memcmp(head, wanted, sizeof(wanted)) != 0)
		return false;
	memcpy(head, image, sizeof(image));
	return true;
}

static int hash_image(struct restore_run *run, struct fsw_file *file, const char *path,
		      const uint8_t head[DBFILE_MODE_BYTES], uint64_t size, struct id *out_digest,
		      struct err *err)
{
	struct sha256 *sha = NULL;
	int r = sha256_new(&sha, err);

	if (!r)
		r = sha256_update(sha, head, DBFILE_MODE_BYTES, err);
	for (uint64_t at = DBFILE_MODE_BYTES; !r && at < size;) {
		uint64_t take = size - at < RESTORE_IO_BYTES ? size - at : RESTORE_IO_BYTES;

		r = restore_hash_range(run, file, at, take, sha, err);
		if (!r)
			r = restore_tick(run, path, err);
		at += take;
	}
	if (!r)
		r = sha256_final(sha, out_digest, err);
	sha256_free(sha);
	return r;
}

int restore_db_same(struct restore_run *run, struct fsw_file *file, const char *path,
		    const struct manifest_db *db, bool *out_same, struct err *err)
{
	uint8_t head[DBFILE_MODE_BYTES];
	struct id digest;
	int r;

	*out_same = false;
	if (fsw_file_size(file) != db->image_bytes || db->image_bytes < sizeof(head))
		return 0;
	r = fsw_file_read(file, 0, head, sizeof(head), err);
	if (r || !mode_back(db, head))
		return r;
	r = hash_image(run, file, path, head, db->image_bytes, &digest, err);
	*out_same = !r && memcmp(digest.b, db->image_sha256, ID_BYTES) == 0;
	return r;
}
