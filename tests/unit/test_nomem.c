/*
 * Out of memory is an ordinary error: of every codec, each allocation fails once. It then gives ERR_NOMEM, leaves no block behind, and the
 * next call works.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/cells_diff.h"
#include "core/condemn.h"
#include "core/damage.h"
#include "core/drillnote.h"
#include "core/indexseg.h"
#include "core/keyfile.h"
#include "core/keyslot.h"
#include "core/manifest.h"
#include "core/node.h"
#include "core/pack.h"
#include "core/pack_move.h"
#include "core/repoconf.h"
#include "core/retire.h"
#include "core/parity.h"
#include "core/roster.h"
#include "core/sha256.h"
#include "core/sightings.h"
#include "core/tagrec.h"
#include "tests/support/manifest_kit.h"
#include "tests/support/must.h"
#include "tests/support/nomem.h"

static const struct kdf_cost cheap = {.passes = 1, .memory_kib = 8192};
static const struct keyslot_label label = {.user = "u", .host = "h"};

/* What decoders are given; made without failures. */
static struct box {
	struct keys *keys;
	struct buf keyfiles[ROLE_READ + 1];
	struct buf slot, roster, pack, segment, manifest, tag, retire, drill, damage, condemn;
	struct pack_dir dir;
	struct indexseg_wrap wrap;
} box;

/* --- keys --- */

static int run_master(struct err *err)
{
	struct keys *keys = NULL;
	int rc = keys_from_master(box.keys->repo, box.keys->master, &keys, err);

	keys_free(keys);
	return rc;
}

static int run_keyfile(enum role role, struct err *err)
{
	struct buf text = {0};
	struct keys *keys = NULL;
	int rc = keyfile_enc(box.keys, role, &text, err);

	if (rc == 0)
		rc = keyfile_dec(box.keyfiles[role].data, box.keyfiles[role].len, &keys, err);
	keys_free(keys);
	buf_wipe(&text);
	return rc;
}

static int run_full_file(struct err *err)
{
	return run_keyfile(ROLE_FULL, err);
}

static int run_write_file(struct err *err)
{
	return run_keyfile(ROLE_WRITE, err);
}

static int run_maintain_file(struct err *err)
{
	return run_keyfile(ROLE_MAINTAIN, err);
}

static int run_read_file(struct err *err)
{
	return run_keyfile(ROLE_READ, err);
}

static int run_slot(struct err *err)
{
	struct buf slot = {0};
	uint8_t master[32];
	int rc = keyslot_enc(box.keys->repo, box.keys->master, "p", 1, &cheap, &label, &slot, err);

	if (rc == 0)
		rc = keyslot_open(box.slot.data, box.slot.len, box.keys->repo, "p", 1, master, err);
	buf_free(&slot);
	return rc;
}

static void add_to_roster(struct roster *r, struct err *err, int *rc)
{
	struct roster_writer w = {.first_sequence = 1, .last_sequence = 9, .version = 1};

	for (uint8_t i = 1; *rc == 0 && i < 12; i++) {
		w.pub[0] = i;
		*rc = roster_add_writer(r, &w, err);
	}
	for (uint32_t i = 1; *rc == 0 && i < 12; i++)
		*rc = roster_add_epoch(r, i, w.pub, err);
}

static int run_roster(struct err *err)
{
	struct roster made = {.epoch = 1}, read = {0}, into = {0};
	struct buf bytes = {0};
	int rc = 0;

	add_to_roster(&made, err, &rc);
	if (rc == 0)
		rc = roster_enc(&made, box.keys->repo, box.keys->owner_secret, &bytes, err);
	if (rc == 0)
		rc = roster_dec(bytes.data, bytes.len, box.keys->repo, box.keys->owner_pub, &read,
				err);
	if (rc == 0)
		rc = roster_merge(&into, &read, err);
	roster_free(&made);
	roster_free(&read);
	roster_free(&into);
	buf_free(&bytes);
	return rc;
}

