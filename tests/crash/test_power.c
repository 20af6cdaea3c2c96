/*
 * I1 to I4, I6, I7 after a power failure: the operations of every command on the disk (repository, key file, cache, local state) are
 * recorded, and at each point between two of them disks are made that a file system may leave: what was not synced is lost,
 * torn or out of order (tests/support/weakfs.h). Each different one is judged: what was acknowledged by then restores,
 * what is visible is whole, and the next command just works.
 *
 * The disks are the same in each run of a record; NIGHTJAR_LONG_FULL=1 makes four times as many by chance, NIGHTJAR_CRASH_ONLY=NAME
 * those of one command.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/crashlab.h"
#include "tests/support/oplog.h"
#include "tests/support/spawn.h"
#include "tests/support/tmpdir.h"
#include "tests/support/weakfs.h"

#define CHANCES 6u
#define WORKERS 2u

/* In memory that the workers share. */
struct tally {
	struct crash_states states;
	unsigned images, acknowledged, failed;
};

struct record {
	struct oplog ops;
	struct weakfs *fs;
};

/* False: ptrace is not permitted here. */
static bool make_record(struct crashlab *lab, const struct crash_case *c, struct record *r)
{
	char **argv, *log, *stage = crashlab_stage(lab, c->stage);
	struct weakfs_image *end;
	int status = 0;
	bool fine;

	crashlab_enter(lab, "record");
	crashlab_reset(lab, c);
	argv = crashlab_argv(lab, c);
	log = tmpdir_path(lab->work, "said");
	fine = oplog_record(argv, lab->disk, log, &r->ops, &status);
	if (fine && status != 0)
		spawn_show(log);
	if (fine) {
		assert_int_equal(status, 0);
		assert_string_equal(r->ops.unknown, "");
		assert_int_equal(r->ops.foreign, 0);
		r->fs = weakfs_new(stage, &r->ops);
		/* Played whole, the record gives what the run left: nothing was overlooked. */
		end = weakfs_image(r->fs, r->ops.count, 4);
		assert_true(weakfs_is(end, lab->disk));
		weakfs_image_free(end);
	}
	crashlab_free_argv(argv);
	crashlab_leave(lab);
	free(log);
	free(stage);
	return fine;
}

static char *said_by(const struct oplog *ops, size_t point)
{
	char *said = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&said, &len);

	if (!f)
		abort();
	for (size_t i = 0; i < point; i++) {
		if (ops->ops[i].kind == OP_SAID)
			(void)fwrite(ops->ops[i].bytes, 1, ops->ops[i].len, f);
	}
	if (fclose(f) != 0)
		abort();
	return said;
}

static void try_image(const struct crashlab *lab, const struct crash_case *c,
		      const struct record *r, size_t point, unsigned way, struct tally *tally)
{
	struct weakfs_image *image = weakfs_image(r->fs, point, way);
	char *said = said_by(&r->ops, point);
	bool told = strstr(said, c->promise) != NULL;
	const char *why;

	crashlab_count(&tally->images);
	if (crashlab_is_new(&tally->states, (weakfs_sum(image) + told * 0x9e3779b97f4a7c15u) | 1)) {
		if (told)
			crashlab_count(&tally->acknowledged);
		tmpdir_remove(strdup(lab->disk));
		weakfs_write(image, lab->disk);
		why = crashlab_judge(lab, c, said);
		if (why) {
			crashlab_count(&tally->failed);
			(void)fprintf(stderr, "# %s, after %zu operations, disk %u: %s\n", c->name,
				      point, way, why);
		}
	}
	weakfs_image_free(image);
	free(said);
}

struct job {
	struct crashlab *lab;
	const struct crash_case *c;
	const struct record *r;
	struct tally *tally;
};

static void work(void *arg, unsigned worker)
{
	const struct job *j = arg;
	struct crashlab *lab = j->lab;
	unsigned ways = WEAKFS_FIXED + CHANCES * (getenv("NIGHTJAR_LONG_FULL") ? 4 : 1);
	char name[20];

	(void)snprintf(name, sizeof(name), "work%u", worker);
	crashlab_enter(lab, name);
	for (size_t i = worker; i < (j->r->ops.count + 1) * ways; i += WORKERS)
		try_image(lab, j->c, j->r, i / ways, (unsigned)(i % ways), j->tally);
	crashlab_leave(lab);
}

struct sum {
	unsigned images, distinct;
};

static bool fail_case(struct crashlab *lab, const struct crash_case *c, void *arg)
{
	struct sum *sum = arg;
	struct tally *t;
	struct record r = {0};
	bool fine;

	/* What a restore has written is not a backup's: who restores looks at the end. */
	if (c->kind == CRASH_RESTORE)
		return true;
	t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(t != MAP_FAILED);
	fine = make_record(lab, c, &r);
	if (fine) {
		spawn_workers(WORKERS, work, &(struct job){lab, c, &r, t});
		(void)fprintf(stderr,
			      "# %s: %zu points of failure, %u disks, %u different ones judged, %u "
			      "of them after the success was told\n",
			      c->name, r.ops.count + 1, t->images, t->states.count,
			      t->acknowledged);
		assert_int_equal(t->failed, 0);
		assert_true(t->acknowledged > 0);
		sum->images += t->images;
		sum->distinct += t->states.count;
		weakfs_free(r.fs);
	}
	oplog_free(&r.ops);
	(void)munmap(t, sizeof(*t));
	return fine;
}

static void power_fails_at_any_point(void **state)
{
	struct sum sum = {0};

	(void)state;
	crashlab_each(fail_case, &sum);
	(void)fprintf(stderr, "# in all: %u disks, %u different ones judged\n", sum.images,
		      sum.distinct);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(power_fails_at_any_point)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
