/* A night on a host whose key may only write: it backs up, leaves the rest to others, and says so. */
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
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "repo/durable.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"
#include "tests/support/tmpdir.h"

struct box {
	char *dir;
	struct repo_case *c;
	struct err err;
};

static void put(struct box *b, const char *name, const void *bytes, size_t len)
{
	char *path = tmpdir_path(b->dir, name);

	MUST(durable_replace(path, 0600, bytes, len, &b->err), &b->err);
	free(path);
}

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof(*b));
	struct store *store;
	char *path;

	assert_non_null(b);
	b->dir = tmpdir_make();
	path = tmpdir_path(b->dir, "repo");
	MUST(store_open(path, NULL, &store, &b->err), &b->err);
	b->c = repo_case_new(store);
	free(path);
	path = tmpdir_path(b->dir, "src");
	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
	put(b, "src/file", "content", 7);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;

	repo_case_free(b->c);
	tmpdir_remove(b->dir);
	free(b);
	return 0;
}

static void give_key(struct box *b, enum role role)
{
	struct buf text = repo_case_keyfile(b->c, role);

	put(b, "key", text.data, text.len);
	buf_wipe(&text);
}

static void give_config(struct box *b, const char *source)
{
	char text[2048];
	int len =
	    snprintf(text, sizeof(text),
		     "[repository]\nlocation = %s/repo\nkey-file = %s/key\n%s%s%s"
		     "[retention]\nkeep-daily = 7\n[checks]\nread-data-days = 1\ndrill-days = 1\n",
		     b->dir, b->dir, source, *source ? b->dir : "", *source ? "/src\n" : "");

	put(b, "n.ini", text, (size_t)len);
}

/* The whole program, in a process of its own. Its exit code; what it said is in out. */
static int run_nightly(struct box *b, char out[8192])
{
	char *said = tmpdir_path(b->dir, "said"), *ini = tmpdir_path(b->dir, "n.ini");
	char name[] = "nightjar", option[] = "--config", command[] = "nightly";
	char *argv[] = {name, option, ini, command, NULL};
	ssize_t len;
	int status, fd;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		fd = open(said, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 ||
		    setenv("NIGHTJAR_STATE_DIR", b->dir, 1) != 0 ||
		    setenv("NIGHTJAR_CACHE_DIR", b->dir, 1) != 0)
			_exit(99);
		_exit(command_main(4, argv));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	fd = open(said, O_RDONLY);
	assert_true(fd >= 0);
	len = read(fd, out, 8191);
	assert_true(len >= 0);
	out[len] = '\0';
	(void)close(fd);
	free(said);
	free(ini);
	return WEXITSTATUS(status);
}

static void assert_says(const char *said, const char *part)
{
	if (!strstr(said, part))
		fail_msg("not said: %s\nin:\n%s", part, said);
}

static void a_write_only_host(void **state)
{
	struct box *b = *state;
	char said[8192];

	give_key(b, ROLE_WRITE);
	give_config(b, "[source \"app\"]\nhost = " REPO_CASE_HOST "\npath = ");
	assert_int_equal(run_nightly(b, said), 0);
	assert_says(said, "backup app                   ok");
	assert_says(said, "forget                       not done: this host's key may only write");
	assert_says(said, "check                        not done: this host's key may only write");
	assert_int_equal(repo_case_count(b->c->inner, STORE_SNAPSHOTS), 1);
}

static void a_maintenance_host(void **state)
{
	struct box *b = *state;
	char said[8192];

	give_key(b, ROLE_MAINTAIN);
	give_config(b, "");
	assert_int_equal(run_nightly(b, said), 0);
	assert_says(said, "forget                       ok");
	assert_says(said, "check                        ok");
	assert_says(said, "drill                        not done: this host's key maintains");
	assert_says(said, "no backup is made here");
	assert_null(strstr(said, "backup app"));
}

/* One that would have to write as well says so itself, and deletes nothing. */
static void a_maintenance_host_with_sources(void **state)
{
	struct box *b = *state;
	char said[8192];

	give_key(b, ROLE_MAINTAIN);
	give_config(b, "[source \"app\"]\nhost = " REPO_CASE_HOST "\npath = ");
	assert_int_equal(run_nightly(b, said), 12);
	assert_says(said, "backup app                   exit code 12");
	assert_says(said, "forget                       not done: a backup failed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_write_only_host, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_maintenance_host, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_maintenance_host_with_sources, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
