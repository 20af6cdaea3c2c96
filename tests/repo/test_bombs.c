/*
 * A writer who signs rightly and means ill: records that claim or expand to far more than they are, counts that no object can have, in
 * every kind of object. The program runs with little address space, and says what is wrong: it is neither killed, nor short of memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>
#include <zstd.h>

#include "core/indexseg.h"
#include "core/manifest_part.h"
#include "core/pack.h"
#include "core/parts.h"
#include "core/seal.h"
#include "core/sign.h"
#include "core/signrec.h"
#include "repo/manifests.h"
#include "repo/repo.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/spawn.h"

/* What each run needs for itself, threads and libraries included, is about half of this; under a sanitizer terabytes. */
#ifdef __SANITIZE_ADDRESS__
#define ADDRESS_KIB "unlimited"
#else
#define ADDRESS_KIB "400000"
#endif
#define PLANTS_MOST 3
#define SEGMENT_BODY_AT 212 /* FORMAT.md §6 */
#define OBJECT_BYTES 4096u  /* the bucket of all that is small */

struct box {
	struct kit kit;
	char src[300], log[300], repo_dir[300];
	struct repo *repo;
	struct manifest_item *genuine; /* in list */
	struct manifest_list list;
	struct {
		enum store_type type;
		struct id name;
	} planted[PLANTS_MOST];
	size_t plants;
	unsigned runs, refused; /* in all */
	struct err err;
};

static const uint32_t claims[] = {(8u << 20) - 1, 8u << 20, 1u << 31, UINT32_MAX};
#define CLAIMS (sizeof(claims) / sizeof(claims[0]))

/* --- the program --- */

static int run(struct box *b, const char *words)
{
	char command[1500];

	(void)snprintf(command, sizeof(command), "ulimit -v %s && exec \"$NIGHTJAR\" %s",
		       ADDRESS_KIB, words);
	b->runs++;
	return SPAWN(b->log, "sh", "-c", command);
}

static bool says(struct box *b, const char *text)
{
	return SPAWN("/dev/null", "grep", "-q", text, b->log) == 0;
}

/* As an operator sees it: an exit code of ours, a reason, and no talk of memory. */
static void run_hostile(struct box *b, const char *what, uint32_t claim, const char *words)
{
	int status = run(b, words);

	if ((status > 1 && status != 3 && status != 20) || says(b, "memory") ||
	    (status && !says(b, "nightjar: "))) {
		spawn_show(b->log);
		fail_msg("%s of %u: '%s' gave %d", what, claim, words, status);
	}
	b->refused += status != 0;
}

static void run_all(struct box *b, const char *what, uint32_t claim)
{
	static const char *const words[] = {"check --read-data", "prune", "ls latest",
					    "repair index"};
	char line[800];

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		run_hostile(b, what, claim, words[i]);
	(void)snprintf(line, sizeof(line), "restore latest --target %s/out", b->kit.dir);
	run_hostile(b, what, claim, line);
	(void)snprintf(line, sizeof(line), "backup %s", b->src);
	run_hostile(b, what, claim, line);
}

/* --- planting --- */

static void plant(struct box *b, enum store_type type, struct buf *bytes)
{
	assert_true(b->plants < PLANTS_MOST);
	b->planted[b->plants].type = type;
	MUST(repo_put(b->repo, type, bytes, &b->planted[b->plants].name, &b->err), &b->err);
	b->plants++;
	buf_free(bytes);
}

static void open_repo(struct box *b)
{
	struct store *store = NULL;
	size_t len;
	char path[400], host[256] = "";
	uint8_t *text = kit_slurp(kit_path(&b->kit, "key", path), &len);
	const struct repo_credentials by = {.keyfile = text, .keyfile_len = len};

	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	MUST(store_local_open(b->repo_dir, &store, &b->err), &b->err);
	MUST(repo_open(store, &by, &b->repo, &b->err), &b->err);
	MUST(repo_use_writer(b->repo, host, false, &b->err), &b->err);
	MUST(manifests_load(b->repo, NULL, NULL, &b->list, &b->err), &b->err);
	assert_int_equal(b->list.count, 1);
	b->genuine = &b->list.items[0];
	free(text);
}

