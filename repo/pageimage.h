/*
 * pageimage: a file that is never a file: random-access bytes, some of them in RAM, the rest
 * encrypted in an unnamed temporary file.
 *
 * Promises: what leaves RAM is sealed by XChaCha20-Poly1305 under a key that lives in locked memory and
 * dies with the image; what comes back is what was written or the call fails; blocks in RAM are left
 * out of core dumps and wiped on free. Never gives the temporary file a lasting name, never opens
 * it before the RAM budget is used up, never spills to a tmpfs (that would be RAM again).
 * One thread uses an image.
 */
#ifndef NIGHTJAR_REPO_PAGEIMAGE_H
#define NIGHTJAR_REPO_PAGEIMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define PAGEIMAGE_BLOCK_BYTES 65536u /* what is sealed at once; SQLite's largest page */
#define PAGEIMAGE_MIN_BLOCKS 2u      /* a smaller budget is raised to that many */

struct pageimage;

/*
 * cache_dir: where the temporary file goes when one is needed; it is copied, and looked at only then.
 * The image is empty. ERR_NOMEM.
 */
int pageimage_new(const char *cache_dir, size_t ram_budget_bytes, struct pageimage **out_image,
		  struct err *err) ERR_UNUSED_WARN;

/* Gives len bytes at offset of what an image is read from. */
typedef int pageimage_read_fn(void *arg, uint64_t offset, void *out_bytes, size_t len,
			      struct err *err);

/* An image of size_bytes that lies elsewhere and is only read, by read; writing it is ERR_USAGE. ERR_NOMEM. */
int pageimage_over(pageimage_read_fn *read, void *arg, uint64_t size_bytes,
		   struct pageimage **out_image, struct err *err) ERR_UNUSED_WARN;

/*
 * Writes len bytes at offset and grows the image when they end behind it; a gap reads as zeros.
 * ERR_FULL no room to spill, or cache_dir is a tmpfs; ERR_IO; ERR_NOMEM; ERR_DAMAGED (see read). After a
 * failure bytes of the range may be old or new; everything else is as it was.
 */
int pageimage_write(struct pageimage *p, uint64_t offset, const void *bytes, size_t len,
		    struct err *err) ERR_UNUSED_WARN;

/*
 * Reads exactly len bytes; the range must lie inside the image (ERR_USAGE). Reading may spill too, so
 * the errors of write apply; ERR_DAMAGED when somebody changed the temporary file.
 */
int pageimage_read(struct pageimage *p, uint64_t offset, void *out_bytes, size_t len,
		   struct err *err) ERR_UNUSED_WARN;

/* Cuts the image or extends it with zeros. Errors as write. */
int pageimage_truncate(struct pageimage *p, uint64_t size_bytes, struct err *err) ERR_UNUSED_WARN;

uint64_t pageimage_size(const struct pageimage *p);

/* How many blocks have been written to the temporary file so far; 0 = there is none. */
uint64_t pageimage_spills(const struct pageimage *p);

void pageimage_free(struct pageimage *p); /* NULL is fine; wipes */

#endif
