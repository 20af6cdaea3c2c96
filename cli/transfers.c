#include "cli/transfers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/process.h"
#include "cli/text.h"

#define MOST_SECONDS (7 * 24 * 3600)
#define MOST_KIB (UINT64_C(1) << 40)
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
	if (limit->value > MOST_KIB)
		return err_set(err, ERR_USAGE, "--%s: %llu is too large", name,
			       (unsigned long long)limit->value);
	net_pace_init(pace, limit->value * 1024);
	*out = limit->value ? pace : NULL;
	return 0;
}

int transfers_set(struct cli *cli, struct err *err)
{
	const struct options_global *g = &cli->global;
	struct transfers *t = &cli->transfers;
	struct net *net = &cli->net;
	int r;

	t->counts = (struct net_counts){0};
	net->counts = &t->counts;
	net->ssh_command = g->ssh_command;
	net->ca_file = g->cacert;
	net->environment = environment;
	net->rest_user = g->rest_username;
	net->rest_password = g->rest_password;
	net->stopped = stopped;
	net->retrying = retrying;
	net->retrying_arg = &cli->out;
	r = set_pace(&t->up, &g->limit_upload, "limit-upload", &net->up, err);
	if (!r)
		r = set_pace(&t->down, &g->limit_download, "limit-download", &net->down, err);
	for (size_t i = 0; !r && i < g->extended.count; i++)
		r = set_word(net, g->extended.items[i], err);
	return r;
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
