/* index segments: who may sign what. A writer tells of the packs that it has made; of all others only G does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/attacker.h"
#include "tests/support/must.h"
#include "tests/support/prunebox.h"

struct box {
	struct prunebox *b;
	struct attacker *a;
	struct indexseg seg; /* the victim's, of one night */
};

static int setup(void **state)
{
	struct box *x = calloc(1, sizeof(*x));
	struct id *names = NULL;
	void *b = NULL;
	size_t count = 0;

	assert_non_null(x);
	assert_int_equal(prunebox_setup(&b), 0);
	x->b = b;
	prunebox_night(x->b);
	x->a = attacker_new(x->b->c, "evil", 0);
	MUST(repo_list(x->b->c->inner, STORE_INDEX, &names, NULL, &count, x->b->err), x->b->err);
	assert_int_equal(count, 1);
	MUST(index_get_segment(x->b->c->repo, &names[0], &x->seg, x->b->err), x->b->err);
	free(names);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct box *x = *state;
	void *b = x->b;

	indexseg_free(&x->seg);
	attacker_free(x->a);
	free(x);
	return prunebox_teardown(&b);
}

static void assert_refused(struct box *x, const struct id *name, const char *why)
{
	struct indexseg seg = {0};
	struct err err = {0};

	MUST_FAIL(index_get_segment(x->b->c->repo, name, &seg, &err), ERR_DAMAGED, &err);
	if (!strstr(err.text, why))
		fail_msg("not \"%s\": %s", why, err.text);
}

/* Word for word what the victim says itself; but who may say that could say, too, that a chunk is where it is not. */
static void test_of_the_packs_of_another(void **state)
{
	struct box *x = *state;
	const struct id name = attacker_segment(x->a, x->seg.packs, x->seg.pack_count);

	assert_refused(x, &name, "another host has stored them");
}

static void test_in_the_place_of_maintenance(void **state)
{
	struct box *x = *state;
	struct repo *repo = x->a->repo;
	struct keys *keys = repo->keys;
	uint8_t gc_pub[sizeof(keys->gc_pub)];
	struct buf bytes = {0};
	struct id name;

	/* Our code asks for G's secret; the attacker signs with what it has. */
	memcpy(gc_pub, keys->gc_pub, sizeof(gc_pub));
	memcpy(keys->gc_pub, keys->writer_pub, sizeof(gc_pub));
	memcpy(keys->gc_secret, keys->writer_secret, sizeof(keys->gc_secret));
	keys->has_gc_secret = true;
	MUST(indexseg_enc_gc(keys, 0, &x->seg.wrap, x->seg.packs, x->seg.pack_count,
			     repo->conf.floor_log2, &bytes, x->b->err),
	     x->b->err);
	keys->has_gc_secret = false;
	memcpy(keys->gc_pub, gc_pub, sizeof(gc_pub));
	MUST(repo_put(repo, STORE_INDEX, &bytes, &name, x->b->err), x->b->err);
	buf_free(&bytes);
	assert_refused(x, &name, "signed by a host that the roster in keys/ does not name");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_of_the_packs_of_another, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_in_the_place_of_maintenance, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
