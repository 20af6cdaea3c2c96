#include "tests/support/crashlab_judge.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/spawn.h"
#include "tests/support/tmpdir.h"

#define TRY(what, cond)                                                                            \
	do {                                                                                       \
		if (!why && !(cond))                                                               \
			why = (what);                                                              \
	} while (0)

static int run(const struct crashlab *lab, const char *const argv[])
{
	char *log = tmpdir_path(lab->work, "log");
	int status = spawn_run(log, argv);

	free(log);
	return status;
}
#define RUN(lab, ...) run(lab, (const char *const[]){spawn_program(), __VA_ARGS__, NULL})

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t room = 0;

	if (!f)
		return strdup("");
	if (getdelim(&text, &room, '\0', f) < 0) {
		free(text);
		text = strdup("");
	}
	(void)fclose(f);
	return text;
}

size_t crashlab_ids(const struct crashlab *lab, char out_ids[CRASH_IDS_MOST][65])
{
	static const char mark[] = "{\"id\":\"";
	char *log = tmpdir_path(lab->work, "log"), *text, *at;
	size_t count = 0;

	(void)RUN(lab, "manifests", "--json");
	text = slurp(log);
	for (at = strstr(text, mark); at; at = strstr(at, mark)) {
		at += sizeof(mark) - 1;
		if (count == CRASH_IDS_MOST || strlen(at) < 64)
			abort();
		(void)snprintf(out_ids[count++], 65, "%.64s", at);
	}
	free(log);
	free(text);
	return count;
}

/* app/ below a target; the folders above it are none of the backup's. */
static char *app_below(const struct crashlab *lab, const char *target)
{
	char *dir = tmpdir_path(target, lab->dir + 1), *app = tmpdir_path(dir, "app");

	free(dir);
	return app;
}

bool crashlab_restored_sum(const struct crashlab *lab, const char *id,
			   uint8_t out_sum[TREESUM_BYTES])
{
	char *back = tmpdir_path(lab->work, "back"), *app = app_below(lab, back);
	bool fine;

	if (access(back, F_OK) == 0)
		tmpdir_remove(strdup(back));
	fine = RUN(lab, "restore", id, "--target", back) == 0;
	if (fine)
		treesum(app, NULL, out_sum);
	free(back);
	free(app);
	return fine;
}

static bool restores_to(const struct crashlab *lab, const char *id,
			const uint8_t want[TREESUM_BYTES])
{
	uint8_t sum[TREESUM_BYTES];

	return crashlab_restored_sum(lab, id, sum) && memcmp(sum, want, TREESUM_BYTES) == 0;
}

/* --- what lies about --- */

bool crashlab_skip_shm(const char *path)
{
	size_t len = strlen(path);

	return len > 4 && strcmp(path + len - 4, "-shm") == 0;
}

static bool is_any(void *arg, const char *path, bool is_folder)
{
	(void)arg, (void)is_folder;
	(void)fprintf(stderr, "#   left behind: %s\n", path);
	return true;
}

/* Objects under their names, and temporary files of what was cut off. */
static bool is_stray(void *arg, const char *path, bool is_folder)
{
	const char *name = strrchr(path, '/') + 1;

	(void)arg;
	return !is_folder && strncmp(name, ".tmp-", 5) != 0 && strcmp(name, "config") != 0 &&
	       (strlen(name) != 64 || strspn(name, "0123456789abcdef") != 64);
}

static bool is_temporary(void *arg, const char *path, bool is_folder)
{
	(void)arg, (void)is_folder;
	return strncmp(strrchr(path, '/') + 1, ".tmp-", 5) == 0;
}

static bool is_plain(void *arg, const char *path, bool is_folder)
{
	(void)arg;
	return !is_folder && treesum_file_holds(path, CRASH_MARKER);
}

static bool any_in(const struct crashlab *lab, const char *folder, treesum_fn *fn)
{
	char *path = tmpdir_path(lab->disk, folder);
	bool any = access(path, F_OK) == 0 && treesum_any(path, fn, NULL);

	free(path);
	return any;
}

static bool exists(const struct crashlab *lab, const char *name)
{
	char *path = tmpdir_path(lab->disk, name);
	bool is = access(path, F_OK) == 0;

	free(path);
	return is;
}

static bool app_is_untouched(const struct crashlab *lab)
{
	char *app = tmpdir_path(lab->dir, "app");
	uint8_t sum[TREESUM_BYTES];

	treesum(app, crashlab_skip_shm, sum);
	free(app);
	return memcmp(sum, lab->app_sum, TREESUM_BYTES) == 0;
}

static const char *judge_surroundings(const struct crashlab *lab)
{
	const char *why = NULL;

	TRY("the application's files changed", app_is_untouched(lab));
	TRY("something was left in TMPDIR", !any_in(lab, "tmp", is_any));
	TRY("something was left in the working directory", !any_in(lab, "cwd", is_any));
	TRY("the cache holds plaintext", !any_in(lab, "cache", is_plain));
	TRY("the state holds plaintext", !any_in(lab, "state", is_plain));
	TRY("the repository holds plaintext", !any_in(lab, "repo", is_plain));
	TRY("a stray file in the repository", !any_in(lab, "repo", is_stray));
	return why;
}

