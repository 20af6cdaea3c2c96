/* manifest_part: vectors of the parts, and everything that a reader of a part must refuse (FORMAT.md §8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/manifest.h"
#include "core/manifest_part.h"
#include "tests/support/bytes.h"
#include "tests/support/manifest_kit.h"
#include "tests/vectors/manifest.inc"

typedef int (*get_fn)(struct rd *r, struct manifest *m, struct err *err);
typedef void (*put_fn)(struct buf *b, const struct manifest *m);

static const struct {
	const char *hex;
	get_fn get;
	put_fn put;
} parts[] = {
    {maint_hex, manifest_part_get_maint, manifest_part_put_maint},
    {read_hex, manifest_part_get_read, manifest_part_put_read},
};

/* 0 when it was taken whole and came out as it was. */
static int same_or_refused(size_t part, const uint8_t *bytes, size_t len)
{
	struct manifest m = {0};
	struct err err = {0};
	struct buf out = {0};
	uint8_t *copy = malloc(len ? len : 1);
	struct rd r;
	int rc;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	r = rd_of(copy, len);
	rc = parts[part].get(&r, &m, &err);
	if (rc == 0) {
		parts[part].put(&out, &m);
		assert_int_equal(out.len, len - r.left);
		assert_memory_equal(out.data, bytes, out.len);
	} else {
		assert_true(rc == -ERR_DAMAGED || rc == -ERR_LIMIT);
	}
	manifest_free(&m);
	buf_free(&out);
	free(copy);
	return rc;
}

static void test_part_vectors(void **state)
{
	(void)state;
	for (size_t p = 0; p < 2; p++) {
		struct buf b = {0};

		bytes_put_hex(&b, parts[p].hex);
		assert_int_equal(same_or_refused(p, b.data, b.len), 0);
		for (size_t len = 0; len < b.len; len++)
			assert_int_not_equal(same_or_refused(p, b.data, len), 0);
		for (size_t i = 0; i < b.len * 8; i++) {
			b.data[i / 8] ^= (uint8_t)(1u << (i % 8));
			(void)same_or_refused(p, b.data, b.len);
			b.data[i / 8] ^= (uint8_t)(1u << (i % 8));
		}
		buf_free(&b);
	}
}

/* same_or_refused does not accept ERR_NOMEM, and sanitizers refuse allocations of that size. */
static void test_part_hostile_counts(void **state)
{
	(void)state;
	for (size_t p = 0; p < 2; p++) {
		struct buf b = {0};

		bytes_put_hex(&b, parts[p].hex);
		for (size_t i = 0; i + 4 <= b.len; i++) {
			uint8_t kept[4];

			memcpy(kept, b.data + i, 4);
			for (size_t zeros = 0; zeros < 3; zeros++) {
				memset(b.data + i, 0xff, 4 - zeros);
				memset(b.data + i + 4 - zeros, 0, zeros);
				(void)same_or_refused(p, b.data, b.len);
			}
			memcpy(b.data + i, kept, 4);
		}
		buf_free(&b);
	}
}

static void check_refs(const struct manifest *m)
{
	struct id original;

	assert_int_equal(m->ref_count, 2);
	assert_string_equal(m->refs[0].database, "b.db");
	assert_string_equal(m->refs[0].query, "SELECT path FROM files");
	assert_int_equal(m->refs[0].referenced, 300);
	assert_int_equal(m->refs[0].missing, 2);
	assert_true(m->refs[0].orphans == 1ull << 33);
	assert_string_equal(m->refs[1].database, "app/a.db");
	assert_int_equal(m->carried, 5);
	assert_int_equal(m->alarms, 6);
	for (size_t i = 0; i < ID_BYTES; i++)
		original.b[i] = (uint8_t)(9 + i);
	assert_true(id_eq(&m->original, &original));
}

