/* What manifests reach, by lists alone: for a key that opens no names. */
#include "repo/check_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct walk {
	struct check_run *run;
	struct chunk_ref *stack; /* lists that were come by and not read yet */
	size_t stack_count, stack_cap;
	struct idset seen; /* of this manifest */
	struct id *lists;  /* the same, to go through */
	size_t list_count, list_cap;
	uint64_t lost; /* chunks without a whole copy */
};

static bool is_list(uint8_t kind)
{
	return kind == CHUNK_TREE_LIST || kind == CHUNK_LIST;
}

static void *grown(void *items, size_t count, size_t *cap, size_t each_bytes)
{
	size_t more = *cap ? *cap * 2 : 256;
	void *larger;

	if (count < *cap)
		return items;
	larger = realloc(items, more * each_bytes);
	if (larger)
		*cap = more;
	return larger;
}

static int push(struct walk *w, const struct chunk_ref *list, struct err *err)
{
	struct chunk_ref *stack = grown(w->stack, w->stack_count, &w->stack_cap, sizeof(*w->stack));

	if (!stack)
		return err_nomem(err);
	w->stack = stack;
	stack[w->stack_count++] = *list;
	return 0;
}

static int see(struct walk *w, const struct id *list, struct err *err)
{
	struct id *lists = grown(w->lists, w->list_count, &w->list_cap, sizeof(*w->lists));

	if (!lists)
		return err_nomem(err);
	w->lists = lists;
	lists[w->list_count++] = *list;
	return idset_add(&w->seen, list, err);
}

/* A chunk that is no list, or a list itself. */
static int look_at(struct walk *w, const struct chunk_ref *ref, struct err *err)
{
	bool whole = true;
	int r = w->run->gathering ? 0 : check_whole(w->run, ref, &whole, err);

	w->lost += !r && !whole;
	return r;
}

/* Its children. One that does not load is counted, and the copies to blame are found. */
static int read_list(struct walk *w, const struct chunk_ref *list, struct chunk_ref **out_children,
		     size_t *out_count, struct err *err)
{
	struct check_run *run = w->run;
	struct buf bytes = {0};
	struct err why = {0};
	int r = reader_get(run->reader, list->kind, &list->id, &bytes, &why);

	if (!r)
		r = list_get(bytes.data, bytes.len, out_children, out_count, &why);
	buf_free(&bytes);
	if (check_ends(r)) {
		*err = why;
		return r;
	}
	if (!r || run->gathering)
		return 0;
	w->lost++;
	return check_read_chunk(run, list->kind, &list->id, err);
}

static int walk_list(struct walk *w, const struct chunk_ref *list, struct err *err)
{
	struct chunk_ref *children = NULL;
	size_t count = 0, found = w->run->found_count;
	int r = see(w, &list->id, err);

	if (!r && w->run->gathering)
		r = check_gather(w->run, list, err);
	if (!r)
		r = read_list(w, list, &children, &count, err);
	if (!r && w->run->found_count == found)
		r = look_at(w, list, err);
	check_tell_found(w->run, found);
	for (size_t i = 0; !r && i < count; i++)
		r = is_list(children[i].kind) ? push(w, &children[i], err)
					      : look_at(w, &children[i], err);
	free(children);
	return r;
}

static int walk_all(struct walk *w, const struct id *root, struct err *err)
{
	const struct chunk_ref first = {CHUNK_TREE_LIST, *root};
	int r = push(w, &first, err);

	while (!r && w->stack_count) {
		const struct chunk_ref list = w->stack[--w->stack_count];

		if (idset_has(&w->run->clean, &list.id) || idset_has(&w->seen, &list.id))
			continue;
		r = check_tick(w->run, 0, 0, "", err);
		if (!r)
			r = walk_list(w, &list, err);
	}
	return r;
}

static void tell(const struct walk *w, const struct manifest_item *item)
{
	char text[160];

	(void)snprintf(text, sizeof(text),
		       "chunks of it that are damaged or missing: %llu; which of its files these "
		       "are a full or read key tells",
		       (unsigned long long)w->lost);
	check_tell_touched(w->run, &item->name, "", text);
}

int check_lists(struct check_run *run, const struct manifest_item *item, struct err *err)
{
	struct walk w = {.run = run};
	int r = walk_all(&w, &item->m.root, err);

	/* What is below a list that lacks nothing is not looked at again for the next manifest. */
	for (size_t i = 0; !r && !w.lost && i < w.list_count; i++)
		r = idset_add(&run->clean, &w.lists[i], err);
	if (!r && w.lost)
		tell(&w, item);
	free(w.stack);
	free(w.lists);
	idset_free(&w.seen);
	return r;
}
