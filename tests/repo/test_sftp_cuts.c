/* The sftp store when its connection is cut, and when several writers want one name: never half an object, one winner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/net.h"
#include "repo/store_net.h"
#include "tests/support/must.h"
#include "tests/support/sftp_box.h"
#include "tests/support/sshd.h"
#include "tests/support/tmpdir.h"

/* --- cuts --- */

#define CUTS 30

static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A child that kills ssh in a while. The file holds its process id. */
static pid_t kill_later(const char *pid_file, double after_s)
{
	pid_t child = fork();
	unsigned pid = 0;
	FILE *f;

	if (child != 0)
		return child;
	(void)usleep((useconds_t)(after_s * 1e6));
	f = fopen(pid_file, "r");
	if (f && fscanf(f, "%u", &pid) == 1 && pid > 1)
		(void)kill((pid_t)pid, SIGKILL);
	_exit(0);
}

static int work(struct sftp_box *b, unsigned i, struct sftp_box_seen *seen)
{
	struct id id = sftp_box_id(i, 1), first = sftp_box_id(0, 0);
	int rc = store_put(b->store, STORE_DATA, &id, b->big, SFTP_BOX_BIG, &b->err);

	buf_reset(&b->buf);
	if (rc == 0)
		rc = store_list(b->store, STORE_DATA, sftp_box_see, seen, &b->err);
	if (rc == 0)
		rc = store_get(b->store, STORE_DATA, &first, SFTP_BOX_BIG, &b->buf, &b->err);
	if (rc == 0 || rc == -ERR_AGAIN)
		return rc;
	fail_msg("not a cut: %s", b->err.text);
	return rc;
}

/* There whole, or not at all. */
static void whole_or_absent(struct sftp_box *b, unsigned i)
{
	struct id id = sftp_box_id(i, 1);
	int rc;

	buf_reset(&b->buf);
	rc = store_get(b->local, STORE_DATA, &id, SFTP_BOX_BIG, &b->buf, &b->err);
	if (rc == -ERR_MISSING)
		return;
	MUST(rc, &b->err);
	assert_int_equal(b->buf.len, SFTP_BOX_BIG);
	assert_memory_equal(b->buf.data, b->big, SFTP_BOX_BIG);
}

static void a_cut_anywhere_leaves_no_half_object(void **state)
{
	char *pid_file = sftp_box_sshd() ? tmpdir_path(sftp_box_sshd(), "ssh.pid") : NULL;
	struct id first = sftp_box_id(0, 0);
	unsigned cuts = 0;
	struct sftp_box_seen seen = {0};
	double took;
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sftp_box_sshd() ? sshd_with_pid(sftp_box_over_ssh(), pid_file) : NULL);
	srandom((unsigned)getpid());
	MUST(store_put(b.store, STORE_DATA, &first, b.big, SFTP_BOX_BIG, &b.err), &b.err);
	took = now_s();
	assert_int_equal(work(&b, 1, &seen), 0);
	took = now_s() - took;
	for (unsigned i = 2; i < CUTS + 2; i++) {
		pid_t killer =
		    kill_later(pid_file, took * 1.1 * (double)random() / (double)RAND_MAX);
		int rc = work(&b, i, &seen);

		assert_int_equal(waitpid(killer, NULL, 0), killer);
		cuts += rc != 0;
		whole_or_absent(&b, i);
		/* The same again, as the retry layer does it: an object that got its name unseen is there already. */
		rc = store_put(b.store, STORE_DATA, &first, b.big, SFTP_BOX_BIG, &b.err);
		if (rc == -ERR_AGAIN) /* killed between the two */
			rc = store_put(b.store, STORE_DATA, &first, b.big, SFTP_BOX_BIG, &b.err);
		assert_int_equal(rc, -ERR_EXISTS);
	}
	assert_true(cuts >= CUTS / 3);
	free(pid_file);
	sftp_box_close(&b);
}

