/*
 * s3: the promises of repo/store.h over servers that check signatures, and what the store makes of servers that are
 * wrong, odd or refuse. NIGHTJAR_S3=s3:https://HOST/BUCKET/PREFIX has the promises tried over a real server too, with
 * the AWS_* of the environment; more than 1,000 small objects stay there, below a new name. Tried so: s3rver (npm:
 * @20minutes/s3rver 4.0.4, vhostBuckets: false) and Swift 2.30 (s3api before tempauth).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "repo/store_net.h"
#include "tests/support/must.h"
#include "tests/support/s3box.h"
#include "tests/support/store_suite.h"

static struct s3box server;
static unsigned prefixes; /* each store of the suite gets a new one */

/* What the environment says, in a test. */
static const char *key_id = "AKTEST", *secret = "SKTEST", *token;

static const char *environment(const char *name)
{
	if (strcmp(name, "AWS_ACCESS_KEY_ID") == 0)
		return key_id;
	if (strcmp(name, "AWS_SECRET_ACCESS_KEY") == 0)
		return secret;
	return strcmp(name, "AWS_SESSION_TOKEN") == 0 ? token : NULL;
}

static struct net net = {.environment = environment};

static void open_at(struct store_fixture *f, const char *prefix)
{
	char location[256];

	(void)snprintf(location, sizeof(location), "s3:http://127.0.0.1:%u/nightjar/%s",
		       server.port, prefix);
	MUST(store_s3_open(location, &net, &f->store, &f->err), &f->err);
}

static void open_next(struct store_fixture *f)
{
	char prefix[64];

	(void)snprintf(prefix, sizeof(prefix), "a b+%%/\xc3\xa4&=%u", prefixes++);
	open_at(f, prefix);
}

static void open_plain(struct store_fixture *f)
{
	char prefix[64];

	(void)snprintf(prefix, sizeof(prefix), "plain/%u", prefixes++);
	open_at(f, prefix);
}

/* --- the suite --- */

static int over(const char *name, void (*open)(struct store_fixture *), const char *const options[])
{
	const struct store_backend backend = {name, open};
	int broken;

	s3box_start_ours(&server, options);
	broken = store_suite_run(&backend);
	s3box_stop(&server);
	return broken;
}
#define OVER(name, open, ...) over(name, open, (const char *const[]){__VA_ARGS__, NULL})

/* --- a real server --- */

static const char *real_environment(const char *name)
{
	return getenv(name);
}

static const struct net real_net = {.environment = real_environment};

static void open_real(struct store_fixture *f)
{
	char location[1024];

	(void)snprintf(location, sizeof(location), "%s/suite-%lld-%ld/%u", getenv("NIGHTJAR_S3"),
		       (long long)time(NULL), (long)getpid(), prefixes++);
	MUST(store_s3_open(location, &real_net, &f->store, &f->err), &f->err);
}

static int count(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	unsigned *seen = arg;

	(void)err;
	assert_int_equal(size_bytes, 1);
	seen[name->b[0] << 8 | name->b[1]]++;
	return 0;
}

static void more_names_than_a_page_has(void **state)
{
	static unsigned seen[65536];
	struct store_fixture f = {0};

	(void)state;
	open_real(&f);
	MUST(store_create(f.store, &f.err), &f.err);
	for (unsigned i = 0; i < 1003; i++) {
		const struct id id = {{(uint8_t)(i >> 8), (uint8_t)i}};

		MUST(store_put(f.store, STORE_DATA, &id, "x", 1, &f.err), &f.err);
	}
	MUST(store_list(f.store, STORE_DATA, count, seen, &f.err), &f.err);
	for (unsigned i = 0; i < 65536; i++)
		assert_int_equal(seen[i], i < 1003);
	store_free(f.store);
}

static void skipped(void **state)
{
	(void)state;
	skip();
}

