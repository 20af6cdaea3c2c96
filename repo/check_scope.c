/* What a check has found, and which chunks the chosen backups rest on. */
#include "repo/check_run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/node.h"

bool check_in_scope(const struct check_run *run, const struct id *id)
{
	return !run->options->manifests || idset_has(&run->scope, id);
}

#define DIRTY_AGAIN_MOST 65536

/*
 * What is wrong in a shared folder is told for each of its paths; but folders that hold others twice, level below level, have more paths than
 * anybody can be told.
 */
bool check_told_enough(struct check_run *run, const struct id *list)
{
	return idset_has(&run->dirty, list) && ++run->dirty_again > DIRTY_AGAIN_MOST;
}

bool check_ends(int rc)
{
	return rc == -ERR_NOMEM || rc == -ERR_KEY || rc == -ERR_DENIED || store_is_away(rc);
}

void check_tell_bad(struct check_run *run, enum store_type type, const struct id *name,
		    const struct err *why)
{
	if (why->code != ERR_DENIED)
		check_tell_damage(run, type, name, why->text);
	else if (!run->refused.code)
		run->refused = *why;
}

int check_refused(const struct check_run *run, struct err *err)
{
	if (run->refused.code)
		*err = run->refused;
	return -run->refused.code;
}

/* Not what only this user or this moment could not read, nor what is wrong with another record or whole pack. */
static bool is_lasting(const struct err *why)
{
	return why->code == ERR_DAMAGED || why->code == ERR_LIMIT ||
	       (why->code == ERR_IO && why->sys_errno == EIO);
}

int check_find(struct check_run *run, uint32_t place, const struct err *why, struct err *err)
{
	char *copy = strdup(why->text);
	bool lasting = is_lasting(why);

	if (copy && run->found_count == run->found_cap) {
		size_t cap = run->found_cap ? run->found_cap * 2 : 16;
		struct check_found *found = realloc(run->found, cap * sizeof(*found));

		if (found) {
			run->found = found;
			run->found_cap = cap;
		} else {
			free(copy);
			copy = NULL;
		}
	}
	if (!copy)
		return err_nomem(err);
	run->found[run->found_count++] = (struct check_found){place, lasting, copy};
	index_mark_place(run->index, place);
	return 0;
}

/* Adds a chunk, and what any copy of it rests on: of strictly lower depth at each step. */
static int gather(struct check_run *run, uint8_t kind, const struct id *id, unsigned below_depth,
		  struct err *err)
{
	int r = idset_has(&run->scope, id) ? 1 : 0;

	if (!r && run->lost_only && index_find_good(run->index, kind, id) != INDEX_NONE)
		r = 1;
	if (!r)
		r = idset_add(&run->scope, id, err);
	if (r)
		return r == 1 ? 0 : r;
	for (uint32_t at = index_find(run->index, kind, id); !r && at != INDEX_NONE;
	     at = run->index->places[at].next) {
		const struct record_info info = run->index->places[at].info;

		for (size_t i = 0; !r && info.depth < below_depth && i < info.base_count; i++)
			r = gather(run, kind, &info.bases[i], info.depth, err);
	}
	return r;
}

static bool is_list(uint8_t kind)
{
	return kind == CHUNK_TREE_LIST || kind == CHUNK_LIST;
}

/* The children of a list. None, and no error, when it cannot be had. */
static int list_children(struct check_run *run, const struct chunk_ref *list,
			 struct chunk_ref **out_children, size_t *out_count, struct err *err)
{
	struct buf bytes = {0};
	int r = reader_get(run->reader, list->kind, &list->id, &bytes, err);

	*out_children = NULL;
	*out_count = 0;
	if (!r)
		r = list_get(bytes.data, bytes.len, out_children, out_count, err);
	buf_free(&bytes);
	return check_ends(r) ? r : 0;
}

/* With a list its body and data: when one of them is damaged, those who walk do not get there. */
int check_gather(struct check_run *run, const struct chunk_ref *ref, struct err *err)
{
	struct chunk_ref *children = NULL;
	size_t count = 0;
	int r;

	if (idset_has(&run->scope, &ref->id))
		return 0;
	r = gather(run, ref->kind, &ref->id, LIMIT_DEPTH + 1, err);
	if (!r && is_list(ref->kind))
		r = list_children(run, ref, &children, &count, err);
	for (size_t i = 0; !r && i < count; i++) {
		if (!is_list(children[i].kind))
			r = gather(run, children[i].kind, &children[i].id, LIMIT_DEPTH + 1, err);
	}
	free(children);
	return r;
}

int check_probe(struct check_run *run, const struct chunk_ref *list, struct err *err)
{
	struct chunk_ref *children = NULL;
	size_t count = 0;
	struct err why = {0};
	int r;

	if (run->gathering || check_ends(-err->code))
		return -err->code;
	r = check_read_chunk(run, list->kind, &list->id, &why);
	if (!r)
		r = list_children(run, list, &children, &count, &why);
	if (!r && count)
		r = check_read_chunk(run, children[0].kind, &children[0].id, &why);
	free(children);
	if (r)
		*err = why;
	return -err->code;
}
