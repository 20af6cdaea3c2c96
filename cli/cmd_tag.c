#include "cli/command.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/lines.h"
#include "cli/session.h"
#include "cli/text.h"
#include "repo/tags.h"

struct tag_words {
	struct option_list add, remove, set;
	const char *host;
};

const struct option_spec cmd_tag_options[] = {
    {"add", 0, OPTION_LIST, offsetof(struct tag_words, add), "TAG[,TAG…]",
     "add to the tags; may be repeated"},
    {"remove", 0, OPTION_LIST, offsetof(struct tag_words, remove), "TAG[,TAG…]",
     "remove from the tags; may be repeated"},
    {"set", 0, OPTION_LIST, offsetof(struct tag_words, set), "TAG[,TAG…]",
     "replace all tags; '' leaves none; may be repeated"},
    {"host", 0, OPTION_STRING, offsetof(struct tag_words, host), "NAME",
     "'latest' means the latest of NAME"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_tag_options_bytes = sizeof(struct tag_words);

struct wanted {
	struct lines add, remove, set;
	bool is_set;
};

static int split_all(const struct option_list *options, struct lines *out, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < options->count; i++)
		r = lines_add_parts(out, options->items[i], ',', err);
	for (size_t i = 0; !r && i < out->count; i++) {
		if (strlen(out->items[i]) > LIMIT_TAG_BYTES)
			r = err_set(err, ERR_USAGE, "a tag has at most %u bytes", LIMIT_TAG_BYTES);
	}
	return r;
}

static int read_words(const struct tag_words *w, struct wanted *out, struct err *err)
{
	int r = 0;

	out->is_set = w->set.count > 0;
	if (!out->is_set && w->add.count + w->remove.count == 0)
		return err_set(err, ERR_USAGE, "'tag' needs --add, --remove or --set");
	if (out->is_set && w->add.count + w->remove.count > 0)
		return err_set(err, ERR_USAGE, "--set goes neither with --add nor with --remove");
	r = split_all(&w->add, &out->add, err);
	if (!r)
		r = split_all(&w->remove, &out->remove, err);
	if (!r)
		r = split_all(&w->set, &out->set, err);
	return r;
}

static bool holds(char *const *tags, size_t count, const char *tag)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(tags[i], tag) == 0)
			return true;
	}
	return false;
}

static int add_missing(struct lines *set, char *const *tags, size_t count,
		       const struct lines *without, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < count; i++) {
		if (!holds(set->items, set->count, tags[i]) &&
		    !holds(without->items, without->count, tags[i]))
			r = lines_add(set, tags[i], err);
	}
	return r;
}

/* As restic: what is added first, then what is removed. */
static int new_set(const struct wanted *w, const struct manifest *m, struct lines *out,
		   struct err *err)
{
	static const struct lines none = {0};
	int r;

	if (w->is_set)
		return add_missing(out, w->set.items, w->set.count, &none, err);
	r = add_missing(out, m->tags, m->tag_count, &w->remove, err);
	return r ? r : add_missing(out, w->add.items, w->add.count, &w->remove, err);
}

static bool same_set(const struct manifest *m, const struct lines *set)
{
	for (size_t i = 0; i < set->count; i++) {
		if (!holds(m->tags, m->tag_count, set->items[i]))
			return false;
	}
	return set->count == m->tag_count;
}

static void say_changed(struct cli *cli, const struct manifest_item *item)
{
	struct json j = {0};
	char hex[ID_HEX_CHARS + 1];

	id_hex(&item->name, hex);
	out_note(&cli->out, "tags of %.*s changed", ID_SHORT_CHARS, hex);
	if (!cli->out.json)
		return;
	json_object(&j, NULL);
	json_str(&j, "message_type", "changed");
	json_str(&j, "manifest_id", hex);
	json_array(&j, "tags");
	for (size_t i = 0; i < item->m.tag_count; i++)
		json_str(&j, NULL, item->m.tags[i]);
	json_close(&j);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

static int tag_one(struct cli *cli, struct session *s, struct manifest_item *item,
		   const struct wanted *w, uint64_t *changed, struct err *err)
{
	struct lines set = {0};
	struct timespec now;
	struct id record;
	int r = new_set(w, &item->m, &set, err);

	if (!r && !same_set(&item->m, &set)) {
		(void)clock_gettime(CLOCK_REALTIME, &now);
		r = tags_put(s->repo, item, (const char *const *)set.items, set.count,
			     (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, &record, err);
		if (!r) {
			++*changed;
			say_changed(cli, item);
		}
	}
	lines_free(&set);
	return r;
}

/* All operands are looked up before the first is changed: a mistyped one changes nothing. */
static int tag_all(struct cli *cli, const struct tag_words *words, const struct wanted *w,
		   int count, char **operands, uint64_t *changed, struct err *err)
{
	struct session s = {0};
	const struct manifest_item *found;
	const char *sub;
	int r = session_open_manifests(cli, &s, err);

	if (!r)
		r = keys_allow(s.repo->keys, POWER_OWN, "tag", err);
	for (int i = 0; !r && i < count; i++) {
		r = session_find(cli, &s, operands[i], words->host, &found, &sub, err);
		if (!r && sub)
			r = err_set(err, ERR_USAGE, "'%s': a whole backup is tagged, not a path",
				    operands[i]);
	}
	for (int i = 0; !r && i < count; i++) {
		r = manifests_find(&s.manifests, operands[i], words->host, &found, &sub, err);
		if (!r)
			r = tag_one(cli, &s, &s.manifests.items[found - s.manifests.items], w,
				    changed, err);
	}
	session_close(&s);
	return r;
}

static void say_summary(struct cli *cli, uint64_t changed)
{
	struct json j = {0};

	out_line(&cli->out, "changed the tags of %llu manifest%s", (unsigned long long)changed,
		 text_plural(changed));
	if (!cli->out.json)
		return;
	json_object(&j, NULL);
	json_str(&j, "message_type", "summary");
	json_u64(&j, "changed_snapshots", changed);
	json_close(&j);
	out_json(&cli->out, &j);
	json_free(&j);
}

enum exit_code cmd_tag(struct cli *cli, const void *options, int count, char **operands)
{
	struct wanted w = {0};
	struct err err = {0};
	uint64_t changed = 0;
	int r = read_words(options, &w, &err);

	if (!r)
		r = tag_all(cli, options, &w, count, operands, &changed, &err);
	if (!r)
		say_summary(cli, changed);
	lines_free(&w.add);
	lines_free(&w.remove);
	lines_free(&w.set);
	return r ? command_fail(cli, &err) : EXIT_OK;
}
