#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/crashlab.h"

#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/crashlab_judge.h"
#include "tests/support/spawn.h"
#include "tests/support/tmpdir.h"
#include "tests/support/treecopy.h"

#define CASE(name, stage, kind, promise, may_go, ...)                                              \
	{                                                                                          \
		name, stage, kind, promise, may_go,                                                \
		{                                                                                  \
			__VA_ARGS__, NULL                                                          \
		}                                                                                  \
	}

static const struct crash_case crash_cases[] = {
    CASE("init", STAGE_EMPTY, CRASH_INIT, "created repository", 0, "init", "--key-file", "@key"),
    CASE("backup, the first", STAGE_MADE, CRASH_BACKUP, " saved\n", 0, "backup", "--host", "night",
	 "@app"),
    CASE("backup, a second", STAGE_ONE, CRASH_BACKUP, " saved\n", 0, "backup", "--host", "night",
	 "@app"),
    CASE("backup of a new host", STAGE_ONE, CRASH_BACKUP, " saved\n", 0, "backup", "--host", "new",
	 "@app"),
    CASE("forget", STAGE_THREE, CRASH_FORGET, "removed 2 manifests", 2, "forget", "--keep-last",
	 "1"),
    CASE("prune, condemning", STAGE_FORGOTTEN, CRASH_PRUNE, "after  ", 0, "prune", "--max-unused",
	 "0"),
    CASE("prune, deleting", STAGE_CONDEMNED, CRASH_PRUNE, "after  ", 0, "prune", "--max-unused",
	 "0", "--no-writers"),
    CASE("repair index", STAGE_UNINDEXED, CRASH_REPAIR, "segments written: 1", 0, "repair",
	 "index"),
    CASE("check --repair", STAGE_ROTTEN, CRASH_REPAIR, "no damage found", 0, "check", "--repair"),
    CASE("repair packs, mending", STAGE_ROTTEN, CRASH_REPAIR, "mended by their parity: 2", 0,
	 "repair", "packs"),
    CASE("repair packs, moving", STAGE_SPOILT, CRASH_REPAIR, "nothing is lost", 0, "repair",
	 "packs"),
    CASE("copy", STAGE_OTHER, CRASH_COPY, "manifests copied: 3", 0, "copy", "--from-repo",
	 "@source", "--from-key-file", "@sourcekey"),
    CASE("restore", STAGE_THREE, CRASH_RESTORE, "restored ", 0, "restore", "latest", "--target",
	 "@out"),
    CASE("restore over others", STAGE_RESTORED, CRASH_RESTORE, "restored ", 0, "restore", "latest",
	 "--target", "@out"),
};
static const size_t crash_case_count = sizeof(crash_cases) / sizeof(crash_cases[0]);

/* --- the application --- */

static void sql(sqlite3 *db, const char *text)
{
	char *why = NULL;

	if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
}

static void write_file(const char *app, const char *name, size_t len)
{
	char *path = tmpdir_path(app, name);
	uint8_t *bytes = malloc(len);
	FILE *f = fopen(path, "w");

	assert_non_null(bytes);
	assert_non_null(f);
	randombytes_buf(bytes, len);
	memcpy(bytes, CRASH_MARKER, sizeof(CRASH_MARKER));
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	free(bytes);
	free(path);
}

static void make_app(struct crashlab *lab)
{
	char *app = tmpdir_path(lab->dir, "app"), *path = tmpdir_path(app, "live.db");
	char *folder = tmpdir_path(app, "files");

	assert_int_equal(mkdir(app, 0755), 0);
	assert_int_equal(mkdir(folder, 0755), 0);
	assert_int_equal(sqlite3_open(path, &lab->db), SQLITE_OK);
	sql(lab->db,
	    "PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;"
	    "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);"
	    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
	    "INSERT INTO notes (body) SELECT '" CRASH_MARKER
	    "' || hex(randomblob(40)) FROM n; PRAGMA wal_checkpoint");
	write_file(folder, "gone", 9000);
	write_file(folder, "stays", 12000);
	write_file(folder, "changes", 5000);
	free(app), free(path), free(folder);
}

static void go_on(struct crashlab *lab)
{
	char *folder = tmpdir_path(lab->dir, "app/files"), *gone = tmpdir_path(folder, "gone");

	sql(lab->db, "UPDATE notes SET body = body || '.' WHERE id % 9 = 0");
	assert_int_equal(unlink(gone), 0);
	write_file(folder, "changes", 6000);
	write_file(folder, "comes", 7000);
	free(folder), free(gone);
}

/* --- the stages --- */

char *crashlab_stage(const struct crashlab *lab, enum crash_stage stage)
{
	static const char *const names[] = {
	    "empty",     "made",  "one",      "three",  "forgotten", "condemned",
	    "unindexed", "other", "restored", "rotten", "spoilt",
	};

	return tmpdir_path(lab->dir, names[stage]);
}

