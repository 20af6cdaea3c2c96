/*
 * primitives: how fast this machine does what a backup is made of, in GB (1e9 bytes) a second of processor time on one
 * core, through the same core modules that the program uses.
 *
 *   primitives FILE    the bytes to work on, the first 64 MiB of FILE: those of a database, for zstd to be meaningful
 *
 * Prints "<name> <GB/s>" lines. Every loop works on pieces of 1 MiB, the mean chunk of a file, over the whole input,
 * at least once and for half a second.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/chunker.h"
#include "core/comp.h"
#include "core/parity.h"
#include "core/seal.h"
#include "core/sha256.h"

#define INPUT_MAX_BYTES (64u << 20)
#define PIECE_BYTES (1u << 20)
#define ENOUGH_S 0.5

struct bench {
	uint8_t *bytes;
	size_t len;
	struct buf out;    /* of the piece before, kept for its memory */
	struct buf packed; /* what unzstd reads */
	struct comp *comp[4];
	struct chunker chunker;
	uint8_t key[32];
	uint64_t counter;
	unsigned sink; /* so that nothing is optimised away */
	struct err err;
};

/* Works on one piece; 0, or an error in b->err. */
typedef int piece_fn(struct bench *b, const uint8_t *p, size_t len);

static double cpu_now(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int do_memcpy(struct bench *b, const uint8_t *p, size_t len)
{
	buf_reset(&b->out);
	buf_put(&b->out, p, len);
	b->sink += b->out.data[len / 2];
	return 0;
}

static int do_sha256(struct bench *b, const uint8_t *p, size_t len)
{
	struct id id;

	return sha256_of(p, len, &id, &b->err);
}

static int do_hmac(struct bench *b, const uint8_t *p, size_t len)
{
	struct hmac_part part = {p, len};
	struct id id;

	return hmac256_of(b->key, &part, 1, &id, &b->err);
}

static int do_seal(struct bench *b, const uint8_t *p, size_t len)
{
	buf_reset(&b->out);
	return seal_put(b->key, b->counter++, "ad", 2, p, len, &b->out, &b->err);
}

static int do_gear(struct bench *b, const uint8_t *p, size_t len)
{
	for (size_t at = 0; at < len;) {
		at += chunker_cut(&b->chunker, p + at, len - at);
		b->sink++;
	}
	return 0;
}

static int do_zstd(struct bench *b, int level, const uint8_t *p, size_t len)
{
	uint8_t codec;

	buf_reset(&b->out);
	return comp_put(b->comp[level], 0, p, len, &b->out, &codec, &b->err);
}

static int do_zstd1(struct bench *b, const uint8_t *p, size_t len)
{
	return do_zstd(b, 1, p, len);
}

static int do_zstd3(struct bench *b, const uint8_t *p, size_t len)
{
	return do_zstd(b, 3, p, len);
}

/* One piece from the middle of the input, packed once, stands for all. */
static int do_unzstd(struct bench *b, const uint8_t *p, size_t len)
{
	const uint8_t *middle = b->bytes + b->len / PIECE_BYTES / 2 * PIECE_BYTES;
	uint8_t codec = CODEC_ZSTD;
	int rc;

	(void)p;
	if (len < PIECE_BYTES)
		return 0;
	if (b->packed.len == 0) {
		rc = comp_put(b->comp[3], 0, middle, PIECE_BYTES, &b->packed, &codec, &b->err);
		if (rc)
			return rc;
		if (codec != CODEC_ZSTD)
			return err_set(&b->err, ERR_USAGE, "the input does not compress");
	}
	buf_reset(&b->out);
	return comp_get(b->comp[3], CODEC_ZSTD, b->packed.data, b->packed.len, PIECE_BYTES, &b->out,
			&b->err);
}

/* Of a pack of that length; what it is a copy of counts in. */
static int do_parity(struct bench *b, enum parity_kind kind, const uint8_t *p, size_t len)
{
	if (len < PIECE_BYTES)
		return 0;
	buf_reset(&b->out);
	buf_put(&b->out, p, len);
	return parity_put(kind, 0, &b->out, &b->err);
}

static int do_parity2(struct bench *b, const uint8_t *p, size_t len)
{
	return do_parity(b, PARITY_TWO, p, len);
}

static int do_parity4(struct bench *b, const uint8_t *p, size_t len)
{
	return do_parity(b, PARITY_FOUR, p, len);
}

static int run(struct bench *b, const char *name, piece_fn *fn, size_t piece_bytes)
{
	double began = cpu_now(), took;
	double bytes = 0;

	do {
		for (size_t at = 0; at < b->len; at += piece_bytes) {
			size_t len = b->len - at < piece_bytes ? b->len - at : piece_bytes;

			if (fn(b, b->bytes + at, len)) {
				fprintf(stderr, "primitives: %s: %s\n", name, b->err.text);
				return 1;
			}
			bytes += (double)len;
		}
		took = cpu_now() - began;
	} while (took < ENOUGH_S);
	printf("%-28s %6.2f\n", name, bytes / took / 1e9);
	return 0;
}

static int read_input(struct bench *b, const char *path)
{
	FILE *f = fopen(path, "rb");

	b->bytes = malloc(INPUT_MAX_BYTES);
	if (f && b->bytes)
		b->len = fread(b->bytes, 1, INPUT_MAX_BYTES, f);
	if (!f || !b->bytes || ferror(f) || b->len < PIECE_BYTES) {
		fprintf(stderr, "primitives: %s: %s\n", path,
			errno ? strerror(errno) : "less than 1 MiB");
		if (f)
			(void)fclose(f);
		return 1;
	}
	return fclose(f) != 0;
}

int main(int argc, char **argv)
{
	struct bench b = {0};
	int bad = 1;

	if (argc != 2) {
		fputs("usage: primitives FILE\n", stderr);
		return 2;
	}
	if (sodium_init() < 0 || read_input(&b, argv[1]))
		goto out;
	memset(b.key, 7, sizeof b.key);
	chunker_init(&b.chunker, b.key);
	if (comp_new(1, &b.comp[1], &b.err) || comp_new(3, &b.comp[3], &b.err)) {
		fprintf(stderr, "primitives: %s\n", b.err.text);
		goto out;
	}
	bad = run(&b, "memcpy", do_memcpy, PIECE_BYTES) ||
	      run(&b, "SHA-256", do_sha256, PIECE_BYTES) ||
	      run(&b, "HMAC-SHA-256", do_hmac, PIECE_BYTES) ||
	      run(&b, "XChaCha20-Poly1305", do_seal, PIECE_BYTES) ||
	      run(&b, "zstd -1, database pages", do_zstd1, PIECE_BYTES) ||
	      run(&b, "zstd -3, database pages", do_zstd3, PIECE_BYTES) ||
	      run(&b, "unzstd, database pages", do_unzstd, PIECE_BYTES) ||
	      run(&b, "parity 64 + 2", do_parity2, PIECE_BYTES) ||
	      run(&b, "parity 64 + 4", do_parity4, PIECE_BYTES) ||
	      run(&b, "gear chunker", do_gear, INPUT_MAX_BYTES);
out:
	comp_free(b.comp[1]);
	comp_free(b.comp[3]);
	buf_free(&b.out);
	buf_free(&b.packed);
	free(b.bytes);
	return bad;
}
