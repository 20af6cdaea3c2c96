/* The sftp store before servers that break the protocol, lie or fall silent: one clear line each, bounded, and nothing lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/net.h"
#include "repo/store_net.h"
#include "tests/support/must.h"
#include "tests/support/sshd.h"
#include "tests/support/tmpdir.h"

struct box {
	char *dir, *command;
	struct net net;
	struct store *store;
	struct buf buf;
	struct err err;
};

static struct id id_of(unsigned byte)
{
	struct id id;

	memset(id.b, (int)byte, sizeof(id.b));
	return id;
}

static void box_open(struct box *b, const char *mode)
{
	char location[4096];

	*b = (struct box){.dir = tmpdir_make(), .command = sshd_fake(mode), .net = {.stall_s = 2}};
	if (!b->command)
		skip();
	b->net.ssh_command = b->command;
	(void)snprintf(location, sizeof(location), "sftp:host:%s", b->dir);
	MUST(store_sftp_open(location, &b->net, &b->store, &b->err), &b->err);
}

static void box_close(struct box *b)
{
	store_free(b->store);
	buf_free(&b->buf);
	free(b->command);
	tmpdir_remove(b->dir);
}

/* An object of 10,000 bytes is there: keys/1111… */
static void plant(const struct box *b)
{
	char path[STORE_PATH_CHARS], *full, *keys = tmpdir_path(b->dir, "keys");
	struct id id = id_of(0x11);
	struct store *local;
	struct err err = {0};
	uint8_t bytes[10000];

	memset(bytes, 'x', sizeof(bytes));
	MUST(store_local_open(b->dir, &local, &err), &err);
	MUST(store_put(local, STORE_KEYS, &id, bytes, sizeof(bytes), &err), &err);
	store_free(local);
	store_path(STORE_KEYS, &id, path);
	full = tmpdir_path(b->dir, path);
	assert_int_equal(access(full, R_OK), 0);
	free(full);
	free(keys);
}

static int count(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	(void)name;
	(void)size_bytes;
	(void)err;
	++*(unsigned *)arg;
	return 0;
}

enum call { GET, PUT, LIST, NOW };

static int call(struct box *b, enum call what)
{
	struct id there = id_of(0x11), fresh = id_of(0x22);
	unsigned names = 0;
	int64_t now;

	if (what == GET)
		return store_get(b->store, STORE_KEYS, &there, 1 << 20, &b->buf, &b->err);
	if (what == PUT)
		return store_put(b->store, STORE_KEYS, &fresh, "12345", 5, &b->err);
	if (what == LIST)
		return store_list(b->store, STORE_KEYS, count, &names, &b->err);
	return store_now(b->store, &now, &b->err);
}

static const struct {
	const char *mode;
	enum call call;
	enum err_code code;
	const char *says;
} cases[] = {
    {"greeting", NOW, ERR_IO, "does the login shell there print something"},
    {"gone", NOW, ERR_AGAIN, "ended without a word"},
    {"complains", NOW, ERR_AGAIN, "says \"[1mlast line\""},
    {"old", NOW, ERR_VERSION, "version 2 of SFTP"},
    {"deaf", NOW, ERR_AGAIN, "nothing moved for 2 s"},
    {"wrong-id", GET, ERR_IO, "answers what was not asked"},
    {"old-id", GET, ERR_IO, "answers what was not asked"},
    {"twice", GET, ERR_IO, "answers what was not asked"},
    {"huge", GET, ERR_IO, "the length of its answer"},
    {"empty", GET, ERR_IO, "the length of its answer"},
    {"nonsense", GET, ERR_IO, "its answer is none"},
    {"long-text", GET, ERR_IO, "\"[31mredline xxx"},
    {"ok-handle", GET, ERR_IO, "its answer is none"},
    {"long-handle", GET, ERR_IO, "its answer is none"},
    {"long-data", GET, ERR_IO, "its answer is none"},
    {"no-data", GET, ERR_IO, "its answer is none"},
    {"early-eof", GET, ERR_DAMAGED, "cut short"},
    {"half", GET, ERR_AGAIN, "the connection broke"},
    {"stall", GET, ERR_AGAIN, "nothing moved for 2 s"},
    {"liar", GET, ERR_LIMIT, "4611686018427387904 bytes"},
    {"short-write", PUT, ERR_IO, "wrote 4 of 5 bytes"},
    {"idle", PUT, ERR_IO, "says that it has given it its name, and has not"},
    {"endless", LIST, ERR_LIMIT, "more than 2097152 entries"},
    {"many-names", LIST, ERR_IO, "its answer is none"},
};

