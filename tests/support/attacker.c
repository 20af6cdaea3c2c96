#include "tests/support/attacker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/keyfile.h"
#include "core/manifest.h"
#include "core/pack_move.h"
#include "tests/support/bytes.h"
#include "tests/support/must.h"

/* As the owner would, for a host that the attacker has broken into. */
static void enroll(struct repo_case *c, struct attacker *a, const char *host, uint32_t domain)
{
	struct roster_writer w = {
	    .domain = domain, .first_sequence = 1, .last_sequence = UINT64_MAX, .version = 1};
	struct keys *keys = NULL;
	struct roster roster = {0};
	struct buf bytes = {0};
	struct id name;

	MUST(keyfile_dec(c->keyfile.data, c->keyfile.len, &keys, a->err), a->err);
	MUST(keys_random_writer(keys, host, domain, a->err), a->err);
	MUST(keyfile_enc(keys, ROLE_WRITE, &a->keyfile, a->err), a->err);
	memcpy(w.pub, keys->writer_pub, sizeof(w.pub));
	MUST(roster_merge(&roster, &c->repo->roster, a->err), a->err);
	MUST(roster_add_writer(&roster, &w, a->err), a->err);
	roster.epoch++;
	MUST(roster_enc(&roster, keys->repo, keys->owner_secret, &bytes, a->err), a->err);
	MUST(repo_put(c->repo, STORE_KEYS, &bytes, &name, a->err), a->err);
	buf_free(&bytes);
	roster_free(&roster);
	keys_free(keys);
	repo_case_reopen(c);
}

struct attacker *attacker_new(struct repo_case *c, const char *host, uint32_t domain)
{
	struct attacker *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	a->err = &c->err;
	enroll(c, a, host, domain);
	MUST(repo_case_open_with(c, &a->keyfile, &a->repo, a->err), a->err);
	assert_int_equal(a->repo->keys->role, ROLE_WRITE);
	return a;
}

void attacker_free(struct attacker *a)
{
	repo_close(a->repo);
	buf_wipe(&a->keyfile);
	free(a);
}

struct attacker_record attacker_raw(uint8_t kind, const struct id *id, const void *bytes,
				    size_t len)
{
	return (struct attacker_record){
	    .info = {.kind = kind, .id = *id, .codec = CODEC_RAW, .plain_bytes = (uint32_t)len},
	    .bytes = bytes,
	    .len = len};
}

static void put_pack(struct attacker *a, struct indexseg_pack *pack, const struct buf *object)
{
	pack->pack_bytes = object->len;
	MUST(store_put(a->repo->store, STORE_DATA, &pack->name, object->data, object->len, a->err),
	     a->err);
}

struct indexseg_pack attacker_pack(struct attacker *a, const struct attacker_record *records,
				   size_t count, uint64_t sequence)
{
	struct pack_builder *builder = NULL;
	struct indexseg_pack pack = {0};
	struct buf object = {0};

	MUST(pack_builder_new(a->repo->keys, sequence, a->repo->conf.floor_log2, &builder, a->err),
	     a->err);
	for (size_t i = 0; i < count; i++) {
		struct record_info info = records[i].info;

		info.chain_bytes = (uint32_t)records[i].len + 16;
		MUST(pack_builder_add(builder, &info, records[i].bytes, records[i].len, a->err),
		     a->err);
	}
	MUST(pack_builder_finish(builder, &object, &pack.dir, &pack.name, a->err), a->err);
	put_pack(a, &pack, &object);
	pack_builder_free(builder);
	buf_free(&object);
	return pack;
}

struct indexseg_pack attacker_claim(struct attacker *a, const struct indexseg_pack *pack,
				    const struct pack_source *source, bool garbage)
{
	struct buf from = repo_case_get(a->repo->store, STORE_DATA, &pack->name), object = {0};
	struct indexseg_pack claimed = {0};
	struct pack_mover *mover = NULL;

	if (garbage)
		repo_case_bytes(from.len, from.data, from.len / 8 * 8);
	/* Our code asks for G; what it makes needs no more than M's public key. */
	a->repo->keys->has_gc_secret = true;
	MUST(pack_mover_new(a->repo->keys, a->repo->keys->writer_domain, 12, &mover, a->err),
	     a->err);
	for (size_t i = 0; i < pack->dir.entry_count; i++) {
		const struct pack_entry *e = &pack->dir.entries[i];
		const struct pack_moved moved = {.info = e->info,
						 .slot = &pack->dir.slots[e->slot],
						 .source = source,
						 .counter = e->counter,
						 .sealed = from.data + e->offset,
						 .sealed_bytes = e->stored_bytes};

		MUST(pack_mover_add(mover, &moved, a->err), a->err);
	}
	MUST(pack_mover_finish(mover, &object, &claimed.dir, &claimed.name, a->err), a->err);
	a->repo->keys->has_gc_secret = false;
	put_pack(a, &claimed, &object);
	pack_mover_free(mover);
	buf_free(&object);
	buf_free(&from);
	return claimed;
}

struct id attacker_segment(struct attacker *a, const struct indexseg_pack *packs, size_t count)
{
	struct buf bytes = {0};
	struct id name;

	MUST(indexseg_enc(a->repo->keys, a->repo->keys->writer_domain, packs, count,
			  a->repo->conf.floor_log2, &bytes, a->err),
	     a->err);
	MUST(repo_put(a->repo, STORE_INDEX, &bytes, &name, a->err), a->err);
	buf_free(&bytes);
	return name;
}

#define GARBAGE_BYTES 40

void attacker_spoil(struct attacker *a, struct repo_case *c, unsigned kinds, uint64_t sequence)
{
	struct index *index = repo_case_index(c);
	struct attacker_record *records = calloc(index->place_count + 1, sizeof(*records));
	static uint8_t garbage[GARBAGE_BYTES];
	struct indexseg_pack pack;
	size_t count = 0;

	assert_non_null(records);
	repo_case_bytes(sequence, garbage, sizeof(garbage));
	for (uint32_t i = 0; i < index->place_count; i++) {
		const struct record_info *info = &index->places[i].info;

		if (info->kind && (kinds >> info->kind & 1) &&
		    index_find(index, info->kind, &info->id) == i)
			records[count++] =
			    attacker_raw(info->kind, &info->id, garbage, sizeof(garbage));
	}
	assert_true(count > 0);
	pack = attacker_pack(a, records, count, sequence);
	(void)attacker_segment(a, &pack, 1);
	pack_dir_free(&pack.dir);
	free(records);
	index_free(index);
}

struct id attacker_manifest(struct attacker *a, const char *host, const char *source,
			    int64_t time_ns, uint64_t sequence, const struct id *root)
{
	struct manifest m = {.sequence = sequence,
			     .time_ns = time_ns,
			     .started_ns = time_ns,
			     .finished_ns = time_ns,
			     .domain = a->repo->keys->writer_domain,
			     .root = *root,
			     .host = bytes_text(host),
			     .source_count = 1};
	struct buf bytes = {0};
	struct id name;

	memcpy(m.repo, a->repo->conf.repo, sizeof(m.repo));
	memcpy(m.writer, a->repo->keys->writer_pub, sizeof(m.writer));
	m.sources = calloc(1, sizeof(*m.sources));
	assert_non_null(m.sources);
	m.sources[0] = bytes_text(source);
	MUST(manifest_enc(a->repo->keys, &m, a->repo->conf.floor_log2, &bytes, a->err), a->err);
	MUST(repo_put(a->repo, STORE_SNAPSHOTS, &bytes, &name, a->err), a->err);
	manifest_free(&m);
	buf_free(&bytes);
	return name;
}
