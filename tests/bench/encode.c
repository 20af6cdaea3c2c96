/*
 * encode: what it costs to take a database apart, beside what it costs SQLite to copy it, in the same process.
 *
 *   encode DATABASE LAST [RUNS]    LAST: what VACUUM INTO made of DATABASE the night before; RUNS: 5
 *
 * One thread does what a backup does with an image, by the modules that it does it with: walk and cut, chunk ids, and a
 * delta (or a full record where that is no good) for each chunk that LAST did not have, against the one of LAST that begins alike.
 * What is not here: reading the bases from cache or repository, sealing, packs. VACUUM INTO goes into a file beside LAST, and into
 * the program's own page store. Runs alternate; times are processor seconds, medians; what counts is their ratio.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/cells.h"
#include "core/record.h"
#include "core/seal.h"
#include "repo/packjob.h"
#include "repo/snapshot.h"

#define RUNS_MOST 99
/* As repo/packer has it. */
#define THOROUGH_DELTAS 128
#define THOROUGH_NEW 32
#define THOROUGH_SHARE 16
#define NONE SIZE_MAX

/* A chunk of the night before; its bytes are in a temporary file, as those of medium are too many for memory. */
struct old {
	uint64_t key;
	struct id id;
	off_t from;
	size_t len;
	uint32_t stored; /* as a full record */
	enum cells_stream stream;
};

enum step { VACUUM, FROM_FILE, WALK, IDS, DELTAS, SNAPSHOT, FROM_SNAPSHOT, STEPS };

struct bench {
	const char *database, *last;
	char dir[4096], target[4200]; /* where LAST is, and where VACUUM INTO writes */
	struct chunker cutter;
	struct domain_keys domain;
	struct comp *comp;

	struct old *old;
	size_t old_count, old_cap;
	const struct old **by_key, **by_id; /* orders of old */
	FILE *bytes;
	off_t bytes_len;

	struct packjob job; /* the chunk that waits until it is known where the next begins */
	bool holding;
	enum cells_stream stream;
	size_t at,
	    guess; /* as in repo/image_write: what begins alike, and what is expected where nothing does */
	unsigned thorough;
	size_t chunks, fresh, deltas;
	uint64_t stored;
	double encode_s, ids_s, deltas_s, bases_s;

	double times[STEPS][RUNS_MOST];
	unsigned runs;
	struct err err;
};

static double cpu_now(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int failed(struct bench *b, const char *what)
{
	return err_set(&b->err, ERR_IO, "%s: %s", what, strerror(errno));
}

/* --- images --- */

static int read_memory(void *arg, uint64_t offset, void *out, size_t len, struct err *err)
{
	(void)err;
	memcpy(out, (const uint8_t *)arg + offset, len);
	return 0;
}

static int read_snapshot(void *arg, uint64_t offset, void *out, size_t len, struct err *err)
{
	return snapshot_read(arg, offset, out, len, err);
}

typedef int image_fn(struct bench *b, const struct cells_source *source);

/* The file in memory, so that reading it costs what reading from the page store does as long as that is in memory, too. */
static int with_file(struct bench *b, const char *path, image_fn *fn)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;
	struct cells_source source = {.read = read_memory};
	void *map = MAP_FAILED;
	struct stat st = {0};

	if (fd >= 0 && fstat(fd, &st) == 0)
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED) {
		r = failed(b, path);
	} else {
		source.arg = map;
		source.bytes = (uint64_t)st.st_size;
		r = fn(b, &source);
		(void)munmap(map, (size_t)st.st_size);
	}
	if (fd >= 0)
		(void)close(fd);
	return r;
}

/* --- the night before --- */

static int keep_old(void *arg, enum cells_stream stream, uint64_t key, const void *bytes,
		    size_t len, struct err *err)
{
	struct bench *b = arg;
	struct old *o;
	uint8_t codec;
	int r;

	if (b->old_count == b->old_cap) {
		b->old_cap = b->old_cap ? b->old_cap * 2 : 1024;
		o = realloc(b->old, b->old_cap * sizeof(*o));
		if (!o)
			return err_nomem(err);
		b->old = o;
	}
	o = &b->old[b->old_count++];
	*o = (struct old){.key = key, .from = b->bytes_len, .len = len, .stream = stream};
	r = record_id(&b->domain, CHUNK_DATA, bytes, len, &o->id, err);
	buf_reset(&b->job.compressed);
	if (!r)
		r = comp_put(b->comp, 0, bytes, len, &b->job.compressed, &codec, err);
	o->stored = (uint32_t)b->job.compressed.len + SEAL_TAG_BYTES;
	if (!r && fwrite(bytes, 1, len, b->bytes) != len)
		r = failed(b, "a temporary file");
	b->bytes_len += (off_t)len;
	return r;
}

