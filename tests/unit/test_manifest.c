/* manifest: round trips by role, and everything that a reader or a writer must refuse (FORMAT.md §8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/keyfile.h"
#include "core/manifest.h"
#include "core/manifest_part.h"
#include "core/seal.h"
#include "core/sign.h"
#include "core/slot.h"
#include "tests/support/bytes.h"
#include "tests/support/manifest_kit.h"
#include "tests/support/signed_kit.h"

static void enc_sample(const struct manifest_kit_ring *ring, struct buf *object)
{
	struct manifest m = manifest_kit_sample();
	struct err err = {0};

	assert_int_equal(manifest_enc(ring->write, &m, 12, object, &err), 0);
	manifest_free(&m);
}

static void check_clear(const struct manifest *m, const struct keys *writer)
{
	assert_memory_equal(m->repo, writer->repo, REPO_ID_BYTES);
	assert_memory_equal(m->writer, writer->writer_pub, 32);
	assert_true(m->sequence == UINT64_MAX && m->time_ns == INT64_MIN);
	assert_int_equal(m->parent_count, 2);
	assert_int_equal(m->parents[0].b[0], 40);
	assert_int_equal(m->parents[1].b[0], 50);
	assert_int_equal(m->seen_count, 3);
	assert_int_equal(m->seen[0].name.b[0], 2);
	assert_int_equal(m->seen[1].name.b[0], 3);
	assert_int_equal(m->seen[2].sequence, 256);
	assert_int_equal(m->domain, 0);
}

static void check_maint(const struct manifest *m, struct keys *full)
{
	struct err err = {0};
	struct id root = bytes_id(9), mac;

	assert_true(id_eq(&m->root, &root));
	assert_int_equal(m->tag_mac_count, 2);
	assert_int_equal(manifest_tag_mac(keys_domain(full, 0, &err), "nightly", &mac, &err), 0);
	assert_true(id_eq(&mac, &m->tag_macs[0]) || id_eq(&mac, &m->tag_macs[1]));
	assert_int_equal(m->verdict_count, 2);
	assert_int_equal(m->verdicts[0], 1);
	assert_int_equal(m->verdicts[1], 2);
	assert_true(m->files == UINT64_MAX && m->bytes == 2 && m->bytes_added == 3);
	assert_true(m->standing == MANIFEST_REPAIRED && m->incomplete);
}

static void check_read(const struct manifest *m)
{
	assert_string_equal(m->host, "app1");
	assert_string_equal(m->user, "");
	assert_int_equal(m->tag_count, 2);
	assert_string_equal(m->tags[0], "nightly");
	assert_string_equal(m->tags[1], "prod");
	assert_int_equal(m->source_count, 2);
	assert_string_equal(m->sources[0], "/srv/app");
	assert_true(m->started_ns == -1 && m->finished_ns == INT64_MAX && m->unreadable == 4);
	assert_int_equal(m->db_count, 2);
	assert_string_equal(m->dbs[0].path, "/srv/app/a.db");
	assert_string_equal(m->dbs[1].path, "/var/z.db");
	assert_string_equal(m->dbs[0].check_text, "");
	assert_true(m->dbs[0].page_count == UINT64_MAX && m->dbs[0].started_ns == INT64_MIN);
	assert_true(m->dbs[0].cells == 5 && m->dbs[0].cells_changed == UINT64_MAX);
	assert_int_equal(m->dbs[0].bytes_stored, 7);
	assert_string_equal(m->dbs[0].tables[0].name, "");
	assert_string_equal(m->dbs[0].tables[1].name, "b");
	assert_true(m->dbs[0].tables[1].rows == UINT64_MAX);
	assert_int_equal(m->ref_count, 2); /* as they were given, not sorted */
	assert_string_equal(m->refs[0].database, "z.db");
	assert_string_equal(m->refs[1].query, "SELECT a FROM b");
	assert_true(m->carried == 8 && m->alarms == UINT64_MAX && m->original.b[0] == 77);
}

