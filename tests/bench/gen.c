/*
 * gen: data to measure backups with, the same for the same arguments: an application's WAL database with an FTS5 table
 * and random-key indexes, immutable attachments beside it, and days that pass.
 *
 *   gen init DIR SEED DB_MB FILES MEAN_BYTES    makes DIR/app.db and DIR/files/
 *   gen day DIR N                               lets day N = 1, 2, … pass
 *
 * A day adds 1 % of the messages, rewrites 0.5 %, deletes 0.2 %, replaces 8 % of the sessions and adds 0.3 % of the
 * files. The WAL is left behind, as an application that was not closed leaves it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WORDS 20000
#define BODY_MAX 4000
#define SESSIONS_A_MB 180

struct gen {
	const char *dir;
	uint64_t seed, db_mb, files, mean_bytes;
	uint64_t state; /* of the random numbers */
	char word[WORDS][14];
	sqlite3 *db;
};

static void die(const char *what)
{
	fprintf(stderr, "gen: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void die_sql(struct gen *g, const char *what)
{
	fprintf(stderr, "gen: %s: %s\n", what, sqlite3_errmsg(g->db));
	exit(1);
}

/* ---- random numbers and text ---- */

static uint64_t next(struct gen *g)
{
	uint64_t z = g->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint64_t below(struct gen *g, uint64_t n)
{
	return next(g) % n;
}

/* Starts the stream of (what, number), whatever was drawn before. */
static void stream(struct gen *g, uint64_t what, uint64_t number)
{
	g->state = g->seed * 0x2545f4914f6cdd1du + what;
	g->state = next(g) + number;
}

/* Small numbers far more often than large ones, as words of a language and sizes of files are. */
static uint64_t skewed(struct gen *g, uint64_t n)
{
	return below(g, below(g, below(g, n) + 1) + 1);
}

static void make_words(struct gen *g)
{
	static const char syllable[16][4] = {"a",  "be",  "con", "der", "e",  "fi", "ga", "ho",
					     "in", "men", "or",  "pre", "st", "un", "th", "ver"};

	stream(g, 1, 0);
	for (size_t i = 0; i < WORDS; i++) {
		uint64_t parts = (i > 16 ? 2 : 1) + below(g, 3);
		size_t len = 0;

		while (parts-- > 0) {
			const char *s = syllable[below(g, 16)];

			memcpy(g->word[i] + len, s, strlen(s));
			len += strlen(s);
		}
	}
}

static void fill_text(struct gen *g, char *out, size_t len)
{
	for (size_t at = 0; at < len;) {
		const char *w = g->word[skewed(g, WORDS)];
		size_t n = strlen(w);

		if (n > len - at)
			n = len - at;
		memcpy(out + at, w, n);
		at += n;
		if (at < len)
			out[at++] = below(g, 12) == 0 ? '\n' : ' ';
	}
}

static void noise(struct gen *g, char *out, size_t len)
{
	for (size_t at = 0; at < len; at += sizeof(uint64_t)) {
		uint64_t x = next(g);

		memcpy(out + at, &x, len - at < sizeof x ? len - at : sizeof x);
	}
}

static void hex(struct gen *g, char *out, size_t digits)
{
	for (size_t i = 0; i < digits; i++)
		out[i] = "0123456789abcdef"[below(g, 16)];
}

/* ---- attachments ---- */

static void write_file(const struct gen *g, const char *name, const char *bytes, size_t len)
{
	char path[4200];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/files/%.2s", g->dir, name);
	if (mkdir(path, 0755) && errno != EEXIST)
		die(path);
	(void)snprintf(path, sizeof path, "%s/files/%.2s/%s", g->dir, name, name);
	f = fopen(path, "wb");
	if (!f || fwrite(bytes, 1, len, f) != len || fclose(f))
		die(path);
}

/* Attachment number i, named by its BLAKE2b: pictures mostly, text now and then, one in 20 a copy of an earlier. */
static void make_file(struct gen *g, uint64_t i, char name[65])
{
	uint8_t digest[32];
	size_t len;
	char *bytes;
	char copy[80];

	stream(g, 2, i);
	stream(g, 3, i > 0 && below(g, 20) == 0 ? below(g, i) : i);
	len = (size_t)(64 + skewed(g, g->mean_bytes * 8));
	bytes = malloc(len);
	if (!bytes)
		die("memory");
	if (below(g, 4) == 0)
		fill_text(g, bytes, len);
	else
		noise(g, bytes, len);
	(void)crypto_generichash(digest, sizeof digest, (const uint8_t *)bytes, len, NULL, 0);
	(void)sodium_bin2hex(name, 65, digest, sizeof digest);
	(void)snprintf(copy, sizeof copy, "%s-%" PRIu64, name, i);
	write_file(g, copy, bytes, len);
	free(bytes);
}

/* ---- the database ---- */

static const char schema[] =
    "CREATE TABLE users (id INTEGER PRIMARY KEY, login TEXT UNIQUE, settings TEXT);"
    "CREATE TABLE sessions (token TEXT PRIMARY KEY, user INT, at INT, agent TEXT);"
    "CREATE INDEX sessions_user ON sessions (user);"
    "CREATE TABLE messages (id INTEGER PRIMARY KEY, uuid TEXT UNIQUE, channel INT, user INT, at "
    "INT, body TEXT);"
    "CREATE INDEX messages_channel ON messages (channel, at);"
    "CREATE INDEX messages_user ON messages (user, at);"
    "CREATE TABLE attachments (id INTEGER PRIMARY KEY, message INT, hash TEXT);"
    "CREATE INDEX attachments_hash ON attachments (hash);"
    "CREATE VIRTUAL TABLE search USING fts5 (body, content='messages', content_rowid='id');"
    "CREATE TRIGGER added AFTER INSERT ON messages BEGIN"
    " INSERT INTO search (rowid, body) VALUES (new.id, new.body); END;"
    "CREATE TRIGGER removed AFTER DELETE ON messages BEGIN"
    " INSERT INTO search (search, rowid, body) VALUES ('delete', old.id, old.body); END;"
    "CREATE TRIGGER changed AFTER UPDATE OF body ON messages BEGIN"
    " INSERT INTO search (search, rowid, body) VALUES ('delete', old.id, old.body);"
    " INSERT INTO search (rowid, body) VALUES (new.id, new.body); END;";

static void sql(struct gen *g, const char *text)
{
	if (sqlite3_exec(g->db, text, NULL, NULL, NULL) != SQLITE_OK)
		die_sql(g, text);
}

static sqlite3_stmt *prepare(struct gen *g, const char *text)
{
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(g->db, text, -1, &st, NULL) != SQLITE_OK)
		die_sql(g, text);
	return st;
}

static void run(struct gen *g, sqlite3_stmt *st)
{
	if (sqlite3_step(st) != SQLITE_DONE)
		die_sql(g, "step");
	(void)sqlite3_reset(st);
}

static uint64_t number_of(struct gen *g, const char *text)
{
	sqlite3_stmt *st = prepare(g, text);
	uint64_t n = sqlite3_step(st) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;

	(void)sqlite3_finalize(st);
	return n;
}

static void bind_number(sqlite3_stmt *st, int at, uint64_t n)
{
	(void)sqlite3_bind_int64(st, at, (sqlite3_int64)n);
}

static void bind_text(sqlite3_stmt *st, int at, const char *s, size_t len)
{
	(void)sqlite3_bind_text(st, at, s, (int)len, SQLITE_TRANSIENT);
}

static void bind_body(struct gen *g, sqlite3_stmt *st, int at)
{
	char body[BODY_MAX + 8];
	size_t len = 8 + (size_t)skewed(g, BODY_MAX) / 2;

	fill_text(g, body, len);
	bind_text(st, at, body, len);
}

static void add_users(struct gen *g, uint64_t count)
{
	sqlite3_stmt *st =
	    prepare(g, "INSERT INTO users VALUES (?, ?, '{\"theme\": \"dark\", \"mail\": true}')");
	char login[40];

	for (uint64_t i = 1; i <= count; i++) {
		int len = snprintf(login, sizeof login, "%s%" PRIu64, g->word[below(g, WORDS)], i);

		bind_number(st, 1, i);
		bind_text(st, 2, login, (size_t)len);
		run(g, st);
	}
	(void)sqlite3_finalize(st);
}

static void add_sessions(struct gen *g, uint64_t count, uint64_t day)
{
	sqlite3_stmt *st =
	    prepare(g, "INSERT INTO sessions VALUES (?, ?, ?, 'Mozilla/5.0 (X11; Linux x86_64)')");
	char token[64];

	for (uint64_t i = 0; i < count; i++) {
		hex(g, token, sizeof token);
		bind_text(st, 1, token, sizeof token);
		bind_number(st, 2, 1 + below(g, g->db_mb * SESSIONS_A_MB / 3));
		bind_number(st, 3, day * 86400 + i);
		run(g, st);
	}
	(void)sqlite3_finalize(st);
}

static void add_messages(struct gen *g, uint64_t count, uint64_t day)
{
	sqlite3_stmt *st = prepare(g, "INSERT INTO messages VALUES (NULL, ?, ?, ?, ?, ?)");
	char uuid[32];

	for (uint64_t i = 0; i < count; i++) {
		hex(g, uuid, sizeof uuid);
		bind_text(st, 1, uuid, sizeof uuid);
		bind_number(st, 2, skewed(g, 200));
		bind_number(st, 3, 1 + skewed(g, g->db_mb * SESSIONS_A_MB / 3));
		bind_number(st, 4, day * 86400 + i);
		bind_body(g, st, 5);
		run(g, st);
	}
	(void)sqlite3_finalize(st);
}

static void add_attachment(struct gen *g, uint64_t i)
{
	sqlite3_stmt *st;
	char name[65];

	make_file(g, i, name);
	if (!g->db)
		return;
	st = prepare(g, "INSERT INTO attachments VALUES (NULL, ?, ?)");
	bind_number(st, 1, i);
	bind_text(st, 2, name, 64);
	run(g, st);
	(void)sqlite3_finalize(st);
}

static void open_db(struct gen *g)
{
	char path[4200];

	(void)snprintf(path, sizeof path, "%s/app.db", g->dir);
	if (sqlite3_open(path, &g->db) != SQLITE_OK)
		die_sql(g, path);
	sql(g, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -131072");
	(void)sqlite3_db_config(g->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

static void settings(struct gen *g, const char *mode)
{
	char path[4200];
	FILE *f;
	bool good;

	(void)snprintf(path, sizeof path, "%s/gen.conf", g->dir);
	f = fopen(path, mode);
	if (!f)
		die(path);
	if (mode[0] == 'w')
		good = fprintf(f, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", g->seed,
			       g->db_mb, g->files, g->mean_bytes) > 0;
	else
		good = fscanf(f, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &g->seed,
			      &g->db_mb, &g->files, &g->mean_bytes) == 4;
	if (fclose(f) || !good)
		die(path);
}

/* ---- init and days ---- */

static void init(struct gen *g)
{
	char path[4200];

	(void)snprintf(path, sizeof path, "%s/files", g->dir);
	if ((mkdir(g->dir, 0755) && errno != EEXIST) || (mkdir(path, 0755) && errno != EEXIST))
		die(path);
	settings(g, "w");
	make_words(g);
	stream(g, 4, 0);
	if (g->db_mb > 0) {
		open_db(g);
		sql(g, schema);
		sql(g, "BEGIN");
		add_users(g, g->db_mb * SESSIONS_A_MB / 3);
		add_sessions(g, g->db_mb * SESSIONS_A_MB, 0);
		sql(g, "COMMIT");
		while (number_of(g, "PRAGMA page_count") * 4096 < g->db_mb << 20) {
			sql(g, "BEGIN");
			add_messages(g, 2000, 0);
			sql(g, "COMMIT");
		}
		sql(g, "BEGIN");
	}
	for (uint64_t i = 0; i < g->files; i++)
		add_attachment(g, i);
	if (g->db)
		sql(g, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
}

static void rewrite_and_delete(struct gen *g, uint64_t messages)
{
	sqlite3_stmt *update = prepare(g, "UPDATE messages SET body = ? WHERE id = ?");
	sqlite3_stmt *del = prepare(g, "DELETE FROM messages WHERE id = ?");

	for (uint64_t i = 0; i < messages / 200; i++) {
		bind_body(g, update, 1);
		bind_number(update, 2, 1 + below(g, messages));
		run(g, update);
	}
	for (uint64_t i = 0; i < messages / 500; i++) {
		bind_number(del, 1, 1 + below(g, messages));
		run(g, del);
	}
	(void)sqlite3_finalize(update);
	(void)sqlite3_finalize(del);
}

static void day(struct gen *g, uint64_t n)
{
	uint64_t new_files, messages;

	settings(g, "r");
	make_words(g);
	stream(g, 5, n);
	if (g->db_mb > 0) {
		open_db(g);
		messages = number_of(g, "SELECT max(id) FROM messages");
		sql(g, "BEGIN");
		add_messages(g, messages / 100, n);
		rewrite_and_delete(g, messages);
		sql(g, "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions ORDER BY "
		       "at, token"
		       " LIMIT (SELECT count(*) * 8 / 100 FROM sessions))");
		add_sessions(g, g->db_mb * SESSIONS_A_MB * 8 / 100, n);
	}
	new_files = g->files > 0 ? g->files * 3 / 1000 + 1 : 0;
	for (uint64_t i = 0; i < new_files; i++)
		add_attachment(g, g->files + (n - 1) * new_files + i);
	if (g->db)
		sql(g, "COMMIT");
}

int main(int argc, char **argv)
{
	static struct gen g;

	if (sodium_init() < 0)
		return 1;
	if (argc == 7 && strcmp(argv[1], "init") == 0) {
		g = (struct gen){.dir = argv[2],
				 .seed = strtoull(argv[3], NULL, 10),
				 .db_mb = strtoull(argv[4], NULL, 10),
				 .files = strtoull(argv[5], NULL, 10),
				 .mean_bytes = strtoull(argv[6], NULL, 10)};
		init(&g);
	} else if (argc == 4 && strcmp(argv[1], "day") == 0) {
		g.dir = argv[2];
		day(&g, strtoull(argv[3], NULL, 10));
	} else {
		fputs("usage: gen init DIR SEED DB_MB FILES MEAN_BYTES | gen day DIR N\n", stderr);
		return 2;
	}
	if (g.db)
		(void)sqlite3_close(g.db);
	return 0;
}
