#include "core/manifest_part.h"

#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"

/* The least that each takes, to doubt a count before memory is taken for it. */
#define DB_MIN_BYTES 152
#define TABLE_MIN_BYTES 10
#define STR_MIN_BYTES 2
#define REF_MIN_BYTES 28

/* --- order --- */

static int str_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int db_order(const void *a, const void *b)
{
	return strcmp(((const struct manifest_db *)a)->path, ((const struct manifest_db *)b)->path);
}

static int table_order(const void *a, const void *b)
{
	return strcmp(((const struct manifest_table *)a)->name,
		      ((const struct manifest_table *)b)->name);
}

static int mac_order(const void *a, const void *b)
{
	return id_cmp(a, b);
}

static void sort(void *base, size_t count, size_t size, int (*order)(const void *, const void *))
{
	if (count > 1)
		qsort(base, count, size, order);
}

static void sort_strings(char **strings, size_t *count)
{
	size_t kept = 0;

	sort(strings, *count, sizeof(*strings), str_order);
	for (size_t i = 0; i < *count; i++) {
		if (kept > 0 && strcmp(strings[kept - 1], strings[i]) == 0)
			free(strings[i]);
		else
			strings[kept++] = strings[i];
	}
	*count = kept;
}

void manifest_part_sort_tags(char **tags, size_t *count)
{
	sort_strings(tags, count);
}

void manifest_part_sort(struct manifest *m)
{
	sort_strings(m->tags, &m->tag_count);
	sort_strings(m->sources, &m->source_count);
	sort(m->dbs, m->db_count, sizeof(*m->dbs), db_order);
	for (size_t i = 0; i < m->db_count; i++)
		sort(m->dbs[i].tables, m->dbs[i].table_count, sizeof(*m->dbs[i].tables),
		     table_order);
}

/* --- writing --- */

static void put_text(struct buf *b, const char *text)
{
	buf_put_str16(b, text ? text : "", text ? strlen(text) : 0);
}

static void put_texts(struct buf *b, char *const *texts, size_t count)
{
	buf_put_u16(b, (uint16_t)count);
	for (size_t i = 0; i < count; i++)
		put_text(b, texts[i]);
}

void manifest_part_put_tags(struct buf *b, char *const *tags, size_t count)
{
	put_texts(b, tags, count);
}

void manifest_part_put_macs(struct buf *b, const struct id *macs, size_t count)
{
	buf_put_u16(b, (uint16_t)count);
	for (size_t i = 0; i < count; i++)
		buf_put(b, macs[i].b, ID_BYTES);
}

void manifest_part_put_maint(struct buf *b, const struct manifest *m)
{
	buf_put_u16(b, 1);
	buf_put(b, m->root.b, ID_BYTES);
	buf_put(b, m->group.b, ID_BYTES);
	manifest_part_put_macs(b, m->tag_macs, m->tag_mac_count);
	buf_put_u32(b, (uint32_t)m->verdict_count);
	buf_put(b, m->verdicts, m->verdict_count);
	buf_put_u64(b, m->files);
	buf_put_u64(b, m->bytes);
	buf_put_u64(b, m->bytes_added);
	buf_put_u8(b, (uint8_t)m->standing);
	buf_put_u8(b, m->incomplete);
}

