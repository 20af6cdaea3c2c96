#include "repo/net.h"

#include <time.h>

/* So often somebody who waits asks whether to go on. */
#define LOOK_NS 100000000

static int64_t monotonic_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void net_pace_init(struct net_pace *pace, uint64_t bytes_per_s)
{
	(void)pthread_mutex_init(&pace->lock, NULL);
	pace->bytes_per_s = bytes_per_s;
	pace->free_at_ns = 0;
}

const char *net_environment(const struct net *net, const char *name)
{
	const char *value = net && net->environment ? net->environment(name) : NULL;

	return value && *value ? value : NULL;
}

bool net_stopped(const struct net *net)
{
	return net && net->stopped && net->stopped(net->stopped_arg);
}

bool net_sleep(const struct net *net, int64_t ns)
{
	int64_t until = monotonic_ns() + ns;

	while (!net_stopped(net)) {
		int64_t left = until - monotonic_ns();
		struct timespec t = {0, left < LOOK_NS ? left : LOOK_NS};

		if (left <= 0)
			return true;
		(void)nanosleep(&t, NULL);
	}
	return false;
}

void net_pace_take(struct net_pace *pace, size_t n, const struct net *net)
{
	int64_t now, wait;

	if (!pace || !pace->bytes_per_s)
		return;
	(void)pthread_mutex_lock(&pace->lock);
	now = monotonic_ns();
	if (pace->free_at_ns < now)
		pace->free_at_ns = now;
	pace->free_at_ns += (int64_t)((double)n * 1e9 / (double)pace->bytes_per_s);
	wait = pace->free_at_ns - now;
	(void)pthread_mutex_unlock(&pace->lock);
	(void)net_sleep(net, wait);
}

void net_count_request(const struct net *net)
{
	if (net && net->counts)
		atomic_fetch_add(&net->counts->requests, 1);
}

void net_count_retry(const struct net *net)
{
	if (net && net->counts)
		atomic_fetch_add(&net->counts->retries, 1);
}

void net_count_given_up(const struct net *net)
{
	if (net && net->counts)
		atomic_fetch_add(&net->counts->given_up, 1);
}

void net_count_answer(const struct net *net)
{
	if (net_is_given_up(net))
		atomic_store(&net->counts->given_up, 0);
}

bool net_is_given_up(const struct net *net)
{
	return net && net->counts && atomic_load(&net->counts->given_up) > 0;
}

void net_count_sent(const struct net *net, size_t n)
{
	if (net && net->counts)
		atomic_fetch_add(&net->counts->sent_bytes, n);
}

void net_count_received(const struct net *net, size_t n)
{
	if (net && net->counts)
		atomic_fetch_add(&net->counts->received_bytes, n);
}