/* --- the backups --- */

static bool has(char ids[CRASH_IDS_MOST][65], size_t count, const char *prefix, size_t len)
{
	for (size_t i = 0; i < count; i++) {
		if (strncmp(ids[i], prefix, len) == 0)
			return true;
	}
	return false;
}

/* "manifest 01234567 saved", or any number of "copied as 01234567,": are they all there? */
static bool has_promised(char ids[CRASH_IDS_MOST][65], size_t count, const struct crash_case *c,
			 const char *said)
{
	static const char copied[] = "copied as ";
	const char *at = strstr(said, " saved\n");

	if (c->kind == CRASH_BACKUP)
		return !at || at - said < 8 || has(ids, count, at - 8, 8);
	for (at = strstr(said, copied); at && c->kind == CRASH_COPY; at = strstr(at, copied)) {
		at += sizeof(copied) - 1;
		if (strlen(at) >= 8 && !has(ids, count, at, 8))
			return false;
	}
	return true;
}

static const char *judge_known(const struct crashlab *lab, const struct crash_case *c)
{
	const char *why = NULL;

	for (size_t i = c->may_go; i < lab->known_count[c->stage]; i++)
		TRY("an earlier backup does not restore as before",
		    restores_to(lab, lab->known[c->stage][i].id, lab->known[c->stage][i].sum));
	return why;
}

/* I1, I2: what is promised is there, and what is visible is whole. */
static const char *judge_backups(const struct crashlab *lab, const struct crash_case *c,
				 const char *said)
{
	size_t known = lab->known_count[c->stage];
	const char *why;
	char ids[CRASH_IDS_MOST][65];
	size_t count;

	why = RUN(lab, "check", "--read-data") == 0 ? NULL : "check --read-data found damage";
	if (!why)
		why = judge_known(lab, c);
	if (why)
		return why;
	count = crashlab_ids(lab, ids);
	TRY("an acknowledged backup is gone", has_promised(ids, count, c, said));
	TRY("there are too few backups", count + c->may_go >= known);
	TRY("what was forgotten is back",
	    c->kind != CRASH_FORGET || !strstr(said, c->promise) || count + c->may_go == known);
	if (c->kind == CRASH_BACKUP && count > known)
		TRY("the backup that was cut off is visible, but not whole",
		    restores_to(lab, ids[count - 1], lab->want_sum));
	return why;
}

/* --- the target of a restore --- */

static bool same_files(const char *a, const char *b)
{
	return access(b, F_OK) == 0 && SPAWN("/dev/null", "cmp", "-s", a, b) == 0;
}

struct target {
	const char *path, *old, *new;
};

static bool is_half(void *arg, const char *path, bool is_folder)
{
	const struct target *t = arg;
	const char *name = strrchr(path, '/') + 1, *tail = path + strlen(t->path) + 1;
	char *old, *new;
	bool half;

	if (is_folder || strncmp(name, ".nightjar-", 10) == 0 || strstr(name, ".before-restore-"))
		return false;
	old = tmpdir_path(t->old, tail);
	new = tmpdir_path(t->new, tail);
	half = !same_files(path, old) && !same_files(path, new);
	if (half)
		(void)fprintf(stderr, "#   neither old nor new: %s\n", path);
	free(old), free(new);
	return half;
}

static bool is_missing(void *arg, const char *path, bool is_folder)
{
	const struct target *t = arg;
	char *there = tmpdir_path(t->path, path + strlen(t->new) + 1);
	bool missing = !is_folder && !same_files(path, there);

	free(there);
	return missing;
}

static bool is_left(void *arg, const char *path, bool is_folder)
{
	(void)arg, (void)is_folder;
	return strncmp(strrchr(path, '/') + 1, ".nightjar-", 10) == 0;
}

static const char *judge_target(const struct crashlab *lab, bool done)
{
	char *out = tmpdir_path(lab->disk, "out"), *app = app_below(lab, out);
	char *old_out = tmpdir_path(lab->dir, "restored/out"), *old = app_below(lab, old_out);
	char *new_out = tmpdir_path(lab->dir, "want"), *new = app_below(lab, new_out);
	struct target t = {app, old, new};
	const char *why = NULL;

	if (access(app, F_OK) == 0)
		TRY("a file in the target is neither the old one nor the new one",
		    !treesum_any(app, is_half, &t));
	else
		TRY("the target is not there", !done);
	if (done) {
		TRY("the restored files are others", !treesum_any(new, is_missing, &t));
		TRY("a temporary file is left in the target", !treesum_any(app, is_left, &t));
	}
	free(out), free(app), free(old_out), free(old), free(new_out), free(new);
	return why;
}

/* --- packs --- */

