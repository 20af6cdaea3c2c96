/* Manifests of a repository: their order, names and succession, and those that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/keyfile.h"
#include "repo/manifests.h"
#include "repo/writers.h"
#include "tests/support/bytes.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

struct bad {
	unsigned count;
	struct id last;
	struct err why;
};

static void on_bad(void *arg, const struct id *name, const struct err *why)
{
	struct bad *bad = arg;

	bad->count++;
	bad->last = *name;
	bad->why = *why;
}

static struct manifest_list load(struct repo *repo, struct bad *bad)
{
	struct manifest_list list = {0};
	struct err err = {0};

	*bad = (struct bad){0};
	MUST(manifests_load(repo, on_bad, bad, &list, &err), &err);
	assert_int_equal(err.code, 0);
	return list;
}

/* Publishes a manifest that knows what list says. */
static struct id put_after(struct repo *repo, const struct manifest_list *list, int64_t time_ns)
{
	struct manifest m = {.time_ns = time_ns, .started_ns = time_ns, .finished_ns = time_ns};
	struct err err = {0};
	struct id name;
	uint64_t bytes = 0;

	MUST(manifests_succeed(repo, list, &m, &err), &err);
	m.root = bytes_id(1);
	m.host = bytes_text(repo->keys->host);
	m.user = bytes_text("u");
	m.program = bytes_text("p");
	m.sources = calloc(1, sizeof(*m.sources));
	assert_non_null(m.sources);
	m.sources[0] = bytes_text("/srv");
	m.source_count = 1;
	MUST(manifests_put(repo, &m, &name, &bytes, &err), &err);
	assert_true(bytes >= 4096);
	manifest_free(&m);
	return name;
}

static struct id put(struct repo *repo, int64_t time_ns)
{
	struct bad bad;
	struct manifest_list list = load(repo, &bad);
	struct id name = put_after(repo, &list, time_ns);

	manifest_list_free(&list);
	return name;
}

static const struct manifest *by_name(const struct manifest_list *list, const struct id *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (id_eq(&list->items[i].name, name))
			return &list->items[i].m;
	fail_msg("a manifest is not there");
	return NULL;
}

static void test_order(void **state)
{
	const int64_t times[] = {500, -3, 500, 100, INT64_MAX, 500};
	struct repo_case *c = *state;
	struct manifest_list list;
	struct bad bad;

	for (size_t i = 0; i < 6; i++)
		put(c->repo, times[i]);
	list = load(c->repo, &bad);
	assert_int_equal(bad.count, 0);
	assert_int_equal(list.count, 6);
	for (size_t i = 1; i < 6; i++) {
		const struct manifest *a = &list.items[i - 1].m, *b = &list.items[i].m;

		assert_true(a->time_ns < b->time_ns ||
			    (a->time_ns == b->time_ns && a->sequence < b->sequence));
	}
	assert_int_equal(list.items[0].m.time_ns, -3);
	assert_string_equal(list.items[0].m.host, REPO_CASE_HOST);
	assert_string_equal(list.items[0].m.sources[0], "/srv");
	manifest_list_free(&list);
	manifest_list_free(&list); /* {0} is fine */
	repo_case_assert_format(c->inner);
}

/* --- finding --- */

static int find(const struct manifest_list *list, const char *spec, const char *host,
		struct id *out_name, const char **out_sub, struct err *err)
{
	const struct manifest_item *item = NULL;
	int r;

	*err = (struct err){0};
	*out_sub = "untouched";
	r = manifests_find(list, spec, host, &item, out_sub, err);
	if (!r)
		*out_name = item->name;
	return r;
}

