/*
 * golden: what tests/golden/make.sh cannot ask the program for: keys of every role, a writer in a domain of its own, a password that
 * costs little, objects that are signed rightly and cannot be.
 *
 *   golden fill REPO KEYFILE SRC CACHE OUT    backs SRC up as "gamma" in domain 1; writes OUT/write.key, maintain.key, read.key
 *   golden hostile REPO KEYFILE OUT           writes OUT/manifest, OUT/segment, OUT/retire, OUT/condemn, OUT/roster
 *   golden twins REPO KEYFILE PACK            prints "offset offset length" of two records of equal length in a pack
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "core/keyfile.h"
#include "core/pack.h"
#include "core/seal.h"
#include "core/sign.h"
#include "core/signrec.h"
#include "repo/backup.h"
#include "repo/repo.h"

#define OBJECT_BYTES 4096u
#define SEGMENT_BODY_AT 212u /* FORMAT.md §6 */

static struct err err;

static void must(int rc)
{
	if (rc != 0) {
		(void)fprintf(stderr, "golden: %s\n", err.text);
		exit(1);
	}
}

static void write_out(const char *dir, const char *name, struct buf *bytes)
{
	char path[4096];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)umask(077);
	f = fopen(path, "wb");
	if (!f || fwrite(bytes->data, 1, bytes->len, f) != bytes->len || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
	buf_wipe(bytes);
}

static struct repo *open_repo(const char *where, const char *keyfile)
{
	static char text[16384];
	struct repo_credentials by = {.keyfile = text};
	struct store *store = NULL;
	struct repo *repo = NULL;
	FILE *f = fopen(keyfile, "rb");

	if (!f) {
		perror(keyfile);
		exit(1);
	}
	by.keyfile_len = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	must(store_local_open(where, &store, &err));
	must(repo_open(store, &by, &repo, &err));
	return repo;
}

static void put(struct repo *repo, enum store_type type, struct buf *bytes)
{
	struct id name;

	must(repo_put(repo, type, bytes, &name, &err));
	buf_free(bytes);
}

/* --- fill --- */

static void export_keys(struct repo *repo, const char *out)
{
	static const enum role roles[] = {ROLE_WRITE, ROLE_MAINTAIN, ROLE_READ};

	for (size_t i = 0; i < 3; i++) {
		struct buf text = {0};
		char name[32];

		must(keyfile_enc(repo->keys, roles[i], &text, &err));
		(void)snprintf(name, sizeof(name), "%s.key", role_name(roles[i]));
		write_out(out, name, &text);
	}
}

static void name_in_roster(struct repo *repo)
{
	struct roster_writer w = {
	    .domain = 1, .first_sequence = 1, .last_sequence = UINT64_MAX, .version = 1};
	struct buf bytes = {0};

	memcpy(w.pub, repo->keys->writer_pub, 32);
	must(roster_add_writer(&repo->roster, &w, &err));
	repo->roster.epoch++;
	must(roster_enc(&repo->roster, repo->conf.repo, repo->keys->owner_secret, &bytes, &err));
	put(repo, STORE_KEYS, &bytes);
}

static void cheap_password(struct repo *repo)
{
	const struct kdf_cost cost = {.passes = 1, .memory_kib = LIMIT_KDF_MIN_KIB};
	const struct keyslot_label label = {.created_at = 1, .user = "golden", .host = "golden"};
	struct buf slot = {0};

	must(keyslot_enc(repo->conf.repo, repo->keys->master, "golden", 6, &cost, &label, &slot,
			 &err));
	put(repo, STORE_KEYS, &slot);
}

static void fill(struct repo *repo, const char *src, const char *cache, const char *out)
{
	const char *const paths[] = {src};
	const struct backup_options options = {.paths = paths,
					       .path_count = 1,
					       .host = "gamma",
					       .cache_dir = cache,
					       .workers = 1,
					       .now_ns = INT64_C(1700000000000000000)};
	struct backup_result result;

	must(keys_random_writer(repo->keys, "gamma", 1, &err));
	export_keys(repo, out);
	name_in_roster(repo);
	cheap_password(repo);
	must(backup_run(repo, &options, &result, &err));
}

/* --- hostile --- */

static void finish(const char *out, const char *name, const char *tag, const uint8_t secret[64],
		   struct buf *b)
{
	buf_put_zeros(b, OBJECT_BYTES - SIGN_BYTES - b->len);
	must(sign_append(b, tag, secret, &err));
	write_out(out, name, b);
}

/* A part of 2^32 - 1 bytes. */
static void hostile_manifest(struct repo *repo, const char *out)
{
	struct buf b = {0};

	header_put(&b, OBJECT_SNAPSHOT, 1);
	buf_put(&b, repo->conf.repo, REPO_ID_BYTES);
	buf_put(&b, repo->keys->writer_pub, 32);
	buf_put_u64(&b, 1000);
	buf_put_i64(&b, INT64_C(1800000000000000000));
	buf_put_u32(&b, 0); /* no parents, nobody seen */
	buf_put_zeros(&b, 32);
	buf_put_u32(&b, SLOT_M);
	buf_put_zeros(&b, 8);
	buf_put_u32(&b, UINT32_MAX);
	finish(out, "manifest", "manifest", repo->keys->writer_secret, &b);
}

