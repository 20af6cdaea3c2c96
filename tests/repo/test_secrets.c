/*
 * No key outlives its use: after each of the calls that handle keys, and after whole runs, none of them is found in the memory of the
 * process (memscan), not even half of one. That the search would find one is shown while it is held.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "cli/secret.h"
#include "core/keyfile.h"
#include "core/pack.h"
#include "repo/backup.h"
#include "repo/check.h"
#include "repo/manifests.h"
#include "repo/reader.h"
#include "repo/restore.h"
#include "tests/support/dbkit.h"
#include "tests/support/memscan.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define HOST "db1"
#define PASSWORD_BYTES 40

struct box {
	struct kit kit;
	struct memscan scan;
	struct store *store; /* NULL: a repo has it */
	char src[300], out[300];
	char *password; /* locked, as the program's is */
	struct err err;
};

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	assert_true(sodium_init() >= 0);
	kit_new(&b->kit);
	(void)snprintf(b->src, sizeof(b->src), "%s/src", b->kit.dir);
	(void)snprintf(b->out, sizeof(b->out), "%s/out", b->kit.dir);
	assert_int_equal(mkdir(b->src, 0700), 0);
	b->password = sodium_malloc(PASSWORD_BYTES);
	assert_non_null(b->password);
	for (size_t i = 0; i < PASSWORD_BYTES; i++)
		b->password[i] = (char)('!' + randombytes_uniform(90));
	memscan_add(&b->scan, "the password", b->password, PASSWORD_BYTES, 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;

	store_free(b->store);
	sodium_free(b->password);
	kit_free(&b->kit);
	free(b);
	return 0;
}

static void no_trace(struct box *b, const char *of)
{
	size_t found = memscan_run(&b->scan, 1);

	if (found)
		fail_msg("%s: %zu of %zu pieces of secrets are still in memory", of, found,
			 b->scan.count);
}

/* While they are held: in one place each. */
static void no_copies(struct box *b, const char *of)
{
	(void)memscan_run(&b->scan, 0);
	for (size_t i = 0; i < b->scan.count; i++) {
		const struct memscan_needle *n = &b->scan.needles[i];

		if (n->hits > 1)
			fail_msg("%s leaves a copy of the %s in %s, %llu from its end", of, n->what,
				 n->where, (unsigned long long)n->from_end);
	}
}

/* --- which secrets there are --- */

static void add_domain(struct memscan *scan, const struct domain_keys *d)
{
	memscan_add(scan, "domain root", d->root, 32, 0);
	memscan_add(scan, "id key", d->id_key, 32, 0);
	memscan_add(scan, "id key, inner pad", d->id_key, 32, 0x36);
	memscan_add(scan, "id key, outer pad", d->id_key, 32, 0x5c);
	memscan_add(scan, "chunker key", d->chunker_key, 32, 0);
	memscan_add(scan, "index key", d->index_key, 32, 0);
	memscan_add(scan, "pre-shared key", d->psk, 32, 0);
}

static void add_keys(struct memscan *scan, const struct keys *keys)
{
	if (keys->has_master)
		memscan_add(scan, "master", keys->master, 32, 0);
	if (keys->has_master)
		memscan_add(scan, "owner seed", keys->owner_secret, 32, 0);
	if (keys->has_maint_secret)
		memscan_add(scan, "maintenance secret", keys->maint_secret, 32, 0);
	if (keys->has_gc_secret)
		memscan_add(scan, "G seed", keys->gc_secret, 32, 0);
	if (keys->has_writer)
		memscan_add(scan, "writer seed", keys->writer_secret, 32, 0);
	for (size_t i = 0; i < keys->epoch_count; i++) {
		if (keys->epochs[i].has_secret)
			memscan_add(scan, "read secret", keys->epochs[i].secret, 32, 0);
	}
	for (size_t i = 0; i < keys->domain_count; i++)
		add_domain(scan, &keys->domains[i]);
}

