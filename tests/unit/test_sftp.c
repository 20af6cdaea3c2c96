/* sftp: requests as known bytes (checked by hand against draft-ietf-secsh-filexfer-02), and answers good and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/limits.h"
#include "core/sftp.h"
#include "tests/support/bytes.h"
#include "tests/support/must.h"

static const uint8_t handle_bytes[2] = {0xaa, 0xbb};
static const struct span handle = {handle_bytes, 2};

/* What was put is exactly this; empties the buf. */
static void is_hex(struct buf *b, const char *hex)
{
	struct buf want = {0};

	bytes_put_hex(&want, hex);
	assert_int_equal(b->len, want.len);
	assert_memory_equal(b->data, want.data, want.len);
	buf_free(&want);
	buf_reset(b);
}

static void requests_are_known_bytes(void **state)
{
	struct buf b = {0};

	(void)state;
	sftp_put_init(&b);
	is_hex(&b, "000000050100000003");
	sftp_put_path(&b, SFTP_LSTAT, 0x01020304, "/a");
	is_hex(&b, "0000000b0701020304000000022f61");
	sftp_put_path(&b, SFTP_OPENDIR, 1, "");
	is_hex(&b, "000000090b0000000100000000");
	sftp_put_path(&b, SFTP_REMOVE, 1, "x");
	is_hex(&b, "0000000a0d000000010000000178");
	sftp_put_handle(&b, SFTP_CLOSE, 2, handle);
	is_hex(&b, "0000000b040000000200000002aabb");
	sftp_put_handle(&b, SFTP_READDIR, 2, handle);
	is_hex(&b, "0000000b0c0000000200000002aabb");
	sftp_put_open(&b, 3, "x", SFTP_READABLE, 0400);
	is_hex(&b, "0000001203000000030000000178"
		   "0000000100000000");
	sftp_put_open(&b, 3, "x", SFTP_WRITABLE | SFTP_CREATE | SFTP_EXCLUSIVE, 0400);
	is_hex(&b, "0000001603000000030000000178"
		   "0000002a0000000400000100");
	sftp_put_mkdir(&b, 4, "x", 0700);
	is_hex(&b, "000000120e000000040000000178"
		   "00000004000001c0");
	sftp_put_read(&b, 5, handle, 0x100000002, 0x8000);
	is_hex(&b, "00000017050000000500000002aabb"
		   "000000010000000200008000");
	sftp_put_write(&b, 6, handle, 1, "xyz", 3);
	is_hex(&b, "0000001a060000000600000002aabb"
		   "00000000000000010000000378797a");
	sftp_put_rename(&b, 7, "a", "b");
	is_hex(&b, "0000000f120000000700000001610000000162");
	buf_free(&b);
}

static void extensions_are_known_bytes(void **state)
{
	struct buf b = {0};

	(void)state;
	sftp_put_fsync(&b, 8, handle);
	is_hex(&b, "00000020c80000000800000011"
		   "6673796e63406f70656e7373682e636f6d"
		   "00000002aabb");
	sftp_put_statvfs(&b, 9, "/");
	is_hex(&b, "00000021c80000000900000013"
		   "73746174766673406f70656e7373682e636f6d"
		   "000000012f");
	sftp_put_hardlink(&b, 10, "a", "b");
	is_hex(&b, "00000027c80000000a00000014"
		   "686172646c696e6b406f70656e7373682e636f6d"
		   "00000001610000000162");
	sftp_put_posix_rename(&b, 11, "a", "b");
	is_hex(&b, "0000002bc80000000b00000018"
		   "706f7369782d72656e616d65406f70656e7373682e636f6d"
		   "00000001610000000162");
	buf_free(&b);
}

/* Every beginning of a packet is refused: nothing beyond it is read, and nothing is taken for whole. */
static void prefixes_refused(const struct buf *packet, size_t from)
{
	for (size_t n = from; n < packet->len; n++) {
		uint8_t *copy = malloc(n ? n : 1);
		struct sftp_reply r;
		struct err err = {0};

		memcpy(copy, packet->data, n);
		MUST_FAIL(sftp_get(copy, n, &r, &err), ERR_DAMAGED, &err);
		free(copy);
	}
}

static void get(struct buf *packet, const char *hex, struct sftp_reply *out)
{
	struct err err = {0};

	buf_reset(packet);
	bytes_put_hex(packet, hex);
	MUST(sftp_get(packet->data, packet->len, out, &err), &err);
}

static void refused(const char *hex)
{
	struct buf packet = {0};
	struct sftp_reply r;
	struct err err = {0};

	bytes_put_hex(&packet, hex);
	MUST_FAIL(sftp_get(packet.data, packet.len, &r, &err), ERR_DAMAGED, &err);
	buf_free(&packet);
}

