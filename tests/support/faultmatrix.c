#include "tests/support/faultmatrix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/faultlab.h"
#include "tests/support/spawn.h"

#define WORKERS 2
#define CASES_MOST 20
#define SEEN_MOST 60000
#define SHOWN_MOST 60 /* findings of one worker that are printed */

static const char *const class_names[FAULT_CLASSES] = {"none",
						       "read",
						       "write",
						       "sync",
						       "create",
						       "open",
						       "name",
						       "resize",
						       "list",
						       "stat",
						       "map",
						       "allocation",
						       "libcrypto's allocation"};

/* In memory that the workers share. */
struct tally {
	unsigned next; /* series that nobody has begun */
	unsigned failed[CASES_MOST][FAULT_CLASSES];
	unsigned states[CASES_MOST];
	unsigned findings, runs;
};

struct worker {
	struct faultlab lab;
	struct tally *tally;
	const struct faultkind *kinds;
	size_t kind_count;
	uint64_t *seen;
	size_t seen_count;
	unsigned shown;
	bool full;
};

/* One fault: where, what and when. */
struct fault {
	const struct faultcase *c;
	const struct faultkind *kind;
	enum faultplace place;
	uint64_t at;
};

static bool is_memory(const struct faultkind *kind)
{
	return kind->call_class == FAULT_ALLOC || kind->call_class == FAULT_CRYPTO;
}

static const char *folder_of(enum faultplace place)
{
	switch (place) {
	case PLACE_REPO:
		return "work/repo";
	case PLACE_CACHE:
		return "work/cache";
	case PLACE_STATE:
		return "work/state";
	case PLACE_TARGET:
		return "work/target";
	case PLACE_SOURCE:
		return "app";
	case PLACE_OTHER:
		return "work/other";
	}
	return "";
}

/* --- judging one run --- */

/* Interrupted and cut short transfers are no errors: nobody must notice. */
static bool is_soft(const struct faultkind *kind)
{
	return kind->error == FAULT_SHORT || kind->error == EINTR;
}

/* A roster or a record of removals that this host has seen, and that the disk does not give now. */
static bool is_missed(const struct worker *w, const struct fault *f, const char *said)
{
	const char *first = w->lab.run.plan->first;

	return f->place == PLACE_REPO && (f->kind->error == EIO || f->kind->error == EACCES) &&
	       (strstr(first, "/repo/keys/") || strstr(first, "/repo/snapshots/")) &&
	       strstr(said, "or cannot be read");
}

/* A pack that is damaged, and could not be written anew, whyever: then the repository is, and is said to be, as before. */
static bool stays_damaged(const struct fault *f, const char *said)
{
	return f->c->broken && (strstr(said, "cannot be put in its place: ") ||
				strstr(said, "cannot be moved into a new pack: "));
}

static bool may_end(const struct fault *f, int status)
{
	if (status == 1)
		return true;
	if (is_memory(f->kind))
		return false;
	if (status == 3) /* a source that cannot be read is named, and the rest is stored */
		return f->place == PLACE_SOURCE && f->c->goal == GOAL_BACKUP;
	/* What the disk does not give is damage; what we are short of ourselves is none. */
	return (status == 20 || status == 23) && f->c->verdict == status &&
	       (f->kind->error == EIO || f->kind->error == EACCES) &&
	       (f->place == PLACE_REPO || f->place == PLACE_OTHER);
}

/* These name each thing that they could not do, and go on; and what lasts, everything meets. */
static bool goes_on(const struct fault *f, int status)
{
	return status != 1 || f->c->goal == GOAL_TARGET || f->c->broken || f->kind->lasting;
}

static bool names_something(const struct worker *w, const char *line)
{
	static const char *const words[] = {"data/",         "snapshots/",        "index/",
					    "out of memory", "the target folder", "a thread",
					    "manifest ",     "nightjar: /"};
	/* A restore says what it wrote from the target on. */
	bool named = strstr(line, w->lab.dir) || strstr(line, ": tmp") || strstr(line, "tmp/");

	for (size_t i = 0; !named && i < sizeof(words) / sizeof(words[0]); i++)
		named = strstr(line, words[i]) != NULL;
	return named;
}