static void add_slot(struct memscan *scan, struct keys *keys, struct rd *r, const char *what)
{
	struct err err = {0};
	struct slot slot;
	uint8_t key[32];

	MUST(slot_get(r, &slot, &err), &err);
	MUST(slot_open(keys, &slot, key, &err), &err);
	memscan_add(scan, what, key, sizeof(key), 0);
	sodium_memzero(key, sizeof(key));
}

static void add_pack(struct memscan *scan, struct keys *keys, const struct buf *pack)
{
	struct pack_head head;
	struct err err = {0};
	struct rd r = rd_of(pack->data + PACK_HEAD_BYTES, pack->len - PACK_HEAD_BYTES);

	MUST(pack_head_get(pack->data, pack->len, &head, &err), &err);
	for (size_t i = 0; i < head.slot_count; i++)
		add_slot(scan, keys, &r, "slot key of a pack");
}

/* FORMAT.md §6: behind 60 bytes of AD a nonce and the segment key, sealed for the domain. */
static void add_segment(struct memscan *scan, struct keys *keys, const struct buf *segment)
{
	uint8_t key[32];

	assert_int_equal(crypto_aead_xchacha20poly1305_ietf_decrypt(
			     key, NULL, NULL, segment->data + 84, 48, segment->data, 60,
			     segment->data + 60, keys->domains[0].index_key),
			 0);
	memscan_add(scan, "segment key", key, sizeof(key), 0);
	sodium_memzero(key, sizeof(key));
}

/* FORMAT.md §8 */
static void add_manifest(struct memscan *scan, struct keys *keys, const struct buf *manifest)
{
	struct rd r = rd_of(manifest->data, manifest->len);
	size_t m_bytes;

	(void)rd_bytes(&r, 72);
	(void)rd_bytes(&r, (size_t)rd_u16(&r) * 32);
	(void)rd_bytes(&r, (size_t)rd_u16(&r) * 72);
	add_slot(scan, keys, &r, "M slot key of a manifest");
	m_bytes = rd_u32(&r);
	(void)rd_bytes(&r, m_bytes);
	add_slot(scan, keys, &r, "R slot key of a manifest");
}

static void add_password_slot(struct box *b, const struct buf *slot)
{
	struct rd r = rd_of(slot->data + 24, slot->len - 24);
	uint8_t out[64];
	uint32_t passes = rd_u32(&r), kib = rd_u32(&r);

	assert_int_equal(crypto_pwhash(out, sizeof(out), b->password, PASSWORD_BYTES,
				       rd_bytes(&r, 16), passes, (size_t)kib * 1024,
				       crypto_pwhash_ALG_ARGON2ID13),
			 0);
	memscan_add(&b->scan, "Argon2 key", out, 32, 0);
	sodium_memzero(out, sizeof(out));
	sodium_stackzero(KEYS_STACK_BYTES);
}

static size_t add_objects(struct box *b, struct repo *repo, enum store_type type)
{
	struct id *names = NULL;
	size_t count = 0;

	MUST(repo_list(repo->store, type, &names, NULL, &count, &b->err), &b->err);
	for (size_t i = 0; i < count; i++) {
		struct buf bytes = {0};

		MUST(repo_get(repo, type, &names[i], 64u << 20, &bytes, &b->err), &b->err);
		if (type == STORE_DATA)
			add_pack(&b->scan, repo->keys, &bytes);
		else if (type == STORE_INDEX)
			add_segment(&b->scan, repo->keys, &bytes);
		else if (type == STORE_SNAPSHOTS)
			add_manifest(&b->scan, repo->keys, &bytes);
		else if (bytes.data[5] == OBJECT_KEYSLOT)
			add_password_slot(b, &bytes);
		buf_free(&bytes);
	}
	free(names);
	return count;
}

/* --- calls --- */

