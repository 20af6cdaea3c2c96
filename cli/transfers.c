#include "cli/transfers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/process.h"
#include "cli/text.h"

#define MOST_SECONDS (7 * 24 * 3600)
#define LONG_WAIT_S 5 /* of which people are told unasked */

/* --- -o KEY=VALUE --- */

/* What a key needs: numbers are from 1 to most. */
struct key {
	const char *name;
	enum { KEY_TEXT, KEY_NUMBER, KEY_LOOKUP } kind;
	size_t offset; /* in struct net: const char *, unsigned, enum net_s3_lookup */
	unsigned most;
};

#define AT(member) offsetof(struct net, member)

static const struct key keys[] = {
    {"connections", KEY_NUMBER, AT(connections), NET_MAX_CONNECTIONS},
    {"retry-seconds", KEY_NUMBER, AT(retry_s), MOST_SECONDS},
    {"stall-seconds", KEY_NUMBER, AT(stall_s), MOST_SECONDS},
    {"s3.region", KEY_TEXT, AT(s3_region), 0},
    {"s3.storage-class", KEY_TEXT, AT(s3_storage_class), 0},
    {"s3.bucket-lookup", KEY_LOOKUP, AT(s3_lookup), 0},
    {"sftp.command", KEY_TEXT, AT(ssh_command), 0},
};

static int unknown_key(const char *word, struct err *err)
{
	char names[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i ? ", " : "",
					keys[i].name);
	return err_set(err, ERR_USAGE, "-o takes KEY=VALUE with one of these keys: %s; not '%s'",
		       names, word);
}

static int set_number(const struct key *key, const char *value, unsigned *out, struct err *err)
{
	size_t len = strlen(value);
	unsigned long n =
	    len && len < 10 && strspn(value, "0123456789") == len ? strtoul(value, NULL, 10) : 0;

	if (n < 1 || n > key->most)
		return err_set(err, ERR_USAGE, "-o %s= needs a number from 1 to %u, not '%s'",
			       key->name, key->most, value);
	*out = (unsigned)n;
	return 0;
}

static int set_lookup(const char *value, enum net_s3_lookup *out, struct err *err)
{
	static const char *const words[] = {
	    [NET_S3_LOOKUP_AUTO] = "auto",
	    [NET_S3_LOOKUP_DNS] = "dns",
	    [NET_S3_LOOKUP_PATH] = "path",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(value, words[i]) == 0) {
			*out = (enum net_s3_lookup)i;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE, "-o s3.bucket-lookup= needs auto, dns or path, not '%s'",
		       value);
}

static int set_key(struct net *net, const struct key *key, const char *value, struct err *err)
{
	void *member = (char *)net + key->offset;

	if (!*value)
		return err_set(err, ERR_USAGE, "-o %s= needs a value that is not empty", key->name);
	switch (key->kind) {
	case KEY_TEXT:
		*(const char **)member = value;
		return 0;
	case KEY_LOOKUP:
		return set_lookup(value, member, err);
	case KEY_NUMBER:
		break;
	}
	return set_number(key, value, member, err);
}

static int set_word(struct net *net, const char *word, struct err *err)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t len = strlen(keys[i].name);

		if (strncmp(word, keys[i].name, len) == 0 && word[len] == '=')
			return set_key(net, &keys[i], word + len + 1, err);
	}
	return unknown_key(word, err);
}

/* --- what net asks and tells --- */

static const char *environment(const char *name)
{
	return getenv(name);
}

static bool stopped(void *arg)
{
	(void)arg;
	return process_interrupted();
}

static void retrying(void *arg, const char *text, unsigned tries, unsigned wait_s)
{
	const struct out *out = arg;
	char line[1024];

	if (wait_s < LONG_WAIT_S && !(out->verbose && tries == 1))
		return;
	(void)snprintf(line, sizeof(line), "%s; trying again in %u s", text, wait_s);
	out_elsewhere(out, line);
}

static int set_pace(struct net_pace *pace, const struct option_number *limit, const char *name,
		    struct net_pace **out, struct err *err)
{
	if (limit->value > TRANSFERS_MOST_KIB)
		return err_set(err, ERR_USAGE, "--%s: %llu is too large", name,
			       (unsigned long long)limit->value);
	net_pace_init(pace, limit->value * 1024);
	*out = limit->value ? pace : NULL;
	return 0;
}

