/* The databases of a backup, which are copied before any attachment is read (DESIGN: snapshot, then files). */
#include "repo/backup_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/former.h"
#include "repo/image_write.h"

#define RAM_BUDGET_BYTES ((size_t)96 << 20)
#define RAM_LEAST_BYTES ((size_t)1 << 20)

int backup_db_add(struct backup_run *run, const char *path, struct fs_meta *meta, struct err *err)
{
	struct backup_db *db;

	if (run->db_count == run->db_cap) {
		size_t cap = run->db_cap ? run->db_cap * 2 : 8;

		if (cap > LIMIT_DATABASES)
			return err_set(err, ERR_LIMIT, "more than %u databases", LIMIT_DATABASES);
		db = realloc(run->dbs, cap * sizeof(*db));
		if (!db)
			return err_nomem(err);
		run->dbs = db;
		run->db_cap = cap;
	}
	db = &run->dbs[run->db_count++];
	*db = (struct backup_db){
	    .path = strdup(path),
	    .real = sources_real(&run->sources, path),
	    .meta = *meta,
	    .tally = calloc(1, sizeof(*db->tally)),
	};
	*meta = (struct fs_meta){0};
	return db->path && db->real && db->tally ? 0 : err_nomem(err);
}

/* --- finding again --- */

static int compare_dbs(const void *a, const void *b)
{
	return strcmp(((const struct backup_db *)a)->path, ((const struct backup_db *)b)->path);
}

static int compare_folders(const void *a, const void *b)
{
	return strcmp(((const struct backup_folder *)a)->path,
		      ((const struct backup_folder *)b)->path);
}

struct backup_db *backup_db_find(const struct backup_run *run, const char *path)
{
	size_t low = 0, high = run->db_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(path, run->dbs[mid].path);

