#include "tests/support/versions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/pack.h"
#include "core/seal.h"
#include "repo/reader.h"
#include "tests/support/must.h"

#define CHANGED_PERCENT 2

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

struct buf versions_make(uint64_t table, unsigned version, size_t len)
{
	struct buf out = {0};

	for (uint64_t row = 0; out.len < len; row++) {
		unsigned since = version;
		char text[128];
		uint64_t seed;

		while (since > 0 && mix(table << 40 ^ row << 16 ^ since) % 100 >= CHANGED_PERCENT)
			since--;
		seed = mix(mix(table << 40 ^ row << 16) + since);
		(void)snprintf(text, sizeof(text), "%06llu|customer %llx|order %llu|%s|%llu.%02llu",
			       (unsigned long long)row, (unsigned long long)mix(seed),
			       (unsigned long long)(seed % 100000),
			       seed & 1 ? "shipped" : "pending",
			       (unsigned long long)(seed >> 20 & 1023),
			       (unsigned long long)(seed >> 40) % 100);
		buf_put(&out, text, strlen(text));
	}
	assert_false(out.failed);
	out.len = len;
	return out;
}

static const struct domain_keys *domain(struct repo_case *c)
{
	const struct domain_keys *d =
	    keys_domain(c->repo->keys, c->repo->keys->writer_domain, &c->err);

	assert_non_null(d);
	return d;
}

struct id versions_id(struct repo_case *c, const char *plain)
{
	struct id id;

	MUST(record_id(domain(c), CHUNK_DATA, plain, strlen(plain), &id, &c->err), &c->err);
	return id;
}

static void compress(struct repo_case *c, struct comp *comp, const struct versions_record *rec,
		     struct record_info *info, struct buf *out)
{
	struct buf prefix = {0};

	for (; info->base_count < LIMIT_BASES && rec->bases[info->base_count]; info->base_count++) {
		const char *base = rec->bases[info->base_count];

		info->bases[info->base_count] = versions_id(c, base);
		buf_put(&prefix, base, strlen(base));
	}
	if (info->base_count) {
		info->codec = CODEC_DELTA;
		info->depth = rec->depth;
		MUST(comp_put_delta(comp, COMP_DELTA_FAST, prefix.data, prefix.len, rec->plain,
				    strlen(rec->plain), out, &c->err),
		     &c->err);
	} else {
		MUST(comp_put(comp, 0, rec->plain, strlen(rec->plain), out, &info->codec, &c->err),
		     &c->err);
	}
	if (rec->bad)
		out->data[out->len / 2] ^= 0x40;
	buf_free(&prefix);
}

uint32_t versions_pack(struct repo_case *c, struct index *index,
		       const struct versions_record *records, size_t count)
{
	struct pack_builder *builder = NULL;
	struct comp *comp = NULL;
	struct pack_dir dir = {0};
	struct buf object = {0};
	struct id name;

	MUST(comp_new(0, &comp, &c->err), &c->err);
	MUST(pack_builder_new(c->repo->keys, 1, c->repo->conf.floor_log2, &builder, &c->err),
	     &c->err);
	for (size_t i = 0; i < count; i++) {
		struct record_info info = {.kind = CHUNK_DATA,
					   .id = versions_id(c, records[i].plain),
					   .plain_bytes = (uint32_t)strlen(records[i].plain)};
		struct buf bytes = {0};

		compress(c, comp, &records[i], &info, &bytes);
		info.chain_bytes = (uint32_t)bytes.len + SEAL_TAG_BYTES; /* readers need no more */
		MUST(pack_builder_add(builder, &info, bytes.data, bytes.len, &c->err), &c->err);
		buf_free(&bytes);
	}
	MUST(pack_builder_finish(builder, &object, &dir, &name, &c->err), &c->err);
	MUST(store_put(c->inner, STORE_DATA, &name, object.data, object.len, &c->err), &c->err);
	MUST(index_add_pack(index, &name, object.len, &dir, &c->err), &c->err);
	pack_dir_free(&dir);
	pack_builder_free(builder);
	comp_free(comp);
	buf_free(&object);
	return index_find_pack(index, &name);
}

void versions_assert_reads(struct repo_case *c, const struct id *id, uint64_t table,
			   unsigned version, size_t len)
{
	struct buf plain = versions_make(table, version, len), got = {0};
	struct index *index = repo_case_index(c);
	struct reader *reader = NULL;

	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	MUST(reader_get(reader, CHUNK_DATA, id, &got, &c->err), &c->err);
	assert_int_equal(got.len, plain.len);
	assert_memory_equal(got.data, plain.data, plain.len);
	reader_free(reader);
	index_free(index);
	buf_free(&plain);
	buf_free(&got);
}
