#include "repo/manifests.h"

#include <stdlib.h>
#include <string.h>

#include "repo/tags.h"
#include "repo/witness.h"

void manifest_list_free(struct manifest_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		manifest_free(&list->items[i].m);
	free(list->items);
	free(list->tagrecs);
	drills_free(&list->drills);
	retires_free(&list->retires);
	notes_free(&list->notes);
	*list = (struct manifest_list){0};
}

static int compare_items(const void *a, const void *b)
{
	const struct manifest_item *x = a, *y = b;
	int order;

	if (x->m.time_ns != y->m.time_ns)
		return x->m.time_ns < y->m.time_ns ? -1 : 1;
	order = memcmp(x->m.writer, y->m.writer, sizeof(x->m.writer));
	if (order)
		return order;
	if (x->m.sequence != y->m.sequence)
		return x->m.sequence < y->m.sequence ? -1 : 1;
	return id_cmp(&x->name, &y->name);
}

#define KIND_MANIFEST 1

static int writer_known(struct repo *repo, const struct id *name, const struct manifest *m,
			struct err *err)
{
	const struct roster_writer *w = repo_find_writer(repo, m->writer);

	if (w && roster_counts(w, m->sequence, name))
		return 0;
	if (w && roster_revoked(w))
		return err_set(err, ERR_KEY,
			       "not counted: made with a revoked key (its backup %llu, revoked "
			       "after %llu)",
			       (unsigned long long)m->sequence,
			       (unsigned long long)w->last_sequence);
	return err_set(err, ERR_DAMAGED,
		       "signed by a host that the roster in keys/ does not name: it is forged, or "
		       "the roster is lost, which the next backup of that host writes again");
}

/* A signed record that is no manifest. 1, or what is wrong with it. */
static int load_other(struct repo *repo, const struct id *name, uint8_t kind,
		      const struct buf *bytes, struct tags *tags, struct manifest_list *list,
		      struct err *err)
{
	int r;

	if (kind == TAGREC_KIND)
		r = tags_take(repo, name, bytes, tags, err);
	else if (kind == DAMAGE_KIND)
		r = notes_take(repo, bytes, &list->notes, err);
	else if (kind == DRILLNOTE_KIND)
		r = drills_take(repo, name, bytes, &list->drills, err);
	else if (kind == RETIRE_KIND)
		r = retires_take(repo, name, bytes, &list->retires, err);
	else
		r = err_set(err, ERR_VERSION,
			    "a signed record of kind %u, made by a newer nightjar", (unsigned)kind);
	return r ? r : 1;
}

/* Of its own backups a write key knows whose they are. */
static int name_own(const struct repo *repo, struct manifest *m, struct err *err)
{
	if (repo->keys->role != ROLE_WRITE ||
	    memcmp(m->writer, repo->keys->writer_pub, sizeof(m->writer)) != 0)
		return 0;
	m->host = strdup(repo->keys->host);
	return m->host ? 0 : err_nomem(err);
}

/* 1 when the object is another kind of signed record, which goes where it belongs. */
static int load_one(struct repo *repo, const struct id *name, struct manifest_item *out_item,
		    struct tags *tags, struct manifest_list *list, struct err *err)
{
	struct buf bytes = {0};
	struct rd r = {0};
	uint8_t kind = 0;
	int result = repo_get(repo, STORE_SNAPSHOTS, name, LIMIT_MANIFEST_BYTES, &bytes, err);

	if (!result) {
		r = rd_of(bytes.data, bytes.len);
		result = header_get(&r, OBJECT_SNAPSHOT, &kind, err);
	}
	if (!result && kind != KIND_MANIFEST) {
		result = load_other(repo, name, kind, &bytes, tags, list, err);
		buf_free(&bytes);
		return result;
	}
	out_item->name = *name;
	out_item->object_bytes = bytes.len;
	if (!result)
		result = manifest_dec(repo->keys, bytes.data, bytes.len, &out_item->m, err);
	if (!result) {
		result = writer_known(repo, name, &out_item->m, err);
		if (!result)
			result = name_own(repo, &out_item->m, err);
		if (result)
			manifest_free(&out_item->m);
	}
	buf_free(&bytes);
	return result;
}

static void report_bad(struct manifest_list *list, const struct id *name, manifest_bad_fn *bad,
		       void *bad_arg, const struct err *why)
{
	list->bad++;
	if (bad)
		bad(bad_arg, name, why);
}

int manifests_load(struct repo *repo, manifest_bad_fn *bad, void *bad_arg,
		   struct manifest_list *out_list, struct err *err)
{
	struct manifest_list list = {0};
	struct tags tags = {0};
	struct id *names = NULL;
	size_t count = 0;
	int r = witness_begin(repo, err);