static void make_repo(struct box *b)
{
	struct repo_init_options options = {.password = b->password,
					    .password_len = PASSWORD_BYTES,
					    .cost = repo_case_cost,
					    .label = {.user = "u", .host = HOST}};
	struct keys *keys = NULL;

	MUST(store_mem_new(&b->store, &b->err), &b->err);
	MUST(repo_new_keys(&keys, &b->err), &b->err);
	add_keys(&b->scan, keys);
	MUST(repo_init(b->store, keys, &options, &b->err), &b->err);
	/* Teeth: they are there while they are held. */
	assert_true(memscan_run(&b->scan, 0) > 20);
	keys_free(keys);
}

static struct repo *open_repo(struct box *b)
{
	struct repo_credentials by = {.password = b->password, .password_len = PASSWORD_BYTES};
	struct repo *repo = NULL;

	MUST(repo_open(b->store, &by, &repo, &b->err), &b->err);
	b->store = NULL;
	MUST(repo_use_writer(repo, HOST, false, &b->err), &b->err);
	return repo;
}

static void lose_password(struct box *b)
{
	sodium_memzero(b->password, PASSWORD_BYTES);
}

static void test_keys(void **state)
{
	struct box *b = *state;
	struct keys *keys = NULL;

	if (!memscan_works)
		skip();
	MUST(repo_new_keys(&keys, &b->err), &b->err);
	MUST(keys_use_host(keys, HOST, &b->err), &b->err);
	add_keys(&b->scan, keys);
	lose_password(b);
	assert_true(memscan_run(&b->scan, 0) > 20);
	keys_free(keys);
	no_trace(b, "keys_free");
}

static void add_text(struct box *b, const struct buf *text)
{
	const char *line = memchr(text->data, '\n', text->len);

	assert_non_null(line);
	line++;
	/* Behind the header and the repository: only what is secret. */
	memscan_add(&b->scan, "key file text", line + 36,
		    text->len - 36 - (size_t)(line - (const char *)text->data), 0);
}

static void key_file_of(struct box *b, struct keys *full, enum role role)
{
	struct keys *keys = NULL;
	struct buf text = {0};

	MUST(keyfile_enc(full, role, &text, &b->err), &b->err);
	no_copies(b, "keyfile_enc");
	add_text(b, &text);
	MUST(keyfile_dec(text.data, text.len, &keys, &b->err), &b->err);
	add_keys(&b->scan, keys);
	keys_free(keys);
	/* And one that is refused at its end. */
	text.data[text.len - 3] ^= 1;
	MUST_FAIL(keyfile_dec(text.data, text.len, &keys, &b->err), ERR_KEY, &b->err);
	buf_wipe(&text);
}

static void test_key_files(void **state)
{
	struct box *b = *state;

	if (!memscan_works)
		skip();
	lose_password(b);
	for (int role = ROLE_FULL; role <= ROLE_READ; role++) {
		struct keys *full = NULL;

		b->scan.count = 0;
		MUST(repo_new_keys(&full, &b->err), &b->err);
		MUST(keys_use_host(full, HOST, &b->err), &b->err);
		add_keys(&b->scan, full);
		key_file_of(b, full, (enum role)role);
		keys_free(full);
		no_trace(b, role_name((enum role)role));
	}
}

static void test_secret_file(void **state)
{
	struct box *b = *state;
	struct secret secret = {0};
	char path[400], command[500];
	bool tolerated;
	int fd;

	if (!memscan_works)
		skip();
	(void)snprintf(path, sizeof(path), "%s/password", b->kit.dir);
	/* stdio would keep a copy. */
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, b->password, PASSWORD_BYTES), PASSWORD_BYTES);
	(void)close(fd);
	lose_password(b);
	(void)snprintf(command, sizeof(command), "cat %s", path);
	MUST(secret_from_file(path, &secret, &tolerated, &b->err), &b->err);
	assert_true(memscan_run(&b->scan, 0) > 0);
	secret_free(&secret);
	no_trace(b, "secret_from_file");
	MUST(secret_from_command(command, &secret, &b->err), &b->err);
	assert_true(memscan_run(&b->scan, 0) > 0);
	secret_free(&secret);
	no_trace(b, "secret_from_command");
}

