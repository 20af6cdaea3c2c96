/*
 * I1 to I4 under everything at once: eight writers, two prunes and a forget, each a process of its own, on one local
 * repository, round after round, on a clock that jumps; a third of them is killed at a random moment, others are stopped
 * while hours pass. After every round check reads every byte of every visible manifest and finds nothing wrong, and
 * backups that were acknowledged restore as they were. At the end nothing is left that nobody needs.
 *
 * `make check` runs a few rounds, `make long` many. NIGHTJAR_THRASH_SEED and NIGHTJAR_THRASH_ROUNDS choose others; what
 * the seed does not decide is how the processes interleave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/keyfile.h"
#include "repo/backup.h"
#include "repo/check.h"
#include "repo/forget.h"
#include "repo/index.h"
#include "repo/prune.h"
#include "repo/restore.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"
#include "tests/support/store_clock.h"
#include "tests/support/tmpdir.h"
#include "tests/support/treesum.h"

#define WRITERS 8
#define PRUNERS 2
#define ACTORS (WRITERS + PRUNERS + 1) /* the last forgets */
#define POOLS                                                                                      \
	3u /* of attachments; all writers take theirs from one, then from the next: what died is wanted again */
#define CONTENTS 16u /* of a pool */
#define LIVES 4      /* processes of a place, one after the other, in a round */
#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)
#define GRACE (48 * HOUR)
/* The clock jumps by so much at most while a process lives: whoever publishes late is still within the grace. */
#define JUMPS_MOST (20 * HOUR)
#define ACKED_MOST 4096

struct acked {
	struct id manifest;
	unsigned writer;
	uint8_t sum[TREESUM_BYTES]; /* of its attachments */
};

/* Shared by all processes. */
struct board {
	_Atomic int64_t now_s;
	atomic_uint acked_count, deleted, condemned, repacked, again, forgotten, failed, unsure;
	struct acked acked[ACKED_MOST];
	char why[400]; /* of the last failure */
};

struct thrash {
	char *dir; /* with repo/, and src/, cache/ of each writer */
	struct buf keyfile;
	struct board *board;
	uint64_t seed;
	unsigned rounds, round, processes, killed, stopped, restored;
};

static uint64_t rnd(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static int64_t boot(void *arg)
{
	return atomic_load(&((struct thrash *)arg)->board->now_s);
}

static int64_t now_ns(const struct thrash *t)
{
	return atomic_load(&t->board->now_s) * 1000000000;
}

static void path_of(const struct thrash *t, unsigned writer, const char *what, char out[400])
{
	(void)snprintf(out, 400, "%s/w%u/%s", t->dir, writer, what);
}

static int open_repo(const struct thrash *t, struct repo **out_repo, struct err *err)
{
	struct repo_credentials by = {.keyfile = t->keyfile.data, .keyfile_len = t->keyfile.len};
	struct store *local = NULL, *store = NULL;
	char path[400];
	int r;

	(void)snprintf(path, sizeof(path), "%s/repo", t->dir);
	r = store_local_open(path, &local, err);
	if (!r)
		r = store_clock_new(local, &t->board->now_s, &store, err);
	if (!r)
		r = repo_open(store, &by, out_repo, err);
	if (r && store)
		store_free(store);
	return r;
}

/* --- what the processes do; none of these uses cmocka --- */

/* Attachments go and come, of a few contents: what everybody has dropped, somebody takes up again. */
static void change(const struct thrash *t, unsigned writer, uint64_t *state)
{
	char path[400], name[40];

	for (unsigned i = 0; i < POOLS * CONTENTS; i++) {
		unsigned dice = (unsigned)(rnd(state) % 4);
		size_t len = 3000 + (i * 7919) % 50000;
		uint8_t *bytes;

		(void)snprintf(name, sizeof(name), "att/f%u", i);
		path_of(t, writer, name, path);
		if (i / CONTENTS != t->round / 2 % POOLS) {
			if (dice)
				(void)unlink(path);
			continue;
		}
		if (dice)
			continue;
		bytes = repo_case_block(i, len);
		kit_spew(path, bytes, len);
		free(bytes);
	}
	path_of(t, writer, "app.db", path);
	kit_make(path, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, v BLOB);"
		       "INSERT INTO t(v) SELECT randomblob(400) FROM (SELECT 1 UNION SELECT 2 "
		       "UNION SELECT 3);"
		       "UPDATE t SET v = randomblob(400) WHERE id % 7 = abs(random()) % 7");
}