static bool hashes_to_its_name(const char *path)
{
	uint8_t part[65536], sum[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(sum) + 1];
	crypto_hash_sha256_state state;
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		abort();
	crypto_hash_sha256_init(&state);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		crypto_hash_sha256_update(&state, part, n);
	if (ferror(f) || fclose(f) != 0)
		abort();
	crypto_hash_sha256_final(&state, sum);
	(void)sodium_bin2hex(hex, sizeof(hex), sum, sizeof(sum));
	return strcmp(strrchr(path, '/') + 1, hex) == 0;
}

static bool is_broken(void *arg, const char *path, bool is_folder)
{
	(void)arg;
	return !is_folder && !hashes_to_its_name(path);
}

struct packs {
	const char *old, *now; /* the folders */
};

static bool is_third(void *arg, const char *path, bool is_folder)
{
	const struct packs *p = arg;
	char *old;
	bool third;

	if (is_folder || is_temporary(NULL, path, false) || hashes_to_its_name(path))
		return false;
	old = tmpdir_path(p->old, path + strlen(p->now) + 1);
	third = !same_files(path, old);
	if (third)
		(void)fprintf(stderr, "#   neither old nor whole: %s\n", path);
	free(old);
	return third;
}

static bool is_gone(void *arg, const char *path, bool is_folder)
{
	const struct packs *p = arg;
	char *now = tmpdir_path(p->now, path + strlen(p->old) + 1);
	bool gone = !is_folder && access(now, F_OK) != 0;

	free(now);
	return gone;
}

/* A repair that was cut off has lost none, and each is what it was, or what its name says. */
static const char *judge_packs(const struct crashlab *lab, const struct crash_case *c)
{
	char *stage = crashlab_stage(lab, c->stage), *old = tmpdir_path(stage, "repo/data");
	char *now = tmpdir_path(lab->disk, "repo/data");
	struct packs p = {old, now};
	const char *why = NULL;

	TRY("a pack is neither as it was nor whole", !treesum_any(now, is_third, &p));
	TRY("a pack is gone", !treesum_any(old, is_gone, &p));
	free(stage), free(old), free(now);
	return why;
}

/* --- going on --- */

/* The same command, with nothing done in between. */
static bool again(const struct crashlab *lab, const struct crash_case *c)
{
	char **argv = crashlab_argv(lab, c);
	int status = run(lab, (const char *const *)argv);

	crashlab_free_argv(argv);
	return status == 0;
}

/*
 * The key file is made before the repository, and never twice: where init was cut off between the two it must be moved
 * away, as init says.
 */
static const char *judge_init(const struct crashlab *lab, const struct crash_case *c,
			      const char *said)
{
	bool made = exists(lab, "repo/config"), key = exists(lab, "held/key");
	char *path = tmpdir_path(lab->disk, "held/key");
	const char *why = NULL;

	TRY("a repository that was acknowledged is gone", made || !strstr(said, c->promise));
	TRY("there is a repository, and no key to it", !made || key);
	TRY("init over what there is does not refuse", !key || !again(lab, c));
	if (!made && key && unlink(path) != 0)
		abort();
	TRY("init does not work", made || again(lab, c));
	free(path);
	return why;
}

/* The next night, and a prune by which everything goes that was left lying. */
static const char *judge_next(const struct crashlab *lab, const struct crash_case *c)
{
	char *app = tmpdir_path(lab->dir, "app");
	const char *why = NULL;

	TRY("the next backup fails", RUN(lab, "backup", "--host", "night", app) == 0);
	TRY("the next prune fails", RUN(lab, "prune", "--no-writers") == 0);
	TRY("a temporary file is left in the repository", !any_in(lab, "repo", is_temporary));
	TRY("a pack that does not hash to its name is left", !any_in(lab, "repo/data", is_broken));
	TRY("check --read-data found damage after the next backup",
	    RUN(lab, "check", "--read-data") == 0);
	TRY("the next backup restores otherwise", restores_to(lab, "latest", lab->want_sum));
	if (!why)
		why = judge_known(lab, c);
	TRY("the application's files changed by the next backup", app_is_untouched(lab));
	free(app);
	return why;
}

const char *crashlab_judge(const struct crashlab *lab, const struct crash_case *c, const char *said)
{
	const char *why = judge_surroundings(lab);
	bool early = c->kind != CRASH_INIT && (c->kind != CRASH_REPAIR || strstr(said, c->promise));
	char *log;

	if (!why && early)
		why = judge_backups(lab, c, said);
	if (!why && c->kind == CRASH_REPAIR)
		why = judge_packs(lab, c);
	if (!why && c->kind == CRASH_RESTORE)
		why = judge_target(lab, false);
	if (!why && c->kind == CRASH_INIT)
		why = judge_init(lab, c, said);
	else
		TRY("the same command, run again, fails", again(lab, c));
	if (!why && !early)
		why = judge_backups(lab, c, said);
	if (!why && c->kind == CRASH_RESTORE)
		why = judge_target(lab, true);
	if (!why)
		why = judge_next(lab, c);
	if (why) {
		log = tmpdir_path(lab->work, "log");
		spawn_show(log);
		free(log);
	}
	return why;
}
