/* check --read-data: every byte is read, opened, and compared with its id. */
#include "repo/check_run.h"

#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"
#include "repo/deltaorder.h"

/* It is sealed for those who read, and this key is not theirs. */
static bool is_shut(const struct check_run *run, const struct index_place *place)
{
	return run->structure && chunk_kind_recipient(place->info.kind) != SLOT_M;
}

/* Where the pack is as it was written, it was garbage from the start: who wrote it is what an operator has to know. */
static void name_writer(const struct check_run *run, const struct index_place *place,
			struct err *why)
{
	const struct index_pack *pack = &run->index->packs[place->pack];
	struct id writer;
	char hex[ID_HEX_CHARS + 1];

	memcpy(writer.b, pack->sources[place->source].writer, sizeof(writer.b));
	id_hex(&writer, hex);
	(void)err_set(why, (enum err_code)why->code, "%s (stored by writer %.*s)", why->text,
		      ID_SHORT_CHARS, hex);
}

/* Bytes of one record: they open, and give what its id says. */
static int open_record(struct check_run *run, uint32_t at, const void *sealed, size_t len,
		       struct buf *plain, struct err *err)
{
	const struct index_place *place = &run->index->places[at];
	struct err why = {0};
	int r;

	if (is_shut(run, place))
		return 0;
	buf_reset(plain);
	r = reader_open_place(run->reader, place, sealed, len, plain, &why);
	if (check_ends(r)) {
		*err = why;
		return r;
	}
	run->result->chunks++;
	if (r == -ERR_DAMAGED)
		name_writer(run, place, &why);
	return r ? check_find(run, at, &why, err) : 0;
}

/* A delta waits until all that is full has been read, see read_deltas. */
static int read_record(struct check_run *run, uint32_t at, const struct buf *pack,
		       struct buf *plain, struct err *err)
{
	const struct index_place *place = &run->index->places[at];

	if (place->bad) /* beyond the end of a pack that was cut short, which was told */
		return 0;
	if (!check_in_scope(run, &place->info.id))
		return 0;
	if (place->offset > pack->len || place->stored_bytes > pack->len - place->offset)
		return check_find(
		    run, at,
		    &(struct err){.code = ERR_DAMAGED, .text = "a record lies beyond its end"},
		    err);
	if (place->info.base_count)
		return 0;
	return open_record(run, at, pack->data + place->offset, place->stored_bytes, plain, err);
}

/*
 * One that is not whole rests on damage that was told, or on what only an orphan lacks; the paths that it touches are
 * told with their manifests.
 */
static int read_one(struct check_run *run, uint32_t at, struct buf *sealed, struct buf *plain,
		    struct err *err)
{
	const struct index_place *place = &run->index->places[at];
	const struct id *pack = &run->index->packs[place->pack].name;
	struct err why = {0};
	int r;

	if (!index_place_whole(run->index, at) || !check_in_scope(run, &place->info.id) ||
	    is_shut(run, place))
		return 0;
	buf_reset(sealed);
	r = store_get_range(run->repo->store, STORE_DATA, pack, place->offset, place->stored_bytes,
			    sealed, &why);
	if (!r)
		return open_record(run, at, sealed->data, sealed->len, plain, err);
	if (!check_ends(r))
		return check_find(run, at, &why, err);
	*err = why;
	return r;
}

int check_read_chunk(struct check_run *run, uint8_t kind, const struct id *id, struct err *err)
{
	struct buf sealed = {0}, plain = {0};
	int r = 0;

	for (uint32_t at = index_find(run->index, kind, id); !r && at != INDEX_NONE;
	     at = run->index->places[at].next)
		r = read_one(run, at, &sealed, &plain, err);
	buf_free(&sealed);
	buf_wipe(&plain);
	return r;
}

/* Not pack by pack, where the bases of each night would be decoded anew: version after version, each from the one before. */
static int read_deltas(struct check_run *run, struct buf *sealed, struct buf *plain,
		       struct err *err)
{
	uint64_t packs = run->index->pack_count;
	uint32_t *places = NULL;
	size_t count = 0;
	int r = deltaorder_of(run->index, &places, &count, err);

	for (size_t i = 0; !r && i < count; i++) {
		const struct index_place *place = &run->index->places[places[i]];

		r = check_tick(run, packs, packs, "", err);
		if (!r && rotation_has(&run->part, &run->index->packs[place->pack].name))
			r = read_one(run, places[i], sealed, plain, err);
	}
	free(places);
	return r;
}

/* The directory is what an index is rebuilt from: it must open, too. */
static int open_front(struct check_run *run, uint32_t number, const struct buf *pack,
		      struct err *err)
{
	struct pack_dir dir = {0};
	struct pack_head head;
	int r = pack_head_get(pack->data, pack->len, &head, err);