static const char *judge_error(const struct worker *w, const struct fault *f, int status)
{
	char line[FAULTRUN_LINE], said[FAULTRUN_LINE];
	size_t lines = faultrun_errors(&w->lab.run, line);

	faultrun_said(&w->lab.run, said);
	if (status == FAULTRUN_HUNG)
		return "hangs";
	if (status >= 127)
		return "crashes";
	if (stays_damaged(f, said)
		? status != 20
		: !may_end(f, status) && !(status == 24 && is_missed(w, f, said)))
		return "the exit code is wrong";
	if (lines == 0 || (lines > 1 && !goes_on(f, status)))
		return lines ? "more than one line of errors" : "no word about the error";
	if (!names_something(w, line))
		return "the error names no path and no object";
	/* glibc says EAGAIN of a thread for whose stack there is no memory. */
	if (is_memory(f->kind) && !strstr(said, "out of memory") &&
	    !strstr(said, strerror(ENOMEM)) && !strstr(said, "a thread could not be started"))
		return "the error does not say that memory is short";
	/* Of its journal SQLite says only that it cannot be opened. */
	if (f->kind->error == ENOSPC && !strstr(w->lab.run.plan->first, "-journal") &&
	    !strstr(said, strerror(ENOSPC)) && !strstr(said, "no room left"))
		return "the error does not say that the disk is full";
	return NULL;
}

/* Cache and state serve speed and reports: without them the work is done as well. */
static bool must_succeed(const struct fault *f)
{
	return is_soft(f->kind) ||
	       (!is_memory(f->kind) && (f->place == PLACE_CACHE || f->place == PLACE_STATE));
}

/* SQLite's own (fdatasync) are of a copy that is synced again when it is whole. */
static bool hides_sync(const struct worker *w, const struct fault *f)
{
	return f->kind->call_class == FAULT_SYNC && !must_succeed(f) && f->kind->error != EINTR &&
	       strncmp(w->lab.run.plan->first, "fdatasync", 9) != 0 &&
	       !(f->c->goal == GOAL_TENDED && faultlab_warned(&w->lab, ""));
}

static const char *judge(struct worker *w, const struct fault *f, int status, bool reached)
{
	const struct faultgood *good = &w->lab.good[f->c - faultlab_cases];

	if (status == good->status && reached)
		return hides_sync(w, f) ? "a failed fsync is not told" : NULL;
	if (status == good->status && status == 0)
		return "exit 0, and it was not done (I6)";
	if (must_succeed(f))
		return "must not fail";
	return judge_error(w, f, status);
}

/* --- states --- */

static bool seen(struct worker *w, uint64_t key)
{
	for (size_t i = 0; i < w->seen_count; i++) {
		if (w->seen[i] == key)
			return true;
	}
	if (w->seen_count < SEEN_MOST)
		w->seen[w->seen_count++] = key;
	return false;
}

/* True when what the run has left is as an earlier one of this case left it. */
static bool known_state(struct worker *w, const struct fault *f, const char **out_why)
{
	uint8_t sum[FAULTTREE_BYTES];
	uint64_t key;

	if (!faulttree_sum(w->lab.work, true, sum))
		*out_why = "an object is not what its name says";
	memcpy(&key, sum, sizeof(key));
	return seen(w, key ^ (uint64_t)(f->c - faultlab_cases));
}

static void show(struct worker *w, const struct fault *f, int status, const char *first,
		 const char *line, const char *why)
{
	(void)__atomic_add_fetch(&w->tally->findings, 1, __ATOMIC_RELAXED);
	if (w->shown++ >= SHOWN_MOST)
		return;
	(void)fprintf(stderr, "# %s: %s of %s %llu in %s%s, at %s: exit %d: %s\n#   %s\n",
		      f->c->name,
		      f->kind->error == FAULT_SHORT ? "cut short" : strerror(f->kind->error),
		      class_names[f->kind->call_class], (unsigned long long)f->at,
		      is_memory(f->kind) ? "all" : folder_of(f->place),
		      f->kind->lasting ? " from there on" : "", first, status, why, line);
}

static void set_plan(struct worker *w, const struct fault *f)
{
	struct faultplan *plan = w->lab.run.plan;

	faultrun_clear(&w->lab.run);
	plan->call_class = (uint32_t)f->kind->call_class;
	plan->error = f->kind->error;
	plan->at = f->at;
	plan->lasting = f->kind->lasting;
	(void)snprintf(plan->below, sizeof(plan->below), "%s/%s", w->lab.dir, folder_of(f->place));
}