static void put_db(struct buf *b, const struct manifest_db *db)
{
	put_text(b, db->path);
	buf_put_u8(b, db->method);
	put_text(b, db->reason);
	buf_put_u32(b, db->page_size);
	buf_put_u64(b, db->page_count);
	buf_put_u8(b, db->encoding);
	put_text(b, db->journal_mode);
	buf_put_u8(b, db->auto_vacuum);
	buf_put_u32(b, db->user_version);
	buf_put_u32(b, db->application_id);
	buf_put(b, db->schema_hash, sizeof(db->schema_hash));
	buf_put(b, db->image_sha256, sizeof(db->image_sha256));
	buf_put_u64(b, db->image_bytes);
	buf_put_u64(b, db->cells);
	buf_put_u64(b, db->cells_changed);
	buf_put_u64(b, db->bytes_stored);
	buf_put_u8(b, db->check);
	buf_put_u8(b, db->verdict);
	put_text(b, db->check_text);
	put_text(b, db->sqlite_version);
	buf_put_i64(b, db->started_ns);
	buf_put_i64(b, db->finished_ns);
	buf_put_u32(b, (uint32_t)db->table_count);
	for (size_t i = 0; i < db->table_count; i++) {
		put_text(b, db->tables[i].name);
		buf_put_u64(b, db->tables[i].rows);
	}
}

static void put_refs(struct buf *b, const struct manifest *m)
{
	buf_put_u16(b, (uint16_t)m->ref_count);
	for (size_t i = 0; i < m->ref_count; i++) {
		put_text(b, m->refs[i].database);
		put_text(b, m->refs[i].query);
		buf_put_u64(b, m->refs[i].referenced);
		buf_put_u64(b, m->refs[i].missing);
		buf_put_u64(b, m->refs[i].orphans);
	}
}

void manifest_part_put_read(struct buf *b, const struct manifest *m)
{
	put_text(b, m->host);
	put_text(b, m->user);
	put_text(b, m->program);
	put_texts(b, m->tags, m->tag_count);
	put_texts(b, m->sources, m->source_count);
	buf_put_i64(b, m->started_ns);
	buf_put_i64(b, m->finished_ns);
	buf_put_u64(b, m->unreadable);
	buf_put_u32(b, (uint32_t)m->db_count);
	for (size_t i = 0; i < m->db_count; i++)
		put_db(b, &m->dbs[i]);
	put_refs(b, m);
	buf_put_u64(b, m->carried);
	buf_put_u64(b, m->alarms);
	buf_put_u8(b, !id_is_zero(&m->original));
	buf_put(b, m->original.b, ID_BYTES);
}

/* --- reading --- */

static int damaged(struct err *err, const char *what)
{
	return err_set(err, ERR_DAMAGED, "a manifest: %s", what);
}

/* Refuses a count above most, or one that the bytes left cannot hold. */
static int check_count(const struct rd *r, size_t count, size_t most, size_t each_bytes,
		       const char *what, struct err *err)
{
	if (count > most)
		return err_set(err, ERR_LIMIT, "a manifest with %zu %s", count, what);
	if (r->bad || count > r->left / each_bytes)
		return err_set(err, ERR_DAMAGED, "a manifest: its %s are cut short", what);
	return 0;
}

static void *new_array(size_t count, size_t each_bytes)
{
	return calloc(count ? count : 1, each_bytes);
}

/* A verdict that is not known, or a zero byte in a text, would come out of an encoder otherwise than it went in. */
static bool verdict_valid(uint8_t verdict)
{
	return verdict >= 1 && verdict <= 3;
}

int manifest_part_get_macs(struct rd *r, struct id **out_macs, size_t *out_count, struct err *err)
{
	size_t count = rd_u16(r);
	struct id *macs;
	int rc = check_count(r, count, LIMIT_TAGS, ID_BYTES, "tags", err);

	if (rc != 0)
		return rc;
	macs = new_array(count, sizeof(*macs));
	if (!macs)
		return err_nomem(err);
	*out_macs = macs;
	*out_count = count;
	for (size_t i = 0; i < count; i++) {
		rd_copy(r, macs[i].b, ID_BYTES);
		if (i > 0 && id_cmp(&macs[i - 1], &macs[i]) >= 0)
			return damaged(err, "its tags are not in order");
	}
	return 0;
}