/* The folder as it was, without what was planted and what runs have put since. */
static void start_anew(struct box *b)
{
	char command[900];

	(void)snprintf(command, sizeof(command),
		       "cd '%s' && rm -rf repo cache state out && cp -a sound repo", b->kit.dir);
	assert_int_equal(SPAWN(b->log, "sh", "-c", command), 0);
	spawn_environment(b->kit.dir, b->kit.dir, "repo");
	manifest_list_free(&b->list);
	repo_close(b->repo);
	open_repo(b);
	b->plants = 0;
}

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof(*b));
	char line[800], path[400];

	assert_non_null(b);
	kit_new(&b->kit);
	(void)snprintf(b->src, sizeof(b->src), "%s/src", b->kit.dir);
	(void)snprintf(b->log, sizeof(b->log), "%s/log", b->kit.dir);
	(void)snprintf(b->repo_dir, sizeof(b->repo_dir), "%s/repo", b->kit.dir);
	assert_int_equal(mkdir(b->src, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/a.db", b->src);
	kit_make(path, "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)");
	spawn_environment(b->kit.dir, b->kit.dir, "repo");
	(void)snprintf(line, sizeof(line), "init --key-file %s/key", b->kit.dir);
	assert_int_equal(run(b, line), 0);
	(void)snprintf(line, sizeof(line), "backup %s", b->src);
	assert_int_equal(run(b, line), 0);
	(void)snprintf(line, sizeof(line), "cp -a %s %s/sound", b->repo_dir, b->kit.dir);
	assert_int_equal(SPAWN(b->log, "sh", "-c", line), 0);
	open_repo(b);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;

	print_message("# %u runs, %u refused, none short of memory\n", b->runs, b->refused);
	manifest_list_free(&b->list);
	repo_close(b->repo);
	kit_free(&b->kit);
	free(b);
	return 0;
}

/* --- records that are not what they say --- */

struct bomb {
	const char *what;
	uint8_t kind;
	uint32_t claim;      /* length of the plaintext, as the directory has it */
	uint64_t expands;    /* what the frame comes to */
	bool honest_id;      /* of the plaintext, which is then claim zeros */
	uint32_t in_segment; /* another claim there; 0 = the same */
};

/* A frame of zeros, compressed piece by piece: 1 to some 20,000. */
static struct buf zeros_frame(uint64_t expands)
{
	static const uint8_t zeros[1 << 16];
	ZSTD_CCtx *c = ZSTD_createCCtx();
	struct buf out = {0};
	ZSTD_outBuffer to = {0};
	size_t left = 1;

	assert_non_null(c);
	assert_non_null(buf_extend(&out, 1 << 20));
	(void)ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
	to = (ZSTD_outBuffer){out.data, out.len, 0};
	for (uint64_t done = 0; done < expands;) {
		size_t piece =
		    expands - done < sizeof(zeros) ? (size_t)(expands - done) : sizeof(zeros);
		ZSTD_inBuffer in = {zeros, piece, 0};

		while (in.pos < in.size)
			assert_false(
			    ZSTD_isError(ZSTD_compressStream2(c, &to, &in, ZSTD_e_continue)));
		done += piece;
	}
	while (left) {
		ZSTD_inBuffer none = {NULL, 0, 0};

		left = ZSTD_compressStream2(c, &to, &none, ZSTD_e_end);
		assert_false(ZSTD_isError(left));
	}
	out.len = to.pos;
	(void)ZSTD_freeCCtx(c);
	return out;
}

static void honest_id(struct box *b, const struct bomb *bomb, struct id *out_id)
{
	uint8_t *plain = calloc(1, bomb->claim);

	assert_non_null(plain);
	MUST(record_id(&b->repo->keys->domains[0], bomb->kind, plain, bomb->claim, out_id, &b->err),
	     &b->err);
	free(plain);
}

/* A manifest whose tree is that record. */
static void plant_manifest(struct box *b, const struct id *root)
{
	struct manifest *m = &b->genuine->m;
	struct buf object = {0};

	m->root = *root;
	m->sequence++;
	m->time_ns += 1000000000;
	MUST(manifest_enc(b->repo->keys, m, 12, &object, &b->err), &b->err);
	plant(b, STORE_SNAPSHOTS, &object);
}

static void plant_bomb(struct box *b, const struct bomb *bomb)
{
	struct record_info info = {
	    .kind = bomb->kind, .codec = CODEC_ZSTD, .plain_bytes = bomb->claim};
	struct indexseg_pack pack = {0};
	struct pack_builder *builder = NULL;
	struct buf frame = zeros_frame(bomb->expands), object = {0}, segment = {0};

	memset(&info.id, 0x77, sizeof(info.id));
	if (bomb->honest_id)
		honest_id(b, bomb, &info.id);
	MUST(pack_builder_new(b->repo->keys, 9, 12, &builder, &b->err), &b->err);
	MUST(pack_builder_add(builder, &info, frame.data, frame.len, &b->err), &b->err);
	MUST(pack_builder_finish(builder, &object, &pack.dir, &pack.name, &b->err), &b->err);
	pack_builder_free(builder);
	pack.pack_bytes = object.len;
	plant(b, STORE_DATA, &object);
	if (bomb->in_segment)
		pack.dir.entries[0].info.plain_bytes = bomb->in_segment;
	MUST(indexseg_enc(b->repo->keys, 0, &pack, 1, 12, &segment, &b->err), &b->err);
	plant(b, STORE_INDEX, &segment);
	plant_manifest(b, &info.id);
	pack_dir_free(&pack.dir);
	buf_free(&frame);
}

static void test_records(void **state)
{
	static const struct bomb bombs[] = {
	    {"a list of 8 MiB of zeros", 2, 8u << 20, 8u << 20, true, 0},
	    {"a list of 8 MiB - 1 of zeros", 2, (8u << 20) - 1, (8u << 20) - 1, true, 0},
	    {"a frame of 2 GiB as 8 MiB", 2, 8u << 20, 1ull << 31, false, 0},
	    {"a frame of 2 GiB as 100 bytes", 2, 100, 1ull << 31, false, 0},
	    {"a frame of 100 bytes as 8 MiB", 2, 8u << 20, 100, false, 0},
	    {"a length of 8 MiB + 1", 2, 100, 100, false, (8u << 20) + 1},
	    {"a length of 2^31", 2, 100, 100, false, 1u << 31},
	    {"a length of 2^32 - 1", 2, 100, 100, false, UINT32_MAX},
	};
	struct box *b = *state;

	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
		unsigned before = b->refused;

		start_anew(b);
		plant_bomb(b, &bombs[i]);
		run_all(b, bombs[i].what, bombs[i].claim);
		assert_true(b->refused >= before + 3);
	}
}

