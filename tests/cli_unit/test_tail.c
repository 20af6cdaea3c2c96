/* tail: everything goes through, the last of it is kept in whole lines, and secrets are not in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tail.h"

static FILE *begin(struct tail *tail, FILE *to)
{
	struct err err = {0};
	FILE *f;

	memset(tail, 0, sizeof(*tail));
	assert_int_equal(tail_open(tail, to, &f, &err), 0);
	return f;
}

static char *text_of(const struct tail *tail, const char *secret)
{
	struct err err = {0};
	char *text;

	assert_int_equal(tail_text(tail, secret, &text, &err), 0);
	return text;
}

static void passes_everything_on(void **state)
{
	struct tail *tail = malloc(sizeof(*tail));
	char *through = NULL, *kept;
	size_t len = 0;
	FILE *to = open_memstream(&through, &len), *f;

	(void)state;
	assert_true(tail && to);
	f = begin(tail, to);
	for (int i = 0; i < 3000; i++)
		assert_true(fprintf(f, "line %d\n", i) > 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(fclose(to), 0);
	assert_memory_equal(through, "line 0\nline 1\n", 14);
	assert_string_equal(through + len - 10, "line 2999\n");
	kept = text_of(tail, NULL);
	assert_memory_equal(kept, "line ", 5);
	assert_in_range(strlen(kept), TAIL_BYTES - 20, TAIL_BYTES);
	assert_string_equal(kept, through + len - strlen(kept));
	free(kept);
	free(through);
	free(tail);
}

static void two_streams_in_order(void **state)
{
	struct tail *tail = malloc(sizeof(*tail));
	FILE *null = fopen("/dev/null", "w"), *a, *b;
	struct err err = {0};
	char *kept;

	(void)state;
	assert_true(tail && null);
	a = begin(tail, null);
	assert_int_equal(tail_open(tail, null, &b, &err), 0);
	(void)fprintf(a, "one\n");
	(void)fprintf(b, "two\n");
	(void)fprintf(a, "three\n");
	kept = text_of(tail, NULL);
	assert_string_equal(kept, "one\ntwo\nthree\n");
	free(kept);
	(void)fclose(a);
	(void)fclose(b);
	(void)fclose(null);
	free(tail);
}

static void no_secrets(void **state)
{
	struct tail *tail = malloc(sizeof(*tail));
	FILE *null = fopen("/dev/null", "w"), *f;
	char *kept;

	(void)state;
	assert_true(tail && null);
	f = begin(tail, null);
	(void)fprintf(f, "to rest:https://me:p@ss@host/x and http://a/b@c, 's3://u@h'\n");
	(void)fprintf(f, "ping https://hc/uuid/fail and https://hc/uuid\n");
	kept = text_of(tail, "https://hc/uuid");
	assert_string_equal(kept, "to rest:https://host/x and http://a/b@c, 's3://h'\n"
				  "ping ***/fail and ***\n");
	free(kept);
	(void)fclose(f);
	(void)fclose(null);
	free(tail);
}

/* Half of it would be left of a secret that the ring has cut. */
static void no_half_line(void **state)
{
	struct tail *tail = malloc(sizeof(*tail));
	FILE *null = fopen("/dev/null", "w"), *f;
	char *kept;

	(void)state;
	assert_true(tail && null);
	f = begin(tail, null);
	for (unsigned i = 0; i < TAIL_BYTES; i++)
		(void)fputc('x', f);
	(void)fflush(f);
	kept = text_of(tail, NULL);
	assert_int_equal(strlen(kept), TAIL_BYTES);
	free(kept);
	(void)fputc('y', f);
	(void)fflush(f);
	kept = text_of(tail, NULL);
	assert_string_equal(kept, "");
	free(kept);
	(void)fprintf(f, "z\nlast\n");
	kept = text_of(tail, NULL);
	assert_string_equal(kept, "last\n");
	free(kept);
	(void)fclose(f);
	(void)fclose(null);
	free(tail);
}

static void a_failed_write_is_seen(void **state)
{
	struct tail *tail = malloc(sizeof(*tail));
	FILE *full = fopen("/dev/full", "w"), *f;

	(void)state;
	assert_true(tail && full);
	f = begin(tail, full);
	errno = 0;
	assert_int_equal(fprintf(f, "line\n") >= 0 && fflush(f) == 0, 0);
	assert_int_equal(errno, ENOSPC);
	(void)fclose(f);
	(void)fclose(full);
	free(tail);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(passes_everything_on),
	    cmocka_unit_test(two_streams_in_order),
	    cmocka_unit_test(no_secrets),
	    cmocka_unit_test(no_half_line),
	    cmocka_unit_test(a_failed_write_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
