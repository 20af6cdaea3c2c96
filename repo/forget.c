#include "repo/forget.h"

#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"
#include "repo/witness.h"

void forget_plan_free(struct forget_plan *plan)
{
	free(plan->backups);
	free(plan->groups);
	*plan = (struct forget_plan){0};
}

/* --- what a backup is --- */

static bool holds(char *const *items, size_t count, const char *what)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(items[i], what) == 0)
			return true;
	}
	return false;
}

static bool has_tags(const struct manifest *m, const struct forget_tags *want)
{
	for (size_t i = 0; i < want->count; i++) {
		bool none = want->tags[i][0] == '\0' && m->tag_count == 0;

		if (!none && !holds(m->tags, m->tag_count, want->tags[i]))
			return false;
	}
	return true;
}

static bool has_any(const struct manifest *m, const struct forget_tags *lists, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (has_tags(m, &lists[i]))
			return true;
	}
	return false;
}

static bool is_named(const struct forget_options *o, const struct id *name)
{
	for (size_t i = 0; i < o->name_count; i++) {
		if (id_eq(&o->names[i], name))
			return true;
	}
	return false;
}

static bool is_considered(const struct forget_options *o, const struct manifest_item *item)
{
	const struct manifest *m = &item->m;
	bool host = o->host_count == 0;

	if (o->name_count)
		return is_named(o, &item->name);
	for (size_t i = 0; !host && i < o->host_count; i++)
		host = strcmp(m->host, o->hosts[i]) == 0;
	for (size_t i = 0; i < o->path_count; i++) {
		if (!holds(m->sources, m->source_count, o->paths[i]))
			return false;
	}
	return host && (o->tag_count == 0 || has_any(m, o->tags, o->tag_count));
}

/* What `repair manifests` could save of a damaged one. */
static bool is_rest(const struct manifest *m)
{
	return m->standing == MANIFEST_REPAIRED;
}

static enum retention_rank rank_of(const struct manifest *m)
{
	/* What could not be read that night, a locked database perhaps, has no verdict either. */
	enum retention_rank rank = m->incomplete ? RETENTION_RANK_UNCHECKED : RETENTION_RANK_CLEAN;

	if (is_rest(m)) /* what is lost, a database perhaps, has no verdict */
		return RETENTION_RANK_FAILED;
	for (size_t i = 0; i < m->verdict_count; i++) {
		if (m->verdicts[i] == 2)
			return RETENTION_RANK_FAILED;
		if (m->verdicts[i] == 3)
			rank = RETENTION_RANK_UNCHECKED;
	}
	return rank;
}

/*
 * A rest stands where the damaged one stood: it was made later, and counted so it would push out the whole ones. 0 where nothing is left of
 * what was before it.
 */
static uint64_t place_of(const struct manifest_list *list, const struct manifest *m)
{
	uint64_t place = 0;

	if (!is_rest(m))
		return m->sequence;
	for (size_t i = 0; i < list->count; i++) {
		const struct manifest *other = &list->items[i].m;

		if (memcmp(other->writer, m->writer, sizeof(m->writer)) == 0 && !is_rest(other) &&
		    other->time_ns <= m->time_ns && other->sequence > place)
			place = other->sequence;
	}
	return place < m->sequence ? place : m->sequence;
}