/* Whether its connection was cut before or after the name was given: the second try knows. */
static void a_connection_that_has_died_is_made_anew(void **state)
{
	char *pid_file = sftp_box_sshd() ? tmpdir_path(sftp_box_sshd(), "ssh.pid") : NULL;
	struct id id = sftp_box_id(7, 7);
	struct sftp_box b;
	pid_t killer;

	(void)state;
	sftp_box_open(&b, sftp_box_sshd() ? sshd_with_pid(sftp_box_over_ssh(), pid_file) : NULL);
	MUST(store_put(b.store, STORE_DATA, &id, "0123456789", 10, &b.err), &b.err);
	MUST(store_get_range(b.store, STORE_DATA, &id, 2, 3, &b.buf, &b.err), &b.err);
	killer = kill_later(pid_file, 0);
	assert_int_equal(waitpid(killer, NULL, 0), killer);
	(void)usleep(50000);
	MUST_FAIL(store_get_range(b.store, STORE_DATA, &id, 2, 3, &b.buf, &b.err), ERR_AGAIN,
		  &b.err);
	MUST(store_get_range(b.store, STORE_DATA, &id, 2, 3, &b.buf, &b.err), &b.err);
	assert_memory_equal(b.buf.data, "234234", 6);
	free(pid_file);
	sftp_box_close(&b);
}

/* --- races --- */

static int race(const struct sftp_box *b, int go)
{
	struct net net = {.ssh_command = b->command};
	struct store *s = NULL;
	struct err err = {0};
	char mine[32], byte;
	int64_t now;
	int rc = store_sftp_open(b->store->location, &net, &s, &err);

	(void)snprintf(mine, sizeof(mine), "config of %d", (int)getpid());
	if (rc == 0)
		rc = store_now(s, &now, &err); /* connected, so that all begin at once */
	if (read(go, &byte, 1) != 0)
		rc = -1;
	if (rc == 0)
		rc = store_put(s, STORE_CONFIG, NULL, mine, strlen(mine), &err);
	if (rc != 0 && rc != -ERR_EXISTS)
		(void)fprintf(stderr, "%s\n", err.text);
	store_free(s);
	return rc == 0 ? 10 : rc == -ERR_EXISTS ? 11 : 12;
}

static void race_for_config(struct sftp_box *b)
{
	pid_t pids[8], winner = 0;
	unsigned lost = 0;
	char want[32];
	int go[2];

	assert_int_equal(pipe(go), 0);
	for (size_t i = 0; i < 8; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			(void)close(go[1]);
			_exit(race(b, go[0]));
		}
	}
	(void)usleep(400000);
	(void)close(go[0]);
	(void)close(go[1]);
	for (size_t i = 0; i < 8; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 10) {
			assert_int_equal(winner, 0);
			winner = pids[i];
		}
		lost += WEXITSTATUS(status) == 11;
	}
	assert_int_equal(lost, 7);
	(void)snprintf(want, sizeof(want), "config of %d", (int)winner);
	buf_reset(&b->buf);
	MUST(store_get(b->local, STORE_CONFIG, NULL, 100, &b->buf, &b->err), &b->err);
	assert_int_equal(b->buf.len, strlen(want));
	assert_memory_equal(b->buf.data, want, strlen(want));
	MUST(store_remove(b->local, STORE_CONFIG, NULL, &b->err), &b->err);
}

static void one_of_eight_configs_wins(void **state)
{
	static const char *const denied[] = {"", "-P hardlink", "-P hardlink,posix-rename"};
	struct sftp_box b;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		sftp_box_open(&b, sshd_sftp_server(denied[i]));
		for (unsigned n = 0; n < 5; n++)
			race_for_config(&b);
		sftp_box_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_cut_anywhere_leaves_no_half_object),
	    cmocka_unit_test(a_connection_that_has_died_is_made_anew),
	    cmocka_unit_test(one_of_eight_configs_wins),
	};

	return cmocka_run_group_tests(tests, sftp_box_start_sshd, sftp_box_stop_sshd);
}
