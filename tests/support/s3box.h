/* s3box: an S3 server for one test: tests/tools/s3server.py, or one of the real ones. */
#ifndef NIGHTJAR_TESTS_SUPPORT_S3BOX_H
#define NIGHTJAR_TESTS_SUPPORT_S3BOX_H

#include <stdbool.h>
#include <sys/types.h>

struct s3box {
	pid_t pid;
	unsigned port;
};

/* Starts the command, which prints its port on a line of its own first. False when it ended without. */
bool s3box_start(struct s3box *box, const char *const argv[]);
/* The server for tests, with the words as its options. Aborts when it does not start. */
void s3box_start_ours(struct s3box *box, const char *const options[]);
#define S3BOX(box, ...) s3box_start_ours(box, (const char *const[]){__VA_ARGS__, NULL})
void s3box_stop(struct s3box *box);

#endif
