/*
 * walfile: reads a write-ahead log as SQLite's file format describes it, without SQLite.
 */
#ifndef NIGHTJAR_REPO_WALFILE_H
#define NIGHTJAR_REPO_WALFILE_H

#include "core/err.h"
#include "repo/pageimage.h"

/*
 * Applies every committed frame of the log in fd to the image: frames are believed up to the first whose salt or
 * checksum does not hold, and used up to the last commit among them; the image then has the size that commit
 * names. A log without a valid header or commit changes nothing. tick may be NULL; nonzero cancels.
 * ERR_SOURCE unreadable, ERR_CANCELLED, ERR_NOMEM, and the errors of pageimage_write. After an error the image
 * is of no use.
 */
int walfile_apply(int fd, struct pageimage *image, int (*tick)(void *arg), void *tick_arg,
		  struct err *err) ERR_UNUSED_WARN;

#endif
