#include "tests/support/testkeys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/keyfile.h"
#include "tests/support/known.h"

struct keys *testkeys_full(void)
{
	struct buf repo = known_get("keys", "repo"), master = known_get("keys", "master");
	struct keys *keys = NULL;
	struct err err = {0};

	assert_int_equal(keys_from_master(repo.data, master.data, &keys, &err), 0);
	buf_free(&repo);
	buf_free(&master);
	return keys;
}

struct keys *testkeys_role(enum role role)
{
	struct buf text = known_get("keyfile", role_name(role));
	struct keys *keys = NULL;
	struct err err = {0};

	assert_int_equal(keyfile_dec(text.data, text.len, &keys, &err), 0);
	buf_free(&text);
	return keys;
}