static int run_conf(struct err *err)
{
	struct repoconf conf = {.floor_log2 = 12};
	struct buf bytes = {0};
	int rc;

	memcpy(conf.repo, box.keys->repo, REPO_ID_BYTES);
	memcpy(conf.owner_pub, box.keys->owner_pub, 32);
	rc = repoconf_enc(&conf, box.keys->owner_secret, &bytes, err);
	buf_free(&bytes);
	return rc;
}

/* --- records and packs --- */

static int add_record(struct pack_builder *b, uint8_t kind, uint8_t with, struct err *err)
{
	struct record_info info = {.kind = kind, .plain_bytes = 100};
	uint8_t plain[100];

	memset(plain, with, sizeof(plain));
	info.id.b[0] = with;
	return pack_builder_add(b, &info, plain, sizeof(plain), err);
}

static int make_pack(struct buf *out, struct pack_dir *dir, struct err *err)
{
	struct pack_builder *b = NULL;
	struct id name;
	int rc = pack_builder_new(box.keys, 1, 12, &b, err);

	for (uint8_t i = 0; rc == 0 && i < 200; i++)
		rc = add_record(b, i % 2 ? CHUNK_DATA : CHUNK_LIST, i, err);
	if (rc == 0)
		rc = pack_builder_finish(b, out, dir, &name, err);
	pack_builder_free(b);
	return rc;
}

static int run_pack(struct err *err)
{
	struct buf pack = {0};
	struct pack_dir dir = {0}, read = {0};
	int rc = make_pack(&pack, &dir, err);

	if (rc == 0)
		rc =
		    pack_front_dec(box.keys, box.pack.data, box.pack.len, box.pack.len, &read, err);
	pack_dir_free(&dir);
	pack_dir_free(&read);
	buf_free(&pack);
	return rc;
}

static int run_record(struct err *err)
{
	static const uint8_t key[32] = {1}, repo[REPO_ID_BYTES] = {2};
	static uint8_t plain[70000], base[70000];
	struct record_info info = {.kind = CHUNK_DATA, .plain_bytes = sizeof(plain)};
	struct buf packed = {0}, sealed = {0}, out = {0};
	struct comp *comp = NULL;
	int rc = comp_new(0, &comp, err);

	memset(plain + 100, 7, 50000);
	if (rc == 0)
		rc = record_id(&box.keys->domains[0], info.kind, plain, sizeof(plain), &info.id,
			       err);
	if (rc == 0)
		rc = comp_put(comp, 0, plain, sizeof(plain), &packed, &info.codec, err);
	if (rc == 0)
		rc = record_seal(key, 1, repo, &info, packed.data, packed.len, &sealed, err);
	if (rc == 0)
		rc = record_open(comp, key, 1, repo, &box.keys->domains[0], &info, sealed.data,
				 sealed.len, &out, err);
	buf_reset(&packed);
	if (rc == 0)
		rc =
		    comp_put_delta(comp, 3, base, sizeof(base), plain, sizeof(plain), &packed, err);
	buf_reset(&out);
	if (rc == 0)
		rc = comp_get_delta(comp, base, sizeof(base), packed.data, packed.len,
				    sizeof(plain), &out, err);
	comp_free(comp);
	buf_free(&packed);
	buf_free(&sealed);
	buf_free(&out);
	return rc;
}

static int run_mover(struct err *err)
{
	struct pack_mover *m = NULL;
	struct buf out = {0};
	struct pack_dir dir = {0};
	struct id name;
	int rc = pack_mover_new(box.keys, 0, 12, &m, err);

	for (size_t i = 0; rc == 0 && i < box.dir.entry_count; i++) {
		const struct pack_entry *e = &box.dir.entries[i];
		const struct pack_moved moved = {.info = e->info,
						 .slot = &box.dir.slots[e->slot],
						 .source = &box.dir.sources[e->source],
						 .counter = e->counter,
						 .sealed = box.pack.data + e->offset,
						 .sealed_bytes = e->stored_bytes};

		rc = pack_mover_add(m, &moved, err);
	}
	if (rc == 0)
		rc = pack_mover_finish(m, &out, &dir, &name, err);
	pack_mover_free(m);
	pack_dir_free(&dir);
	buf_free(&out);
	return rc;
}