		if (order == 0)
			return &run->dbs[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

const struct backup_folder *backup_folder_find(const struct backup_run *run, const char *path)
{
	size_t low = 0, high = run->folder_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(path, run->folders[mid].path);

		if (order == 0)
			return &run->folders[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static const char *const sidecar_tails[] = {"-wal", "-shm", "-journal"};

bool backup_lies_beside(const char *path, const char *db)
{
	size_t len = strlen(db);

	for (size_t i = 0; i < 3; i++) {
		if (strncmp(path, db, len) == 0 && strcmp(path + len, sidecar_tails[i]) == 0)
			return true;
	}
	return false;
}

bool backup_is_sidecar(const struct backup_run *run, const char *path)
{
	size_t len = strlen(path);
	bool found = false;

	for (size_t i = 0; !found && run->db_count && i < 3; i++) {
		size_t tail = strlen(sidecar_tails[i]);
		char *base;

		if (len <= tail || strcmp(path + len - tail, sidecar_tails[i]) != 0)
			continue;
		base = strndup(path, len - tail);
		found = base && backup_db_find(run, base);
		free(base);
	}
	return found;
}

/* --- snapshots --- */

static int on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct backup_run *run = arg;
	struct err ignored = {0};
	int r;

	run->pages = done;
	run->pages_total = total;
	r = backup_tick(run, BACKUP_SNAPSHOT, run->snapshotting, &ignored);
	run->pages = run->pages_total = 0;
	return r;
}

/* integrity_check on the first backup, every 7th night and when asked for; quick_check between. */
static bool integrity_due(const struct backup_run *run, const char *path)
{
	unsigned nights = 0;

	if (run->options->integrity_full)
		return true;

	for (size_t i = run->manifests.count; i > 0 && nights < BACKUP_INTEGRITY_EVERY; i--) {
		const struct manifest *m = &run->manifests.items[i - 1].m;

		if (!m->host || strcmp(m->host, run->options->host) != 0)
			continue;
		for (size_t k = 0; k < m->db_count; k++) {
			if (strcmp(m->dbs[k].path, path) != 0)
				continue;
			if (m->dbs[k].check == SNAPSHOT_CHECK_INTEGRITY)
				return ++nights >= BACKUP_INTEGRITY_EVERY;
			nights++;
			break;
		}
	}
	return true;
}

static struct snapshot_options snapshot_options_of(struct backup_run *run, const char *path)
{
	size_t budget =
	    run->options->ram_budget_bytes ? run->options->ram_budget_bytes : RAM_BUDGET_BYTES;
	size_t each = budget / (run->db_count ? run->db_count : 1);

	run->snapshotting = path;
	return (struct snapshot_options){
	    .cache_dir = run->options->cache_dir,
	    .ram_budget_bytes = each < RAM_LEAST_BYTES ? RAM_LEAST_BYTES : each,
	    .busy_timeout_ms = run->options->busy_timeout_ms,
	    .integrity_full = integrity_due(run, path),
	    .progress = on_progress,
	    .progress_arg = run,
	};
}

static char *copy(const char *s)
{
	return strdup(s ? s : "");
}

static int facts_of(const struct backup_db *db, const struct snapshot_info *info,
		    struct manifest_db *f, struct err *err)
{
	f->path = strdup(db->path);
	f->method = (uint8_t)info->method;
	f->reason = copy(info->method_reason);
	f->page_size = info->page_size;
	f->page_count = info->page_count;
	f->encoding = info->encoding;
	f->journal_mode = copy(info->journal_mode);
	f->auto_vacuum = info->auto_vacuum;
	f->user_version = info->user_version;
	f->application_id = info->application_id;
	memcpy(f->schema_hash, info->schema_hash, sizeof(f->schema_hash));
	memcpy(f->image_sha256, info->image_sha256, sizeof(f->image_sha256));
	f->image_bytes = info->image_bytes;
	f->check = (uint8_t)info->check_kind;
	f->verdict = (uint8_t)info->verdict;
	f->check_text = copy(info->check_text);
	f->sqlite_version = copy(info->sqlite_version);
	f->started_ns = info->started_at_ns;
	f->finished_ns = info->finished_at_ns;
	f->tables = calloc(info->table_count ? info->table_count : 1, sizeof(*f->tables));
	if (!f->path || !f->reason || !f->journal_mode || !f->check_text || !f->sqlite_version ||
	    !f->tables)
		return err_nomem(err);
	for (size_t i = 0; i < info->table_count; i++) {
		f->tables[i].rows = info->tables[i].rows;
		f->tables[i].name = copy(info->tables[i].name);
		f->table_count = i + 1;
		if (!f->tables[i].name)
			return err_nomem(err);
	}
	return 0;
}

/* --- storing --- */

#define TICK_BYTES (1u << 20)

/* The image while it is read by the codec. */
struct image_source {
	struct backup_run *run;
	struct backup_db *db;
	uint64_t untold; /* bytes read since the last tick */
};

static int read_image(void *arg, uint64_t offset, void *out, size_t len, struct err *err)
{
	struct image_source *s = arg;

	s->untold += len;
	if (s->untold >= TICK_BYTES) {
		int r = backup_tick(s->run, BACKUP_SNAPSHOT, s->db->path, err);

		s->untold = 0;
		if (r)
			return r;
	}
	return snapshot_read(s->db->snapshot, offset, out, len, err);
}

/* What the database was in the backup before: nothing that is missing there costs more than space. */
struct before {
	struct reader *reader;
	struct image_map map;
	struct former lists;
};

static int load_before(void *arg, const struct entry *e, const struct chunk_ref *children,
		       struct err *err)
{
	struct before *b = arg;
	int r;

	if (e->type != ENTRY_FILE || e->encoding != ENCODING_CELLS)
		return 0;
	r = former_load_list(&b->lists, b->reader, &children[0].id, err);
	return r ? r : image_map_load(b->reader, e, children, &b->map, err);
}

static int store_image(struct backup_run *run, struct backup_db *db, struct err *err)
{
	struct image_source source = {run, db, 0};
	uint64_t size = snapshot_info(db->snapshot)->image_bytes;
	struct before before = {.reader = run->reader};
	struct image_write_options options = {.source = {&source, size, read_image},
					      .tally = db->tally};
	struct cells_stats stats = {0};
	struct err ignored = {0};
	int r;

	if (run->parent && tree_lookup(run->reader, &run->parent->root, db->path, load_before,
				       &before, &ignored) == 0)
		options.before = &before.map;
	content_writer_reset(run->writer);
	content_writer_follow(run->writer, &before.lists);
	r = image_write(run->packer, run->writer, &options, &db->content, &stats, err);
	content_writer_follow(run->writer, NULL);
	image_map_free(&before.map);
	former_free(&before.lists);
	db->facts.cells = stats.cells;
	run->result->bytes += size;
	return r;
}

static void tell(struct backup_run *run, const char *path, const char *what, const char *detail)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "%s: %s", what, detail ? detail : "");
	backup_warning(run, path, text);
}

static void tell_corrupt(struct backup_run *run, const char *path, const char *detail)
{
	const struct backup_callbacks *cb = &run->options->cb;
	char text[1024];

	run->result->databases_failed++;
	(void)snprintf(text, sizeof(text), "FAILED its integrity check and was kept as it is: %s",
		       detail ? detail : "");
	if (cb->corrupt)
		cb->corrupt(cb->arg, path, text);
}

static void tell_verdict(struct backup_run *run, const struct backup_db *db)
{
	const struct manifest_db *f = &db->facts;

	run->result->databases++;
	if (f->method == SNAPSHOT_PAGES)
		tell(run, db->path, "was copied page by page", f->reason);
	if (f->method == SNAPSHOT_RAW)
		tell(run, db->path, "was copied as a raw file", f->reason);
	if (f->verdict == SNAPSHOT_FAILED) {
		tell_corrupt(run, db->path, f->check_text);
	} else if (f->verdict == SNAPSHOT_UNCHECKED) {
		run->result->databases_unchecked++;
		tell(run, db->path, "was kept, but could not be checked here", f->check_text);
	}
}

static void give_up(struct backup_run *run, struct backup_db *db, const struct err *why)
{
	db->failed = true;
	snapshot_free(db->snapshot);
	db->snapshot = NULL;
	backup_unreadable(run, db->path, why->text);
	backup_refs_lost(run, db);
}

static int take_one(struct backup_run *run, struct backup_db *db, struct err *err)
{
	struct snapshot_options options = snapshot_options_of(run, db->path);
	int r = backup_tick(run, BACKUP_SNAPSHOT, db->path, err);

	if (!r)
		r = snapshot_take(db->real, &options, &db->snapshot, err);
	if (!r || backup_fatal(r))
		return r;
	give_up(run, db, err);
	return 0;
}

static int keep_one(struct backup_run *run, struct backup_db *db, struct err *err)
{
	struct snapshot_options options = snapshot_options_of(run, db->path);
	int r = snapshot_verify(db->snapshot, &options, err);

	if (r && !backup_fatal(r)) {
		give_up(run, db, err);
		return 0;
	}
	if (!r)
		r = facts_of(db, snapshot_info(db->snapshot), &db->facts, err);
	if (!r) {
		tell_verdict(run, db);
		r = store_image(run, db, err);
	}
	if (!r)
		r = backup_refs_ask(run, db, err);
	snapshot_free(db->snapshot);
	db->snapshot = NULL;
	return r ? r : backup_db_note(run, db, err);
}

/* Before any snapshot is taken, so that those lie close together. */
static int recognise_one(struct backup_run *run, struct backup_db *db, struct err *err)
{
	int r = backup_tick(run, BACKUP_SNAPSHOT, db->path, err);

	if (!r)
		/* A query needs the image, which a key that only writes cannot have from elsewhere. */
		r = backup_db_known(run, db, db->asked || integrity_due(run, db->path), err);
	if (r <= 0)
		return r;
	tell_verdict(run, db);
	backup_db_tell_known(run, db);
	run->result->bytes += db->facts.image_bytes;
	return 0;
}

int backup_databases(struct backup_run *run, struct err *err)
{
	int r = backup_scan(run, err);

	if (run->db_count)
		qsort(run->dbs, run->db_count, sizeof(*run->dbs), compare_dbs);
	if (run->folder_count)
		qsort(run->folders, run->folder_count, sizeof(*run->folders), compare_folders);
	if (!r)
		r = backup_refs_match(run, err);
	for (size_t i = 0; !r && i < run->db_count; i++)
		r = recognise_one(run, &run->dbs[i], err);
	for (size_t i = 0; !r && i < run->db_count; i++)
		r = run->dbs[i].known ? 0 : take_one(run, &run->dbs[i], err);
	for (size_t i = 0; !r && i < run->db_count; i++)
		r = run->dbs[i].snapshot ? keep_one(run, &run->dbs[i], err) : 0;
	return r;
}

int backup_db_late(struct backup_run *run, const char *path, struct fs_meta *meta, struct err *err)
{
	const struct backup_callbacks *cb = &run->options->cb;
	struct backup_db *db;
	int r = backup_db_add(run, path, meta, err);

	if (r)
		return r;
	qsort(run->dbs, run->db_count, sizeof(*run->dbs), compare_dbs);
	db = backup_db_find(run, path);
	if (cb->detail)
		cb->detail(cb->arg, path, "was no database before; copied after the others");
	r = recognise_one(run, db, err);
	if (!r && !db->known)
		r = take_one(run, db, err);
	return !r && db->snapshot ? keep_one(run, db, err) : r;
}

void backup_databases_free(struct backup_run *run)
{
	for (size_t i = 0; i < run->db_count; i++) {
		struct backup_db *db = &run->dbs[i];

		snapshot_free(db->snapshot);
		fs_meta_wipe(&db->meta);
		content_free(&db->content);
		manifest_db_wipe(&db->facts);
		free(db->tally);
		free(db->path);
		free(db->real);
	}
	for (size_t i = 0; i < run->folder_count; i++)
		free(run->folders[i].path);
	free(run->dbs);
	free(run->folders);
}
