/* manifest: vectors of the parts, round trips by role, and everything that a reader must refuse (FORMAT.md §8). */
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
#include "tests/vectors/manifest.inc"

/* --- keys --- */

struct ring {
	struct keys *full, *write, *maintain, *read;
};

static struct keys *reduced(const struct keys *full, enum role role)
{
	struct keys *keys = NULL;
	struct err err = {0};
	struct buf text = {0};

	assert_int_equal(keyfile_enc(full, role, &text, &err), 0);
	assert_int_equal(keyfile_dec(text.data, text.len, &keys, &err), 0);
	buf_wipe(&text);
	return keys;
}

static int ring_setup(void **state)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	uint8_t repo[REPO_ID_BYTES], master[32];
	struct err err = {0};

	assert_non_null(ring);
	assert_true(sodium_init() >= 0);
	memset(repo, 1, sizeof(repo));
	memset(master, 2, sizeof(master));
	assert_int_equal(keys_from_master(repo, master, &ring->full, &err), 0);
	assert_int_equal(keys_random_writer(ring->full, "app1", 0, &err), 0);
	ring->write = reduced(ring->full, ROLE_WRITE);
	ring->maintain = reduced(ring->full, ROLE_MAINTAIN);
	ring->read = reduced(ring->full, ROLE_READ);
	*state = ring;
	return 0;
}

static int ring_teardown(void **state)
{
	struct ring *ring = *state;

	keys_free(ring->full);
	keys_free(ring->write);
	keys_free(ring->maintain);
	keys_free(ring->read);
	free(ring);
	return 0;
}

/* --- a manifest with something everywhere, in no order --- */

static char **texts(const char *const *from, size_t count)
{
	char **out = calloc(count, sizeof(*out));

	assert_non_null(out);
	for (size_t i = 0; i < count; i++)
		out[i] = bytes_text(from[i]);
	return out;
}

static void fill_db(struct manifest_db *db, const char *path, uint8_t verdict)
{
	db->path = bytes_text(path);
	db->method = 2;
	db->reason = bytes_text("no such module: fts9");
	db->page_size = 65536;
	db->page_count = UINT64_MAX;
	db->encoding = 3;
	db->auto_vacuum = 2;
	db->user_version = db->application_id = UINT32_MAX;
	memset(db->schema_hash, 0xff, sizeof(db->schema_hash));
	db->image_bytes = UINT64_MAX;
	db->check = 2;
	db->verdict = verdict;
	db->started_ns = INT64_MIN;
	db->finished_ns = INT64_MAX;
	db->tables = calloc(2, sizeof(*db->tables));
	assert_non_null(db->tables);
	db->tables[0] = (struct manifest_table){bytes_text("b"), UINT64_MAX};
	db->tables[1] = (struct manifest_table){bytes_text(""), 0};
	db->table_count = 2;
}

static struct manifest sample(void)
{
	static const char *const tags[] = {"prod", "nightly", "prod"};
	static const char *const sources[] = {"/var", "/srv/app", "/var"};
	struct manifest m = {
	    .sequence = UINT64_MAX,
	    .time_ns = INT64_MIN,
	    .root = bytes_id(9),
	    .files = UINT64_MAX,
	    .bytes = 2,
	    .bytes_added = 3,
	    .started_ns = -1,
	    .finished_ns = INT64_MAX,
	    .unreadable = 4,
	};

	m.host = bytes_text("app1");
	m.tags = texts(tags, 3);
	m.tag_count = 3;
	m.sources = texts(sources, 3);
	m.source_count = 3;
	m.parents = calloc(2, sizeof(*m.parents));
	m.seen = calloc(3, sizeof(*m.seen));
	m.dbs = calloc(2, sizeof(*m.dbs));
	assert_true(m.parents && m.seen && m.dbs);
	m.parents[0] = bytes_id(50);
	m.parents[1] = bytes_id(40);
	m.parent_count = 2;
	m.seen[0] = (struct manifest_seen){.writer = {7}, .sequence = 256, .name = bytes_id(1)};
	m.seen[1] = (struct manifest_seen){.writer = {7}, .sequence = 1, .name = bytes_id(3)};
	m.seen[2] = (struct manifest_seen){.writer = {7}, .sequence = 1, .name = bytes_id(2)};
	m.seen_count = 3;
	fill_db(&m.dbs[0], "/var/z.db", 2);
	fill_db(&m.dbs[1], "/srv/app/a.db", 1);
	m.db_count = 2;
	return m;
}

