#include "repo/stats.h"

#include <stdlib.h>
#include <string.h>

#include "core/header.h"
#include "repo/browse.h"
#include "repo/idset.h"
#include "repo/tree_read.h"

struct run {
	struct reader *reader;
	const struct stats_callbacks *cb;
	struct idset seen; /* chunks of this and earlier manifests */
	const struct manifest *m;
	struct stats_night *night; /* under way */
};

void stats_free(struct stats *s)
{
	for (size_t i = 0; s->nights && i < s->night_count; i++)
		free(s->nights[i].db_stored);
	free(s->nights);
	*s = (struct stats){0};
}

/* --- a night --- */

/* Counts a chunk that is new; *out_stored is what it takes, 0 for one that was there. */
static int count_chunk(struct run *run, const struct chunk_ref *ref, uint64_t *out_stored,
		       struct err *err)
{
	const struct index *index = reader_index(run->reader);
	uint32_t at = index_find(index, ref->kind, &ref->id);

	*out_stored = 0;
	if (at == INDEX_NONE || idset_has(&run->seen, &ref->id))
		return 0;
	*out_stored = index->places[at].stored_bytes;
	run->night->chunks++;
	run->night->plain_bytes += index->places[at].info.plain_bytes;
	run->night->stored_bytes += *out_stored;
	return idset_add(&run->seen, &ref->id, err);
}

struct file {
	struct run *run;
	uint64_t stored;
};

static int count_file_chunk(void *arg, const struct chunk_ref *ref, const char *path,
			    struct err *err)
{
	struct file *file = arg;
	uint64_t stored;
	int r = count_chunk(file->run, ref, &stored, err);

	(void)path;
	file->stored += stored;
	return r;
}

static int count_file(struct run *run, const char *path, const struct entry *e,
		      const struct chunk_ref *children, struct err *err)
{
	struct file file = {.run = run};
	int r = content_refs(run->reader, e, children, path, count_file_chunk, &file, err);

	for (size_t i = 0; !r && entry_is_database(e) && i < run->m->db_count; i++) {
		if (strcmp(run->m->dbs[i].path, path) == 0)
			run->night->db_stored[i] += file.stored;
	}
	return r;
}

static int count_node(struct run *run, const char *path, const struct id *list, struct err *err);

/* By lists alone: what is of which file, or database, does not show. */
static int count_list(struct run *run, const struct chunk_ref *list, struct err *err)
{
	struct chunk_ref *children = NULL;
	struct buf bytes = {0};
	size_t count = 0;
	uint64_t ignored;
	int r;

	if (idset_has(&run->seen, &list->id))
		return 0;
	if (run->cb->progress && run->cb->progress(run->cb->arg) != 0)
		return err_set(err, ERR_CANCELLED, "interrupted");
	r = reader_get(run->reader, list->kind, &list->id, &bytes, err);
	if (!r)
		r = list_get(bytes.data, bytes.len, &children, &count, err);
	buf_free(&bytes);
	if (!r)
		r = count_chunk(run, list, &ignored, err);
	for (size_t i = 0; !r && i < count; i++) {
		bool deeper = children[i].kind == CHUNK_TREE_LIST || children[i].kind == CHUNK_LIST;

		r = deeper ? count_list(run, &children[i], err)
			   : count_chunk(run, &children[i], &ignored, err);
	}
	free(children);
	return r;
}

static int count_entry(struct run *run, const char *folder, const struct entry *e,
		       const struct chunk_ref *children, struct err *err)
{
	char *path = NULL;
	int r = browse_join(folder, &e->name, &path, err);

	if (!r && e->type == ENTRY_DIR)
		r = count_node(run, path, &children[0].id, err);
	else if (!r && e->type == ENTRY_FILE)
		r = count_file(run, path, e, children, err);
	free(path);
	return r;
}

