/* mend, repair by parity, and what a check says and takes back: over disks that do not read, stores that replace nothing, and stops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/limits.h"
#include "repo/check.h"
#include "repo/mend.h"
#include "repo/repair.h"
#include "repo/store_layer.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define LARGE_BYTES 400000
#define BLOCK PARITY_BLOCK_BYTES

struct box {
	struct repo_case *c;
	uint8_t *large, *small;
	struct repo_case_file file[2];
	struct id manifest[2];
	struct id pack[2]; /* the large one, of stripes, and the small one, a copy */
	struct buf whole[2];
	struct err *err;
};

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof(*b));
	struct id *names = NULL;
	uint64_t *sizes = NULL;
	size_t count = 0;
	void *c;

	assert_non_null(b);
	assert_int_equal(repo_case_setup(&c), 0);
	b->c = c;
	b->err = &b->c->err;
	b->c->repo->parity = 2;
	b->large = repo_case_block(1, LARGE_BYTES);
	b->small = repo_case_block(2, 100);
	b->file[0] = (struct repo_case_file){"large", b->large, LARGE_BYTES};
	b->file[1] = (struct repo_case_file){"small", b->small, 100};
	b->manifest[0] = repo_case_backup(b->c, b->file, 1, 1);
	b->manifest[1] = repo_case_backup(b->c, b->file + 1, 1, 2);
	MUST(repo_list(b->c->inner, STORE_DATA, &names, &sizes, &count, b->err), b->err);
	assert_int_equal(count, 2);
	for (size_t i = 0; i < 2; i++) {
		b->pack[i] = names[(sizes[0] > sizes[1]) == (i == 0) ? 0 : 1];
		b->whole[i] = repo_case_get(b->c->inner, STORE_DATA, &b->pack[i]);
	}
	assert_int_equal(b->whole[0].data[30], PARITY_TWO);
	assert_int_equal(b->whole[1].data[30], PARITY_COPY);
	free(names);
	free(sizes);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;
	void *c = b->c;

	free(b->large);
	free(b->small);
	buf_free(&b->whole[0]);
	buf_free(&b->whole[1]);
	(void)repo_case_teardown(&c);
	free(b);
	return 0;
}

static bool is_as_it_was(struct box *b, size_t i)
{
	struct buf now = repo_case_get(b->c->inner, STORE_DATA, &b->pack[i]);
	bool same = now.len == b->whole[i].len && memcmp(now.data, b->whole[i].data, now.len) == 0;

	buf_free(&now);
	return same;
}

static void rot(struct box *b, size_t i, size_t block, size_t count)
{
	struct buf bytes = repo_case_get(b->c->inner, STORE_DATA, &b->pack[i]);

	memset(bytes.data + block * BLOCK, 0x5a, count * BLOCK);
	repo_case_replace(b->c->inner, STORE_DATA, &b->pack[i], bytes.data, bytes.len);
	buf_free(&bytes);
}

static enum mend_state mended(struct box *b, struct store *store, size_t i, bool write,
			      struct mend *m)
{
	struct buf bytes = {0};

	MUST(mend_pack(store, &b->pack[i], write, &bytes, m, b->err), b->err);
	if (m->state != MEND_BEYOND)
		assert_memory_equal(bytes.data, b->whole[i].data, b->whole[i].len);
	buf_free(&bytes);
	return m->state;
}

static void test_states(void **state)
{
	struct box *b = *state;
	struct store *inner = b->c->inner;
	const struct id none = {{1}};
	struct buf bytes = {0};
	struct mend m;
	char text[MEND_TEXT_CHARS];

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(mended(b, inner, i, true, &m), MEND_WHOLE);
		rot(b, i, 0, 1);
		assert_int_equal(mended(b, inner, i, false, &m), MEND_COULD);
		assert_int_equal(m.why.code, 0);
		assert_false(is_as_it_was(b, i));
		assert_int_equal(mended(b, inner, i, true, &m), MEND_DONE);
		assert_true(is_as_it_was(b, i));
		assert_int_equal(m.mended.blocks, 1);
	}
	mend_text(&m, text);
	assert_string_equal(text, "1 of 3 blocks were damaged");
	rot(b, 0, 0, 9);
	assert_int_equal(mended(b, inner, 0, true, &m), MEND_BEYOND);
	assert_int_equal(m.why.code, ERR_DAMAGED);
	MUST_FAIL(mend_pack(inner, &none, true, &bytes, &m, b->err), ERR_MISSING, b->err);
	buf_free(&bytes);
}

/* --- a disk with blocks that it does not give --- */

struct disk {
	struct store_layer layer;
	struct id name;
	size_t from, until;    /* blocks of that pack that fail */
	enum err_code refusal; /* of whatever is written, when it is not 0 */
};