static int back_up(const struct thrash *t, unsigned writer, uint64_t *state, struct err *err)
{
	char source[400], cache[400], att[400], host[20];
	const char *const paths[] = {source};
	struct backup_options options = {.paths = paths,
					 .path_count = 1,
					 .host = host,
					 .cache_dir = cache,
					 .workers = 1,
					 .now_ns = now_ns(t),
					 .boot_s = boot,
					 .boot_arg = (void *)(uintptr_t)t};
	struct acked acked = {.writer = writer};
	struct backup_result result = {0};
	struct repo *repo = NULL;
	int r;

	path_of(t, writer, "", source);
	source[strlen(source) - 1] = '\0';
	(void)snprintf(cache, sizeof(cache), "%s/cache%u", t->dir, writer);
	(void)snprintf(host, sizeof(host), "host%u", writer);
	change(t, writer, state);
	path_of(t, writer, "att", att);
	treesum(att, NULL, acked.sum);
	r = open_repo(t, &repo, err);
	if (!r)
		r = backup_run(repo, &options, &result, err);
	repo_close(repo);
	if (!r && result.unreadable)
		r = err_set(err, ERR_IO, "%llu entries were left out",
			    (unsigned long long)result.unreadable);
	if (!r) {
		unsigned at = atomic_fetch_add(&t->board->acked_count, 1);

		acked.manifest = result.manifest;
		if (at < ACKED_MOST)
			t->board->acked[at] = acked;
	}
	return r;
}

static int prune(const struct thrash *t, struct prune_result *out, struct err *err)
{
	const struct prune_options options = {
	    .grace_s = GRACE, .boot_s = boot, .arg = (void *)(uintptr_t)t};
	struct repo *repo = NULL;
	int r = open_repo(t, &repo, err);

	if (!r)
		r = prune_run(repo, &options, out, err);
	repo_close(repo);
	atomic_fetch_add(&t->board->deleted, (unsigned)out->deleted.packs);
	atomic_fetch_add(&t->board->condemned, (unsigned)out->condemned.packs);
	atomic_fetch_add(&t->board->repacked, (unsigned)out->repacked.packs);
	atomic_fetch_add(&t->board->again, (unsigned)out->needed_again.packs);
	return r;
}

static int forget(const struct thrash *t, int64_t keep, struct err *err)
{
	struct forget_options options = {.group_by = FORGET_BY_HOST | FORGET_BY_PATHS};
	struct manifest_list list = {0};
	struct forget_plan plan = {0};
	struct forget_result result = {0};
	struct repo *repo = NULL;
	int r = open_repo(t, &repo, err);

	options.policy.count[RETENTION_LAST] = keep;
	options.policy.now_ns = now_ns(t);
	if (!r)
		r = manifests_load(repo, NULL, NULL, &list, err);
	if (!r)
		r = forget_plan(repo, &list, &options, &plan, err);
	if (!r)
		r = forget_apply(repo, &list, &plan, options.policy.now_ns, NULL, &result, err);
	atomic_fetch_add(&t->board->forgotten, (unsigned)result.removed);
	forget_plan_free(&plan);
	manifest_list_free(&list);
	repo_close(repo);
	return r;
}

static void act(const struct thrash *t, unsigned actor, uint64_t seed)
{
	struct prune_result pruned = {0};
	struct err err = {0};
	uint64_t state = seed;
	int r = actor < WRITERS             ? back_up(t, actor, &state, &err)
		: actor < WRITERS + PRUNERS ? prune(t, &pruned, &err)
					    : forget(t, 3, &err);

	if (r == -ERR_BUSY) {
		atomic_fetch_add(&t->board->unsure, 1);
	} else if (r) {
		atomic_fetch_add(&t->board->failed, 1);
		(void)snprintf(t->board->why, sizeof(t->board->why), "%s %u: %.300s",
			       actor < WRITERS ? "writer" : "prune or forget", actor, err.text);
	}
	_exit(r ? 1 : 0);
}

/* --- a round --- */

struct process {
	pid_t pid;
	int64_t stop_ms, kill_ms; /* of CLOCK_MONOTONIC; 0 = not */
	unsigned lives;           /* that are left */
};

static int64_t clock_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void launch(struct thrash *t, struct process *p, unsigned actor, uint64_t *state)
{
	uint64_t seed = rnd(state);
	/* As often within 2 ms as between 500 and 1000: how long a process takes depends on the machine. */
	int64_t when_ms = 1 + (int64_t)(rnd(state) % (UINT64_C(1) << rnd(state) % 11));
	unsigned fate = (unsigned)(rnd(state) % 6);

	p->kill_ms = fate < 2 ? clock_ms() + when_ms : 0;
	p->stop_ms = fate == 2 || fate == 3 ? clock_ms() + when_ms : 0;
	p->lives--;
	t->processes++;
	(void)fflush(NULL);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0)
		act(t, actor, seed);
}

