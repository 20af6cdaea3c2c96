#include "repo/retires.h"

#include <stdlib.h>
#include <string.h>

#include "repo/witness.h"

void retires_free(struct retires *r)
{
	for (size_t i = 0; i < r->count; i++)
		retire_free(&r->records[i].r);
	free(r->records);
	free(r->names);
	*r = (struct retires){0};
}

int retires_take(struct repo *repo, const struct id *name, const struct buf *bytes,
		 struct retires *r, struct err *err)
{
	struct retires_record record = {.name = *name};
	int rc = retire_dec(repo->keys, bytes->data, bytes->len, &record.r, err);

	if (!rc &&
	    memcmp(record.r.head.signer, repo->conf.gc_pub, sizeof(record.r.head.signer)) != 0)
		rc = err_set(err, ERR_DAMAGED,
			     "a retire record that the maintenance key did not sign");
	if (!rc && r->count == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 16;
		struct retires_record *grown = realloc(r->records, cap * sizeof(*grown));

		if (grown) {
			r->records = grown;
			r->cap = cap;
		} else {
			rc = err_nomem(err);
		}
	}
	if (rc) {
		retire_free(&record.r);
		return rc;
	}
	if (record.r.head.number > r->number)
		r->number = record.r.head.number;
	r->records[r->count++] = record;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return id_cmp(a, b);
}

int retires_settle(struct retires *r, struct err *err)
{
	size_t count = 0;

	for (size_t i = 0; i < r->count; i++)
		count += r->records[i].r.count;
	if (count == 0)
		return 0;
	free(r->names);
	r->name_count = 0;
	r->names = calloc(count, sizeof(*r->names));
	if (!r->names)
		return err_nomem(err);
	for (size_t i = 0; i < r->count; i++) {
		for (size_t k = 0; k < r->records[i].r.count; k++)
			r->names[r->name_count++] = r->records[i].r.entries[k].name;
	}
	qsort(r->names, r->name_count, sizeof(*r->names), compare_names);
	return 0;
}

bool retires_have(const struct retires *r, const struct id *manifest)
{
	return r->name_count &&
	       bsearch(manifest, r->names, r->name_count, sizeof(*r->names), compare_names);
}

static int compare_entries(const void *a, const void *b)
{
	return retire_entry_cmp(a, b);
}

bool retires_say(const struct retires *r, const struct retire_entry *entry)
{
	bool said = false;

	for (size_t i = 0; !said && i < r->count; i++)
		said = bsearch(entry, r->records[i].r.entries, r->records[i].r.count,
			       sizeof(*entry), compare_entries) != NULL;
	return said;
}

/* --- new ones --- */

/* Sorts entries and publishes them; what is there twice goes in once. */
static int put_one(struct repo *repo, struct retire *record, struct id *out_name, struct err *err)
{
	struct buf bytes = {0};
	size_t kept = 0;
	int r = record->head.number
		    ? 0
		    : err_set(err, ERR_LIMIT, "no more retire records fit behind the last one");

	qsort(record->entries, record->count, sizeof(*record->entries), compare_entries);
	for (size_t i = 0; i < record->count; i++) {
		if (!kept || retire_entry_cmp(&record->entries[kept - 1], &record->entries[i]) != 0)
			record->entries[kept++] = record->entries[i];
	}
	record->count = kept;
	if (!r)
		r = retire_enc(repo->keys, record, &bytes, err);
	if (!r)
		r = repo_put(repo, STORE_SNAPSHOTS, &bytes, out_name, err);
	buf_free(&bytes);
	return r;
}

/* A full record is left as it is. */
static bool may_fold(const struct retires_record *record)
{
	return record->r.count <= LIMIT_RETIRED / 2;
}

/* Marks in fold which records the next one takes in; returns how many entries they have, 0 when there are too few. */
static size_t choose_folded(const struct retires *r, size_t room, bool *fold)
{
	size_t entries = 0, records = 0;

	for (size_t i = 0; i < r->count; i++) {
		fold[i] = may_fold(&r->records[i]) && r->records[i].r.count <= room - entries;
		if (!fold[i])
			continue;
		entries += r->records[i].r.count;
		records++;
	}
	return records >= RETIRES_FOLD ? entries : 0;
}

/* Another forget may have folded the same. */
static int remove_folded(struct repo *repo, const struct retires *r, const bool *fold,
			 const struct id *instead, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < r->count; i++) {
		if (!fold[i] || id_eq(&r->records[i].name, instead))
			continue;
		rc = store_remove(repo->store, STORE_SNAPSHOTS, &r->records[i].name, err);
		rc = rc == -ERR_MISSING ? 0 : rc;
	}
	return rc;
}

/* What the folded records say is published again before the first of them goes. */
static int put_folded(struct repo *repo, const struct retires *r, struct retire *record,
		      const bool *fold, size_t folded, struct err *err)
{
	struct retire all = *record;
	struct id name;
	int rc = 0;

	all.entries = calloc(record->count + folded, sizeof(*all.entries));
	if (!all.entries)
		return err_nomem(err);
	memcpy(all.entries, record->entries, record->count * sizeof(*all.entries));
	for (size_t i = 0; i < r->count; i++) {
		const struct retire *old = &r->records[i].r;

		if (!fold[i])
			continue;
		memcpy(all.entries + all.count, old->entries, old->count * sizeof(*all.entries));
		all.count += old->count;
	}
	rc = put_one(repo, &all, &name, err);
	if (!rc)
		rc = remove_folded(repo, r, fold, &name, err);
	retire_free(&all);
	return rc;
}

int retires_put(struct repo *repo, const struct retires *r, struct retire_entry *entries,
		size_t count, int64_t now_ns, struct err *err)
{
	struct retire record = {.head.number = r->number, .head.time_ns = now_ns};
	bool *fold = calloc(r->count + 1, sizeof(*fold));
	int rc = fold ? 0 : err_nomem(err);

	for (size_t done = 0; !rc && done < count; done += record.count) {
		size_t folded = 0;
		struct id name;

		record.head.number++;
		record.entries = entries + done;
		record.count = count - done < LIMIT_RETIRED ? count - done : LIMIT_RETIRED;
		if (done + record.count == count)
			folded = choose_folded(r, LIMIT_RETIRED - record.count, fold);
		rc = folded ? put_folded(repo, r, &record, fold, folded, err)
			    : put_one(repo, &record, &name, err);
		if (!rc)
			witness_retired(repo, record.entries, record.count, record.head.number);
	}
	free(fold);
	return rc;
}
