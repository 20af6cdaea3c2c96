#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "tests/support/testkeys.h"
#include "tests/support/known.h"

static void expect(const char *name, const void *bytes, size_t len)
{
	known_expect("keys", name, bytes, len);
}

static void master_gives_the_known_keys(void **state)
{
	struct keys *keys = testkeys_full();
	struct err err = {0};

	(void)state;
	assert_int_equal(keys->role, ROLE_FULL);
	expect("repo", keys->repo, 16);
	expect("owner_pub", keys->owner_pub, 32);
	expect("owner_secret", keys->owner_secret, 64);
	expect("maint_pub", keys->maint_pub, 32);
	expect("maint_secret", keys->maint_secret, 32);
	expect("gc_pub", keys->gc_pub, 32);
	expect("gc_seed", keys->gc_secret, 32);
	assert_true(keys->has_master && keys->has_maint_secret && keys->has_gc_secret);
	assert_false(keys->has_writer);
	assert_int_equal(keys_use_host(keys, "db1.example", &err), 0);
	assert_true(keys->has_writer);
	expect("writer_host", keys->host, strlen(keys->host));
	expect("writer_pub", keys->writer_pub, 32);
	expect("writer_secret", keys->writer_secret, 64);
	assert_int_equal(keys_use_host(keys, "db2.example", &err), 0);
	assert_string_equal(keys->host, "db2.example");
	keys_free(keys);
}

static void fresh_masters_differ(void **state)
{
	uint8_t repo[2][16], master[2][32];

	(void)state;
	keys_random_master(repo[0], master[0]);
	keys_random_master(repo[1], master[1]);
	assert_memory_not_equal(repo[0], repo[1], 16);
	assert_memory_not_equal(master[0], master[1], 32);
}

static void host_names_have_bounds(void **state)
{
	struct keys *keys = testkeys_full();
	char longest[257];
	struct err err = {0};

	(void)state;
	memset(longest, 'h', 256);
	longest[256] = '\0';
	assert_int_equal(keys_use_host(keys, "", &err), -ERR_USAGE);
	assert_int_equal(keys_use_host(keys, longest, &err), -ERR_USAGE);
	assert_false(keys->has_writer);
	assert_int_equal(keys_use_host(keys, longest + 1, &err), 0);
	assert_int_equal(strlen(keys->host), 255);
	keys_free(keys);
}

static void domains_are_derived_and_stay(void **state)
{
	struct keys *keys = testkeys_full();
	struct err err = {0};
	const struct domain_keys *zero = keys_domain(keys, 0, &err), *seven, *three;

	(void)state;
	assert_int_equal(keys->domain_count, 1);
	seven = keys_domain(keys, 7, &err);
	three = keys_domain(keys, 3, &err);
	assert_ptr_equal(keys_domain(keys, 7, &err), seven);
	assert_int_equal(seven->number, 7);
	assert_int_equal(three->number, 3);
	assert_int_equal(keys->domain_count, 3);
	expect("domain_0", zero->root, 160);
	expect("domain_7", seven->root, 160);
	for (uint32_t d = 100; d < 100 + LIMIT_KEY_DOMAINS - 3; d++)
		assert_non_null(keys_domain(keys, d, &err));
	assert_null(keys_domain(keys, 99, &err));
	assert_int_equal(err.code, ERR_LIMIT);
	assert_int_equal(keys_add_domain(keys, 7, seven->root, &err), -ERR_DAMAGED);
	keys_free(keys);
}

static void full_role_derives_epochs(void **state)
{
	struct keys *keys = testkeys_full();
	struct buf pub2 = known_get("keys", "read_pub_2");
	uint8_t secret[32], pub[32];
	struct err err = {0};

	(void)state;
	expect("read_pub_1", keys_newest_epoch(keys)->pub, 32);
	assert_int_equal(keys_epoch_secret(keys, 0xffffffffu, secret, pub, &err), 0);
	expect("read_secret_4294967295", secret, 32);
	expect("read_pub_4294967295", pub, 32);
	assert_int_equal(keys->epoch_count, 1);
	assert_int_equal(keys_add_epoch(keys, 3, pub2.data, &err), -ERR_DAMAGED);
	assert_int_equal(keys->epoch_count, 1);
	assert_int_equal(keys_add_epoch(keys, 2, pub2.data, &err), 0);
	assert_int_equal(keys_add_epoch(keys, 2, pub2.data, &err), 0);
	assert_int_equal(keys->epoch_count, 2);
	assert_int_equal(keys_newest_epoch(keys)->epoch, 2);
	assert_true(keys_newest_epoch(keys)->has_secret);
	expect("read_secret_2", keys_newest_epoch(keys)->secret, 32);
	buf_free(&pub2);
	keys_free(keys);
}