static int over_a_real_server(void)
{
	const struct store_backend backend = {"s3 over NIGHTJAR_S3", open_real};
	const struct CMUnitTest none[] = {
	    {"NIGHTJAR_S3 names no real server", skipped, NULL, NULL, NULL}};
	const struct CMUnitTest pages[] = {cmocka_unit_test(more_names_than_a_page_has)};

	if (!getenv("NIGHTJAR_S3"))
		return cmocka_run_group_tests_name(backend.name, none, NULL, NULL);
	return store_suite_run(&backend) + cmocka_run_group_tests(pages, NULL, NULL);
}

/* --- servers that are odd --- */

static const struct id one = {{1}};

struct box {
	struct store_fixture f;
	struct net_counts counts;
};

static void begin(struct box *b, const char *const options[])
{
	memset(b, 0, sizeof(*b));
	s3box_start_ours(&server, options);
	net = (struct net){.environment = environment, .counts = &b->counts};
	open_next(&b->f);
}
#define BEGIN(b, ...) begin(b, (const char *const[]){__VA_ARGS__, NULL})

static void end(struct box *b)
{
	assert_null(strstr(b->f.err.text, "SKTEST"));
	store_free(b->f.store);
	buf_free(&b->f.buf);
	s3box_stop(&server);
	net = (struct net){.environment = environment};
	key_id = "AKTEST";
	secret = "SKTEST";
	token = NULL;
}

static int put(struct box *b, enum store_type type, const char *text)
{
	return store_put(b->f.store, type, &one, text, strlen(text), &b->f.err);
}

static int range(struct box *b, uint64_t offset, size_t len)
{
	buf_reset(&b->f.buf);
	return store_get_range(b->f.store, STORE_DATA, &one, offset, len, &b->f.buf, &b->f.err);
}

static void assert_says(const struct box *b, const char *text)
{
	if (!strstr(b->f.err.text, text))
		fail_msg("\"%s\" is not in: %s", text, b->f.err.text);
}

static void ranges_without_ranges_are_cut(void **state)
{
	struct box b;

	(void)state;
	BEGIN(&b, "buckets=nightjar", "faults=norange");
	MUST(put(&b, STORE_DATA, "0123456789"), &b.f.err);
	MUST(range(&b, 3, 4), &b.f.err);
	assert_int_equal(b.f.buf.len, 4);
	assert_memory_equal(b.f.buf.data, "3456", 4);
	MUST(range(&b, 0, 10), &b.f.err);
	assert_int_equal(b.f.buf.len, 10);
	MUST_FAIL(range(&b, 3, 8), ERR_DAMAGED, &b.f.err);
	MUST_FAIL(range(&b, 11, 1), ERR_DAMAGED, &b.f.err);
	end(&b);
}

static void other_bytes_than_asked_for_are_refused(void **state)
{
	struct box b;

	(void)state;
	BEGIN(&b, "buckets=nightjar", "faults=shift");
	MUST(put(&b, STORE_DATA, "0123456789"), &b.f.err);
	MUST_FAIL(range(&b, 3, 4), ERR_IO, &b.f.err);
	assert_says(&b, "other bytes");
	assert_int_equal(b.f.buf.len, 0);
	end(&b);
}

static void config_without_conditions(void **state)
{
	struct box b;

	(void)state;
	BEGIN(&b, "buckets=nightjar", "faults=noif");
	MUST(put(&b, STORE_CONFIG, "first"), &b.f.err);
	MUST_FAIL(put(&b, STORE_CONFIG, "second"), ERR_EXISTS, &b.f.err);
	end(&b);
}

/* Where the server heeds no condition, the last one wins, and the first must not think that it did. */
static void of_two_writers_of_config_one_hears_of_it(void **state)
{
	struct box b;

	(void)state;
	BEGIN(&b, "buckets=nightjar", "faults=ignoreif,other");
	MUST_FAIL(put(&b, STORE_CONFIG, "mine"), ERR_EXISTS, &b.f.err);
	assert_says(&b, "another was put");
	end(&b);
}

static int ignore(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	(void)name;
	(void)size_bytes;
	(void)err;
	++*(unsigned *)arg;
	return 0;
}