static void test_find(void **state)
{
	struct repo_case *c = *state;
	struct id first = put(c->repo, 1), second, third, got;
	struct manifest_list list;
	char hex[ID_HEX_CHARS + 16];
	const char *sub;
	struct bad bad;

	second = put(c->repo, 3);
	MUST(repo_use_writer(c->repo, "db2", false, &c->err), &c->err);
	third = put(c->repo, 2);
	list = load(c->repo, &bad);
	MUST(find(&list, "latest", NULL, &got, &sub, &c->err), &c->err);
	assert_true(id_eq(&got, &second));
	assert_null(sub);
	MUST(find(&list, "latest", "db2", &got, &sub, &c->err), &c->err);
	assert_true(id_eq(&got, &third));
	MUST(find(&list, "latest:/srv/a:b", REPO_CASE_HOST, &got, &sub, &c->err), &c->err);
	assert_true(id_eq(&got, &second));
	assert_string_equal(sub, "/srv/a:b");
	MUST_FAIL(find(&list, "latest", "db", &got, &sub, &c->err), ERR_MISSING, &c->err);
	assert_non_null(strstr(c->err.text, "db"));
	id_hex(&first, hex);
	MUST(find(&list, hex, "db2", &got, &sub, &c->err), &c->err); /* host is for latest */
	assert_true(id_eq(&got, &first));
	(void)strcpy(hex + 64, "0");
	MUST_FAIL(find(&list, hex, NULL, &got, &sub, &c->err), ERR_USAGE, &c->err);
	(void)strcpy(hex + 12, ":/x");
	MUST(find(&list, hex, NULL, &got, &sub, &c->err), &c->err);
	assert_true(id_eq(&got, &first));
	assert_string_equal(sub, "/x");
	(void)strcpy(hex + 12, ":");
	MUST(find(&list, hex, NULL, &got, &sub, &c->err), &c->err);
	assert_string_equal(sub, "");
	hex[3] = '\0';
	MUST_FAIL(find(&list, hex, NULL, &got, &sub, &c->err), ERR_USAGE, &c->err);
	MUST_FAIL(find(&list, "", NULL, &got, &sub, &c->err), ERR_USAGE, &c->err);
	MUST_FAIL(find(&list, ":/x", NULL, &got, &sub, &c->err), ERR_USAGE, &c->err);
	MUST_FAIL(find(&list, "ABCDEF", NULL, &got, &sub, &c->err), ERR_USAGE, &c->err);
	MUST_FAIL(find(&list, "latest2", NULL, &got, &sub, &c->err), ERR_USAGE, &c->err);
	MUST_FAIL(find(&list, "Latest", NULL, &got, &sub, &c->err), ERR_USAGE, &c->err);
	manifest_list_free(&list);
	MUST_FAIL(find(&list, "latest", NULL, &got, &sub, &c->err), ERR_MISSING, &c->err);
	MUST_FAIL(find(&list, "0123", NULL, &got, &sub, &c->err), ERR_MISSING, &c->err);
}

static void test_ambiguous_prefix(void **state)
{
	struct manifest_item items[2] = {{.name = bytes_id(0x10)}, {.name = bytes_id(0x10)}};
	struct manifest_list list = {.items = items, .count = 2};
	const char *sub;
	struct id got;
	struct err err;

	(void)state;
	items[1].name.b[2] = 0xff; /* 1011ff… beside 101112… */
	MUST_FAIL(find(&list, "1011", NULL, &got, &sub, &err), ERR_USAGE, &err);
	assert_non_null(strstr(err.text, "several"));
	MUST(find(&list, "1011f", NULL, &got, &sub, &err), &err);
	assert_true(id_eq(&got, &items[1].name));
	MUST_FAIL(find(&list, "1012", NULL, &got, &sub, &err), ERR_MISSING, &err);
}

/* --- succession --- */

static void test_succession(void **state)
{
	struct repo_case *c = *state;
	struct id names[4], other;
	struct manifest_list list;
	const struct manifest *m;
	struct bad bad;

	for (size_t i = 0; i < 4; i++)
		names[i] = put(c->repo, (int64_t)(100 - i)); /* a clock that goes back */
	list = load(c->repo, &bad);
	for (size_t i = 0; i < 4; i++) {
		m = by_name(&list, &names[i]);
		assert_int_equal(m->sequence, i + 1);
		assert_int_equal(m->seen_count, 0);
		assert_int_equal(m->parent_count, i ? 1 : 0);
		if (i)
			assert_true(id_eq(&m->parents[0], &names[i - 1]));
	}
	manifest_list_free(&list);
	/* Another host starts at 1 and names the newest of the first. */
	MUST(repo_use_writer(c->repo, "db2", false, &c->err), &c->err);
	other = put(c->repo, 1);
	list = load(c->repo, &bad);
	m = by_name(&list, &other);
	assert_int_equal(m->sequence, 1);
	assert_int_equal(m->parent_count, 0);
	assert_int_equal(m->seen_count, 1);
	assert_int_equal(m->seen[0].sequence, 4);
	assert_true(id_eq(&m->seen[0].name, &names[3]));
	manifest_list_free(&list);
}