static int run_segment(struct err *err)
{
	struct indexseg_pack pack = {.pack_bytes = box.pack.len, .dir = box.dir};
	struct indexseg seg = {0}, gc = {0};
	struct buf out = {0}, of_gc = {0};
	struct indexseg_wrap wrap;
	int rc = indexseg_enc(box.keys, 0, &pack, 1, 12, &out, err);

	if (rc == 0)
		rc = indexseg_dec(box.keys, out.data, out.len, &seg, err);
	if (rc == 0)
		rc = indexseg_wrap_new(box.keys, 0, &wrap, err);
	if (rc == 0)
		rc = indexseg_enc_gc(box.keys, 0, &wrap, &pack, 1, 12, &of_gc, err);
	if (rc == 0)
		rc = indexseg_dec(box.keys, of_gc.data, of_gc.len, &gc, err);
	indexseg_free(&seg);
	indexseg_free(&gc);
	buf_free(&out);
	buf_free(&of_gc);
	return rc;
}

/* --- signed records --- */

static int run_manifest_dec(struct err *err)
{
	struct manifest m = {0};
	struct manifest_db copy = {0};
	int rc = manifest_dec(box.keys, box.manifest.data, box.manifest.len, &m, err);

	if (rc == 0)
		rc = manifest_db_copy(&m.dbs[0], &copy, err);
	manifest_db_wipe(&copy);
	manifest_free(&m);
	return rc;
}

static int run_manifest_enc(struct err *err)
{
	struct manifest m = {0};
	struct buf out = {0};
	int rc = manifest_dec(box.keys, box.manifest.data, box.manifest.len, &m, err);

	if (rc == 0)
		rc = manifest_enc(box.keys, &m, 12, &out, err);
	manifest_free(&m);
	buf_free(&out);
	return rc;
}

static int run_damage(struct err *err)
{
	struct damage_place places[2] = {{.record = 1}, {.record = 2}};
	struct damage d = {.head.number = 1, .places = places, .count = 2}, read = {0};
	struct buf out = {0};
	int rc = damage_enc(box.keys, &d, &out, err);

	if (rc == 0)
		rc = damage_dec(box.keys, out.data, out.len, &read, err);
	damage_free(&read);
	buf_free(&out);
	return rc;
}

static int run_retire(struct err *err)
{
	struct retire_entry entry = {.sequence = 1};
	struct retire r = {.head.number = 1, .entries = &entry, .count = 1}, read = {0};
	struct buf out = {0};
	int rc = retire_enc(box.keys, &r, &out, err);

	if (rc == 0)
		rc = retire_dec(box.keys, out.data, out.len, &read, err);
	retire_free(&read);
	buf_free(&out);
	return rc;
}

static int run_condemn(struct err *err)
{
	struct id pack = {{1}};
	struct condemn c = {.kind = CONDEMN_PACKS, .packs = &pack, .pack_count = 1}, read = {0};
	struct buf out = {0};
	int rc = condemn_enc(box.keys, &c, &out, err);

	if (rc == 0)
		rc = condemn_dec(box.keys->repo, box.keys->gc_pub, out.data, out.len, &read, err);
	condemn_free(&read);
	buf_free(&out);
	return rc;
}

static int run_tags(struct err *err)
{
	char a[] = "a", b[] = "b", *tags[] = {a, b};
	struct tagrec t = {.head.number = 1, .tags = tags, .tag_count = 2}, read = {0};
	struct buf out = {0};
	int rc = tagrec_enc(box.keys, &t, 12, &out, err);

	if (rc == 0)
		rc = tagrec_dec(box.keys, out.data, out.len, &read, err);
	tagrec_free(&read);
	buf_free(&out);
	free(t.macs);
	return rc;
}

static int run_cells_diff(struct err *err)
{
	static const uint8_t one[] = "\x01\x07\x02\x02\x02\x03\x03\x03"
				     "aaabbbccc";
	const struct span chunk = {one, sizeof(one) - 1};
	uint64_t fresh;

	return cells_diff(&chunk, &chunk, 1, &fresh, err);
}

/* --- the loop --- */

