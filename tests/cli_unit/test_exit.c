/* Exit codes: the order of precedence that DESIGN promises, and what errors become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli/exit.h"

static const enum exit_code order[] = {130, 12, 10, 24, 1, 20, 21, 22, 23, 2, 3, 11};
#define COUNT (sizeof(order) / sizeof(order[0]))

static void nothing_is_ok(void **state)
{
	struct exit_codes codes = {0};
	enum exit_code all[EXIT_CODES];

	(void)state;
	exit_add(&codes, EXIT_OK);
	assert_int_equal(exit_first(&codes), EXIT_OK);
	assert_int_equal(exit_list(&codes, all), 0);
}

/* Every pair, added in both orders. */
static void earlier_wins(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		for (size_t k = i; k < COUNT; k++) {
			struct exit_codes one = {0}, two = {0};

			exit_add(&one, order[i]);
			exit_add(&one, order[k]);
			exit_add(&two, order[k]);
			exit_add(&two, order[i]);
			assert_int_equal(exit_first(&one), order[i]);
			assert_int_equal(exit_first(&two), order[i]);
		}
	}
}

static void all_are_listed_once(void **state)
{
	struct exit_codes codes = {0};
	enum exit_code all[EXIT_CODES];

	(void)state;
	for (size_t i = COUNT; i-- > 0;) {
		exit_add(&codes, order[i]);
		exit_add(&codes, order[i]);
	}
	assert_int_equal(exit_list(&codes, all), COUNT);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(all[i], order[i]);
}

static void errors_become_codes(void **state)
{
	static const struct {
		enum err_code err;
		enum exit_code code;
	} table[] = {{ERR_NOMEM, 1},   {ERR_IO, 1},          {ERR_FULL, 1},     {ERR_MISSING, 1},
		     {ERR_EXISTS, 1},  {ERR_DAMAGED, 1},     {ERR_VERSION, 1},  {ERR_KEY, 12},
		     {ERR_LIMIT, 1},   {ERR_USAGE, 2},       {ERR_BUSY, 11},    {ERR_SOURCE, 1},
		     {ERR_NOREPO, 10}, {ERR_CANCELLED, 130}, {ERR_ROLLBACK, 24}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct err err = {.code = (int)table[i].err};

		assert_int_equal(exit_of_err(&err), table[i].code);
	}
}

static void every_code_has_words(void **state)
{
	(void)state;
	assert_string_equal(exit_text(EXIT_OK), "ok");
	for (size_t i = 0; i < COUNT; i++)
		assert_string_not_equal(exit_text(order[i]), "ok");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_ok),        cmocka_unit_test(earlier_wins),
	    cmocka_unit_test(all_are_listed_once),  cmocka_unit_test(errors_become_codes),
	    cmocka_unit_test(every_code_has_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
