#include "tests/support/oplog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/tracer.h"

struct recorder {
	const char *folder, *log;
	struct oplog *ops;
	/* Of the call that is being made: seen before it, kept when it succeeds. */
	struct op begun[2];
	size_t begun_count;
	bool writes;
};

static void out_of_memory(void)
{
	perror("oplog");
	abort();
}

/* "" for the folder, NULL for what is not below it or has no name any more. */
static char *below(const struct recorder *r, const char *path)
{
	size_t len = strlen(r->folder), used = 0;
	char *tail;

	if (strncmp(path, r->folder, len) != 0 || (path[len] && path[len] != '/') ||
	    strstr(path, " (deleted)"))
		return NULL;
	tail = calloc(1, strlen(path) + 1);
	if (!tail)
		out_of_memory();
	for (path += len; *path; path++) {
		if (*path != '/' || (used > 0 && path[1] && path[1] != '/'))
			tail[used++] = *path;
	}
	return tail;
}

static struct op *begin(struct recorder *r, enum op_kind kind, const char *path)
{
	char *tail = below(r, path);
	struct op *op;

	if (!tail)
		return NULL;
	op = &r->begun[r->begun_count++];
	*op = (struct op){.kind = kind, .path = tail};
	return op;
}

static uint64_t position_of(const struct tracer_stop *stop)
{
	unsigned long long at = 0;
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)stop->pid,
		       (int)stop->args[0]);
	f = fopen(path, "r");
	if (!f || fscanf(f, "pos:\t%llu", &at) != 1)
		abort();
	(void)fclose(f);
	return at;
}

static void begin_write(struct recorder *r, const struct tracer_stop *stop)
{
	bool said = strcmp(stop->path, r->log) == 0;
	struct op *op;

	if (said) {
		op = &r->begun[r->begun_count++];
		*op = (struct op){.kind = OP_SAID, .path = strdup("")};
	} else {
		op = begin(r, OP_WRITE, stop->path);
	}
	if (!op)
		return;
	op->offset = stop->call == SYS_pwrite64 ? stop->args[3] : position_of(stop);
	op->len = (size_t)stop->args[2];
	op->bytes = malloc(op->len + 1);
	if (!op->bytes)
		out_of_memory();
	if (tracer_read(stop, stop->args[1], op->bytes, op->len) != op->len)
		abort();
	r->writes = true;
}

static void begin_open(struct recorder *r, const struct tracer_stop *stop, uint64_t flags)
{
	struct op *op;

	if ((flags & O_TMPFILE) == O_TMPFILE)
		return;
	if (flags & O_CREAT)
		(void)begin(r, OP_CREATE, stop->path);
	if (flags & O_TRUNC) {
		op = begin(r, OP_LENGTH, stop->path);
		if (op)
			op->offset = 0;
	}
}

static void begin_hole(struct recorder *r, const struct tracer_stop *stop)
{
	struct op *op = begin(r, OP_HOLE, stop->path);

	if (op && stop->args[1] != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		(void)tracer_name(stop->call, r->ops->unknown);
	if (op)
		op->offset = stop->args[2];
	if (op)
		op->len = (size_t)stop->args[3];
}

/* Two names: the second is what the tracer gives. */
static void begin_pair(struct recorder *r, const struct tracer_stop *stop, enum op_kind kind,
		       uint64_t folder, uint64_t from)
{
	char path[TRACER_PATH];
	struct op *op;

	if (!tracer_path(stop, folder, from, path))
		abort();
	op = begin(r, kind, path);
	if (op)
		op->to = below(r, stop->path);
	if (op && !op->to)
		(void)snprintf(r->ops->unknown, sizeof(r->ops->unknown), "out of the folder");
}

static void begin_other(struct recorder *r, const struct tracer_stop *stop)
{
	static const uint64_t harmless[] = {SYS_fchmod,    SYS_fchown,   SYS_fsetxattr,
					    SYS_utimensat, SYS_fchmodat, SYS_fchownat,
#ifdef SYS_chmod
					    SYS_chmod
#endif
	};
	char *tail = stop->changes ? below(r, stop->path) : NULL;

	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		if (stop->call == harmless[i]) {
			free(tail);
			return;
		}
	}
	if (tail)
		(void)tracer_name(stop->call, r->ops->unknown);
	free(tail);
}

