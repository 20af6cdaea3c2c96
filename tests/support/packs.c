#include "tests/support/packs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct pack_dir packs_dec(struct keys *keys, const struct buf *pack)
{
	struct pack_dir dir = {0};
	struct err err = {0};
	int rc = pack_front_dec(keys, pack->data, pack->len, pack->len, &dir, &err);

	if (rc)
		fail_msg("%s", err.text);
	return dir;
}

int packs_try(struct keys *keys, const void *bytes, size_t len, uint64_t pack_bytes)
{
	struct pack_dir dir = {0};
	struct err err = {0};
	int rc = pack_front_dec(keys, bytes, len, pack_bytes, &dir, &err);

	if (rc) {
		assert_int_equal(rc, -err.code);
		assert_true(err.text[0] != '\0');
		assert_null(dir.entries);
	}
	pack_dir_free(&dir);
	return rc;
}

struct buf packs_open(struct keys *keys, struct comp *comp, const struct pack_dir *dir, size_t e,
		      const struct buf *pack)
{
	const struct pack_entry *entry = &dir->entries[e];
	struct buf out = {0};
	struct err err = {0};
	const struct domain_keys *domain = keys_domain(keys, 0, &err);
	uint8_t key[32];

	assert_non_null(domain);
	assert_true((uint64_t)entry->offset + entry->stored_bytes <= pack->len);
	assert_int_equal(slot_open(keys, &dir->slots[entry->slot], key, &err), 0);
	assert_int_equal(record_open(comp, key, entry->counter, keys->repo, domain, &entry->info,
				     pack->data + entry->offset, entry->stored_bytes, &out, &err),
			 0);
	return out;
}

void packs_expect_random_fill(const struct buf *pack, const struct pack_dir *dir)
{
	const struct pack_entry *last = &dir->entries[dir->entry_count - 1];
	size_t from = (size_t)last->offset + last->stored_bytes, different = 0;
	bool seen[256] = {false};

	assert_true(pack->len - from >= 256);
	for (size_t i = from; i < pack->len; i++) {
		different += !seen[pack->data[i]];
		seen[pack->data[i]] = true;
	}
	/* Of 256 random bytes some 162 differ; below 120 are not once in 10^20. */
	assert_true(different >= 120);
}
