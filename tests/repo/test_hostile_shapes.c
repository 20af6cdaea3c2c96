/*
 * What a writer with a real key can publish of a shape that no program of ours makes: lists that name one child again and again, folders within
 * folders twice each, deltas in circles, depths and lengths that lie. Every walk ends soon, in little memory, and others' backups are as
 * they were.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/comp.h"
#include "core/node.h"
#include "repo/browse.h"
#include "repo/check.h"
#include "repo/prune.h"
#include "repo/stats.h"
#include "tests/support/attacker.h"
#include "tests/support/bytes.h"
#include "tests/support/must.h"

#define SECONDS                                                                                    \
	60 /* that all walks of one shape may take, on a slow machine; without an end it is for ever */
/* A database of LIMIT_IMAGE_CHUNKS takes 800 MiB; AddressSanitizer keeps what was freed for a while. */
#ifdef __SANITIZE_ADDRESS__
#define MOST_KIB (4000l << 10)
#else
#define MOST_KIB (1000l << 10)
#endif

static unsigned shapes;

struct box {
	struct repo_case *c;
	struct attacker *a;
	struct id good; /* the victim's backup */
	struct attacker_record records[512];
	struct buf bytes[512];
	size_t count;
};

static const struct repo_case_file files[] = {{"a", "one file", 8}, {"b", "another one", 11}};

static int setup(void **state)
{
	struct box *box = calloc(1, sizeof(*box));
	void *c = NULL;

	assert_non_null(box);
	assert_int_equal(repo_case_setup(&c), 0);
	box->c = c;
	box->good = repo_case_backup(box->c, files, 2, 1000);
	box->a = attacker_new(box->c, "evil", 0);
	*state = box;
	(void)alarm(SECONDS);
	return 0;
}

static int teardown(void **state)
{
	struct box *box = *state;
	void *c = box->c;

	(void)alarm(0);
	for (size_t i = 0; i < box->count; i++)
		buf_free(&box->bytes[i]);
	attacker_free(box->a);
	assert_int_equal(repo_case_teardown(&c), 0);
	free(box);
	return 0;
}

/* --- making them --- */

static struct id id_of(struct box *box, uint8_t kind, const struct buf *plain)
{
	struct err *err = &box->c->err;
	struct id id;

	MUST(record_id(keys_domain(box->a->repo->keys, 0, err), kind, plain->data, plain->len, &id,
		       err),
	     err);
	return id;
}

/* Takes the bytes over; zstd makes little of what repeats itself. */
static struct id add(struct box *box, uint8_t kind, struct buf *plain)
{
	struct attacker_record *r = &box->records[box->count];
	struct buf *packed = &box->bytes[box->count];
	struct comp *comp = NULL;
	struct err *err = &box->c->err;

	assert_true(box->count < 512);
	r->info = (struct record_info){
	    .kind = kind, .id = id_of(box, kind, plain), .plain_bytes = (uint32_t)plain->len};
	MUST(comp_new(0, &comp, err), err);
	MUST(comp_put(comp, 0, plain->data, plain->len, packed, &r->info.codec, err), err);
	comp_free(comp);
	r->bytes = packed->data;
	r->len = packed->len;
	box->count++;
	buf_free(plain);
	return r->info.id;
}

static struct id add_text(struct box *box, uint8_t kind, const char *text)
{
	struct buf b = {0};

	buf_put(&b, text, strlen(text));
	return add(box, kind, &b);
}

static struct id add_list(struct box *box, uint8_t kind, const struct id *body,
			  const struct chunk_ref *child, size_t times)
{
	struct chunk_ref *children = calloc(times + 1, sizeof(*children));
	struct buf b = {0};
	struct id id;

	assert_non_null(children);
	children[0] = (struct chunk_ref){kind + 1, *body};
	for (size_t i = 0; i < times; i++)
		children[i + 1] = *child;
	list_put(&b, children, times + 1);
	id = add(box, kind, &b);
	free(children);
	return id;
}

#define TIMES 1000

/* A chunk list of so many levels, each naming the one below a thousand times. */
static struct id chunk_list(struct box *box, unsigned levels, const struct id *data, bool cells)
{
	struct chunk_ref child = {CHUNK_DATA, *data};
	uint64_t below = 1, sizes[TIMES], keys[TIMES] = {0};

	for (unsigned level = 0; level < levels; level++) {
		struct buf b = {0};
		struct id body;

		for (size_t i = 0; i < TIMES; i++)
			sizes[i] = below;
		list_body_put(&b, (uint8_t)level, sizes, cells && level == 0 ? keys : NULL, TIMES);
		body = add(box, CHUNK_LIST_BODY, &b);
		child.id = add_list(box, CHUNK_LIST, &body, &child, TIMES);
		child.kind = CHUNK_LIST;
		below *= TIMES;
	}
	return child.id;
}