static int read_password(struct cli *cli, const char *path, struct secret *secret, struct err *err)
{
	bool tolerated = false;
	int r = secret->bytes ? 0 : secret_from_file(path, secret, &tolerated, err);

	if (r)
		return r;
	if (tolerated)
		out_warning(&cli->out,
			    "password file %s is open to others; it is taken, being a secret that "
			    "the system mounted",
			    path);
	/* There is room for the end of line that was dropped. */
	secret->bytes[secret->len] = '\0';
	if (strlen(secret->bytes) == secret->len)
		return 0;
	return err_set(err, ERR_USAGE, "password file %s: holds a zero byte", path);
}

/* All of a net but its counts and paces. */
static int set_net(struct cli *cli, const struct options_global *g, struct secret *secret,
		   struct net *net, struct err *err)
{
	int r = 0;

	net->ssh_command = g->ssh_command;
	net->ca_file = g->cacert;
	net->environment = environment;
	net->rest_user = g->rest_username;
	net->rest_password = g->rest_password;
	net->stopped = stopped;
	net->retrying = retrying;
	net->retrying_arg = &cli->out;
	for (size_t i = 0; !r && i < g->configured.count; i++)
		r = set_word(net, g->configured.items[i], err);
	for (size_t i = 0; !r && i < g->extended.count; i++)
		r = set_word(net, g->extended.items[i], err);
	if (!r && g->rest_password_file) {
		r = read_password(cli, g->rest_password_file, secret, err);
		net->rest_password = secret->bytes;
	}
	return r;
}

static int set_paces(struct transfers *t, const struct options_global *g, struct net *net,
		     struct err *err)
{
	int r = set_pace(&t->up, &g->limit_upload, "limit-upload", &net->up, err);

	if (!r)
		r = set_pace(&t->down, &g->limit_download, "limit-download", &net->down, err);
	return r;
}

int transfers_set(struct cli *cli, struct err *err)
{
	struct transfers *t = &cli->transfers;
	int r;

	t->counts = (struct net_counts){0};
	cli->net.counts = &t->counts;
	r = set_paces(t, &cli->global, &cli->net, err);
	return r ? r : set_net(cli, &cli->global, &t->rest_password, &cli->net, err);
}

int transfers_set_from(struct cli *cli, const char *location, struct err *err)
{
	struct options_global g = cli->said;
	struct transfers *t = &cli->from_transfers;
	struct net *net = &cli->from_net;
	int r;

	g.repo = location;
	*net = (struct net){.counts = &cli->transfers.counts};
	r = config_file_fill(&cli->file, &g, err);
	if (!r)
		r = set_paces(t, &g, net, err);
	if (cli->said.limit_upload.given)
		net->up = cli->net.up;
	if (cli->said.limit_download.given)
		net->down = cli->net.down;
	return r ? r : set_net(cli, &g, &t->rest_password, net, err);
}

void transfers_wipe(struct cli *cli)
{
	secret_free(&cli->transfers.rest_password);
	secret_free(&cli->from_transfers.rest_password);
}

int transfers_judge(const char *word, struct err *err)
{
	struct net scratch = {0};

	return set_word(&scratch, word, err);
}

/* --- what it came to --- */

void transfers_add(const struct cli *cli, struct transfer_sums *sums)
{
	/* As of a struct that no thread changes any more. */
	const struct net_counts *c = &cli->transfers.counts;

	sums->requests += c->requests;
	sums->retries += c->retries;
	sums->sent_bytes += c->sent_bytes;
	sums->received_bytes += c->received_bytes;
}

void transfers_words(const struct transfer_sums *sums, char out[TRANSFERS_CHARS])
{
	char requests[TEXT_SIZE_CHARS], sent[TEXT_SIZE_CHARS], received[TEXT_SIZE_CHARS];
	char retries[TEXT_SIZE_CHARS];

	out[0] = '\0';
	if (!sums->requests)
		return;
	text_count(sums->requests, requests);
	text_count(sums->retries, retries);
	text_size(sums->sent_bytes, sent);
	text_size(sums->received_bytes, received);
	(void)snprintf(out, TRANSFERS_CHARS, "%s request%s, %s sent, %s received%s%s%s", requests,
		       sums->requests == 1 ? "" : "s", sent, received, sums->retries ? ", " : "",
		       sums->retries ? retries : "", sums->retries ? " retried" : "");
}

void transfers_json(const struct transfer_sums *sums, struct json *j)
{
	if (!sums->requests)
		return;
	json_u64(j, "requests", sums->requests);
	json_u64(j, "requests_retried", sums->retries);
	json_u64(j, "bytes_sent", sums->sent_bytes);
	json_u64(j, "bytes_received", sums->received_bytes);
}