static void each_ends_in_one_clear_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct box b;
		time_t began;
		int rc;

		box_open(&b, cases[i].mode);
		plant(&b);
		buf_put(&b.buf, "kept", 4);
		began = time(NULL);
		rc = call(&b, cases[i].call);
		assert_true(time(NULL) - began < 20); /* stall_s is 2 */
		if (rc != -(int)cases[i].code || !strstr(b.err.text, cases[i].says))
			fail_msg("%s: %d: %s", cases[i].mode, rc, b.err.text);
		assert_non_null(strstr(b.err.text, b.store->location));
		for (const char *c = b.err.text; *c; c++)
			assert_true(*c >= ' ' && *c < 127);
		assert_int_equal(b.buf.len, 4);
		box_close(&b);
	}
}

/* After an error of the connection the next call has a new one: the same end, not another. */
static void the_next_call_begins_anew(void **state)
{
	struct box b;

	(void)state;
	box_open(&b, "half");
	plant(&b);
	for (unsigned i = 0; i < 5; i++) {
		MUST_FAIL(call(&b, GET), ERR_AGAIN, &b.err);
		MUST(call(&b, NOW), &b.err);
	}
	box_close(&b);
}

/* What was not written whole gets no name, and is taken away. */
static void a_short_write_leaves_nothing(void **state)
{
	struct box b;
	unsigned names = 0;
	struct store *local;

	(void)state;
	box_open(&b, "short-write");
	MUST_FAIL(call(&b, PUT), ERR_IO, &b.err);
	store_free(b.store);
	b.store = NULL;
	MUST(store_local_open(b.dir, &local, &b.err), &b.err);
	MUST(store_list(local, STORE_KEYS, count, &names, &b.err), &b.err);
	assert_int_equal(names, 0);
	store_free(local);
	{
		char *keys = tmpdir_path(b.dir, "keys");

		assert_int_equal(rmdir(keys), 0); /* it was empty */
		free(keys);
	}
	box_close(&b);
}

/* "OK" to a link that was not made is not believed: RENAME comes next. */
static void a_link_that_was_not_made_is_noticed(void **state)
{
	struct box b;

	(void)state;
	box_open(&b, "idle-link");
	MUST(store_put(b.store, STORE_CONFIG, NULL, "12345", 5, &b.err), &b.err);
	MUST_FAIL(store_put(b.store, STORE_CONFIG, NULL, "again", 5, &b.err), ERR_EXISTS, &b.err);
	MUST(store_get(b.store, STORE_CONFIG, NULL, 9, &b.buf, &b.err), &b.err);
	assert_memory_equal(b.buf.data, "12345", 5);
	box_close(&b);
}

static void names_that_are_none_are_passed_over(void **state)
{
	struct box b;
	unsigned names = 0;

	(void)state;
	box_open(&b, "bad-names");
	plant(&b);
	MUST(store_list(b.store, STORE_KEYS, count, &names, &b.err), &b.err);
	assert_int_equal(names, 2); /* 7777…, once, and 1111… */
	box_close(&b);
}

static void an_endless_listing_costs_bounded_memory(void **state)
{
	struct rusage before, after;
	struct box b;

	(void)state;
	box_open(&b, "endless");
	plant(&b);
	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	MUST_FAIL(call(&b, LIST), ERR_LIMIT, &b.err);
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	assert_true(after.ru_maxrss - before.ru_maxrss < 300 << 10);
	box_close(&b);
}

static bool at_once(void *arg)
{
	unsigned *asked = arg;

	return ++*asked > 3;
}

static void who_waits_can_be_stopped(void **state)
{
	unsigned asked = 0;
	struct box b;

	(void)state;
	box_open(&b, "deaf");
	b.net.stall_s = 60;
	b.net.stopped = at_once;
	b.net.stopped_arg = &asked;
	MUST_FAIL(call(&b, GET), ERR_CANCELLED, &b.err);
	box_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_ends_in_one_clear_line),
	    cmocka_unit_test(the_next_call_begins_anew),
	    cmocka_unit_test(a_short_write_leaves_nothing),
	    cmocka_unit_test(a_link_that_was_not_made_is_noticed),
	    cmocka_unit_test(names_that_are_none_are_passed_over),
	    cmocka_unit_test(an_endless_listing_costs_bounded_memory),
	    cmocka_unit_test(who_waits_can_be_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
