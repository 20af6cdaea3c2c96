#include "repo/mend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/limits.h"
#include "core/sha256.h"
#include "repo/repo.h"

#define STEP_BYTES ((size_t)1 << 20) /* read at once where a disk fails somewhere */

static bool is_damage(const struct err *why)
{
	return why->code == ERR_DAMAGED || why->code == ERR_LIMIT ||
	       (why->code == ERR_IO && why->sys_errno == EIO);
}

/* Appends a part, in smaller ones where it cannot be read, down to blocks, which then are zeros. */
static int get_part(struct store *store, const struct id *name, size_t at, size_t len,
		    struct buf *bytes, struct err *err)
{
	struct err why = {0};
	int r = store_get_range(store, STORE_DATA, name, at, len, bytes, &why);

	if (r && !is_damage(&why)) {
		*err = why;
		return r;
	}
	if (r && len <= PARITY_BLOCK_BYTES) {
		buf_put_zeros(bytes, len);
		return buf_check(bytes, err);
	}
	for (size_t done = 0; r && done < len;) {
		size_t n = len - done < PARITY_BLOCK_BYTES ? len - done : PARITY_BLOCK_BYTES;

		if (get_part(store, name, at + done, n, bytes, err) != 0)
			return -err->code;
		done += n;
	}
	return 0;
}

/* What is longer than a pack may be is read as far as that. */
static int get_parts(struct store *store, const struct id *name, struct buf *bytes, struct err *err)
{
	struct err why = {0};
	uint64_t size = 0;
	int r = store_size(store, STORE_DATA, name, &size, &why);
	size_t len = size < LIMIT_PACK_BYTES ? (size_t)size : LIMIT_PACK_BYTES;

	if (r && is_damage(&why)) /* a link or a folder in its place */
		return 0;
	if (r)
		*err = why;
	for (size_t at = 0; !r && at < len; at += STEP_BYTES)
		r = get_part(store, name, at, len - at < STEP_BYTES ? len - at : STEP_BYTES, bytes,
			     err);
	return r;
}

/* 1 when they are not those of the name. */
static int get(struct store *store, const struct id *name, struct buf *bytes, struct err *err)
{
	struct err why = {0};
	struct id digest;
	int r;

	buf_reset(bytes);
	r = store_get(store, STORE_DATA, name, LIMIT_PACK_BYTES, bytes, &why);
	if (r && is_damage(&why)) {
		r = get_parts(store, name, bytes, err);
		if (r)
			return r;
	} else if (r) {
		*err = why;
		return r;
	}
	r = sha256_of(bytes->data, bytes->len, &digest, err);
	return r ? r : !id_eq(&digest, name);
}

bool mend_is_refusal(const struct err *why)
{
	return why->code == ERR_DENIED || why->code == ERR_FULL || why->code == ERR_IO;
}

/* "cannot write <its place>: Read-only file system": the name is told beside it. */
static void say_why_alone(const struct store *store, const struct id *name, struct err *why)
{
	char path[STORE_PATH_CHARS];
	const char *place;

	store_path(STORE_DATA, name, path);
	place = strstr(why->text, path);
	if (why->sys_errno && place && strncmp(place + strlen(path), ": ", 2) == 0)
		memmove(why->text, place + strlen(path) + 2, strlen(place + strlen(path) + 2) + 1);
	else
		repo_unname(store, STORE_DATA, name, why);
}

static int write_back(struct store *store, const struct id *name, const struct buf *bytes,
		      struct mend *m, struct err *err)
{
	int r = store_replace(store, STORE_DATA, name, bytes->data, bytes->len, &m->why);

	if (!r) {
		m->state = MEND_DONE;
		return 0;
	}
	if (mend_is_refusal(&m->why)) {
		say_why_alone(store, name, &m->why);
		return 0;
	}
	*err = m->why;
	return r;
}

int mend_pack(struct store *store, const struct id *name, bool write, struct buf *bytes,
	      struct mend *out, struct err *err)
{
	struct buf whole = {0};
	int r = get(store, name, bytes, err);

	*out = (struct mend){.state = MEND_WHOLE};
	if (r <= 0)
		return r;
	/* Of a network or of a cache of this host? Then what the store has is whole. */
	if (store_distrust(store, STORE_DATA, name)) {
		r = get(store, name, bytes, err);
		if (r <= 0)
			return r;
	}
	r = parity_mend(bytes->data, bytes->len, name, &whole, &out->mended, &out->why);
	if (r)
		buf_free(&whole);
	if (r == -ERR_DAMAGED) {
		out->state = MEND_BEYOND;
		return 0;
	}
	if (r) {
		*err = out->why;
		return r;
	}
	buf_free(bytes);
	*bytes = whole;
	out->state = MEND_COULD;
	return write ? write_back(store, name, bytes, out, err) : 0;
}

void mend_text(const struct mend *m, char out[MEND_TEXT_CHARS])
{
	(void)snprintf(out, MEND_TEXT_CHARS, "%" PRIu64 " of %" PRIu64 " blocks were damaged",
		       m->mended.blocks, m->mended.of);
}
