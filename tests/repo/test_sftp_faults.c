/* The sftp store over a real sshd and OpenSSH's own server: refusals, what lies in the way, a full disk, and what a call costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/net.h"
#include "repo/store_net.h"
#include "tests/support/must.h"
#include "tests/support/sandbox.h"
#include "tests/support/sftp_box.h"
#include "tests/support/sshd.h"
#include "tests/support/tmpdir.h"

/* --- servers that can less --- */

static void names_are_given_by_whatever_there_is(void **state)
{
	static const char *const denied[] = {"-P rename", "-P rename,hardlink",
					     "-P hardlink,posix-rename"};
	struct id id = sftp_box_id(1, 1);
	struct sftp_box b;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		sftp_box_open(&b, sshd_sftp_server(denied[i]));
		MUST(store_put(b.store, STORE_INDEX, &id, "first", 5, &b.err), &b.err);
		MUST_FAIL(store_put(b.store, STORE_INDEX, &id, "2nd", 3, &b.err), ERR_EXISTS,
			  &b.err);
		MUST(store_get(b.local, STORE_INDEX, &id, 5, &b.buf, &b.err), &b.err);
		sftp_box_close(&b);
	}
}

/* No way is left that never replaces: refused, rather than to risk it. */
static void config_is_never_given_by_what_replaces(void **state)
{
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sshd_sftp_server("-P rename,hardlink"));
	MUST_FAIL(store_put(b.store, STORE_CONFIG, NULL, "c", 1, &b.err), ERR_DENIED, &b.err);
	MUST_FAIL(store_get(b.local, STORE_CONFIG, NULL, 9, &b.buf, &b.err), ERR_MISSING, &b.err);
	sftp_box_close(&b);
}

/* BACKUP.md, SFTP: a server that adds, and neither changes nor removes. */
#define APPEND_ONLY                                                                                \
	"-p open,close,read,write,lstat,stat,fstat,opendir,readdir,mkdir,hardlink,fsync,statvfs"

static void an_append_only_server_takes_objects_and_keeps_them(void **state)
{
	struct id id = sftp_box_id(1, 1);
	struct sftp_box_seen seen = {0};
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sshd_sftp_server(APPEND_ONLY));
	MUST(store_put(b.store, STORE_CONFIG, NULL, "c", 1, &b.err), &b.err);
	MUST(store_put(b.store, STORE_DATA, &id, "first", 5, &b.err), &b.err);
	MUST_FAIL(store_put(b.store, STORE_DATA, &id, "2nd", 3, &b.err), ERR_EXISTS, &b.err);
	MUST_FAIL(store_remove(b.store, STORE_DATA, &id, &b.err), ERR_DENIED, &b.err);
	MUST(store_get(b.store, STORE_DATA, &id, 5, &b.buf, &b.err), &b.err);
	assert_memory_equal(b.buf.data, "first", 5);
	MUST(store_list(b.store, STORE_DATA, sftp_box_see, &seen, &b.err), &b.err);
	assert_int_equal(seen.names, 1);
	/* That it does not rename is asked once. */
	(void)atomic_exchange(&b.counts.requests, 0);
	id = sftp_box_id(1, 2);
	MUST(store_put(b.store, STORE_DATA, &id, "x", 1, &b.err), &b.err);
	assert_int_equal(b.counts.requests, 3);
	sftp_box_close(&b);
}

static void what_is_forbidden_is_denied(void **state)
{
	struct id id = sftp_box_id(1, 1);
	struct sftp_box_seen seen = {0};
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sshd_sftp_server(""));
	MUST(store_put(b.store, STORE_DATA, &id, "x", 1, &b.err), &b.err);
	free(b.command);
	b.command = sshd_sftp_server("-R");
	sftp_box_reopen(&b, "target");
	MUST(store_get(b.store, STORE_DATA, &id, 9, &b.buf, &b.err), &b.err);
	MUST(store_list(b.store, STORE_DATA, sftp_box_see, &seen, &b.err), &b.err);
	assert_int_equal(seen.names, 1);
	MUST_FAIL(store_remove(b.store, STORE_DATA, &id, &b.err), ERR_DENIED, &b.err);
	id = sftp_box_id(1, 2);
	MUST_FAIL(store_put(b.store, STORE_DATA, &id, "x", 1, &b.err), ERR_DENIED, &b.err);
	assert_non_null(strstr(b.err.text, "set up to add only"));
	sftp_box_close(&b);
}