static void answers_are_taken_apart(void **state)
{
	struct buf b = {0};
	struct sftp_reply r;

	(void)state;
	get(&b, "6500000007000000040000000361626300000000", &r);
	assert_int_equal(r.type, SFTP_STATUS);
	assert_int_equal(r.id, 7);
	assert_int_equal(r.code, SFTP_FAILURE);
	assert_int_equal(r.text.len, 3);
	get(&b, "650000000700000002", &r); /* no words */
	assert_int_equal(r.code, SFTP_NO_SUCH_FILE);
	assert_int_equal(r.text.len, 0);
	prefixes_refused(&b, 0);
	get(&b, "660000000700000002aabb", &r);
	assert_int_equal(r.bytes.len, 2);
	assert_memory_equal(r.bytes.p, handle_bytes, 2);
	prefixes_refused(&b, 0);
	get(&b, "670000000700000001ff", &r);
	assert_int_equal(r.bytes.p[0], 0xff);
	prefixes_refused(&b, 0);
	get(&b,
	    "69000000078000000f000000000000012c000003e8000003e9000081a4000000010000000200000001"
	    "00000001610000000162",
	    &r);
	assert_true(r.attrs.has_size && r.attrs.has_mode && r.attrs.has_times);
	assert_int_equal(r.attrs.size_bytes, 300);
	assert_int_equal(r.attrs.mode, 0100644);
	assert_int_equal(r.attrs.mtime_s, 2);
	prefixes_refused(&b, 0);
	get(&b, "690000000700000000", &r);
	assert_false(r.attrs.has_size || r.attrs.has_mode || r.attrs.has_times);
	buf_free(&b);
}

static void what_is_no_answer_is_refused(void **state)
{
	static const char *const bad[] = {
	    "",
	    "0700000001000000012f",           /* a request */
	    "0200000003",                     /* a second version */
	    "660000000700000000",             /* a handle of nothing */
	    "6600000007ffffffffaabb",         /* of all memory */
	    "67000000077fffffff00",           /* data that is not there */
	    "650000000700000004ffffffff6162", /* words that are not there */
	    "6900000007800000007fffffff",     /* attributes without end */
	};
	struct buf b = {0};
	struct sftp_reply r;
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(bad[i]);
	bytes_put_hex(&b, "660000000700000101");
	buf_put_zeros(&b, LIMIT_SFTP_HANDLE_BYTES + 1);
	MUST_FAIL(sftp_get(b.data, b.len, &r, &err), ERR_DAMAGED, &err);
	b.data[8] = 0; /* one less is allowed */
	MUST(sftp_get(b.data, b.len - 1, &r, &err), &err);
	buf_free(&b);
}

static void names_come_one_by_one(void **state)
{
	struct buf b = {0};
	struct sftp_reply r;
	struct sftp_attrs attrs;
	struct span name;
	struct err err = {0};

	(void)state;
	get(&b,
	    "680000000700000003"
	    "000000012e000000032d202e00000000"
	    "000000026162000000000000000100000000000000ff"
	    "0000000163000000ff",
	    &r);
	assert_int_equal(r.count, 3);
	MUST(sftp_get_name(&r, &name, &attrs, &err), &err);
	assert_int_equal(name.len, 1);
	assert_false(attrs.has_size);
	MUST(sftp_get_name(&r, &name, &attrs, &err), &err);
	assert_int_equal(name.len, 2);
	assert_memory_equal(name.p, "ab", 2);
	assert_int_equal(attrs.size_bytes, 255);
	MUST_FAIL(sftp_get_name(&r, &name, &attrs, &err), ERR_DAMAGED, &err);
	buf_free(&b);
}

static int version_of(const char *hex, struct sftp_version *out, struct err *err)
{
	struct buf b = {0};
	int rc;

	bytes_put_hex(&b, hex);
	rc = sftp_get_version(b.data, b.len, out, err);
	buf_free(&b);
	return rc;
}

#define FSYNC_HEX                                                                                  \
	"00000011"                                                                                 \
	"6673796e63406f70656e7373682e636f6d"

static void a_version_names_its_extensions(void **state)
{
	struct sftp_version v;
	struct err err = {0};

	(void)state;
	MUST(version_of("0200000003", &v, &err), &err);
	assert_false(v.fsync || v.hardlink || v.posix_rename || v.statvfs);
	MUST(version_of("0200000003" FSYNC_HEX "0000000131", &v, &err), &err);
	assert_true(v.fsync);
	assert_false(v.hardlink || v.posix_rename || v.statvfs);
	MUST(version_of("0200000006" FSYNC_HEX "0000000132", &v, &err), &err);
	assert_false(v.fsync); /* version 2 of it is another thing */
	MUST_FAIL(version_of("0200000002", &v, &err), ERR_VERSION, &err);
	MUST_FAIL(version_of("0200000003" FSYNC_HEX "00000001", &v, &err), ERR_DAMAGED, &err);
	MUST_FAIL(version_of("02000000", &v, &err), ERR_DAMAGED, &err);
	MUST_FAIL(version_of("6500000003", &v, &err), ERR_DAMAGED, &err);
}

static void free_space_does_not_overflow(void **state)
{
	struct buf b = {0};
	struct sftp_reply r;
	struct err err = {0};
	uint64_t n = 0;

	(void)state;
	get(&b,
	    "c900000007"
	    "0000000000001000000000000000100000000000000000640000000000000032"
	    "000000000000000a",
	    &r);
	MUST(sftp_get_free_bytes(&r, &n, &err), &err);
	assert_int_equal(n, 40960);
	b.data[b.len - 8] = 0xff;
	MUST(sftp_get_free_bytes(&r, &n, &err), &err);
	assert_true(n == UINT64_MAX);
	r.bytes.len--;
	MUST_FAIL(sftp_get_free_bytes(&r, &n, &err), ERR_DAMAGED, &err);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_are_known_bytes),
	    cmocka_unit_test(extensions_are_known_bytes),
	    cmocka_unit_test(answers_are_taken_apart),
	    cmocka_unit_test(what_is_no_answer_is_refused),
	    cmocka_unit_test(names_come_one_by_one),
	    cmocka_unit_test(a_version_names_its_extensions),
	    cmocka_unit_test(free_space_does_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