static void test_password(void **state)
{
	struct box *b = *state;
	struct repo_credentials wrong = {.password = "wrong", .password_len = 5};
	struct repo *repo = NULL;

	if (!memscan_works)
		skip();
	make_repo(b);
	repo = open_repo(b);
	assert_true(add_objects(b, repo, STORE_KEYS) > 0);
	add_keys(&b->scan, repo->keys);
	b->store = repo->store;
	repo->store = NULL;
	repo_close(repo);
	MUST_FAIL(repo_open(b->store, &wrong, &repo, &b->err), ERR_KEY, &b->err);
	lose_password(b);
	no_trace(b, "repo_open with a password");
}

/* So far down the stack that computing the same here does not write over what the call has left there. */
static int enc_deeper(struct box *b, const uint8_t repo[REPO_ID_BYTES], const uint8_t *master,
		      const struct keyslot_label *label, struct buf *out)
{
	volatile uint8_t above[1 << 16];
	int r;

	above[0] = above[sizeof(above) - 1] = 0;
	r = keyslot_enc(repo, master, b->password, PASSWORD_BYTES, &repo_case_cost, label, out,
			&b->err);
	above[0] = 1;
	return r;
}

/* Argon2's output, and what it opens. */
static void test_slot_calls(void **state)
{
	static const uint8_t repo[REPO_ID_BYTES] = {7};
	const struct keyslot_label label = {.user = "u", .host = HOST};
	struct box *b = *state;
	uint8_t *master = sodium_malloc(32);
	struct buf slot = {0};
	struct keyslot_label read;

	if (!memscan_works)
		skip();
	assert_non_null(master);
	randombytes_buf(master, 32);
	memscan_add(&b->scan, "master", master, 32, 0);
	MUST(enc_deeper(b, repo, master, &label, &slot), &b->err);
	no_copies(b, "keyslot_enc");
	add_password_slot(b, &slot);
	assert_int_equal(memscan_run(&b->scan, 1), 3 + 2);
	MUST(keyslot_open(slot.data, slot.len, repo, b->password, PASSWORD_BYTES, master, &b->err),
	     &b->err);
	no_copies(b, "keyslot_open");
	assert_int_equal(memscan_run(&b->scan, 0), 3 + 2);
	MUST(keyslot_label_get(slot.data, slot.len, repo, master, &read, &b->err), &b->err);
	no_copies(b, "keyslot_label_get");
	slot.data[90] ^= 1;
	MUST_FAIL(
	    keyslot_open(slot.data, slot.len, repo, b->password, PASSWORD_BYTES, master, &b->err),
	    ERR_KEY, &b->err);
	sodium_free(master);
	lose_password(b);
	no_trace(b, "what opens a key slot");
	buf_free(&slot);
}

/* What a record holds is gone with whom it was opened for. */
static void test_records(void **state)
{
	struct box *b = *state;
	struct record_info info = {.kind = CHUNK_DATA, .plain_bytes = 200};
	uint8_t key[32] = {5}, *plain = sodium_malloc(info.plain_bytes);
	const struct domain_keys *domain;
	struct keys *keys = NULL;
	struct comp *comp = NULL;
	struct buf sealed = {0}, out = {0};

	if (!memscan_works)
		skip();
	lose_password(b);
	b->scan.count = 0;
	assert_non_null(plain);
	randombytes_buf(plain, info.plain_bytes);
	memscan_add(&b->scan, "plaintext", plain, info.plain_bytes, 0);
	MUST(repo_new_keys(&keys, &b->err), &b->err);
	domain = keys_domain(keys, 0, &b->err);
	assert_non_null(domain);
	MUST(comp_new(0, &comp, &b->err), &b->err);
	MUST(record_id(domain, info.kind, plain, info.plain_bytes, &info.id, &b->err), &b->err);
	MUST(record_seal(key, 1, keys->repo, &info, plain, info.plain_bytes, &sealed, &b->err),
	     &b->err);
	assert_true(memscan_run(&b->scan, 0) > 0);
	sodium_free(plain);
	no_trace(b, "record_seal");
	MUST(record_check(key, 1, keys->repo, &info, sealed.data, sealed.len, &b->err), &b->err);
	no_trace(b, "record_check");
	MUST(record_open(comp, key, 1, keys->repo, domain, &info, sealed.data, sealed.len, &out,
			 &b->err),
	     &b->err);
	no_copies(b, "record_open");
	buf_wipe(&out);
	no_trace(b, "record_open");
	buf_free(&sealed);
	comp_free(comp);
	keys_free(keys);
}

