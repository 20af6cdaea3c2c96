/* check --read-data in parts: nights that together read everything once, whatever night was left out or broken off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/check.h"
#include "repo/checkpos.h"
#include "repo/statefile.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"
#include "tests/support/tmpdir.h"

#define PACKS 40u
#define DAY_NS (INT64_C(86400) * 1000000000)
#define FIRST_NIGHT (INT64_C(20000) * DAY_NS)

static struct repo_case *forty_nights(void **state)
{
	struct repo_case *c;

	assert_int_equal(repo_case_setup(state), 0);
	c = *state;
	for (unsigned i = 0; i < PACKS; i++) {
		uint8_t *block = repo_case_block(i, 3000 + 200 * i);
		struct repo_case_file file = {"a", block, 3000 + 200 * i};

		(void)repo_case_backup(c, &file, 1, 1000 + i);
		free(block);
	}
	assert_int_equal(repo_case_count(c->inner, STORE_DATA), PACKS);
	return c;
}

struct heard {
	unsigned notes, ticks, cancel_at;
};

static void on_note(void *arg, const char *object, const char *text)
{
	struct heard *h = arg;

	assert_true(object[0] && text[0]);
	h->notes++;
}

static int on_progress(void *arg, uint64_t done, uint64_t total, const char *what)
{
	struct heard *h = arg;

	(void)what;
	(void)done;
	return total && ++h->ticks == h->cancel_at;
}

static struct check_options night(const char *dir, double day, unsigned days)
{
	return (struct check_options){
	    .read_data = true,
	    .part = CHECK_DUE,
	    .part_days = days,
	    .state_dir = dir,
	    .now_ns = FIRST_NIGHT + (int64_t)(day * (double)DAY_NS),
	};
}

static struct check_result run(struct repo_case *c, const struct check_options *o)
{
	struct check_result res;

	MUST(check_run(c->repo, o, &res, &c->err), &c->err);
	return res;
}

static struct check_result run_whole(struct repo_case *c)
{
	const struct check_options o = {.read_data = true};

	return run(c, &o);
}

static void seven_nights_read_everything_once(void **state)
{
	struct repo_case *c = forty_nights(state);
	char *dir = tmpdir_make();
	const struct check_result whole = run_whole(c);
	uint64_t packs = 0, bytes = 0, chunks = 0, most = 0;

	assert_int_equal(whole.packs_read, PACKS);
	for (int day = 0; day < 7; day++) {
		struct check_options o = night(dir, day, 7);
		struct check_result res = run(c, &o);

		packs += res.packs_read;
		bytes += res.bytes_read;
		chunks += res.chunks;
		most = res.packs_read > most ? res.packs_read : most;
		assert_int_equal(res.damaged, 0);
	}
	assert_int_equal(packs, PACKS);
	assert_int_equal(bytes, whole.bytes_read);
	assert_int_equal(chunks, whole.chunks);
	assert_true(most < PACKS / 2);
	tmpdir_remove(dir);
	repo_case_free(c);
}

/* Late by hours, left out for days, twice in a row: what counts is the time that went by. */
static void uneven_nights_too(void **state)
{
	struct repo_case *c = forty_nights(state);
	char *dir = tmpdir_make();
	const double days[] = {0, 1.04, 1.05, 4.5, 5.4, 6};
	const struct check_result whole = run_whole(c);
	uint64_t bytes = 0;
	struct check_options o;
	struct check_result res;

	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
		o = night(dir, days[i], 7);
		bytes += run(c, &o).bytes_read;
	}
	assert_int_equal(bytes, whole.bytes_read);
	o = night(dir, 6, 7);
	res = run(c, &o);
	assert_int_equal(res.packs_read, 0); /* no time went by */
	o = night(dir, 30, 7);
	assert_int_equal(run(c, &o).packs_read, PACKS);
	o = night(dir, 10, 1000); /* a clock that went back: the part of a day */
	assert_in_range(run(c, &o).packs_read, 0, 3);
	tmpdir_remove(dir);
	repo_case_free(c);
}

