#include "core/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "core/manifest_part.h"
#include "core/parts.h"
#include "core/sha256.h"
#include "core/sign.h"

#define KIND_MANIFEST 1
#define SEEN_BYTES (32 + 8 + ID_BYTES)

void manifest_db_wipe(struct manifest_db *db)
{
	for (size_t i = 0; db->tables && i < db->table_count; i++)
		free(db->tables[i].name);
	free(db->tables);
	free(db->path);
	free(db->reason);
	free(db->journal_mode);
	free(db->check_text);
	free(db->sqlite_version);
}

static char *copy_text(const char *text)
{
	return strdup(text ? text : "");
}

int manifest_db_copy(const struct manifest_db *db, struct manifest_db *out_db, struct err *err)
{
	struct manifest_db *o = out_db;

	*o = *db;
	o->table_count = 0;
	o->path = copy_text(db->path);
	o->reason = copy_text(db->reason);
	o->journal_mode = copy_text(db->journal_mode);
	o->check_text = copy_text(db->check_text);
	o->sqlite_version = copy_text(db->sqlite_version);
	o->tables = calloc(db->table_count ? db->table_count : 1, sizeof(*o->tables));
	if (!o->path || !o->reason || !o->journal_mode || !o->check_text || !o->sqlite_version ||
	    !o->tables)
		return err_nomem(err);
	for (size_t i = 0; i < db->table_count; i++) {
		o->tables[i].rows = db->tables[i].rows;
		o->tables[i].name = copy_text(db->tables[i].name);
		o->table_count = i + 1;
		if (!o->tables[i].name)
			return err_nomem(err);
	}
	return 0;
}

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; texts && i < count; i++)
		free(texts[i]);
	free(texts);
}

void manifest_free(struct manifest *m)
{
	for (size_t i = 0; m->dbs && i < m->db_count; i++)
		manifest_db_wipe(&m->dbs[i]);
	free(m->dbs);
	for (size_t i = 0; m->refs && i < m->ref_count; i++) {
		free(m->refs[i].database);
		free(m->refs[i].query);
	}
	free(m->refs);
	free_texts(m->tags, m->tag_count);
	free_texts(m->sources, m->source_count);
	free(m->host);
	free(m->user);
	free(m->program);
	free(m->parents);
	free(m->seen);
	free(m->tag_macs);
	free(m->verdicts);
	*m = (struct manifest){0};
}

int manifest_tag_mac(const struct domain_keys *domain, const char *tag, struct id *out_mac,
		     struct err *err)
{
	struct hmac_part parts[] = {{"tag", 3}, {tag, strlen(tag)}};

	return hmac256_of(domain->id_key, parts, 2, out_mac, err);
}

/* --- the clear part --- */

static int parent_order(const void *a, const void *b)
{
	return id_cmp(a, b);
}

/* By writer, then sequence as a number, then name: the fork of a writer is seen as two of one sequence. */
static int seen_order(const void *a, const void *b)
{
	const struct manifest_seen *x = a, *y = b;
	int order = memcmp(x->writer, y->writer, sizeof(x->writer));

	if (order == 0)
		order = (x->sequence > y->sequence) - (x->sequence < y->sequence);
	return order != 0 ? order : id_cmp(&x->name, &y->name);
}

static void put_clear(struct buf *b, const struct manifest *m)
{
	header_put(b, OBJECT_SNAPSHOT, KIND_MANIFEST);
	buf_put(b, m->repo, sizeof(m->repo));
	buf_put(b, m->writer, sizeof(m->writer));
	buf_put_u64(b, m->sequence);
	buf_put_i64(b, m->time_ns);
	buf_put_u16(b, (uint16_t)m->parent_count);
	for (size_t i = 0; i < m->parent_count; i++)
		buf_put(b, m->parents[i].b, ID_BYTES);
	buf_put_u16(b, (uint16_t)m->seen_count);
	for (size_t i = 0; i < m->seen_count; i++) {
		buf_put(b, m->seen[i].writer, sizeof(m->seen[i].writer));
		buf_put_u64(b, m->seen[i].sequence);
		buf_put(b, m->seen[i].name.b, ID_BYTES);
	}
}