static void get_first_segment(struct repo *repo, struct buf *out)
{
	struct id *names = NULL;
	size_t count = 0;

	must(repo_list(repo->store, STORE_INDEX, &names, NULL, &count, &err));
	for (size_t i = 0; i < count; i++) {
		struct rd r;

		buf_reset(out);
		must(repo_get(repo, STORE_INDEX, &names[i], LIMIT_INDEX_BYTES, out, &err));
		r = rd_of(out->data + 56, 4);
		if (out->data[6] == 1 && rd_u32(&r) == 0)
			break;
	}
	free(names);
}

/* 2^32 - 1 packs. */
static void hostile_segment(struct repo *repo, const char *out)
{
	struct buf old = {0}, b = {0}, body = {0};
	uint8_t key[32];

	get_first_segment(repo, &old);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(key, NULL, NULL, old.data + 84, 48, old.data,
						       60, old.data + 60,
						       repo->keys->domains[0].index_key) != 0) {
		(void)err_set(&err, ERR_DAMAGED, "the segment key does not open");
		must(-1);
	}
	buf_put(&b, old.data, SEGMENT_BODY_AT);
	buf_put_u32(&body, UINT32_MAX);
	buf_put_zeros(&body, OBJECT_BYTES - SEGMENT_BODY_AT - SEAL_TAG_BYTES - SIGN_BYTES - 4);
	must(seal_put(key, 0, b.data, b.len, body.data, body.len, &b, &err));
	/* Whose segment it was tells whose it is. */
	must(keys_use_host(repo->keys, "alpha", &err));
	if (memcmp(b.data + 24, repo->keys->writer_pub, 32) != 0)
		must(keys_use_host(repo->keys, "beta", &err));
	finish(out, "segment", "index", repo->keys->writer_secret, &b);
	buf_free(&old);
	buf_free(&body);
}

static void hostile_retire(struct repo *repo, const char *out)
{
	const struct signrec_kind kind = {.kind = 2, .name = "retire record"};
	struct signrec_head head = {.number = 1000, .time_ns = 1};
	struct buf b = {0};

	memcpy(head.repo, repo->conf.repo, REPO_ID_BYTES);
	memcpy(head.signer, repo->keys->gc_pub, 32);
	signrec_put_head(&b, &kind, &head);
	buf_put_u32(&b, UINT32_MAX);
	finish(out, "retire", "retire", repo->keys->gc_secret, &b);
}

static void hostile_condemn(struct repo *repo, const char *out)
{
	struct buf b = {0};

	header_put(&b, OBJECT_CONDEMN, 1);
	buf_put(&b, repo->conf.repo, REPO_ID_BYTES);
	buf_put_zeros(&b, 8 + 16);
	buf_put_u32(&b, UINT32_MAX);
	finish(out, "condemn", "condemn", repo->keys->gc_secret, &b);
}

static void hostile_roster(struct repo *repo, const char *out)
{
	struct buf b = {0};

	header_put(&b, OBJECT_ROSTER, 0);
	buf_put(&b, repo->conf.repo, REPO_ID_BYTES);
	buf_put_u64(&b, 1000);
	buf_put_u16(&b, 0);
	buf_put_u32(&b, UINT32_MAX);
	buf_put(&b, repo->keys->owner_pub, 32);
	must(sign_append(&b, "roster", repo->keys->owner_secret, &err));
	write_out(out, "roster", &b);
}

/* --- twins --- */

static void twins(struct repo *repo, const char *path)
{
	struct buf pack = {0};
	struct pack_dir dir = {0};
	FILE *f = fopen(path, "rb");
	uint8_t *at = buf_extend(&pack, LIMIT_PACK_BYTES);

	if (!f || !at) {
		perror(path);
		exit(1);
	}
	pack.len = fread(at, 1, LIMIT_PACK_BYTES, f);
	(void)fclose(f);
	must(pack_front_dec(repo->keys, pack.data, pack.len, pack.len, &dir, &err));
	for (size_t i = 0; i < dir.entry_count; i++) {
		const struct pack_entry *a = &dir.entries[i];

		for (size_t j = i + 1; a->info.kind == CHUNK_DATA && j < dir.entry_count; j++) {
			const struct pack_entry *b = &dir.entries[j];

			if (b->info.kind == CHUNK_DATA && a->stored_bytes == b->stored_bytes) {
				(void)printf("%u %u %u\n", a->offset, b->offset, a->stored_bytes);
				i = j = dir.entry_count;
			}
		}
	}
	pack_dir_free(&dir);
	buf_free(&pack);
}

int main(int argc, char **argv)
{
	struct repo *repo;

	if (sodium_init() < 0 || argc < 5) {
		(void)fputs("usage: golden fill|hostile|twins REPO KEYFILE …\n", stderr);
		return 2;
	}
	repo = open_repo(argv[2], argv[3]);
	if (strcmp(argv[1], "fill") == 0 && argc == 7) {
		fill(repo, argv[4], argv[5], argv[6]);
	} else if (strcmp(argv[1], "twins") == 0) {
		twins(repo, argv[4]);
	} else if (strcmp(argv[1], "hostile") == 0) {
		must(keys_use_host(repo->keys, "alpha", &err));
		hostile_manifest(repo, argv[4]);
		hostile_segment(repo, argv[4]);
		hostile_retire(repo, argv[4]);
		hostile_condemn(repo, argv[4]);
		hostile_roster(repo, argv[4]);
	}
	repo_close(repo);
	return 0;
}