	if (!r && pack_front_bytes(&head) > pack->len)
		r = err_set(err, ERR_DAMAGED, "its directory is longer than it is");
	if (!r)
		r = pack_front_dec(run->repo->keys, pack->data, (size_t)pack_front_bytes(&head),
				   pack->len, &dir, err);
	if (!r && run->structure && !index_says_so(run->index, number, pack->len, &dir))
		r = err_set(err, ERR_DAMAGED,
			    "the index tells other records of it than its own directory; "
			    "'nightjar repair index --read-all-packs' writes the index anew");
	pack_dir_free(&dir);
	return r;
}

/* A pack that cannot be read gives none of its chunks. */
static int find_all(struct check_run *run, uint32_t number, struct err *err)
{
	const struct index_pack *pack = &run->index->packs[number];
	const struct err why = *err;
	int r = 0;

	for (uint32_t i = 0; !r && i < pack->place_count; i++)
		r = check_find(run, pack->first_place + i, &why, err);
	return r;
}

static bool worth_reading(const struct check_run *run, const struct index_pack *pack)
{
	if (!rotation_has(&run->part, &pack->name))
		return false;
	for (uint32_t i = 0; i < pack->place_count; i++) {
		if (check_in_scope(run, &run->index->places[pack->first_place + i].info.id))
			return true;
	}
	return false;
}

/* Where 'repair packs' has moved its records nothing is lost with the pack. */
static void tell_pack(struct check_run *run, uint32_t number, const char *text)
{
	const struct index_pack *pack = &run->index->packs[number];

	if (check_pack_replaced(run, pack))
		check_tell_healed(run, &pack->name, text);
	else
		check_tell_damage(run, STORE_DATA, &pack->name, text);
}

/* A pack that is not what its name says: which of its records still open only those can tell who read. */
static int doubt_shut(struct check_run *run, uint32_t number, struct err *err)
{
	static const struct err why = {
	    .code = ERR_DAMAGED,
	    .text = "damaged: its bytes are not those of its name; which of its records still open "
		    "a full or read key tells, and 'nightjar repair packs' with the full key saves "
		    "them"};
	const struct index_pack *pack = &run->index->packs[number];
	int r = 0;

	for (uint32_t i = 0; !r && i < pack->place_count; i++) {
		const struct index_place *place = &run->index->places[pack->first_place + i];

		if (is_shut(run, place) && !place->bad && check_in_scope(run, &place->info.id))
			r = check_find(run, pack->first_place + i, &why, err);
	}
	return r;
}

static int read_pack(struct check_run *run, uint32_t number, struct buf *bytes, struct buf *plain,
		     struct err *err)
{
	const struct index_pack *pack = &run->index->packs[number];
	size_t found = run->found_count;
	struct id digest;
	int r;

	buf_reset(bytes);
	r = store_get(run->repo->store, STORE_DATA, &pack->name, LIMIT_PACK_BYTES, bytes, err);
	if (check_ends(r))
		return r;
	if (r)
		return find_all(run, number, err);
	run->result->packs_read++;
	run->result->bytes_read += bytes->len;
	for (uint32_t i = 0; !r && i < pack->place_count; i++)
		r = read_record(run, pack->first_place + i, bytes, plain, err);
	if (!r)
		r = sha256_of(bytes->data, bytes->len, &digest, err);
	if (!r && run->structure && !id_eq(&digest, &pack->name))
		r = doubt_shut(run, number, err);
	if (r)
		return r;
	/* With a choice of backups, what else lies in the pack is not looked at. */
	if (run->found_count != found || bytes->len != pack->pack_bytes || run->options->manifests)
		return 0;
	if (!id_eq(&digest, &pack->name)) {
		tell_pack(run, number, "damaged, though every record in it still opens");
		return 0;
	}
	r = open_front(run, number, bytes, err);
	if (r && !check_ends(r))
		tell_pack(run, number, err->text);
	return check_ends(r) ? r : 0;
}

static bool will_read(const struct check_run *run, size_t number)
{
	const struct index_pack *pack = &run->index->packs[number];

	return !pack->bad && worth_reading(run, pack);
}

static int expect_packs(struct check_run *run, struct err *err)
{
	size_t count = run->index->pack_count, will = 0;
	struct id *names = malloc((count ? count : 1) * sizeof(*names));

	if (!names)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++) {
		if (will_read(run, i))
			names[will++] = run->index->packs[i].name;
	}
	store_expect(run->repo->store, STORE_DATA, names, will);
	free(names);
	return 0;
}

int check_read_packs(struct check_run *run, struct err *err)
{
	struct buf bytes = {0}, plain = {0};
	int r = expect_packs(run, err);

	for (uint32_t i = 0; !r && i < run->index->pack_count; i++) {
		r = check_tick(run, i, run->index->pack_count, "", err);
		if (!r && will_read(run, i))
			r = read_pack(run, i, &bytes, &plain, err);
	}
	if (!r)
		r = read_deltas(run, &bytes, &plain, err);
	buf_free(&bytes);
	buf_wipe(&plain);
	return r;
}