static void write_role_takes_epochs_of_the_roster(void **state)
{
	struct keys *keys = testkeys_role(ROLE_WRITE);
	uint8_t pub[32] = {9}, secret[32], out[32];
	struct err err = {0};

	(void)state;
	assert_int_equal(keys_add_epoch(keys, 0, pub, &err), -ERR_DAMAGED);
	assert_int_equal(keys_add_epoch(keys, 1, pub, &err), -ERR_DAMAGED);
	assert_int_equal(keys_add_epoch(keys, 5, pub, &err), 0);
	assert_int_equal(keys_add_epoch(keys, 3, pub, &err), 0);
	assert_int_equal(keys->epochs[0].epoch, 1);
	assert_int_equal(keys->epochs[1].epoch, 3);
	assert_int_equal(keys_newest_epoch(keys)->epoch, 5);
	assert_false(keys_newest_epoch(keys)->has_secret);
	assert_int_equal(keys_epoch_secret(keys, 1, secret, out, &err), -ERR_KEY);
	assert_non_null(strstr(err.text, "write key"));
	for (uint32_t e = 10; e < 10 + LIMIT_EPOCHS - 3; e++)
		assert_int_equal(keys_add_epoch(keys, e, pub, &err), 0);
	assert_int_equal(keys_add_epoch(keys, 9, pub, &err), -ERR_LIMIT);
	keys_free(keys);
}

static void roles_hold_what_they_may(void **state)
{
	struct keys *w = testkeys_role(ROLE_WRITE), *m = testkeys_role(ROLE_MAINTAIN),
		    *r = testkeys_role(ROLE_READ);
	static const uint8_t zero[64];
	uint8_t secret[32], pub[32];
	struct err err = {0};

	(void)state;
	assert_false(w->has_master || w->has_maint_secret || w->has_gc_secret);
	assert_true(w->has_writer && w->has_maint_pub && w->has_gc_pub);
	assert_false(m->has_master || m->has_writer);
	assert_true(m->has_maint_secret && m->has_gc_secret && m->has_maint_pub);
	assert_false(r->has_master || r->has_writer || r->has_gc_secret);
	assert_true(r->has_maint_secret && r->has_gc_pub);
	assert_memory_equal(w->master, zero, 32);
	assert_memory_equal(w->maint_secret, zero, 32);
	assert_memory_equal(r->gc_secret, zero, 64);
	assert_memory_equal(m->owner_secret, zero, 64);
	assert_null(keys_newest_epoch(m));
	assert_null(keys_domain(m, 0, &err));
	assert_int_equal(err.code, ERR_KEY);
	assert_null(keys_domain(w, 7, &err));
	assert_non_null(keys_domain(w, 0, &err));
	assert_int_equal(keys_epoch_secret(r, 1, secret, pub, &err), 0);
	assert_int_equal(keys_epoch_secret(r, 2, secret, pub, &err), -ERR_KEY);
	assert_int_equal(keys_use_host(w, "other", &err), 0);
	assert_string_equal(w->host, "db1.example");
	assert_int_equal(keys_use_host(m, "other", &err), -ERR_KEY);
	assert_int_equal(keys_use_host(r, "other", &err), -ERR_KEY);
	keys_free(w);
	keys_free(m);
	keys_free(r);
	keys_free(NULL);
}

static void random_writers_are_for_owners(void **state)
{
	struct keys *full = testkeys_full(), *w = testkeys_role(ROLE_WRITE);
	uint8_t first[32];
	struct err err = {0};

	(void)state;
	assert_int_equal(keys_random_writer(full, "app", 7, &err), 0);
	assert_int_equal(full->writer_domain, 7);
	assert_int_equal(full->domain_count, 2);
	memcpy(first, full->writer_pub, 32);
	assert_int_equal(keys_random_writer(full, "app", 7, &err), 0);
	assert_memory_not_equal(first, full->writer_pub, 32);
	assert_int_equal(keys_random_writer(full, "", 7, &err), -ERR_USAGE);
	assert_int_equal(keys_random_writer(w, "app", 0, &err), -ERR_KEY);
	keys_free(full);
	keys_free(w);
}

static void role_names(void **state)
{
	enum role role;

	(void)state;
	for (unsigned i = ROLE_FULL; i <= ROLE_READ; i++) {
		assert_true(role_from_name(role_name((enum role)i), &role));
		assert_int_equal(role, i);
	}
	assert_false(role_from_name("", &role));
	assert_false(role_from_name("Full", &role));
	assert_string_equal(role_name((enum role)ROLE_ALL), "unknown");
}

static void powers(void **state)
{
	static const bool may[4][5] = {
	    /* read, write, maintain, lists, own */
	    {true, true, true, true, true},     /* full */
	    {false, true, false, false, false}, /* write */
	    {false, false, true, true, false},  /* maintain */
	    {true, false, false, true, false},  /* read */
	};

	(void)state;
	for (unsigned r = 0; r < 4; r++) {
		struct keys *keys = testkeys_role((enum role)(r + 1));

		for (unsigned p = 0; p < 5; p++) {
			struct err err = {0};
			int rc = keys_allow(keys, (enum power)p, "prune", &err);

			assert_int_equal(rc, may[r][p] ? 0 : -ERR_KEY);
			if (rc != 0) {
				assert_non_null(strstr(err.text, "prune needs a full"));
				assert_non_null(strstr(err.text, role_name(keys->role)));
			}
		}
		keys_free(keys);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(master_gives_the_known_keys),
	    cmocka_unit_test(fresh_masters_differ),
	    cmocka_unit_test(host_names_have_bounds),
	    cmocka_unit_test(domains_are_derived_and_stay),
	    cmocka_unit_test(full_role_derives_epochs),
	    cmocka_unit_test(write_role_takes_epochs_of_the_roster),
	    cmocka_unit_test(roles_hold_what_they_may),
	    cmocka_unit_test(random_writers_are_for_owners),
	    cmocka_unit_test(role_names),
	    cmocka_unit_test(powers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
