#include "tests/support/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where a call's object is: a path, a path below a folder's descriptor, or a descriptor. */
enum where { AT_PATH, AT_FOLDER, AT_FD };

struct call {
	uint64_t number;
	const char *name;
	enum where where;
	unsigned arg; /* of the path, of the folder (the path follows), of the descriptor */
	bool changes;
};

#define THREADS_MOST 64

#define CALL(name, where, arg, changes)                                                            \
	{                                                                                          \
		SYS_##name, #name, where, arg, changes                                             \
	}

static const struct call calls[] = {
    CALL(openat, AT_FOLDER, 0, false),     CALL(newfstatat, AT_FOLDER, 0, false),
    CALL(mkdirat, AT_FOLDER, 0, true),     CALL(unlinkat, AT_FOLDER, 0, true),
    CALL(renameat2, AT_FOLDER, 2, true),   CALL(linkat, AT_FOLDER, 2, true),
    CALL(read, AT_FD, 0, false),           CALL(pread64, AT_FD, 0, false),
    CALL(write, AT_FD, 0, true),           CALL(pwrite64, AT_FD, 0, true),
    CALL(fsync, AT_FD, 0, true),           CALL(fdatasync, AT_FD, 0, true),
    CALL(ftruncate, AT_FD, 0, true),       CALL(fallocate, AT_FD, 0, true),
    CALL(close, AT_FD, 0, false),          CALL(lseek, AT_FD, 0, false),
    CALL(fcntl, AT_FD, 0, false),          CALL(getdents64, AT_FD, 0, false),
    CALL(mmap, AT_FD, 4, false),           CALL(writev, AT_FD, 0, true),
    CALL(pwritev, AT_FD, 0, true),         CALL(fchmod, AT_FD, 0, true),
    CALL(fchown, AT_FD, 0, true),          CALL(fsetxattr, AT_FD, 0, true),
    CALL(utimensat, AT_FOLDER, 0, true),   CALL(fchmodat, AT_FOLDER, 0, true),
    CALL(fchownat, AT_FOLDER, 0, true),    CALL(symlinkat, AT_FOLDER, 1, true),
    CALL(renameat, AT_FOLDER, 2, true),    CALL(openat2, AT_FOLDER, 0, false),
    CALL(mknodat, AT_FOLDER, 0, true),     CALL(truncate, AT_PATH, 0, true),
    CALL(copy_file_range, AT_FD, 2, true), CALL(readlinkat, AT_FOLDER, 0, false),
#ifdef SYS_open
    CALL(open, AT_PATH, 0, false),         CALL(stat, AT_PATH, 0, false),
    CALL(lstat, AT_PATH, 0, false),        CALL(access, AT_PATH, 0, false),
    CALL(mkdir, AT_PATH, 0, true),         CALL(unlink, AT_PATH, 0, true),
    CALL(rename, AT_PATH, 1, true),        CALL(rmdir, AT_PATH, 0, true),
    CALL(link, AT_PATH, 1, true),          CALL(symlink, AT_PATH, 1, true),
    CALL(chmod, AT_PATH, 0, true),         CALL(creat, AT_PATH, 0, true),
    CALL(readlink, AT_PATH, 0, false),
#endif
};

static const struct call *call_of(uint64_t number)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].number == number)
			return &calls[i];
	}
	return NULL;
}

const char *tracer_name(uint64_t call, char out[32])
{
	const struct call *c = call_of(call);

	if (c)
		(void)snprintf(out, 32, "%s", c->name);
	else
		(void)snprintf(out, 32, "call %llu", (unsigned long long)call);
	return out;
}

static void run_child(char *const argv[], const char *log)
{
	int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(126);
	(void)close(fd);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(125);
	(void)raise(SIGSTOP);
	(void)execv(argv[0], argv);
	_exit(127);
}

/* --- looking into the program --- */

size_t tracer_read(const struct tracer_stop *stop, uint64_t from, void *out, size_t len)
{
	struct iovec local = {out, len};
	struct iovec remote = {(void *)(uintptr_t)from, len};
	ssize_t got = process_vm_readv(stop->pid, &local, 1, &remote, 1, 0);

	return got < 0 ? 0 : (size_t)got;
}