static void endless_listings_end(void **state)
{
	static const char *const faults[] = {"faults=loop", "faults=circle"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		unsigned names = 0;
		struct box b;

		BEGIN(&b, "buckets=nightjar", faults[i]);
		MUST(put(&b, STORE_KEYS, "x"), &b.f.err);
		MUST_FAIL(store_list(b.f.store, STORE_KEYS, ignore, &names, &b.f.err), ERR_IO,
			  &b.f.err);
		assert_says(&b, "round in circles");
		assert_true(names < 5);
		assert_true(atomic_load(&b.counts.requests) < 10);
		end(&b);
	}
}

static void pages_are_few(void **state)
{
	unsigned names = 0;
	struct box b;
	uint64_t before;

	(void)state;
	BEGIN(&b, "buckets=nightjar", "page=7");
	for (unsigned i = 0; i < 20; i++) {
		struct id id = {{(uint8_t)(i * 3)}};

		MUST(store_put(b.f.store, STORE_DATA, &id, "x", 1, &b.f.err), &b.f.err);
	}
	before = atomic_load(&b.counts.requests);
	MUST(store_list(b.f.store, STORE_DATA, ignore, &names, &b.f.err), &b.f.err);
	assert_int_equal(names, 20);
	assert_int_equal(atomic_load(&b.counts.requests) - before, 3);
	end(&b);
}

static void what_is_not_kept_is_noticed(void **state)
{
	struct box b;

	(void)state;
	BEGIN(&b, "buckets=nightjar", "faults=lie");
	MUST_FAIL(put(&b, STORE_DATA, "x"), ERR_AGAIN, &b.f.err);
	assert_says(&b, "is not there, though the server said it was stored");
	end(&b);
}

/* --- who we are --- */

static void wrong_keys_are_told(void **state)
{
	struct box b;
	uint64_t size;

	(void)state;
	BEGIN(&b, "buckets=nightjar", "token=T");
	MUST_FAIL(store_size(b.f.store, STORE_CONFIG, NULL, &size, &b.f.err), ERR_DENIED, &b.f.err);
	assert_says(&b, "InvalidToken");
	assert_says(&b, "/config");
	store_free(b.f.store);
	secret = "not it";
	key_id = "AKOTHER";
	net.environment = environment;
	secret = "wrong";
	open_next(&b.f);
	MUST_FAIL(store_size(b.f.store, STORE_CONFIG, NULL, &size, &b.f.err), ERR_DENIED, &b.f.err);
	assert_says(&b, "AWS_ACCESS_KEY_ID is not known there");
	assert_null(strstr(b.f.err.text, "wrong"));
	store_free(b.f.store);
	key_id = "AKTEST";
	open_next(&b.f);
	MUST_FAIL(put(&b, STORE_KEYS, "x"), ERR_DENIED, &b.f.err);
	assert_says(&b, "AWS_SECRET_ACCESS_KEY does not belong");
	store_free(b.f.store);
	secret = "SKTEST";
	token = "T";
	open_next(&b.f);
	MUST(put(&b, STORE_KEYS, "x"), &b.f.err);
	end(&b);
}

/* There a key that is not known looks like a wrong secret, and must not be taken for one. */
static void an_unknown_key_on_swift(void **state)
{
	struct box b;
	uint64_t size;

	(void)state;
	BEGIN(&b, "buckets=nightjar", "faults=swift");
	store_free(b.f.store);
	key_id = "AKOTHER";
	open_next(&b.f);
	MUST_FAIL(store_size(b.f.store, STORE_CONFIG, NULL, &size, &b.f.err), ERR_DENIED, &b.f.err);
	assert_says(&b, "or there is no such key; the key is AKOTHER");
	end(&b);
}

static void a_key_that_may_not_delete(void **state)
{
	struct box b;

	(void)state;
	BEGIN(&b, "buckets=nightjar", "readonly=AKLESS:less");
	key_id = "AKLESS";
	secret = "less";
	store_free(b.f.store);
	open_next(&b.f);
	MUST(put(&b, STORE_DATA, "x"), &b.f.err);
	MUST_FAIL(store_remove(b.f.store, STORE_DATA, &one, &b.f.err), ERR_DENIED, &b.f.err);
	assert_says(&b, "AccessDenied");
	assert_says(&b, "/data/01/01");
	end(&b);
}

