#include "tests/support/manifest_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/keyfile.h"
#include "tests/support/bytes.h"

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

int manifest_kit_ring_setup(void **state)
{
	struct manifest_kit_ring *ring = calloc(1, sizeof(*ring));
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

int manifest_kit_ring_teardown(void **state)
{
	struct manifest_kit_ring *ring = *state;

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

void manifest_kit_fill_db(struct manifest_db *db, const char *path, uint8_t verdict)
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
	db->cells = 5;
	db->cells_changed = UINT64_MAX;
	db->bytes_stored = 7;
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

static void fill_ref(struct manifest_ref *ref, const char *database, const char *query)
{
	ref->database = bytes_text(database);
	ref->query = bytes_text(query);
	ref->referenced = 10;
	ref->missing = 10;
	ref->orphans = UINT64_MAX;
}

struct manifest manifest_kit_sample(void)
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
	manifest_kit_fill_db(&m.dbs[0], "/var/z.db", 2);
	manifest_kit_fill_db(&m.dbs[1], "/srv/app/a.db", 1);
	m.db_count = 2;
	m.refs = calloc(2, sizeof(*m.refs));
	assert_non_null(m.refs);
	fill_ref(&m.refs[0], "z.db", "SELECT path FROM t");
	fill_ref(&m.refs[1], "app/a.db", "SELECT a FROM b");
	m.ref_count = 2;
	m.carried = 8;
	m.alarms = UINT64_MAX;
	m.original = bytes_id(77);
	m.standing = MANIFEST_REPAIRED;
	m.incomplete = true;
	return m;
}
