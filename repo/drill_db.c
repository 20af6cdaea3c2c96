#include "repo/drill_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "core/reference.h"
#include "core/sha256.h"
#include "repo/dbcheck.h"
#include "repo/dbquery.h"
#include "repo/pagevfs.h"

#define PIECE_BYTES (1u << 20)
#define VALUE_CHARS 80 /* of what an assertion gave instead */

/* One database under way. */
struct subject {
	struct drill *run;
	const char *path;
	const struct manifest_db *db;
	struct pageimage *image;
	bool failed, unchecked; /* counted once, however much is wrong */
};

static const char *cache_dir(const struct drill *run)
{
	return run->options->cache_dir ? run->options->cache_dir : "";
}

static int on_tick(void *arg)
{
	const struct subject *s = arg;

	return drill_tick(s->run, s->path);
}

static void tell_failed(struct subject *s, const char *what, const char *text)
{
	const struct drill_callbacks *cb = &s->run->options->cb;
	char line[4096];

	s->failed = true;
	(void)snprintf(line, sizeof(line), "%s%s", what, text);
	for (char *at = line; (at = strchr(at, '\n'));)
		*at = ';';
	if (cb->failed)
		cb->failed(cb->arg, s->path, line);
}

static void tell_unchecked(struct subject *s, const char *text)
{
	const struct drill_callbacks *cb = &s->run->options->cb;
	char line[4096];

	s->unchecked = true;
	(void)snprintf(line, sizeof(line), "could not be checked in full: %s", text);
	for (char *at = line; (at = strchr(at, '\n'));)
		*at = ';';
	if (cb->warning)
		cb->warning(cb->arg, s->path, line);
}

/* --- is it the image that was backed up --- */

static int hash_image(struct subject *s, struct id *out_digest, struct err *err)
{
	uint64_t size = pageimage_size(s->image);
	uint8_t *piece = malloc(PIECE_BYTES);
	struct sha256 *sha = NULL;
	int r = piece ? sha256_new(&sha, err) : err_nomem(err);

	for (uint64_t at = 0; !r && at < size;) {
		size_t len = size - at < PIECE_BYTES ? (size_t)(size - at) : PIECE_BYTES;

		r = pageimage_read(s->image, at, piece, len, err);
		if (!r)
			r = sha256_update(sha, piece, len, err);
		if (!r && on_tick(s))
			r = err_set(err, ERR_CANCELLED, "%s: interrupted", s->path);
		at += len;
	}
	if (!r)
		r = sha256_final(sha, out_digest, err);
	sha256_free(sha);
	if (piece)
		sodium_memzero(piece, PIECE_BYTES);
	free(piece);
	return r;
}

static int compare_image(struct subject *s, struct err *err)
{
	struct id digest;
	int r = hash_image(s, &digest, err);

	if (!r && memcmp(digest.b, s->db->image_sha256, ID_BYTES) != 0)
		tell_failed(s, "", "the image is not the one that was backed up: another SHA-256");
	return r;
}

/* --- SQLite's own checks --- */

static void judge(struct subject *s, const char *what, enum snapshot_verdict verdict,
		  const char *text)
{
	if (verdict == SNAPSHOT_FAILED)
		tell_failed(s, what, text ? text : "failed");
	else if (verdict == SNAPSHOT_UNCHECKED)
		tell_unchecked(s, text ? text : "");
}

static int check_open(struct subject *s, struct dbconn *c, int open_rc, struct err *err)
{
	enum snapshot_verdict verdict = SNAPSHOT_FAILED;
	char *text = NULL;
	int r = dbcheck_run(c, open_rc, SNAPSHOT_CHECK_INTEGRITY, &verdict, &text, err);

	if (!r)
		judge(s, "integrity_check: ", verdict, text);
	free(text);
	text = NULL;
	if (r || verdict == SNAPSHOT_FAILED)
		return r;
	r = dbcheck_foreign_keys(c, &verdict, &text, err);
	if (!r && !(verdict == SNAPSHOT_UNCHECKED && s->unchecked))
		judge(s, "foreign_key_check: ", verdict, text);
	free(text);
	return r;
}

static int check_database(struct subject *s, struct err *err)
{
	struct dbconn c = {.path = s->path, .tick = on_tick, .tick_arg = s};
	struct pagevfs *vfs = NULL;
	int rc, r = pagevfs_new(s->image, cache_dir(s->run), &vfs, err);

	if (r)
		return r;
	rc = dbconn_open_vfs(&c, pagevfs_name(vfs), SQLITE_OPEN_READONLY);
	r = check_open(s, &c, rc, err);
	dbconn_close(&c);
	if (pagevfs_error(vfs)->code != 0) {
		*err = *pagevfs_error(vfs);
		r = err_prefix(err, "%s", s->path);
	}
	pagevfs_free(vfs);
	return r;
}

/* --- the operator's own --- */

struct answer {
	uint64_t rows;
	bool is_true;
	char value[VALUE_CHARS];
};

static int on_row(void *arg, sqlite3_stmt *row, struct err *err)
{
	struct answer *a = arg;
	const char *text;

	(void)err;
	if (a->rows++)
		return 0;
	a->is_true =
	    sqlite3_column_type(row, 0) != SQLITE_NULL && sqlite3_column_double(row, 0) != 0;
	text = (const char *)sqlite3_column_text(row, 0);
	(void)snprintf(a->value, sizeof(a->value), "%s", text ? text : "NULL");
	return 0;
}