/* --- what the server corrects --- */

static void another_region_is_learnt(void **state)
{
	struct box b;
	uint64_t before;

	(void)state;
	BEGIN(&b, "buckets=nightjar", "region=eu-central-7");
	before = atomic_load(&b.counts.requests);
	MUST(put(&b, STORE_KEYS, "x"), &b.f.err);
	/* HEAD, the GET that asks why, HEAD again, PUT, HEAD */
	assert_int_equal(atomic_load(&b.counts.requests) - before, 5);
	store_free(b.f.store);
	net.s3_region = "eu-central-7";
	open_next(&b.f);
	before = atomic_load(&b.counts.requests);
	MUST(put(&b, STORE_KEYS, "x"), &b.f.err);
	assert_int_equal(atomic_load(&b.counts.requests) - before, 3);
	end(&b);
}

static void a_clock_that_is_off_is_corrected(void **state)
{
	int64_t now = 0, ours;
	struct box b;

	(void)state;
	BEGIN(&b, "buckets=nightjar", "skew=3600");
	MUST(put(&b, STORE_KEYS, "x"), &b.f.err);
	MUST(store_now(b.f.store, &now, &b.f.err), &b.f.err);
	ours = (int64_t)time(NULL);
	assert_true(now - ours > 3590 && now - ours < 3610);
	end(&b);
	BEGIN(&b, "buckets=nightjar", "skew=-3600", "faults=nodate");
	MUST_FAIL(put(&b, STORE_KEYS, "x"), ERR_DENIED, &b.f.err);
	assert_says(&b, "this machine's clock is wrong");
	end(&b);
}

static void slow_down_may_pass(void **state)
{
	struct box b;

	(void)state;
	BEGIN(&b, "buckets=nightjar", "faults=slow");
	MUST_FAIL(store_create(b.f.store, &b.f.err), ERR_AGAIN, &b.f.err);
	assert_says(&b, "SlowDown");
	assert_int_equal(b.f.err.wait_s, 1);
	MUST(store_create(b.f.store, &b.f.err), &b.f.err);
	end(&b);
}

/* --- buckets --- */

static void create_makes_the_bucket(void **state)
{
	unsigned names = 0;
	struct box b;
	uint64_t size;

	(void)state;
	BEGIN(&b, "region=us-east-1");
	MUST_FAIL(store_list(b.f.store, STORE_KEYS, ignore, &names, &b.f.err), ERR_MISSING,
		  &b.f.err);
	assert_says(&b, "the bucket \"nightjar\" does not exist");
	MUST_FAIL(put(&b, STORE_KEYS, "x"), ERR_MISSING, &b.f.err);
	MUST_FAIL(store_size(b.f.store, STORE_CONFIG, NULL, &size, &b.f.err), ERR_MISSING,
		  &b.f.err);
	MUST(store_create(b.f.store, &b.f.err), &b.f.err);
	MUST(put(&b, STORE_KEYS, "x"), &b.f.err);
	end(&b);
	BEGIN(&b, "readonly=AKLESS:less", "region=eu-west-1");
	net.s3_region = "eu-west-1";
	key_id = "AKLESS";
	secret = "less";
	store_free(b.f.store);
	open_next(&b.f);
	MUST_FAIL(store_create(b.f.store, &b.f.err), ERR_DENIED, &b.f.err);
	assert_says(&b, "could not be made");
	end(&b);
}

static void create_refuses_what_is_not_ours(void **state)
{
	struct store_fixture inner = {0};
	struct box b;

	(void)state;
	BEGIN(&b, "buckets=nightjar");
	store_free(b.f.store);
	open_at(&b.f, "a");
	open_at(&inner, "a/photos");
	MUST(store_put(inner.store, STORE_KEYS, &one, "x", 1, &inner.err), &inner.err);
	MUST_FAIL(store_create(b.f.store, &b.f.err), ERR_EXISTS, &b.f.err);
	assert_says(&b, "photos/keys/");
	store_free(inner.store);
	end(&b);
}