/* False: nothing was there to fail. */
static bool try_fault(struct worker *w, const struct fault *f)
{
	char first[sizeof(w->lab.run.plan->first)], line[FAULTRUN_LINE];
	size_t at = (size_t)(f->c - faultlab_cases);
	const char *why = NULL;
	bool reached, known;
	int status;

	faultlab_begin(&w->lab, f->c);
	set_plan(w, f);
	status = faultlab_try(&w->lab, f->c);
	if (w->lab.run.plan->fired == 0)
		return false;
	memcpy(first, w->lab.run.plan->first, sizeof(first));
	faultrun_said(&w->lab.run, line);
	(void)__atomic_add_fetch(&w->tally->failed[at][f->kind->call_class], 1, __ATOMIC_RELAXED);
	known = known_state(w, f, &why);
	if (!why && status != w->lab.good[at].status)
		why = judge(w, f, status, false);
	if (!why && status == w->lab.good[at].status) {
		reached = faultlab_reached(&w->lab, f->c);
		why = judge(w, f, status, reached);
	}
	if (!why && !known) {
		(void)__atomic_add_fetch(&w->tally->states[at], 1, __ATOMIC_RELAXED);
		why = faultlab_aftermath(&w->lab, f->c);
	}
	if (why)
		show(w, f, status, first, line, why);
	return true;
}

/* How many calls there are when none fails. */
static uint64_t count_calls(struct worker *w, struct fault *f)
{
	f->at = 0;
	faultlab_begin(&w->lab, f->c);
	set_plan(w, f);
	(void)faultlab_try(&w->lab, f->c);
	return w->lab.run.plan->calls;
}

/* Allocations of threads are not in the same order each time, so k may go a little beyond the count. */
static void try_series(struct worker *w, struct fault *f)
{
	uint64_t calls = count_calls(w, f), most = f->kind->most;

	if (w->full || calls <= most) {
		for (f->at = 1; f->at <= calls + 1 && try_fault(w, f);)
			f->at++;
		return;
	}
	for (uint64_t i = 0; i < most; i++) {
		f->at = 1 + i * (calls - 1) / (most - 1);
		(void)try_fault(w, f);
	}
}

/* --- workers --- */

/* The number-th of all (case, place, kind) that there are; false: there are not so many. */
static bool find_series(const struct worker *w, unsigned number, struct fault *out)
{
	for (size_t i = 0; i < faultlab_case_count; i++) {
		const struct faultcase *c = &faultlab_cases[i];

		for (size_t k = 0; k < w->kind_count; k++) {
			for (unsigned place = PLACE_REPO; place <= PLACE_OTHER; place <<= 1) {
				bool meant = is_memory(&w->kinds[k]) ? place == PLACE_REPO
								     : (c->places & place) != 0;

				if (meant && number-- == 0) {
					*out = (struct fault){c, &w->kinds[k],
							      (enum faultplace)place, 0};
					return true;
				}
			}
		}
	}
	return false;
}

static void work(struct worker *w)
{
	const char *only = getenv("FAULTS_ONLY"); /* the name of a case, for who mends it */
	struct fault f;

	faultlab_open(&w->lab);
	w->seen = calloc(SEEN_MOST, sizeof(*w->seen));
	if (!w->seen)
		abort();
	while (find_series(w, __atomic_fetch_add(&w->tally->next, 1, __ATOMIC_RELAXED), &f)) {
		if (!only || strcmp(only, f.c->name) == 0)
			try_series(w, &f);
	}
	free(w->seen);
	faultlab_close(&w->lab);
}

static void print_tally(const struct tally *tally)
{
	unsigned calls = 0, states = 0;

	for (size_t i = 0; i < faultlab_case_count; i++) {
		(void)fprintf(stderr, "# %s:", faultlab_cases[i].name);
		for (size_t k = 1; k < FAULT_CLASSES; k++) {
			if (tally->failed[i][k])
				(void)fprintf(stderr, " %s %u,", class_names[k],
					      tally->failed[i][k]);
			calls += tally->failed[i][k];
		}
		(void)fprintf(stderr, " different states examined: %u\n", tally->states[i]);
		states += tally->states[i];
	}
	(void)fprintf(stderr,
		      "# in all: %u calls failed, %u different states examined, %u findings\n",
		      calls, states, tally->findings);
}

void faultmatrix_test(const struct faultkind *kinds, size_t count)
{
	struct tally *tally =
	    mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[WORKERS];
	size_t findings;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("# sanitizers want to be loaded first, before any other library\n");
	skip();
#endif
	if (tally == MAP_FAILED || faultlab_case_count > CASES_MOST)
		abort();
	for (unsigned i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct worker w = {.tally = tally,
					   .kinds = kinds,
					   .kind_count = count,
					   .full = getenv("NIGHTJAR_LONG_FULL") != NULL};

			work(&w);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		int status;

		if (pids[i] < 0 || waitpid(pids[i], &status, 0) != pids[i] || status != 0)
			abort();
	}
	print_tally(tally);
	findings = tally->findings;
	(void)munmap(tally, sizeof(*tally));
	assert_int_equal(findings, 0);
}