static void put_texts(struct buf *b, char *const *texts, size_t count)
{
	buf_put_u32(b, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		buf_put_str16(b, texts[i], strlen(texts[i]));
}

#define BY_GROUP (FORGET_BY_HOST | FORGET_BY_PATHS)

/* By host and paths the manifest's own group says it, without a name. Tags are in order. */
static int set_of(unsigned by, const struct manifest *m, struct id *out_set, struct err *err)
{
	struct buf b = {0};
	int r;

	if (by == BY_GROUP) {
		*out_set = m->group;
		return 0;
	}
	if (by & FORGET_BY_HOST)
		buf_put_str16(&b, m->host, strlen(m->host));
	if (by & FORGET_BY_PATHS)
		put_texts(&b, m->sources, m->source_count);
	if (by & FORGET_BY_TAGS)
		put_texts(&b, m->tags, m->tag_count);
	r = buf_check(&b, err);
	if (!r)
		r = sha256_of(b.data, b.len, out_set, err);
	buf_free(&b);
	return r;
}

static bool needs_names(const struct forget_options *o)
{
	return o->keep_tag_count || o->host_count || o->tag_count || o->path_count ||
	       (o->group_by != BY_GROUP && o->group_by != 0);
}

static int describe(const struct forget_options *o, const struct manifest_list *list,
		    struct retention_item *items, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < list->count; i++) {
		struct manifest_item *item = &list->items[i];

		if (!item->m.has_maint)
			return err_set(err, ERR_KEY, "forget needs a full or maintain key");
		if (!item->m.has_read && needs_names(o))
			return err_set(
			    err, ERR_KEY,
			    "hosts, paths and tags need a full key; a maintain key forgets by "
			    "groups without their names");
		items[i] = (struct retention_item){
		    .writer = item->m.writer,
		    .sequence = place_of(list, &item->m),
		    .time_ns = item->m.time_ns,
		    .name = &item->name,
		    .group = &item->m.group,
		    .rank = rank_of(&item->m),
		    .considered = is_considered(o, item),
		    .tagged =
			o->keep_tag_count && has_any(&item->m, o->keep_tags, o->keep_tag_count),
		    .retired = retires_have(&list->retires, &item->name),
		    .cookie = item,
		};
		r = set_of(o->group_by, &item->m, &items[i].set, err);
	}
	return r;
}

/* --- judging --- */

typedef int judge_fn(const struct retention_policy *policy, struct retention_item *items,
		     size_t count, struct err *err);

static bool has_copies(const struct manifest_list *list, const uint8_t writer[32])
{
	for (size_t i = 0; i < list->count; i++) {
		const struct manifest *m = &list->items[i].m;

		if (m->standing == MANIFEST_COPY && memcmp(m->writer, writer, 32) == 0)
			return true;
	}
	return false;
}

/*
 * A writer's copies have their sequences by when they were copied: `copy latest` and then the rest puts the newest first. Nor can times alone
 * be trusted, which some host claimed. So both orders are read, and what either keeps is kept. list is in the order of times.
 */
static int judge_copies(judge_fn *judge, const struct retention_policy *policy,
			const struct manifest_list *list, struct retention_item *items,
			size_t count, struct err *err)
{
	struct retention_item *by_time = calloc(count + 1, sizeof(*by_time));
	uint32_t *reasons = calloc(count + 1, sizeof(*reasons));
	bool any = false;
	int r = by_time && reasons ? 0 : err_nomem(err);

	for (size_t i = 0; !r && i < count; i++) {
		const struct manifest_item *item = items[i].cookie;

		by_time[i] = items[i];
		if (!has_copies(list, items[i].writer))
			continue;
		by_time[i].sequence = (uint64_t)(item - list->items) + 1;
		any = true;
	}
	if (!r && any)
		r = judge(policy, by_time, count, err);
	for (size_t i = 0; !r && any && i < count; i++)
		reasons[(struct manifest_item *)by_time[i].cookie - list->items] =
		    by_time[i].reasons;
	for (size_t i = 0; !r && any && i < count; i++)
		items[i].reasons |= reasons[(struct manifest_item *)items[i].cookie - list->items];
	free(by_time);
	free(reasons);
	return r;
}

static int judge_all(judge_fn *judge, const struct retention_policy *policy,
		     const struct manifest_list *list, struct retention_item *items, size_t count,
		     struct err *err)
{
	int r = judge(policy, items, count, err);

	return r ? r : judge_copies(judge, policy, list, items, count, err);
}

/* --- refusals --- */

static int refuse_named(const struct retention_item *item, struct err *err)
{
	char hex[ID_HEX_CHARS + 1];
	const char *why = item->reasons & RETENTION_NEWEST
			      ? "is the newest backup of its host and paths, which is never removed"
			  : item->reasons & RETENTION_CLEAN
			      ? "is the last backup of its host and paths whose databases passed "
				"their check, which is never removed"
			      : "is younger than --min-age allows";

	id_hex(item->name, hex);
	return err_set(err, ERR_USAGE, "%.*s %s; nothing was removed", ID_SHORT_CHARS, hex, why);
}