/* Page by page: the string may end just before one that is not there. False: not permitted. */
static bool read_string(pid_t pid, uint64_t from, char *out, size_t size)
{
	size_t len = 0;

	while (len + 1 < size) {
		size_t page = 4096 - ((from + len) & 4095);
		size_t take = page < size - 1 - len ? page : size - 1 - len;
		struct iovec local = {out + len, take};
		struct iovec remote = {(void *)(uintptr_t)(from + len), take};
		ssize_t got = process_vm_readv(pid, &local, 1, &remote, 1, 0);

		if (got <= 0) {
			out[len] = '\0';
			return errno != EPERM;
		}
		if (memchr(out + len, '\0', (size_t)got))
			return true;
		len += (size_t)got;
	}
	out[len] = '\0';
	return true;
}

static bool read_link(const char *link, char *out, size_t size)
{
	ssize_t len = readlink(link, out, size - 1);

	out[len > 0 ? len : 0] = '\0';
	return len >= 0 || errno != EACCES;
}

static bool read_fd(pid_t pid, uint64_t fd, char *out, size_t size)
{
	char link[64];

	if ((int)fd == AT_FDCWD)
		(void)snprintf(link, sizeof(link), "/proc/%d/cwd", (int)pid);
	else
		(void)snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)pid, (int)fd);
	return read_link(link, out, size);
}

bool tracer_path(const struct tracer_stop *stop, uint64_t folder, uint64_t from,
		 char out[TRACER_PATH])
{
	char name[PATH_MAX];
	size_t len;

	if (!read_string(stop->pid, from, name, sizeof(name)))
		return false;
	if (name[0] == '/') {
		memcpy(out, name, strlen(name) + 1);
		return true;
	}
	if (!read_fd(stop->pid, folder, out, PATH_MAX))
		return false;
	len = strlen(out);
	if (name[0])
		(void)snprintf(out + len, TRACER_PATH - len, "/%s", name);
	return true;
}

static bool read_path(const struct call *c, struct tracer_stop *stop)
{
	uint64_t folder = c->where == AT_FOLDER ? stop->args[c->arg] : (uint64_t)AT_FDCWD;

	return tracer_path(stop, folder, stop->args[c->where == AT_FOLDER ? c->arg + 1 : c->arg],
			   stop->path);
}

static bool opens_to_change(const struct call *c, const struct tracer_stop *stop)
{
	uint64_t flags = 0;

	if (c->number == SYS_openat)
		flags = stop->args[2];
#ifdef SYS_open
	else if (c->number == SYS_open)
		flags = stop->args[1];
#endif
	else if (c->number == SYS_openat2)
		(void)tracer_read(stop, stop->args[2], &flags, sizeof(flags));
	return (flags & (O_CREAT | O_TRUNC)) != 0;
}

/*
 * The program makes itself undumpable, which would close its memory to a tracer that is not root. What it
 * does with files is the same without.
 */
static void keep_dumpable(pid_t pid, const struct tracer_stop *stop)
{
#ifdef __x86_64__
	struct user_regs_struct regs;

	if (stop->call != SYS_prctl || stop->args[0] != PR_SET_DUMPABLE)
		return;
	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0) {
		regs.rsi = 1;
		(void)ptrace(PTRACE_SETREGS, pid, NULL, &regs);
	}
#else
	(void)pid;
	(void)stop;
#endif
}

