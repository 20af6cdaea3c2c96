/* sigv4: the examples of the S3 documentation and those of Amazon's test suite that S3's encoding allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/sigv4.h"
#include "tests/support/must.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define WELCOME "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

#define S3_HOST                                                                                    \
	{                                                                                          \
		"host", "examplebucket.s3.amazonaws.com"                                           \
	}
#define S3_DATE                                                                                    \
	{                                                                                          \
		"x-amz-date", "20130524T000000Z"                                                   \
	}
#define SUITE_HOST                                                                                 \
	{                                                                                          \
		"host", "example.amazonaws.com"                                                    \
	}
#define SUITE_DATE                                                                                 \
	{                                                                                          \
		"x-amz-date", "20150830T123600Z"                                                   \
	}

static const struct sigv4_key s3_key = {
    "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1", "s3"};
static const struct sigv4_key suite_key = {
    "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "service"};

static const struct example {
	const char *name, *method, *path; /* path as it is before encoding */
	struct sigv4_pair query[3];
	struct sigv4_pair headers[6];
	const char *payload_hash, *signature;
} examples[] = {
    {"GET with a range",
     "GET",
     "/test.txt",
     {{NULL, NULL}},
     {S3_HOST, {"range", "bytes=0-9"}, {"x-amz-content-sha256", EMPTY}, S3_DATE},
     EMPTY,
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT",
     "PUT",
     "/test$file.text",
     {{NULL, NULL}},
     {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
      S3_HOST,
      {"x-amz-content-sha256", WELCOME},
      S3_DATE,
      {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
     WELCOME,
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET of the lifecycle",
     "GET",
     "/",
     {{"lifecycle", ""}},
     {S3_HOST, {"x-amz-content-sha256", EMPTY}, S3_DATE},
     EMPTY,
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"list",
     "GET",
     "/",
     {{"max-keys", "2"}, {"prefix", "J"}},
     {S3_HOST, {"x-amz-content-sha256", EMPTY}, S3_DATE},
     EMPTY,
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    {"get-vanilla",
     "GET",
     "/",
     {{NULL, NULL}},
     {SUITE_HOST, SUITE_DATE},
     EMPTY,
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-query-order-key-case",
     "GET",
     "/",
     {{"Param1", "value1"}, {"Param2", "value2"}},
     {SUITE_HOST, SUITE_DATE},
     EMPTY,
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-header-value-trim",
     "GET",
     "/",
     {{NULL, NULL}},
     {SUITE_HOST, {"my-header1", " value1"}, {"my-header2", " \"a   b   c\""}, SUITE_DATE},
     EMPTY,
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-utf8",
     "GET",
     "/\xe1\x88\xb4",
     {{NULL, NULL}},
     {SUITE_HOST, SUITE_DATE},
     EMPTY,
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-space",
     "GET",
     "/example space/",
     {{NULL, NULL}},
     {SUITE_HOST, SUITE_DATE},
     EMPTY,
     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
    {"post-vanilla",
     "POST",
     "/",
     {{NULL, NULL}},
     {SUITE_HOST, SUITE_DATE},
     EMPTY,
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-vanilla-query",
     "POST",
     "/",
     {{"Param1", "value1"}},
     {SUITE_HOST, SUITE_DATE},
     EMPTY,
     "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
    {"post-sts-header-before",
     "POST",
     "/",
     {{NULL, NULL}},
     {SUITE_HOST,
      SUITE_DATE,
      {"x-amz-security-token",
       "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfp"
       "SPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQ"
       "DYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+s"
       "cqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="}},
     EMPTY,
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
};

static size_t pairs_of(const struct sigv4_pair *pairs, size_t most)
{
	size_t count = 0;

	while (count < most && pairs[count].name)
		count++;
	return count;
}

static const char *text_of(struct buf *b)
{
	buf_put_u8(b, 0);
	assert_false(b->failed);
	return (const char *)b->data;
}

static void test_published_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		const struct example *e = &examples[i];
		const struct sigv4_key *key =
		    strcmp(e->headers[0].value, "example.amazonaws.com") ? &s3_key : &suite_key;
		struct buf path = {0}, query = {0};
		struct sigv4_request r = {.method = e->method, .headers = e->headers};
		struct id signature;
		struct err err = {0};
		char hex[ID_HEX_CHARS + 1];

		sigv4_put_path(&path, e->path);
		sigv4_put_query(&query, e->query, pairs_of(e->query, 3));
		r.path = text_of(&path);
		r.query = text_of(&query);
		r.header_count = pairs_of(e->headers, 6);
		r.payload_hash = e->payload_hash;
		r.date = key == &s3_key ? "20130524T000000Z" : "20150830T123600Z";
		MUST(sigv4_sign(&r, key, &signature, &err), &err);
		id_hex(&signature, hex);
		if (strcmp(hex, e->signature) != 0)
			fail_msg("%s: %s, not %s", e->name, hex, e->signature);
		buf_free(&path);
		buf_free(&query);
	}
}

static const struct sigv4_pair list_headers[] = {S3_HOST, {"x-amz-content-sha256", EMPTY}, S3_DATE};
static const struct sigv4_request list = {.method = "GET",
					  .path = "/",
					  .query = "max-keys=2&prefix=J",
					  .headers = list_headers,
					  .header_count = 3,
					  .payload_hash = EMPTY,
					  .date = "20130524T000000Z"};

/* The texts on the way, as the documentation prints them. */
static void test_texts(void **state)
{
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	sigv4_put_canonical(&out, &list);
	assert_string_equal(text_of(&out), "GET\n/\nmax-keys=2&prefix=J\n"
					   "host:examplebucket.s3.amazonaws.com\n"
					   "x-amz-content-sha256:" EMPTY "\n"
					   "x-amz-date:20130524T000000Z\n\n"
					   "host;x-amz-content-sha256;x-amz-date\n" EMPTY);
	buf_reset(&out);
	MUST(sigv4_put_string_to_sign(&out, &list, &s3_key, &err), &err);
	assert_string_equal(
	    text_of(&out),
	    "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"
	    "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7");
	buf_reset(&out);
	MUST(sigv4_put_authorization(&out, &list, &s3_key, &err), &err);
	assert_string_equal(
	    text_of(&out),
	    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
	    "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
	    "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
	buf_free(&out);
}

static void test_encoding(void **state)
{
	static const struct sigv4_pair pairs[] = {
	    {"continuation-token", "a/b+c=&"}, {"list-type", "2"}, {"prefix", "\xc3\xa4 b~"}};
	struct buf out = {0};

	(void)state;
	sigv4_put_path(&out, "/b/a b+c%/-._~\xff:@*'()!");
	assert_string_equal(text_of(&out), "/b/a%20b%2Bc%25/-._~%FF%3A%40%2A%27%28%29%21");
	buf_reset(&out);
	sigv4_put_word(&out, "a/b?c#d");
	assert_string_equal(text_of(&out), "a%2Fb%3Fc%23d");
	buf_reset(&out);
	sigv4_put_query(&out, pairs, 3);
	assert_string_equal(text_of(&out), "continuation-token=a%2Fb%2Bc%3D%26&list-type=2&"
					   "prefix=%C3%A4%20b~");
	buf_free(&out);
}

/* Everything that is signed changes the signature. */
static void test_all_counts(void **state)
{
	struct sigv4_pair headers[3];
	struct sigv4_request r[7];
	struct sigv4_key keys[4];
	struct id first, other;
	struct err err = {0};

	(void)state;
	memcpy(headers, list_headers, sizeof(headers));
	headers[0].value = "examplebucket.s3.amazonaws.org";
	for (size_t i = 0; i < 7; i++)
		r[i] = list;
	r[0].method = "PUT";
	r[1].path = "/a";
	r[2].query = "max-keys=3&prefix=J";
	r[3].headers = headers;
	r[4].header_count = 2;
	r[5].payload_hash = WELCOME;
	r[6].date = "20130524T000001Z";
	for (size_t i = 0; i < 4; i++)
		keys[i] = s3_key;
	keys[0].secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEZ";
	keys[1].region = "us-east-2";
	keys[2].service = "s4";
	keys[3].secret_key = "";
	MUST(sigv4_sign(&list, &s3_key, &first, &err), &err);
	for (size_t i = 0; i < 7; i++) {
		MUST(sigv4_sign(&r[i], &s3_key, &other, &err), &err);
		assert_false(id_eq(&first, &other));
	}
	for (size_t i = 0; i < 4; i++) {
		MUST(sigv4_sign(&list, &keys[i], &other, &err), &err);
		assert_false(id_eq(&first, &other));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_published_examples),
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test(test_encoding),
	    cmocka_unit_test(test_all_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