static int compare_keys(const void *x, const void *y)
{
	const struct old *p = *(const struct old *const *)x, *q = *(const struct old *const *)y;

	if (p->stream != q->stream)
		return p->stream < q->stream ? -1 : 1;
	return p->key < q->key ? -1 : p->key > q->key;
}

static int compare_ids(const void *x, const void *y)
{
	return id_cmp(&(*(const struct old *const *)x)->id, &(*(const struct old *const *)y)->id);
}

typedef int compare_fn(const void *x, const void *y);

static const struct old **order_of(const struct bench *b, compare_fn *compare)
{
	const struct old **order = calloc(b->old_count, sizeof(*order));

	for (size_t i = 0; order && i < b->old_count; i++)
		order[i] = &b->old[i];
	if (order)
		qsort(order, b->old_count, sizeof(*order), compare);
	return order;
}

static int keep_all(struct bench *b, const struct cells_source *source)
{
	const struct cells_sink sink = {b, keep_old};
	struct cells_stats stats;

	return cells_encode(source, &b->cutter, &sink, &stats, &b->err);
}

static int learn(struct bench *b)
{
	int r;

	b->bytes = tmpfile();
	r = b->bytes ? with_file(b, b->last, keep_all) : failed(b, "a temporary file");
	if (r || fflush(b->bytes) != 0)
		return r ? r : failed(b, "a temporary file");
	if (b->old_count == 0)
		return err_set(&b->err, ERR_USAGE, "%s is empty", b->last);
	b->by_key = order_of(b, compare_keys);
	b->by_id = order_of(b, compare_ids);
	return b->by_key && b->by_id ? 0 : err_nomem(&b->err);
}

/* The place in old of what is equal to `wanted` in that order, or NONE. */
static size_t find(const struct bench *b, const struct old **order, compare_fn *compare,
		   const struct old *wanted)
{
	const struct old **hit = bsearch(&wanted, order, b->old_count, sizeof(*order), compare);

	return hit ? (size_t)(*hit - b->old) : NONE;
}

/* --- tonight --- */

static int add_base(struct bench *b, size_t at, struct lineage_ground *g)
{
	const struct old *o = &b->old[at];
	uint8_t *bytes;

	if (at >= b->old_count || o->stream != b->stream || g->base_count == LIMIT_BASES)
		return 0;
	if (g->base_count == 0) {
		g->chain_bytes = g->root_stored = o->stored;
		g->root_plain = (uint32_t)o->len;
	}
	bytes = malloc(o->len);
	if (!bytes)
		return err_nomem(&b->err);
	if (pread(fileno(b->bytes), bytes, o->len, o->from) != (ssize_t)o->len) {
		free(bytes);
		return failed(b, "a temporary file");
	}
	buf_put(&b->job.bases, bytes, o->len);
	free(bytes);
	b->job.choice.ids[g->base_count++] = o->id;
	g->base_bytes += o->len;
	return buf_check(&b->job.bases, &b->err);
}

/* The one that begins alike, and its neighbours where this or the next chunk has none. Each is a full record here. */
static int choose(struct bench *b, size_t next_at)
{
	struct lineage_ground g = {.closure = 1};
	size_t at = b->at == NONE ? b->guess : b->at;
	int r;

	buf_reset(&b->job.bases);
	b->job.choice.count = 0;
	r = add_base(b, at, &g);
	if (!r && (b->at == NONE || next_at != at + 1))
		r = add_base(b, at + 1, &g);
	if (!r && b->at == NONE && at > 0)
		r = add_base(b, at - 1, &g);
	if (!r && g.base_count && lineage_plan(&g, b->job.plain.len, &b->job.choice.plan))
		b->job.choice.count = g.base_count;
	return r;
}