static int get_verdicts(struct rd *r, struct manifest *m, struct err *err)
{
	size_t count = rd_u32(r);
	int rc = check_count(r, count, LIMIT_DATABASES, 1, "verdicts", err);

	if (rc != 0)
		return rc;
	m->verdicts = new_array(count, 1);
	if (!m->verdicts)
		return err_nomem(err);
	m->verdict_count = count;
	for (size_t i = 0; i < count; i++) {
		m->verdicts[i] = rd_u8(r);
		if (!verdict_valid(m->verdicts[i]))
			return damaged(err, "an unknown verdict");
	}
	return 0;
}

static int get_standing(struct rd *r, struct manifest *m, struct err *err)
{
	uint8_t standing = rd_u8(r), incomplete = rd_u8(r);

	if (r->bad)
		return damaged(err, "its maintenance part is cut short");
	if (standing > MANIFEST_REPAIRED || incomplete > 1)
		return damaged(err, "its standing is unknown");
	m->standing = (enum manifest_standing)standing;
	m->incomplete = incomplete == 1;
	return 0;
}

int manifest_part_get_maint(struct rd *r, struct manifest *m, struct err *err)
{
	uint16_t roots = rd_u16(r);
	int rc;

	rd_copy(r, m->root.b, ID_BYTES);
	rd_copy(r, m->group.b, ID_BYTES);
	if (!r->bad && roots != 1)
		return damaged(err, "it has not one root");
	rc = manifest_part_get_macs(r, &m->tag_macs, &m->tag_mac_count, err);
	if (rc == 0)
		rc = get_verdicts(r, m, err);
	if (rc != 0)
		return rc;
	m->files = rd_u64(r);
	m->bytes = rd_u64(r);
	m->bytes_added = rd_u64(r);
	rc = get_standing(r, m, err);
	m->has_maint = rc == 0;
	return rc;
}

static int get_text(struct rd *r, size_t least, size_t most, char **out_text, struct err *err)
{
	struct span s = rd_str16(r);
	char *text;

	if (r->bad)
		return damaged(err, "a text is cut short");
	if (s.len > most)
		return err_set(err, ERR_LIMIT, "a manifest with a text of %zu bytes", s.len);
	if (s.len < least || (s.len > 0 && memchr(s.p, '\0', s.len)))
		return damaged(err, "a text is empty or has a zero byte");
	text = malloc(s.len + 1);
	if (!text)
		return err_nomem(err);
	if (s.len > 0)
		memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	*out_text = text;
	return 0;
}

static int get_texts(struct rd *r, size_t most, size_t most_bytes, const char *what,
		     char ***out_texts, size_t *out_count, struct err *err)
{
	size_t count = rd_u16(r);
	char **texts;
	int rc = check_count(r, count, most, STR_MIN_BYTES, what, err);

	if (rc != 0)
		return rc;
	texts = new_array(count, sizeof(*texts));
	if (!texts)
		return err_nomem(err);
	*out_texts = texts;
	*out_count = count;
	for (size_t i = 0; i < count; i++) {
		rc = get_text(r, 1, most_bytes, &texts[i], err);
		if (rc != 0)
			return rc;
		if (i > 0 && strcmp(texts[i - 1], texts[i]) >= 0)
			return err_set(err, ERR_DAMAGED, "a manifest: its %s are not in order",
				       what);
	}
	return 0;
}

int manifest_part_get_tags(struct rd *r, char ***out_tags, size_t *out_count, struct err *err)
{
	return get_texts(r, LIMIT_TAGS, LIMIT_TAG_BYTES, "tags", out_tags, out_count, err);
}

static int get_tables(struct rd *r, struct manifest_db *db, struct err *err)
{
	size_t count = rd_u32(r);
	int rc = check_count(r, count, LIMIT_DB_TABLES, TABLE_MIN_BYTES, "tables", err);

	if (rc != 0)
		return rc;
	db->tables = new_array(count, sizeof(*db->tables));
	if (!db->tables)
		return err_nomem(err);
	db->table_count = count;
	for (size_t i = 0; i < count; i++) {
		rc = get_text(r, 0, UINT16_MAX, &db->tables[i].name, err);
		if (rc != 0)
			return rc;
		db->tables[i].rows = rd_u64(r);
		if (i > 0 && strcmp(db->tables[i - 1].name, db->tables[i].name) >= 0)
			return damaged(err, "its tables are not in order");
	}
	return 0;
}

