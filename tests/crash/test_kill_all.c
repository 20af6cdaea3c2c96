/*
 * I1 to I7: every command that changes something is killed before each of its system calls, so also after the one before, by
 * kill -9. Calls that change no file leave the disk as it was: it is judged once for each state that was not seen before in this
 * command. NIGHTJAR_CRASH_ONLY=NAME: one command alone.
 *
 * Not counted are calls whose number changes from run to run: futex, by which threads wait for each other, and what restore looks
 * at below /proc, to see who has a file open. Neither changes a file. The calls are those of the first thread: in a run that is let
 * through all threads are stopped, and none but the first may touch a file of the disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/crashlab.h"
#include "tests/support/spawn.h"
#include "tests/support/tmpdir.h"
#include "tests/support/tracer.h"

#define SLACK                                                                                      \
	20u /* a run makes some calls more or less than another: threads wait for each other, or not */
#define WORKERS 2u

/* What the run that is let through tells, and what it and the others are for. */
struct plan {
	const char *disk;
	size_t disk_len;
	unsigned calls;   /* of the first thread */
	unsigned foreign; /* of other threads, that change files */
	unsigned threads;
};

/* In memory that the workers share. */
struct tally {
	struct crash_states states;
	unsigned kills, missed, acknowledged, failed;
};

struct watch {
	const char *disk;
	size_t disk_len;
	unsigned until, calls;
	unsigned contents; /* calls made so far that change what is in a file */
};

/* --- tracing --- */

static bool on_disk(const char *disk, size_t len, const struct tracer_stop *stop)
{
	return stop->changes && strncmp(stop->path, disk, len) == 0;
}

static bool is_passed_over(const struct tracer_stop *stop)
{
	return stop->call == SYS_futex || strncmp(stop->path, "/proc/", 6) == 0;
}

static bool on_planned(void *arg, const struct tracer_stop *stop)
{
	struct plan *p = arg;
	if (!stop->before || is_passed_over(stop))
		return false;
	if (stop->thread >= p->threads)
		p->threads = stop->thread + 1;
	if (stop->thread > 0)
		p->foreign += on_disk(p->disk, p->disk_len, stop);
	else
		p->calls++;
	return false;
}

static bool on_stop(void *arg, const struct tracer_stop *stop)
{
	struct watch *w = arg;

	if (!stop->before || is_passed_over(stop))
		return false;
	if (w->calls++ == w->until)
		return true;
	w->contents += on_disk(w->disk, w->disk_len, stop) && stop->call != SYS_fsync &&
		       stop->call != SYS_fdatasync;
	return false;
}

static enum tracer_end traced(const struct crashlab *lab, const struct crash_case *c, bool threads,
			      tracer_fn *fn, void *arg, int *out_status)
{
	char **argv = crashlab_argv(lab, c), *log = tmpdir_path(lab->work, "said");
	enum tracer_end end =
	    (threads ? tracer_run_threads : tracer_run)(argv, log, fn, arg, out_status);

	crashlab_free_argv(argv);
	free(log);
	return end;
}

/* False: ptrace is not permitted here. */
static bool make_plan(const struct crashlab *lab, const struct crash_case *c, struct plan *p)
{
	int status = 0;
	enum tracer_end end;

	*p = (struct plan){.disk = lab->disk, .disk_len = strlen(lab->disk)};
	crashlab_reset(lab, c);
	end = traced(lab, c, true, on_planned, p, &status);
	if (end == TRACER_REFUSED)
		return false;
	if (status != 0) {
		char *log = tmpdir_path(lab->work, "said");

		spawn_show(log);
		fail_msg("%s: the traced run exits %d", c->name, status);
	}
	assert_true(p->calls > 100);
	assert_int_equal(p->foreign, 0);
	return true;
}

/* --- states --- */

/* Names are random where they are digits, and so is what is sealed; so: names without digits, kinds and sizes. */
static void add_entry(crypto_generichash_state *sum, const char *name, unsigned long long size)
{
	static const char digits[] = "0123456789abcdef";

	while (*name) {
		size_t run = strspn(name, digits);

		if (run >= 2)
			crypto_generichash_update(sum, (const uint8_t *)"#", 1);
		else
			crypto_generichash_update(sum, (const uint8_t *)name, run = 1);
		name += run;
	}
	crypto_generichash_update(sum, (const uint8_t *)&size, sizeof(size));
}

struct listing {
	const char *disk;
	uint64_t
	    sum; /* of all entries, in any order: their names, and so their order, are random */
};