static void test_read_vector_fields(void **state)
{
	struct manifest m = {0};
	struct err err = {0};
	struct buf b = {0};
	struct rd r;

	(void)state;
	bytes_put_hex(&b, read_hex);
	r = rd_of(b.data, b.len);
	assert_int_equal(manifest_part_get_read(&r, &m, &err), 0);
	assert_true(m.has_read && !m.has_maint);
	assert_string_equal(m.host, "app1");
	assert_string_equal(m.program, "0.1");
	assert_string_equal(m.tags[1], "prod");
	assert_string_equal(m.sources[0], "/srv/app");
	assert_int_equal(m.finished_ns, 2000);
	assert_int_equal(m.db_count, 2);
	assert_string_equal(m.dbs[0].path, "/srv/app/a.db");
	assert_string_equal(m.dbs[0].tables[1].name, "users");
	assert_true(m.dbs[0].tables[1].rows == 1ull << 63);
	assert_string_equal(m.dbs[1].reason, "no such module: fts9");
	assert_int_equal(m.dbs[1].cells, 2600);
	assert_true(m.dbs[1].cells_changed == 1ull << 40);
	assert_int_equal(m.dbs[1].bytes_stored, 777);
	assert_int_equal(m.dbs[1].verdict, 3);
	assert_int_equal(m.dbs[1].page_count, 25);
	assert_true(m.dbs[1].started_ns == -5);
	check_refs(&m);
	manifest_free(&m);
	buf_free(&b);
}

/* Group, tag HMACs and verdicts, computed from the read vector, are those of the maintenance vector. */
static void test_repeat_vector(void **state)
{
	struct domain_keys domain = {0};
	struct manifest_repeat repeat = {0};
	struct manifest m = {0};
	struct err err = {0};
	struct buf maint = {0}, read = {0};
	struct rd r;

	(void)state;
	for (size_t i = 0; i < 32; i++)
		domain.id_key[i] = (uint8_t)(32 + i);
	bytes_put_hex(&maint, maint_hex);
	bytes_put_hex(&read, read_hex);
	r = rd_of(maint.data, maint.len);
	assert_int_equal(manifest_part_get_maint(&r, &m, &err), 0);
	r = rd_of(read.data, read.len);
	assert_int_equal(manifest_part_get_read(&r, &m, &err), 0);
	assert_int_equal(manifest_part_repeat(&domain, &m, &repeat, &err), 0);
	assert_true(id_eq(&repeat.group, &m.group));
	assert_int_equal(m.tag_mac_count, m.tag_count);
	assert_memory_equal(repeat.tag_macs, m.tag_macs, 2 * sizeof(struct id));
	assert_memory_equal(repeat.verdicts, m.verdicts, 2);
	assert_int_equal(m.files, 12);
	assert_int_equal(m.bytes, 34567);
	assert_int_equal(m.bytes_added, 890);
	manifest_part_repeat_wipe(&repeat);
	manifest_free(&m);
	buf_free(&maint);
	buf_free(&read);
}

/* Spoils a sorted manifest in one way; the part that is written from it must be refused. */
static int try_spoilt(void (*spoil)(struct manifest *m), size_t part)
{
	struct manifest m = manifest_kit_sample();
	struct buf b = {0};
	int rc;

	manifest_part_sort(&m);
	m.tag_macs = calloc(2, sizeof(*m.tag_macs));
	m.verdicts = calloc(2, 1);
	assert_true(m.tag_macs && m.verdicts);
	m.tag_macs[1] = bytes_id(1);
	m.tag_mac_count = m.verdict_count = 2;
	m.verdicts[0] = m.verdicts[1] = 1;
	if (spoil)
		spoil(&m);
	parts[part].put(&b, &m);
	rc = same_or_refused(part, b.data, b.len);
	buf_free(&b);
	manifest_free(&m);
	return rc;
}

