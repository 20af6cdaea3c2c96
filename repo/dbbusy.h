/*
 * dbbusy: does another process have a database open? Asked of the locks that SQLite takes (on the file; on the -shm, which every
 * connection in WAL mode holds while it is open) and of /proc, which shows also a connection that is idle, as far as the user may look:
 * root sees all processes, others their own. So "not busy" is certain about locks only. A process in another container has no
 * number here, one on another machine none at all. Nothing is waited for, changed or locked, but by dbbusy_hold. One thread.
 *
 * The kernel drops all locks that a process has on a file when it closes any descriptor of it: no connection of this process may
 * have the database open.
 */
#ifndef NIGHTJAR_REPO_DBBUSY_H
#define NIGHTJAR_REPO_DBBUSY_H

#include <stdbool.h>

#define DBBUSY_FILES 4u /* the database, its -wal, -shm, -journal */

struct dbbusy {
	bool busy;
	int pid; /* 0: not known */
	char program[32];
};

/* fds: in the order above; -1 for a file that is not there. */
void dbbusy_look(const int fds[DBBUSY_FILES], struct dbbusy *out_busy);

/*
 * Takes, through a descriptor of its own, SQLite's exclusive lock on the database open as fd: who opens it now waits until the
 * descriptor is closed. *out_fd -1: the file may not be written to. False: somebody else has a lock.
 */
bool dbbusy_hold(int fd, int *out_fd);

/* "myapp (process 4711)", or "another process". */
void dbbusy_who(const struct dbbusy *busy, char *out, unsigned out_bytes);

#endif