	if (!r)
		r = repo_list(repo->store, STORE_SNAPSHOTS, &names, NULL, &count, err);
	if (!r) {
		list.items = calloc(count ? count : 1, sizeof(*list.items));
		if (!list.items)
			r = err_nomem(err);
	}
	if (!r)
		store_expect(repo->store, STORE_SNAPSHOTS, names, count);
	for (size_t i = 0; !r && i < count; i++) {
		struct err why = {0};

		r = load_one(repo, &names[i], &list.items[list.count], &tags, &list, &why);
		if (r == 0)
			list.count++;
		else if (r == -ERR_NOMEM || store_is_away(r))
			*err = why;
		else if (r == -ERR_KEY && bad)
			bad(bad_arg, &names[i], &why);
		else if (r < 0 && r != -ERR_KEY)
			report_bad(&list, &names[i], bad, bad_arg, &why);
		r = r == -ERR_NOMEM || store_is_away(r) ? r : 0;
	}
	if (!r)
		r = retires_settle(&list.retires, err);
	if (!r)
		r = tags_apply(&tags, &list, names, count, err);
	if (!r)
		r = witness_look(repo, &list, names, count, err);
	tags_free(&tags);
	free(names);
	if (r) {
		manifest_list_free(&list);
		return r;
	}
	notes_settle(&list.notes);
	qsort(list.items, list.count, sizeof(*list.items), compare_items);
	*out_list = list;
	return 0;
}

int manifests_readable(const struct repo *repo, const struct manifest_item *item, struct err *err)
{
	char hex[ID_HEX_CHARS + 1];

	if (repo->keys->role != ROLE_READ || item->m.has_read)
		return 0;
	id_hex(&item->name, hex);
	if (keys_domain(repo->keys, item->m.domain, err))
		(void)err_set(err, ERR_KEY,
			      "sealed for a newer read key than this one: export it again with the "
			      "full key: 'nightjar key export --role read FILE'");
	return err_prefix(err, "manifest %.*s", ID_SHORT_CHARS, hex);
}

static int find_latest(const struct manifest_list *list, const char *host,
		       const struct manifest_item **out_item, struct err *err)
{
	for (size_t i = list->count; i > 0; i--) {
		const struct manifest *m = &list->items[i - 1].m;

		if (!host || (m->host && strcmp(m->host, host) == 0)) {
			*out_item = &list->items[i - 1];
			return 0;
		}
	}
	if (host)
		return err_set(err, ERR_MISSING, "there is no backup of host %s", host);
	if (list->bad)
		return err_set(err, ERR_DAMAGED, "no manifest in this repository can be read");
	return err_set(err, ERR_MISSING, "there is no backup in this repository yet");
}

#define PREFIX_LEAST 4

static int find_prefix(const struct manifest_list *list, const char *spec, size_t len,
		       const struct manifest_item **out_item, struct err *err)
{
	char hex[ID_HEX_CHARS + 1];

	if (len < PREFIX_LEAST || len > ID_HEX_CHARS || strspn(spec, "0123456789abcdef") < len)
		return err_set(err, ERR_USAGE,
			       "'%.*s' names no backup: 'latest', or at least %d digits of an id",
			       (int)(len > 80 ? 80 : len), spec, PREFIX_LEAST);
	*out_item = NULL;
	for (size_t i = 0; i < list->count; i++) {
		id_hex(&list->items[i].name, hex);
		if (strncmp(hex, spec, len) != 0)
			continue;
		if (*out_item)
			return err_set(err, ERR_USAGE,
				       "'%.*s' names several backups; give more digits", (int)len,
				       spec);
		*out_item = &list->items[i];
	}
	if (*out_item)
		return 0;
	return err_set(err, ERR_MISSING, "there is no backup whose id begins with %.*s", (int)len,
		       spec);
}

int manifests_find(const struct manifest_list *list, const char *spec, const char *host,
		   const struct manifest_item **out_item, const char **out_sub, struct err *err)
{
	const char *colon = strchr(spec, ':');
	size_t len = colon ? (size_t)(colon - spec) : strlen(spec);

	*out_sub = colon ? colon + 1 : NULL;
	if (len == 6 && strncmp(spec, "latest", 6) == 0)
		return find_latest(list, host, out_item, err);
	return find_prefix(list, spec, len, out_item, err);
}

const struct manifest_item *manifests_overtaken(const struct manifest_list *list,
						const struct manifest_item *item)
{
	const struct manifest *m = &item->m;
	const struct manifest_item *last = item;

	for (size_t i = 0; m->standing == MANIFEST_ORDINARY && i < list->count; i++) {
		const struct manifest *o = &list->items[i].m;

		if (o->standing == MANIFEST_ORDINARY && o->sequence > last->m.sequence &&
		    memcmp(o->writer, m->writer, sizeof(o->writer)) == 0 &&
		    id_eq(&o->group, &m->group))
			last = &list->items[i];
	}
	return last->m.time_ns < m->time_ns ? last : NULL;
}

