/*
 * What a write key knows of its own earlier backups: it cannot open what it has stored, so the cache of chunks keeps the sealed parts of its
 * last manifests, too. Without that every file is new to it, and nothing is stored as a delta.
 */
#include "repo/backup_run.h"

#include <stdlib.h>
#include <string.h>

#include "core/manifest_part.h"

#define OWN_KIND 0 /* in the cache of chunks; no chunk has it */

static bool needs_memory(const struct backup_run *run)
{
	return run->repo->keys->role == ROLE_WRITE && run->chunks;
}

/* Parsed aside: after a failure the manifest has its clear part alone, as before. */
static int take_parts(struct manifest *m, const struct buf *plain, struct err *err)
{
	struct manifest t = {0};
	struct rd r = rd_of(plain->data, plain->len);
	int rc = manifest_part_get_maint(&r, &t, err);

	if (!rc)
		rc = manifest_part_get_read(&r, &t, err);
	if (!rc)
		rc = rd_end(&r, "kept manifest", err);
	if (rc) {
		manifest_free(&t);
		return rc;
	}
	memcpy(t.repo, m->repo, sizeof(t.repo));
	memcpy(t.writer, m->writer, sizeof(t.writer));
	t.domain = m->domain;
	t.sequence = m->sequence;
	t.time_ns = m->time_ns;
	t.parents = m->parents;
	t.parent_count = m->parent_count;
	t.seen = m->seen;
	t.seen_count = m->seen_count;
	m->parents = NULL;
	m->seen = NULL;
	manifest_free(m);
	*m = t;
	return 0;
}

static int recall(struct backup_run *run, struct manifest_item *item, struct err *err)
{
	struct buf plain = {0};
	struct err why = {0};
	int r = chunkcache_get(run->chunks, OWN_KIND, &item->name, &plain, &why);

	if (!r)
		r = take_parts(&item->m, &plain, &why);
	buf_wipe(&plain);
	return r == -ERR_NOMEM ? err_nomem(err) : 0;
}

/* fn for the newest of this writer, as many as it matters of when a database was last checked. */
static int each_own(struct backup_run *run, size_t most,
		    int (*fn)(struct backup_run *run, struct manifest_item *item, struct err *err),
		    struct err *err)
{
	int r = 0;

	for (size_t i = run->manifests.count; !r && i > 0 && most > 0; i--) {
		struct manifest_item *item = &run->manifests.items[i - 1];

		if (memcmp(item->m.writer, run->repo->keys->writer_pub, sizeof(item->m.writer)))
			continue;
		r = fn(run, item, err);
		most--;
	}
	return r;
}

int backup_own_recall(struct backup_run *run, struct err *err)
{
	return needs_memory(run) ? each_own(run, BACKUP_INTEGRITY_EVERY, recall, err) : 0;
}

static int touch(struct backup_run *run, struct manifest_item *item, struct err *err)
{
	(void)err;
	chunkcache_touch(run->chunks, OWN_KIND, &item->name);
	return 0;
}

int backup_own_keep(struct backup_run *run, const struct manifest *m, struct err *err)
{
	struct buf plain = {0};
	int r;

	if (!needs_memory(run))
		return 0;
	manifest_part_put_maint(&plain, m);
	manifest_part_put_read(&plain, m);
	r = buf_check(&plain, err);
	if (!r)
		r = chunkcache_keep(run->chunks, OWN_KIND, &run->result->manifest, plain.data,
				    plain.len, err);
	buf_wipe(&plain);
	return r ? r : each_own(run, BACKUP_INTEGRITY_EVERY - 1, touch, err);
}
