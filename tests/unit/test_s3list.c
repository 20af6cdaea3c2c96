/* s3list: pages and errors as servers write them, and all that is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/s3list.h"
#include "tests/support/must.h"

#define PAGE(body) "<ListBucketResult>" body "</ListBucketResult>"
#define LAST "<IsTruncated>false</IsTruncated>"
#define OBJECT(key, size) "<Contents><Key>" key "</Key><Size>" size "</Size></Contents>"

/* "key=size;" of each, in order. */
struct seen {
	char text[1024];
	unsigned count, stop_at;
};

static int see(void *arg, const char *key, uint64_t size_bytes, struct err *err)
{
	struct seen *s = arg;
	size_t used = strlen(s->text);

	(void)snprintf(s->text + used, sizeof(s->text) - used, "%s=%llu;", key,
		       (unsigned long long)size_bytes);
	if (++s->count == s->stop_at)
		return err_set(err, ERR_CANCELLED, "enough");
	return 0;
}

static void expect(const char *document, const char *want)
{
	struct s3list_page page;
	struct seen seen = {{0}, 0, 0};
	struct err err = {0};

	MUST(s3list_read(document, strlen(document), see, &seen, &page, &err), &err);
	assert_string_equal(seen.text, want);
	assert_false(page.truncated);
}

static void refused(const char *document)
{
	struct s3list_page page;
	struct seen seen = {{0}, 0, 0};
	struct err err = {0};

	if (s3list_read(document, strlen(document), see, &seen, &page, &err) != -ERR_DAMAGED)
		fail_msg("taken: %s", document);
	assert_int_equal(seen.count, 0);
}

/* As Amazon's documentation shows one, with an owner and checksums. */
static const char amazon[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n"
    "  <Name>bucket</Name>\n  <Prefix>a/</Prefix>\n  <EncodingType>url</EncodingType>\n"
    "  <NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=&amp;&#x41;"
    "</NextContinuationToken>\n"
    "  <KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated>\n"
    "  <Contents><Key>a/b%2Bc+d%C3%A4</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;70ee1738b6b21e2c8a43f3a5ab0eee71&quot;</ETag><Size>1111</Size>"
    "<Owner><ID>x</ID><DisplayName/></Owner><StorageClass>STANDARD</StorageClass></Contents>\n"
    "  <Contents><Size>0</Size><Key>a/</Key></Contents>\n"
    "  <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>\n"
    "</ListBucketResult>\n";

static void test_amazons_page(void **state)
{
	struct s3list_page page;
	struct seen seen = {{0}, 0, 0};
	struct err err = {0};

	(void)state;
	MUST(s3list_read(amazon, strlen(amazon), see, &seen, &page, &err), &err);
	assert_string_equal(seen.text, "a/b+c d\xc3\xa4=1111;a/=0;");
	assert_true(page.truncated);
	assert_string_equal(page.next_token, "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=&A");
}

/* Cut anywhere it is refused before a name is told. */
static void test_every_cut(void **state)
{
	struct err err = {0};

	(void)state;
	for (size_t len = 0; len < strlen(amazon) - 1; len++) {
		struct s3list_page page;
		struct seen seen = {{0}, 0, 0};

		assert_int_equal(s3list_read(amazon, len, see, &seen, &page, &err), -ERR_DAMAGED);
		assert_int_equal(seen.count, 0);
	}
}

static void test_forms(void **state)
{
	(void)state;
	expect(PAGE(LAST), "");
	expect("\xef\xbb\xbf<?xml version='1.0'?>" PAGE(LAST), "");
	expect("<a:ListBucketResult xmlns:a='x'><a:IsTruncated>false</a:IsTruncated ><a:Contents>"
	       "<a:Key>k</a:Key><a:Size>5</a:Size></a:Contents></a:ListBucketResult>",
	       "k=5;");
	/* Where EncodingType stands does not matter, and without it nothing is decoded. */
	expect(PAGE(OBJECT("a%20b", "1") LAST "<EncodingType>url</EncodingType>"), "a b=1;");
	expect(PAGE(OBJECT("a%20b+c", "1") LAST), "a%20b+c=1;");
	expect(PAGE(OBJECT("&lt;&gt;&amp;&apos;&#228;&#x20AC;&#x1F600;", "1") LAST),
	       "<>&'\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80=1;");
	expect(PAGE(LAST OBJECT("k", "18446744073709551600")), "k=18446744073709551600;");
	expect(PAGE("<NextContinuationToken/>" LAST), "");
}

static void test_refused(void **state)
{
	static const char *const documents[] = {
	    "",
	    "no xml",
	    "<Error><Code>AccessDenied</Code></Error>",
	    "<ListBucketResult/>",
	    PAGE(""),
	    PAGE(LAST LAST),
	    PAGE("<IsTruncated>maybe</IsTruncated>"),
	    PAGE("<IsTruncated>true</IsTruncated>"),
	    PAGE("<IsTruncated>true</IsTruncated><NextContinuationToken/>"),
	    PAGE(LAST "<NextContinuationToken>a</NextContinuationToken>"
		      "<NextContinuationToken>b</NextContinuationToken>"),
	    PAGE(LAST "<EncodingType>base64</EncodingType>"),
	    PAGE(LAST "<Contents><Key>a</Key></Contents>"),
	    PAGE(LAST "<Contents><Size>1</Size></Contents>"),
	    PAGE(LAST "<Contents><Key>a</Key><Key>b</Key><Size>1</Size></Contents>"),
	    PAGE(LAST "<Contents><Key>a</Key><Size>1</Size><Size>1</Size></Contents>"),
	    PAGE(LAST "<Contents><Key/><Size>1</Size></Contents>"),
	    PAGE(LAST OBJECT("a", "")),
	    PAGE(LAST OBJECT("a", "-1")),
	    PAGE(LAST OBJECT("a", "0x1")),
	    PAGE(LAST OBJECT("a", "18446744073709551616")),
	    PAGE(LAST OBJECT("a&b", "1")),
	    PAGE(LAST OBJECT("a&nbsp;", "1")),
	    PAGE(LAST OBJECT("a&#0;", "1")),
	    PAGE(LAST OBJECT("a&#;", "1")),
	    PAGE(LAST OBJECT("a&#xd800;", "1")),
	    PAGE(LAST OBJECT("a&#x110000;", "1")),
	    PAGE(LAST OBJECT("a&#99999999999999999999;", "1")),
	    PAGE(LAST OBJECT("a&#65", "1")),
	    PAGE(LAST "</Contents>"),
	    PAGE(LAST) PAGE(LAST),
	    PAGE(LAST) "x",
	    "x" PAGE(LAST),
	    "</a>" PAGE(LAST),
	    "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>" PAGE(LAST),
	    PAGE("<!-- -->" LAST),
	    PAGE("<![CDATA[a]]>" LAST),
	    PAGE("<?php ?>" LAST),
	    PAGE("<a b>" LAST "</a>"),
	    PAGE("<a b=c></a>" LAST),
	    PAGE("<a b='<'></a>" LAST),
	    PAGE("< a></a>" LAST),
	    "<ListBucketResult>" LAST "</ListBucketResul>",
	    PAGE("<a><b></a></b>" LAST),
	    PAGE("<a><b><c><d><e><f><g><h></h></g></f></e></d></c></b></a>" LAST),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++)
		refused(documents[i]);
	expect(PAGE("<a><b><c><d><e><f><g></g></f></e></d></c></b></a>" LAST), "");
}

/* Names that are not encoded as said are found when their turn comes. */
static void test_bad_encoding(void **state)
{
	static const char *const keys[] = {"a%", "a%2", "a%zz", "a%00", "%2g"};
	struct s3list_page page;
	struct seen seen = {{0}, 0, 0};
	struct err err = {0};
	char document[512];

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		(void)snprintf(document, sizeof(document),
			       PAGE(LAST "<EncodingType>url</EncodingType>" OBJECT("%s", "1")),
			       keys[i]);
		MUST_FAIL(s3list_read(document, strlen(document), see, &seen, &page, &err),
			  ERR_DAMAGED, &err);
	}
}

