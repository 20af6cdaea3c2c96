#include "cli/command.h"

#include <stdlib.h>

#include "cli/parity_word.h"
#include "cli/paths.h"
#include "cli/pick.h"
#include "cli/process.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text.h"
#include "repo/copy.h"

struct copy_words {
	struct options_from from;
	struct pick pick;
	const char *parity;
};

#define FROM(member) offsetof(struct copy_words, from.member)

const struct option_spec cmd_copy_options[] = {
    {"from-repo", 0, OPTION_STRING, FROM(repo), "REPO",
     "the repository to copy from, anywhere that -r may name [NIGHTJAR_FROM_REPOSITORY]"},
    {"from-password-file", 0, OPTION_STRING, FROM(password_file), "FILE",
     "its password [NIGHTJAR_FROM_PASSWORD_FILE]"},
    {"from-password-command", 0, OPTION_STRING, FROM(password_command), "COMMAND",
     "its password is the first line COMMAND prints [NIGHTJAR_FROM_PASSWORD_COMMAND]"},
    {"from-key-file", 0, OPTION_STRING, FROM(key_file), "FILE",
     "its key file [NIGHTJAR_FROM_KEY_FILE]"},
    {"host", 0, OPTION_LIST, offsetof(struct copy_words, pick.hosts), "NAME",
     "only backups of NAME; may be repeated"},
    {"tag", 0, OPTION_LIST, offsetof(struct copy_words, pick.tags), "TAG[,TAG…]",
     "only backups with all these tags; may be repeated for others"},
    {"path", 0, OPTION_LIST, offsetof(struct copy_words, pick.paths), "PATH",
     "only backups of PATH; may be repeated for all of them"},
    {"parity", 0, OPTION_STRING, offsetof(struct copy_words, parity), "off|2|4",
     "parity of the packs that are written, instead of what 'init' set"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_copy_options_bytes = sizeof(struct copy_words);

struct teller {
	struct cli *cli;
	struct progress progress;
	const struct manifest_list *from;
};

static const struct manifest *manifest_of(const struct teller *t, const struct id *name)
{
	size_t i = 0;

	while (i + 1 < t->from->count && !id_eq(&t->from->items[i].name, name))
		i++;
	return &t->from->items[i].m;
}

static void say_json(const struct teller *t, const char *type, const struct copy_one *one,
		     const struct id *other)
{
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS];
	const struct manifest *m = manifest_of(t, &one->source);
	struct json j = {0};

	if (!t->cli->out.json)
		return;
	json_object(&j, NULL);
	json_str(&j, "message_type", type);
	id_hex(&one->source, hex);
	json_str(&j, "source_id", hex);
	id_hex(other, hex);
	json_str(&j, "manifest_id", hex);
	text_time_json(m->time_ns / 1000000000, (uint32_t)(m->time_ns % 1000000000), time);
	json_str(&j, "time", time);
	json_str(&j, "hostname", m->host);
	if (id_eq(other, &one->made))
		json_u64(&j, "data_stored", one->bytes_stored);
	json_close(&j);
	out_json(&t->cli->out, &j);
	json_free(&j);
}

static void on_copied(void *arg, const struct copy_one *one)
{
	struct teller *t = arg;
	const struct manifest *m = manifest_of(t, &one->source);
	char source[ID_HEX_CHARS + 1], made[ID_HEX_CHARS + 1];
	char time[TEXT_TIME_CHARS], size[TEXT_SIZE_CHARS];

	id_hex(&one->source, source);
	id_hex(&one->made, made);
	text_time_local(m->time_ns / 1000000000, time);
	text_size(one->bytes_stored, size);
	out_note(&t->cli->out, "%.*s of %s, %s: copied as %.*s, %s stored", ID_SHORT_CHARS, source,
		 m->host, time, ID_SHORT_CHARS, made, size);
	say_json(t, "copied", one, &one->made);
}

static void on_skipped(void *arg, const struct copy_one *one)
{
	struct teller *t = arg;
	char source[ID_HEX_CHARS + 1], there[ID_HEX_CHARS + 1];

	id_hex(&one->source, source);
	id_hex(&one->there, there);
	out_detail(&t->cli->out, "%.*s: is there already, as %.*s", ID_SHORT_CHARS, source,
		   ID_SHORT_CHARS, there);
	say_json(t, "skipped", one, &one->there);
}

static void on_damaged(void *arg, const struct id *source, const char *text)
{
	struct teller *t = arg;
	char hex[ID_HEX_CHARS + 1], item[96];

	id_hex(source, hex);
	(void)snprintf(item, sizeof(item), "manifest %.*s was not copied", ID_SHORT_CHARS, hex);
	out_error(&t->cli->out, "copy", item, text);
}

static void on_warning(void *arg, const char *object, const char *text)
{
	struct teller *t = arg;

	out_warning(&t->cli->out, "%s: %s", object, text);
}

static int on_progress(void *arg, const struct copy_progress *at)
{
	struct teller *t = arg;

	progress_show(&t->progress, &(struct progress_state){
					.phase = "copy",
					.unit = "manifests",
					.files = at->manifests,
					.files_total = at->manifests_total,
					.bytes = at->bytes,
					.bytes_total = at->bytes_total,
					.path = at->path,
				    });
	return process_interrupted() ? 1 : 0;
}

static void print_json(struct teller *t, const struct copy_result *res)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "summary");
	json_u64(&j, "manifests_copied", res->copied);
	json_u64(&j, "manifests_skipped", res->skipped);
	json_u64(&j, "manifests_damaged", res->damaged);
	json_u64(&j, "total_bytes_processed", res->bytes);
	json_u64(&j, "data_added", res->bytes_added);
	json_u64(&j, "data_added_packed", res->bytes_packed);
	json_u64(&j, "data_stored", res->bytes_stored);
	json_double(&j, "total_duration", progress_seconds(&t->progress));
	json_close(&j);
	out_json(&t->cli->out, &j);
	json_free(&j);
}