/* A backup that every reader would refuse is not acknowledged (I6). */
static int judge_writer(const struct repo *repo, uint64_t sequence, struct err *err)
{
	const struct roster_writer *w = roster_find(&repo->roster, repo->keys->writer_pub);

	if (w && roster_revoked(w))
		return repo_say_revoked(repo, w, err);
	if (w && sequence >= w->first_sequence)
		return 0;
	return err_set(err, ERR_KEY,
		       "the roster in keys/ does not let this key write (any more); "
		       "make a new write key with the full role");
}

int manifests_put(struct repo *repo, struct manifest *m, struct id *out_name, uint64_t *out_bytes,
		  struct err *err)
{
	struct buf bytes = {0};
	int r = 0;

	/* It may have been revoked while the backup ran. */
	if (repo->keys->role == ROLE_WRITE)
		r = repo_refresh_roster(repo, err);
	if (!r)
		r = judge_writer(repo, m->sequence, err);
	if (r)
		return r;
	r = manifest_enc(repo->keys, m, repo->conf.floor_log2, &bytes, err);

	if (!r)
		r = repo_put(repo, STORE_SNAPSHOTS, &bytes, out_name, err);
	if (!r)
		witness_made(repo, m, out_name);
	*out_bytes = bytes.len;
	buf_free(&bytes);
	return r;
}

/* Newest of its writer: nobody of the same writer names it as a parent. Forks leave several. */
static bool is_head(const struct manifest_list *list, size_t at)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct manifest *m = &list->items[i].m;

		if (memcmp(m->writer, list->items[at].m.writer, sizeof(m->writer)) != 0)
			continue;
		for (size_t k = 0; k < m->parent_count; k++) {
			if (id_eq(&m->parents[k], &list->items[at].name))
				return false;
		}
	}
	return true;
}

static struct manifest_seen *seen_of(struct manifest *m, const uint8_t writer[32])
{
	for (size_t i = 0; i < m->seen_count; i++) {
		if (memcmp(m->seen[i].writer, writer, 32) == 0)
			return &m->seen[i];
	}
	memcpy(m->seen[m->seen_count].writer, writer, 32);
	return &m->seen[m->seen_count++];
}

/* 0: there is none behind it, which only somebody with the writer's key could have brought about. */
static void follow(struct manifest *m, uint64_t sequence)
{
	if (m->sequence && sequence >= m->sequence)
		m->sequence = sequence + 1;
}

static int no_sequence_left(struct err *err)
{
	return err_set(
	    err, ERR_KEY,
	    "a backup of this host has the last sequence number that there is, so none can "
	    "follow it: somebody else has used its key; make a new write key with the full "
	    "role, and revoke this one");
}

/* The newest of a writer is never forgotten, but repair removes it when nothing of it can be had. */
static void skip_retired(const struct retires *retires, struct manifest *m)
{
	for (size_t i = 0; i < retires->count; i++) {
		const struct retire *r = &retires->records[i].r;

		for (size_t k = 0; k < r->count; k++) {
			const struct retire_entry *e = &r->entries[k];

			if (memcmp(e->writer, m->writer, sizeof(m->writer)) == 0)
				follow(m, e->sequence);
		}
	}
}

int manifests_succeed(const struct repo *repo, const struct manifest_list *list, struct manifest *m,
		      struct err *err)
{
	const struct roster_writer *w = roster_find(&repo->roster, repo->keys->writer_pub);
	size_t room = list->count ? list->count : 1;

	memcpy(m->repo, repo->conf.repo, sizeof(m->repo));
	memcpy(m->writer, repo->keys->writer_pub, sizeof(m->writer));
	m->domain = repo->keys->writer_domain;
	m->sequence = 1;
	m->parents = calloc(room, sizeof(*m->parents));
	m->seen = calloc(room, sizeof(*m->seen));
	if (!m->parents || !m->seen)
		return err_nomem(err);
	/* Newest first: of more heads than fit the oldest are left out, each of which had a successor that was forgotten. */
	for (size_t i = list->count; i-- > 0;) {
		const struct manifest_item *item = &list->items[i];

		if (memcmp(item->m.writer, m->writer, sizeof(m->writer)) == 0) {
			follow(m, item->m.sequence);
			if (m->parent_count < LIMIT_PARENTS && is_head(list, i))
				m->parents[m->parent_count++] = item->name;
		} else {
			struct manifest_seen *seen = seen_of(m, item->m.writer);

			if (item->m.sequence > seen->sequence) {
				seen->sequence = item->m.sequence;
				seen->name = item->name;
			}
		}
	}
	skip_retired(&list->retires, m);
	if (m->sequence == 0)
		return no_sequence_left(err);
	return w ? judge_writer(repo, m->sequence, err) : 0;
}