/* A chunk that the night before did not have. */
static int store(struct bench *b, size_t next_at)
{
	double began = cpu_now(), chosen;
	int r = choose(b, next_at);

	chosen = cpu_now();
	b->bases_s += chosen - began;
	if (r)
		return r;
	b->fresh++;
	b->job.level = COMP_DELTA_FAST;
	if (b->thorough < THOROUGH_DELTAS && b->fresh <= THOROUGH_NEW + b->chunks / THOROUGH_SHARE)
		b->job.level = COMP_DELTA_SMALL;
	b->thorough += b->job.choice.count && b->job.level == COMP_DELTA_SMALL;
	packjob_run(b->comp, &b->job);
	b->deltas_s += cpu_now() - chosen;
	b->deltas += b->job.is_delta;
	b->stored += packjob_result(&b->job)->len + SEAL_TAG_BYTES;
	b->err = b->job.err;
	return b->job.result;
}

/* Ends the chunk that waits; next_at: where the next one lies among the old. */
static int release(struct bench *b, size_t next_at)
{
	const struct buf *plain = &b->job.plain;
	struct old wanted = {0};
	double began = cpu_now();
	int r;

	if (!b->holding)
		return 0;
	b->holding = false;
	b->chunks++;
	r = record_id(&b->domain, CHUNK_DATA, plain->data, plain->len, &wanted.id, &b->err);
	b->ids_s += cpu_now() - began;
	b->job.info = (struct record_info){
	    .id = wanted.id, .kind = CHUNK_DATA, .plain_bytes = (uint32_t)plain->len};
	if (!r && find(b, b->by_id, compare_ids, &wanted) == NONE)
		r = store(b, next_at);
	return r;
}

static int take_chunk(void *arg, enum cells_stream stream, uint64_t key, const void *bytes,
		      size_t len, struct err *err)
{
	struct bench *b = arg;
	const struct old wanted = {.key = key, .stream = stream};
	size_t at = find(b, b->by_key, compare_keys, &wanted);
	int r = release(b, at);

	if (r) {
		*err = b->err;
		return r;
	}
	b->guess = (b->at == NONE ? b->guess : b->at) + 1;
	b->at = at;
	b->stream = stream;
	b->holding = true;
	buf_reset(&b->job.plain);
	buf_put(&b->job.plain, bytes, len);
	return buf_check(&b->job.plain, err);
}

/* All of tonight's image; what it took comes without the reading of bases. */
static int encode(struct bench *b, const struct cells_source *source)
{
	const struct cells_sink sink = {b, take_chunk};
	double began = cpu_now();
	struct cells_stats stats;
	int r;

	b->ids_s = b->deltas_s = b->bases_s = 0;
	b->chunks = b->fresh = b->deltas = b->thorough = 0;
	b->stored = 0;
	b->at = NONE;
	b->guess = 0;
	b->holding = false;
	r = cells_encode(source, &b->cutter, &sink, &stats, &b->err);
	if (!r)
		r = release(b, b->old_count);
	b->encode_s = cpu_now() - began - b->bases_s;
	return r;
}

/* --- the runs --- */

static int run_sql(struct bench *b, sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return err_set(&b->err, ERR_SOURCE, "%s: %s", b->database, sqlite3_errmsg(db));
}

