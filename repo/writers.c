#include "repo/writers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_LEAST 4

static void see(struct writer *w, uint64_t sequence)
{
	if (sequence > w->last_sequence)
		w->last_sequence = sequence;
}

/* Only what the writer and G have signed: what other writers say that they saw is theirs to make up. */
static void gather(struct writer *w, const struct manifest_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct manifest *m = &list->items[i].m;

		if (memcmp(m->writer, w->pub, sizeof(w->pub)) != 0)
			continue;
		if (m->sequence >= w->last_sequence) {
			w->time_ns = m->time_ns;
			w->host = m->host;
		}
		see(w, m->sequence);
	}
	for (size_t i = 0; i < list->retires.count; i++) {
		const struct retire *r = &list->retires.records[i].r;

		for (size_t k = 0; k < r->count; k++) {
			if (memcmp(r->entries[k].writer, w->pub, sizeof(w->pub)) == 0)
				see(w, r->entries[k].sequence);
		}
	}
}

int writers_list(const struct repo *repo, const struct manifest_list *list,
		 struct writer **out_writers, size_t *out_count, struct err *err)
{
	const struct roster *roster = &repo->roster;
	struct writer *writers = calloc(roster->writer_count + 1, sizeof(*writers));

	if (!writers)
		return err_nomem(err);
	for (size_t i = 0; i < roster->writer_count; i++) {
		struct writer *w = &writers[i];

		memcpy(w->pub, roster->writers[i].pub, sizeof(w->pub));
		w->domain = roster->writers[i].domain;
		w->ends_at = roster->writers[i].last_sequence;
		gather(w, list);
	}
	*out_writers = writers;
	*out_count = roster->writer_count;
	return 0;
}

static bool begins_with(const struct writer *w, const char *prefix)
{
	char hex[ID_HEX_CHARS + 1];
	struct id id;

	memcpy(id.b, w->pub, sizeof(id.b));
	id_hex(&id, hex);
	return strncmp(hex, prefix, strlen(prefix)) == 0;
}

int writers_find(const struct writer *writers, size_t count, const char *prefix,
		 const struct writer **out_writer, struct err *err)
{
	const struct writer *found = NULL;

	if (strlen(prefix) < PREFIX_LEAST || strspn(prefix, "0123456789abcdef") < strlen(prefix))
		return err_set(err, ERR_USAGE,
			       "'%.80s': at least %d digits of a writer's id, as 'writer list' "
			       "shows it",
			       prefix, PREFIX_LEAST);
	for (size_t i = 0; i < count; i++) {
		if (!begins_with(&writers[i], prefix))
			continue;
		if (found)
			return err_set(err, ERR_USAGE, "%s names several writers; give more digits",
				       prefix);
		found = &writers[i];
	}
	if (!found)
		return err_set(err, ERR_MISSING, "there is no writer whose id begins with %s",
			       prefix);
	*out_writer = found;
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	return id_cmp(a, b);
}

/* What counts of it now, up to `after`. */
static int gather_kept(const struct manifest_list *list, struct roster_writer *w, struct err *err)
{
	w->kept_count = 0;
	w->kept = calloc(list->count + 1, sizeof(*w->kept));
	if (!w->kept)
		return err_nomem(err);
	for (size_t i = 0; i < list->count; i++) {
		const struct manifest *m = &list->items[i].m;

		if (memcmp(m->writer, w->pub, sizeof(w->pub)) == 0 &&
		    m->sequence <= w->last_sequence)
			w->kept[w->kept_count++] = list->items[i].name;
	}
	if (w->kept_count > 1)
		qsort(w->kept, w->kept_count, sizeof(*w->kept), compare_ids);
	if (w->kept_count > LIMIT_KEPT)
		return err_set(err, ERR_LIMIT, "more than %u backups of this writer", LIMIT_KEPT);
	return 0;
}

int writers_revoke(struct repo *repo, const struct manifest_list *list, const struct writer *writer,
		   uint64_t after, struct err *err)
{
	const struct roster_writer *known;
	struct roster_writer w;
	struct roster next = {0};
	int r = keys_allow(repo->keys, POWER_OWN, "writer revoke", err);

	if (!r)
		r = repo_refresh_roster(repo, err);
	if (r)
		return r;
	known = roster_find(&repo->roster, writer->pub);
	if (!known)
		return err_set(err, ERR_MISSING, "the roster does not name this writer");
	w = *known;
	/* A range up to the highest number there is would be no end. */
	w.last_sequence = after == UINT64_MAX ? UINT64_MAX - 1 : after;
	w.version++;
	r = gather_kept(list, &w, err);
	if (!r)
		r = roster_merge(&next, &repo->roster, err);
	if (!r)
		r = roster_add_writer(&next, &w, err);
	if (!r)
		r = repo_publish_roster(repo, &next, err);
	roster_free(&next);
	free(w.kept);
	return r;
}