/* Fills stop; after a call it keeps what it was before. False: not permitted. */
static bool look(pid_t pid, struct tracer_stop *stop)
{
	struct __ptrace_syscall_info info;
	const struct call *c;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0)
		return false;
	stop->pid = pid;
	stop->before = info.op == PTRACE_SYSCALL_INFO_ENTRY;
	if (!stop->before) {
		stop->result = info.op == PTRACE_SYSCALL_INFO_EXIT ? info.exit.rval : 0;
		return true;
	}
	stop->call = info.entry.nr;
	for (size_t i = 0; i < 6; i++)
		stop->args[i] = info.entry.args[i];
	stop->path[0] = '\0';
	keep_dumpable(pid, stop);
	c = call_of(stop->call);
	stop->changes = c && (c->changes || opens_to_change(c, stop));
	if (!c)
		return true;
	if (c->where == AT_FD)
		return (int)stop->args[c->arg] < 0 ||
		       read_fd(pid, stop->args[c->arg], stop->path, sizeof(stop->path));
	return read_path(c, stop);
}

/* --- running it --- */

/* What is traced: threads[0] is the first thread, whose end is the program's. */
struct traced {
	pid_t threads[THREADS_MOST];
	struct tracer_stop stops[THREADS_MOST];
	size_t count;
};

static enum tracer_end kill_it(pid_t pid, enum tracer_end end, int *out_status)
{
	int status = 0;

	(void)kill(pid, SIGKILL);
	while (waitpid(-1, &status, __WALL) > 0)
		;
	*out_status = 128 + SIGKILL;
	return end;
}

/* Its number; THREADS_MOST when there are too many. */
static size_t number_of(struct traced *t, pid_t pid)
{
	size_t i = 0;

	while (i < t->count && t->threads[i] != pid)
		i++;
	if (i == t->count && t->count < THREADS_MOST) {
		t->threads[i] = pid;
		t->stops[i].thread = (unsigned)i;
		t->count++;
	}
	return i;
}

/* The signal that the thread goes on with. */
static int signal_of(int status, bool is_new)
{
	int sig = WSTOPSIG(status);

	if (sig == (SIGTRAP | 0x80) || sig == SIGTRAP || (is_new && sig == SIGSTOP))
		return 0;
	return sig;
}

static enum tracer_end follow(struct traced *t, tracer_fn *fn, void *arg, int *out_status)
{
	pid_t first = t->threads[0], pid = first;
	int status = 0, pass_on = 0;

	for (;;) {
		size_t known = t->count, i;

		/* A thread may be gone by now: its end is waited for as any other event. */
		if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(uintptr_t)pass_on) != 0 &&
		    errno != ESRCH)
			return kill_it(first, TRACER_REFUSED, out_status);
		do {
			pid = waitpid(-1, &status, __WALL);
		} while (pid > 0 && pid != first && (WIFEXITED(status) || WIFSIGNALED(status)));
		if (pid < 0)
			return kill_it(first, TRACER_REFUSED, out_status);
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			*out_status =
			    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			return TRACER_EXITED;
		}
		i = number_of(t, pid);
		pass_on = signal_of(status, i == known);
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		if (i == THREADS_MOST || !look(pid, &t->stops[i]))
			return kill_it(first, TRACER_REFUSED, out_status);
		if (fn(arg, &t->stops[i]))
			return kill_it(first, TRACER_KILLED, out_status);
	}
}

static enum tracer_end run(char *const argv[], const char *log, uintptr_t options, tracer_fn *fn,
			   void *arg, int *out_status)
{
	struct traced *t;
	enum tracer_end end;
	pid_t pid = fork();
	int status;

	if (pid == 0)
		run_child(argv, log);
	t = calloc(1, sizeof(*t));
	if (pid < 0 || !t) {
		perror("fork");
		abort();
	}
	(void)number_of(t, pid);
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
		*out_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
		end = TRACER_REFUSED;
	} else if (ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)options) != 0) {
		end = kill_it(pid, TRACER_REFUSED, out_status);
	} else {
		end = follow(t, fn, arg, out_status);
	}
	free(t);
	return end;
}

enum tracer_end tracer_run(char *const argv[], const char *log, tracer_fn *fn, void *arg,
			   int *out_status)
{
	return run(argv, log, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL, fn, arg, out_status);
}

enum tracer_end tracer_run_threads(char *const argv[], const char *log, tracer_fn *fn, void *arg,
				   int *out_status)
{
	return run(argv, log, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE, fn,
		   arg, out_status);
}