static void test_roles(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct keys *who[] = {ring->full, ring->read, ring->maintain, ring->write};
	struct buf object = {0};

	enc_sample(ring, &object);
	assert_int_equal(object.len, bucket_bytes(object.len, 12));
	for (size_t i = 0; i < 4; i++) {
		struct manifest m = {0};
		struct err err = {0};

		assert_int_equal(manifest_dec(who[i], object.data, object.len, &m, &err), 0);
		assert_int_equal(err.code, 0);
		check_clear(&m, ring->write);
		assert_int_equal(m.has_maint, i < 3);
		assert_int_equal(m.has_read, i < 2);
		if (m.has_maint)
			check_maint(&m, ring->full);
		if (m.has_read)
			check_read(&m);
		manifest_free(&m);
	}
	buf_free(&object);
}

static void test_smallest(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct manifest m = {.sequence = 1, .host = bytes_text("h")}, got = {0};
	struct err err = {0};
	struct buf object = {0};

	buf_put_u8(&object, 0xaa); /* what is there already stays */
	assert_int_equal(manifest_enc(ring->full, &m, 20, &object, &err), 0);
	assert_int_equal(object.len, 1 + (1u << 20));
	assert_int_equal(object.data[0], 0xaa);
	assert_int_equal(manifest_dec(ring->read, object.data + 1, object.len - 1, &got, &err), 0);
	assert_string_equal(got.host, "h");
	assert_int_equal(got.tag_count + got.source_count + got.db_count + got.parent_count, 0);
	manifest_free(&got);
	manifest_free(&m);
	buf_free(&object);
}