static int get_head(struct rd *r, struct manifest *m, struct err *err)
{
	uint8_t kind = 0;
	int rc = header_get(r, OBJECT_SNAPSHOT, &kind, err);

	if (rc != 0)
		return rc;
	if (kind != KIND_MANIFEST)
		return err_set(err, ERR_DAMAGED, "a signed record of kind %u is no manifest",
			       (unsigned)kind);
	rd_copy(r, m->repo, sizeof(m->repo));
	rd_copy(r, m->writer, sizeof(m->writer));
	return r->bad ? err_set(err, ERR_DAMAGED, "a manifest is cut short") : 0;
}

static int get_parents(struct rd *r, struct manifest *m, struct err *err)
{
	size_t count = rd_u16(r);

	if (count > LIMIT_PARENTS)
		return err_set(err, ERR_LIMIT, "a manifest with %zu parents", count);
	if (r->bad || count > r->left / ID_BYTES)
		return err_set(err, ERR_DAMAGED, "a manifest is cut short");
	m->parents = calloc(count + 1, sizeof(*m->parents));
	if (!m->parents)
		return err_nomem(err);
	m->parent_count = count;
	for (size_t i = 0; i < count; i++) {
		rd_copy(r, m->parents[i].b, ID_BYTES);
		if (i > 0 && id_cmp(&m->parents[i - 1], &m->parents[i]) >= 0)
			return err_set(err, ERR_DAMAGED, "a manifest's parents are not in order");
	}
	return 0;
}

static int get_seen(struct rd *r, struct manifest *m, struct err *err)
{
	size_t count = rd_u16(r);

	if (count > LIMIT_WRITERS)
		return err_set(err, ERR_LIMIT, "a manifest that saw %zu writers", count);
	if (r->bad || count > r->left / SEEN_BYTES)
		return err_set(err, ERR_DAMAGED, "a manifest is cut short");
	m->seen = calloc(count + 1, sizeof(*m->seen));
	if (!m->seen)
		return err_nomem(err);
	m->seen_count = count;
	for (size_t i = 0; i < count; i++) {
		rd_copy(r, m->seen[i].writer, sizeof(m->seen[i].writer));
		m->seen[i].sequence = rd_u64(r);
		rd_copy(r, m->seen[i].name.b, ID_BYTES);
		if (memcmp(m->seen[i].writer, m->writer, sizeof(m->writer)) == 0)
			return err_set(err, ERR_DAMAGED,
				       "a manifest names itself as another writer");
		if (i > 0 && seen_order(&m->seen[i - 1], &m->seen[i]) >= 0)
			return err_set(err, ERR_DAMAGED, "a manifest's writers are not in order");
	}
	return 0;
}

/* What follows the head, up to the parts. */
static int get_clear(struct rd *r, struct manifest *m, struct err *err)
{
	int rc;

	m->sequence = rd_u64(r);
	m->time_ns = rd_i64(r);
	if (!r->bad && m->sequence == 0)
		return err_set(err, ERR_DAMAGED, "a manifest of sequence 0");
	rc = get_parents(r, m, err);
	return rc != 0 ? rc : get_seen(r, m, err);
}

/* --- writing --- */

static bool text_fits(const char *text, size_t most)
{
	return !text || strnlen(text, most + 1) <= most;
}

static bool texts_fit(char *const *texts, size_t count, size_t most)
{
	for (size_t i = 0; i < count; i++)
		if (!text_fits(texts[i], most))
			return false;
	return true;
}

static bool db_fits(const struct manifest_db *db)
{
	bool fits = db->table_count <= LIMIT_DB_TABLES && text_fits(db->path, LIMIT_PATH_BYTES) &&
		    text_fits(db->reason, UINT16_MAX) && text_fits(db->journal_mode, UINT16_MAX) &&
		    text_fits(db->check_text, UINT16_MAX) &&
		    text_fits(db->sqlite_version, UINT16_MAX);

	for (size_t i = 0; fits && i < db->table_count; i++)
		fits = text_fits(db->tables[i].name, UINT16_MAX);
	return fits;
}

