#include "repo/drills.h"

#include <stdlib.h>
#include <string.h>

#include "repo/statefile.h"

#define LOCAL_NAME "drills"
#define LOCAL_MOST 4096
#define LOCAL_KEPT 2

void drills_free(struct drills *d)
{
	free(d->items);
	*d = (struct drills){0};
}

static int add(struct drills *d, const struct drills_item *item, struct err *err)
{
	if (d->count == d->cap) {
		size_t cap = d->cap ? 2 * d->cap : 16;
		struct drills_item *grown = realloc(d->items, cap * sizeof(*grown));

		if (!grown)
			return err_nomem(err);
		d->items = grown;
		d->cap = cap;
	}
	d->items[d->count++] = *item;
	return 0;
}

/* A writer cannot read what it wrote, let alone what others did. */
static int signer_known(const struct repo *repo, const struct drillnote *d, struct err *err)
{
	if (memcmp(d->head.signer, repo->conf.gc_pub, sizeof(d->head.signer)) == 0)
		return 0;
	return err_set(
	    err, ERR_DAMAGED,
	    "a drill note that the maintenance key did not sign: only who reads can drill");
}

int drills_take(struct repo *repo, const struct id *name, const struct buf *bytes, struct drills *d,
		struct err *err)
{
	struct drills_item item = {.name = *name};
	int r = drillnote_dec(repo->keys, bytes->data, bytes->len, &item.d, err);

	if (!r)
		r = signer_known(repo, &item.d, err);
	if (!r)
		r = add(d, &item, err);
	if (!r && item.d.head.number > d->number)
		d->number = item.d.head.number;
	return r;
}

static const struct drillnote *last_of(const struct drills *d, bool good)
{
	const struct drillnote *last = NULL;

	for (size_t i = 0; i < d->count; i++) {
		const struct drillnote *n = &d->items[i].d;

		if (n->has_maint && (!good || n->verdict == DRILLNOTE_GOOD) &&
		    (!last || n->head.time_ns > last->head.time_ns))
			last = n;
	}
	return last;
}

const struct drillnote *drills_last(const struct drills *d)
{
	return last_of(d, false);
}

const struct drillnote *drills_last_good(const struct drills *d)
{
	return last_of(d, true);
}

int drills_put(struct repo *repo, const struct drills *d, struct drillnote *note,
	       const bool *is_superseded, struct err *err)
{
	struct buf bytes = {0};
	struct err ignored = {0};
	struct id name;
	int r;

	note->head.number = d->number + 1;
	r = note->head.number
		? drillnote_enc(repo->keys, note, repo->conf.floor_log2, &bytes, err)
		: err_set(err, ERR_LIMIT, "no more drill notes fit behind the last one");
	if (!r)
		r = repo_put(repo, STORE_SNAPSHOTS, &bytes, &name, err);
	for (size_t i = 0; !r && i < d->count; i++) {
		/* A store that only appends keeps them, which costs nothing but their room. */
		if (is_superseded[i] && !id_is_zero(&d->items[i].name) &&
		    !id_eq(&d->items[i].name, &name))
			(void)!store_remove(repo->store, STORE_SNAPSHOTS, &d->items[i].name,
					    &ignored);
	}
	buf_free(&bytes);
	return r;
}

/* --- on this host --- */

/* A note after the other, each: manifest, time, and its maintenance part. */
static void put_local(struct buf *b, const struct drillnote *d)
{
	buf_put(b, d->manifest.b, ID_BYTES);
	buf_put_i64(b, d->head.time_ns);
	drillnote_put_maint(b, d);
}

static int get_local(struct rd *r, struct drillnote *d, struct err *err)
{
	rd_copy(r, d->manifest.b, ID_BYTES);
	d->head.time_ns = rd_i64(r);
	d->has_maint = true;
	return drillnote_get_maint(r, d, err);
}

int drills_load_local(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], struct drills *d,
		      struct err *err)
{
	struct buf bytes = {0};
	struct rd rd;
	int r = statefile_read(state_dir, repo, LOCAL_NAME, LOCAL_MOST, &bytes, err);

	rd = rd_of(bytes.data, bytes.len);
	for (int i = 0; !r && i < LOCAL_KEPT && rd.left; i++) {
		struct drills_item item = {0};

		r = get_local(&rd, &item.d, err);
		if (!r)
			r = add(d, &item, err);
	}
	if (r == -ERR_DAMAGED || (!r && rd.left))
		r = statefile_damaged(state_dir, repo, LOCAL_NAME, "does not read as drills", err);
	buf_free(&bytes);
	return r;
}

int drills_save_local(const char *state_dir, const uint8_t repo[REPO_ID_BYTES],
		      const struct drillnote *note, struct err *err)
{
	struct drills before = {0};
	struct buf bytes = {0};
	struct err ignored = {0};
	const struct drillnote *good;
	int r;

	/* What does not read is replaced. */
	(void)!drills_load_local(state_dir, repo, &before, &ignored);
	good = drills_last_good(&before);
	if (note->verdict != DRILLNOTE_GOOD && good)
		put_local(&bytes, good);
	put_local(&bytes, note);
	r = buf_check(&bytes, err);
	if (!r)
		r = statefile_write(state_dir, repo, LOCAL_NAME, bytes.data, bytes.len, err);
	buf_free(&bytes);
	drills_free(&before);
	return r;
}
