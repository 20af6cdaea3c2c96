#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/repoconf.h"
#include "tests/support/testkeys.h"
#include "tests/support/known.h"

static int dec(void *arg, const uint8_t *bytes, size_t len)
{
	struct repoconf conf;
	struct err err = {0};

	(void)arg;
	return repoconf_dec(bytes, len, &conf, &err);
}

static struct repoconf conf_get(void)
{
	struct buf b = known_get("repoconf", "config");
	struct repoconf conf = {0};
	struct err err = {0};

	assert_int_equal(repoconf_dec(b.data, b.len, &conf, &err), 0);
	buf_free(&b);
	return conf;
}

static void knows_answers(void **state)
{
	struct keys *keys = testkeys_full();
	struct repoconf conf = conf_get();
	struct buf again = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(conf.created_at, 1700000000);
	assert_int_equal(conf.parity, 0);
	assert_int_equal(conf.floor_log2, 16);
	assert_memory_equal(conf.repo, keys->repo, 16);
	assert_memory_equal(conf.gc_pub, keys->gc_pub, 32);
	assert_int_equal(repoconf_enc(&conf, keys->owner_secret, &again, &err), 0);
	known_expect("repoconf", "config", again.data, again.len);
	buf_free(&again);
	keys_free(keys);
}

static void refuses_damage(void **state)
{
	struct buf b = known_get("repoconf", "config");
	struct decoder d = {dec, NULL};

	(void)state;
	expect_prefixes_refused(&d, b.data, b.len);
	expect_flips_refused(&d, b.data, b.len, 0, b.len);
	buf_free(&b);
}

static void refuses_signed_nonsense(void **state)
{
	static const char *names[] = {"parity_1", "floor_11", "floor_21", "not_zero",
				      "kind_1",   "longer",   "shorter"};
	struct buf b;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		b = known_get("repoconf", names[i]);
		assert_int_equal(dec(NULL, b.data, b.len), -ERR_DAMAGED);
		buf_free(&b);
	}
	b = known_get("repoconf", "newer");
	assert_int_equal(dec(NULL, b.data, b.len), -ERR_VERSION);
	buf_free(&b);
}

static void writes_no_nonsense(void **state)
{
	struct keys *keys = testkeys_full();
	struct repoconf conf = conf_get();
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	conf.parity = 3;
	assert_int_equal(repoconf_enc(&conf, keys->owner_secret, &out, &err), -ERR_USAGE);
	conf.parity = 4;
	conf.floor_log2 = 21;
	assert_int_equal(repoconf_enc(&conf, keys->owner_secret, &out, &err), -ERR_USAGE);
	assert_int_equal(out.len, 0);
	conf.floor_log2 = 20;
	out.failed = true;
	assert_int_equal(repoconf_enc(&conf, keys->owner_secret, &out, &err), -ERR_NOMEM);
	keys_free(keys);
}

static void matches_its_own_keys_only(void **state)
{
	struct repoconf good = conf_get();
	struct err err = {0};

	(void)state;
	for (unsigned role = ROLE_FULL; role <= ROLE_READ; role++) {
		struct keys *keys = testkeys_role((enum role)role);
		struct repoconf c = good;

		assert_int_equal(repoconf_matches(&c, keys, &err), 0);
		c.repo[0] ^= 1;
		assert_int_equal(repoconf_matches(&c, keys, &err), -ERR_KEY);
		assert_non_null(strstr(err.text, "another repository"));
		c = good;
		c.owner_pub[31] ^= 1;
		assert_int_equal(repoconf_matches(&c, keys, &err), -ERR_KEY);
		c = good;
		c.maint_pub[0] ^= 1;
		assert_int_equal(repoconf_matches(&c, keys, &err), -ERR_KEY);
		c = good;
		c.gc_pub[0] ^= 1;
		assert_int_equal(repoconf_matches(&c, keys, &err), -ERR_KEY);
		keys_free(keys);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(knows_answers),
	    cmocka_unit_test(refuses_damage),
	    cmocka_unit_test(refuses_signed_nonsense),
	    cmocka_unit_test(writes_no_nonsense),
	    cmocka_unit_test(matches_its_own_keys_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
