/*
 * Sources that change under `backup`: at one of its system calls a file or folder vanishes, is replaced, grows or
 * shrinks. It is named and the exit status is 3, everything else is kept, nothing outside the source comes in, and
 * nothing hangs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/spawn.h"
#include "tests/support/tmpdir.h"
#include "tests/support/tracer.h"

#define BYTES 3000000

struct change {
	const char *call, *path; /* below the source */
	unsigned nth;            /* of such calls; the change is made just before it */
	void (*make)(const char *dir, const char *path);
	const char *says; /* what is in the output */
	int status;
	bool kept; /* the entry is in the backup all the same */
};

struct follow {
	const struct change *change;
	const char *dir; /* with app/ and outside/ */
	char *path;      /* of the entry */
	unsigned seen;
};

/* --- changes --- */

static void nothing(const char *dir, const char *path)
{
	(void)dir, (void)path;
}

static void vanishes(const char *dir, const char *path)
{
	(void)dir;
	assert_int_equal(SPAWN("/dev/null", "rm", "-r", path), 0);
}

static void becomes_symlink(const char *dir, const char *path)
{
	struct stat st;
	char *outside;

	assert_int_equal(lstat(path, &st), 0);
	outside = tmpdir_path(dir, S_ISDIR(st.st_mode)   ? "outside"
				   : strstr(path, ".db") ? "outside/secret.db"
							 : "outside/secret");
	vanishes(dir, path);
	assert_int_equal(symlink(outside, path), 0);
	free(outside);
}

static void becomes_pipe(const char *dir, const char *path)
{
	vanishes(dir, path);
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void becomes_folder(const char *dir, const char *path)
{
	vanishes(dir, path);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void put(const char *path, int flags, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(close(fd), 0);
}

static void becomes_file(const char *dir, const char *path)
{
	vanishes(dir, path);
	put(path, O_EXCL, "file", 4);
}

static void becomes_database(const char *dir, const char *path)
{
	(void)dir;
	put(path, O_TRUNC, "SQLite format 3\0and so on", 25);
}

static void grows(const char *dir, const char *path)
{
	(void)dir;
	put(path, O_APPEND, "more", 4);
}

static void shrinks(const char *dir, const char *path)
{
	(void)dir;
	assert_int_equal(truncate(path, 1000), 0);
}

/* --- one backup --- */

static bool on_stop(void *arg, const struct tracer_stop *stop)
{
	struct follow *f = arg;
	char name[32];

	if (stop->before && strcmp(stop->path, f->path) == 0 &&
	    strcmp(tracer_name(stop->call, name), f->change->call) == 0 &&
	    ++f->seen == f->change->nth)
		f->change->make(f->dir, f->path);
	return false;
}

static void fill(char *bytes, size_t len, char first)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)(first + (int)(i * 7 % 26));
}

static void put_file(const char *dir, const char *name, const void *bytes, size_t len)
{
	char *path = tmpdir_path(dir, name);

	put(path, O_EXCL, bytes, len);
	free(path);
}

/* app/: before, file, folder/inside, x.db, z; outside/: secret, secret.db. */
static void make_source(const char *dir)
{
	static char bytes[BYTES];
	char *db = tmpdir_path(dir, "app/x.db"), *secret = tmpdir_path(dir, "outside/secret.db");

	assert_int_equal(chdir(dir), 0);
	assert_int_equal(SPAWN("/dev/null", "mkdir", "app", "app/folder", "outside"), 0);
	fill(bytes, sizeof(bytes), 'a');
	put_file(dir, "app/file", bytes, sizeof(bytes));
	put_file(dir, "app/before", "before", 6);
	put_file(dir, "app/folder/inside", "inside", 6);
	put_file(dir, "app/z", "z", 1);
	put_file(dir, "outside/secret", "SECRET from outside", 19);
	assert_int_equal(SPAWN("/dev/null", "sqlite3", db, "CREATE TABLE t (a)"), 0);
	assert_int_equal(SPAWN("/dev/null", "sqlite3", secret,
			       "CREATE TABLE t (a); INSERT INTO t VALUES ('SECRET of another')"),
			 0);
	free(db);
	free(secret);
}

static bool log_says(const char *log, const char *words)
{
	return SPAWN("/dev/null", "grep", "-qF", "--", words, log) == 0;
}

static bool restored(const char *dir, const char *name)
{
	char *out = tmpdir_path(dir, "out"), *there = tmpdir_path(out, dir + 1);
	char *app = tmpdir_path(there, "app"), *path = tmpdir_path(app, name);
	struct stat st;
	bool is = lstat(path, &st) == 0;

	free(out), free(there), free(app), free(path);
	return is;
}

