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

#define CALL(name, where, arg, changes)                                                            \
	{                                                                                          \
		SYS_##name, #name, where, arg, changes                                             \
	}

static const struct call calls[] = {
    CALL(openat, AT_FOLDER, 0, false),   CALL(newfstatat, AT_FOLDER, 0, false),
    CALL(mkdirat, AT_FOLDER, 0, true),   CALL(unlinkat, AT_FOLDER, 0, true),
    CALL(renameat2, AT_FOLDER, 2, true), CALL(linkat, AT_FOLDER, 2, true),
    CALL(read, AT_FD, 0, false),         CALL(pread64, AT_FD, 0, false),
    CALL(write, AT_FD, 0, true),         CALL(pwrite64, AT_FD, 0, true),
    CALL(fsync, AT_FD, 0, true),         CALL(fdatasync, AT_FD, 0, true),
    CALL(ftruncate, AT_FD, 0, true),     CALL(fallocate, AT_FD, 0, true),
    CALL(close, AT_FD, 0, false),        CALL(lseek, AT_FD, 0, false),
    CALL(fcntl, AT_FD, 0, false),        CALL(getdents64, AT_FD, 0, false),
    CALL(mmap, AT_FD, 4, false),
#ifdef SYS_open
    CALL(open, AT_PATH, 0, false),       CALL(stat, AT_PATH, 0, false),
    CALL(lstat, AT_PATH, 0, false),      CALL(access, AT_PATH, 0, false),
    CALL(mkdir, AT_PATH, 0, true),       CALL(unlink, AT_PATH, 0, true),
    CALL(rename, AT_PATH, 1, true),
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

static bool read_path(pid_t pid, const struct call *c, struct tracer_stop *stop)
{
	uint64_t folder = c->where == AT_FOLDER ? stop->args[c->arg] : (uint64_t)AT_FDCWD;
	uint64_t from = stop->args[c->where == AT_FOLDER ? c->arg + 1 : c->arg];
	char name[PATH_MAX];
	size_t len;

	if (!read_string(pid, from, name, sizeof(name)))
		return false;
	if (name[0] == '/') {
		memcpy(stop->path, name, strlen(name) + 1);
		return true;
	}
	if (!read_fd(pid, folder, stop->path, PATH_MAX))
		return false;
	len = strlen(stop->path);
	if (name[0])
		(void)snprintf(stop->path + len, sizeof(stop->path) - len, "/%s", name);
	return true;
}

static bool opens_to_change(const struct call *c, const struct tracer_stop *stop)
{
	return c->number == SYS_openat && (stop->args[2] & (O_CREAT | O_TRUNC));
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
	stop->before = info.op == PTRACE_SYSCALL_INFO_ENTRY;
	if (!stop->before)
		return true;
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
	return read_path(pid, c, stop);
}

/* --- running it --- */

static enum tracer_end kill_it(pid_t pid, enum tracer_end end, int *out_status)
{
	int status = 0;

	(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status))
		;
	*out_status = 128 + SIGKILL;
	return end;
}

static enum tracer_end follow(pid_t pid, tracer_fn *fn, void *arg, int *out_status)
{
	struct tracer_stop stop = {0};
	int status, pass_on = 0;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(uintptr_t)pass_on) != 0)
			return kill_it(pid, TRACER_REFUSED, out_status);
		if (waitpid(pid, &status, 0) != pid)
			return kill_it(pid, TRACER_REFUSED, out_status);
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			*out_status =
			    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			return TRACER_EXITED;
		}
		pass_on = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		pass_on = 0;
		if (!look(pid, &stop))
			return kill_it(pid, TRACER_REFUSED, out_status);
		if (fn(arg, &stop))
			return kill_it(pid, TRACER_KILLED, out_status);
	}
}

enum tracer_end tracer_run(char *const argv[], const char *log, tracer_fn *fn, void *arg,
			   int *out_status)
{
	const uintptr_t options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
	pid_t pid = fork();
	int status;

	if (pid < 0) {
		perror("fork");
		abort();
	}
	if (pid == 0)
		run_child(argv, log);
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
		*out_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
		return TRACER_REFUSED;
	}
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)options) != 0)
		return kill_it(pid, TRACER_REFUSED, out_status);
	return follow(pid, fn, arg, out_status);
}
