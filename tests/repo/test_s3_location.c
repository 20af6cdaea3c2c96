/* s3_location: each form of a location, where its bucket goes, and what cannot be meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "repo/s3_location.h"
#include "tests/support/must.h"

static const struct {
	const char *location;
	enum net_s3_lookup lookup;
	bool tls;
	const char *host, *path, *region; /* of the key "config" */
} fine[] = {
    {"s3:https://h/bucket", NET_S3_LOOKUP_AUTO, true, "h", "/bucket/config", ""},
    {"s3:h/bucket/", NET_S3_LOOKUP_AUTO, true, "h", "/bucket/config", ""},
    {"s3:http://h:9000/bucket/a/b//", NET_S3_LOOKUP_AUTO, false, "h:9000", "/bucket/a/b/config",
     ""},
    {"s3:https://h:443/bucket", NET_S3_LOOKUP_AUTO, true, "h", "/bucket/config", ""},
    {"s3:http://h:80/bucket", NET_S3_LOOKUP_AUTO, false, "h", "/bucket/config", ""},
    {"s3:https://h:80/bucket", NET_S3_LOOKUP_AUTO, true, "h:80", "/bucket/config", ""},
    {"s3:http://[::1]:9/bucket/a b+c", NET_S3_LOOKUP_AUTO, false, "[::1]:9",
     "/bucket/a%20b%2Bc/config", ""},
    {"s3:h/bucket/a", NET_S3_LOOKUP_DNS, true, "bucket.h", "/a/config", ""},
    {"s3:s3.amazonaws.com/bucket/a", NET_S3_LOOKUP_AUTO, true, "bucket.s3.amazonaws.com",
     "/a/config", ""},
    {"s3:s3.amazonaws.com/bucket/a", NET_S3_LOOKUP_PATH, true, "s3.amazonaws.com",
     "/bucket/a/config", ""},
    {"s3:s3.amazonaws.com/buc.ket/a", NET_S3_LOOKUP_AUTO, true, "s3.amazonaws.com",
     "/buc.ket/a/config", ""},
    {"s3:s3.eu-west-1.amazonaws.com/bucket", NET_S3_LOOKUP_AUTO, true,
     "bucket.s3.eu-west-1.amazonaws.com", "/config", "eu-west-1"},
    {"s3:s3-eu-west-1.amazonaws.com/bucket", NET_S3_LOOKUP_PATH, true, "s3-eu-west-1.amazonaws.com",
     "/bucket/config", "eu-west-1"},
    {"s3:s3.dualstack.us-east-2.amazonaws.com/bucket", NET_S3_LOOKUP_PATH, true,
     "s3.dualstack.us-east-2.amazonaws.com", "/bucket/config", "us-east-2"},
    {"s3:s3-accelerate.amazonaws.com/bucket", NET_S3_LOOKUP_PATH, true,
     "s3-accelerate.amazonaws.com", "/bucket/config", ""},
};

static void expect(struct buf *b, const char *want)
{
	buf_put_u8(b, 0);
	assert_string_equal((const char *)b->data, want);
	buf_free(b);
}

static void test_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		struct buf host = {0}, path = {0};
		struct s3_location l;
		struct err err = {0};

		MUST(s3_location_parse(fine[i].location, fine[i].lookup, &l, &err), &err);
		assert_int_equal(l.tls, fine[i].tls);
		assert_string_equal(l.region, fine[i].region);
		s3_location_put_host(&host, &l);
		expect(&host, fine[i].host);
		s3_location_put_path(&path, &l, "config");
		expect(&path, fine[i].path);
	}
}

static void test_bucket_alone(void **state)
{
	struct buf path = {0};
	struct s3_location l;
	struct err err = {0};

	(void)state;
	MUST(s3_location_parse("s3:h/bucket/a", NET_S3_LOOKUP_PATH, &l, &err), &err);
	s3_location_put_path(&path, &l, NULL);
	expect(&path, "/bucket");
	MUST(s3_location_parse("s3:h/bucket/a", NET_S3_LOOKUP_DNS, &l, &err), &err);
	s3_location_put_path(&path, &l, NULL);
	expect(&path, "/");
}

static void test_another_region(void **state)
{
	struct s3_location l;
	struct err err = {0};

	(void)state;
	MUST(s3_location_parse("s3:s3.amazonaws.com/bucket", NET_S3_LOOKUP_AUTO, &l, &err), &err);
	s3_location_move(&l, "eu-west-1");
	assert_string_equal(l.host, "s3.eu-west-1.amazonaws.com");
	MUST(s3_location_parse("s3:minio/bucket", NET_S3_LOOKUP_AUTO, &l, &err), &err);
	s3_location_move(&l, "eu-west-1");
	assert_string_equal(l.host, "minio");
}

static void test_refused(void **state)
{
	static const char *const refused[] = {
	    "s3::443/bucket",
	    "s3:http://:80/bucket",
	    "s3::9/bucket",
	    "s3:",
	    "s3:/",
	    "s3://bucket/x",
	    "s3:https://",
	    "s3:h",
	    "s3:h/",
	    "s3:h/ab",
	    "s3:h/bucket?x",
	    "s3:h/.bucket",
	    "s3:h/bucket/a//b",
	    "s3:h/bucket/./b",
	    "s3:h/bucket/..",
	    "s3:h/bucket/a\nb",
	    "s3:h/bucket/a#b",
	    "s3:h h/bucket",
	    "s3:me:hush@h/bucket",
	    "s3:https://me:hush@h/bucket",
	    "s3:h/a2345678901234567890123456789012345678901234567890123456789012345",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct s3_location l;
		struct err err = {0};

		if (s3_location_parse(refused[i], NET_S3_LOOKUP_AUTO, &l, &err) != -ERR_USAGE)
			fail_msg("taken: %s", refused[i]);
		assert_null(strstr(err.text, "hush"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_forms),
	    cmocka_unit_test(test_bucket_alone),
	    cmocka_unit_test(test_another_region),
	    cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
