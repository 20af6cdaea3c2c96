#include "repo/tags.h"

#include <stdlib.h>
#include <string.h>

void tags_free(struct tags *tags)
{
	for (size_t i = 0; i < tags->count; i++)
		tagrec_free(&tags->items[i].t);
	free(tags->items);
	*tags = (struct tags){0};
}

/* Tags decide what a policy keeps. Who has stolen a writer's key, revoked or not, would have its backups of before removed by them. */
static int signer_known(const struct repo *repo, const struct tagrec *t, struct err *err)
{
	if (memcmp(t->head.signer, repo->conf.gc_pub, sizeof(t->head.signer)) == 0)
		return 0;
	return err_set(err, ERR_DAMAGED,
		       "tags that the maintenance key did not sign: a writer's key cannot change "
		       "them");
}

int tags_take(struct repo *repo, const struct id *name, const struct buf *bytes, struct tags *tags,
	      struct err *err)
{
	struct tags_item item = {.name = *name};
	int r = tagrec_dec(repo->keys, bytes->data, bytes->len, &item.t, err);

	if (!r)
		r = signer_known(repo, &item.t, err);
	if (!r && tags->count == tags->cap) {
		size_t cap = tags->cap ? 2 * tags->cap : 16;
		struct tags_item *grown = realloc(tags->items, cap * sizeof(*grown));

		if (grown) {
			tags->items = grown;
			tags->cap = cap;
		} else {
			r = err_nomem(err);
		}
	}
	if (r)
		tagrec_free(&item.t);
	else
		tags->items[tags->count++] = item;
	return r;
}

/* By manifest, the one that holds last. */
static int compare_records(const void *a, const void *b)
{
	const struct tags_item *x = a, *y = b;
	int order = id_cmp(&x->t.manifest, &y->t.manifest);

	if (order == 0)
		order =
		    (x->t.head.number > y->t.head.number) - (x->t.head.number < y->t.head.number);
	return order ? order : id_cmp(&x->name, &y->name);
}

static int compare_names(const void *a, const void *b)
{
	return id_cmp(a, b);
}

static int compare_item(const void *name, const void *item)
{
	return id_cmp(name, &((const struct manifest_item *)item)->name);
}

static void swap_tags(struct manifest *m, struct tagrec *t)
{
	char **tags = m->tags;
	struct id *macs = m->tag_macs;
	size_t tag_count = m->tag_count, mac_count = m->tag_mac_count;

	m->tags = t->tags;
	m->tag_count = t->tag_count;
	m->tag_macs = t->macs;
	m->tag_mac_count = t->mac_count;
	t->tags = tags;
	t->tag_count = tag_count;
	t->macs = macs;
	t->mac_count = mac_count;
}

static void apply_one(struct tagrec *t, struct manifest_item *item)
{
	item->tag_number = t->head.number;
	if (t->domain == item->m.domain && t->has_maint && t->has_read == item->m.has_read)
		swap_tags(&item->m, t);
}

int tags_apply(struct tags *tags, struct manifest_list *list, const struct id *objects,
	       size_t object_count, struct err *err)
{
	if (tags->count == 0)
		return 0;
	list->tagrecs = calloc(tags->count, sizeof(*list->tagrecs));
	if (!list->tagrecs)
		return err_nomem(err);
	qsort(tags->items, tags->count, sizeof(*tags->items), compare_records);
	for (size_t i = 0; i < tags->count; i++) {
		struct tagrec *t = &tags->items[i].t;
		struct manifest_item *item = list->count
						 ? bsearch(&t->manifest, list->items, list->count,
							   sizeof(*list->items), compare_item)
						 : NULL;

		/* The last of a manifest's holds. */
		if (item)
			apply_one(t, item);
		list->tagrecs[list->tagrec_count++] = (struct manifest_tagrec){
		    .name = tags->items[i].name,
		    .manifest = t->manifest,
		    .absent = !bsearch(&t->manifest, objects, object_count, sizeof(*objects),
				       compare_names),
		};
	}
	return 0;
}

static int copy_set(const char *const *set, size_t count, struct tagrec *t, struct err *err)
{
	t->tags = calloc(count + 1, sizeof(*t->tags));
	if (!t->tags)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++) {
		t->tags[i] = strdup(set[i]);
		if (!t->tags[i])
			return err_nomem(err);
		t->tag_count = i + 1;
	}
	return 0;
}

int tags_put(struct repo *repo, struct manifest_item *item, const char *const *set, size_t count,
	     int64_t now_ns, struct id *out_name, struct err *err)
{
	struct tagrec t = {
	    .head.number = item->tag_number + 1,
	    .head.time_ns = now_ns,
	    .manifest = item->name,
	    .domain = item->m.domain,
	};
	struct buf bytes = {0};
	int r = item->m.has_read ? copy_set(set, count, &t, err)
				 : err_set(err, ERR_KEY, "tags need a key that can read backups");

	if (!r && t.head.number == 0)
		r = err_set(err, ERR_LIMIT, "no more tag records fit behind the last one");
	if (!r)
		r = tagrec_enc(repo->keys, &t, repo->conf.floor_log2, &bytes, err);
	if (!r)
		r = repo_put(repo, STORE_SNAPSHOTS, &bytes, out_name, err);
	if (!r)
		apply_one(&t, item);
	buf_free(&bytes);
	tagrec_free(&t);
	return r;
}