static void run(const struct crashlab *lab, const char *const argv[])
{
	char *log = tmpdir_path(lab->work, "log");

	if (spawn_run(log, argv) != 0) {
		spawn_show(log);
		fail_msg("%s fails", argv[1]);
	}
	free(log);
}
#define RUN(lab, ...) run(lab, (const char *const[]){spawn_program(), __VA_ARGS__, NULL})

/* The disk as it is becomes a stage; its backups are those of before, and perhaps one more. */
static void keep(struct crashlab *lab, enum crash_stage stage)
{
	char ids[CRASH_IDS_MOST][65], *path = crashlab_stage(lab, stage);
	size_t count = stage == STAGE_EMPTY ? 0 : crashlab_ids(lab, ids);

	assert_true(count <= CRASH_KNOWN_MOST);
	for (size_t i = 0; i < count; i++) {
		struct crash_known *k = &lab->known[stage][i];

		memcpy(k->id, ids[i], sizeof(k->id));
		assert_true(crashlab_restored_sum(lab, k->id, k->sum));
	}
	lab->known_count[stage] = count;
	treecopy(lab->disk, path);
	free(path);
}

static void back_to(const struct crashlab *lab, enum crash_stage stage)
{
	char *path = crashlab_stage(lab, stage);

	tmpdir_remove(strdup(lab->disk));
	treecopy(path, lab->disk);
	free(path);
}

static void make_first(struct crashlab *lab)
{
	char *app = tmpdir_path(lab->dir, "app"), *key = tmpdir_path(lab->disk, "held/key");

	keep(lab, STAGE_EMPTY);
	RUN(lab, "init", "--key-file", key);
	keep(lab, STAGE_MADE);
	RUN(lab, "backup", "--host", "night", app);
	keep(lab, STAGE_ONE);
	back_to(lab, STAGE_EMPTY);
	RUN(lab, "init", "--key-file", key);
	RUN(lab, "backup", "--host", "other", app);
	keep(lab, STAGE_OTHER);
	free(app), free(key);
}

static void make_later(struct crashlab *lab)
{
	char *app = tmpdir_path(lab->dir, "app"), *out = tmpdir_path(lab->disk, "out");
	char *index = tmpdir_path(lab->disk, "repo/index"), *want = tmpdir_path(lab->dir, "want");

	back_to(lab, STAGE_ONE);
	RUN(lab, "backup", "--host", "night", app);
	RUN(lab, "backup", "--host", "night", app);
	keep(lab, STAGE_THREE);
	memcpy(lab->want_sum, lab->known[STAGE_THREE][2].sum, TREESUM_BYTES);
	RUN(lab, "restore", "latest", "--target", want);
	RUN(lab, "restore", lab->known[STAGE_THREE][0].id, "--target", out);
	keep(lab, STAGE_RESTORED);
	back_to(lab, STAGE_THREE);
	RUN(lab, "forget", "--keep-last", "1");
	keep(lab, STAGE_FORGOTTEN);
	RUN(lab, "prune", "--max-unused", "0");
	keep(lab, STAGE_CONDEMNED);
	back_to(lab, STAGE_THREE);
	tmpdir_remove(strdup(index));
	assert_int_equal(mkdir(index, 0700), 0);
	keep(lab, STAGE_UNINDEXED);
	memcpy(lab->known[STAGE_UNINDEXED], lab->known[STAGE_THREE], sizeof(lab->known[0]));
	lab->known_count[STAGE_UNINDEXED] = 3;
	free(app), free(out), free(index), free(want);
}

struct damage {
	off_t at;     /* what is written over */
	size_t bytes; /* so much of it */
	unsigned count;
	bool only_bare; /* of packs without parity */
};

/* Is that what the pack's header says of its tail? (FORMAT.md §5) */
static bool has_parity(FILE *pack)
{
	return fseek(pack, 30, SEEK_SET) == 0 && fgetc(pack) != 0;
}

static bool damage_pack(void *arg, const char *path, bool is_folder)
{
	static const uint8_t rot[4096];
	struct damage *d = arg;
	FILE *f;

	if (is_folder)
		return false;
	if (chmod(path, 0600) != 0 || !(f = fopen(path, "r+")))
		abort();
	if (!d->only_bare || !has_parity(f)) {
		if (fseek(f, d->at, SEEK_SET) != 0 || fwrite(rot, 1, d->bytes, f) != d->bytes)
			abort();
		d->count++;
	}
	if (fclose(f) != 0 || chmod(path, 0400) != 0)
		abort();
	return false;
}

static void damage(const struct crashlab *lab, enum crash_stage stage, struct damage *d)
{
	char *path = crashlab_stage(lab, stage), *data = tmpdir_path(path, "repo/data");

	(void)treesum_any(data, damage_pack, d);
	free(path), free(data);
}