/* The fields of a database up to its image. */
static int get_db_facts(struct rd *r, struct manifest_db *db, struct err *err)
{
	int rc = get_text(r, 1, LIMIT_PATH_BYTES, &db->path, err);

	if (rc != 0)
		return rc;
	db->method = rd_u8(r);
	rc = get_text(r, 0, UINT16_MAX, &db->reason, err);
	if (rc != 0)
		return rc;
	db->page_size = rd_u32(r);
	db->page_count = rd_u64(r);
	db->encoding = rd_u8(r);
	rc = get_text(r, 0, UINT16_MAX, &db->journal_mode, err);
	if (rc != 0)
		return rc;
	db->auto_vacuum = rd_u8(r);
	db->user_version = rd_u32(r);
	db->application_id = rd_u32(r);
	rd_copy(r, db->schema_hash, sizeof(db->schema_hash));
	return 0;
}

static int get_db(struct rd *r, struct manifest_db *db, struct err *err)
{
	int rc = get_db_facts(r, db, err);

	if (rc != 0)
		return rc;
	rd_copy(r, db->image_sha256, sizeof(db->image_sha256));
	db->image_bytes = rd_u64(r);
	db->cells = rd_u64(r);
	db->cells_changed = rd_u64(r);
	db->bytes_stored = rd_u64(r);
	db->check = rd_u8(r);
	db->verdict = rd_u8(r);
	rc = get_text(r, 0, UINT16_MAX, &db->check_text, err);
	if (rc == 0)
		rc = get_text(r, 0, UINT16_MAX, &db->sqlite_version, err);
	if (rc != 0)
		return rc;
	db->started_ns = rd_i64(r);
	db->finished_ns = rd_i64(r);
	if (!r->bad && (db->method < 1 || db->method > 3 || db->check < 1 || db->check > 2 ||
			!verdict_valid(db->verdict)))
		return damaged(err, "a database's method, check or verdict is unknown");
	return get_tables(r, db, err);
}

static int get_dbs(struct rd *r, struct manifest *m, struct err *err)
{
	size_t count = rd_u32(r);
	int rc = check_count(r, count, LIMIT_DATABASES, DB_MIN_BYTES, "databases", err);

	if (rc != 0)
		return rc;
	m->dbs = new_array(count, sizeof(*m->dbs));
	if (!m->dbs)
		return err_nomem(err);
	m->db_count = count;
	for (size_t i = 0; i < count; i++) {
		rc = get_db(r, &m->dbs[i], err);
		if (rc != 0)
			return rc;
		if (i > 0 && strcmp(m->dbs[i - 1].path, m->dbs[i].path) >= 0)
			return damaged(err, "its databases are not in order");
	}
	return 0;
}

static int get_refs(struct rd *r, struct manifest *m, struct err *err)
{
	size_t count = rd_u16(r);
	int rc = check_count(r, count, LIMIT_REFS, REF_MIN_BYTES, "references", err);

	if (rc != 0)
		return rc;
	m->refs = new_array(count, sizeof(*m->refs));
	if (!m->refs)
		return err_nomem(err);
	m->ref_count = count;
	for (size_t i = 0; i < count; i++) {
		struct manifest_ref *ref = &m->refs[i];

		rc = get_text(r, 1, LIMIT_REF_BYTES, &ref->database, err);
		if (rc == 0)
			rc = get_text(r, 1, LIMIT_REF_BYTES, &ref->query, err);
		if (rc != 0)
			return rc;
		ref->referenced = rd_u64(r);
		ref->missing = rd_u64(r);
		ref->orphans = rd_u64(r);
		if (ref->missing > ref->referenced)
			return damaged(err, "more references are missing than there are");
	}
	return 0;
}