/* --- counts that cannot be --- */

static void put_clear_manifest(struct box *b, struct buf *out)
{
	struct manifest *m = &b->genuine->m;

	header_put(out, OBJECT_SNAPSHOT, 1);
	buf_put(out, b->repo->conf.repo, REPO_ID_BYTES);
	buf_put(out, b->repo->keys->writer_pub, 32);
	buf_put_u64(out, ++m->sequence);
	buf_put_i64(out, m->time_ns += 1000000000);
}

static void plant_signed(struct box *b, enum store_type type, const char *tag,
			 const uint8_t secret[64], struct buf *object)
{
	MUST(sign_append(object, tag, secret, &b->err), &b->err);
	plant(b, type, object);
}

static void plant_clear(struct box *b, struct buf *object)
{
	buf_put_zeros(object, OBJECT_BYTES - SIGN_BYTES - object->len);
	plant_signed(b, STORE_SNAPSHOTS, "manifest", b->repo->keys->writer_secret, object);
}

/* So many parents, other writers or bytes of a part, and nothing behind. */
static void clear_counts(struct box *b, uint32_t claim)
{
	struct buf o = {0};

	put_clear_manifest(b, &o);
	buf_put_u16(&o, (uint16_t)claim);
	plant_clear(b, &o);
	put_clear_manifest(b, &o);
	buf_put_u16(&o, 0);
	buf_put_u16(&o, (uint16_t)claim);
	plant_clear(b, &o);
	put_clear_manifest(b, &o);
	buf_put_zeros(&o, 4 + 32);
	buf_put_u32(&o, SLOT_M);
	buf_put_u64(&o, 0);
	buf_put_u32(&o, claim);
	plant_clear(b, &o);
}

static const char *sealed_at; /* which count of a manifest is hostile */

static void put_maint(struct box *b, struct buf *out, uint32_t claim)
{
	struct manifest *m = &b->genuine->m;
	bool verdicts = strcmp(sealed_at, "verdicts") == 0;

	if (strcmp(sealed_at, "roots") == 0) {
		buf_put_u16(out, (uint16_t)claim);
		buf_put_zeros(out, 300);
	} else if (verdicts || strcmp(sealed_at, "tags") == 0) {
		buf_put_u16(out, 1);
		buf_put(out, m->root.b, 32);
		buf_put(out, m->group.b, 32);
		buf_put_u16(out, verdicts ? 0 : (uint16_t)claim);
		buf_put_u32(out, claim);
		buf_put_zeros(out, 100);
	} else {
		manifest_part_put_maint(out, m);
	}
}

