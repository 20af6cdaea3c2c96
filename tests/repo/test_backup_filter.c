/* backup_filter: what each rule leaves out, and what it must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/backup_filter.h"
#include "tests/support/tmpdir.h"

struct box {
	char *dir;
	int fd;
	struct sources sources;
	struct backup_filter *filter;
};

static void put(const struct box *b, const char *name, const char *text, size_t len)
{
	int fd = openat(b->fd, name, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

static void box_open(struct box *b)
{
	const char *operand;
	struct err err = {0};

	*b = (struct box){.dir = tmpdir_make()};
	b->fd = open(b->dir, O_RDONLY | O_DIRECTORY);
	assert_true(b->fd >= 0);
	operand = b->dir;
	assert_int_equal(sources_resolve(&operand, 1, &b->sources, &err), 0);
	put(b, "file", "12345", 5);
	assert_int_equal(mkdirat(b->fd, "folder", 0700), 0);
}

static void use(struct box *b, const struct backup_filter_options *options)
{
	struct err err = {0};

	backup_filter_free(b->filter);
	b->filter = NULL;
	assert_int_equal(backup_filter_new(options, &b->sources, &b->filter, &err), 0);
}

static void box_close(struct box *b)
{
	backup_filter_free(b->filter);
	sources_free(&b->sources);
	(void)close(b->fd);
	tmpdir_remove(b->dir);
}

static bool wants(const struct box *b, const char *name, const char **out_own)
{
	char *path = tmpdir_path(b->dir, name);
	const char *own;
	struct stat st;
	bool wanted = backup_filter_wants(b->filter, b->fd, name, path, &st, &own);

	if (out_own)
		*out_own = own;
	free(path);
	return wanted;
}

/* The names in the folder, joined by blanks. */
static void check_list(const struct box *b, const char *want)
{
	struct err err = {0};
	char **names, got[256] = "";
	size_t count;

	assert_int_equal(backup_filter_list(b->filter, b->fd, b->dir, &names, &count, &err), 0);
	for (size_t i = 0; i < count; i++) {
		(void)strcat(got, i ? " " : "");
		(void)strcat(got, names[i]);
	}
	assert_string_equal(got, want);
	free(names);
}

static void no_rule(void **state)
{
	struct backup_filter_options o = {0};
	const char *own;
	struct box b;

	(void)state;
	box_open(&b);
	use(&b, &o);
	assert_true(wants(&b, "file", &own) && !own);
	assert_true(wants(&b, "folder", NULL));
	assert_true(wants(&b, "gone", NULL)); /* its reader says so */
	check_list(&b, "file folder");
	box_close(&b);
}

static void patterns_and_sizes(void **state)
{
	const char *patterns[] = {"fol*"};
	struct backup_filter_options o = {
	    .excludes = patterns, .exclude_count = 1, .has_largest = true, .largest_bytes = 5};
	struct box b;

	(void)state;
	box_open(&b);
	use(&b, &o);
	assert_false(wants(&b, "folder", NULL));
	assert_true(wants(&b, "file", NULL));
	o.exclude_count = 0;
	o.largest_bytes = 4;
	assert_true(wants(&b, "folder", NULL));
	assert_false(wants(&b, "file", NULL));
	o.largest_bytes = 0;
	put(&b, "empty", "", 0);
	assert_true(wants(&b, "empty", NULL));
	assert_int_equal(symlinkat("file", b.fd, "link"), 0);
	assert_true(wants(&b, "link", NULL));
	box_close(&b);
}

static void markers(void **state)
{
	const char *names[] = {"TAG", "SIGNED:head"};
	struct backup_filter_options o = {.if_present = names, .if_present_count = 2};
	struct box b;

	(void)state;
	box_open(&b);
	use(&b, &o);
	check_list(&b, "file folder");
	put(&b, "SIGNED", "hea", 3);
	check_list(&b, "SIGNED file folder");
	put(&b, "SIGNED", "heap", 4);
	check_list(&b, "SIGNED file folder");
	put(&b, "SIGNED", "head and more", 13);
	check_list(&b, "SIGNED");
	put(&b, "TAG", "", 0);
	check_list(&b, "SIGNED TAG");
	assert_int_equal(unlinkat(b.fd, "SIGNED", 0), 0);
	check_list(&b, "TAG");
	/* a link to nowhere is there; a folder or a fifo has no header, and is not waited for */
	assert_int_equal(unlinkat(b.fd, "TAG", 0), 0);
	assert_int_equal(mkfifoat(b.fd, "SIGNED", 0600), 0);
	check_list(&b, "SIGNED file folder");
	assert_int_equal(symlinkat("nowhere", b.fd, "TAG"), 0);
	check_list(&b, "SIGNED TAG");
	box_close(&b);
}

static void marker_names(void **state)
{
	static const char *const bad[] = {"", ":x", "a/b", "/a"};
	struct backup_filter_options o = {.if_present_count = 1};
	struct backup_filter *f = NULL;
	struct err err = {0};
	struct box b;

	(void)state;
	box_open(&b);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.if_present = &bad[i];
		assert_int_equal(backup_filter_new(&o, &b.sources, &f, &err), -ERR_USAGE);
		assert_null(f);
	}
	box_close(&b);
}

static void own_folders(void **state)
{
	struct backup_own own[] = {{NULL, "ours"}, {"/nowhere/at/all", "x"}, {"sftp:h:/p", "y"}};
	struct backup_filter_options o = {.own = own, .own_count = 3};
	const char *told;
	struct box b;
	char *link, *file;

	(void)state;
	box_open(&b);
	link = tmpdir_path(b.dir, "link");
	file = tmpdir_path(b.dir, "file");
	assert_int_equal(symlinkat("folder", b.fd, "link"), 0);
	own[0].path = link;
	use(&b, &o);
	assert_false(wants(&b, "folder", &told));
	assert_string_equal(told, "ours");
	assert_true(wants(&b, "link", &told) && !told);
	own[0].path = file; /* no folder: nothing of ours */
	use(&b, &o);
	assert_true(wants(&b, "file", NULL) && wants(&b, "folder", NULL));
	free(link);
	free(file);
	box_close(&b);
}

/* Without a mount of our own: /proc and /dev/shm are on other devices than the temporary folder. */
static void other_devices(void **state)
{
	struct backup_filter_options o = {.one_file_system = true};
	const char *const both[] = {"/", "/proc"};
	struct backup_filter *f = NULL;
	struct err err = {0};
	struct sources s;
	struct stat root, proc, st;
	const char *own;
	char **names;
	size_t count;
	int fd;

	(void)state;
	if (stat("/", &root) != 0 || stat("/proc", &proc) != 0 || root.st_dev == proc.st_dev)
		skip();
	fd = open("/proc", O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	for (size_t n = 1; n <= 2; n++) {
		assert_int_equal(sources_resolve(both, n, &s, &err), 0);
		assert_int_equal(s.count, 1);
		assert_int_equal(backup_filter_new(&o, &s, &f, &err), 0);
		assert_true(backup_filter_wants(f, AT_FDCWD, "/proc", "/proc", &st, &own));
		assert_int_equal(backup_filter_list(f, fd, "/proc", &names, &count, &err), 0);
		assert_int_equal(count > 0, n == 2); /* both were asked for */
		free(names);
		backup_filter_free(f);
		sources_free(&s);
	}
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_rule),     cmocka_unit_test(patterns_and_sizes),
	    cmocka_unit_test(markers),     cmocka_unit_test(marker_names),
	    cmocka_unit_test(own_folders), cmocka_unit_test(other_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
