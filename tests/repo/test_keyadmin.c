#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/header.h"
#include "repo/keyadmin.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

static const struct keyslot_label label_b = {.created_at = 2000, .user = "bea", .host = "desk"};

static struct id add_password(struct repo_case *c, const char *password)
{
	struct id name;

	MUST(keyadmin_add(c->repo, password, strlen(password), &repo_case_cost, &label_b, &name,
			  &c->err),
	     &c->err);
	return name;
}

static size_t slots_of(struct repo_case *c, struct keyadmin_slot **out_slots)
{
	size_t count = 0;

	c->err = (struct err){0};
	MUST(keyadmin_list(c->repo, out_slots, &count, &c->err), &c->err);
	assert_int_equal(c->err.code, 0);
	return count;
}

static size_t count_slots(struct repo_case *c)
{
	struct keyadmin_slot *slots = NULL;
	size_t count = slots_of(c, &slots);

	free(slots);
	return count;
}

static int opens(struct repo_case *c, const char *password)
{
	struct repo_credentials by = {.password = password, .password_len = strlen(password)};
	struct store *s = NULL;
	struct repo *repo = NULL;
	int r;

	MUST(store_fault_new(c->inner, &s, &c->err), &c->err);
	r = repo_open(s, &by, &repo, &c->err);
	if (r)
		store_free(s);
	repo_close(repo);
	return r;
}

static int remove_id(struct repo_case *c, const struct id *id, size_t digits, bool last_too)
{
	char hex[ID_HEX_CHARS + 1];
	struct id removed;
	int r;

	id_hex(id, hex);
	hex[digits] = '\0';
	r = keyadmin_remove(c->repo, hex, last_too, &removed, &c->err);
	if (!r)
		assert_true(id_eq(id, &removed));
	return r;
}

/* found: the first of those that it opens. */
static int find(struct repo_case *c, const char *password, struct id *found, size_t *out_count)
{
	struct id *names = NULL;
	int r = keyadmin_find(c->repo, password, strlen(password), &names, out_count, &c->err);

	if (!r)
		*found = names[0];
	free(names);
	return r;
}

static void test_add_list_find_remove(void **state)
{
	struct repo_case *c = *state;
	struct id second = add_password(c, "second"), found, again;
	struct keyadmin_slot *slots = NULL;
	unsigned seen = 0;
	size_t n;

	assert_int_equal(slots_of(c, &slots), 2);
	for (size_t i = 0; i < 2; i++) {
		bool is_second = id_eq(&slots[i].name, &second);

		seen |= is_second ? 2 : 1;
		assert_false(slots[i].damaged);
		assert_string_equal(slots[i].label.user, is_second ? "bea" : "tester");
		assert_string_equal(slots[i].label.host, is_second ? "desk" : REPO_CASE_HOST);
		assert_int_equal(slots[i].label.created_at, is_second ? 2000 : 1000);
	}
	assert_int_equal(seen, 3);
	free(slots);
	MUST(opens(c, "second"), &c->err);
	MUST(opens(c, REPO_CASE_PASSWORD), &c->err);
	c->err = (struct err){0};
	MUST(find(c, "second", &found, &n), &c->err);
	assert_int_equal(c->err.code, 0);
	assert_true(id_eq(&found, &second) && n == 1);
	again = add_password(c, "second");
	MUST(find(c, "second", &found, &n), &c->err);
	assert_int_equal(n, 2);
	MUST(remove_id(c, &again, 64, false), &c->err);
	MUST_FAIL(find(c, "third", &found, &n), ERR_KEY, &c->err);
	MUST(remove_id(c, &second, 8, false), &c->err);
	MUST_FAIL(opens(c, "second"), ERR_KEY, &c->err);
	MUST_FAIL(find(c, "second", &found, &n), ERR_KEY, &c->err);
	MUST(opens(c, REPO_CASE_PASSWORD), &c->err);
	repo_case_assert_format(c->inner);
}

static void test_remove_refuses(void **state)
{
	struct repo_case *c = *state;
	struct id first, gone;
	size_t n;

	MUST(find(c, REPO_CASE_PASSWORD, &first, &n), &c->err);
	MUST_FAIL(remove_id(c, &first, 3, true), ERR_USAGE, &c->err);
	MUST_FAIL(remove_id(c, &first, 0, true), ERR_USAGE, &c->err);
	MUST_FAIL(remove_id(c, &first, 64, false), ERR_USAGE, &c->err); /* the last */
	assert_non_null(strstr(c->err.text, "only password"));
	MUST_FAIL(keyadmin_remove(c->repo, "xyzw", true, &gone, &c->err), ERR_MISSING, &c->err);
	gone = first;
	gone.b[20] ^= 1;
	MUST_FAIL(remove_id(c, &gone, 64, true), ERR_MISSING, &c->err);
	assert_int_equal(count_slots(c), 1);
	MUST(remove_id(c, &first, 4, true), &c->err);
	assert_int_equal(count_slots(c), 0);
	MUST_FAIL(opens(c, REPO_CASE_PASSWORD), ERR_KEY, &c->err);
}

/* Rosters and key slots lie in one folder; a roster is never removed as a key. */
static void test_rosters_are_no_keys(void **state)
{
	struct repo_case *c = *state;
	struct id *names = NULL;
	size_t count = 0, before;

	MUST(repo_list(c->inner, STORE_KEYS, &names, NULL, &count, &c->err), &c->err);
	before = count;
	add_password(c, "second");
	for (size_t i = 0; i < before; i++) {
		struct buf bytes = repo_case_get(c->inner, STORE_KEYS, &names[i]);

		if (header_type(bytes.data, bytes.len) == OBJECT_ROSTER)
			MUST_FAIL(remove_id(c, &names[i], 64, true), ERR_MISSING, &c->err);
		buf_free(&bytes);
	}
	free(names);
	assert_int_equal(repo_case_count(c->inner, STORE_KEYS), before + 1);
}