/* Stops the process while the clock of everything goes on, as a machine that sleeps; or kills it. */
static void disturb(struct thrash *t, struct process *p, int64_t *jumps, uint64_t *state)
{
	int64_t ms = clock_ms();

	if (p->kill_ms && ms >= p->kill_ms) {
		(void)kill(p->pid, SIGKILL);
		p->kill_ms = 0;
		t->killed++;
	}
	if (p->stop_ms && ms >= p->stop_ms) {
		int64_t jump = (int64_t)(rnd(state) % (uint64_t)(JUMPS_MOST / 3));

		p->stop_ms = 0;
		if (*jumps + jump > JUMPS_MOST)
			return;
		*jumps += jump;
		(void)kill(p->pid, SIGSTOP);
		atomic_fetch_add(&t->board->now_s, jump);
		(void)usleep(20000);
		(void)kill(p->pid, SIGCONT);
		t->stopped++;
	}
}

static void run_round(struct thrash *t, uint64_t *state)
{
	struct process p[ACTORS] = {{0}};
	unsigned left = ACTORS;
	int64_t jumps = 0;

	for (unsigned i = 0; i < ACTORS; i++) {
		p[i].lives = LIVES;
		launch(t, &p[i], i, state);
	}
	while (left) {
		(void)usleep(1000);
		for (unsigned i = 0; i < ACTORS; i++) {
			int status;

			if (!p[i].pid)
				continue;
			disturb(t, &p[i], &jumps, state);
			if (waitpid(p[i].pid, &status, WNOHANG) != p[i].pid)
				continue;
			if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
				fail_msg("process %u died of signal %d", i, WTERMSIG(status));
			p[i].pid = 0;
			if (p[i].lives)
				launch(t, &p[i], i, state);
			else
				left--;
		}
	}
	if (atomic_load(&t->board->failed))
		fail_msg("%s", t->board->why);
	atomic_fetch_add(&t->board->now_s, 1 + (int64_t)(rnd(state) % (uint64_t)(2 * DAY)));
}

/* --- what must hold --- */

static void on_damage(void *arg, const char *object, const char *text)
{
	(void)arg;
	printf("# %s: %s\n", object, text);
}

static void on_touched(void *arg, const struct id *manifest, const char *path, const char *text)
{
	(void)manifest;
	on_damage(arg, path, text);
}

static void assert_clean(const struct thrash *t)
{
	const struct check_options options = {
	    .read_data = true, .damage = on_damage, .touched = on_touched};
	struct check_result result;
	struct repo *repo = NULL;
	struct err err = {0};

	MUST(open_repo(t, &repo, &err), &err);
	MUST(check_run(repo, &options, &result, &err), &err);
	assert_int_equal(result.damaged, 0);
	repo_close(repo);
}

static void restore_one(struct thrash *t, struct reader *reader, const struct manifest *m,
			const struct acked *a)
{
	char target[300], source[400], back[800];
	const struct restore_options options = {.target = target, .verify = true};
	struct restore_result result = {0};
	uint8_t sum[TREESUM_BYTES];
	struct err err = {0};

	(void)snprintf(target, sizeof(target), "%s/back", t->dir);
	path_of(t, a->writer, "att", source);
	(void)snprintf(back, sizeof(back), "%s%s", target, source);
	MUST(restore_run(reader, m, &options, &result, &err), &err);
	assert_int_equal(result.failed, 0);
	assert_int_equal(result.databases, 1);
	treesum(back, NULL, sum);
	assert_memory_equal(sum, a->sum, sizeof(sum));
	tmpdir_remove(strdup(target));
	t->restored++;
}

static const struct acked *find_acked(const struct thrash *t, const struct id *manifest)
{
	unsigned count = atomic_load(&t->board->acked_count);

	assert_true(count <= ACKED_MOST);
	for (unsigned i = 0; i < count; i++)
		if (id_eq(&t->board->acked[i].manifest, manifest))
			return &t->board->acked[i];
	return NULL;
}

/* One in so many of those that are left of the acknowledged backups. */
static void assert_restores(struct thrash *t, unsigned one_in, uint64_t *state)
{
	struct manifest_list list = {0};
	struct reader *reader = NULL;
	struct index *index = NULL;
	struct repo *repo = NULL;
	struct err err = {0};

	MUST(open_repo(t, &repo, &err), &err);
	MUST(manifests_load(repo, NULL, NULL, &list, &err), &err);
	MUST(index_load(repo, NULL, NULL, &index, &err), &err);
	MUST(reader_new(repo, index, &reader, &err), &err);
	assert_int_equal(list.bad, 0);
	for (size_t i = 0; i < list.count; i++) {
		const struct acked *a = find_acked(t, &list.items[i].name);

		if (a && rnd(state) % one_in == 0)
			restore_one(t, reader, &list.items[i].m, a);
	}
	reader_free(reader);
	index_free(index);
	manifest_list_free(&list);
	repo_close(repo);
}