static void enc_sample(const struct ring *ring, struct buf *object)
{
	struct manifest m = sample();
	struct err err = {0};

	assert_int_equal(manifest_enc(ring->write, &m, 12, object, &err), 0);
	manifest_free(&m);
}

/* --- the parts --- */

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
	assert_int_equal(m.dbs[1].verdict, 3);
	assert_int_equal(m.dbs[1].page_count, 25);
	assert_true(m.dbs[1].started_ns == -5);
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
	struct manifest m = sample();
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

static void test_part_rules(void **state)
{
	static void (*const of_read[])(struct manifest *) = {
	    spoil_tag_order,  spoil_tag_twice, spoil_tag_empty, spoil_source_order,
	    spoil_db_order,   spoil_db_twice,  spoil_db_path,   spoil_source_empty,
	    spoil_host_empty, spoil_method_0,  spoil_method_4,  spoil_table_order,
	    spoil_check_0,    spoil_check_3,   spoil_verdict_0, spoil_verdict_4,
	};
	static void (*const of_maint[])(struct manifest *) = {
	    spoil_mac_order,
	    spoil_mac_twice,
	    spoil_verdict_0,
	    spoil_verdict_4,
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

/* --- whole manifests --- */

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
	assert_string_equal(m->dbs[0].tables[0].name, "");
	assert_string_equal(m->dbs[0].tables[1].name, "b");
	assert_true(m->dbs[0].tables[1].rows == UINT64_MAX);
}

static void test_roles(void **state)
{
	struct ring *ring = *state;
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
	struct ring *ring = *state;
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

static int dec_len(struct keys *keys, const uint8_t *bytes, size_t len)
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
	struct ring *ring = *state;
	struct buf object = {0};

	enc_sample(ring, &object);
	assert_int_equal(dec_len(ring->full, object.data, object.len), 0);
	for (size_t len = 0; len < object.len; len += len < 512 ? 1 : 61)
		assert_true(dec_len(ring->full, object.data, len) < 0);
	for (size_t i = 0; i < object.len * 8; i += i < 80 * 8 ? 1 : 9) {
		object.data[i / 8] ^= (uint8_t)(1u << (i % 8));
		assert_true(dec_len(ring->write, object.data, object.len) < 0);
		object.data[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	buf_put_u8(&object, 0);
	assert_true(dec_len(ring->full, object.data, object.len) < 0);
	buf_free(&object);
}

/* --- signed by a rightful writer, and still wrong --- */

#define CLEAR_BYTES 72 /* up to the count of parents */

static void sign_again(struct ring *ring, struct buf *object)
{
	struct err err = {0};

	object->len -= SIGN_BYTES;
	assert_int_equal(sign_append(object, "manifest", ring->full->writer_secret, &err), 0);
}

static int flip_and_sign(struct ring *ring, struct keys *reader, size_t at, uint8_t to)
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
	struct ring *ring = *state;
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
	struct ring *ring = *state;
	struct manifest m = sample();
	struct buf object = {0};
	struct err err = {0};

	memcpy(m.seen[0].writer, ring->full->writer_pub, 32);
	assert_int_equal(manifest_enc(ring->full, &m, 12, &object, &err), -ERR_USAGE);
	assert_int_equal(object.len, 0);
	manifest_free(&m);
	buf_free(&object);
}

struct craft {
	size_t maint_pad, read_pad; /* bytes after the plaintexts */
	uint8_t pad_byte;
	uint8_t read_slot; /* SLOT_R, or what should not be there */
	uint32_t read_domain;
	bool other_verdict, other_tag;
	bool by_writer; /* read by who opens no part */
	bool large;     /* the next bucket above what every floor allows */
};

static void craft_part(struct ring *ring, uint8_t recipient, uint32_t domain,
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
static int try_craft(struct ring *ring, const struct craft *c)
{
	struct manifest m = sample();
	struct buf sound = {0}, object = {0}, maint = {0}, read = {0};
	struct err err = {0};
	size_t front = CLEAR_BYTES + 2 + 2 * 32 + 2 + 3 * 72, used;
	int rc;

	assert_int_equal(manifest_enc(ring->full, &m, 12, &sound, &err), 0);
	buf_put(&object, sound.data, front);
	if (c->other_verdict)
		m.verdicts[0] = 3;
	if (c->other_tag)
		m.tag_macs[0].b[31] ^= 1;
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
	struct ring *ring = *state;
	struct manifest m = sample();
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
	WRONG(.read_slot = SLOT_R, .other_tag = true);
#undef WRONG
	manifest_free(&m);
	buf_free(&maint);
	buf_free(&read);
}

static void test_other_repository_and_writer(void **state)
{
	struct ring *ring = *state;
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
	struct ring *ring = *state;
	struct manifest m = sample();

	free(m.host);
	m.host = long_text(LIMIT_HOST_BYTES);
	assert_int_equal(try_enc(ring->full, &m), 0);
	m = sample();
	free(m.host);
	m.host = long_text(LIMIT_HOST_BYTES + 1);
	assert_int_equal(try_enc(ring->full, &m), -ERR_LIMIT);
	m = sample();
	free(m.tags[0]);
	m.tags[0] = long_text(LIMIT_TAG_BYTES + 1);
	assert_int_equal(try_enc(ring->full, &m), -ERR_LIMIT);
	m = sample();
	m.dbs[1].check_text = long_text(UINT16_MAX + 1);
	assert_int_equal(try_enc(ring->full, &m), -ERR_LIMIT);
	m = sample();
	free(m.parents);
	m.parents = calloc(LIMIT_PARENTS + 1, sizeof(*m.parents));
	m.parent_count = LIMIT_PARENTS + 1;
	assert_int_equal(try_enc(ring->full, &m), -ERR_LIMIT);
}

static void test_enc_nonsense(void **state)
{
	struct ring *ring = *state;
	struct manifest m = sample();

	assert_int_equal(try_enc(ring->maintain, &m), -ERR_KEY);
	m = sample();
	m.sequence = 0;
	assert_int_equal(try_enc(ring->full, &m), -ERR_USAGE);
	m = sample();
	m.parents[0] = m.parents[1];
	assert_int_equal(try_enc(ring->full, &m), -ERR_USAGE);
	m = sample();
	m.seen[1] = m.seen[2];
	assert_int_equal(try_enc(ring->full, &m), -ERR_USAGE);
	m = sample();
	spoil_db_twice(&m);
	assert_int_equal(try_enc(ring->full, &m), -ERR_USAGE);
	m = sample();
	m.dbs[0].method = 0;
	assert_int_equal(try_enc(ring->full, &m), -ERR_USAGE);
	m = sample();
	m.domain = 77;
	assert_int_equal(try_enc(ring->write, &m), -ERR_KEY);
}

/* Many databases: the M part grows past 512 bytes, the object past the floor. */
static void test_many_databases(void **state)
{
	struct ring *ring = *state;
	struct manifest m = {.sequence = 1, .host = bytes_text("h")}, got = {0};
	struct buf object = {0};
	struct err err = {0};

	m.db_count = 3000;
	m.dbs = calloc(m.db_count, sizeof(*m.dbs));
	assert_non_null(m.dbs);
	for (size_t i = 0; i < m.db_count; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "/srv/%zu.db", i);
		fill_db(&m.dbs[i], path, (uint8_t)(1 + i % 3));
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
	    cmocka_unit_test(test_part_vectors),
	    cmocka_unit_test(test_part_hostile_counts),
	    cmocka_unit_test(test_read_vector_fields),
	    cmocka_unit_test(test_repeat_vector),
	    cmocka_unit_test(test_part_rules),
	    cmocka_unit_test(test_zero_byte_in_a_text),
	    cmocka_unit_test(test_two_roots),
	    cmocka_unit_test(test_roles),
	    cmocka_unit_test(test_smallest),
	    cmocka_unit_test(test_every_cut_and_flip),
	    cmocka_unit_test(test_signed_but_wrong),
	    cmocka_unit_test(test_own_writer_among_the_others),
	    cmocka_unit_test(test_crafted),
	    cmocka_unit_test(test_other_repository_and_writer),
	    cmocka_unit_test(test_enc_limits),
	    cmocka_unit_test(test_enc_nonsense),
	    cmocka_unit_test(test_many_databases),
	};

	return cmocka_run_group_tests(tests, ring_setup, ring_teardown);
}