/* --- what killed puts left --- */

static void plant(const struct sftp_box *b, const char *name, int64_t age_s)
{
	char *path = tmpdir_path(b->dir, name);
	struct timespec times[2];
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs("half", f) >= 0);
	assert_int_equal(fclose(f), 0);
	(void)clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= age_s;
	times[1] = times[0];
	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
	free(path);
}

static bool is_there(const struct sftp_box *b, const char *name)
{
	char *path = tmpdir_path(b->dir, name);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

/* Only what has our temporary name, is a file, and is old enough to be nobody's who is still writing. */
static void sweep_takes_what_is_old(void **state)
{
	static const struct {
		const char *name;
		int64_t age_s;
		bool goes;
	} files[] = {
	    {"repo/.tmp-0123456789abcdef", 7300, true},
	    {"repo/data/.tmp-00000000000000aa", 7300, true},
	    {"repo/data/01/.tmp-0123456789abcdef", 7300, true},
	    {"repo/data/01/.tmp-0123456789abcdee", 7000, false},
	    {"repo/locks/.tmp-ffffffffffffffff", -7300, false},
	    {"repo/keys/.tmp-0123456789ABCDEF", 7300, false},
	    {"repo/keys/.tmp-0123456789abcde", 7300, false},
	    {"repo/snapshots/README", 7300, false},
	};
	struct id id = sftp_box_id(1, 1);
	struct store_leftovers left = {0};
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sshd_sftp_server(""));
	MUST(store_put(b.store, STORE_DATA, &id, "fine", 4, &b.err), &b.err);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		plant(&b, files[i].name, files[i].age_s);
	for (int dry_run = 1; dry_run >= 0; dry_run--) {
		left = (struct store_leftovers){0};
		MUST(store_sweep(b.store, 7200, dry_run, &left, &b.err), &b.err);
		assert_int_equal(left.files, 3);
		assert_int_equal(left.bytes, 12);
		assert_int_equal(is_there(&b, files[0].name), dry_run);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		assert_int_equal(is_there(&b, files[i].name), !files[i].goes);
	MUST(store_get(b.store, STORE_DATA, &id, 4, &b.buf, &b.err), &b.err);
	sftp_box_close(&b);
}

/* --- what lies in the way --- */

static void what_is_no_file_is_damaged_and_not_listed(void **state)
{
	struct id link = sftp_box_id(1, 1), folder = sftp_box_id(1, 2), pipe = sftp_box_id(1, 3),
		  good = sftp_box_id(1, 4);
	const struct id *bad[] = {&link, &folder, &pipe};
	struct sftp_box_seen seen = {0};
	uint64_t bytes;
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sshd_sftp_server(""));
	MUST(store_put(b.store, STORE_DATA, &good, "fine", 4, &b.err), &b.err);
	for (unsigned i = 0; i < 3; i++) {
		char below[STORE_PATH_CHARS], *path;

		store_path(STORE_DATA, bad[i], below);
		path = tmpdir_path(b.root, below);
		assert_int_equal(i == 0   ? symlink("/etc/passwd", path)
				 : i == 1 ? mkdir(path, 0700)
					  : mkfifo(path, 0600),
				 0);
		free(path);
		MUST_FAIL(store_get(b.store, STORE_DATA, bad[i], 9999, &b.buf, &b.err), ERR_DAMAGED,
			  &b.err);
		MUST_FAIL(store_get_range(b.store, STORE_DATA, bad[i], 0, 1, &b.buf, &b.err),
			  ERR_DAMAGED, &b.err);
		MUST_FAIL(store_size(b.store, STORE_DATA, bad[i], &bytes, &b.err), ERR_DAMAGED,
			  &b.err);
		MUST_FAIL(store_put(b.store, STORE_DATA, bad[i], "x", 1, &b.err), ERR_EXISTS,
			  &b.err);
	}
	MUST(store_list(b.store, STORE_DATA, sftp_box_see, &seen, &b.err), &b.err);
	assert_int_equal(seen.names, 1);
	assert_int_equal(seen.bytes, 4);
	sftp_box_close(&b);
}

