#include "repo/condemned.h"

#include <stdlib.h>

void condemned_free(struct condemned *c)
{
	for (size_t i = 0; i < c->count; i++)
		condemn_free(&c->records[i].c);
	free(c->records);
	*c = (struct condemned){0};
}

static int reserve(struct condemned *c, struct err *err)
{
	size_t cap = c->cap ? c->cap * 2 : 8;
	struct condemned_record *records;

	if (c->count < c->cap)
		return 0;
	records = realloc(c->records, cap * sizeof(*records));
	if (!records)
		return err_nomem(err);
	c->records = records;
	c->cap = cap;
	return 0;
}

static int load_one(struct repo *repo, const struct id *name, struct condemned *c, struct err *err)
{
	struct condemned_record record = {.name = *name};
	struct buf bytes = {0};
	int r = reserve(c, err);

	if (!r)
		r = repo_get(repo, STORE_LOCKS, name, LIMIT_CONDEMN_BYTES, &bytes, err);
	if (!r)
		r = condemn_dec(repo->conf.repo, repo->conf.gc_pub, bytes.data, bytes.len,
				&record.c, err);
	if (!r)
		c->records[c->count++] = record;
	buf_free(&bytes);
	return r;
}

static struct condemned_record *find(struct condemned *c, const struct id *name)
{
	for (size_t i = 0; i < c->count; i++) {
		if (id_eq(&c->records[i].name, name))
			return &c->records[i];
	}
	return NULL;
}

/* All datings are true (R3), so the earliest says most. */
static void apply_dates(struct condemned *c)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct condemn *date = &c->records[i].c;
		struct condemned_record *of =
		    date->kind == CONDEMN_DATE ? find(c, &date->record) : NULL;

		if (!of || of->c.kind != CONDEMN_PACKS ||
		    (of->dated && of->dated_s <= date->time_s))
			continue;
		of->dated = true;
		of->dated_s = date->time_s;
	}
}

/*
 * What rests on damaged bytes or a foreign signature binds nobody, since no prune takes it for a record (R1). What only could
 * not be read just now may bind others.
 */
static bool binds_nobody(int r)
{
	return r == -ERR_DAMAGED || r == -ERR_LIMIT;
}

int condemned_load(struct repo *repo, condemned_bad_fn *bad, void *bad_arg, struct condemned *out,
		   struct err *err)
{
	struct condemned c = {0};
	struct id *names = NULL;
	size_t count = 0;
	int r = repo_list(repo->store, STORE_LOCKS, &names, NULL, &count, err);

	for (size_t i = 0; !r && i < count; i++) {
		struct err why = {0};

		r = load_one(repo, &names[i], &c, &why);
		if (binds_nobody(r) && bad) {
			(void)err_set(
			    &why, (enum err_code)why.code,
			    "%s; it binds nobody, and the next 'nightjar prune' removes it",
			    why.text);
			bad(bad_arg, &names[i], &why);
		}
		if (binds_nobody(r) || r == -ERR_MISSING)
			r = 0;
		if (r) {
			*err = why;
			(void)repo_name(repo->store, STORE_LOCKS, &names[i], err);
		}
	}
	free(names);
	if (r) {
		condemned_free(&c);
		return r;
	}
	apply_dates(&c);
	*out = c;
	return 0;
}

size_t condemned_apply(const struct condemned *c, struct index *index)
{
	size_t fresh = 0;

	for (size_t i = 0; i < c->count; i++) {
		const struct condemn *record = &c->records[i].c;

		for (size_t k = 0; record->kind == CONDEMN_PACKS && k < record->pack_count; k++) {
			uint32_t pack = index_find_pack(index, &record->packs[k]);

			if (pack == INDEX_NONE || index->packs[pack].condemned)
				continue;
			index_condemn_pack(index, pack);
			fresh++;
		}
	}
	return fresh;
}

static int put_record(struct repo *repo, struct condemn *c, struct id *out_name, struct err *err)
{
	struct buf bytes = {0};
	int r = store_now(repo->store, &c->time_s, err);

	if (!r)
		r = condemn_enc(repo->keys, c, &bytes, err);
	if (!r)
		r = repo_put(repo, STORE_LOCKS, &bytes, out_name, err);
	buf_free(&bytes);
	return r;
}

int condemned_date(struct repo *repo, const struct id *record, struct err *err)
{
	struct condemn c = {.kind = CONDEMN_DATE, .record = *record};
	struct id name;

	return put_record(repo, &c, &name, err);
}

static int compare_ids(const void *a, const void *b)
{
	return id_cmp(a, b);
}

int condemned_put(struct repo *repo, enum condemn_kind kind, struct id *packs, size_t count,
		  struct err *err)
{
	int r = 0;

	if (count)
		qsort(packs, count, sizeof(*packs), compare_ids);
	for (size_t done = 0; !r && done < count;) {
		struct condemn c = {.kind = kind, .packs = packs + done};
		struct id name;

		c.pack_count = count - done;
		if (c.pack_count > LIMIT_CONDEMN_PACKS)
			c.pack_count = LIMIT_CONDEMN_PACKS;
		r = put_record(repo, &c, &name, err);
		if (!r && kind == CONDEMN_PACKS)
			r = condemned_date(repo, &name, err);
		done += c.pack_count;
	}
	return r;
}

static int remove_one(struct repo *repo, const struct id *name, struct err *err)
{
	struct err why = {0};
	int r = store_remove(repo->store, STORE_LOCKS, name, &why);

	if (!r || r == -ERR_MISSING)
		return 0;
	*err = why;
	return r;
}

int condemned_remove_bad(struct repo *repo, const struct id *name, struct err *why, struct err *err)
{
	struct condemned c = {0};
	int r = load_one(repo, name, &c, why);

	condemned_free(&c);
	if (binds_nobody(r))
		return remove_one(repo, name, err);
	if (r && r != -ERR_MISSING) {
		*err = *why;
		return r;
	}
	*why = (struct err){0};
	return 0;
}

int condemned_remove(struct repo *repo, const struct condemned *c, const struct id *record,
		     struct err *err)
{
	int r = remove_one(repo, record, err);

	for (size_t i = 0; !r && i < c->count; i++) {
		if (c->records[i].c.kind == CONDEMN_DATE && id_eq(&c->records[i].c.record, record))
			r = remove_one(repo, &c->records[i].name, err);
	}
	return r;
}