static bool hits(const struct disk *d, const struct id *name, size_t at, size_t len)
{
	return id_eq(&d->name, name) && at < d->until * BLOCK && at + len > d->from * BLOCK;
}

static int disk_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		    struct buf *out, struct err *err)
{
	const struct disk *d = (const struct disk *)s;

	if (type == STORE_DATA && d->until && id_eq(&d->name, name))
		return err_sys(err, EIO, "cannot read it");
	return store_layer_get(s, type, name, max_bytes, out, err);
}

static int disk_get_range(struct store *s, enum store_type type, const struct id *name,
			  uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	const struct disk *d = (const struct disk *)s;

	if (type == STORE_DATA && hits(d, name, (size_t)offset, len))
		return err_sys(err, EIO, "cannot read it");
	return store_get_range(d->layer.inner, type, name, offset, len, out, err);
}

static int disk_replace(struct store *s, enum store_type type, const struct id *name,
			const void *bytes, size_t len, struct err *err)
{
	struct disk *d = (struct disk *)s;

	if (d->refusal)
		return err_set(err, d->refusal, "this disk is glued");
	d->until = 0; /* written anew it reads */
	return store_replace(d->layer.inner, type, name, bytes, len, err);
}

static int disk_put(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		    size_t len, struct err *err)
{
	const struct disk *d = (const struct disk *)s;

	/* What only adds does that. */
	if (d->refusal && d->refusal != ERR_DENIED)
		return err_set(err, d->refusal, "this disk is glued");
	return store_put(d->layer.inner, type, name, bytes, len, err);
}

static void disk_free(struct store *s)
{
	struct disk *d = (struct disk *)s;

	store_layer_end(&d->layer);
	free(d);
}

static const struct store_ops disk_ops = {
    .create = store_layer_create,
    .put = disk_put,
    .get = disk_get,
    .get_range = disk_get_range,
    .size = store_layer_size,
    .list = store_layer_list,
    .remove = store_layer_remove,
    .now = store_layer_now,
    .free = disk_free,
    .replace = disk_replace,
};

/* Over the case's store, whose layer it takes. */
static struct disk *disk_over(struct box *b, struct store *inner)
{
	struct disk *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	MUST(store_layer_init(&d->layer, &disk_ops, inner, b->err), b->err);
	d->name = b->pack[0];
	return d;
}

static void test_unreadable_blocks(void **state)
{
	struct box *b = *state;
	struct store *through = NULL;
	struct disk *d;
	struct mend m;

	MUST(store_fault_new(b->c->inner, &through, b->err), b->err);
	d = disk_over(b, through);
	for (size_t from = 0; from < b->whole[0].len / BLOCK; from += 13) {
		d->from = from;
		d->until = from + 2;
		assert_int_equal(mended(b, &d->layer.base, 0, true, &m), MEND_DONE);
		assert_true(m.mended.blocks >= 1 && m.mended.blocks <= 2);
		assert_int_equal(mended(b, &d->layer.base, 0, true, &m), MEND_WHOLE);
	}
	d->from = 0;
	d->until = 1000; /* nothing of it */
	assert_int_equal(mended(b, &d->layer.base, 0, true, &m), MEND_BEYOND);
	store_free(&d->layer.base);
}

/* What parity gives back is moved where it cannot be put in its place. */
static void test_not_replaced(void **state)
{
	struct box *b = *state;
	const struct repair_packs_options options = {.now_ns = 9};
	struct repair_parity_result parity;
	struct repair_packs_result result;
	struct disk *d = disk_over(b, b->c->repo->store);
	struct mend m;

	b->c->repo->store = &d->layer.base;
	d->refusal = ERR_DENIED;
	rot(b, 0, 3, 2);
	assert_int_equal(mended(b, &d->layer.base, 0, true, &m), MEND_COULD);
	assert_string_equal(m.why.text, "this disk is glued");
	MUST(repair_parity(&d->layer.base, &(struct repair_parity_options){0}, &parity, b->err),
	     b->err);
	assert_int_equal(parity.packs, 2);
	assert_int_equal(parity.damaged, 1);
	assert_int_equal(parity.mended, 0);
	MUST(repair_packs(b->c->repo, &options, &result, b->err), b->err);
	assert_int_equal(result.damaged, 1);
	assert_int_equal(result.mended, 0);
	assert_int_equal(result.records_lost, 0);
	assert_true(result.records_saved > 3);
	MUST(store_remove(b->c->inner, STORE_DATA, &b->pack[0], b->err), b->err);
	repo_case_reopen(b->c);
	MUST(repo_case_try_read(b->c->repo, &b->manifest[0], b->file, 1, b->err), b->err);
}

