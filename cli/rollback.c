#include "cli/rollback.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "cli/paths.h"
#include "cli/text.h"
#include "repo/place.h"
#include "repo/runstate.h"
#include "repo/witness.h"

#define MOST_LINES 8u /* of one command; what is more is counted */
#define ADVICE                                                                                     \
	"; put it back from a copy of the repository, or where the loss is known: 'nightjar "      \
	"check --accept-rollback'"
#define LINE_CHARS 1024

/* --- words --- */

static void short_hex(const uint8_t *bytes, char out[ID_SHORT_CHARS + 1])
{
	(void)sodium_bin2hex(out, ID_SHORT_CHARS + 1, bytes, ID_SHORT_CHARS / 2);
}

/* "backup 12 of writer 1a2b3c4d (2024-05-04 03:00:00)" */
static void say_backup(const struct witness_finding *f, char *out, size_t out_size)
{
	char writer[ID_SHORT_CHARS + 1], time[TEXT_TIME_CHARS], number[32] = "";

	short_hex(f->writer, writer);
	text_time_local(f->time_ns / 1000000000, time);
	if (f->sequence)
		(void)snprintf(number, sizeof(number), " %" PRIu64, f->sequence);
	(void)snprintf(out, out_size, "%sbackup%s of writer %s%s%s%s", f->sequence ? "" : "a ",
		       number, writer, f->time_ns ? " (" : "", f->time_ns ? time : "",
		       f->time_ns ? ")" : "");
}

static void say_manifest(const struct witness_finding *f, char *out, size_t out_size)
{
	char backup[160], by[ID_SHORT_CHARS + 1];

	say_backup(f, backup, sizeof(backup));
	short_hex(f->by.b, by);
	if (f->kind == WITNESS_RETIRE)
		(void)snprintf(out, out_size,
			       "%s was removed on purpose, but the record in snapshots/ that said "
			       "so has vanished or cannot be read",
			       backup);
	else if (f->seen)
		(void)snprintf(out, out_size,
			       "%s, which this host has seen, has vanished, and no record says "
			       "that it was removed",
			       backup);
	else if (!id_is_zero(&f->by))
		(void)snprintf(out, out_size,
			       "%s, which manifest %s names, has vanished, and no record says that "
			       "it was removed",
			       backup, by);
	else
		(void)snprintf(out, out_size,
			       "%s, which another manifest named, has vanished, and no record says "
			       "that it was removed",
			       backup);
}

static void say_place(const struct witness_finding *f, char *out, size_t out_size)
{
	char was[RUNSTATE_ID_CHARS + 1], is[RUNSTATE_ID_CHARS + 1];

	runstate_id(f->was_repo, was);
	runstate_id(f->is_repo, is);
	(void)snprintf(out, out_size,
		       "another repository (%s) is at %.400s, where this host has found %s", is,
		       f->location, was);
}

/* What vanished, without where it was. */
static void say(const struct witness_finding *f, char *out, size_t out_size)
{
	char writer[ID_SHORT_CHARS + 1];

	short_hex(f->writer, writer);
	switch (f->kind) {
	case WITNESS_MANIFEST:
	case WITNESS_RETIRE:
		say_manifest(f, out, out_size);
		break;
	case WITNESS_RECORDS:
		(void)snprintf(out, out_size,
			       "record %" PRIu64 " of removed backups, which this host has seen, "
			       "has vanished or cannot be read (the newest is %" PRIu64 ")",
			       f->was, f->is);
		break;
	case WITNESS_ROSTER:
		(void)snprintf(out, out_size,
			       "the roster that this host has seen (epoch %" PRIu64
			       ") has vanished or cannot be read, an older one is there (epoch "
			       "%" PRIu64 ")",
			       f->was, f->is);
		break;
	case WITNESS_WRITER:
		(void)snprintf(out, out_size,
			       "the roster no longer names writer %s, which this host has seen in "
			       "it",
			       writer);
		break;
	case WITNESS_UNDONE:
		(void)snprintf(out, out_size,
			       "the roster gives writer %s other rights than a newer one that this "
			       "host has seen",
			       writer);
		break;
	case WITNESS_READ_KEY:
		(void)snprintf(out, out_size,
			       "the roster lacks read key %" PRIu64 ", or has another, than this "
			       "host has seen in it",
			       f->was);
		break;
	case WITNESS_OWNER:
		(void)snprintf(out, out_size, "it names another owner than this host has seen");
		break;
	case WITNESS_PLACE:
		say_place(f, out, out_size);
		break;
	}
}

static void say_where(const struct witness_finding *f, char *out, size_t out_size)
{
	char path[STORE_PATH_CHARS] = "";

	if (f->kind == WITNESS_MANIFEST || f->kind == WITNESS_RETIRE)
		store_path(STORE_SNAPSHOTS, &f->name, path);
	else if (f->kind == WITNESS_RECORDS)
		(void)snprintf(path, sizeof(path), "snapshots");
	else if (f->kind == WITNESS_OWNER)
		(void)snprintf(path, sizeof(path), "config");
	else if (f->kind != WITNESS_PLACE)
		(void)snprintf(path, sizeof(path), "keys");
	(void)snprintf(out, out_size, "%s%s%s", f->location, *path ? "/" : "", path);
}

/* --- telling --- */