static void foreign_files_and_left_overs_are_not_listed(void **state)
{
	static const char *const names[] = {".tmp-0123456789abcdef", "README", "01aa"};
	struct sftp_box_seen seen = {0};
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sshd_sftp_server(""));
	for (size_t i = 0; i < 3; i++) {
		char below[STORE_PATH_CHARS], *path;

		(void)snprintf(below, sizeof(below), "snapshots/%s", names[i]);
		path = tmpdir_path(b.root, below);
		sandbox_write(path, "x");
		free(path);
	}
	MUST(store_list(b.store, STORE_SNAPSHOTS, sftp_box_see, &seen, &b.err), &b.err);
	assert_int_equal(seen.names, 0);
	sftp_box_close(&b);
}

static void create_wants_an_empty_folder_and_its_parent(void **state)
{
	char *file;
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sshd_sftp_server(""));
	MUST(store_create(b.store, &b.err), &b.err); /* what a killed one left */
	file = tmpdir_path(b.root, "mine.txt");
	sandbox_write(file, "x");
	MUST_FAIL(store_create(b.store, &b.err), ERR_EXISTS, &b.err);
	assert_non_null(strstr(b.err.text, "\"mine.txt\""));
	free(file);
	file = b.root;
	b.root = tmpdir_path(b.dir, "not/there");
	sftp_box_reopen(&b, "target");
	MUST_FAIL(store_create(b.store, &b.err), ERR_MISSING, &b.err);
	assert_non_null(strstr(b.err.text, "not mounted?"));
	free(b.root);
	b.root = file;
	sftp_box_close(&b);
}

static void a_full_disk_is_told(void **state)
{
	struct id id = sftp_box_id(1, 1);
	struct sftp_box_seen seen = {0};
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sshd_sftp_server(""));
	if (mount("none", b.root, "tmpfs", 0, "size=1m") != 0) {
		sftp_box_close(&b);
		skip();
	}
	MUST(store_create(b.store, &b.err), &b.err);
	MUST_FAIL(store_put(b.store, STORE_DATA, &id, b.big, SFTP_BOX_BIG, &b.err), ERR_FULL,
		  &b.err);
	assert_non_null(strstr(b.err.text, "no space left on target"));
	/* What was written of it has gone: there is room again. */
	MUST(store_put(b.store, STORE_DATA, &id, b.big, 900 << 10, &b.err), &b.err);
	MUST(store_list(b.store, STORE_DATA, sftp_box_see, &seen, &b.err), &b.err);
	assert_int_equal(seen.names, 1);
	store_free(b.store);
	b.store = NULL;
	assert_int_equal(umount2(b.root, MNT_DETACH), 0);
	sftp_box_close(&b);
}

/* --- connections that are not made --- */

static void refused(struct sftp_box *b, const char *host, char *command, enum err_code code,
		    const char *says)
{
	int64_t now;
	int rc;

	free(b->command);
	b->command = command;
	sftp_box_reopen(b, host);
	rc = store_now(b->store, &now, &b->err);
	if (rc != -(int)code || !strstr(b->err.text, says))
		fail_msg("%d, not %s: %s", rc, says, b->err.text);
	assert_null(strchr(b->err.text, '\n'));
}

static char *with(const char *options)
{
	char *command = sftp_box_over_ssh(), *made = NULL;

	assert_true(asprintf(&made, "%s %s", command, options) > 0);
	free(command);
	return made;
}

static void who_cannot_connect_is_told_why(void **state)
{
	char *other, *log;
	char options[4096];
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sftp_box_over_ssh());
	other = tmpdir_path(b.dir, "other");
	log = tmpdir_path(b.dir, "unknown");
	(void)snprintf(options, sizeof(options),
		       "ssh-keygen -q -t ed25519 -N '' -f %s && cp %s/known_hosts %s", other,
		       sftp_box_sshd(), log);
	assert_int_equal(system(options), 0);
	refused(&b, "target", with("-oIdentityFile=/dev/null -oPubkeyAuthentication=no"),
		ERR_DENIED, "authorized_keys");
	refused(&b, "target", with("-oUserKnownHostsFile=/dev/null"), ERR_IO,
		"connect once by hand");
	(void)snprintf(options, sizeof(options),
		       "sed -i \"s,ssh-ed25519 .*,$(cut -d' ' -f1,2 %s.pub),\" %s", other, log);
	assert_int_equal(system(options), 0);
	(void)snprintf(options, sizeof(options), "-oUserKnownHostsFile=%s", log);
	refused(&b, "target", with(options), ERR_IO, "another machine answers");
	refused(&b, "target", with("-oPort=1"), ERR_AGAIN, "is the machine up");
	refused(&b, "no-such-host.invalid", with(""), ERR_IO, "check how the host is spelt");
	refused(&b, "target", with("-oNoSuchOption=1"), ERR_IO, "see ~/.ssh/config");
	refused(&b, "target", strdup("/no/such/ssh"), ERR_IO, "openssh-client");
	free(other);
	free(log);
	sftp_box_close(&b);
}

