/*
 * A folder in which nothing happened is recognised, and its nodes are not read; whatever can happen in it is seen: the tree is the one that a
 * backup without any cache makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "repo/backup.h"
#include "repo/tree_read.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define S INT64_C(1000000000)

struct box {
	struct kit kit;
	struct repo_case *c;
	char src[300], q[310]; /* the folder in question is src/q */
	int64_t now_ns;        /* an hour ahead, so nothing is fresh */
	const char *path;      /* src, or q */
	const char *cache;
	const char *exclude;
	const struct id *parent;
	const char *doomed; /* vanishes in the second walk, when the folder's turn has come */
	struct backup_result result;
};

static const char *in_q(const struct box *b, const char *name, char out[600])
{
	(void)snprintf(out, 600, "%s/%s", b->q, name);
	return out;
}

static void make(const struct box *b, const char *name, const char *text)
{
	char path[600];

	kit_spew(in_q(b, name, path), text, strlen(text));
}

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof(*b));
	struct timespec now;
	char path[600];
	void *c = NULL;

	assert_non_null(b);
	kit_new(&b->kit);
	assert_int_equal(repo_case_setup(&c), 0);
	b->c = c;
	b->cache = b->kit.cache;
	(void)snprintf(b->src, sizeof(b->src), "%s/src", b->kit.dir);
	(void)snprintf(b->q, sizeof(b->q), "%s/q", b->src);
	assert_int_equal(mkdir(b->src, 0755), 0);
	assert_int_equal(mkdir(b->q, 0755), 0);
	make(b, "a", "the first file of the folder");
	make(b, "b", "the second file of the folder");
	make(b, "c", "the third file of the folder");
	assert_int_equal(symlink("a", in_q(b, "link", path)), 0);
	assert_int_equal(mkfifo(in_q(b, "pipe", path), 0600), 0);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	b->now_ns = (now.tv_sec + 3600) * S;
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;
	void *c = b->c;

	(void)repo_case_teardown(&c);
	kit_free(&b->kit);
	free(b);
	return 0;
}

static int on_progress(void *arg, const struct backup_progress *at)
{
	struct box *b = arg;
	char path[600];

	if (!b->doomed || at->phase != BACKUP_FILES || strcmp(at->path, b->q) != 0)
		return 0;
	assert_int_equal(remove(in_q(b, b->doomed, path)), 0);
	b->doomed = NULL;
	return 0;
}

/* Gives the root of the tree. */
static struct id backup(struct box *b)
{
	const char *const paths[] = {b->src};
	const struct backup_options options = {
	    .paths = paths,
	    .path_count = 1,
	    .host = REPO_CASE_HOST,
	    .cache_dir = b->cache,
	    .parent = b->parent,
	    .filter = {.excludes = &b->exclude, .exclude_count = b->exclude != NULL},
	    .now_ns = b->now_ns,
	    .cb = {.progress = on_progress, .arg = b},
	};
	struct manifest_list list = {0};
	struct id root;

	b->now_ns += 60 * S;
	repo_case_reopen(b->c);
	MUST(backup_run(b->c->repo, &options, &b->result, &b->c->err), &b->c->err);
	assert_int_equal(b->result.unreadable, 0);
	MUST(manifests_load(b->c->repo, NULL, NULL, &list, &b->c->err), &b->c->err);
	root = list.items[list.count - 1].m.root;
	manifest_list_free(&list);
	return root;
}

/* With one of which nothing is known. */
static struct id without_cache(struct box *b)
{
	const char *cache = b->cache;
	char fresh[400];
	struct id root;

	(void)snprintf(fresh, sizeof(fresh), "%s/fresh-XXXXXX", b->kit.dir);
	b->cache = mkdtemp(fresh);
	assert_non_null(b->cache);
	root = backup(b);
	b->cache = cache;
	return root;
}