/* When all is quiet, a few prunes leave nothing but what is needed, and what moving it would not be worth. */
static void assert_no_garbage(struct thrash *t)
{
	struct prune_result result = {0};
	struct repo *repo = NULL;
	struct err err = {0};
	unsigned runs = 0;

	MUST(forget(t, 1, &err), &err);
	do {
		assert_true(runs++ < 8);
		result = (struct prune_result){0};
		MUST(prune(t, &result, &err), &err);
		atomic_fetch_add(&t->board->now_s, 15 * DAY);
	} while (result.waiting.packs || result.condemned.packs || result.watched.packs ||
		 result.deleted.packs);
	MUST(open_repo(t, &repo, &err), &err);
	assert_int_equal(result.manifests, WRITERS);
	assert_int_equal(repo_case_count(repo->store, STORE_LOCKS), 0);
	assert_int_equal(repo_case_count(repo->store, STORE_DATA), result.after.packs);
	assert_true(result.unused_bytes * 100 <=
		    PRUNE_UNUSED_DEFAULT_PERCENT * (result.used_bytes + result.unused_bytes));
	repo_close(repo);
	printf("# quiet after %u prunes: %llu packs, %llu of %llu bytes unused\n", runs,
	       (unsigned long long)result.after.packs, (unsigned long long)result.unused_bytes,
	       (unsigned long long)(result.used_bytes + result.unused_bytes));
}

/* --- the test --- */

static uint64_t chosen(const char *name, uint64_t otherwise)
{
	const char *word = getenv(name);

	return word ? strtoull(word, NULL, 10) : otherwise;
}

static void make_repo(struct thrash *t)
{
	struct repo_init_options options = {.now_s = 1000};
	struct store *store = NULL;
	struct keys *keys = NULL;
	struct err err = {0};
	char path[400];

	(void)snprintf(path, sizeof(path), "%s/repo", t->dir);
	MUST(store_local_open(path, &store, &err), &err);
	MUST(repo_new_keys(&keys, &err), &err);
	MUST(repo_init(store, keys, &options, &err), &err);
	MUST(keyfile_enc(keys, ROLE_FULL, &t->keyfile, &err), &err);
	keys_free(keys);
	store_free(store);
	for (unsigned w = 0; w < WRITERS; w++) {
		uint64_t state = t->seed + w;

		path_of(t, w, "", path);
		assert_int_equal(mkdir(path, 0700), 0);
		path_of(t, w, "att", path);
		assert_int_equal(mkdir(path, 0700), 0);
		(void)snprintf(path, sizeof(path), "%s/cache%u", t->dir, w);
		assert_int_equal(mkdir(path, 0700), 0);
		MUST(back_up(t, w, &state, &err), &err);
	}
}

static void test_thrash(void **unused)
{
	struct thrash t = {
	    .seed = chosen("NIGHTJAR_THRASH_SEED", 1),
	    .rounds = (unsigned)chosen("NIGHTJAR_THRASH_ROUNDS", getenv("NIGHTJAR_LONG") ? 30 : 2)};
	uint64_t state = t.seed;
	struct board *b;

	(void)unused;
	b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(b != MAP_FAILED);
	t.board = b;
	t.dir = tmpdir_make();
	atomic_store(&b->now_s, INT64_C(1700000000));
	printf("# seed %llu, %u rounds\n", (unsigned long long)t.seed, t.rounds);
	make_repo(&t);
	for (unsigned i = 0; i < t.rounds; i++) {
		t.round = i;
		run_round(&t, &state);
		assert_clean(&t);
		assert_restores(&t, 8, &state);
	}
	assert_restores(&t, 1, &state);
	assert_no_garbage(&t);
	assert_clean(&t);
	assert_restores(&t, 1, &state);
	printf("# %u backups acknowledged, %u restored, %u manifests forgotten; of %u processes %u "
	       "killed, "
	       "%u stopped, %u gave up for now\n",
	       b->acked_count, t.restored, b->forgotten, t.processes, t.killed, t.stopped,
	       b->unsure);
	printf("# packs: %u condemned, %u of these repacked, %u needed again, %u deleted\n",
	       b->condemned, b->repacked, b->again, b->deleted);
	/* Or it was not much of a test. */
	assert_true(t.killed > 0 && t.stopped > 0 && b->forgotten > 0);
	assert_true(b->condemned > 0 && b->repacked > 0 && b->deleted > 0);
	tmpdir_remove(t.dir);
	buf_wipe(&t.keyfile);
	(void)munmap(b, sizeof(*b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_thrash)};

	return cmocka_run_group_tests_name("thrash", tests, NULL, NULL);
}
