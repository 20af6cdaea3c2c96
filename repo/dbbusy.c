#include "repo/dbbusy.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* https://www.sqlite.org/src/file/src/os.h and os_unix.c: pending, reserved and shared bytes; those of the -shm with its last, "DMS". */
#define LOCK_BYTE 0x40000000
#define LOCK_BYTES 512
#define SHM_LOCK_BYTE 120
#define SHM_LOCK_BYTES 9
enum { DATABASE, WAL, SHM, JOURNAL };

/* --- locks --- */

static struct flock lock_of(off_t at, off_t len)
{
	return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = len};
}

static bool is_locked(int fd, off_t at, off_t len, struct dbbusy *out)
{
	struct flock lock = lock_of(at, len);

	if (fd < 0 || fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
		return false;
	out->busy = true;
	out->pid = lock.l_pid > 0 ? (int)lock.l_pid : 0;
	return true;
}

/* --- /proc --- */

struct files {
	struct stat st[DBBUSY_FILES];
	bool there[DBBUSY_FILES];
};

static bool is_among(const struct files *files, const struct stat *st)
{
	for (size_t i = 0; i < DBBUSY_FILES; i++) {
		if (files->there[i] && files->st[i].st_dev == st->st_dev &&
		    files->st[i].st_ino == st->st_ino)
			return true;
	}
	return false;
}

static bool has_open(int proc_fd, const char *pid, const struct files *files)
{
	char path[64];
	struct dirent *e;
	struct stat st;
	bool found = false;
	DIR *dir;
	int fd;

	(void)snprintf(path, sizeof(path), "%.20s/fd", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			(void)close(fd);
		return false;
	}
	while (!found && (e = readdir(dir)) != NULL)
		found = isdigit((unsigned char)e->d_name[0]) &&
			fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && is_among(files, &st);
	(void)closedir(dir);
	return found;
}

static void look_in_proc(const struct files *files, struct dbbusy *out)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	long self = (long)getpid();

	while (proc && !out->busy && (e = readdir(proc)) != NULL) {
		long pid = isdigit((unsigned char)e->d_name[0]) ? strtol(e->d_name, NULL, 10) : 0;

		if (pid <= 0 || pid == self || strlen(e->d_name) > 20 ||
		    !has_open(dirfd(proc), e->d_name, files))
			continue;
		out->busy = true;
		out->pid = (int)pid;
	}
	if (proc)
		(void)closedir(proc);
}

static void find_program(struct dbbusy *busy)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", busy->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, busy->program, sizeof(busy->program) - 1);
		(void)close(fd);
	}
	busy->program[n > 0 ? n : 0] = '\0';
	busy->program[strcspn(busy->program, "\n")] = '\0';
}

void dbbusy_look(const int fds[DBBUSY_FILES], struct dbbusy *out_busy)
{
	struct files files = {0};

	*out_busy = (struct dbbusy){0};
	for (size_t i = 0; i < DBBUSY_FILES; i++)
		files.there[i] = fds[i] >= 0 && fstat(fds[i], &files.st[i]) == 0;
	if (!is_locked(fds[DATABASE], LOCK_BYTE, LOCK_BYTES, out_busy))
		(void)is_locked(fds[SHM], SHM_LOCK_BYTE, SHM_LOCK_BYTES, out_busy);
	if (!out_busy->busy)
		look_in_proc(&files, out_busy);
	if (out_busy->pid)
		find_program(out_busy);
}

bool dbbusy_hold(int fd, int *out_fd)
{
	struct flock lock = lock_of(LOCK_BYTE, LOCK_BYTES);
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*out_fd = open(path, O_RDWR | O_CLOEXEC);
	if (*out_fd < 0 || fcntl(*out_fd, F_SETLK, &lock) == 0)
		return true;
	/* Another error than somebody's lock: a file system that has none. */
	if (errno != EACCES && errno != EAGAIN)
		return true;
	(void)close(*out_fd);
	*out_fd = -1;
	return false;
}

void dbbusy_who(const struct dbbusy *busy, char *out, unsigned out_bytes)
{
	if (busy->pid && busy->program[0])
		(void)snprintf(out, out_bytes, "%s (process %d)", busy->program, busy->pid);
	else if (busy->pid)
		(void)snprintf(out, out_bytes, "process %d", busy->pid);
	else
		(void)snprintf(out, out_bytes, "another process");
}