/* Below a node that was seen nothing is new. */
static int count_node(struct run *run, const char *path, const struct id *list, struct err *err)
{
	struct chunk_ref ref = {CHUNK_TREE_LIST, *list};
	struct tree_node node;
	uint64_t ignored;
	int r;

	if (idset_has(&run->seen, list))
		return 0;
	if (run->cb->progress && run->cb->progress(run->cb->arg) != 0)
		return err_set(err, ERR_CANCELLED, "interrupted");
	r = tree_node_load(run->reader, list, &node, err);
	if (r)
		return r;
	r = count_chunk(run, &ref, &ignored, err);
	if (!r)
		r = count_chunk(run, &node.children[0], &ignored, err);
	for (size_t i = 0; !r && i < node.body.count; i++) {
		const struct entry *e = node.body.level ? NULL : &node.body.entries[i];

		r = e ? count_entry(run, path, e, node.children + e->child_first, err)
		      : count_node(run, path, &node.children[i + 1].id, err);
	}
	tree_node_free(&node);
	return r;
}

static int count_night(struct run *run, const struct manifest_item *item, struct stats_night *night,
		       struct err *err)
{
	const struct chunk_ref root = {CHUNK_TREE_LIST, item->m.root};
	struct err why = {0};
	int r;

	night->db_stored = calloc(item->m.db_count + 1, sizeof(*night->db_stored));
	if (!night->db_stored)
		return err_nomem(err);
	run->m = &item->m;
	run->night = night;
	r = reader_repo(run->reader)->keys->role == ROLE_MAINTAIN
		? count_list(run, &root, &why)
		: count_node(run, "/", &item->m.root, &why);
	if (r == -ERR_DAMAGED || r == -ERR_MISSING) {
		if (run->cb->bad)
			run->cb->bad(run->cb->arg, &item->name, &why);
		return 0;
	}
	if (r)
		*err = why;
	return r;
}

/* --- the repository --- */

static int count_objects(struct repo *repo, struct stats_objects *out, struct err *err)
{
	int r = 0;

	for (int type = 0; !r && type < STORE_TYPES; type++) {
		struct id *names = NULL;
		uint64_t *sizes = NULL;
		size_t count = 0;

		r = repo_list(repo->store, (enum store_type)type, &names, &sizes, &count, err);
		for (size_t i = 0; !r && i < count; i++)
			out[type].bytes += sizes[i];
		out[type].count = count;
		free(names);
		free(sizes);
	}
	return r;
}

static void count_index(const struct index *index, struct stats *s)
{
	for (uint32_t i = 0; i < index->place_count; i++) {
		const struct index_place *place = &index->places[i];

		if (place->info.kind == 0) /* a pack's own place, see index.c */
			continue;
		s->stored_bytes += place->stored_bytes;
		if (index_find(index, place->info.kind, &place->info.id) != i)
			continue;
		s->chunks++;
		s->plain_bytes += place->info.plain_bytes;
	}
}

/* What lies behind the bucket that the records need. */
static uint64_t tail_bytes(const struct index *index, const struct index_pack *pack,
			   unsigned floor_log2)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < pack->place_count; i++) {
		const struct index_place *place = &index->places[pack->first_place + i];
		uint64_t place_end = (uint64_t)place->offset + place->stored_bytes;

		end = place_end > end ? place_end : end;
	}
	end = bucket_bytes(end, floor_log2);
	return pack->place_count && pack->pack_bytes > end ? pack->pack_bytes - end : 0;
}

int stats_run(struct reader *reader, const struct manifest_list *list,
	      const struct stats_callbacks *cb, struct stats *out_stats, struct err *err)
{
	struct run run = {.reader = reader, .cb = cb};
	struct stats s = {0};
	int r = keys_allow(reader_repo(reader)->keys, POWER_LISTS, "stats", err);

	if (!r)
		r = count_objects(reader_repo(reader), s.objects, err);
	if (r)
		return r;
	count_index(reader_index(reader), &s);
	for (size_t i = 0; i < reader_index(reader)->pack_count; i++)
		s.parity_bytes += tail_bytes(reader_index(reader), &reader_index(reader)->packs[i],
					     reader_repo(reader)->conf.floor_log2);
	s.nights = calloc(list->count + 1, sizeof(*s.nights));
	if (!s.nights)
		return err_nomem(err);
	s.night_count = list->count;
	for (size_t i = 0; !r && i < list->count; i++) {
		s.restore_bytes += list->items[i].m.bytes;
		s.restore_files += list->items[i].m.files;
		r = count_night(&run, &list->items[i], &s.nights[i], err);
	}
	idset_free(&run.seen);
	if (r)
		stats_free(&s);
	else
		*out_stats = s;
	return r;
}
