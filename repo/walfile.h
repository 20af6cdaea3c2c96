/*
 * walfile: reads a write-ahead log as SQLite's file format describes it, without SQLite.
 */
#ifndef NIGHTJAR_REPO_WALFILE_H
#define NIGHTJAR_REPO_WALFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/pageimage.h"

/*
 * Applies every committed frame of the log in fd to the image: frames are believed up to the first whose salt or
 * checksum does not hold, and used up to the last commit among them; the image then has the size that commit
 * names. A log without a valid header or commit changes nothing. tick may be NULL; nonzero cancels.
 * ERR_SOURCE unreadable, or a commit that names more pages than file and log can have; ERR_CANCELLED, ERR_NOMEM, and the errors of pageimage_write. After an error the image
 * is of no use.
 */
int walfile_apply(int fd, struct pageimage *image, int (*tick)(void *arg), void *tick_arg,
		  struct err *err) ERR_UNUSED_WARN;

/* What tells one state of a log from another. */
struct walfile_mark {
	uint8_t salts[8]; /* of its header: new each time the log begins anew */
	uint8_t commit_sum
	    [8]; /* checksum of the last commit frame, which runs on from the first; zero: there is none */
	uint64_t commit_frames; /* up to and with the last commit */
};
/*
 * Of a log of size_bytes, by its frame headers alone: few of them are read, and no page. False: it has no valid
 * header, cannot be read, or ends in more uncommitted frames than are looked at.
 */
bool walfile_mark(int fd, uint64_t size_bytes, struct walfile_mark *out_mark);

#endif