/* Explicit names: all of them or none. */
static int judge_named(const struct forget_options *o, const struct manifest_list *list,
		       struct retention_item *items, size_t count, struct err *err)
{
	int r = judge_all(retention_protect, &o->policy, list, items, count, err);

	for (size_t i = 0; !r && i < count; i++) {
		if (!items[i].considered)
			continue;
		if (items[i].reasons & (RETENTION_NEVER | RETENTION_YOUNG))
			return refuse_named(&items[i], err);
		items[i].reasons = 0;
	}
	return r;
}

/*
 * Only words about tags can keep nothing at all of a group; that is a tag mistyped rather than meant. items: one set.
 */
static int refuse_empty(const struct retention_item *items, size_t count, struct err *err)
{
	const struct manifest_item *any = NULL;
	bool removes = false;

	for (size_t i = 0; i < count; i++) {
		if (!items[i].considered || items[i].retired)
			continue;
		if (items[i].reasons & RETENTION_BY_POLICY)
			return 0;
		any = items[i].cookie;
		removes = removes || items[i].reasons == 0;
	}
	if (!removes)
		return 0;
	return err_set(err, ERR_USAGE,
		       "--keep-tag: no backup of host %s, %s has such tags, so none but the newest "
		       "would be kept; nothing was removed",
		       any->m.host ? any->m.host : "?",
		       any->m.source_count ? any->m.sources[0] : "/");
}

static int judge_policy(const struct forget_options *o, const struct manifest_list *list,
			struct retention_item *items, size_t count, struct err *err)
{
	struct retention_policy policy = o->policy;
	size_t end;
	int r;

	policy.keep_tagged = o->keep_tag_count > 0;
	if (retention_policy_empty(&policy))
		return err_set(err, ERR_USAGE,
			       "no policy was given: say what to keep, such as --keep-daily 7 "
			       "--keep-weekly 4 --keep-monthly 12, or name backups");
	r = judge_all(retention_judge, &policy, list, items, count, err);
	for (size_t i = 0; !r && i < count; i = end) {
		for (end = i + 1; end < count && id_eq(&items[i].set, &items[end].set);)
			end++;
		r = refuse_empty(items + i, end - i, err);
	}
	return r;
}

/* --- the plan --- */

static int by_oldest(const void *a, const void *b)
{
	const struct retention_item *const *x = a, *const *y = b;
	const struct manifest_item *p = (*x)->cookie, *q = (*y)->cookie;

	return (p > q) - (p < q);
}

static bool is_shown(const struct retention_item *item)
{
	return item->considered || item->reasons == 0;
}

static void add_group(struct forget_plan *plan, const struct retention_item *items, size_t count)
{
	struct forget_group *g = &plan->groups[plan->group_count++];

	*g = (struct forget_group){.first = plan->count};
	for (size_t i = 0; i < count && id_eq(&items[i].set, &items[0].set); i++) {
		if (!is_shown(&items[i]))
			continue;
		plan->backups[plan->count++] = (struct forget_backup){
		    .item = items[i].cookie,
		    .reasons = items[i].reasons,
		    .retired = items[i].retired,
		};
		g->count++;
		g->removed += items[i].reasons == 0;
	}
	plan->removed += g->removed;
	plan->group_count -= g->count == 0;
}

static int compare_sets(const void *a, const void *b)
{
	const struct retention_item *x = a, *y = b;
	int order = id_cmp(&x->set, &y->set);

	if (order == 0)
		order = memcmp(x->writer, y->writer, 32);
	if (order == 0)
		order = (x->sequence > y->sequence) - (x->sequence < y->sequence);
	return order ? order : by_oldest(&x, &y);
}

/* Sets one after the other, in the order of the oldest backup in each; first is room for as many pointers as items. */
static void add_groups(struct forget_plan *plan, struct retention_item *items, size_t count,
		       struct retention_item **first)
{
	size_t sets = 0;

	qsort(items, count, sizeof(*items), compare_sets);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || !id_eq(&items[i].set, &items[i - 1].set))
			first[sets++] = &items[i];
	}
	qsort(first, sets, sizeof(struct retention_item *), by_oldest);
	for (size_t i = 0; i < sets; i++)
		add_group(plan, first[i], count - (size_t)(first[i] - items));
}