static int get_original(struct rd *r, struct manifest *m, struct err *err)
{
	uint8_t is_copy = rd_u8(r);

	rd_copy(r, m->original.b, ID_BYTES);
	if (r->bad)
		return damaged(err, "its reading part is cut short");
	if (is_copy > 1 || (is_copy == 1) == id_is_zero(&m->original))
		return damaged(err, "its original is unclear");
	return 0;
}

int manifest_part_get_read(struct rd *r, struct manifest *m, struct err *err)
{
	int rc = get_text(r, 1, LIMIT_HOST_BYTES, &m->host, err);

	if (rc == 0)
		rc = get_text(r, 0, UINT16_MAX, &m->user, err);
	if (rc == 0)
		rc = get_text(r, 0, UINT16_MAX, &m->program, err);
	if (rc == 0)
		rc = manifest_part_get_tags(r, &m->tags, &m->tag_count, err);
	if (rc == 0)
		rc = get_texts(r, LIMIT_SOURCES, LIMIT_PATH_BYTES, "sources", &m->sources,
			       &m->source_count, err);
	if (rc != 0)
		return rc;
	m->started_ns = rd_i64(r);
	m->finished_ns = rd_i64(r);
	m->unreadable = rd_u64(r);
	rc = get_dbs(r, m, err);
	if (rc == 0)
		rc = get_refs(r, m, err);
	if (rc != 0)
		return rc;
	m->carried = rd_u64(r);
	m->alarms = rd_u64(r);
	rc = get_original(r, m, err);
	m->has_read = rc == 0;
	return rc;
}

/* --- what the maintenance part repeats --- */

static int group_mac(const struct domain_keys *domain, const struct manifest *m,
		     struct id *out_group, struct err *err)
{
	struct hmac_part part;
	struct buf b = {0};
	int rc;

	buf_put(&b, "group", 5);
	put_text(&b, m->host);
	for (size_t i = 0; i < m->source_count; i++)
		put_text(&b, m->sources[i]);
	rc = buf_check(&b, err);
	if (rc == 0) {
		part = (struct hmac_part){b.data, b.len};
		rc = hmac256_of(domain->id_key, &part, 1, out_group, err);
	}
	buf_wipe(&b);
	return rc;
}

int manifest_part_macs_of(const struct domain_keys *domain, char *const *tags, size_t count,
			  struct id **out_macs, struct err *err)
{
	struct id *macs = new_array(count, sizeof(*macs));
	int rc = macs ? 0 : err_nomem(err);

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = manifest_tag_mac(domain, tags[i], &macs[i], err);
	if (rc != 0) {
		free(macs);
		return rc;
	}
	sort(macs, count, sizeof(*macs), mac_order);
	*out_macs = macs;
	return 0;
}

int manifest_part_repeat(const struct domain_keys *domain, const struct manifest *m,
			 struct manifest_repeat *out_repeat, struct err *err)
{
	struct manifest_repeat repeat = {.verdicts = new_array(m->db_count, 1)};
	int rc = repeat.verdicts ? 0 : err_nomem(err);

	if (rc == 0)
		rc = group_mac(domain, m, &repeat.group, err);
	if (rc == 0)
		rc = manifest_part_macs_of(domain, m->tags, m->tag_count, &repeat.tag_macs, err);
	if (rc != 0) {
		manifest_part_repeat_wipe(&repeat);
		return rc;
	}
	for (size_t i = 0; i < m->db_count; i++)
		repeat.verdicts[i] = m->dbs[i].verdict;
	*out_repeat = repeat;
	return 0;
}

void manifest_part_repeat_wipe(struct manifest_repeat *repeat)
{
	free(repeat->tag_macs);
	free(repeat->verdicts);
	*repeat = (struct manifest_repeat){0};
}