static struct id folder_of(struct box *box, const struct entry *entries, size_t count,
			   const struct chunk_ref *child)
{
	struct buf b = {0};
	size_t at = tree_body_begin(&b, 0);
	struct id body;

	for (size_t i = 0; i < count; i++)
		tree_body_entry(&b, &entries[i]);
	tree_body_end(&b, at, (uint32_t)count);
	body = add(box, CHUNK_TREE_BODY, &b);
	return add_list(box, CHUNK_TREE_LIST, &body, child, count);
}

static struct id file_of(struct box *box, const struct id *list, uint64_t size, uint8_t encoding)
{
	const struct chunk_ref child = {CHUNK_LIST, *list};
	struct entry e = {.name = bytes_span("f"),
			  .type = ENTRY_FILE,
			  .mode = 0644,
			  .size = size,
			  .encoding = encoding,
			  .data_bytes = size,
			  .shape = SHAPE_LIST,
			  .child_count = 1};

	return folder_of(box, &e, 1, &child);
}

/* Folders of which each holds the one below twice. */
static struct id folders(struct box *box, unsigned levels, struct id below)
{
	const struct entry twice[] = {
	    {.name = bytes_span("a"), .type = ENTRY_DIR, .mode = 0755, .child_count = 1},
	    {.name = bytes_span("b"), .type = ENTRY_DIR, .mode = 0755, .child_count = 1}};

	while (levels-- > 0) {
		const struct chunk_ref child = {CHUNK_TREE_LIST, below};

		below = folder_of(box, twice, 2, &child);
	}
	return below;
}

static void publish(struct box *box, const struct id *root)
{
	struct indexseg_pack pack = attacker_pack(box->a, box->records, box->count, 1);

	(void)attacker_segment(box->a, &pack, 1);
	pack_dir_free(&pack.dir);
	if (root)
		(void)attacker_manifest(box->a, "evil", "/f", 2000, 1, root);
}

/* --- what must stay so --- */

static void prune_as(struct box *box, enum role role)
{
	const struct prune_options options = {.no_writers = true, .unused = PRUNE_UNUSED_PERCENT};
	struct buf key = repo_case_keyfile(box->c, role);
	struct prune_result result;
	struct repo *repo = NULL;
	struct err why = {0};
	int r;

	MUST(repo_case_open_with(box->c, &key, &repo, &box->c->err), &box->c->err);
	r = prune_run(repo, &options, &result, &why);
	/* Where something that the hostile backup needs is missing, nothing is deleted. */
	assert_true(r == 0 || (r == -ERR_DAMAGED && why.text[0]));
	repo_close(repo);
	buf_wipe(&key);
}

static int no_bytes(void *arg, const void *bytes, size_t len, struct err *err)
{
	uint64_t *total = arg;

	(void)bytes;
	*total += len;
	return *total < 100000 ? 0 : err_set(err, ERR_CANCELLED, "enough");
}

/* A restore of it writes what it claims, for as long as there is room; it begins at once, and can be stopped. */
static void dump(struct box *box, const char *path)
{
	struct manifest_list list = {0};
	struct reader *reader = NULL;
	struct index *index = repo_case_index(box->c);
	uint64_t total = 0;
	struct err why = {0};
	int r;

	MUST(manifests_load(box->c->repo, NULL, NULL, &list, &box->c->err), &box->c->err);
	MUST(reader_new(box->c->repo, index, &reader, &box->c->err), &box->c->err);
	r = browse_dump(reader, &list.items[list.count - 1].m, path, no_bytes, &total, &why);
	assert_true(r == 0 || why.text[0]);
	reader_free(reader);
	index_free(index);
	manifest_list_free(&list);
}

static uint64_t survives(struct box *box)
{
	const struct check_options options = {.read_data = true};
	struct check_result result;
	struct rusage used;

	repo_case_reopen(box->c);
	MUST(check_run(box->c->repo, &options, &result, &box->c->err), &box->c->err);
	prune_as(box, ROLE_MAINTAIN);
	prune_as(box, ROLE_FULL);
	MUST(repo_case_try_read(box->c->repo, &box->good, files, 2, &box->c->err), &box->c->err);
	MUST_FAIL(repo_case_try_read(box->c->repo, &box->good,
				     (const struct repo_case_file[]){{"a", "x", 1}}, 1,
				     &box->c->err),
		  ERR_DAMAGED, &box->c->err);
	assert_int_equal(getrusage(RUSAGE_SELF, &used), 0);
	if (used.ru_maxrss > MOST_KIB)
		fail_msg("%ld KiB of memory", used.ru_maxrss);
	shapes++;
	return result.damaged;
}

/* --- shapes --- */