int forget_plan(struct repo *repo, const struct manifest_list *list,
		const struct forget_options *options, struct forget_plan *out_plan, struct err *err)
{
	size_t room = list->count ? list->count : 1;
	struct forget_plan plan = {0};
	struct retention_item *items = calloc(room, sizeof(*items));
	struct retention_item **first = calloc(room, sizeof(struct retention_item *));
	int r = keys_allow(repo->keys, POWER_MAINTAIN, "forget", err);

	plan.backups = calloc(room, sizeof(*plan.backups));
	plan.groups = calloc(room, sizeof(*plan.groups));
	if (!r && (!items || !first || !plan.backups || !plan.groups))
		r = err_nomem(err);
	if (!r)
		r = describe(options, list, items, err);
	if (!r)
		r = options->name_count ? judge_named(options, list, items, list->count, err)
					: judge_policy(options, list, items, list->count, err);
	if (!r && list->count)
		add_groups(&plan, items, list->count, first);
	free(items);
	free(first);
	if (r)
		forget_plan_free(&plan);
	else
		*out_plan = plan;
	return r;
}

/* --- doing it --- */

/* Says which are to go before the first goes; what an earlier record says already is not said again. */
static int publish(struct repo *repo, const struct manifest_list *list,
		   const struct forget_plan *plan, int64_t now_ns, struct err *err)
{
	struct retire_entry *entries = calloc(plan->removed + 1, sizeof(*entries));
	size_t count = 0;
	int r = entries ? 0 : err_nomem(err);

	for (size_t i = 0; !r && i < plan->count; i++) {
		const struct forget_backup *b = &plan->backups[i];
		struct retire_entry *e = &entries[count];

		if (b->reasons || b->retired)
			continue;
		memcpy(e->writer, b->item->m.writer, sizeof(e->writer));
		e->sequence = b->item->m.sequence;
		e->name = b->item->name;
		count++;
	}
	if (!r && count)
		r = retires_put(repo, &list->retires, entries, count, now_ns, err);
	free(entries);
	return r;
}

/* Another forget may have been first. */
static int remove_object(struct repo *repo, const struct id *name, struct err *err)
{
	int r = store_remove(repo->store, STORE_SNAPSHOTS, name, err);

	return r == -ERR_MISSING ? 0 : r;
}

static bool is_removed(const struct forget_plan *plan, const struct id *manifest)
{
	for (size_t i = 0; i < plan->count; i++) {
		if (plan->backups[i].reasons == 0 && id_eq(&plan->backups[i].item->name, manifest))
			return true;
	}
	return false;
}

/* The tags of what is not there any more, also of what an interrupted forget left. */
static int remove_tagrecs(struct repo *repo, const struct manifest_list *list,
			  const struct forget_plan *plan, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < list->tagrec_count; i++) {
		const struct manifest_tagrec *t = &list->tagrecs[i];

		if (t->absent ? retires_have(&list->retires, &t->manifest)
			      : is_removed(plan, &t->manifest))
			r = remove_object(repo, &t->name, err);
	}
	return r;
}

int forget_apply(struct repo *repo, const struct manifest_list *list,
		 const struct forget_plan *plan, int64_t now_ns, const struct forget_callbacks *cb,
		 struct forget_result *out_result, struct err *err)
{
	int r;

	*out_result = (struct forget_result){0};
	r = witness_allow_removal(repo, "forget", err);
	if (!r)
		r = publish(repo, list, plan, now_ns, err);
	for (size_t i = 0; !r && i < plan->count; i++) {
		if (plan->backups[i].reasons)
			continue;
		if (cb && cb->progress &&
		    cb->progress(cb->arg, out_result->removed, plan->removed) != 0)
			return err_set(err, ERR_CANCELLED,
				       "interrupted; %zu of %zu backups were removed, the next "
				       "forget removes the others",
				       out_result->removed, plan->removed);
		r = remove_object(repo, &plan->backups[i].item->name, err);
		out_result->removed += !r;
	}
	return r ? r : remove_tagrecs(repo, list, plan, err);
}