/* The reading part up to the count of databases; or up to that of the first one's tables, its last field. */
static void put_read(struct box *b, struct buf *out, uint32_t claim)
{
	bool tables = strcmp(sealed_at, "tables") == 0;

	for (int text = 0; text < 3; text++)
		buf_put_str16(out, "h", 1);
	buf_put_u16(out, 0);
	buf_put_u16(out, strcmp(sealed_at, "sources") == 0 ? (uint16_t)claim : 1);
	buf_put_str16(out, b->src, strlen(b->src));
	buf_put_zeros(out, 24);
	buf_put_u32(out, tables ? 1 : claim);
	buf_put_str16(out, "/d", 2);
	buf_put_u8(out, 1);
	buf_put_str16(out, "", 0);
	buf_put_u32(out, 4096);
	buf_put_u64(out, 1);
	buf_put_u8(out, 1);
	buf_put_str16(out, "wal", 3);
	buf_put_zeros(out, 1 + 4 + 4 + 32 + 32 + 4 * 8);
	buf_put_u8(out, 1);
	buf_put_u8(out, 1);
	buf_put_zeros(out, 2 + 2 + 16);
	buf_put_u32(out, claim);
	buf_put_zeros(out, 2000);
}

static void sealed_counts(struct box *b, uint32_t claim)
{
	const struct parts_form form = {.name = "manifest",
					.tag = "manifest",
					.limit_bytes = LIMIT_MANIFEST_BYTES,
					.sequence = b->genuine->m.sequence + 1,
					.floor_log2 = 12};
	struct buf o = {0}, maint = {0}, read = {0};

	put_clear_manifest(b, &o);
	buf_put_u32(&o, 0);
	put_maint(b, &maint, claim);
	put_read(b, &read, claim);
	MUST(parts_put(b->repo->keys, &form, &maint, &read, &o, &b->err), &b->err);
	plant(b, STORE_SNAPSHOTS, &o);
	buf_free(&maint);
	buf_free(&read);
}

static void put_note_head(struct box *b, uint8_t kind, struct buf *out)
{
	const struct signrec_kind k = {.kind = kind, .name = "record"};
	struct signrec_head head = {.number = 7, .time_ns = 1};

	memcpy(head.repo, b->repo->conf.repo, REPO_ID_BYTES);
	memcpy(head.signer, b->repo->keys->gc_pub, 32);
	signrec_put_head(out, &k, &head);
}

static void retire_count(struct box *b, uint32_t claim)
{
	struct buf o = {0};

	put_note_head(b, 2, &o);
	buf_put_u32(&o, claim);
	buf_put_zeros(&o, 1000);
	plant_signed(b, STORE_SNAPSHOTS, "retire", b->repo->keys->gc_secret, &o);
}

static void damage_count(struct box *b, uint32_t claim)
{
	const struct signrec_kind kind = {5, "damage note", "damage", LIMIT_DAMAGE_BYTES};
	const struct signrec_form form = {
	    .secret = b->repo->keys->gc_secret, .number = 7, .floor_log2 = 12};
	struct buf o = {0}, clear = {0}, maint = {0}, read = {0};

	put_note_head(b, 5, &clear);
	buf_put_u32(&maint, claim);
	buf_put_zeros(&maint, 200);
	MUST(signrec_seal(b->repo->keys, &kind, &form, &clear, &maint, &read, &o, &b->err),
	     &b->err);
	plant(b, STORE_SNAPSHOTS, &o);
}

static void condemn_count(struct box *b, uint32_t claim)
{
	struct buf o = {0};

	header_put(&o, OBJECT_CONDEMN, 1);
	buf_put(&o, b->repo->conf.repo, REPO_ID_BYTES);
	buf_put_i64(&o, 1);
	buf_put_zeros(&o, 16);
	buf_put_u32(&o, claim);
	buf_put_zeros(&o, 2000);
	plant_signed(b, STORE_LOCKS, "condemn", b->repo->keys->gc_secret, &o);
}

static void roster_count(struct box *b, uint32_t claim)
{
	struct buf o = {0};

	header_put(&o, OBJECT_ROSTER, 0);
	buf_put(&o, b->repo->conf.repo, REPO_ID_BYTES);
	buf_put_u64(&o, 99);
	buf_put_u16(&o, 0);
	buf_put_u32(&o, claim);
	buf_put_zeros(&o, 2000);
	buf_put(&o, b->repo->keys->owner_pub, 32);
	plant_signed(b, STORE_KEYS, "roster", b->repo->keys->owner_secret, &o);
}

