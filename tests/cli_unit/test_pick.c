/* Which backups words choose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/pick.h"

#define COUNT 4

static char a[] = "a", b[] = "b", c[] = "c", home[] = "/home", etc[] = "/etc";
static char *ab[] = {a, b}, *only_a[] = {a}, *only_c[] = {c}, *both[] = {etc, home},
	    *only_home[] = {home};

static struct manifest_item items[COUNT] = {
    {.m = {.host = a, .tags = ab, .tag_count = 2, .sources = both, .source_count = 2}},
    {.m = {.host = a, .tags = only_a, .tag_count = 1, .sources = only_home, .source_count = 1}},
    {.m = {.host = b, .tags = only_c, .tag_count = 1, .sources = only_home, .source_count = 1}},
    {.m = {.host = b, .sources = both, .source_count = 2}},
};
static const struct manifest_list list = {.items = items, .count = COUNT};

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		memset(items[i].name.b, (int)(0x11 * (i + 1)), sizeof(items[i].name.b));
	return 0;
}

#define WORDS(...)                                                                                 \
	{                                                                                          \
		.items = (const char *[]){__VA_ARGS__},                                            \
		.count = sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)              \
	}

/* want: the numbers of those that are chosen, in digits. */
static void chooses(const struct pick *pick, const char *want)
{
	struct err err = {0};
	bool *wanted = NULL;

	assert_int_equal(pick_manifests(pick, &list, 0, NULL, &wanted, &err), 0);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(wanted[i], strchr(want, (char)('0' + i)) != NULL);
	free(wanted);
}

static void filters(void **state)
{
	(void)state;
	chooses(&(struct pick){{0}, {0}, {0}}, "0123");
	chooses(&(struct pick){.hosts = WORDS("a")}, "01");
	chooses(&(struct pick){.hosts = WORDS("a", "b")}, "0123");
	chooses(&(struct pick){.hosts = WORDS("aa")}, "");
	chooses(&(struct pick){.tags = WORDS("a")}, "01");
	chooses(&(struct pick){.tags = WORDS("a,b")}, "0");
	chooses(&(struct pick){.tags = WORDS("a,b", "c")}, "02");
	chooses(&(struct pick){.tags = WORDS("")}, "3");
	chooses(&(struct pick){.tags = WORDS("a,c")}, "");
	chooses(&(struct pick){.paths = WORDS("/home")}, "0123");
	chooses(&(struct pick){.paths = WORDS("/home", "/etc")}, "03");
	chooses(&(struct pick){.paths = WORDS("/hom")}, "");
	chooses(&(struct pick){.hosts = WORDS("b"), .paths = WORDS("/etc")}, "3");
}

static int named(const struct pick *pick, char *operand, size_t want)
{
	struct err err = {0};
	bool *wanted = NULL;
	int r = pick_manifests(pick, &list, 1, &operand, &wanted, &err);

	for (size_t i = 0; !r && i < COUNT; i++)
		assert_int_equal(wanted[i], i == want);
	if (r)
		assert_true(err.text[0] != '\0');
	free(wanted);
	return r;
}

static void operands(void **state)
{
	static char latest[] = "latest", third[] = "3333", none[] = "9999", sub[] = "3333:/x";
	const struct pick plain = {{0}, {0}, {0}};

	(void)state;
	assert_int_equal(named(&plain, latest, 3), 0);
	assert_int_equal(named(&plain, third, 2), 0);
	assert_int_equal(named(&(struct pick){.hosts = WORDS("a")}, latest, 1), 0);
	assert_int_equal(named(&plain, none, 0), -ERR_MISSING);
	assert_int_equal(named(&plain, sub, 0), -ERR_USAGE);
	assert_int_equal(named(&(struct pick){.hosts = WORDS("a", "b")}, latest, 0), -ERR_USAGE);
	assert_int_equal(named(&(struct pick){.tags = WORDS("a")}, latest, 0), -ERR_USAGE);
	assert_int_equal(named(&(struct pick){.paths = WORDS("/home")}, third, 0), -ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(filters),
	    cmocka_unit_test(operands),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