static void tell_assertion(struct drill *run, const struct drill_assertion *a, const char *text)
{
	const struct drill_callbacks *cb = &run->options->cb;
	char line[2048];

	run->counts->assertions_failed++;
	(void)snprintf(line, sizeof(line), "assertion '%.1000s' %s", a->query, text);
	if (cb->failed)
		cb->failed(cb->arg, a->database, line);
}

static int assert_one(struct subject *s, const struct drill_assertion *a, struct err *err)
{
	struct answer answer = {0};
	const struct dbquery q = {
	    .path = s->path,
	    .what = "the assertion",
	    .sql = a->query,
	    .image = s->image,
	    .cache_dir = cache_dir(s->run),
	    .most_steps = s->run->options->most_steps,
	    .tick = on_tick,
	    .tick_arg = s,
	    .row = on_row,
	    .row_arg = &answer,
	};
	struct err why = {0};
	char line[VALUE_CHARS + 900];
	int r = dbquery_run(&q, &why);

	if (r && r != -ERR_SOURCE && r != -ERR_DAMAGED) {
		*err = why;
		return r;
	}
	if (r)
		(void)snprintf(line, sizeof(line), "could not be run: %s", why.text);
	else if (answer.rows != 1)
		(void)snprintf(line, sizeof(line), "gives %llu rows, not one",
			       (unsigned long long)answer.rows);
	else
		(void)snprintf(line, sizeof(line), "gives %s, not true", answer.value);
	if (r || answer.rows != 1 || !answer.is_true)
		tell_assertion(s->run, a, line);
	return 0;
}

static int assert_all(struct subject *s, struct err *err)
{
	const struct drill_options *o = s->run->options;
	int r = 0;

	for (size_t i = 0; !r && i < o->assertion_count; i++) {
		if (s->run->asserted[i] || !reference_matches(o->assertions[i].database, s->path))
			continue;
		s->run->asserted[i] = true;
		r = assert_one(s, &o->assertions[i], err);
	}
	return r;
}

void drill_db_unasserted(struct drill *run)
{
	for (size_t i = 0; i < run->options->assertion_count; i++) {
		if (!run->asserted[i])
			tell_assertion(run, &run->options->assertions[i],
				       "could not be asked: its database could not be restored");
	}
}

/* --- both ways --- */

/* Marks the manifest's description as seen; NULL: there is none, which is told. */
static const struct manifest_db *find_db(struct subject *s)
{
	const struct manifest *m = s->run->m;

	for (size_t i = 0; i < m->db_count; i++) {
		if (strcmp(m->dbs[i].path, s->path) == 0) {
			s->run->seen[i] = true;
			return &m->dbs[i];
		}
	}
	return NULL;
}

void drill_db_lose(struct drill *run, const char *path)
{
	for (size_t i = 0; i < run->m->db_count; i++) {
		if (strcmp(run->m->dbs[i].path, path) == 0 && !run->seen[i]) {
			run->seen[i] = true;
			run->counts->databases_failed++;
		}
	}
}

static int drill_subject(struct subject *s, bool compare, struct err *err)
{
	struct drillnote_counts *c = s->run->counts;
	int r = 0;

	s->db = find_db(s);
	if (!s->db)
		return err_set(err, ERR_DAMAGED, "the manifest does not describe this database");
	if (compare)
		r = compare_image(s, err);
	if (!r)
		r = check_database(s, err);
	if (!r)
		r = assert_all(s, err);
	if (s->failed)
		c->databases_failed++;
	else if (s->unchecked)
		c->databases_unchecked++;
	return r;
}

int drill_db_image(struct drill *run, const char *path, struct pageimage *image, struct err *err)
{
	struct subject s = {.run = run, .path = path, .image = image};

	return drill_subject(&s, true, err);
}

static int read_file(void *arg, uint64_t offset, void *out_bytes, size_t len, struct err *err)
{
	const int *fd = arg;
	uint8_t *out = out_bytes;

	while (len) {
		ssize_t got = pread(*fd, out, len, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return err_sys(err, got < 0 ? errno : EIO, "a restored database");
		out += got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return 0;
}

static int drill_open_file(struct subject *s, int fd, struct err *err)
{
	struct stat st;
	int r = fstat(fd, &st) == 0 ? 0 : err_sys(err, errno, "%s", s->path);

	if (!r)
		r = pageimage_over(read_file, &fd, (uint64_t)st.st_size, &s->image, err);
	if (!r)
		r = drill_subject(s, false, err);
	pageimage_free(s->image);
	return r;
}

/* Restore has told already what is wrong with it. */
static bool is_seen(const struct drill *run, const char *path)
{
	for (size_t i = 0; i < run->m->db_count; i++) {
		if (strcmp(run->m->dbs[i].path, path) == 0)
			return run->seen[i];
	}
	return false;
}

int drill_db_file(struct drill *run, const char *path, struct err *err)
{
	struct subject s = {.run = run, .path = path};
	char *name = NULL;
	int fd, r;

	if (is_seen(run, path))
		return 0;
	if (asprintf(&name, "%s%s", run->options->target, path) < 0)
		return err_nomem(err);
	fd = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? err_sys(err, errno, "%s", name) : drill_open_file(&s, fd, err);
	if (fd >= 0)
		(void)close(fd);
	free(name);
	return r;
}