static void print_people(struct cli *cli, const struct copy_result *res)
{
	char size[TEXT_SIZE_CHARS];

	text_size(res->bytes_stored, size);
	out_line(&cli->out, "manifests copied: %llu, there already: %llu; %s stored",
		 (unsigned long long)res->copied, (unsigned long long)res->skipped, size);
	if (res->damaged)
		out_line(&cli->out,
			 "NOT copied, as the source is damaged: %llu; 'nightjar check' there says "
			 "what is lost, 'nightjar repair manifests' makes what can be copied",
			 (unsigned long long)res->damaged);
}

static int copy_chosen(struct teller *t, struct session *from, struct session *to,
		       const bool *wanted, struct copy_result *res, struct err *err)
{
	struct cli *cli = t->cli;
	struct copy_options o = {
	    .from = &from->manifests,
	    .wanted = wanted,
	    .cb = {on_copied, on_skipped, on_damaged, on_warning, on_progress, t},
	};
	char *cache = NULL, *state = NULL;
	int r = paths_cache(&cli->global, &cache, err);

	if (!r)
		r = paths_state(&cli->global, &state, err);
	o.cache_dir = cache;
	o.state_dir = state;
	t->from = &from->manifests;
	if (!r) {
		progress_begin(&t->progress, &cli->out);
		r = copy_run(from->repo, to->repo, &o, res, err);
		progress_end(&t->progress);
	}
	free(cache);
	free(state);
	return r;
}

static size_t count_wanted(const bool *wanted, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += wanted[i];
	return n;
}

static int run_copy(struct teller *t, const struct copy_words *w, int count, char **operands,
		    struct copy_result *res, struct err *err)
{
	struct session from = {0}, to = {0};
	struct options_from source = w->from;
	bool *wanted = NULL;
	int r = options_resolve_from(&source, err);

	if (!r)
		r = parity_word_check(w->parity, err);
	/* Both are opened, and what is wanted is found, before anything is stored. */
	if (!r)
		r = session_open(t->cli, &to, err);
	if (!r)
		parity_word_set(w->parity, &to.repo->parity);
	if (!r)
		r = session_open_from(t->cli, &source, &from, err);
	if (!r)
		r = pick_manifests(&w->pick, &from.manifests, count, operands, &wanted, err);
	if (!r)
		pick_tell_none(&t->cli->out, &w->pick, count_wanted(wanted, from.manifests.count));
	if (!r)
		r = copy_chosen(t, &from, &to, wanted, res, err);
	/* Of manifests that cannot be read nobody knows whether they were wanted. */
	if (from.manifests.bad && !count)
		exit_add(&t->cli->codes, EXIT_DAMAGED);
	free(wanted);
	session_close(&from);
	session_close(&to);
	return r;
}

enum exit_code cmd_copy(struct cli *cli, const void *options, int count, char **operands)
{
	struct teller teller = {.cli = cli};
	struct copy_result res = {0};
	struct err err = {0};
	int r = run_copy(&teller, options, count, operands, &res, &err);

	if (r)
		return command_fail(cli, &err);
	if (cli->out.json)
		print_json(&teller, &res);
	else
		print_people(cli, &res);
	return res.damaged ? EXIT_DAMAGED : EXIT_OK;
}