/* What the backup holds: the rest of the source, and nothing of outside/. */
static void judge(const char *dir, const struct change *c)
{
	char *log = tmpdir_path(dir, "log2"), *out = tmpdir_path(dir, "out");

	assert_int_equal(SPAWN(log, spawn_program(), "check", "--read-data"), 0);
	assert_int_equal(SPAWN(log, spawn_program(), "restore", "latest", "--target", out), 0);
	assert_true(restored(dir, "before"));
	assert_true(restored(dir, "z"));
	assert_true(restored(dir, c->path) == c->kept);
	assert_int_equal(SPAWN("/dev/null", "grep", "-rq", "SECRET", out), 1);
	free(log);
	free(out);
}

static bool try_change(const struct change *c)
{
	char *dir = tmpdir_make(), *app = tmpdir_path(dir, "app"), *log = tmpdir_path(dir, "log");
	char *key = tmpdir_path(dir, "key"),
	     *was = strdup(getenv("TMPDIR") ? getenv("TMPDIR") : "");
	const char *const argv[] = {spawn_program(), "backup", "--host", "here", app, NULL};
	struct follow f = {.change = c, .dir = dir, .path = tmpdir_path(app, c->path)};
	int status = -1;
	enum tracer_end end;

	make_source(dir);
	spawn_environment(dir, dir, "repo");
	(void)unsetenv("NIGHTJAR_KEY_FILE");
	assert_int_equal(SPAWN(log, spawn_program(), "init", "--key-file", key), 0);
	spawn_environment(dir, dir, "repo");
	end = tracer_run((char *const *)(uintptr_t)argv, log, on_stop, &f, &status);
	if (end != TRACER_REFUSED) {
		if (status != c->status || f.seen < c->nth || !log_says(log, c->says)) {
			spawn_show(log);
			fail_msg("%s of %s, %u of %u: exit %d", c->call, c->path, f.seen, c->nth,
				 status);
		}
		judge(dir, c);
	}
	assert_int_equal(chdir("/"), 0);
	(void)setenv("TMPDIR", was, 1);
	free(app), free(log), free(key), free(was), free(f.path);
	tmpdir_remove(dir);
	return end != TRACER_REFUSED;
}

/* The first walk stats, opens and reads the head of each file, the second one does so again, and reads on. */
static void sources_change(void **state)
{
	static const struct change changes[] = {
	    {"openat", "file", 2, nothing, "saved", 0, true},
	    {"newfstatat", "file", 2, vanishes, "/app/file", 3, false},
	    {"openat", "file", 2, vanishes, "/app/file", 3, false},
	    {"openat", "file", 2, becomes_symlink, "/app/file", 3, false},
	    {"openat", "file", 2, becomes_pipe, "/app/file", 3, false},
	    {"openat", "file", 2, becomes_folder, "/app/file", 3, false},
	    {"openat", "file", 2, becomes_database, "FAILED its integrity check", 21, true},
	    {"pread64", "file", 3, grows, "changed while", 3, true},
	    {"pread64", "file", 4, grows, "changed while", 3, true},
	    {"pread64", "file", 3, shrinks, "changed while", 3, true},
	    {"pread64", "file", 4, shrinks, "changed while", 3, true},
	    {"pread64", "file", 4, vanishes, "changed while", 3, true},
	    {"openat", "folder", 2, vanishes, "/app/folder", 3, true},
	    {"openat", "folder", 2, becomes_symlink, "/app/folder", 3, true},
	    {"openat", "folder", 2, becomes_file, "/app/folder", 3, true},
	    {"openat", "folder", 1, becomes_symlink, "saved", 0, true},
	    {"openat", "folder/inside", 1, vanishes, "/app/folder/inside", 3, false},
	    {"openat", "x.db", 1, vanishes, "saved", 0, false},
	    {"openat", "x.db", 2, vanishes, "/app/x.db", 3, false},
	    {"openat", "x.db", 3, vanishes, "/app/x.db", 3, false},
	    {"openat", "x.db", 2, becomes_symlink, "/app/x.db", 3, false},
	    {"openat", "x.db", 3, becomes_symlink, "/app/x.db", 3, false},
	    {"openat", "x.db", 2, becomes_pipe, "/app/x.db", 3, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		if (!try_change(&changes[i])) {
			print_message("# ptrace is not permitted here\n");
			skip();
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(sources_change)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