/* Counts and lengths that the fields of the format could not even hold. */
static int check_limits(const struct manifest *m, struct err *err)
{
	bool fits = m->parent_count <= LIMIT_PARENTS && m->seen_count <= LIMIT_WRITERS &&
		    m->tag_count <= LIMIT_TAGS && m->source_count <= LIMIT_SOURCES &&
		    m->db_count <= LIMIT_DATABASES && m->ref_count <= LIMIT_REFS &&
		    text_fits(m->host, LIMIT_HOST_BYTES) && text_fits(m->user, UINT16_MAX) &&
		    text_fits(m->program, UINT16_MAX) &&
		    texts_fit(m->tags, m->tag_count, LIMIT_TAG_BYTES) &&
		    texts_fit(m->sources, m->source_count, LIMIT_PATH_BYTES);

	for (size_t i = 0; fits && i < m->db_count; i++)
		fits = db_fits(&m->dbs[i]);
	for (size_t i = 0; fits && i < m->ref_count; i++)
		fits = text_fits(m->refs[i].database, LIMIT_REF_BYTES) &&
		       text_fits(m->refs[i].query, LIMIT_REF_BYTES);
	return fits ? 0
		    : err_set(err, ERR_LIMIT,
			      "the backup has too many or too long tags, sources, databases, "
			      "tables, references, parents or writers for a manifest");
}

/* What both parts say in their own way. */
static bool standing_agrees(const struct manifest *m)
{
	return (m->standing == MANIFEST_ORDINARY) == id_is_zero(&m->original) &&
	       m->incomplete == (m->unreadable != 0);
}

static int read_back(const struct buf *clear, const struct buf *maint, const struct buf *read,
		     struct manifest *again, struct err *err)
{
	struct rd r = rd_of(clear->data, clear->len);
	int rc = get_head(&r, again, err);

	if (rc == 0)
		rc = get_clear(&r, again, err);
	r = rd_of(maint->data, maint->len);
	if (rc == 0)
		rc = manifest_part_get_maint(&r, again, err);
	r = rd_of(read->data, read->len);
	if (rc == 0)
		rc = manifest_part_get_read(&r, again, err);
	if (rc == 0 && !standing_agrees(again))
		rc = err_set(err, ERR_DAMAGED, "a manifest of an unclear standing");
	return rc;
}

/* What a reader would refuse is not written: the reader itself is asked, so that the two cannot differ. */
static int check_readable(const struct buf *clear, const struct buf *maint, const struct buf *read,
			  struct err *err)
{
	struct manifest again = {0};
	int rc = read_back(clear, maint, read, &again, err);

	manifest_free(&again);
	if (rc == -ERR_DAMAGED) {
		err->code = ERR_USAGE;
		rc = err_prefix(err, "this cannot be stored");
	}
	return rc;
}

/* Sorts, and computes the fields that are not the caller's. */
static int complete(struct keys *keys, struct manifest *m, struct err *err)
{
	const struct domain_keys *domain = keys_domain(keys, m->domain, err);
	struct manifest_repeat repeat = {0};
	int rc;

	if (!domain)
		return -err->code;
	memcpy(m->repo, keys->repo, sizeof(m->repo));
	memcpy(m->writer, keys->writer_pub, sizeof(m->writer));
	if (m->parent_count > 1)
		qsort(m->parents, m->parent_count, sizeof(*m->parents), parent_order);
	if (m->seen_count > 1)
		qsort(m->seen, m->seen_count, sizeof(*m->seen), seen_order);
	manifest_part_sort(m);
	rc = manifest_part_repeat(domain, m, &repeat, err);
	if (rc != 0)
		return rc;
	free(m->tag_macs);
	free(m->verdicts);
	m->group = repeat.group;
	m->tag_macs = repeat.tag_macs;
	m->tag_mac_count = m->tag_count;
	m->verdicts = repeat.verdicts;
	m->verdict_count = m->db_count;
	m->incomplete = m->unreadable != 0;
	return 0;
}