static int run_sightings(struct err *err)
{
	struct sighting *newest = NULL;
	struct sightings s = {.retire_number = 1}, read = {0};
	struct buf bytes = {0};
	size_t count;
	int rc = 0;

	add_to_roster(&s.roster, err, &rc);
	s.items = calloc(1, sizeof(*s.items));
	if (rc == 0 && !s.items)
		rc = err_nomem(err);
	if (rc == 0) {
		s.items[0] = (struct sighting){.sequence = 1, .fate = SIGHTING_SEEN};
		s.count = 1;
		rc = sightings_enc(&s, &bytes, err);
	}
	if (rc == 0)
		rc = sightings_dec(bytes.data, bytes.len, s.repo, &read, err);
	if (rc == 0)
		rc = sightings_newest(&read, &newest, &count, err);
	free(newest);
	sightings_free(&s);
	sightings_free(&read);
	buf_free(&bytes);
	return rc;
}

/* Blocks of two packs: one that is its own copy, one of two stripes. */
static int run_parity(struct err *err)
{
	static const size_t sizes[] = {3, 70};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < 2; i++) {
		struct buf object = {0}, back = {0};
		struct parity_mended mended;
		size_t bytes = sizes[i] * PARITY_BLOCK_BYTES;
		uint8_t *body = buf_extend(&object, bytes);
		struct id name;

		rc = body ? 0 : err_nomem(err);
		if (rc == 0) {
			memset(body, 7, bytes);
			rc = parity_put(parity_kind_of(2, bytes), 0, &object, err);
		}
		if (rc == 0)
			rc = sha256_of(object.data, object.len, &name, err);
		if (rc == 0) {
			object.data[5000] ^= 1;
			rc = parity_mend(object.data, object.len, &name, &back, &mended, err);
		}
		buf_free(&object);
		buf_free(&back);
	}
	return rc;
}

static const struct nomem_op ops[] = {
    {"keys_from_master", run_master},
    {"a full key file", run_full_file},
    {"a write key file", run_write_file},
    {"a maintain key file", run_maintain_file},
    {"a read key file", run_read_file},
    {"a key slot", run_slot},
    {"a roster", run_roster},
    {"config", run_conf},
    {"a pack", run_pack},
    {"a record", run_record},
    {"moved records", run_mover},
    {"an index segment", run_segment},
    {"reading a manifest", run_manifest_dec},
    {"a manifest", run_manifest_enc},
    {"a damage note", run_damage},
    {"a retire record", run_retire},
    {"a condemn record", run_condemn},
    {"a tag record", run_tags},
    {"cells_diff", run_cells_diff},
    {"sightings", run_sightings},
    {"parity", run_parity},
};

static void test_each(void **state)
{
	unsigned long all = 0;

	(void)state;
	if (!nomem_works)
		skip();
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		all += nomem_each(&ops[i]);
	print_message("# %zu calls, %lu allocations failed, %lu of them were not needed\n",
		      sizeof(ops) / sizeof(ops[0]), all, nomem_done_without);
	assert_true(nomem_done_without * 10 < all);
}

static int setup(void **state)
{
	static const uint8_t master[32] = {1}, repo[REPO_ID_BYTES] = {2};
	struct manifest m = manifest_kit_sample();
	struct err err = {0};

	(void)state;
	MUST(keys_from_master(repo, master, &box.keys, &err), &err);
	MUST(keys_use_host(box.keys, "h", &err), &err);
	for (int role = ROLE_FULL; role <= ROLE_READ; role++)
		MUST(keyfile_enc(box.keys, (enum role)role, &box.keyfiles[role], &err), &err);
	MUST(keyslot_enc(repo, master, "p", 1, &cheap, &label, &box.slot, &err), &err);
	MUST(make_pack(&box.pack, &box.dir, &err), &err);
	MUST(manifest_enc(box.keys, &m, 12, &box.manifest, &err), &err);
	manifest_free(&m);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keys_free(box.keys);
	for (int role = ROLE_FULL; role <= ROLE_READ; role++)
		buf_wipe(&box.keyfiles[role]);
	buf_free(&box.slot);
	buf_free(&box.pack);
	buf_free(&box.manifest);
	pack_dir_free(&box.dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_each)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