static void swap_texts(char **t)
{
	char *first = t[0];

	t[0] = t[1];
	t[1] = first;
}
static void spoil_tag_order(struct manifest *m)
{
	swap_texts(m->tags);
}
static void spoil_tag_twice(struct manifest *m)
{
	free(m->tags[1]);
	m->tags[1] = bytes_text(m->tags[0]);
}
static void spoil_tag_empty(struct manifest *m)
{
	m->tags[0][0] = '\0';
}
static void spoil_source_order(struct manifest *m)
{
	swap_texts(m->sources);
}
static void spoil_source_empty(struct manifest *m)
{
	m->sources[0][0] = '\0';
}
static void spoil_host_empty(struct manifest *m)
{
	m->host[0] = '\0';
}
static void spoil_db_order(struct manifest *m)
{
	m->dbs[0].path[1] = 'z';
}
static void spoil_db_twice(struct manifest *m)
{
	free(m->dbs[1].path);
	m->dbs[1].path = bytes_text(m->dbs[0].path);
}
static void spoil_db_path(struct manifest *m)
{
	m->dbs[0].path[0] = '\0';
}
static void spoil_table_order(struct manifest *m)
{
	m->dbs[0].tables[1].name[0] = '\0';
}
static void spoil_method_0(struct manifest *m)
{
	m->dbs[0].method = 0;
}
static void spoil_method_4(struct manifest *m)
{
	m->dbs[0].method = 4;
}
static void spoil_check_0(struct manifest *m)
{
	m->dbs[0].check = 0;
}
static void spoil_check_3(struct manifest *m)
{
	m->dbs[0].check = 3;
}
static void spoil_verdict_0(struct manifest *m)
{
	m->dbs[0].verdict = m->verdicts[0] = 0;
}
static void spoil_verdict_4(struct manifest *m)
{
	m->dbs[0].verdict = m->verdicts[0] = 4;
}
static void spoil_mac_order(struct manifest *m)
{
	m->tag_macs[0] = bytes_id(200);
}
static void spoil_mac_twice(struct manifest *m)
{
	m->tag_macs[0] = m->tag_macs[1];
}

static void spoil_ref_database(struct manifest *m)
{
	m->refs[1].database[0] = '\0';
}
static void spoil_ref_query(struct manifest *m)
{
	m->refs[0].query[0] = '\0';
}
static void spoil_ref_missing(struct manifest *m)
{
	m->refs[0].missing = m->refs[0].referenced + 1;
}

static void spoil_standing(struct manifest *m)
{
	m->standing = (enum manifest_standing)3;
}

static void test_part_rules(void **state)
{
	static void (*const of_read[])(struct manifest *) = {
	    spoil_tag_order,    spoil_tag_twice, spoil_tag_empty,   spoil_source_order,
	    spoil_db_order,     spoil_db_twice,  spoil_db_path,     spoil_source_empty,
	    spoil_host_empty,   spoil_method_0,  spoil_method_4,    spoil_table_order,
	    spoil_check_0,      spoil_check_3,   spoil_verdict_0,   spoil_verdict_4,
	    spoil_ref_database, spoil_ref_query, spoil_ref_missing,
	};
	static void (*const of_maint[])(struct manifest *) = {
	    spoil_mac_order, spoil_mac_twice, spoil_verdict_0, spoil_verdict_4, spoil_standing,
	};

	(void)state;
	assert_int_equal(try_spoilt(NULL, 0), 0);
	assert_int_equal(try_spoilt(NULL, 1), 0);
	for (size_t i = 0; i < sizeof(of_read) / sizeof(of_read[0]); i++)
		assert_int_equal(try_spoilt(of_read[i], 1), -ERR_DAMAGED);
	for (size_t i = 0; i < sizeof(of_maint) / sizeof(of_maint[0]); i++)
		assert_int_equal(try_spoilt(of_maint[i], 0), -ERR_DAMAGED);
}

