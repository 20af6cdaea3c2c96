#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/session.h"
#include "cli/text.h"
#include "repo/writers.h"

#define NS_PER_S 1000000000

struct revoke_words {
	struct option_number after;
};

const struct option_spec cmd_writer_revoke_options[] = {
    {"after", 0, OPTION_NUMBER, offsetof(struct revoke_words, after), "SEQUENCE",
     "the last backup of it that counts (default: its newest)"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_writer_revoke_options_bytes = sizeof(struct revoke_words);

static void id_of(const struct writer *w, char hex[ID_HEX_CHARS + 1])
{
	struct id id;

	memcpy(id.b, w->pub, sizeof(id.b));
	id_hex(&id, hex);
}

static bool is_revoked(const struct writer *w)
{
	return w->ends_at != UINT64_MAX;
}

static void print_writer(struct out *out, const struct writer *w)
{
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS] = "never", host[1024];
	char state[64] = "active";

	id_of(w, hex);
	if (w->time_ns)
		text_time_local(w->time_ns / NS_PER_S, time);
	if (is_revoked(w))
		(void)snprintf(state, sizeof(state), "revoked after %llu",
			       (unsigned long long)w->ends_at);
	(void)text_printable(w->host ? w->host : "?", host, sizeof(host));
	out_line(out, "%.*s  %-16s  %6u  %8llu  %-19s  %s", ID_SHORT_CHARS, hex, host, w->domain,
		 (unsigned long long)w->last_sequence, time, state);
}

static void print_json(struct out *out, const struct writer *writers, size_t count)
{
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS];
	struct json j = {0};

	json_array(&j, NULL);
	for (size_t i = 0; i < count; i++) {
		const struct writer *w = &writers[i];

		id_of(w, hex);
		json_object(&j, NULL);
		json_str(&j, "id", hex);
		json_str(&j, "hostName", w->host);
		json_u64(&j, "domain", w->domain);
		json_u64(&j, "last_sequence", w->last_sequence);
		if (w->time_ns)
			text_time_json(w->time_ns / NS_PER_S, (uint32_t)(w->time_ns % NS_PER_S),
				       time);
		json_str(&j, "last_backup", w->time_ns ? time : NULL);
		json_bool(&j, "revoked", is_revoked(w));
		if (is_revoked(w))
			json_u64(&j, "revoked_after", w->ends_at);
		else
			json_str(&j, "revoked_after", NULL);
		json_close(&j);
	}
	json_close(&j);
	out_json(out, &j);
	json_free(&j);
}

/* The roster is no secret, but what backups tell of its writers needs a key that opens some of them. */
static int open_writers(struct cli *cli, struct session *s, struct writer **out_writers,
			size_t *out_count, struct err *err)
{
	int r = session_open_manifests(cli, s, err);

	return r ? r : writers_list(s->repo, &s->manifests, out_writers, out_count, err);
}

enum exit_code cmd_writer_list(struct cli *cli, const void *options, int count, char **operands)
{
	struct writer *writers = NULL;
	struct session s = {0};
	struct err err = {0};
	size_t found = 0;
	int r = open_writers(cli, &s, &writers, &found, &err);

	(void)options;
	(void)count;
	(void)operands;
	if (!r && cli->out.json)
		print_json(&cli->out, writers, found);
	else if (!r && found)
		out_note(&cli->out, "%-8s  %-16s  %6s  %8s  %-19s  %s", "ID", "Host", "Domain",
			 "Sequence", "Last backup", "State");
	for (size_t i = 0; !r && i < found; i++)
		print_writer(&cli->out, &writers[i]);
	free(writers);
	session_close(&s);
	return r ? command_fail(cli, &err) : EXIT_OK;
}

static int judge_after(const struct revoke_words *w, const struct writer *writer,
		       uint64_t *out_after, struct err *err)
{
	uint64_t newest = writer->last_sequence;

	*out_after = w->after.given ? w->after.value : newest;
	/* A second revoke may take back more, never give anything again. */
	if (is_revoked(writer) && !w->after.given)
		*out_after = writer->ends_at;
	if (is_revoked(writer) && writer->ends_at < newest)
		newest = writer->ends_at;
	if (*out_after > newest)
		return err_set(err, ERR_USAGE, "--after: its newest backup that counts is %llu",
			       (unsigned long long)newest);
	return 0;
}

static void tell_revoked(struct cli *cli, const struct writer *w, uint64_t after)
{
	char hex[ID_HEX_CHARS + 1];
	struct json j = {0};

	id_of(w, hex);
	out_note(&cli->out,
		 "revoked %.*s: its backups up to %llu stay, what it makes from now on does not "
		 "count.\nWhat it has stored is not deleted, and what it knows it still knows.",
		 ID_SHORT_CHARS, hex, (unsigned long long)after);
	if (!cli->out.json)
		return;
	json_object(&j, NULL);
	json_str(&j, "message_type", "writer_revoked");
	json_str(&j, "id", hex);
	json_u64(&j, "revoked_after", after);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

enum exit_code cmd_writer_revoke(struct cli *cli, const void *options, int count, char **operands)
{
	const struct writer *writer = NULL;
	struct writer *writers = NULL;
	struct session s = {0};
	struct err err = {0};
	uint64_t after = 0;
	size_t found = 0;
	int r = session_open(cli, &s, &err);

	(void)count;
	if (!r)
		r = keys_allow(s.repo->keys, POWER_OWN, "writer revoke", &err);
	if (!r)
		r = session_load_manifests(cli, &s, &err);
	if (!r)
		r = writers_list(s.repo, &s.manifests, &writers, &found, &err);
	if (!r)
		r = writers_find(writers, found, operands[0], &writer, &err);
	if (!r)
		r = judge_after(options, writer, &after, &err);
	if (!r)
		r = writers_revoke(s.repo, &s.manifests, writer, after, &err);
	if (!r)
		tell_revoked(cli, writer, after);
	if (!r && s.manifests.bad)
		out_warning(
		    &cli->out,
		    "%zu manifest%s could not be read just now: of this writer they will not "
		    "count, even when they are put back",
		    s.manifests.bad, text_plural(s.manifests.bad));
	free(writers);
	session_close(&s);
	return r ? command_fail(cli, &err) : EXIT_OK;
}
