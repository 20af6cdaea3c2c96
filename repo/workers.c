#include "repo/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST_BY_DEFAULT 8 /* one thread feeds them, which is no faster than so many */

struct place {
	void *job;
	bool done;
};

struct thread {
	struct workers *all;
	void *context;
	pthread_t id;
};

/*
 * A ring of `depth` places. Jobs enter at `submitted`, are picked up at `started` and leave at `taken`, each counting up
 * for ever; place i of the ring is job number i modulo depth.
 */
struct workers {
	pthread_mutex_t lock;
	pthread_cond_t work; /* something to start, or time to end */
	pthread_cond_t done; /* a job was finished */
	struct place *ring;
	size_t depth;
	size_t submitted, started, taken;
	bool ending;
	workers_fn *fn;
	struct thread *threads;
	unsigned thread_count;
};

static void *run_thread(void *arg)
{
	struct thread *t = arg;
	struct workers *w = t->all;

	(void)pthread_mutex_lock(&w->lock);
	for (;;) {
		struct place *place;

		while (w->started == w->submitted && !w->ending)
			(void)pthread_cond_wait(&w->work, &w->lock);
		if (w->started == w->submitted)
			break;
		place = &w->ring[w->started++ % w->depth];
		(void)pthread_mutex_unlock(&w->lock);
		w->fn(t->context, place->job);
		(void)pthread_mutex_lock(&w->lock);
		place->done = true;
		(void)pthread_cond_signal(&w->done);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Threads inherit the mask: with everything blocked, SIGINT always finds the coordinator. */
static int start_threads(struct workers *w, unsigned count, void *const *contexts, struct err *err)
{
	sigset_t all, before;
	int failed = 0;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; !failed && i < count; i++) {
		struct thread *t = &w->threads[i];

		t->all = w;
		t->context = contexts[i];
		failed = pthread_create(&t->id, NULL, run_thread, t);
		if (!failed)
			w->thread_count++;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed ? err_sys(err, failed, "a thread could not be started") : 0;
}

int workers_new(unsigned count, unsigned depth, workers_fn *fn, void *const *contexts,
		struct workers **out_workers, struct err *err)
{
	struct workers *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_nomem(err);
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->work, NULL);
	(void)pthread_cond_init(&w->done, NULL);
	w->fn = fn;
	w->depth = depth;
	w->ring = calloc(depth, sizeof(*w->ring));
	w->threads = calloc(count, sizeof(*w->threads));
	r = w->ring && w->threads ? start_threads(w, count, contexts, err) : err_nomem(err);
	if (r) {
		workers_free(w);
		return r;
	}
	*out_workers = w;
	return 0;
}

void workers_free(struct workers *w)
{
	if (!w)
		return;
	(void)pthread_mutex_lock(&w->lock);
	w->ending = true;
	(void)pthread_cond_broadcast(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->thread_count; i++)
		(void)pthread_join(w->threads[i].id, NULL);
	(void)pthread_cond_destroy(&w->done);
	(void)pthread_cond_destroy(&w->work);
	(void)pthread_mutex_destroy(&w->lock);
	free(w->threads);
	free(w->ring);
	free(w);
}

/* submitted and taken are written by the coordinator alone, so it may read them without the lock. */
bool workers_full(const struct workers *w)
{
	return workers_pending(w) == w->depth;
}

size_t workers_pending(const struct workers *w)
{
	return w->submitted - w->taken;
}

void workers_submit(struct workers *w, void *job)
{
	(void)pthread_mutex_lock(&w->lock);
	w->ring[w->submitted % w->depth] = (struct place){.job = job};
	w->submitted++;
	(void)pthread_cond_signal(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
}

void *workers_take(struct workers *w)
{
	struct place *place;
	void *job;

	if (workers_pending(w) == 0)
		return NULL;
	(void)pthread_mutex_lock(&w->lock);
	place = &w->ring[w->taken % w->depth];
	while (!place->done)
		(void)pthread_cond_wait(&w->done, &w->lock);
	job = place->job;
	w->taken++;
	(void)pthread_mutex_unlock(&w->lock);
	return job;
}

bool workers_ready(struct workers *w)
{
	bool ready;

	if (workers_pending(w) == 0)
		return false;
	(void)pthread_mutex_lock(&w->lock);
	ready = w->ring[w->taken % w->depth].done;
	(void)pthread_mutex_unlock(&w->lock);
	return ready;
}

unsigned workers_default_count(void)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (online < 1)
		return 1;
	return online > MOST_BY_DEFAULT ? MOST_BY_DEFAULT : (unsigned)online;
}