int manifest_enc(struct keys *keys, struct manifest *m, unsigned floor_log2, struct buf *out,
		 struct err *err)
{
	struct parts_form form = {
	    .name = "manifest",
	    .tag = "manifest",
	    .limit_bytes = LIMIT_MANIFEST_BYTES,
	    .domain = m->domain,
	    .sequence = m->sequence,
	    .floor_log2 = floor_log2,
	};
	struct buf object = {0}, maint = {0}, read = {0};
	int rc;

	if (!keys->has_writer)
		return err_set(err, ERR_KEY, "a manifest needs the key of a writer");
	rc = check_limits(m, err);
	if (rc == 0)
		rc = complete(keys, m, err);
	if (rc != 0)
		return rc;
	put_clear(&object, m);
	manifest_part_put_maint(&maint, m);
	manifest_part_put_read(&read, m);
	if (object.failed || maint.failed || read.failed)
		rc = err_nomem(err);
	if (rc == 0)
		rc = check_readable(&object, &maint, &read, err);
	if (rc == 0)
		rc = parts_put(keys, &form, &maint, &read, &object, err);
	if (rc != 0)
		goto out;
	buf_put(out, object.data, object.len);
	rc = buf_check(out, err);
	m->has_maint = m->has_read = rc == 0;
out:
	buf_free(&object);
	buf_wipe(&maint);
	buf_wipe(&read);
	return rc;
}

/* --- reading --- */

/* Who maintains sees only the M part; it must not tell another story than the R part. */
static int check_repeat(struct keys *keys, const struct manifest *m, struct err *err)
{
	const struct domain_keys *domain = keys_domain(keys, m->domain, err);
	struct manifest_repeat repeat = {0};
	bool same;
	int rc;

	if (!domain)
		return -err->code;
	rc = manifest_part_repeat(domain, m, &repeat, err);
	if (rc != 0)
		return rc;
	same = m->tag_mac_count == m->tag_count && m->verdict_count == m->db_count &&
	       id_eq(&repeat.group, &m->group) && standing_agrees(m) &&
	       memcmp(repeat.tag_macs, m->tag_macs, m->tag_count * sizeof(*m->tag_macs)) == 0 &&
	       memcmp(repeat.verdicts, m->verdicts, m->db_count) == 0;
	manifest_part_repeat_wipe(&repeat);
	return same ? 0 : err_set(err, ERR_DAMAGED, "a manifest's two parts contradict each other");
}

static int read_maint(struct rd *r, void *arg, struct err *err)
{
	return manifest_part_get_maint(r, arg, err);
}

static int read_read(struct rd *r, void *arg, struct err *err)
{
	return manifest_part_get_read(r, arg, err);
}

static int get_object(struct keys *keys, const uint8_t *object, size_t len, struct manifest *m,
		      struct err *err)
{
	struct rd r = rd_of(object, len < SIGN_BYTES ? 0 : len - SIGN_BYTES);
	struct parts parts;
	int rc = get_head(&r, m, err);

	if (rc != 0)
		return rc;
	if (memcmp(m->repo, keys->repo, sizeof(m->repo)) != 0)
		return err_set(err, ERR_DAMAGED, "a manifest of another repository");
	rc = sign_check(object, len, "manifest", m->writer, err);
	if (rc == 0)
		rc = get_clear(&r, m, err);
	if (rc == 0)
		rc = parts_get(&r, object, len, "manifest", &parts, err);
	if (rc != 0)
		return rc;
	m->domain = parts.domain;
	rc = parts_open(keys, &parts, read_maint, read_read, m, err);
	return rc == 0 && m->has_read ? check_repeat(keys, m, err) : rc;
}

int manifest_dec(struct keys *keys, const void *bytes, size_t len, struct manifest *out_manifest,
		 struct err *err)
{
	struct manifest m = {0};
	int rc;

	if (len > LIMIT_MANIFEST_BYTES)
		return err_set(err, ERR_LIMIT, "a manifest of %zu bytes", len);
	rc = get_object(keys, bytes, len, &m, err);
	if (rc != 0)
		manifest_free(&m);
	else
		*out_manifest = m;
	return rc;
}
