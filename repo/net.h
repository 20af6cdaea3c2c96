/*
 * net: what every store behind a network shares: its settings, the pace of its bytes, and the counts of
 * what it did. A backend takes a const struct net * when it is opened and keeps to it; NULL is all defaults.
 *
 * Threads: settings are read only. Pace and counts may be shared by the connections of several threads.
 */
#ifndef NIGHTJAR_REPO_NET_H
#define NIGHTJAR_REPO_NET_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Transfers at a time; -o connections=N. Each holds one pack (16 MiB) in memory. */
#define NET_CONNECTIONS 4
#define NET_MAX_CONNECTIONS 32

/* A transfer in which no byte moves for so long has stalled: ERR_AGAIN. */
#define NET_STALL_S 60

/* The retry layer tries a call again for so long in all, counted from its first failure. */
#define NET_RETRY_S (15 * 60)

/*
 * So many bytes a second. One is shared by all connections of one direction.
 */
struct net_pace {
	pthread_mutex_t lock;
	uint64_t bytes_per_s; /* 0: no limit, and the lock is not taken */
	int64_t free_at_ns;   /* CLOCK_MONOTONIC, when the bytes promised so far are through */
};

struct net_counts {
	atomic_ullong requests; /* sent, the repeated ones included */
	atomic_ullong retries;
	atomic_ullong sent_bytes; /* of objects, without headers */
	atomic_ullong received_bytes;
	atomic_ullong given_up; /* calls that the retry layer gave up since it last had an answer */
};

/* How a bucket is addressed. Auto: by host name at Amazon, by path elsewhere. */
enum net_s3_lookup { NET_S3_LOOKUP_AUTO, NET_S3_LOOKUP_DNS, NET_S3_LOOKUP_PATH };

struct net {
	unsigned connections; /* 0: NET_CONNECTIONS */
	unsigned stall_s;     /* 0: NET_STALL_S */
	unsigned retry_s;     /* 0: NET_RETRY_S */
	struct net_pace *up;  /* NULL: no limit. Not owned, as the next two */
	struct net_pace *down;
	struct net_counts *counts; /* NULL: not counted */
	const char *ssh_command;   /* NULL: ssh */
	const char *ca_file;       /* PEM, NULL: the system's */
	/* Of rest:, when the location names no user. */
	const char *rest_user, *rest_password;
	const char *s3_region; /* NULL: what the host name, the environment or the profile says */
	const char *s3_storage_class; /* of what is put; NULL: the bucket's own */
	enum net_s3_lookup s3_lookup;
	/*
	 * May be NULL. Told before each wait of the retry layer: text is the failure, tries how often the call has failed.
	 * Called by whatever thread waits, several at once.
	 */
	void (*retrying)(void *arg, const char *text, unsigned tries, unsigned wait_s);
	void *retrying_arg;
	/* What an environment variable says, NULL when it is not set. The whole is NULL: none is. */
	const char *(*environment)(const char *name);
	/* May be NULL. Asked between slices and waits; true ends a call with ERR_CANCELLED. */
	bool (*stopped)(void *arg);
	void *stopped_arg;
};

/* bytes_per_s 0 = no limit. */
void net_pace_init(struct net_pace *pace, uint64_t bytes_per_s);
/*
 * Counts n bytes and waits until they may be through, so that the slices of a transfer flow evenly; callers pass
 * slices of some 16 to 64 KiB. Returns at once without a pace (NULL), without a limit, or when stopped says so.
 */
void net_pace_take(struct net_pace *pace, size_t n, const struct net *net);

/* What an environment variable says; NULL when it is not set, or empty. net may be NULL in these three. */
const char *net_environment(const struct net *net, const char *name);

/* Does somebody want this to end? False without a way to ask. */
bool net_stopped(const struct net *net);
/* Sleeps, in short steps. False when it was stopped before. */
bool net_sleep(const struct net *net, int64_t ns);

/* Adds to one of the counts; net or its counts may be NULL. */
void net_count_request(const struct net *net);
void net_count_retry(const struct net *net);
void net_count_given_up(const struct net *net);
/* The server has answered, be it with a refusal. */
void net_count_answer(const struct net *net);
/* Was the last that is known of the server that it was given up? */
bool net_is_given_up(const struct net *net);
void net_count_sent(const struct net *net, size_t n);
void net_count_received(const struct net *net, size_t n);

#endif
