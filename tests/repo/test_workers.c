/* workers: order, bounds, and the end with jobs under way. Run under ThreadSanitizer by `make tsan`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "repo/workers.h"
#include "tests/support/must.h"

struct context {
	unsigned ran;
};

struct job {
	unsigned number;
	unsigned square;
	unsigned naps; /* tenths of a millisecond, so that later jobs overtake */
	unsigned times_run;
};

static void square(void *context, void *job)
{
	struct context *c = context;
	struct job *j = job;
	struct timespec nap = {.tv_nsec = (long)j->naps * 100000};

	(void)nanosleep(&nap, NULL);
	j->square = j->number * j->number;
	j->times_run++;
	c->ran++;
}

static void run_many(unsigned count, unsigned depth)
{
	enum { JOBS = 400 };
	struct context contexts[8] = {{0}};
	void *pointers[8];
	struct job *jobs = calloc(JOBS, sizeof(*jobs));
	struct workers *w = NULL;
	struct err err = {0};
	unsigned next = 0, ran = 0;

	assert_non_null(jobs);
	for (size_t i = 0; i < 8; i++)
		pointers[i] = &contexts[i];
	MUST(workers_new(count, depth, square, pointers, &w, &err), &err);
	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i].number = i;
		jobs[i].naps = (i * 7) % 5;
		if (workers_full(w)) {
			struct job *j = workers_take(w);

			assert_ptr_equal(j, &jobs[next]);
			assert_int_equal(j->square, next * next);
			next++;
		}
		assert_false(workers_full(w));
		assert_true(workers_pending(w) < depth);
		workers_submit(w, &jobs[i]);
	}
	while (workers_pending(w)) {
		struct job *j = workers_take(w);

		assert_ptr_equal(j, &jobs[next++]);
	}
	assert_null(workers_take(w));
	workers_free(w);
	assert_int_equal(next, JOBS);
	for (unsigned i = 0; i < JOBS; i++)
		assert_int_equal(jobs[i].times_run, 1);
	for (size_t i = 0; i < 8; i++)
		ran += contexts[i].ran;
	assert_int_equal(ran, JOBS);
	free(jobs);
}

static void gives_back_in_order(void **state)
{
	(void)state;
	run_many(1, 1);
	run_many(1, 4);
	run_many(2, 2);
	run_many(8, 8);
	run_many(3, 40);
}

static void ends_with_jobs_under_way(void **state)
{
	struct context contexts[2] = {{0}};
	void *pointers[2] = {&contexts[0], &contexts[1]};
	struct job jobs[6] = {{0}};
	struct workers *w = NULL;
	struct err err = {0};

	(void)state;
	MUST(workers_new(2, 6, square, pointers, &w, &err), &err);
	for (unsigned i = 0; i < 6; i++) {
		jobs[i].naps = 5;
		workers_submit(w, &jobs[i]);
	}
	workers_free(w);
	assert_int_equal(contexts[0].ran + contexts[1].ran, 6);
	workers_free(NULL);
}

static void default_count_is_sane(void **state)
{
	(void)state;
	assert_in_range(workers_default_count(), 1, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(gives_back_in_order),
	    cmocka_unit_test(ends_with_jobs_under_way),
	    cmocka_unit_test(default_count_is_sane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
