#include "repo/notes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/statefile.h"

#define LOCAL_PLACES ((size_t)1 << 20)
#define LINE_CHARS (ID_HEX_CHARS + 3 + ID_HEX_CHARS + 1) /* pack, kind, chunk, line end */

void notes_free(struct notes *n)
{
	free(n->places);
	free(n->packs);
	*n = (struct notes){0};
}

int notes_add(struct notes *n, const struct damage_place *place, struct err *err)
{
	if (n->count == n->cap) {
		size_t cap = n->cap ? n->cap * 2 : 16;
		struct damage_place *places = realloc(n->places, cap * sizeof(*places));

		if (!places)
			return err_nomem(err);
		n->places = places;
		n->cap = cap;
	}
	n->places[n->count++] = *place;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return damage_place_cmp(a, b);
}

void notes_settle(struct notes *n)
{
	size_t kept = 0;

	if (n->count)
		qsort(n->places, n->count, sizeof(*n->places), compare);
	for (size_t i = 0; i < n->count; i++) {
		if (kept && damage_place_cmp(&n->places[kept - 1], &n->places[i]) == 0)
			continue;
		n->places[kept++] = n->places[i];
	}
	n->count = kept;
}

bool notes_have(const struct notes *n, const struct damage_place *place)
{
	return n->count && bsearch(place, n->places, n->count, sizeof(*n->places), compare) != NULL;
}

/* --- in the repository --- */

/* A writer whose range of sequences has ended may still have noted damage before. */
static int signer_known(struct repo *repo, const struct damage *d, struct err *err)
{
	if (repo_find_writer(repo, d->signer) ||
	    memcmp(d->signer, repo->conf.gc_pub, sizeof(d->signer)) == 0)
		return 0;
	return err_set(err, ERR_DAMAGED,
		       "a damage note signed by a writer that the roster in keys/ does not name");
}

static int add_packs(struct notes *n, const struct damage *d, struct err *err)
{
	struct id *packs = realloc(n->packs, (n->pack_count + d->pack_count) * sizeof(*packs));

	if (!packs)
		return err_nomem(err);
	memcpy(packs + n->pack_count, d->packs, d->pack_count * sizeof(*packs));
	n->packs = packs;
	n->pack_count += d->pack_count;
	return 0;
}

int notes_take(struct repo *repo, const struct buf *bytes, struct notes *n, struct err *err)
{
	struct damage d = {0};
	int r = damage_dec(repo->keys, bytes->data, bytes->len, &d, err);

	if (!r)
		r = signer_known(repo, &d, err);
	for (size_t i = 0; !r && i < d.count; i++)
		r = notes_add(n, &d.places[i], err);
	if (!r && !d.has_maint)
		r = add_packs(n, &d, err);
	if (!r && d.number > n->number)
		n->number = d.number;
	damage_free(&d);
	return r;
}

void notes_apply(const struct notes *n, struct index *index)
{
	for (size_t i = 0; i < n->pack_count; i++) {
		uint32_t pack = index_find_pack(index, &n->packs[i]);

		if (pack != INDEX_NONE)
			index_mark_pack(index, pack);
	}
	for (size_t i = 0; i < n->count; i++) {
		const struct damage_place *p = &n->places[i];

		for (uint32_t at = index_find(index, p->kind, &p->chunk); at != INDEX_NONE;
		     at = index->places[at].next) {
			if (id_eq(&index->packs[index->places[at].pack].name, &p->pack))
				index_mark_place(index, at);
		}
	}
}

static int put_one(struct repo *repo, struct damage *d, struct err *err)
{
	struct buf bytes = {0};
	struct id name;
	int r = d->number ? damage_enc(repo->keys, d, repo->conf.floor_log2, &bytes, err)
			  : err_set(err, ERR_LIMIT, "no more damage notes fit behind the last one");

	if (!r)
		r = repo_put(repo, STORE_SNAPSHOTS, &bytes, &name, err);
	buf_free(&bytes);
	return r;
}

int notes_put(struct repo *repo, const struct notes *found, int64_t now_ns, uint64_t *number,
	      struct err *err)
{
	int r = 0;

	for (size_t done = 0, count; !r && done < found->count; done += count) {
		struct damage d = {
		    .number = *number + 1,
		    .time_ns = now_ns,
		    .domain = repo->keys->writer_domain,
		    .places = found->places + done,
		};

		count = found->count - done;
		count = count < LIMIT_DAMAGE_PLACES ? count : LIMIT_DAMAGE_PLACES;
		d.count = count;
		r = put_one(repo, &d, err);
		*number += !r;
	}
	return r;
}

/* --- on this host --- */

#define LOCAL_NAME "damage"

/* Of LINE_CHARS characters. */
static bool parse_line(const char *line, struct damage_place *p)
{
	char hex[ID_HEX_CHARS + 1] = "";

	if (line[LINE_CHARS - 1] != '\n' || line[ID_HEX_CHARS] != ' ' ||
	    line[ID_HEX_CHARS + 2] != ' ')
		return false;
	p->kind = (uint8_t)(line[ID_HEX_CHARS + 1] - '0');
	memcpy(hex, line, ID_HEX_CHARS);
	if (!chunk_kind_valid(p->kind) || !id_from_hex(hex, &p->pack))
		return false;
	memcpy(hex, line + ID_HEX_CHARS + 3, ID_HEX_CHARS);
	return id_from_hex(hex, &p->chunk);
}

int notes_load_local(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], struct notes *n,
		     struct err *err)
{
	struct buf text = {0};
	int r = statefile_read(state_dir, repo, LOCAL_NAME, LOCAL_PLACES * LINE_CHARS, &text, err);

	for (size_t at = 0; !r && at < text.len; at += LINE_CHARS) {
		struct damage_place p;

		if (text.len - at >= LINE_CHARS && parse_line((const char *)text.data + at, &p))
			r = notes_add(n, &p, err);
		else
			r = statefile_damaged(state_dir, repo, LOCAL_NAME,
					      "does not read as notes of damage", err);
	}
	buf_free(&text);
	return r;
}

int notes_save_local(const char *state_dir, const uint8_t repo[REPO_ID_BYTES],
		     const struct notes *n, struct err *err)
{
	struct buf text = {0};
	int r;

	for (size_t i = 0; i < n->count && i < LOCAL_PLACES; i++) {
		char pack[ID_HEX_CHARS + 1], chunk[ID_HEX_CHARS + 1], line[LINE_CHARS + 1];

		id_hex(&n->places[i].pack, pack);
		id_hex(&n->places[i].chunk, chunk);
		(void)snprintf(line, sizeof(line), "%s %c %s\n", pack,
			       (char)('0' + n->places[i].kind), chunk);
		buf_put(&text, line, LINE_CHARS);
	}
	r = buf_check(&text, err);
	if (!r)
		r = statefile_write(state_dir, repo, LOCAL_NAME, text.data, text.len, err);
	buf_free(&text);
	return r;
}

int notes_apply_all(const struct notes *n, const char *state_dir, const struct repo *repo,
		    struct index *index, struct err *err)
{
	struct notes local = {0};
	struct err why = {0};
	int r = state_dir ? notes_load_local(state_dir, repo->conf.repo, &local, &why) : 0;

	notes_apply(n, index);
	notes_apply(&local, index);
	notes_free(&local);
	return r == -ERR_NOMEM ? err_nomem(err) : 0;
}