/* Only calls that the second half of begin_named has no names for on some machines. */
static bool begin_old_call(struct recorder *r, const struct tracer_stop *stop)
{
	const uint64_t cwd = (uint64_t)AT_FDCWD;

	switch (stop->call) {
#ifdef SYS_open
	case SYS_open:
		begin_open(r, stop, stop->args[1]);
		return true;
	case SYS_mkdir:
		(void)begin(r, OP_FOLDER, stop->path);
		return true;
	case SYS_unlink:
	case SYS_rmdir:
		(void)begin(r, OP_REMOVE, stop->path);
		return true;
	case SYS_rename:
		begin_pair(r, stop, OP_RENAME, cwd, stop->args[0]);
		return true;
	case SYS_link:
		begin_pair(r, stop, OP_LINK, cwd, stop->args[0]);
		return true;
#endif
	default:
		(void)cwd;
		return false;
	}
}

static bool begin_named(struct recorder *r, const struct tracer_stop *stop)
{
	uint64_t flags = 0;

	switch (stop->call) {
	case SYS_openat:
		begin_open(r, stop, stop->args[2]);
		return true;
	case SYS_openat2:
		(void)tracer_read(stop, stop->args[2], &flags, sizeof(flags));
		begin_open(r, stop, flags);
		return true;
	case SYS_mkdirat:
		(void)begin(r, OP_FOLDER, stop->path);
		return true;
	case SYS_unlinkat:
		(void)begin(r, OP_REMOVE, stop->path);
		return true;
	case SYS_renameat:
	case SYS_renameat2:
		begin_pair(r, stop, OP_RENAME, stop->args[0], stop->args[1]);
		return true;
	case SYS_linkat:
		begin_pair(r, stop, OP_LINK, stop->args[0], stop->args[1]);
		return true;
	default:
		return begin_old_call(r, stop);
	}
}

static void begin_call(struct recorder *r, const struct tracer_stop *stop)
{
	struct op *op;

	if (begin_named(r, stop))
		return;
	switch (stop->call) {
	case SYS_write:
	case SYS_pwrite64:
		begin_write(r, stop);
		break;
	case SYS_ftruncate:
		op = begin(r, OP_LENGTH, stop->path);
		if (op)
			op->offset = stop->args[1];
		break;
	case SYS_fallocate:
		begin_hole(r, stop);
		break;
	case SYS_fsync:
	case SYS_fdatasync:
		(void)begin(r, OP_SYNC, stop->path);
		break;
	default:
		begin_other(r, stop);
		break;
	}
}

static void free_op(struct op *op)
{
	free(op->path);
	free(op->to);
	free(op->bytes);
}

static void end_call(struct recorder *r, const struct tracer_stop *stop)
{
	struct oplog *o = r->ops;

	if (r->writes && stop->result >= 0 && (size_t)stop->result < r->begun[0].len)
		r->begun[0].len = (size_t)stop->result;
	for (size_t i = 0; i < r->begun_count; i++) {
		if (stop->result < 0) {
			free_op(&r->begun[i]);
			continue;
		}
		if (o->count == o->cap) {
			o->cap = o->cap ? 2 * o->cap : 256;
			o->ops = realloc(o->ops, o->cap * sizeof(*o->ops));
			if (!o->ops)
				out_of_memory();
		}
		o->ops[o->count++] = r->begun[i];
	}
	r->begun_count = 0;
	r->writes = false;
}

static bool on_stop(void *arg, const struct tracer_stop *stop)
{
	struct recorder *r = arg;
	char *tail;

	if (stop->thread > 0) {
		tail = stop->before && stop->changes ? below(r, stop->path) : NULL;
		r->ops->foreign += tail != NULL;
		free(tail);
	} else if (stop->before) {
		begin_call(r, stop);
	} else {
		end_call(r, stop);
	}
	return false;
}

bool oplog_record(char *const argv[], const char *folder, const char *log, struct oplog *out_ops,
		  int *out_status)
{
	struct recorder r = {.folder = folder, .log = log, .ops = out_ops};

	*out_ops = (struct oplog){0};
	return tracer_run_threads(argv, log, on_stop, &r, out_status) != TRACER_REFUSED;
}

void oplog_free(struct oplog *ops)
{
	for (size_t i = 0; i < ops->count; i++)
		free_op(&ops->ops[i]);
	free(ops->ops);
}