static void test_ambiguous_prefix(void **state)
{
	struct repo_case *c = *state;
	struct keyadmin_slot *slots = NULL;
	char all[ID_HEX_CHARS + 1];
	struct id out;

	/* Slots whose first two bytes are alike cannot be made at will; an empty prefix would fit all, and is refused. */
	add_password(c, "second");
	assert_int_equal(slots_of(c, &slots), 2);
	id_hex(&slots[0].name, all);
	all[0] = '\0';
	MUST_FAIL(keyadmin_remove(c->repo, all, true, &out, &c->err), ERR_USAGE, &c->err);
	assert_int_equal(count_slots(c), 2);
	free(slots);
}

/* What an init that lost a race left: not ours, and no second password that would let the last one go. */
static void put_foreign_slot(struct repo_case *c, const uint8_t repo[REPO_ID_BYTES])
{
	uint8_t master[32] = {7};
	struct buf slot = {0};

	MUST(keyslot_enc(repo, master, "x", 1, &repo_case_cost, &label_b, &slot, &c->err), &c->err);
	MUST(repo_put(c->repo, STORE_KEYS, &slot, NULL, &c->err), &c->err);
	buf_free(&slot);
}

static void test_foreign_slots(void **state)
{
	struct repo_case *c = *state;
	uint8_t other[REPO_ID_BYTES] = {1};
	struct keyadmin_slot *slots = NULL;
	struct id first;

	put_foreign_slot(c, other);
	assert_int_equal(count_slots(c), 1);
	/* One of this repository's number but another master is shown as what it is. */
	put_foreign_slot(c, c->repo->conf.repo);
	assert_int_equal(slots_of(c, &slots), 2);
	assert_true(slots[0].damaged != slots[1].damaged);
	first = slots[slots[0].damaged ? 1 : 0].name;
	MUST_FAIL(remove_id(c, &first, 64, false), ERR_USAGE, &c->err);
	MUST(remove_id(c, &slots[slots[0].damaged ? 0 : 1].name, 64, false), &c->err);
	free(slots);
	assert_int_equal(count_slots(c), 1);
}

static void test_damaged_objects(void **state)
{
	struct repo_case *c = *state;
	struct id second = add_password(c, "second"), junk = {{9}}, found;
	size_t n;

	repo_case_flip(c->inner, STORE_KEYS, &second, 100, 1);
	MUST(store_put(c->inner, STORE_KEYS, &junk, "junk", 4, &c->err), &c->err);
	assert_int_equal(count_slots(c), 1);
	MUST_FAIL(find(c, "second", &found, &n), ERR_KEY, &c->err);
	MUST(find(c, REPO_CASE_PASSWORD, &found, &n), &c->err);
	MUST_FAIL(remove_id(c, &found, 64, false), ERR_USAGE, &c->err);
}

static void test_roles(void **state)
{
	const enum role roles[] = {ROLE_WRITE, ROLE_MAINTAIN, ROLE_READ};
	struct repo_case *c = *state;
	size_t before = repo_case_count(c->inner, STORE_KEYS);

	for (size_t i = 0; i < 3; i++) {
		struct buf text = repo_case_keyfile(c, roles[i]);
		struct keyadmin_slot *slots = NULL;
		struct repo *repo = NULL;
		struct id name;
		size_t count;

		MUST(repo_case_open_with(c, &text, &repo, &c->err), &c->err);
		MUST_FAIL(keyadmin_list(repo, &slots, &count, &c->err), ERR_KEY, &c->err);
		MUST_FAIL(keyadmin_add(repo, "p", 1, &repo_case_cost, &label_b, &name, &c->err),
			  ERR_KEY, &c->err);
		MUST_FAIL(keyadmin_remove(repo, "0000", true, &name, &c->err), ERR_KEY, &c->err);
		repo_close(repo);
		buf_wipe(&text);
	}
	assert_int_equal(repo_case_count(c->inner, STORE_KEYS), before);
}

static void test_store_fails(void **state)
{
	struct repo_case *c = *state;
	struct keyadmin_slot *slots = NULL;
	struct id name;
	size_t count, n;

	store_fault_arm(c->fault, &(struct store_fault_plan){.kind = FAULT_STOP, .at = 1});
	MUST_FAIL(keyadmin_list(c->repo, &slots, &count, &c->err), ERR_IO, &c->err);
	MUST_FAIL(find(c, "x", &name, &n), ERR_IO, &c->err);
	MUST_FAIL(keyadmin_add(c->repo, "p", 1, &repo_case_cost, &label_b, &name, &c->err), ERR_IO,
		  &c->err);
	store_fault_arm(c->fault, &(struct store_fault_plan){
				      .kind = FAULT_BEFORE, .at = 1, .ops = FAULT_OP(FAULT_GET)});
	MUST_FAIL(keyadmin_list(c->repo, &slots, &count, &c->err), ERR_IO, &c->err);
	assert_null(slots);
	store_fault_arm(c->fault, &(struct store_fault_plan){0});
	assert_int_equal(count_slots(c), 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, repo_case_setup, repo_case_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_add_list_find_remove),
	    CASE(test_remove_refuses),
	    CASE(test_rosters_are_no_keys),
	    CASE(test_ambiguous_prefix),
	    CASE(test_foreign_slots),
	    CASE(test_damaged_objects),
	    CASE(test_roles),
	    CASE(test_store_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
