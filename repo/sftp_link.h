/*
 * sftp_link: one SFTP session: requests that are sent without waiting, and their answers, each given to who asked.
 *
 * A request is made in two steps that belong together: sftp_link_ask (or _expect) gives its id, and one packet with that
 * id is appended to sftp_link_out. Nothing is sent before sftp_link_wait, nor is anything freed that an answer may come to:
 * arg must live until a wait for all has returned.
 *
 * After any error of a wait the session is of no more use (answers may be on their way to args that are gone): free it.
 * An answer to something that was not asked, a packet too long or one that breaks the protocol is ERR_IO. Memory is
 * bounded: at most SFTP_LINK_ASKED requests, and one packet.
 *
 * Counts of struct net: a request is a round trip, that is a batch of packets which one wait covers; what is asked upon an
 * answer is a second one. One thread.
 */
#ifndef NIGHTJAR_REPO_SFTP_LINK_H
#define NIGHTJAR_REPO_SFTP_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/limits.h"
#include "core/sftp.h"
#include "repo/net.h"
#include "repo/sftp_where.h"

#define SFTP_LINK_ASKED 1024 /* requests without an answer yet */

struct sftp_link;

/* Connects and greets. Errors as sftp_ssh. Both must outlive the link; net may be NULL. */
int sftp_link_open(const struct sftp_where *where, const struct net *net,
		   struct sftp_link **out_link, struct err *err) ERR_UNUSED_WARN;
/* orderly: what was asked still reaches the server; not after another error of a wait than ERR_CANCELLED. NULL is fine. */
void sftp_link_free(struct sftp_link *link, bool orderly);

/* What the server can. */
const struct sftp_version *sftp_link_version(const struct sftp_link *link);

/* Gets the answer, STATUS or another. May ask more, never wait. Nonzero ends the wait with that. */
typedef int sftp_reply_fn(void *arg, struct sftp_reply *reply, struct err *err);

/* The id of the next request; fewer than SFTP_LINK_ASKED may be unanswered. */
uint32_t sftp_link_ask(struct sftp_link *link, sftp_reply_fn *fn, void *arg);
struct buf *sftp_link_out(struct sftp_link *link);

/* Sends, and handles answers, until at most so many requests have none yet. */
int sftp_link_wait(struct sftp_link *link, unsigned most, struct err *err) ERR_UNUSED_WARN;
/* Requests without an answer. */
unsigned sftp_link_asked(const struct sftp_link *link);

/*
 * Where an answer is kept. want is set by _expect: a server that answers with neither that nor a STATUS breaks the
 * protocol. Several requests that want STATUS may share one: the first that is not OK stays.
 */
struct sftp_result {
	enum sftp_type want;
	bool answered;
	uint32_t code;  /* SFTP_OK when the answer is what was wanted */
	char words[80]; /* of a STATUS that is not OK: printable characters */
	struct sftp_attrs attrs;
	uint64_t free_bytes;
	size_t handle_len;
	uint8_t handle[LIMIT_SFTP_HANDLE_BYTES];
};

/* As sftp_link_ask; want is SFTP_STATUS, HANDLE, ATTRS or EXTENDED_REPLY (of statvfs). */
uint32_t sftp_link_expect(struct sftp_link *link, enum sftp_type want, struct sftp_result *result);
struct span sftp_result_handle(const struct sftp_result *result);

/* As sftp_link_ask, when nobody needs the answer. */
uint32_t sftp_link_unheard(struct sftp_link *link);
/* Such a CLOSE. */
void sftp_link_close(struct sftp_link *link, struct span handle);

/* What a STATUS said, for a message: its words, else what its code means. */
void sftp_link_words(const struct sftp_reply *reply, char out[80]);

#endif
