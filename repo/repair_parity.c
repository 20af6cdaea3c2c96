/* repair packs and check --repair without a key: what parity gives back. */
#include "repo/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/mend.h"
#include "repo/repair_run.h"

struct run {
	struct store *store;
	const struct repair_parity_options *options;
	struct repair_parity_result *result;
	struct buf bytes;
};

int repair_find_pack(struct store *store, const char *prefix, struct id *out_name, struct err *err)
{
	size_t len = strlen(prefix), count = 0, found = 0;
	char hex[ID_HEX_CHARS + 1];
	struct id *names = NULL;
	int r = repo_list(store, STORE_DATA, &names, NULL, &count, err);

	for (size_t i = 0; !r && i < count; i++) {
		id_hex(&names[i], hex);
		if (strncmp(hex, prefix, len) != 0)
			continue;
		*out_name = names[i];
		found++;
	}
	free(names);
	if (!r && found == 0)
		r = err_set(err, ERR_MISSING, "there is no pack whose name begins with '%.80s'",
			    prefix);
	if (!r && found > 1)
		r = err_set(err, ERR_USAGE, "'%.80s' names several packs; give more digits",
			    prefix);
	return r;
}

static void tell(struct run *run, const struct id *name, const struct mend *m)
{
	char what[MEND_TEXT_CHARS], text[REPAIR_TEXT_CHARS];

	mend_text(m, what);
	if (m->state == MEND_DONE)
		(void)snprintf(text, sizeof(text), "mended by its parity: %s", what);
	else if (m->state == MEND_COULD)
		repair_say_unwritten(m, text);
	else
		(void)snprintf(text, sizeof(text),
			       "damaged, and %s; 'repair packs' with the full key saves what still "
			       "opens",
			       m->why.text);
	repair_tell(&run->options->cb, m->state != MEND_DONE, STORE_DATA, name, text);
}

static int look_at(struct run *run, const struct id *name, struct err *err)
{
	struct mend m;
	int r = mend_pack(run->store, name, true, &run->bytes, &m, err);

	if (r == -ERR_MISSING && !run->options->packs)
		return 0; /* prune was faster */
	if (r)
		return repo_name(run->store, STORE_DATA, name, err);
	run->result->packs++;
	if (m.state == MEND_WHOLE)
		return 0;
	run->result->damaged++;
	if (m.state == MEND_DONE) {
		run->result->mended++;
		run->result->blocks += m.mended.blocks;
	}
	run->result->unwritten += m.state == MEND_COULD;
	tell(run, name, &m);
	return 0;
}

int repair_parity(struct store *store, const struct repair_parity_options *options,
		  struct repair_parity_result *out_result, struct err *err)
{
	struct run run = {.store = store, .options = options, .result = out_result};
	const struct id *packs = options->packs;
	size_t count = options->pack_count;
	struct id *names = NULL;
	int r = packs ? 0 : repo_list(store, STORE_DATA, &names, NULL, &count, err);

	*out_result = (struct repair_parity_result){0};
	if (!r && !packs) {
		packs = names;
		store_expect(store, STORE_DATA, names, count);
	}
	for (size_t i = 0; !r && i < count; i++) {
		r = repair_tick(&options->cb, i, count, "", err);
		if (!r)
			r = look_at(&run, &packs[i], err);
	}
	free(names);
	buf_free(&run.bytes);
	return r;
}