static void a_server_without_the_subsystem_is_told(void **state)
{
	struct sftp_box b;
	char *dir;

	(void)state;
	sftp_box_open(&b, sftp_box_over_ssh());
	dir = tmpdir_path(b.dir, "sshd");
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_true(sshd_start(dir, "Subsystem other internal-sftp"));
	refused(&b, "target", sshd_command(dir), ERR_IO, "SFTP is switched off");
	sshd_stop(dir);
	free(dir);
	sftp_box_close(&b);
}

/* --- interruption --- */

static bool stop_under_way(void *arg)
{
	unsigned *left = arg;

	return *left == 0 || --*left == 0;
}

/* Ctrl-C in the middle of a pack: an end in order takes the temporary file away. */
static void an_interrupted_put_leaves_nothing(void **state)
{
	struct id id = sftp_box_id(1, 1);
	char *folder;
	unsigned left;
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sftp_box_over_ssh());
	MUST(store_put(b.store, STORE_DATA, &id, "x", 1, &b.err), &b.err);
	id = sftp_box_id(1, 2);
	left = 25;
	b.net.stopped = stop_under_way;
	b.net.stopped_arg = &left;
	MUST_FAIL(store_put(b.store, STORE_DATA, &id, b.big, SFTP_BOX_BIG, &b.err), ERR_CANCELLED,
		  &b.err);
	b.net.stopped = NULL;
	id = sftp_box_id(1, 1);
	MUST(store_remove(b.store, STORE_DATA, &id, &b.err), &b.err);
	folder = tmpdir_path(b.root, "data/01");
	/* A busy server gets to it later; we do not wait for that for long. */
	for (int i = 0; rmdir(folder) != 0; i++) {
		assert_true(i < 200);
		(void)usleep(50000);
	}
	free(folder);
	sftp_box_close(&b);
}

/* --- what it costs --- */

static uint64_t trips(struct sftp_box *b)
{
	return atomic_exchange(&b->counts.requests, 0);
}

static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void calls_cost_few_round_trips(void **state)
{
	struct id id = sftp_box_id(1, 1);
	struct sftp_box_seen seen = {0};
	uint64_t bytes;
	int64_t now;
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sshd_sftp_server(""));
	(void)trips(&b);
	MUST(store_put(b.store, STORE_DATA, &id, b.big, SFTP_BOX_BIG, &b.err), &b.err);
	assert_int_equal(trips(&b), 3);
	MUST(store_get(b.store, STORE_DATA, &id, SFTP_BOX_BIG, &b.buf, &b.err), &b.err);
	assert_int_equal(b.buf.len, SFTP_BOX_BIG);
	assert_memory_equal(b.buf.data, b.big, SFTP_BOX_BIG);
	assert_int_equal(trips(&b), 2);
	MUST(store_get_range(b.store, STORE_DATA, &id, 5, 100000, &b.buf, &b.err), &b.err);
	assert_int_equal(trips(&b), 2);
	MUST(store_get_range(b.store, STORE_DATA, &id, 200000, 9, &b.buf, &b.err), &b.err);
	assert_int_equal(trips(&b), 1);
	MUST(store_size(b.store, STORE_DATA, &id, &bytes, &b.err), &b.err);
	assert_int_equal(trips(&b), 1);
	MUST(store_now(b.store, &now, &b.err), &b.err);
	assert_int_equal(trips(&b), 2);
	for (unsigned i = 0; i < 256; i++) {
		id = sftp_box_id(i, 2);
		MUST(store_put(b.local, STORE_DATA, &id, "x", 1, &b.err), &b.err);
	}
	MUST(store_list(b.store, STORE_DATA, sftp_box_see, &seen, &b.err), &b.err);
	assert_int_equal(seen.names, 257);
	assert_int_equal(trips(&b), 4);
	MUST(store_remove(b.store, STORE_DATA, &id, &b.err), &b.err);
	assert_int_equal(trips(&b), 2);
	assert_int_equal(b.counts.sent_bytes, SFTP_BOX_BIG);
	assert_int_equal(b.counts.received_bytes, SFTP_BOX_BIG + 100000 + 9);
	sftp_box_close(&b);
}