/* How often the folder is listed by a backup: once by each walk. */
static unsigned listed(struct box *b)
{
	union {
		char bytes[16384];
		struct inotify_event event; /* aligned as one */
	} got;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	unsigned seen = 0;
	bool last = false; /* several calls for one listing */
	ssize_t len;

	assert_true(fd >= 0);
	assert_true(inotify_add_watch(fd, b->q, IN_ACCESS | IN_CLOSE_NOWRITE) >= 0);
	(void)backup(b);
	len = read(fd, got.bytes, sizeof(got.bytes));
	for (ssize_t at = 0; at < len;) {
		struct inotify_event e;

		memcpy(&e, got.bytes + at, sizeof(e));
		if (e.len == 0) { /* of the folder itself */
			seen += (e.mask & IN_ACCESS) && !last;
			last = e.mask & IN_ACCESS;
		}
		at += (ssize_t)(sizeof(e) + e.len);
	}
	assert_int_equal(close(fd), 0);
	return seen;
}

/* Noted by the first backup, and found by the second. */
static struct id settle(struct box *b)
{
	const struct id first = backup(b), again = backup(b);

	assert_true(id_eq(&first, &again));
	assert_int_equal(b->result.files_unmodified, 3);
	return first;
}

/* --- recognised --- */

static void test_counts(void **state)
{
	struct box *b = *state;
	struct backup_result slow, quick;
	struct id root = settle(b), other;

	quick = b->result;
	other = without_cache(b);
	slow = b->result;
	assert_true(id_eq(&root, &other));
	assert_int_equal(quick.files, slow.files);
	assert_int_equal(quick.dirs, slow.dirs);
	assert_int_equal(quick.others, slow.others);
	assert_int_equal(quick.bytes, slow.bytes);
	assert_int_equal(quick.files_unmodified, slow.files_unmodified);
	assert_int_equal(quick.files_new + quick.files_changed, 0);
	assert_int_equal(quick.others, 2);
}

static void test_is_listed_once(void **state)
{
	struct box *b = *state;
	unsigned at_first = listed(b), then = listed(b);

	assert_int_equal(at_first, 2);
	assert_int_equal(then, 1);
	make(b, "new", "one more file in the folder");
	assert_int_equal(listed(b), at_first);
	assert_int_equal(listed(b), then);
	make(b, "tiny", "x"); /* it could grow to be a database */
	assert_int_equal(listed(b), at_first);
	assert_int_equal(listed(b), at_first);
}

static int copy_list(void *arg, const struct entry *e, const struct chunk_ref *children,
		     struct err *err)
{
	(void)e;
	(void)err;
	*(struct id *)arg = children[0].id;
	return 0;
}

/* Overwrites the record of the folder's list. Its pack is as long as before. */
static void spoil_list(struct box *b, const struct id *root)
{
	struct index *index = repo_case_index(b->c);
	struct reader *reader = NULL;
	const struct index_place *place;
	const struct id *pack;
	struct buf bytes;
	struct id list;

	MUST(reader_new(b->c->repo, index, &reader, &b->c->err), &b->c->err);
	MUST(tree_lookup(reader, root, b->q, copy_list, &list, &b->c->err), &b->c->err);
	place = &index->places[index_find(index, CHUNK_TREE_LIST, &list)];
	pack = &index->packs[place->pack].name;
	bytes = repo_case_get(b->c->inner, STORE_DATA, pack);
	assert_in_range(place->offset, 1, bytes.len - place->stored_bytes);
	memset(bytes.data + place->offset, 0, place->stored_bytes);
	repo_case_replace(b->c->inner, STORE_DATA, pack, bytes.data, bytes.len);
	buf_free(&bytes);
	reader_free(reader);
	index_free(index);
}

/* Who read the folder's nodes would find nothing, and take every file for a new one. */
static void test_does_not_read_its_nodes(void **state)
{
	struct box *b = *state;
	struct id root = settle(b);

	spoil_list(b, &root);
	(void)backup(b);
	assert_int_equal(b->result.files_unmodified, 3);
	(void)without_cache(b);
	assert_int_equal(b->result.files_unmodified, 0);
}

/* --- what can happen in it --- */

static void chmod_pipe(struct box *b)
{
	char path[600];

	assert_int_equal(chmod(in_q(b, "pipe", path), 0644), 0);
}

static void chmod_file(struct box *b)
{
	char path[600];

	assert_int_equal(chmod(in_q(b, "b", path), 0755), 0);
}