static int dec_len(struct keys *keys, const void *bytes, size_t len)
{
	struct manifest m = {0};
	struct err err = {0};
	uint8_t *copy = malloc(len ? len : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	rc = manifest_dec(keys, copy, len, &m, &err);
	manifest_free(&m);
	free(copy);
	return rc;
}

static void test_every_cut_and_flip(void **state)
{
	signed_kit_cut_and_flip(*state, enc_sample, dec_len, 512);
}

/* --- signed by a rightful writer, and still wrong --- */

#define CLEAR_BYTES 72 /* up to the count of parents */

static void sign_again(struct manifest_kit_ring *ring, struct buf *object)
{
	struct err err = {0};

	object->len -= SIGN_BYTES;
	assert_int_equal(sign_append(object, "manifest", ring->full->writer_secret, &err), 0);
}

static int flip_and_sign(struct manifest_kit_ring *ring, struct keys *reader, size_t at, uint8_t to)
{
	struct buf object = {0};
	int rc;

	enc_sample(ring, &object);
	object.data[at] = to;
	sign_again(ring, &object);
	rc = dec_len(reader, object.data, object.len);
	buf_free(&object);
	return rc;
}

static void test_signed_but_wrong(void **state)
{
	struct manifest_kit_ring *ring = *state;
	size_t parents = CLEAR_BYTES, seen = parents + 2 + 2 * 32 + 2, maint = seen + 3 * 72;

	assert_int_equal(flip_and_sign(ring, ring->write, parents, 2), 0); /* as it was */
	assert_int_equal(flip_and_sign(ring, ring->write, 4, 2), -ERR_VERSION);
	assert_int_equal(flip_and_sign(ring, ring->write, 5, 5), -ERR_DAMAGED);
	assert_int_equal(flip_and_sign(ring, ring->write, 6, 2), -ERR_DAMAGED);
	assert_int_equal(flip_and_sign(ring, ring->write, 8, 9), -ERR_DAMAGED);
	/* order of parents, of writers seen, too many of either */
	assert_int_equal(flip_and_sign(ring, ring->write, parents + 2, 60), -ERR_DAMAGED);
	assert_int_equal(flip_and_sign(ring, ring->write, seen, 8), -ERR_DAMAGED);
	assert_int_equal(flip_and_sign(ring, ring->write, parents, 65), -ERR_LIMIT);
	assert_int_equal(flip_and_sign(ring, ring->write, seen - 1, 0xff), -ERR_LIMIT);
	assert_int_equal(flip_and_sign(ring, ring->write, seen - 2, 200), -ERR_DAMAGED);
	/* the slot's recipient, and bytes that are authenticated only with the part */
	assert_int_equal(flip_and_sign(ring, ring->write, maint + 32, SLOT_R), -ERR_DAMAGED);
	assert_int_equal(flip_and_sign(ring, ring->maintain, 64, 1), -ERR_DAMAGED);
	assert_int_equal(flip_and_sign(ring, ring->maintain, maint + 60, 1), -ERR_DAMAGED);
}

static void test_own_writer_among_the_others(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct manifest m = manifest_kit_sample();
	struct buf object = {0};
	struct err err = {0};

	memcpy(m.seen[0].writer, ring->full->writer_pub, 32);
	assert_int_equal(manifest_enc(ring->full, &m, 12, &object, &err), -ERR_USAGE);
	assert_int_equal(object.len, 0);
	manifest_free(&m);
	buf_free(&object);
}

static void test_standing_without_original(void **state)
{
	struct manifest_kit_ring *ring = *state;

	for (int i = 0; i < 2; i++) {
		struct manifest m = manifest_kit_sample();
		struct buf object = {0};
		struct err err = {0};

		if (i)
			m.standing = MANIFEST_ORDINARY;
		else
			m.original = (struct id){{0}};
		assert_int_equal(manifest_enc(ring->full, &m, 12, &object, &err), -ERR_USAGE);
		manifest_free(&m);
		buf_free(&object);
	}
}

struct craft {
	size_t maint_pad, read_pad; /* bytes after the plaintexts */
	uint8_t pad_byte;
	uint8_t read_slot; /* SLOT_R, or what should not be there */
	uint32_t read_domain;
	bool other_verdict, other_group, other_tag, other_standing, other_gaps;
	bool by_writer; /* read by who opens no part */
	bool large;     /* the next bucket above what every floor allows */
};

static void craft_part(struct manifest_kit_ring *ring, uint8_t recipient, uint32_t domain,
		       const struct buf *plain, struct buf *object)
{
	struct slot_hedge hedge = {.sequence = 1, .transcript = "", .transcript_len = 0};
	struct slot slot;
	struct err err = {0};
	uint8_t key[32];

	assert_int_equal(slot_make(ring->full, recipient, domain, &hedge, &slot, key, &err), 0);
	slot_put(object, &slot);
	buf_put_u32(object, (uint32_t)(plain->len + SEAL_TAG_BYTES));
	assert_int_equal(
	    seal_put(key, 0, object->data, object->len, plain->data, plain->len, object, &err), 0);
}

/* Puts an object together from the parts of a sound one. With pads of 0 the right ones are taken. */
static int try_craft(struct manifest_kit_ring *ring, const struct craft *c)
{
	struct manifest m = manifest_kit_sample();
	struct buf sound = {0}, object = {0}, maint = {0}, read = {0};
	struct err err = {0};
	size_t front = CLEAR_BYTES + 2 + 2 * 32 + 2 + 3 * 72, used;
	int rc;

	assert_int_equal(manifest_enc(ring->full, &m, 12, &sound, &err), 0);
	buf_put(&object, sound.data, front);
	if (c->other_verdict)
		m.verdicts[0] = 3;
	if (c->other_group)
		m.group.b[0] ^= 1;
	if (c->other_tag)
		m.tag_macs[0].b[31] ^= 1;
	if (c->other_standing)
		m.standing = MANIFEST_ORDINARY;
	if (c->other_gaps)
		m.incomplete = false;
	manifest_part_put_maint(&maint, &m);
	manifest_part_put_read(&read, &m);
	buf_put_zeros(&maint, c->maint_pad ? c->maint_pad : 512 - 16 - maint.len);
	used = front + 48 + maint.len + 16 + 48 + read.len + 16 + SIGN_BYTES;
	buf_put_zeros(&read, c->read_pad ? c->read_pad : sound.len - used);
	if (c->large)
		buf_put_zeros(&read, (2u << 20) - sound.len);
	maint.data[maint.len - 1] |= c->pad_byte & 1;
	read.data[read.len - 1] |= c->pad_byte & 2;
	craft_part(ring, SLOT_M, 0, &maint, &object);
	craft_part(ring, c->read_slot, c->read_domain, &read, &object);
	assert_int_equal(sign_append(&object, "manifest", ring->full->writer_secret, &err), 0);
	rc = dec_len(c->by_writer ? ring->write : ring->full, object.data, object.len);
	manifest_free(&m);
	buf_free(&sound);
	buf_free(&object);
	buf_free(&maint);
	buf_free(&read);
	return rc;
}

static void test_crafted(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct manifest m = manifest_kit_sample();
	struct buf maint = {0}, read = {0};
	size_t wide;

	manifest_part_sort(&m);
	m.tag_mac_count = 0;
	manifest_part_put_maint(&maint, &m);
	manifest_part_put_read(&read, &m);
	wide = 1024 - 16 - (maint.len + 2 * 32 + 2); /* two tags and verdicts come to it */
	assert_int_equal(try_craft(ring, &(struct craft){.read_slot = SLOT_R}), 0);
#define WRONG(...) assert_int_equal(try_craft(ring, &(struct craft){__VA_ARGS__}), -ERR_DAMAGED)
	WRONG(.read_slot = SLOT_R, .maint_pad = wide);
	WRONG(.read_slot = SLOT_R, .maint_pad = 1);
	WRONG(.read_slot = SLOT_R, .read_pad = 1);
	WRONG(.read_slot = SLOT_R, .large = true);
	WRONG(.read_slot = SLOT_R, .read_pad = 1, .by_writer = true);
	WRONG(.read_slot = SLOT_R, .maint_pad = 1, .by_writer = true);
	WRONG(.read_slot = SLOT_R, .pad_byte = 1);
	WRONG(.read_slot = SLOT_R, .pad_byte = 2);
	WRONG(.read_slot = SLOT_M);
	WRONG(.read_slot = SLOT_R, .read_domain = 1);
	WRONG(.read_slot = SLOT_R, .other_verdict = true);
	WRONG(.read_slot = SLOT_R, .other_group = true);
	WRONG(.read_slot = SLOT_R, .other_tag = true);
	WRONG(.read_slot = SLOT_R, .other_standing = true);
	WRONG(.read_slot = SLOT_R, .other_gaps = true);
#undef WRONG
	manifest_free(&m);
	buf_free(&maint);
	buf_free(&read);
}

static void test_other_repository_and_writer(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct keys *other = NULL;
	uint8_t repo[REPO_ID_BYTES] = {9}, master[32] = {9};
	struct buf object = {0};
	struct err err = {0};

	enc_sample(ring, &object);
	assert_int_equal(keys_from_master(repo, master, &other, &err), 0);
	assert_int_equal(dec_len(other, object.data, object.len), -ERR_DAMAGED);
	memcpy(other->repo, ring->full->repo, REPO_ID_BYTES);
	assert_int_equal(dec_len(other, object.data, object.len), -ERR_DAMAGED);
	keys_free(other);
	/* who does not hold the domain still gets the maintenance part */
	ring->read->domain_count = 0;
	{
		struct manifest m = {0};

		assert_int_equal(manifest_dec(ring->read, object.data, object.len, &m, &err), 0);
		assert_true(m.has_maint && !m.has_read);
		manifest_free(&m);
	}
	ring->read->domain_count = 1;
	buf_free(&object);
}

/* --- what is not written --- */

static int try_enc(struct keys *keys, struct manifest *m)
{
	struct buf object = {0};
	struct err err = {0};
	int rc = manifest_enc(keys, m, 12, &object, &err);

	assert_int_equal(object.len == 0, rc != 0);
	buf_free(&object);
	manifest_free(m);
	return rc;
}

static char *long_text(size_t len)
{
	char *text = malloc(len + 1);

	assert_non_null(text);
	memset(text, 'x', len);
	text[len] = '\0';
	return text;
}

static void test_enc_limits(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct manifest m = manifest_kit_sample();

	free(m.host);
	m.host = long_text(LIMIT_HOST_BYTES);
	assert_int_equal(try_enc(ring->full, &m), 0);
	m = manifest_kit_sample();
	free(m.host);
	m.host = long_text(LIMIT_HOST_BYTES + 1);
	assert_int_equal(try_enc(ring->full, &m), -ERR_LIMIT);
	m = manifest_kit_sample();
	free(m.tags[0]);
	m.tags[0] = long_text(LIMIT_TAG_BYTES + 1);
	assert_int_equal(try_enc(ring->full, &m), -ERR_LIMIT);
	m = manifest_kit_sample();
	m.dbs[1].check_text = long_text(UINT16_MAX + 1);
	assert_int_equal(try_enc(ring->full, &m), -ERR_LIMIT);
	m = manifest_kit_sample();
	free(m.refs[1].query);
	m.refs[1].query = long_text(LIMIT_REF_BYTES + 1);
	assert_int_equal(try_enc(ring->full, &m), -ERR_LIMIT);
	m = manifest_kit_sample();
	free(m.parents);
	m.parents = calloc(LIMIT_PARENTS + 1, sizeof(*m.parents));
	m.parent_count = LIMIT_PARENTS + 1;
	assert_int_equal(try_enc(ring->full, &m), -ERR_LIMIT);
}

static void test_enc_nonsense(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct manifest m = manifest_kit_sample();

	assert_int_equal(try_enc(ring->maintain, &m), -ERR_KEY);
	m = manifest_kit_sample();
	m.sequence = 0;
	assert_int_equal(try_enc(ring->full, &m), -ERR_USAGE);
	m = manifest_kit_sample();
	m.parents[0] = m.parents[1];
	assert_int_equal(try_enc(ring->full, &m), -ERR_USAGE);
	m = manifest_kit_sample();
	m.seen[1] = m.seen[2];
	assert_int_equal(try_enc(ring->full, &m), -ERR_USAGE);
	m = manifest_kit_sample();
	free(m.dbs[0].path);
	m.dbs[0].path = bytes_text(m.dbs[1].path);
	assert_int_equal(try_enc(ring->full, &m), -ERR_USAGE);
	m = manifest_kit_sample();
	m.dbs[0].method = 0;
	assert_int_equal(try_enc(ring->full, &m), -ERR_USAGE);
	m = manifest_kit_sample();
	m.domain = 77;
	assert_int_equal(try_enc(ring->write, &m), -ERR_KEY);
}

/* Many databases: the M part grows past 512 bytes, the object past the floor. */
static void test_many_databases(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct manifest m = {.sequence = 1, .host = bytes_text("h")}, got = {0};
	struct buf object = {0};
	struct err err = {0};

	m.db_count = 3000;
	m.dbs = calloc(m.db_count, sizeof(*m.dbs));
	assert_non_null(m.dbs);
	for (size_t i = 0; i < m.db_count; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "/srv/%zu.db", i);
		manifest_kit_fill_db(&m.dbs[i], path, (uint8_t)(1 + i % 3));
	}
	assert_int_equal(manifest_enc(ring->full, &m, 12, &object, &err), 0);
	assert_int_equal(manifest_dec(ring->full, object.data, object.len, &got, &err), 0);
	assert_int_equal(got.db_count, 3000);
	assert_string_equal(got.dbs[2999].path, "/srv/999.db");
	manifest_free(&got);
	manifest_free(&m);
	buf_free(&object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_roles),
	    cmocka_unit_test(test_smallest),
	    cmocka_unit_test(test_every_cut_and_flip),
	    cmocka_unit_test(test_signed_but_wrong),
	    cmocka_unit_test(test_own_writer_among_the_others),
	    cmocka_unit_test(test_standing_without_original),
	    cmocka_unit_test(test_crafted),
	    cmocka_unit_test(test_other_repository_and_writer),
	    cmocka_unit_test(test_enc_limits),
	    cmocka_unit_test(test_enc_nonsense),
	    cmocka_unit_test(test_many_databases),
	};

	return cmocka_run_group_tests(tests, manifest_kit_ring_setup, manifest_kit_ring_teardown);
}