static void damage_is_found_in_its_night(void **state)
{
	struct repo_case *c = forty_nights(state);
	char *dir = tmpdir_make();
	struct id *names = NULL;
	size_t count;
	unsigned nights = 0;

	MUST(repo_list(c->inner, STORE_DATA, &names, NULL, &count, &c->err), &c->err);
	repo_case_flip(c->inner, STORE_DATA, &names[17], 2000, 3);
	for (int day = 0; day < 5; day++) {
		struct check_options o = night(dir, day, 5);

		nights += run(c, &o).damaged > 0;
	}
	assert_int_equal(nights, 1);
	free(names);
	tmpdir_remove(dir);
	repo_case_free(c);
}

static void a_night_broken_off_is_read_again(void **state)
{
	struct repo_case *c = forty_nights(state);
	char *dir = tmpdir_make();
	struct heard heard = {.cancel_at = 20};
	struct check_options o = night(dir, 0, 2);
	struct checkpos pos;
	struct check_result res;
	uint64_t first, second;
	bool found = true;

	o.progress = on_progress;
	o.arg = &heard;
	assert_int_equal(check_run(c->repo, &o, &res, &c->err), -ERR_CANCELLED);
	MUST(checkpos_load(dir, c->repo->conf.repo, &pos, &found, &c->err), &c->err);
	assert_false(found);
	o.progress = NULL;
	first = run(c, &o).packs_read;
	o = night(dir, 1, 2);
	second = run(c, &o).packs_read;
	assert_int_equal(first + second, PACKS);
	tmpdir_remove(dir);
	repo_case_free(c);
}

static void a_damaged_position_begins_anew(void **state)
{
	static const char *const bad[] = {"", "x", "0123456789abcdef", "0123456789abcdef 5",
					  "0123456789abcdef 5\nmore"};
	struct repo_case *c = forty_nights(state);
	char *dir = tmpdir_make();
	struct check_options o = night(dir, 0, 4);
	const uint64_t first = run(c, &o).bytes_read;
	struct checkpos pos = {0};
	bool found;

	MUST(checkpos_load(dir, c->repo->conf.repo, &pos, &found, &c->err), &c->err);
	assert_true(found);
	assert_int_equal(pos.read_at_s, FIRST_NIGHT / 1000000000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		MUST(statefile_write(dir, c->repo->conf.repo, "check-position", bad[i],
				     strlen(bad[i]), &c->err),
		     &c->err);
		assert_int_equal(run(c, &o).bytes_read, first);
	}
	tmpdir_remove(dir);
	repo_case_free(c);
}

static void what_cannot_be_kept_is_told(void **state)
{
	struct repo_case *c = forty_nights(state);
	struct heard heard = {0};
	struct check_options o = night("/proc/nowhere", 0, 4);

	o.note = on_note;
	o.arg = &heard;
	assert_true(run(c, &o).packs_read > 0);
	assert_int_equal(heard.notes, 1);
	repo_case_free(c);
}

static void parts_by_number_share_and_size(void **state)
{
	struct repo_case *c = forty_nights(state);
	const struct check_result whole = run_whole(c);
	struct check_options o = {.read_data = true, .part = CHECK_ARC};
	uint64_t packs = 0;
	struct check_result res;

	for (uint64_t n = 1; n <= 3; n++) {
		o.arc = rotation_nth(n, 3);
		packs += run(c, &o).packs_read;
	}
	assert_int_equal(packs, PACKS);
	o.part = CHECK_BYTES;
	o.part_bytes = whole.bytes_read / 2;
	res = run(c, &o);
	assert_in_range(res.packs_read, PACKS / 4, 3 * PACKS / 4);
	o.part_bytes = whole.bytes_read;
	assert_int_equal(run(c, &o).packs_read, PACKS);
	repo_case_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(seven_nights_read_everything_once),
	    cmocka_unit_test(uneven_nights_too),
	    cmocka_unit_test(damage_is_found_in_its_night),
	    cmocka_unit_test(a_night_broken_off_is_read_again),
	    cmocka_unit_test(a_damaged_position_begins_anew),
	    cmocka_unit_test(what_cannot_be_kept_is_told),
	    cmocka_unit_test(parts_by_number_share_and_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
