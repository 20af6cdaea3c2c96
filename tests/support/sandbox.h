/* sandbox: a throw-away folder for a test, and running a part of a test as an ordinary user. */
#ifndef NIGHTJAR_TESTS_SUPPORT_SANDBOX_H
#define NIGHTJAR_TESTS_SUPPORT_SANDBOX_H

#include <stddef.h>

/* A new folder below $TMPDIR or /tmp, mode 0700; freed by sandbox_remove. Aborts when it cannot. */
char *sandbox_new(void);
/* Removes the folder with everything in it. */
void sandbox_remove(char *dir);

/* "<dir>/<name>", to be freed. */
char *sandbox_path(const char *dir, const char *name);
/* Writes a whole file. Aborts when it cannot. */
void sandbox_write(const char *path, const char *text);

/*
 * Runs fn in a child process, as user and group 65534 when this is root, and gives what fn returned
 * (0 = good). fn must not use cmocka's assertions, which would jump out of the child.
 */
int sandbox_as_nobody(int (*fn)(void *arg), void *arg);

/* For such functions: says where, and gives up. */
#define SANDBOX_CHECK(cond)                                                                        \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			(void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);           \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

#endif