/* A listing of "a" must not show what is below "ab". */
static void prefixes_do_not_touch(void **state)
{
	struct store_fixture longer = {0};
	unsigned names = 0;
	struct box b;

	(void)state;
	BEGIN(&b, "buckets=nightjar");
	store_free(b.f.store);
	open_at(&b.f, "a///");
	open_at(&longer, "ab");
	MUST(store_put(longer.store, STORE_KEYS, &one, "x", 1, &longer.err), &longer.err);
	MUST(store_create(b.f.store, &b.f.err), &b.f.err);
	MUST(store_list(b.f.store, STORE_KEYS, ignore, &names, &b.f.err), &b.f.err);
	assert_int_equal(names, 0);
	store_free(longer.store);
	end(&b);
}

static void log_has(const char *path, const char *line)
{
	char text[65536];
	FILE *log = fopen(path, "r");
	size_t n;

	assert_non_null(log);
	n = fread(text, 1, sizeof(text) - 1, log);
	text[n] = '\0';
	(void)fclose(log);
	if (!strstr(text, line))
		fail_msg("no \"%s\" in:\n%s", line, text);
}

static void storage_class_and_host_style(void **state)
{
	char path[] = "/tmp/nightjar-s3-log.XXXXXX", option[64], location[64];
	int fd = mkstemp(path);
	struct box b;

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	(void)snprintf(option, sizeof(option), "log=%s", path);
	BEGIN(&b, "buckets=nightjar", option, "vhost=localhost");
	store_free(b.f.store);
	net.s3_storage_class = "GLACIER";
	net.s3_lookup = NET_S3_LOOKUP_DNS;
	(void)snprintf(location, sizeof(location), "s3:http://localhost:%u/nightjar/x",
		       server.port);
	MUST(store_s3_open(location, &net, &b.f.store, &b.f.err), &b.f.err);
	MUST(put(&b, STORE_DATA, "x"), &b.f.err);
	MUST(put(&b, STORE_INDEX, "x"), &b.f.err);
	log_has(path, "PUT /x/data/01/01"
		      "00000000000000000000000000000000000000000000000000000000000000"
		      " 200 GLACIER\n");
	log_has(path, "PUT /x/index/01"
		      "00000000000000000000000000000000000000000000000000000000000000 200 -\n");
	store_free(b.f.store);
	net.s3_storage_class = "STANDARD_IA";
	MUST(store_s3_open(location, &net, &b.f.store, &b.f.err), &b.f.err);
	MUST(put(&b, STORE_KEYS, "x"), &b.f.err);
	log_has(path, "200 STANDARD_IA\n");
	end(&b);
	(void)unlink(path);
}

int main(void)
{
	const struct CMUnitTest odd[] = {
	    cmocka_unit_test(ranges_without_ranges_are_cut),
	    cmocka_unit_test(other_bytes_than_asked_for_are_refused),
	    cmocka_unit_test(config_without_conditions),
	    cmocka_unit_test(of_two_writers_of_config_one_hears_of_it),
	    cmocka_unit_test(endless_listings_end),
	    cmocka_unit_test(pages_are_few),
	    cmocka_unit_test(what_is_not_kept_is_noticed),
	    cmocka_unit_test(wrong_keys_are_told),
	    cmocka_unit_test(an_unknown_key_on_swift),
	    cmocka_unit_test(a_key_that_may_not_delete),
	    cmocka_unit_test(another_region_is_learnt),
	    cmocka_unit_test(a_clock_that_is_off_is_corrected),
	    cmocka_unit_test(slow_down_may_pass),
	    cmocka_unit_test(create_makes_the_bucket),
	    cmocka_unit_test(create_refuses_what_is_not_ours),
	    cmocka_unit_test(prefixes_do_not_touch),
	    cmocka_unit_test(storage_class_and_host_style),
	};
	int broken = 0;

	if (sodium_init() < 0)
		return 1;
	broken += OVER("s3", open_next, "buckets=nightjar", "page=7");
	broken += OVER("s3 of the plainest kind", open_plain, "buckets=nightjar",
		       "faults=norange,noif,plainlist");
	broken += over_a_real_server();
	return broken + cmocka_run_group_tests(odd, NULL, NULL);
}