static void same_size_and_time(struct box *b)
{
	char path[600];
	struct stat st;
	struct timespec times[2];

	assert_int_equal(stat(in_q(b, "b", path), &st), 0);
	make(b, "b", "the SECOND file of the folder");
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void touch(struct box *b)
{
	char path[600];

	assert_int_equal(utimensat(AT_FDCWD, in_q(b, "b", path), NULL, 0), 0);
}

static void touch_link(struct box *b)
{
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	char path[600];

	assert_int_equal(utimensat(AT_FDCWD, in_q(b, "link", path), times, AT_SYMLINK_NOFOLLOW), 0);
}

static void turn_link(struct box *b)
{
	char path[600];
	struct stat st;
	struct timespec times[2];

	assert_int_equal(lstat(in_q(b, "link", path), &st), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("b", path), 0);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void grow(struct box *b)
{
	make(b, "c", "the third file of the folder, longer");
}

static void rename_one(struct box *b)
{
	char from[600], to[600];

	assert_int_equal(rename(in_q(b, "b", from), in_q(b, "bb", to)), 0);
}

static void swap_two(struct box *b)
{
	char one[600], two[600], third[600];

	assert_int_equal(rename(in_q(b, "a", one), in_q(b, "t", third)), 0);
	assert_int_equal(rename(in_q(b, "b", two), one), 0);
	assert_int_equal(rename(third, two), 0);
}

static void remove_link(struct box *b)
{
	char path[600];

	assert_int_equal(unlink(in_q(b, "link", path)), 0);
}

static void remove_last(struct box *b)
{
	char path[600];

	assert_int_equal(unlink(in_q(b, "pipe", path)), 0);
}

static void add_file(struct box *b)
{
	make(b, "new", "a new file of the folder");
}

static void add_folder(struct box *b)
{
	char path[600];

	assert_int_equal(mkdir(in_q(b, "down", path), 0700), 0);
}

static void hard_link(struct box *b)
{
	char path[600], other[700];

	(void)snprintf(other, sizeof(other), "%s/elsewhere", b->kit.dir);
	assert_int_equal(link(in_q(b, "a", path), other), 0);
}

static void hard_link_to_pipe(struct box *b)
{
	char path[600], other[700];

	(void)snprintf(other, sizeof(other), "%s/elsewhere", b->kit.dir);
	assert_int_equal(link(in_q(b, "pipe", path), other), 0);
}

static void exclude(struct box *b)
{
	b->exclude = "c";
}

static void exclude_pipe(struct box *b)
{
	b->exclude = "pipe";
}

static void make_database(struct box *b)
{
	char path[600];

	assert_int_equal(unlink(in_q(b, "b", path)), 0);
	kit_make(path, "CREATE TABLE t(a)");
}

static void test_everything_is_seen(void **state)
{
	static void (*const happen[])(struct box *) = {
	    chmod_pipe, chmod_file, same_size_and_time, touch,       touch_link,   turn_link,
	    grow,       rename_one, swap_two,           remove_link, remove_last,  add_file,
	    add_folder, hard_link,  hard_link_to_pipe,  exclude,     exclude_pipe, make_database};

	(void)state;
	for (size_t i = 0; i < sizeof(happen) / sizeof(*happen); i++) {
		struct id before, after, slow;
		struct box *b;
		void *of = NULL;

		(void)setup(&of);
		b = of;
		before = settle(b);
		happen[i](b);
		after = backup(b);
		slow = without_cache(b);
		if (id_eq(&before, &after) || !id_eq(&after, &slow))
			fail_msg("change %zu was not seen", i);
		after = backup(b);
		assert_true(id_eq(&after, &slow));
		(void)teardown(&of);
	}
}

static void test_an_extended_attribute(void **state)
{
	struct box *b = *state;
	struct id before = settle(b), after, slow;
	char path[600];

	if (setxattr(in_q(b, "a", path), "user.nightjar", "1", 1, 0) != 0)
		skip();
	after = backup(b);
	assert_false(id_eq(&before, &after));
	slow = without_cache(b);
	assert_true(id_eq(&after, &slow));
	after = backup(b); /* it has one, and is recognised */
	assert_true(id_eq(&after, &slow));
	assert_int_equal(setxattr(path, "user.nightjar", "2", 1, 0), 0);
	after = backup(b);
	assert_false(id_eq(&after, &slow));
}

/* An exclusion that ends: what it kept out is looked for by the first walk, as a database might be. */
static void test_what_was_left_out_is_wanted(void **state)
{
	struct box *b = *state;
	char path[600];
	struct id after, slow;

	kit_make(in_q(b, "z.db", path), "CREATE TABLE t(a)");
	b->exclude = "z.db";
	(void)settle(b);
	assert_int_equal(listed(b), 2);
	b->exclude = NULL;
	after = backup(b);
	assert_int_equal(b->result.databases, 1);
	slow = without_cache(b);
	assert_true(id_eq(&after, &slow));
}

/* --- another parent, another repository --- */

/* What is counted is against the parent, whatever the cache saw last. */
static void test_an_older_parent(void **state)
{
	struct box *b = *state;
	struct id older, root, again;

	(void)settle(b);
	older = b->result.manifest;
	grow(b);
	root = backup(b);
	assert_int_equal(b->result.files_changed, 1);
	again = backup(b);
	assert_int_equal(b->result.files_changed, 0);
	b->parent = &older;
	again = backup(b);
	assert_true(id_eq(&again, &root));
	assert_int_equal(b->result.files_changed, 1);
	assert_int_equal(b->result.files_unmodified, 2);
}

static int large_object(void *arg, const struct id *name, uint64_t bytes, struct err *err)
{
	(void)err;
	if (bytes > 12 << 20)
		*(struct id *)arg = *name;
	return 0;
}

/* The nodes are there, but not all that the files, each of one chunk, became: it is stored again. */
static void test_a_lost_pack(void **state)
{
	struct box *b = *state;
	struct id root, again, pack;
	char name[8], path[600];

	for (unsigned i = 0; i < 80; i++) {
		uint8_t *bytes = repo_case_block(i, 230000);

		(void)snprintf(name, sizeof(name), "m%02u", i);
		kit_spew(in_q(b, name, path), bytes, 230000);
		free(bytes);
	}
	(void)backup(b);
	root = backup(b);
	assert_int_equal(b->result.files_unmodified, 83);
	MUST(store_list(b->c->inner, STORE_DATA, large_object, &pack, &b->c->err), &b->c->err);
	MUST(store_remove(b->c->inner, STORE_DATA, &pack, &b->c->err), &b->c->err);
	again = backup(b);
	assert_true(id_eq(&again, &root));
	assert_true(b->result.bytes_added > 10 << 20);
	(void)backup(b);
	assert_int_equal(b->result.bytes_added, 0);
}

/* --- what vanishes while the backup runs --- */

static void test_vanished_is_carried(void **state)
{
	struct box *b = *state;

	(void)settle(b);
	b->doomed = "b";
	(void)backup(b);
	assert_null(b->doomed);
	assert_int_equal(b->result.carried, 1);
	assert_int_equal(b->result.files, 3);
	(void)backup(b);
	assert_int_equal(b->result.carried, 0);
	assert_int_equal(b->result.files, 2);
}

static void test_excluded_is_not_carried(void **state)
{
	struct box *b = *state;

	(void)settle(b);
	b->exclude = "b";
	b->doomed = "b";
	(void)backup(b);
	assert_int_equal(b->result.carried, 0);
	assert_int_equal(b->result.files, 2);
}

/* What was deleted before an older parent's time must not come back. */
static void test_deleted_before_is_not_carried(void **state)
{
	struct box *b = *state;
	char path[600];
	struct id older;

	(void)settle(b);
	older = b->result.manifest;
	assert_int_equal(unlink(in_q(b, "b", path)), 0);
	(void)backup(b);
	(void)backup(b);
	assert_int_equal(b->result.files, 2);
	b->parent = &older;
	(void)backup(b);
	assert_int_equal(b->result.carried, 0);
	assert_int_equal(b->result.files, 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_counts),
	    CASE(test_is_listed_once),
	    CASE(test_does_not_read_its_nodes),
	    cmocka_unit_test(test_everything_is_seen),
	    CASE(test_an_extended_attribute),
	    CASE(test_what_was_left_out_is_wanted),
	    CASE(test_an_older_parent),
	    CASE(test_a_lost_pack),
	    CASE(test_vanished_is_carried),
	    CASE(test_excluded_is_not_carried),
	    CASE(test_deleted_before_is_not_carried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