static void test_fork(void **state)
{
	struct repo_case *c = *state;
	struct id root = put(c->repo, 1), a, b, next, after;
	struct manifest_list list, early;
	const struct manifest *m;
	struct bad bad;

	early = load(c->repo, &bad);
	a = put_after(c->repo, &early, 2);
	b = put_after(c->repo, &early, 3); /* did not see a */
	manifest_list_free(&early);
	next = put(c->repo, 4);
	after = put(c->repo, 5);
	list = load(c->repo, &bad);
	assert_int_equal(bad.count, 0);
	assert_int_equal(by_name(&list, &a)->sequence, 2);
	assert_int_equal(by_name(&list, &b)->sequence, 2);
	assert_true(id_eq(&by_name(&list, &b)->parents[0], &root));
	m = by_name(&list, &next);
	assert_int_equal(m->sequence, 3);
	assert_int_equal(m->parent_count, 2);
	assert_true(id_cmp(&m->parents[0], &m->parents[1]) < 0);
	assert_true(id_eq(&m->parents[0], &a) || id_eq(&m->parents[1], &a));
	assert_true(id_eq(&m->parents[0], &b) || id_eq(&m->parents[1], &b));
	m = by_name(&list, &after);
	assert_int_equal(m->parent_count, 1);
	assert_true(id_eq(&m->parents[0], &next));
	manifest_list_free(&list);
}

/* --- who may write --- */

static void test_foreign_writer(void **state)
{
	struct repo_case *c = *state;
	struct id good = put(c->repo, 1), name;
	struct manifest_list list;
	struct manifest m = {.sequence = 1, .host = bytes_text("x")};
	struct keys *keys = NULL;
	struct buf object = {0};
	struct bad bad;

	/* Made with the right keys by a host that no roster names. */
	MUST(keys_from_master(c->repo->conf.repo, c->repo->keys->master, &keys, &c->err), &c->err);
	MUST(keys_use_host(keys, "unknown", &c->err), &c->err);
	m.user = bytes_text("");
	m.program = bytes_text("");
	MUST(manifest_enc(keys, &m, 12, &object, &c->err), &c->err);
	MUST(repo_put(c->repo, STORE_SNAPSHOTS, &object, &name, &c->err), &c->err);
	list = load(c->repo, &bad);
	assert_int_equal(list.count, 1);
	assert_true(id_eq(&list.items[0].name, &good));
	assert_int_equal(bad.count, 1);
	assert_true(id_eq(&bad.last, &name));
	assert_non_null(strstr(bad.why.text, "roster"));
	manifest_list_free(&list);
	manifest_free(&m);
	keys_free(keys);
	buf_free(&object);
}

static void revoke(struct repo_case *c, uint64_t after)
{
	struct writer *writers = NULL;
	struct manifest_list list;
	size_t count = 0;
	struct bad bad;

	list = load(c->repo, &bad);
	MUST(writers_list(c->repo, &list, &writers, &count, &c->err), &c->err);
	assert_int_equal(count, 1);
	MUST(writers_revoke(c->repo, &list, &writers[0], after, &c->err), &c->err);
	free(writers);
	manifest_list_free(&list);
}

/* A manifest as who has stolen the key signs it, whatever the roster says. */
static void forge(struct repo_case *c, uint64_t sequence)
{
	struct manifest m = {.sequence = sequence, .time_ns = 77};
	struct buf object = {0};
	struct id name;

	m.host = bytes_text("x");
	m.user = bytes_text("");
	m.program = bytes_text("");
	MUST(manifest_enc(c->repo->keys, &m, 12, &object, &c->err), &c->err);
	MUST(repo_put(c->repo, STORE_SNAPSHOTS, &object, &name, &c->err), &c->err);
	manifest_free(&m);
	buf_free(&object);
}