static void tell_accepted(struct cli *cli, const char *where, const char *text)
{
	struct json j = {0};

	out_line(&cli->out, "accepted: %s: %s", where, text);
	if (!cli->out.json)
		return;
	json_object(&j, NULL);
	json_str(&j, "message_type", "accepted");
	json_str(&j, "item", where);
	json_str(&j, "text", text);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

/* All that is accepted is listed; of what is found the first few lines are enough. */
static void on_found(void *arg, const struct witness_finding *f)
{
	struct cli *cli = arg;
	char text[LINE_CHARS], where[RUNSTATE_LOCATION_CHARS + STORE_PATH_CHARS];

	say(f, text, sizeof(text) - sizeof(ADVICE));
	say_where(f, where, sizeof(where));
	if (cli->accept_rollback) {
		cli->facts.accepted++;
		tell_accepted(cli, where, text);
		return;
	}
	exit_add(&cli->codes, EXIT_ROLLBACK);
	if (cli->facts.rollback++ >= MOST_LINES)
		return;
	(void)snprintf(text + strlen(text), sizeof(ADVICE), "%s", ADVICE);
	out_error(&cli->out, "rollback", where, text);
}

static void on_looked(void *arg, size_t told)
{
	struct cli *cli = arg;
	char text[LINE_CHARS];

	(void)told;
	if (cli->accept_rollback || cli->facts.rollback <= MOST_LINES)
		return;
	(void)snprintf(text, sizeof(text), "%llu more have vanished" ADVICE,
		       (unsigned long long)(cli->facts.rollback - MOST_LINES));
	out_error(&cli->out, "rollback", NULL, text);
}

static void on_warning(void *arg, const char *text)
{
	struct cli *cli = arg;

	out_warning(&cli->out, "a backup that vanishes may go unnoticed: %s", text);
}

/* --- watching --- */

int rollback_watch(struct cli *cli, struct repo *repo, struct err *err)
{
	char place[RUNSTATE_LOCATION_CHARS];
	struct err why = {0};
	char *state = NULL;
	int r = paths_state(&cli->global, &state, &why);
	struct witness_options o = {
	    .place = place,
	    .accept = cli->accept_rollback,
	    .found = on_found,
	    .looked = on_looked,
	    .warning = on_warning,
	    .arg = cli,
	};

	if (r && (r == -ERR_NOMEM || o.accept)) {
		*err = why;
		return r;
	}
	if (r)
		out_detail(&cli->out, "%s", why.text);
	o.state_dir = state;
	facts_location(repo->store->location, place, sizeof(place));
	r = witness_attach(repo, &o, err);
	free(state);
	return r;
}

void rollback_suspect(struct cli *cli, struct store *store)
{
	char location[RUNSTATE_LOCATION_CHARS];
	struct witness_finding f = {.kind = WITNESS_PLACE, .location = store->location};
	struct place place = {0};
	struct err ignored = {0};
	char *state = NULL;

	if (repo_peek(store, f.is_repo, &ignored) || paths_state(&cli->global, &state, &ignored))
		return;
	facts_location(store->location, location, sizeof(location));
	if (place_load(state, location, &place, &ignored) == 0 && place.count &&
	    !place_has(&place, f.is_repo)) {
		memcpy(f.was_repo, place.repos[place.count - 1], sizeof(f.was_repo));
		on_found(cli, &f);
	}
	free(state);
}

/* --- what somebody wrote down --- */

void rollback_record(const struct sighting *s, char out[ROLLBACK_RECORD_CHARS])
{
	char writer[ID_HEX_CHARS + 1], name[ID_HEX_CHARS + 1];

	(void)sodium_bin2hex(writer, sizeof(writer), s->writer, sizeof(s->writer));
	id_hex(&s->name, name);
	(void)snprintf(out, ROLLBACK_RECORD_CHARS, "%s:%" PRIu64 ":%s", writer, s->sequence, name);
}

int rollback_record_parse(const char *text, struct sighting *out, struct err *err)
{
	char again[ROLLBACK_RECORD_CHARS], writer[ID_HEX_CHARS + 1], name[ID_HEX_CHARS + 1];
	struct id pub;

	*out = (struct sighting){0};
	if (strlen(text) < sizeof(again) &&
	    sscanf(text, "%64[0-9a-f]:%20" SCNu64 ":%64[0-9a-f]", writer, &out->sequence, name) ==
		3 &&
	    id_from_hex(writer, &pub) && id_from_hex(name, &out->name)) {
		memcpy(out->writer, pub.b, sizeof(out->writer));
		rollback_record(out, again);
		if (strcmp(again, text) == 0)
			return 0;
	}
	return err_set(err, ERR_USAGE,
		       "--expect takes a line that 'nightjar status' printed "
		       "(WRITER:SEQUENCE:HASH), not '%.80s'",
		       text);
}

void rollback_expect(struct cli *cli, const struct manifest_list *list, const char *text,
		     const struct sighting *wanted)
{
	switch (witness_ask(list, wanted)) {
	case WITNESS_THERE:
		out_note(&cli->out, "expected, and there: %s", text);
		return;
	case WITNESS_REMOVED:
		out_note(&cli->out, "expected, and removed on purpose, as a record says: %s", text);
		return;
	case WITNESS_UNKNOWN:
		break;
	}
	exit_add(&cli->codes, EXIT_ROLLBACK);
	cli->facts.rollback++;
	out_error(&cli->out, "rollback", text,
		  "the repository knows nothing of this backup: an older copy of the repository "
		  "may be there, or another one");
}