static bool list_entry(void *arg, const char *path, bool is_folder)
{
	struct listing *l = arg;
	crypto_generichash_state state;
	struct stat st;
	uint64_t sum;

	if (lstat(path, &st) != 0)
		abort();
	crypto_generichash_init(&state, NULL, 0, 16);
	add_entry(&state, path + strlen(l->disk),
		  is_folder ? UINT64_MAX : (unsigned long long)st.st_size);
	{
		uint8_t bytes[16];

		crypto_generichash_final(&state, bytes, sizeof(bytes));
		memcpy(&sum, bytes, sizeof(sum));
	}
	l->sum += sum;
	return false;
}

static bool is_new_state(struct tally *t, const struct crashlab *lab, const struct watch *w,
			 bool told)
{
	struct listing l = {.disk = lab->disk};

	(void)treesum_any(lab->disk, list_entry, &l);
	return crashlab_is_new(&t->states,
			       (l.sum + (2 * w->contents + told) * 0x9e3779b97f4a7c15u) | 1);
}

/* --- killing --- */

static char *said_in(const struct crashlab *lab)
{
	char *path = tmpdir_path(lab->work, "said"), *text = calloc(1, 4096);
	FILE *f = fopen(path, "r");

	if (!f || !text || fread(text, 1, 4095, f) == 4095)
		abort();
	(void)fclose(f);
	free(path);
	return text;
}

/* True: the disk has to be made anew. */
static bool try_call(const struct crashlab *lab, const struct crash_case *c, unsigned call,
		     struct tally *tally)
{
	struct watch w = {.disk = lab->disk, .disk_len = strlen(lab->disk), .until = call};
	const char *why = NULL;
	char *said;
	bool told;
	int status;

	if (traced(lab, c, false, on_stop, &w, &status) != TRACER_KILLED) {
		crashlab_count(&tally->missed);
		return true;
	}
	crashlab_count(&tally->kills);
	said = said_in(lab);
	told = strstr(said, c->promise) != NULL;
	if (!is_new_state(tally, lab, &w, told)) {
		free(said);
		return w.contents > 0;
	}
	if (told)
		crashlab_count(&tally->acknowledged);
	why = crashlab_judge(lab, c, said);
	free(said);
	if (why) {
		crashlab_count(&tally->failed);
		(void)fprintf(stderr, "# %s, killed before its call %u: %s\n", c->name, call, why);
	}
	return true;
}

/* The tracer and what it traces take turns, which costs least on one processor: this worker's. */
static void stay_on_one(unsigned worker)
{
	cpu_set_t all, one;

	if (sched_getaffinity(0, sizeof(all), &all) != 0 || CPU_COUNT(&all) < (int)WORKERS)
		return;
	CPU_ZERO(&one);
	for (size_t cpu = 0, nth = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &all) && nth++ == worker)
			CPU_SET(cpu, &one);
	}
	(void)sched_setaffinity(0, sizeof(one), &one);
}

struct job {
	struct crashlab *lab;
	const struct crash_case *c;
	const struct plan *p;
	struct tally *tally;
};

static void work(void *arg, unsigned worker)
{
	const struct job *j = arg;
	struct crashlab *lab = j->lab;
	bool stale = true;
	char name[20];

	stay_on_one(worker);
	(void)snprintf(name, sizeof(name), "work%u", worker);
	crashlab_enter(lab, name);
	for (unsigned call = worker; call < j->p->calls + SLACK; call += WORKERS) {
		if (stale)
			crashlab_reset(lab, j->c);
		stale = try_call(lab, j->c, call, j->tally);
	}
	crashlab_leave(lab);
}

/* --- the test --- */

struct sum {
	unsigned kills, distinct;
};

static bool kill_case(struct crashlab *lab, const struct crash_case *c, void *arg)
{
	struct sum *sum = arg;
	struct plan p;
	struct tally *t =
	    mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(t != MAP_FAILED);
	crashlab_enter(lab, "plan");
	if (!make_plan(lab, c, &p)) {
		crashlab_leave(lab);
		return false;
	}
	crashlab_leave(lab);
	spawn_workers(WORKERS, work, &(struct job){lab, c, &p, t});
	(void)fprintf(stderr,
		      "# %s: %u calls, %u kills, %u different states judged, %u of them after the "
		      "success was told; %u threads, one that touches files\n",
		      c->name, p.calls, t->kills, t->states.count, t->acknowledged, p.threads);
	assert_int_equal(t->failed, 0);
	assert_true(t->missed <= 2 * SLACK);
	assert_true(t->states.count >= 5);
	assert_true(t->acknowledged > 0);
	sum->kills += t->kills;
	sum->distinct += t->states.count;
	(void)munmap(t, sizeof(*t));
	return true;
}

static void killed_at_every_call(void **state)
{
	struct sum sum = {0};

	(void)state;
	crashlab_each(kill_case, &sum);
	(void)fprintf(stderr, "# in all: %u kills, %u different states judged\n", sum.kills,
		      sum.distinct);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(killed_at_every_call)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
