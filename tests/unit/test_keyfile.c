#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/keyfile.h"
#include "tests/support/known.h"
#include "tests/support/testkeys.h"

static int dec(void *arg, const uint8_t *bytes, size_t len)
{
	struct keys *keys = NULL;
	struct err err = {0};
	int rc = keyfile_dec(bytes, len, &keys, &err);

	(void)arg;
	assert_true((rc == 0) == (keys != NULL));
	keys_free(keys);
	return rc;
}

static void expect_text(const struct keys *keys, enum role role, const char *name)
{
	struct buf text = {0};
	struct err err = {0};

	assert_int_equal(keyfile_enc(keys, role, &text, &err), 0);
	known_expect("keyfile", name, text.data, text.len);
	buf_wipe(&text);
}

/* Must run first: nothing has started libsodium yet. */
static void may_be_the_first_call(void **state)
{
	struct buf text = known_get("keyfile", "write");

	(void)state;
	assert_int_equal(dec(NULL, text.data, text.len), 0);
	buf_free(&text);
}

static void cuts_known_texts_from_full_keys(void **state)
{
	struct keys *keys = testkeys_full();
	struct buf pub2 = known_get("keys", "read_pub_2");
	struct err err = {0};

	(void)state;
	assert_int_equal(keys_use_host(keys, "db1.example", &err), 0);
	for (unsigned role = ROLE_FULL; role <= ROLE_READ; role++)
		expect_text(keys, (enum role)role, role_name((enum role)role));
	assert_int_equal(keys_add_epoch(keys, 2, pub2.data, &err), 0);
	assert_non_null(keys_domain(keys, 7, &err));
	expect_text(keys, ROLE_READ, "read_more");
	buf_free(&pub2);
	keys_free(keys);
}

static void every_role_writes_itself_again(void **state)
{
	struct err err = {0};

	(void)state;
	for (unsigned role = ROLE_FULL; role <= ROLE_READ; role++) {
		struct keys *keys = testkeys_role((enum role)role);

		assert_int_equal(keys->role, role);
		if (role == ROLE_FULL)
			assert_int_equal(keys_use_host(keys, "db1.example", &err), 0);
		expect_text(keys, (enum role)role, role_name((enum role)role));
		keys_free(keys);
	}
}

static void no_role_makes_another(void **state)
{
	(void)state;
	for (unsigned from = ROLE_WRITE; from <= ROLE_READ; from++) {
		struct keys *keys = testkeys_role((enum role)from);

		for (unsigned to = ROLE_FULL; to <= ROLE_READ; to++) {
			struct buf text = {0};
			struct err err = {0};

			if (to == from)
				continue;
			assert_int_equal(keyfile_enc(keys, (enum role)to, &text, &err), -ERR_KEY);
			assert_int_equal(text.len, 0);
		}
		keys_free(keys);
	}
}

static void domains_are_written_ascending(void **state)
{
	struct keys *full = testkeys_full(), *read = NULL;
	struct buf text = {0};
	struct err err = {0};

	(void)state;
	assert_non_null(keys_domain(full, 9, &err));
	assert_non_null(keys_domain(full, 4, &err));
	assert_int_equal(keyfile_enc(full, ROLE_READ, &text, &err), 0);
	assert_int_equal(keyfile_dec(text.data, text.len, &read, &err), 0);
	assert_int_equal(read->domain_count, 3);
	assert_int_equal(read->domains[1].number, 4);
	assert_memory_equal(read->domains[1].psk, keys_domain(full, 4, &err)->psk, 32);
	assert_int_equal(read->domains[2].number, 9);
	buf_wipe(&text);
	keys_free(read);
	keys_free(full);
}

static void a_write_key_needs_a_writer(void **state)
{
	struct keys *full = testkeys_full(), *w = NULL;
	struct buf text = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(keyfile_enc(full, ROLE_WRITE, &text, &err), -ERR_USAGE);
	assert_int_equal(keys_random_writer(full, "app", 5, &err), 0);
	assert_int_equal(keyfile_enc(full, ROLE_WRITE, &text, &err), 0);
	assert_int_equal(keyfile_dec(text.data, text.len, &w, &err), 0);
	assert_memory_equal(w->writer_pub, full->writer_pub, 32);
	assert_memory_equal(w->writer_secret, full->writer_secret, 64);
	assert_int_equal(w->writer_domain, 5);
	assert_string_equal(w->host, "app");
	assert_int_equal(keyfile_enc(full, (enum role)9, &text, &err), -ERR_USAGE);
	buf_wipe(&text);
	keys_free(w);
	keys_free(full);
}