/* A segment's body sealed anew: so many packs, or one pack of so many slots, or of so many records. */
static void segment_body(struct box *b, struct buf *body)
{
	struct buf o = {0}, object = {0};
	struct id *names = NULL;
	size_t count = 0;
	uint8_t key[32];

	MUST(repo_list(b->repo->store, STORE_INDEX, &names, NULL, &count, &b->err), &b->err);
	MUST(repo_get(b->repo, STORE_INDEX, &names[0], 1u << 20, &object, &b->err), &b->err);
	assert_int_equal(crypto_aead_xchacha20poly1305_ietf_decrypt(
			     key, NULL, NULL, object.data + 84, 48, object.data, 60,
			     object.data + 60, b->repo->keys->domains[0].index_key),
			 0);
	buf_put(&o, object.data, SEGMENT_BODY_AT);
	buf_put_zeros(body,
		      OBJECT_BYTES - SEGMENT_BODY_AT - SEAL_TAG_BYTES - SIGN_BYTES - body->len);
	MUST(seal_put(key, 0, o.data, o.len, body->data, body->len, &o, &b->err), &b->err);
	plant_signed(b, STORE_INDEX, "index", b->repo->keys->writer_secret, &o);
	buf_free(&object);
	free(names);
}

static void put_pack_of(struct buf *body, uint16_t slots, uint16_t sources, uint32_t entries)
{
	buf_put_u32(body, 1);
	buf_put_zeros(body, 32);
	buf_put_u64(body, 1u << 20);
	buf_put_u16(body, slots);
	buf_put_zeros(body, 32);
	buf_put_u32(body, SLOT_M);
	buf_put_zeros(body, 8);
	buf_put_u16(body, sources);
	buf_put_zeros(body, 32);
	buf_put_u64(body, 1);
	buf_put_u32(body, entries);
}

static void segment_counts(struct box *b, uint32_t claim)
{
	struct buf body = {0};

	buf_put_u32(&body, claim);
	segment_body(b, &body);
	buf_reset(&body);
	put_pack_of(&body, (uint16_t)claim, (uint16_t)claim, claim);
	segment_body(b, &body);
	buf_reset(&body);
	put_pack_of(&body, 1, 1, claim);
	segment_body(b, &body);
	buf_free(&body);
}

/* The front of a pack: clear, so anybody may write it. No segment names it; repair index and check look. */
static void pack_front(struct box *b, uint32_t claim)
{
	struct buf o = {0};

	header_put(&o, OBJECT_PACK, 0);
	buf_put(&o, b->repo->conf.repo, REPO_ID_BYTES);
	buf_put_u32(&o, claim);
	buf_put_u16(&o, (uint16_t)claim);
	buf_put_zeros(&o, OBJECT_BYTES - o.len);
	plant(b, STORE_DATA, &o);
}

/* least: how many of the runs must refuse, of each claim. */
static void each_claim(void **state, const char *what, void (*fn)(struct box *, uint32_t),
		       unsigned least)
{
	struct box *b = *state;
	unsigned before = b->refused;

	for (size_t i = 0; i < CLAIMS; i++) {
		start_anew(b);
		fn(b, claims[i]);
		run_all(b, what, claims[i]);
	}
	if (b->refused < before + least * CLAIMS)
		fail_msg("%s: only %u runs refused", what, b->refused - before);
}

static void test_manifests(void **state)
{
	static const char *const places[] = {"roots",   "tags",   "verdicts",
					     "sources", "tables", "databases"};

	each_claim(state, "counts of a manifest", clear_counts, 4);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		sealed_at = places[i];
		each_claim(state, places[i], sealed_counts, 4);
	}
}

static void test_notes(void **state)
{
	each_claim(state, "a retire record", retire_count, 2);
	each_claim(state, "a damage note", damage_count, 2);
	each_claim(state, "a condemn record", condemn_count, 1);
	/* What the other rosters say holds. */
	each_claim(state, "a roster", roster_count, 0);
}

static void test_index(void **state)
{
	each_claim(state, "an index segment", segment_counts, 1);
	each_claim(state, "a pack", pack_front, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_records),
	    cmocka_unit_test(test_manifests),
	    cmocka_unit_test(test_notes),
	    cmocka_unit_test(test_index),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