static char *repeated(const char *before, char c, size_t count, const char *after)
{
	size_t a = strlen(before), b = strlen(after);
	char *out = malloc(a + count + b + 1);

	assert_non_null(out);
	memcpy(out, before, a);
	memset(out + a, c, count);
	memcpy(out + a + count, after, b + 1);
	return out;
}

static void test_bounds(void **state)
{
	struct s3list_page page;
	struct err err = {0};
	char *text;

	(void)state;
	text = repeated("<ListBucketResult>" LAST "<x>", 'k', LIMIT_S3_TEXT_BYTES,
			"</x></ListBucketResult>");
	expect(text, "");
	free(text);
	text = repeated("<ListBucketResult>" LAST "<x>", 'k', LIMIT_S3_TEXT_BYTES + 1,
			"</x></ListBucketResult>");
	refused(text);
	free(text);
	text = repeated(PAGE(LAST), ' ', LIMIT_S3_LIST_BYTES, "");
	MUST_FAIL(s3list_read(text, strlen(text), see, NULL, &page, &err), ERR_LIMIT, &err);
	free(text);
}

static void test_stops_when_told(void **state)
{
	const char *document = PAGE(OBJECT("a", "1") OBJECT("b", "2") OBJECT("c", "3") LAST);
	struct seen seen = {{0}, 0, 2};
	struct s3list_page page;
	struct err err = {0};

	(void)state;
	MUST_FAIL(s3list_read(document, strlen(document), see, &seen, &page, &err), ERR_CANCELLED,
		  &err);
	assert_string_equal(seen.text, "a=1;b=2;");
	assert_string_equal(err.text, "enough");
}

static const char malformed[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AuthorizationHeaderMalformed</Code>"
    "<Message>the region &apos;a&apos; is wrong\xc3\xa4\n</Message><Region>eu-west-1</Region>"
    "<Sub><Code>not this</Code></Sub><RequestId>1</RequestId></Error>";

static void test_errors(void **state)
{
	struct s3list_error e;

	(void)state;
	assert_true(s3list_read_error(malformed, strlen(malformed), &e));
	assert_string_equal(e.code, "AuthorizationHeaderMalformed");
	assert_string_equal(e.message, "the region 'a' is wrong");
	assert_string_equal(e.region, "eu-west-1");
	/* Cut after the code: what came is told. */
	assert_true(s3list_read_error(malformed, 120, &e));
	assert_string_equal(e.code, "AuthorizationHeaderMalformed");
	assert_string_equal(e.region, "");
	assert_false(s3list_read_error(malformed, 60, &e));
	assert_false(s3list_read_error("", 0, &e));
	assert_false(s3list_read_error(amazon, strlen(amazon), &e));
	assert_false(s3list_read_error("<html><Code>x</Code></html>", 27, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_amazons_page),    cmocka_unit_test(test_every_cut),
	    cmocka_unit_test(test_forms),           cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_bad_encoding),    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_stops_when_told), cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