static int vacuum(struct bench *b, double *out_s)
{
	char *sql = sqlite3_mprintf("VACUUM INTO %Q", b->target);
	sqlite3 *db = NULL;
	double began;
	int r;

	(void)unlink(b->target);
	began = cpu_now();
	r = sqlite3_open_v2(b->database, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
	if (r || !sql)
		r = err_set(&b->err, ERR_SOURCE, "%s cannot be opened", b->database);
	if (!r)
		r = run_sql(b, db, "PRAGMA temp_store=MEMORY; PRAGMA secure_delete=ON");
	if (!r)
		r = run_sql(b, db, sql);
	(void)sqlite3_close(db);
	*out_s = cpu_now() - began;
	sqlite3_free(sql);
	return r;
}

static int by_file(struct bench *b, unsigned run, bool backwards)
{
	double *copy = &b->times[VACUUM][run];
	int r = backwards ? 0 : vacuum(b, copy);

	if (!r)
		r = with_file(b, b->target, encode);
	if (!r && backwards)
		r = vacuum(b, copy);
	b->times[FROM_FILE][run] = b->encode_s;
	b->times[IDS][run] = b->ids_s;
	b->times[DELTAS][run] = b->deltas_s;
	b->times[WALK][run] = b->encode_s - b->ids_s - b->deltas_s;
	return r;
}

static int by_snapshot(struct bench *b, unsigned run)
{
	const struct snapshot_options options = {.cache_dir = b->dir};
	struct cells_source source = {.read = read_snapshot};
	struct snapshot *s = NULL;
	double began = cpu_now();
	int r = snapshot_take(b->database, &options, &s, &b->err);

	b->times[SNAPSHOT][run] = cpu_now() - began;
	if (!r) {
		source.arg = s;
		source.bytes = snapshot_info(s)->image_bytes;
		r = encode(b, &source);
		b->times[FROM_SNAPSHOT][run] = b->encode_s;
	}
	snapshot_free(s);
	return r;
}

/* One round more than is asked for: the first, which warms up, is written over. */
static int run_all(struct bench *b)
{
	int r = vacuum(b, &b->times[VACUUM][0]);

	for (unsigned i = 0; !r && i <= b->runs; i++) {
		unsigned run = i ? i - 1 : 0;

		if (i % 2)
			r = by_snapshot(b, run);
		if (!r)
			r = by_file(b, run, i % 2);
		if (!r && i % 2 == 0)
			r = by_snapshot(b, run);
	}
	return r;
}

static int compare_times(const void *x, const void *y)
{
	double p = *(const double *)x, q = *(const double *)y;

	return p < q ? -1 : p > q;
}

static double median(struct bench *b, enum step step)
{
	qsort(b->times[step], b->runs, sizeof(double), compare_times);
	return b->times[step][b->runs / 2];
}

static void print(struct bench *b)
{
	static const char *const names[STEPS] = {
	    [VACUUM] = "VACUUM INTO a file",
	    [FROM_FILE] = "encode + cut + ids + delta",
	    [WALK] = "  encode + cut",
	    [IDS] = "  ids",
	    [DELTAS] = "  delta",
	    [SNAPSHOT] = "snapshot into the page store",
	    [FROM_SNAPSHOT] = "encode + … from the page store",
	};
	double m[STEPS];

	printf("%zu chunks, %zu not of the night before, %zu of them deltas; %.3f MB of records\n",
	       b->chunks, b->fresh, b->deltas, (double)b->stored / 1e6);
	for (int step = 0; step < STEPS; step++) {
		m[step] = median(b, (enum step)step);
		printf("  %-32s %8.3f s CPU\n", names[step], m[step]);
	}
	printf("  %-32s %8.2f\n", "ratio to VACUUM INTO a file", m[FROM_FILE] / m[VACUUM]);
	printf("  %-32s %8.2f\n", "ratio to the snapshot", m[FROM_SNAPSHOT] / m[SNAPSHOT]);
}

static int set_up(struct bench *b, char **argv)
{
	char *copy = strdup(argv[2]);
	uint8_t key[32];

	if (!copy)
		return err_nomem(&b->err);
	b->database = argv[1];
	b->last = argv[2];
	(void)snprintf(b->dir, sizeof(b->dir), "%s", dirname(copy));
	(void)snprintf(b->target, sizeof(b->target), "%s/encode-target.db", b->dir);
	free(copy);
	memset(key, 7, sizeof(key));
	memset(b->domain.id_key, 9, sizeof(b->domain.id_key));
	chunker_init(&b->cutter, key);
	return comp_new(0, &b->comp, &b->err);
}

static void tear_down(struct bench *b)
{
	(void)unlink(b->target);
	packjob_wipe(&b->job);
	comp_free(b->comp);
	free(b->by_key);
	free(b->by_id);
	free(b->old);
	if (b->bytes)
		(void)fclose(b->bytes);
}

int main(int argc, char **argv)
{
	static struct bench b;
	long runs = argc == 4 ? strtol(argv[3], NULL, 10) : 5;
	int r;

	if (argc < 3 || argc > 4 || runs < 1 || runs > RUNS_MOST) {
		fputs("usage: encode DATABASE LAST [RUNS]\n", stderr);
		return 2;
	}
	b.runs = (unsigned)runs;
	if (sodium_init() < 0)
		return 1;
	r = set_up(&b, argv);
	if (!r)
		r = learn(&b);
	if (!r)
		r = run_all(&b);
	if (r)
		fprintf(stderr, "encode: %s\n", b.err.text);
	else
		print(&b);
	tear_down(&b);
	return r != 0;
}