static void test_zero_byte_in_a_text(void **state)
{
	struct buf b = {0};

	(void)state;
	bytes_put_hex(&b, read_hex);
	b.data[3] = '\0'; /* in the host's name */
	assert_int_equal(same_or_refused(1, b.data, b.len), -ERR_DAMAGED);
	buf_free(&b);
}

/* The flag and the id tell the same: a copy has an original, and what is none has not. */
static void test_unclear_original(void **state)
{
	struct buf b = {0};

	(void)state;
	bytes_put_hex(&b, read_hex);
	b.data[b.len - 33] = 2;
	assert_int_equal(same_or_refused(1, b.data, b.len), -ERR_DAMAGED);
	b.data[b.len - 33] = 0;
	assert_int_equal(same_or_refused(1, b.data, b.len), -ERR_DAMAGED);
	memset(b.data + b.len - 32, 0, 32);
	assert_int_equal(same_or_refused(1, b.data, b.len), 0);
	b.data[b.len - 33] = 1;
	assert_int_equal(same_or_refused(1, b.data, b.len), -ERR_DAMAGED);
	buf_free(&b);
}

static void test_standing_and_gaps(void **state)
{
	struct manifest m = {0};
	struct err err = {0};
	struct buf b = {0};
	struct rd r;

	(void)state;
	bytes_put_hex(&b, maint_hex);
	r = rd_of(b.data, b.len);
	assert_int_equal(manifest_part_get_maint(&r, &m, &err), 0);
	assert_int_equal(m.standing, MANIFEST_REPAIRED);
	assert_true(m.incomplete);
	manifest_free(&m);
	b.data[b.len - 1] = 2;
	assert_int_equal(same_or_refused(0, b.data, b.len), -ERR_DAMAGED);
	b.data[b.len - 1] = 0;
	b.data[b.len - 2] = 1;
	assert_int_equal(same_or_refused(0, b.data, b.len), 0);
	b.data[b.len - 2] = 3;
	assert_int_equal(same_or_refused(0, b.data, b.len), -ERR_DAMAGED);
	buf_free(&b);
}

static void test_two_roots(void **state)
{
	struct buf b = {0};

	(void)state;
	bytes_put_hex(&b, maint_hex);
	b.data[0] = 2;
	assert_int_equal(same_or_refused(0, b.data, b.len), -ERR_DAMAGED);
	b.data[0] = 0;
	assert_int_equal(same_or_refused(0, b.data, b.len), -ERR_DAMAGED);
	buf_free(&b);
}

static void test_a_copy_of_the_facts(void **state)
{
	struct manifest m = manifest_kit_sample(), copy = manifest_kit_sample();
	struct buf want = {0}, got = {0};
	struct err err = {0};

	(void)state;
	assert_true(m.db_count > 0);
	for (size_t i = 0; i < m.db_count; i++) {
		manifest_db_wipe(&copy.dbs[i]);
		assert_int_equal(manifest_db_copy(&m.dbs[i], &copy.dbs[i], &err), 0);
	}
	manifest_part_sort(&m);
	manifest_part_put_read(&want, &m);
	manifest_free(&m); /* it owes nothing to the original */
	manifest_part_sort(&copy);
	manifest_part_put_read(&got, &copy);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.data, want.data, want.len);
	manifest_free(&copy);
	buf_free(&want);
	buf_free(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_part_vectors),        cmocka_unit_test(test_part_hostile_counts),
	    cmocka_unit_test(test_read_vector_fields),  cmocka_unit_test(test_repeat_vector),
	    cmocka_unit_test(test_part_rules),          cmocka_unit_test(test_zero_byte_in_a_text),
	    cmocka_unit_test(test_two_roots),           cmocka_unit_test(test_unclear_original),
	    cmocka_unit_test(test_a_copy_of_the_facts), cmocka_unit_test(test_standing_and_gaps),
	};

	return cmocka_run_group_tests(tests, manifest_kit_ring_setup, manifest_kit_ring_teardown);
}