/* Stages are what is known of them, and damaged then. */
static void make_damaged(struct crashlab *lab)
{
	struct damage block = {.at = 4096, .bytes = 4096};
	struct damage slot = {.at = 40, .bytes = 32, .only_bare = true};
	char *app = tmpdir_path(lab->dir, "app");

	back_to(lab, STAGE_THREE);
	keep(lab, STAGE_ROTTEN);
	damage(lab, STAGE_ROTTEN, &block);
	assert_int_equal(block.count, 2);
	back_to(lab, STAGE_ONE);
	RUN(lab, "backup", "--host", "night", "--parity", "off", app);
	keep(lab, STAGE_SPOILT);
	damage(lab, STAGE_SPOILT, &slot);
	assert_int_equal(slot.count, 1);
	free(app);
}

static void sum_source(const struct crashlab *lab, uint8_t out_sum[TREESUM_BYTES])
{
	char *repo = tmpdir_path(lab->dir, "three/repo");

	treesum(repo, NULL, out_sum);
	free(repo);
}

void crashlab_new(struct crashlab *lab)
{
	char *app;

	*lab = (struct crashlab){.dir = tmpdir_make()};
	make_app(lab);
	crashlab_enter(lab, "make");
	make_first(lab);
	go_on(lab);
	make_later(lab);
	make_damaged(lab);
	crashlab_leave(lab);
	app = tmpdir_path(lab->dir, "app");
	treesum(app, crashlab_skip_shm, lab->app_sum);
	sum_source(lab, lab->source_sum);
	free(app);
}

void crashlab_free(struct crashlab *lab)
{
	uint8_t sum[TREESUM_BYTES];

	sum_source(lab, sum);
	assert_memory_equal(sum, lab->source_sum, TREESUM_BYTES);
	assert_int_equal(sqlite3_close(lab->db), SQLITE_OK);
	tmpdir_remove(lab->dir);
}

/* --- a worker --- */

void crashlab_enter(struct crashlab *lab, const char *name)
{
	char *held;

	lab->work = tmpdir_path(lab->dir, name);
	lab->disk = tmpdir_path(lab->work, "disk");
	/* The key's own folder: whoever syncs the one that the repository is in does not sync this one. */
	held = tmpdir_path(lab->disk, "held");
	if (mkdir(lab->work, 0700) != 0 || mkdir(lab->disk, 0700) != 0 || mkdir(held, 0700) != 0)
		abort();
	spawn_environment(held, lab->disk, "repo");
	free(held);
}

void crashlab_leave(struct crashlab *lab)
{
	free(lab->disk);
	tmpdir_remove(lab->work);
	lab->disk = lab->work = NULL;
}

void crashlab_reset(const struct crashlab *lab, const struct crash_case *c)
{
	back_to(lab, c->stage);
}

static char *meaning_of(const struct crashlab *lab, const char *arg)
{
	if (strcmp(arg, "@app") == 0)
		return tmpdir_path(lab->dir, "app");
	if (strcmp(arg, "@key") == 0)
		return tmpdir_path(lab->disk, "held/key");
	if (strcmp(arg, "@source") == 0)
		return tmpdir_path(lab->dir, "three/repo");
	if (strcmp(arg, "@sourcekey") == 0)
		return tmpdir_path(lab->dir, "three/held/key");
	return arg[0] == '@' ? tmpdir_path(lab->disk, arg + 1) : strdup(arg);
}

char **crashlab_argv(const struct crashlab *lab, const struct crash_case *c)
{
	char **argv = calloc(10, sizeof(*argv));

	if (!argv)
		abort();
	argv[0] = strdup(spawn_program());
	for (size_t i = 0; c->args[i]; i++)
		argv[i + 1] = meaning_of(lab, c->args[i]);
	return argv;
}

void crashlab_free_argv(char **argv)
{
	for (size_t i = 0; argv[i]; i++)
		free(argv[i]);
	free(argv);
}

void crashlab_each(crashlab_try_fn *try_case, void *arg)
{
	const char *only = getenv("NIGHTJAR_CRASH_ONLY");
	struct crashlab lab;
	bool fine = true;

	crashlab_new(&lab);
	for (size_t i = 0; fine && i < crash_case_count; i++) {
		if (!only || strcmp(only, crash_cases[i].name) == 0)
			fine = try_case(&lab, &crash_cases[i], arg);
	}
	crashlab_free(&lab);
	if (!fine) {
		print_message("# ptrace is not permitted here\n");
		skip();
	}
}

bool crashlab_is_new(struct crash_states *states, uint64_t key)
{
	uint64_t none;

	for (size_t i = key % CRASH_STATES_MOST;; i = (i + 1) % CRASH_STATES_MOST) {
		none = 0;
		if (__atomic_compare_exchange_n(&states->keys[i], &none, key, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			if (__atomic_add_fetch(&states->count, 1, __ATOMIC_RELAXED) >=
			    CRASH_STATES_MOST)
				abort();
			return true;
		}
		if (none == key)
			return false;
	}
}

void crashlab_count(unsigned *counter)
{
	(void)__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}
