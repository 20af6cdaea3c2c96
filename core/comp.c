#include "core/comp.h"

#include <stdlib.h>
#include <string.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "core/limits.h"

#define LEVEL_DEFAULT 3
#define LEVEL_MAX 19

/* Magic, then a descriptor that announces neither content size, single segment, checksum nor dictionary. */
static const uint8_t frame_start[5] = {0x28, 0xb5, 0x2f, 0xfd, 0x00};

struct comp {
	ZSTD_CCtx *cctx;
	ZSTD_DCtx *dctx;
};

static int zstd_failed(size_t result, const char *what, struct err *err)
{
	if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation)
		return err_nomem(err);
	return err_set(err, ERR_DAMAGED, "%s: %s", what, ZSTD_getErrorName(result));
}

static bool set(struct comp *c, ZSTD_cParameter param, int value)
{
	return !ZSTD_isError(ZSTD_CCtx_setParameter(c->cctx, param, value));
}

int comp_new(int level, struct comp **out_comp, struct err *err)
{
	struct comp *c;

	if (level < 0 || level > LEVEL_MAX)
		return err_set(err, ERR_USAGE, "compression level %d is not in 1 to %d", level,
			       LEVEL_MAX);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_nomem(err);
	c->cctx = ZSTD_createCCtx();
	c->dctx = ZSTD_createDCtx();
	if (!c->cctx || !c->dctx ||
	    !set(c, ZSTD_c_compressionLevel, level ? level : LEVEL_DEFAULT) ||
	    !set(c, ZSTD_c_contentSizeFlag, 0) || !set(c, ZSTD_c_checksumFlag, 0) ||
	    !set(c, ZSTD_c_dictIDFlag, 0)) {
		comp_free(c);
		return err_nomem(err);
	}
	*out_comp = c;
	return 0;
}

void comp_free(struct comp *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->cctx);
	ZSTD_freeDCtx(c->dctx);
	free(c);
}

/*
 * The full bound is reserved although more than len is thrown away: with less room zstd gives up a few bytes
 * before it would have to, and the choice between plain and compressed would depend on that.
 */
int comp_put(struct comp *c, const void *plain, size_t len, struct buf *out, uint8_t *out_codec,
	     struct err *err)
{
	size_t bound = ZSTD_compressBound(len), before = out->len, made;
	uint8_t *at;

	if (len > LIMIT_CHUNK_BYTES)
		return err_set(err, ERR_LIMIT, "a chunk of %zu bytes is too large", len);
	at = buf_extend(out, bound);
	if (!at)
		return err_nomem(err);
	made = ZSTD_compress2(c->cctx, at, bound, plain, len);
	out->len = before;
	if (ZSTD_isError(made))
		return zstd_failed(made, "compressing", err);
	if (made < len) {
		out->len += made;
		*out_codec = CODEC_ZSTD;
		return 0;
	}
	buf_put(out, plain, len);
	*out_codec = CODEC_RAW;
	return buf_check(out, err);
}

/*
 * One-shot decoding keeps no window of its own: the output is the window, so a frame that claims a huge one
 * costs nothing and memory is bounded by plain_len.
 */
static int unzstd(struct comp *c, const void *bytes, size_t len, uint8_t *at, size_t plain_len,
		  struct err *err)
{
	size_t made;

	if (len < sizeof(frame_start) || memcmp(bytes, frame_start, sizeof(frame_start)) != 0)
		return err_set(err, ERR_DAMAGED, "compressed bytes do not start as they must");
	made = ZSTD_findFrameCompressedSize(bytes, len);
	if (ZSTD_isError(made))
		return zstd_failed(made, "compressed bytes", err);
	if (made != len)
		return err_set(err, ERR_DAMAGED, "compressed bytes have %zu bytes too many",
			       len - made);
	made = ZSTD_decompressDCtx(c->dctx, at, plain_len, bytes, len);
	if (ZSTD_isError(made))
		return zstd_failed(made, "compressed bytes", err);
	if (made != plain_len)
		return err_set(err, ERR_DAMAGED, "compressed bytes give %zu bytes, not %zu", made,
			       plain_len);
	return 0;
}

int comp_get(struct comp *c, uint8_t codec, const void *bytes, size_t len, size_t plain_len,
	     struct buf *out, struct err *err)
{
	size_t before = out->len;
	uint8_t *at;
	int rc;

	if (plain_len > LIMIT_CHUNK_BYTES)
		return err_set(err, ERR_DAMAGED, "a chunk of %zu bytes is too large", plain_len);
	if (codec != CODEC_RAW && codec != CODEC_ZSTD)
		return err_set(err, ERR_DAMAGED, "codec %d cannot be read", codec);
	if (codec == CODEC_RAW && len != plain_len)
		return err_set(err, ERR_DAMAGED, "%zu bytes where %zu must be", len, plain_len);
	at = buf_extend(out, plain_len);
	if (!at)
		return err_nomem(err);
	if (codec == CODEC_RAW) {
		if (len)
			memcpy(at, bytes, len);
		return 0;
	}
	rc = unzstd(c, bytes, len, at, plain_len, err);
	if (rc)
		out->len = before;
	return rc;
}
