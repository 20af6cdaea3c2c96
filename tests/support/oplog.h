/*
 * oplog: what a run of a program does to the files below a folder, call by call, recorded through the tracer: enough to play it
 * again, in part, or not as it was meant.
 *
 * Owners, modes and times are not kept. A call that changes files in a way that is not listed here is named, not passed over.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_OPLOG_H
#define NIGHTJAR_TESTS_SUPPORT_OPLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum op_kind {
	OP_CREATE, /* a file, if there is none of that name */
	OP_FOLDER,
	OP_WRITE,
	OP_LENGTH, /* truncated, or made longer, to offset */
	OP_HOLE,   /* len zeros at offset, as far as the file goes */
	OP_RENAME,
	OP_LINK,
	OP_REMOVE,
	OP_SYNC, /* of a file or a folder */
	OP_SAID, /* not on the disk: written to the log */
};

struct op {
	enum op_kind kind;
	char *path; /* below the folder; "" is the folder itself */
	char *to;   /* of OP_RENAME and OP_LINK */
	uint64_t offset;
	uint8_t *bytes;
	size_t len;
};

struct oplog {
	struct op *ops;
	size_t count, cap;
	char unknown[64]; /* a call that is none of the above; "" none */
	unsigned foreign; /* calls of other threads than the first that change files */
};

/*
 * Runs it to its end, its output in the file log. False: ptrace is not permitted here. The caller frees the log in any case.
 */
bool oplog_record(char *const argv[], const char *folder, const char *log, struct oplog *out_ops,
		  int *out_status);
void oplog_free(struct oplog *ops);

#endif