static void test_one_child_again_and_again(void **state)
{
	for (int i = 0; i < 4; i++) {
		const uint64_t size = UINT64_C(1000000000000000000);
		struct box *box;
		struct id data, root, list;

		assert_int_equal(setup(state), 0);
		box = *state;
		data = add_text(box, CHUNK_DATA, "x");
		if (i & 1) /* which is not there */
			box->count--, buf_free(&box->bytes[box->count]);
		list = chunk_list(box, 6, &data, i & 2);
		root = file_of(box, &list, size, i & 2 ? ENCODING_CELLS : ENCODING_BYTES);
		publish(box, &root);
		assert_int_equal(survives(box) > 0, i & 1);
		dump(box, "/f");
		assert_int_equal(teardown(state), 0);
	}
}

static void test_folders_twice(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct id data, list, root;
		struct box *box;

		assert_int_equal(setup(state), 0);
		box = *state;
		data = add_text(box, CHUNK_DATA, "y");
		if (i)
			box->count--, buf_free(&box->bytes[box->count]);
		list = chunk_list(box, 1, &data, false);
		root = file_of(box, &list, TIMES, ENCODING_BYTES);
		root = folders(box, 60, root);
		publish(box, &root);
		assert_int_equal(survives(box) > 0, i);
		assert_int_equal(teardown(state), 0);
	}
}

/* A list that is its own child cannot be made: its id is a hash. One that says so has another id. */
static void test_list_of_itself(void **state)
{
	struct box *box = *state;
	struct chunk_ref self = {CHUNK_TREE_LIST, bytes_id(1)};
	struct id body = add_text(box, CHUNK_TREE_BODY, "no body");
	struct id root = add_list(box, CHUNK_TREE_LIST, &body, &self, 1);

	box->records[box->count - 1].info.id = self.id;
	publish(box, &self.id);
	assert_true(survives(box) > 0);
	assert_false(id_eq(&root, &self.id));
}

/* A delta whose bytes are garbage, on bases as given. */
static void add_delta(struct box *box, unsigned id, unsigned depth, const unsigned *bases,
		      size_t count)
{
	struct attacker_record *r = &box->records[box->count++];

	r->info = (struct record_info){.kind = CHUNK_DATA,
				       .id = bytes_id(id),
				       .codec = CODEC_DELTA,
				       .depth = (uint8_t)depth,
				       .base_count = (uint8_t)count,
				       .plain_bytes = LIMIT_CHUNK_BYTES};
	for (size_t i = 0; i < count; i++)
		r->info.bases[i] = bytes_id(bases[i]);
	r->bytes = "garbage";
	r->len = 7;
}

/* Circles, copies of every depth, bases that are missing, each with the most bases there can be. */
static void test_circles(void **state)
{
	struct box *box = *state;
	struct index *index = NULL;
	struct reader *reader = NULL;

	/* Four ids, each on the three others. */
	for (unsigned n = 0; n < 500; n++) {
		const unsigned bases[] = {(n + 1) % 4 + 1, (n + 2) % 4 + 1, (n + 3) % 4 + 1};

		add_delta(box, n % 4 + 1, n / 2 + 1, bases, n % 3 + 1);
	}
	publish(box, NULL);
	assert_int_equal(survives(box) > 0, 0); /* nobody asks for them: not whole, and no loss */
	publish(box, NULL);
	index = repo_case_index(box->c);
	MUST(reader_new(box->c->repo, index, &reader, &box->c->err), &box->c->err);
	for (unsigned id = 1; id <= 4; id++) {
		const struct id name = bytes_id(id);
		struct buf out = {0};

		assert_true(reader_get(reader, CHUNK_DATA, &name, &out, &box->c->err) < 0);
		assert_int_equal(out.len, 0);
		buf_free(&out);
	}
	reader_free(reader);
	index_free(index);
	box->count = 0;
}

/* zstd that gives more than it says, or less, or says the most there can be. */
static void test_lengths(void **state)
{
	const uint32_t says[] = {1, 1000, LIMIT_CHUNK_BYTES};

	for (size_t i = 0; i < 3; i++) {
		struct buf zeros = {0};
		struct box *box;
		struct id data, list, root;

		assert_int_equal(setup(state), 0);
		box = *state;
		buf_put_zeros(&zeros, LIMIT_CHUNK_BYTES - 1);
		data = add(box, CHUNK_DATA, &zeros);
		box->records[box->count - 1].info.plain_bytes = says[i];
		list = chunk_list(box, 1, &data, false);
		root = file_of(box, &list, TIMES, ENCODING_BYTES);
		publish(box, &root);
		assert_true(survives(box) > 0);
		dump(box, "/f");
		assert_int_equal(teardown(state), 0);
	}
}

static void test_counts(void **state)
{
	(void)state;
	printf("# hostile shapes: %u, each checked, pruned by two roles, others read beside it\n",
	       shapes);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_child_again_and_again),
	    cmocka_unit_test(test_folders_twice),
	    CASE(test_list_of_itself),
	    CASE(test_circles),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