/*
 * The roster ends a writer: what it made before counts, later ones do not, nor does one with the number of an earlier; no such is damage. And in
 * good faith none can be made.
 */
static void test_writer_that_was_revoked(void **state)
{
	struct repo_case *c = *state;
	struct manifest m = {0};
	struct manifest_list list;
	struct id name;
	uint64_t bytes;
	struct bad bad;

	put(c->repo, 1);
	put(c->repo, 2);
	put(c->repo, 3);
	assert_int_equal(c->repo->roster.writer_count, 1);
	revoke(c, 2);
	forge(c, 2);
	forge(c, 9);
	list = load(c->repo, &bad);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.items[0].m.sequence, 1);
	assert_int_equal(list.items[1].m.sequence, 2);
	assert_int_equal(bad.count, 3);
	assert_int_equal(bad.why.code, ERR_KEY);
	assert_non_null(strstr(bad.why.text, "revoked"));
	assert_int_equal(list.bad, 0);
	MUST_FAIL(manifests_succeed(c->repo, &list, &m, &c->err), ERR_KEY, &c->err);
	assert_non_null(strstr(c->err.text, "was revoked as a writer after its backup 2"));
	MUST_FAIL(manifests_put(c->repo, &m, &name, &bytes, &c->err), ERR_KEY, &c->err);
	assert_int_equal(repo_case_count(c->inner, STORE_SNAPSHOTS), 5);
	manifest_free(&m);
	manifest_list_free(&list);
}

/* However high the number that the thief has put: a revoked writer is one. */
static void test_revoke_after_the_highest_number(void **state)
{
	struct repo_case *c = *state;
	struct manifest_list list;
	struct bad bad;

	put(c->repo, 1);
	forge(c, UINT64_MAX);
	revoke(c, UINT64_MAX);
	assert_true(roster_revoked(&c->repo->roster.writers[0]));
	repo_case_reopen(c);
	list = load(c->repo, &bad);
	assert_int_equal(list.count, 1);
	assert_int_equal(bad.count, 1);
	manifest_list_free(&list);
	revoke(c, 0);
	list = load(c->repo, &bad);
	assert_int_equal(list.count, 0);
	manifest_list_free(&list);
}

static void test_writer_not_in_the_roster(void **state)
{
	struct repo_case *c = *state;
	struct manifest_list none = {0};
	struct manifest m = {0};
	struct id name;
	uint64_t bytes;

	/* A dry run has no roster entry and goes up to here… */
	MUST(repo_use_writer(c->repo, "new host", true, &c->err), &c->err);
	MUST(manifests_succeed(c->repo, &none, &m, &c->err), &c->err);
	assert_int_equal(m.sequence, 1);
	/* …and no further. */
	MUST_FAIL(manifests_put(c->repo, &m, &name, &bytes, &c->err), ERR_KEY, &c->err);
	assert_int_equal(repo_case_count(c->inner, STORE_SNAPSHOTS), 0);
	manifest_free(&m);
}

/* --- damage --- */

static void test_damaged_manifest(void **state)
{
	struct repo_case *c = *state;
	struct id names[3];
	struct manifest_list list;
	struct buf whole;
	struct bad bad;

	for (size_t i = 0; i < 3; i++)
		names[i] = put(c->repo, (int64_t)i);
	whole = repo_case_get(c->inner, STORE_SNAPSHOTS, &names[1]);
	for (size_t at = 0; at < whole.len; at += at < 200 ? 1 : 61) {
		repo_case_flip(c->inner, STORE_SNAPSHOTS, &names[1], at, at % 8);
		list = load(c->repo, &bad);
		assert_int_equal(list.count, 2);
		assert_int_equal(bad.count, 1);
		assert_true(id_eq(&bad.last, &names[1]));
		manifest_list_free(&list);
		repo_case_replace(c->inner, STORE_SNAPSHOTS, &names[1], whole.data, whole.len);
	}
	repo_case_replace(c->inner, STORE_SNAPSHOTS, &names[1], whole.data, whole.len / 2);
	list = load(c->repo, &bad);
	assert_int_equal(list.count, 2);
	assert_int_equal(bad.why.code, ERR_DAMAGED);
	manifest_list_free(&list);
	buf_free(&whole);
}

