#include "repo/sftp_link.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/sftp_ssh.h"

#define IN_BYTES (2 * LIMIT_SFTP_PACKET_BYTES)
#define WORDS 80

_Static_assert((SFTP_LINK_ASKED & (SFTP_LINK_ASKED - 1)) == 0,
	       "an id is a slot and a serial number");

/* One request without an answer. */
struct slot {
	sftp_reply_fn *fn; /* NULL: free */
	void *arg;
	uint32_t id;
	unsigned depth; /* how many answers had to come before it was asked */
};

struct sftp_link {
	const struct sftp_where *where;
	const struct net *net;
	struct sftp_ssh *ssh;
	struct sftp_version version;
	struct buf out;
	size_t sent; /* of out */
	uint8_t *in;
	size_t in_len;
	struct slot slots[SFTP_LINK_ASKED];
	uint16_t free_slots[SFTP_LINK_ASKED];
	unsigned asked;
	uint32_t serial;
	unsigned depth, deepest; /* of the answer that is being given; of this batch */
};

const struct sftp_version *sftp_link_version(const struct sftp_link *link)
{
	return &link->version;
}

unsigned sftp_link_asked(const struct sftp_link *link)
{
	return link->asked;
}

/* --- asking --- */

static struct slot *ask(struct sftp_link *link, sftp_reply_fn *fn, void *arg)
{
	unsigned index;
	struct slot *slot;

	assert(link->asked < SFTP_LINK_ASKED);
	index = link->free_slots[SFTP_LINK_ASKED - 1 - link->asked++];
	slot = &link->slots[index];
	*slot = (struct slot){.fn = fn,
			      .arg = arg,
			      .id = link->serial++ * SFTP_LINK_ASKED + index,
			      .depth = link->depth + 1};
	return slot;
}

uint32_t sftp_link_ask(struct sftp_link *link, sftp_reply_fn *fn, void *arg)
{
	struct slot *slot = ask(link, fn, arg);

	if (slot->depth > link->deepest) {
		link->deepest = slot->depth;
		net_count_request(link->net);
	}
	return slot->id;
}

struct buf *sftp_link_out(struct sftp_link *link)
{
	return &link->out;
}

/* What was sent is dropped when that costs little. */
static void drop_sent(struct sftp_link *link)
{
	if (link->sent < link->out.len && link->sent < link->out.len / 2)
		return;
	memmove(link->out.data, link->out.data + link->sent, link->out.len - link->sent);
	link->out.len -= link->sent;
	link->sent = 0;
}

/* --- answers --- */

static int broken(const struct sftp_link *link, const char *how, struct err *err)
{
	return err_set(err, ERR_IO, "the SFTP server at %s breaks the protocol: %s",
		       link->where->host, how);
}

static int give(struct sftp_link *link, const uint8_t *packet, size_t len, struct err *err)
{
	struct sftp_reply reply;
	struct slot *slot, was;
	int rc;

	if (sftp_get(packet, len, &reply, err) != 0)
		return broken(link, "its answer is none", err);
	slot = &link->slots[reply.id % SFTP_LINK_ASKED];
	if (!slot->fn || slot->id != reply.id)
		return broken(link, "it answers what was not asked", err);
	was = *slot;
	slot->fn = NULL;
	link->free_slots[SFTP_LINK_ASKED - link->asked--] = (uint16_t)(reply.id % SFTP_LINK_ASKED);
	link->depth = was.depth;
	rc = was.fn(was.arg, &reply, err);
	link->depth = 0;
	if (rc == -ERR_DAMAGED) /* of a codec: here that is no object's damage */
		return broken(link, "its answer is none", err);
	return rc;
}

static uint32_t length_of(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* A login that prints something spoils the protocol: the commonest reason for nonsense in front. */
static int bad_length(const struct sftp_link *link, struct err *err)
{
	if (link->version.version == 0)
		return err_set(
		    err, ERR_IO,
		    "what %s sends is not SFTP: does the login shell there print something? "
		    "(try 'ssh %s true': it must print nothing)",
		    link->where->host, link->where->host);
	return broken(link, "the length of its answer cannot be", err);
}

static int give_all(struct sftp_link *link, struct err *err)
{
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && link->in_len - at >= 4) {
		uint32_t len = length_of(link->in + at);

		if (len == 0 || len > LIMIT_SFTP_PACKET_BYTES)
			return bad_length(link, err);
		if (link->in_len - at - 4 < len)
			break;
		if (link->version.version != 0)
			rc = give(link, link->in + at + 4, len, err);
		else if (sftp_get_version(link->in + at + 4, len, &link->version, err) != 0)
			rc = err->code == ERR_DAMAGED ? bad_length(link, err) : -err->code;
		at += 4 + (size_t)len;
	}
	memmove(link->in, link->in + at, link->in_len - at);
	link->in_len -= at;
	return rc;
}

static int pump(struct sftp_link *link, struct err *err)
{
	size_t got = 0;
	int rc;

	if (link->out.failed)
		return err_nomem(err);
	rc = sftp_ssh_move(
	    link->ssh, (struct span){link->out.data + link->sent, link->out.len - link->sent},
	    &link->sent, link->in + link->in_len, IN_BYTES - link->in_len, &got, err);
	link->in_len += got;
	if (rc == 0)
		rc = give_all(link, err);
	if (rc == 0 && link->sent > 0)
		drop_sent(link);
	return rc;
}