/* --- whole runs --- */

static void fill(struct box *b)
{
	char path[400];

	(void)snprintf(path, sizeof(path), "%s/app.db", b->src);
	kit_make(path, "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v TEXT);"
		       "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
		       "3000) INSERT INTO t (v) SELECT hex(randomblob(40)) FROM n");
	for (int i = 0; i < 20; i++) {
		uint8_t *bytes = repo_case_block((uint64_t)i, 60000);

		(void)snprintf(path, sizeof(path), "%s/file%d", b->src, i);
		kit_spew(path, bytes, 60000);
		free(bytes);
	}
}

static void back_up(struct box *b, struct repo *repo, int64_t now_ns)
{
	const char *const paths[] = {b->src};
	const struct backup_options options = {.paths = paths,
					       .path_count = 1,
					       .host = HOST,
					       .cache_dir = b->kit.cache,
					       .workers = 3,
					       .now_ns = now_ns};
	struct backup_result result;

	MUST(backup_run(repo, &options, &result, &b->err), &b->err);
}

static void restore(struct box *b, struct repo *repo)
{
	const struct restore_options options = {.target = b->out, .verify = true};
	struct restore_result result;
	struct manifest_list list = {0};
	const struct manifest_item *item;
	const char *sub;
	struct index *index = NULL;
	struct reader *reader = NULL;

	MUST(manifests_load(repo, NULL, NULL, &list, &b->err), &b->err);
	MUST(manifests_find(&list, "latest", NULL, &item, &sub, &b->err), &b->err);
	MUST(index_load(repo, NULL, NULL, &index, &b->err), &b->err);
	MUST(reader_new(repo, index, &reader, &b->err), &b->err);
	MUST(restore_run(reader, &item->m, &options, &result, &b->err), &b->err);
	assert_int_equal(result.failed, 0);
	reader_free(reader);
	index_free(index);
	manifest_list_free(&list);
}

static void check(struct box *b, struct repo *repo)
{
	const struct check_options options = {.read_data = true, .cache_dir = b->kit.cache};
	struct check_result result;

	MUST(check_run(repo, &options, &result, &b->err), &b->err);
	assert_int_equal(result.damaged, 0);
}

static void test_whole_run(void **state)
{
	struct box *b = *state;
	struct repo *repo;

	if (!memscan_works)
		skip();
	make_repo(b);
	repo = open_repo(b);
	lose_password(b);
	add_keys(&b->scan, repo->keys);
	for (int64_t night = 1; night <= 2; night++) {
		fill(b);
		back_up(b, repo, night * 1000000000);
	}
	restore(b, repo);
	check(b, repo);
	no_copies(b, "a run");
	assert_true(add_objects(b, repo, STORE_DATA) >= 2);
	assert_true(add_objects(b, repo, STORE_INDEX) >= 2);
	assert_int_equal(add_objects(b, repo, STORE_SNAPSHOTS), 2);
	repo_close(repo);
	print_message("# %zu pieces of keys looked for after two backups, restore and check\n",
		      b->scan.count);
	no_trace(b, "backup, restore, check and repo_close");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_key_files, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_secret_file, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slot_calls, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_records, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_password, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_whole_run, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
