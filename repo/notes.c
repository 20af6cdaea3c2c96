#include "repo/notes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/statefile.h"

#define LOCAL_PLACES ((size_t)1 << 20)
#define RECORD_CHARS 8
#define LINE_CHARS (ID_HEX_CHARS + 1 + RECORD_CHARS + 1) /* pack, record, line end */

void notes_free(struct notes *n)
{
	free(n->places);
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

/* A writer who could note the copies of others would have them deleted, in favour of what it planted. */
static int signer_known(const struct repo *repo, const struct damage *d, struct err *err)
{
	if (memcmp(d->head.signer, repo->conf.gc_pub, sizeof(d->head.signer)) == 0)
		return 0;
	return err_set(
	    err, ERR_DAMAGED,
	    "a damage note that the maintenance key did not sign: only who reads or maintains "
	    "can know of damage");
}

int notes_take(struct repo *repo, const struct buf *bytes, struct notes *n, struct err *err)
{
	struct damage d = {0};
	int r = damage_dec(repo->keys, bytes->data, bytes->len, &d, err);

	if (!r)
		r = signer_known(repo, &d, err);
	for (size_t i = 0; !r && i < d.count; i++)
		r = notes_add(n, &d.places[i], err);
	if (!r && d.head.number > n->number)
		n->number = d.head.number;
	damage_free(&d);
	return r;
}

struct damage_place notes_place(const struct index *index, uint32_t at)
{
	const struct index_pack *pack = &index->packs[index->places[at].pack];

	return (struct damage_place){pack->name, at - pack->first_place};
}

uint32_t notes_find(const struct index *index, const struct damage_place *place)
{
	uint32_t number = index_find_pack(index, &place->pack);

	if (number == INDEX_NONE || place->record >= index->packs[number].place_count)
		return INDEX_NONE;
	return index->packs[number].first_place + place->record;
}

void notes_apply(const struct notes *n, struct index *index)
{
	for (size_t i = 0; i < n->count; i++) {
		uint32_t at = notes_find(index, &n->places[i]);

		if (at != INDEX_NONE)
			index_mark_place(index, at);
	}
}

static int put_one(struct repo *repo, struct damage *d, struct err *err)
{
	struct buf bytes = {0};
	struct id name;
	int r = d->head.number
		    ? damage_enc(repo->keys, d, &bytes, err)
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
		    .head.number = *number + 1,
		    .head.time_ns = now_ns,
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

/* Of LINE_CHARS characters: hexadecimal digits, lowercase. */
static bool parse_line(const char *line, struct damage_place *p)
{
	char hex[ID_HEX_CHARS + 1] = "", *end;
	const char *record = line + ID_HEX_CHARS + 1;

	if (line[LINE_CHARS - 1] != '\n' || line[ID_HEX_CHARS] != ' ')
		return false;
	memcpy(hex, line, ID_HEX_CHARS);
	if (!id_from_hex(hex, &p->pack) || strspn(record, "0123456789abcdef") != RECORD_CHARS)
		return false;
	p->record = (uint32_t)strtoul(record, &end, 16);
	return p->record < LIMIT_PACK_RECORDS;
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
		char pack[ID_HEX_CHARS + 1], line[LINE_CHARS + 1];

		id_hex(&n->places[i].pack, pack);
		(void)snprintf(line, sizeof(line), "%s %0*x\n", pack, RECORD_CHARS,
			       n->places[i].record);
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