static void the_largest_key_fits(void **state)
{
	struct keys *full = testkeys_full(), *read = NULL;
	struct buf text = {0};
	struct err err = {0};

	(void)state;
	for (uint32_t n = 1; n < LIMIT_KEY_DOMAINS; n++)
		assert_non_null(keys_domain(full, n, &err));
	for (uint32_t n = 2; n <= LIMIT_EPOCHS; n++) {
		uint8_t secret[32], pub[32];

		assert_int_equal(keys_epoch_secret(full, n, secret, pub, &err), 0);
		assert_int_equal(keys_add_epoch(full, n, pub, &err), 0);
	}
	assert_int_equal(keyfile_enc(full, ROLE_READ, &text, &err), 0);
	assert_int_equal(keyfile_dec(text.data, text.len, &read, &err), 0);
	assert_int_equal(read->epoch_count, LIMIT_EPOCHS);
	assert_int_equal(read->domain_count, LIMIT_KEY_DOMAINS);
	buf_wipe(&text);
	keys_free(read);
	keys_free(full);
}

static void refuses_damage(void **state)
{
	struct decoder d = {dec, NULL};

	(void)state;
	for (unsigned role = ROLE_FULL; role <= ROLE_READ; role++) {
		struct buf text = known_get("keyfile", role_name((enum role)role));

		expect_prefixes_refused(&d, text.data, text.len);
		expect_flips_refused(&d, text.data, text.len, 0, text.len);
		buf_free(&text);
	}
}

static void refuses_well_summed_nonsense(void **state)
{
	static const char *names[] = {
	    "bad_role",         "bad_number", "bad_tail",       "bad_short",      "bad_epoch_0",
	    "bad_no_host",      "bad_host",   "bad_no_epochs",  "bad_no_domains", "bad_epoch_order",
	    "bad_domain_twice", "bad_count",  "bad_epoch_twice"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct buf text = known_get("keyfile", names[i]);

		assert_int_equal(dec(NULL, text.data, text.len), -ERR_KEY);
		buf_free(&text);
	}
}

static void accepts_one_spelling_only(void **state)
{
	struct buf text = known_get("keyfile", "full"), other = {0};

	(void)state;
	buf_put(&other, text.data, text.len);
	buf_put_u8(&other, '\n');
	assert_int_equal(dec(NULL, other.data, other.len), -ERR_KEY);
	buf_reset(&other);
	buf_put(&other, text.data, text.len - 5); /* the last line broken once more */
	buf_put_u8(&other, '\n');
	buf_put(&other, text.data + text.len - 5, 5);
	assert_int_equal(dec(NULL, other.data, other.len), -ERR_KEY);
	buf_free(&other);
	buf_free(&text);
}

static void tells_why(void **state)
{
	static const char *strange[] = {"",
					"\n",
					"SQLite format 3",
					"nightjar-key-",
					"nightjar-key-\n",
					"nightjar-key-x full\n",
					"nightjar-key-0 full\n"};
	static const char *broken[] = {"nightjar-key-1 fool\n", "nightjar-key-1 full\n",
				       "nightjar-key-1 \n", "nightjar-key-1 full\nAAAA\n",
				       "nightjar-key-1 a-very-long-role-indeed\n"};
	struct buf newer = known_get("keyfile", "newer");
	struct keys *keys = NULL;
	uint8_t *huge = calloc(1, 20000);
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		assert_int_equal(keyfile_dec(strange[i], strlen(strange[i]), &keys, &err),
				 -ERR_KEY);
		assert_string_equal(err.text, "not a nightjar key file");
	}
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		assert_int_equal(keyfile_dec(broken[i], strlen(broken[i]), &keys, &err), -ERR_KEY);
		assert_string_equal(err.text, "damaged key file");
	}
	assert_int_equal(dec(NULL, newer.data, newer.len), -ERR_VERSION);
	assert_int_equal(dec(NULL, huge, 20000), -ERR_KEY);
	free(huge);
	buf_free(&newer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(may_be_the_first_call),
	    cmocka_unit_test(cuts_known_texts_from_full_keys),
	    cmocka_unit_test(every_role_writes_itself_again),
	    cmocka_unit_test(no_role_makes_another),
	    cmocka_unit_test(domains_are_written_ascending),
	    cmocka_unit_test(a_write_key_needs_a_writer),
	    cmocka_unit_test(the_largest_key_fits),
	    cmocka_unit_test(refuses_damage),
	    cmocka_unit_test(refuses_well_summed_nonsense),
	    cmocka_unit_test(accepts_one_spelling_only),
	    cmocka_unit_test(tells_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
