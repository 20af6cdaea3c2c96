#include "repo/snapshot_raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "repo/fsread.h"
#include "repo/walfile.h"

/* Lock bytes, as SQLite's os_unix.c and wal.c have them. */
#define PENDING_BYTE 0x40000000
#define RESERVED_BYTE (PENDING_BYTE + 1)
#define SHARED_FIRST (PENDING_BYTE + 2)
#define SHARED_SIZE 510
#define SHM_CKPT_BYTE 121  /* held shared: nobody checkpoints */
#define SHM_READ4_BYTE 127 /* held shared: nobody restarts the WAL; the read mark used least */

#define STEP_BYTES 65536
#define NAP_NS 20000000L

struct raw_run {
	const struct snapshot_raw *r;
	int db_fd, wal_fd, shm_fd;
	uint8_t *step;
};

static int source_error(const struct raw_run *run, const char *suffix, struct err *err)
{
	int errnum = errno;

	(void)err_sys(err, errnum, "%s%s", run->r->path, suffix);
	if (err->code == ERR_IO)
		err->code = ERR_SOURCE;
	return -err->code;
}

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int tick(const struct raw_run *run, struct err *err)
{
	if (run->r->tick != NULL && run->r->tick(run->r->tick_arg) != 0)
		return err_set(err, ERR_CANCELLED, "%s: interrupted", run->r->path);
	return 0;
}

static int set_lock(int fd, short type, off_t start, off_t len)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

	return fcntl(fd, F_OFD_SETLK, &l);
}

/* Waits for a shared lock. A file system that knows no locks is read without. */
static int lock_shared(const struct raw_run *run, int fd, off_t start, off_t len, struct err *err)
{
	int64_t since = now_ms();
	struct timespec nap = {0, NAP_NS};
	int rc;

	while (set_lock(fd, F_RDLCK, start, len) != 0) {
		if (errno != EAGAIN && errno != EACCES)
			return 0;
		if (now_ms() - since >= (int64_t)run->r->timeout_ms)
			return err_set(err, ERR_BUSY,
				       "%s: another process has it locked; waited %u ms",
				       run->r->path, run->r->timeout_ms);
		rc = tick(run, err);
		if (rc != 0)
			return rc;
		(void)nanosleep(&nap, NULL);
	}
	return 0;
}

static int open_beside(const struct raw_run *run, const char *suffix, int *out_fd, struct err *err)
{
	size_t cap = strlen(run->r->abs_path) + 16;
	char *path = malloc(cap);
	int rc = 0;

	if (path == NULL)
		return err_nomem(err);
	(void)snprintf(path, cap, "%s%s", run->r->abs_path, suffix);
	*out_fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*out_fd < 0 && (errno != ENOENT || suffix[0] == '\0'))
		rc = source_error(run, suffix, err);
	free(path);
	return rc;
}

static int lock_all(struct raw_run *run, struct err *err)
{
	/* As SQLite does: PENDING first, so that a waiting writer gets its turn before new readers. */
	int rc = lock_shared(run, run->db_fd, PENDING_BYTE, 1, err);

	if (rc == 0)
		rc = lock_shared(run, run->db_fd, SHARED_FIRST, SHARED_SIZE, err);
	(void)set_lock(run->db_fd, F_UNLCK, PENDING_BYTE, 1);
	if (rc == 0 && run->shm_fd >= 0)
		rc = lock_shared(run, run->shm_fd, SHM_CKPT_BYTE, 1, err);
	if (rc == 0 && run->shm_fd >= 0)
		rc = lock_shared(run, run->shm_fd, SHM_READ4_BYTE, 1, err);
	return rc;
}

static int copy_file(struct raw_run *run, int fd, const char *suffix, struct pageimage *to,
		     struct err *err)
{
	uint64_t at = 0;
	int rc = 0;

	while (rc == 0) {
		ssize_t n = pread(fd, run->step, STEP_BYTES, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return source_error(run, suffix, err);
		if (n == 0)
			break;
		rc = pageimage_write(to, at, run->step, (size_t)n, err);
		at += (uint64_t)n;
		if (rc == 0)
			rc = tick(run, err);
	}
	return rc;
}

static bool writer_is_alive(int db_fd)
{
	struct flock l = {
	    .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = RESERVED_BYTE, .l_len = 1};

	/* A file that is open for reading only may still ask who holds the lock. */
	return fcntl(db_fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

/* A journal whose last bytes name a super-journal covers other databases too; a copy of one cannot decide. */
static int refuse_super_journal(const struct raw_run *run, int fd, struct err *err)
{
	static const uint8_t magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
	off_t size = lseek(fd, 0, SEEK_END);
	uint8_t end[8] = {0};

	if (size < 0 || (size >= 512 && fs_pread(fd, end, sizeof(end), (uint64_t)size - 8) < 0))
		return source_error(run, "-journal", err);
	if (size < 512 || memcmp(end, magic, sizeof(end)) != 0)
		return 0;
	return err_set(
	    err, ERR_SOURCE,
	    "%s: a writer died in a transaction over several databases; open it once with "
	    "its application",
	    run->r->path);
}

/* Under the SHARED lock nobody can roll it back or delete it, so main file and journal belong together. */
static int take_journal(struct raw_run *run, struct pageimage *to, bool *out_hot, struct err *err)
{
	uint8_t first = 0;
	int fd = -1;
	int rc = open_beside(run, "-journal", &fd, err);

	if (rc != 0 || fd < 0)
		return rc;
	/* SQLite's own rule: a journal is hot when it does not begin with a zero and nobody writes. */
	if (fs_pread(fd, &first, 1, 0) < 0) {
		rc = source_error(run, "-journal", err);
	} else if (first != 0 && !writer_is_alive(run->db_fd)) {
		rc = refuse_super_journal(run, fd, err);
		if (rc == 0)
			rc = copy_file(run, fd, "-journal", to, err);
		*out_hot = rc == 0;
	}
	(void)close(fd);
	return rc;
}

static int apply_wal(const struct raw_run *run, struct pageimage *image, struct err *err)
{
	int rc = walfile_apply(run->wal_fd, image, run->r->tick, run->r->tick_arg, err);

	return rc == 0 ? 0 : err_prefix(err, "%s", run->r->path);
}

int snapshot_raw_read(const struct snapshot_raw *r, struct pageimage *out_image,
		      struct pageimage *out_journal, bool *out_hot, struct err *err)
{
	struct raw_run run = {.r = r, .db_fd = -1, .wal_fd = -1, .shm_fd = -1};
	int rc;

	*out_hot = false;
	run.step = malloc(STEP_BYTES);
	if (run.step == NULL)
		return err_nomem(err);
	rc = open_beside(&run, "", &run.db_fd, err);
	if (rc == 0)
		rc = open_beside(&run, "-shm", &run.shm_fd, err);
	if (rc == 0)
		rc = lock_all(&run, err);
	if (rc == 0)
		rc = open_beside(&run, "-wal", &run.wal_fd, err);
	if (rc == 0)
		rc = copy_file(&run, run.db_fd, "", out_image, err);
	if (rc == 0 && run.wal_fd >= 0)
		rc = apply_wal(&run, out_image, err);
	if (rc == 0 && out_journal != NULL && run.wal_fd < 0)
		rc = take_journal(&run, out_journal, out_hot, err);
	if (run.wal_fd >= 0)
		(void)close(run.wal_fd);
	if (run.shm_fd >= 0)
		(void)close(run.shm_fd);
	if (run.db_fd >= 0)
		(void)close(run.db_fd);
	free(run.step);
	return rc;
}