int sftp_link_wait(struct sftp_link *link, unsigned most, struct err *err)
{
	int rc = 0;

	while (rc == 0 && link->asked > most)
		rc = pump(link, err);
	if (most == 0)
		link->deepest = 0;
	return rc;
}

/* --- beginning and end --- */

static int nobody(void *arg, struct sftp_reply *reply, struct err *err)
{
	(void)arg;
	(void)reply;
	(void)err;
	return 0;
}

/*
 * A server that sees the end of its input may leave what stands before it undone: so the answers are waited for. Who asked
 * is gone by now.
 */
static void part(struct sftp_link *link)
{
	struct err ignored = {0};

	for (unsigned i = 0; i < SFTP_LINK_ASKED; i++)
		if (link->slots[i].fn)
			link->slots[i].fn = nobody;
	sftp_ssh_parting(link->ssh);
	if (sftp_link_wait(link, 0, &ignored) != 0)
		return; /* they were the last words: nothing depends on them */
}

void sftp_link_free(struct sftp_link *link, bool orderly)
{
	if (!link)
		return;
	if (orderly)
		part(link);
	sftp_ssh_stop(link->ssh, orderly);
	buf_free(&link->out);
	free(link->in);
	free(link);
}

static int greet(struct sftp_link *link, struct err *err)
{
	int rc = 0;

	net_count_request(link->net);
	sftp_put_init(&link->out);
	while (rc == 0 && link->version.version == 0)
		rc = pump(link, err);
	if (rc == 0)
		sftp_ssh_greeted(link->ssh);
	return rc;
}

int sftp_link_open(const struct sftp_where *where, const struct net *net,
		   struct sftp_link **out_link, struct err *err)
{
	struct sftp_link *link = calloc(1, sizeof(*link));
	int rc;

	if (!link)
		return err_nomem(err);
	link->where = where;
	link->net = net;
	for (unsigned i = 0; i < SFTP_LINK_ASKED; i++)
		link->free_slots[i] = (uint16_t)i;
	link->in = malloc(IN_BYTES);
	rc = link->in ? sftp_ssh_start(where, net, &link->ssh, err) : err_nomem(err);
	if (rc == 0)
		rc = greet(link, err);
	if (rc == 0)
		*out_link = link;
	else
		sftp_link_free(link, false);
	return rc;
}

/* --- answers that are kept --- */

static const char *meaning(uint32_t code)
{
	static const char *const meanings[] = {
	    "OK",          "end of file",   "no such file",    "permission denied",    "failure",
	    "bad message", "no connection", "connection lost", "it does not know this"};

	return code < sizeof(meanings) / sizeof(meanings[0]) ? meanings[code] : "failure";
}

void sftp_link_words(const struct sftp_reply *reply, char out[WORDS])
{
	size_t n = 0;

	for (size_t i = 0; i < reply->text.len && n < WORDS - 1; i++)
		if (reply->text.p[i] >= ' ' && reply->text.p[i] < 127)
			out[n++] = (char)reply->text.p[i];
	out[n] = '\0';
	if (n == 0)
		(void)snprintf(out, WORDS, "%s", meaning(reply->code));
}

static int keep_status(struct sftp_result *result, const struct sftp_reply *reply, struct err *err)
{
	if (reply->code == SFTP_OK && result->want != SFTP_STATUS)
		return err_set(err, ERR_DAMAGED, "OK is no answer");
	if (result->code == SFTP_OK && reply->code != SFTP_OK) {
		result->code = reply->code;
		sftp_link_words(reply, result->words);
	}
	return 0;
}

static int keep(void *arg, struct sftp_reply *reply, struct err *err)
{
	struct sftp_result *result = arg;

	result->answered = true;
	if (reply->type == SFTP_STATUS)
		return keep_status(result, reply, err);
	if (reply->type != result->want)
		return err_set(err, ERR_DAMAGED, "another answer than was asked for");
	result->attrs = reply->attrs;
	if (reply->type == SFTP_HANDLE) {
		result->handle_len = reply->bytes.len;
		memcpy(result->handle, reply->bytes.p, reply->bytes.len);
	}
	if (reply->type == SFTP_EXTENDED_REPLY)
		return sftp_get_free_bytes(reply, &result->free_bytes, err);
	return 0;
}

uint32_t sftp_link_expect(struct sftp_link *link, enum sftp_type want, struct sftp_result *result)
{
	result->want = want;
	return sftp_link_ask(link, keep, result);
}

struct span sftp_result_handle(const struct sftp_result *result)
{
	return (struct span){result->handle, result->handle_len};
}

uint32_t sftp_link_unheard(struct sftp_link *link)
{
	return ask(link, nobody, NULL)->id;
}

void sftp_link_close(struct sftp_link *link, struct span handle)
{
	sftp_put_handle(&link->out, SFTP_CLOSE, sftp_link_unheard(link), handle);
}