/* --- a disk that is full, or may only be read --- */

struct told {
	unsigned lost, repaired, glued;
};

static void count_lost(void *arg, const char *object, const char *text)
{
	struct told *t = arg;

	(void)object;
	t->lost++;
	t->glued += strstr(text, "this disk is glued; ") && strstr(text, "do this again");
}

static void count_repaired(void *arg, const char *object, const char *text)
{
	struct told *t = arg;

	(void)object, (void)text;
	t->repaired++;
}

static struct repair_callbacks telling(struct told *t)
{
	*t = (struct told){0};
	return (struct repair_callbacks){.lost = count_lost, .repaired = count_repaired, .arg = t};
}

static struct disk *glued(struct box *b, enum err_code refusal)
{
	struct disk *d = disk_over(b, b->c->repo->store);

	b->c->repo->store = &d->layer.base;
	d->refusal = refusal;
	return d;
}

/* Each is named and left as it is, and once there is room all are mended. */
static void goes_on_after(struct box *b, enum err_code refusal)
{
	struct disk *d = glued(b, refusal);
	struct told told;
	const struct repair_parity_options parity = {.cb = telling(&told)};
	const struct repair_packs_options packs = {.now_ns = 9, .cb = telling(&told)};
	struct repair_parity_result mended;
	struct repair_packs_result result;

	rot(b, 0, 3, 2);
	rot(b, 1, 0, 1);
	MUST(repair_parity(&d->layer.base, &parity, &mended, b->err), b->err);
	assert_int_equal(mended.packs, 2);
	assert_int_equal(mended.damaged, 2);
	assert_int_equal(mended.unwritten, 2);
	assert_int_equal(mended.mended, 0);
	assert_int_equal(told.glued, 2);
	(void)telling(&told);
	MUST(repair_packs(b->c->repo, &packs, &result, b->err), b->err);
	assert_int_equal(result.packs, 2);
	assert_int_equal(result.damaged, 2);
	assert_int_equal(result.unwritten, 2);
	assert_int_equal(result.records_saved + result.records_lost + result.packs_lost, 0);
	assert_int_equal(result.noted, 0);
	assert_false(result.unnoted);
	assert_int_equal(told.glued, 2);
	assert_int_equal(told.lost + told.repaired, 2);
	d->refusal = 0;
	MUST(repair_parity(&d->layer.base, &parity, &mended, b->err), b->err);
	assert_int_equal(mended.mended, 2);
	assert_true(is_as_it_was(b, 0) && is_as_it_was(b, 1));
}

static void test_full(void **state)
{
	goes_on_after(*state, ERR_FULL);
}

static void test_read_only(void **state)
{
	goes_on_after(*state, ERR_IO);
}

/* What has gone away is not asked for each pack, until its patience ends for each. */
static void test_gone(void **state)
{
	struct box *b = *state;
	struct disk *d = glued(b, ERR_AGAIN);
	struct told told;
	const struct repair_parity_options options = {.cb = telling(&told)};
	struct repair_parity_result result;

	rot(b, 0, 3, 2);
	rot(b, 1, 0, 1);
	MUST_FAIL(repair_parity(&d->layer.base, &options, &result, b->err), ERR_AGAIN, b->err);
	assert_int_equal(result.unwritten, 0);
}

/* What cannot be moved stays where it is, and prune is not told to take it. */
static void test_full_beyond(void **state)
{
	struct box *b = *state;
	struct disk *d = glued(b, ERR_FULL);
	struct told told;
	const struct repair_packs_options options = {.now_ns = 9, .cb = telling(&told)};
	struct repair_packs_result result;

	rot(b, 0, 40, 5); /* in the middle of its records: most of them still open */
	rot(b, 1, 0, 1);
	MUST(repair_packs(b->c->repo, &options, &result, b->err), b->err);
	assert_int_equal(result.damaged, 2);
	assert_int_equal(result.unwritten, 2);
	assert_int_equal(result.records_saved + result.records_lost + result.packs_lost, 0);
	assert_int_equal(result.noted, 0);
	assert_false(result.unnoted);
	assert_int_equal(told.glued, 2);
	assert_int_equal(repo_case_count(b->c->inner, STORE_SNAPSHOTS), 2);
	assert_int_equal(repo_case_count(b->c->inner, STORE_DATA), 2);
	d->refusal = 0;
	MUST(repair_packs(b->c->repo, &options, &result, b->err), b->err);
	assert_int_equal(result.mended, 1);
	assert_int_equal(result.unwritten, 0);
	assert_true(result.records_saved > 0);
	assert_true(result.records_lost > 0);
	assert_int_equal(result.noted, result.records_saved + result.records_lost);
	assert_true(is_as_it_was(b, 1));
	repo_case_reopen(b->c);
	MUST(repo_case_try_read(b->c->repo, &b->manifest[1], b->file + 1, 1, b->err), b->err);
}