static void a_long_folder_is_listed_in_few_round_trips(void **state)
{
	struct sftp_box_seen seen = {0};
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sshd_sftp_server(""));
	for (unsigned i = 0; i < 1000; i++) {
		char below[STORE_PATH_CHARS], *path;
		struct id id = sftp_box_id(i % 256, i / 256);

		store_path(STORE_SNAPSHOTS, &id, below);
		path = tmpdir_path(b.root, below);
		sandbox_write(path, "x");
		free(path);
	}
	MUST(store_list(b.store, STORE_SNAPSHOTS, sftp_box_see, &seen, &b.err), &b.err);
	assert_int_equal(seen.names, 1000);
	(void)trips(&b);
	MUST(store_list(b.store, STORE_SNAPSHOTS, sftp_box_see, &seen, &b.err), &b.err);
	assert_in_range(trips(&b), 3, 5);
	sftp_box_close(&b);
}

static void more_packs_than_stay_open(void **state)
{
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sshd_sftp_server(""));
	for (unsigned i = 0; i < 100; i++) {
		struct id id = sftp_box_id(i, 2);

		MUST(store_put(b.local, STORE_DATA, &id, "0123456789", 10, &b.err), &b.err);
	}
	for (unsigned i = 0; i < 300; i++) {
		struct id id = sftp_box_id(i * 7 % 100, 2);

		buf_reset(&b.buf);
		MUST(store_get_range(b.store, STORE_DATA, &id, 4, 2, &b.buf, &b.err), &b.err);
		assert_memory_equal(b.buf.data, "45", 2);
	}
	sftp_box_close(&b);
}

/* A limit is kept: a second's worth takes about a second. */
static void the_pace_is_kept(void **state)
{
	struct id id = sftp_box_id(1, 1);
	struct net_pace pace;
	double began;
	struct sftp_box b;

	(void)state;
	sftp_box_open(&b, sshd_sftp_server(""));
	net_pace_init(&pace, 2 * SFTP_BOX_BIG);
	b.net.up = &pace;
	b.net.down = &pace;
	began = now_s();
	MUST(store_put(b.store, STORE_DATA, &id, b.big, SFTP_BOX_BIG, &b.err), &b.err);
	assert_true(now_s() - began > 0.4);
	MUST(store_get(b.store, STORE_DATA, &id, SFTP_BOX_BIG, &b.buf, &b.err), &b.err);
	assert_true(now_s() - began > 0.9);
	sftp_box_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_are_given_by_whatever_there_is),
	    cmocka_unit_test(config_is_never_given_by_what_replaces),
	    cmocka_unit_test(an_append_only_server_takes_objects_and_keeps_them),
	    cmocka_unit_test(what_is_forbidden_is_denied),
	    cmocka_unit_test(sweep_takes_what_is_old),
	    cmocka_unit_test(what_is_no_file_is_damaged_and_not_listed),
	    cmocka_unit_test(foreign_files_and_left_overs_are_not_listed),
	    cmocka_unit_test(create_wants_an_empty_folder_and_its_parent),
	    cmocka_unit_test(a_full_disk_is_told),
	    cmocka_unit_test(who_cannot_connect_is_told_why),
	    cmocka_unit_test(a_server_without_the_subsystem_is_told),
	    cmocka_unit_test(an_interrupted_put_leaves_nothing),
	    cmocka_unit_test(calls_cost_few_round_trips),
	    cmocka_unit_test(a_long_folder_is_listed_in_few_round_trips),
	    cmocka_unit_test(more_packs_than_stay_open),
	    cmocka_unit_test(the_pace_is_kept),
	};

	return cmocka_run_group_tests(tests, sftp_box_start_sshd, sftp_box_stop_sshd);
}