/* Named by their bytes, so only their own fields speak. */
static void test_other_records(void **state)
{
	struct repo_case *c = *state;
	struct manifest_list list;
	struct buf object = {0};
	struct bad bad;

	put(c->repo, 1);
	header_put(&object, OBJECT_SNAPSHOT, 9); /* a kind that this version does not know */
	buf_put_zeros(&object, 4096 - object.len);
	MUST(repo_put(c->repo, STORE_SNAPSHOTS, &object, NULL, &c->err), &c->err);
	list = load(c->repo, &bad);
	assert_int_equal(list.count, 1);
	assert_int_equal(bad.count, 1);
	assert_int_equal(bad.why.code, ERR_VERSION);
	manifest_list_free(&list);
	object.data[4] = 2; /* a newer format */
	MUST(repo_put(c->repo, STORE_SNAPSHOTS, &object, NULL, &c->err), &c->err);
	list = load(c->repo, &bad);
	assert_int_equal(list.count, 1);
	assert_int_equal(bad.count, 2);
	assert_int_equal(bad.why.code, ERR_VERSION);
	manifest_list_free(&list);
	MUST(manifests_load(c->repo, NULL, NULL, &list, &c->err), &c->err);
	assert_int_equal(list.count, 1);
	manifest_list_free(&list);
	buf_free(&object);
}

static void test_roles(void **state)
{
	const enum role roles[] = {ROLE_WRITE, ROLE_MAINTAIN, ROLE_READ};
	struct repo_case *c = *state;
	struct id name = put(c->repo, 1);

	for (size_t i = 0; i < 3; i++) {
		struct buf text = repo_case_keyfile(c, roles[i]);
		struct repo *repo = NULL;
		struct manifest_list list;
		struct bad bad;

		MUST(repo_case_open_with(c, &text, &repo, &c->err), &c->err);
		list = load(repo, &bad);
		assert_int_equal(list.count, 1);
		assert_int_equal(bad.count, 0);
		assert_true(id_eq(&list.items[0].name, &name));
		assert_int_equal(list.items[0].m.has_read, roles[i] == ROLE_READ);
		assert_int_equal(list.items[0].m.has_maint, roles[i] != ROLE_WRITE);
		manifest_list_free(&list);
		repo_close(repo);
		buf_wipe(&text);
	}
}

static void test_store_fails(void **state)
{
	struct repo_case *c = *state;
	struct manifest_list list = {0};
	struct bad bad;

	put(c->repo, 1);
	put(c->repo, 2);
	store_fault_arm(c->fault, &(struct store_fault_plan){
				      .kind = FAULT_BEFORE, .at = 1, .ops = FAULT_OP(FAULT_LIST)});
	MUST_FAIL(manifests_load(c->repo, NULL, NULL, &list, &c->err), ERR_IO, &c->err);
	assert_null(list.items);
	store_fault_arm(c->fault, &(struct store_fault_plan){
				      .kind = FAULT_BEFORE, .at = 1, .ops = FAULT_OP(FAULT_GET)});
	list = load(c->repo, &bad);
	assert_int_equal(list.count, 1);
	assert_int_equal(bad.count, 1);
	manifest_list_free(&list);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, repo_case_setup, repo_case_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_order),
	    CASE(test_find),
	    cmocka_unit_test(test_ambiguous_prefix),
	    CASE(test_succession),
	    CASE(test_fork),
	    CASE(test_foreign_writer),
	    CASE(test_writer_that_was_revoked),
	    CASE(test_revoke_after_the_highest_number),
	    CASE(test_writer_not_in_the_roster),
	    CASE(test_damaged_manifest),
	    CASE(test_other_records),
	    CASE(test_roles),
	    CASE(test_store_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