/* Nothing of it opens, so there is nothing to move, and only the note is not written. */
static void test_full_note(void **state)
{
	struct box *b = *state;
	struct disk *d = glued(b, ERR_FULL);
	struct told told;
	const struct repair_packs_options options = {.now_ns = 9, .cb = telling(&told)};
	struct repair_packs_result result;

	rot(b, 1, 0, 3);
	MUST(repair_packs(b->c->repo, &options, &result, b->err), b->err);
	assert_true(result.unnoted);
	assert_int_equal(result.noted, 0);
	assert_int_equal(result.unwritten, 0);
	assert_int_equal(told.glued, 1);
	assert_true(result.records_lost > 0);
	d->refusal = 0;
	MUST(repair_packs(b->c->repo, &options, &result, b->err), b->err);
	assert_false(result.unnoted);
	assert_true(result.noted > 0);
}

/* --- stops --- */

/* Wherever it ends the object is what it was before or what it once was, and the next run mends it. */
static void stops(struct box *b, enum store_fault_kind kind)
{
	const struct repair_parity_options options = {0};
	struct repair_parity_result result;
	bool fired = true;

	for (uint64_t k = 1; fired; k++) {
		struct buf rotten, now;
		int r;

		rot(b, 0, 5, 4);
		rotten = repo_case_get(b->c->inner, STORE_DATA, &b->pack[0]);
		store_fault_arm(b->c->fault, &(struct store_fault_plan){.kind = kind, .at = k});
		r = repair_parity(b->c->repo->store, &options, &result, b->err);
		fired = store_fault_fired(b->c->fault);
		assert_true(fired || r == 0);
		store_fault_arm(b->c->fault, &(struct store_fault_plan){0});
		now = repo_case_get(b->c->inner, STORE_DATA, &b->pack[0]);
		assert_true(is_as_it_was(b, 0) ||
			    (now.len == rotten.len && memcmp(now.data, rotten.data, now.len) == 0));
		buf_free(&now);
		buf_free(&rotten);
		MUST(repair_parity(b->c->repo->store, &options, &result, b->err), b->err);
		assert_int_equal(result.damaged, result.mended);
		assert_true(is_as_it_was(b, 0));
	}
}

static void test_stops(void **state)
{
	stops(*state, FAULT_BEFORE);
	stops(*state, FAULT_AFTER);
	stops(*state, FAULT_STOP);
}

/* --- notes --- */

static struct check_result check(struct box *b, bool withdraw)
{
	const struct check_options options = {
	    .read_data = true, .put_notes = true, .now_ns = 7, .withdraw = withdraw};
	struct check_result result;

	repo_case_reopen(b->c);
	MUST(check_run(b->c->repo, &options, &result, b->err), b->err);
	return result;
}

static void test_notes(void **state)
{
	struct box *b = *state;
	const struct repair_parity_options options = {0};
	struct repair_parity_result parity;
	struct check_result result;

	rot(b, 0, 10, 8);
	rot(b, 1, 0, 2); /* both copies */
	result = check(b, true);
	assert_int_equal(result.mendable, 0);
	assert_true(result.noted >= 2);
	assert_int_equal(repo_case_count(b->c->inner, STORE_SNAPSHOTS), 3);
	/* Damage that is there keeps its note, though other damage of it is gone. */
	repo_case_replace(b->c->inner, STORE_DATA, &b->pack[0], b->whole[0].data, b->whole[0].len);
	result = check(b, true);
	assert_int_equal(result.withdrawn, 0);
	assert_true(result.damaged > 0);
	repo_case_replace(b->c->inner, STORE_DATA, &b->pack[1], b->whole[1].data, b->whole[1].len);
	rot(b, 0, 10, 3);
	result = check(b, true);
	assert_int_equal(result.mendable, 1);
	assert_int_equal(result.withdrawn, 0);
	MUST(repair_parity(b->c->repo->store, &options, &parity, b->err), b->err);
	assert_int_equal(parity.mended, 1);
	assert_int_equal(parity.blocks, 3);
	/* Nothing is true of any, but only who asks for it takes them away. */
	result = check(b, false);
	assert_int_equal(result.damaged, 0);
	assert_true(repo_case_count(b->c->inner, STORE_SNAPSHOTS) >= 3);
	result = check(b, true);
	assert_true(result.withdrawn >= 2);
	assert_int_equal(repo_case_count(b->c->inner, STORE_SNAPSHOTS), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_states, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_unreadable_blocks, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_not_replaced, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_full_beyond, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_full_note, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stops, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_notes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
