/*
 * sftp_box: a repository's folders behind a server, seen through SFTP and without it. cmocka tests: what goes wrong fails the
 * running one.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_SFTP_BOX_H
#define NIGHTJAR_TESTS_SUPPORT_SFTP_BOX_H

#include <stdint.h>

#include "repo/net.h"
#include "repo/store.h"

#define SFTP_BOX_BIG (3u << 20)

struct sftp_box {
	char *dir, *root, *command;
	struct net net;
	struct net_counts counts;
	struct store *store, *local; /* the same folder, the second without SFTP */
	struct buf buf;
	struct err err;
	uint8_t *big; /* SFTP_BOX_BIG bytes */
};

/* By this command instead of ssh, which it frees; without one the test is skipped. */
void sftp_box_open(struct sftp_box *b, char *command);
void sftp_box_close(struct sftp_box *b);
/* Opens the store anew, at this host, after command or root were changed. */
void sftp_box_reopen(struct sftp_box *b, const char *host);

/* A name: first, then rest 31 times. */
struct id sftp_box_id(unsigned first, unsigned rest);

struct sftp_box_seen {
	unsigned names;
	uint64_t bytes;
};
/* A store_list_fn that counts. */
int sftp_box_see(void *arg, const struct id *name, uint64_t size_bytes, struct err *err);

/* Group set-up and tear-down: the sshd of all tests, where there is one. */
int sftp_box_start_sshd(void **state);
int sftp_box_stop_sshd(void **state);
/* Its folder; NULL: there is none. */
const char *sftp_box_sshd(void);
/* The command that leads to it; NULL: there is none. To be freed. */
char *sftp_box_over_ssh(void);

#endif
