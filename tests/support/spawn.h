/* spawn: running the program under test, and others, from a test. */
#ifndef NIGHTJAR_TESTS_SUPPORT_SPAWN_H
#define NIGHTJAR_TESTS_SUPPORT_SPAWN_H

/* $NIGHTJAR, else build/nightjar; absolute, so that the working directory may change. */
const char *spawn_program(void);

/* Runs it to its end, its output in the file log; gives the exit status, or 128 + a signal. */
int spawn_run(const char *log, const char *const argv[]);
#define SPAWN(log, ...) spawn_run(log, (const char *const[]){__VA_ARGS__, NULL})

/* Shows a log on stderr, as TAP comments. */
void spawn_show(const char *log);

/*
 * An environment in which nothing of the developer's own is seen: key file dir/key, repository work/repo, and
 * the folders cache, state, tmp (TMPDIR) and cwd below work, made when they are not there.
 */
void spawn_environment(const char *dir, const char *work, const char *repo);

/* So many processes that each work, side by side; back when all have ended. One that does not end with 0 fails the running cmocka test. */
void spawn_workers(unsigned count, void (*work)(void *arg, unsigned worker), void *arg);

#endif
