#include "repo/retell.h"

#include <stdlib.h>
#include <string.h>

static char *copy(const char *s)
{
	return strdup(s ? s : "");
}

static int copy_texts(char *const *from, size_t count, char ***out, size_t *out_count,
		      struct err *err)
{
	*out = calloc(count + 1, sizeof(**out));
	if (!*out)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++) {
		(*out)[i] = copy(from[i]);
		if (!(*out)[i])
			return err_nomem(err);
		*out_count = i + 1;
	}
	return 0;
}

static int copy_dbs(const struct manifest *from, struct manifest *out, struct err *err)
{
	int r = 0;

	out->dbs = calloc(from->db_count + 1, sizeof(*out->dbs));
	if (!out->dbs)
		return err_nomem(err);
	while (!r && out->db_count < from->db_count) {
		const struct manifest_db *db = &from->dbs[out->db_count];

		r = manifest_db_copy(db, &out->dbs[out->db_count++], err);
	}
	return r;
}

static int copy_refs(const struct manifest *from, struct manifest *out, struct err *err)
{
	out->refs = calloc(from->ref_count + 1, sizeof(*out->refs));
	if (!out->refs)
		return err_nomem(err);
	for (size_t i = 0; i < from->ref_count; i++) {
		struct manifest_ref *ref = &out->refs[i];

		*ref = from->refs[i];
		ref->database = copy(from->refs[i].database);
		ref->query = copy(from->refs[i].query);
		out->ref_count = i + 1;
		if (!ref->database || !ref->query)
			return err_nomem(err);
	}
	return 0;
}

static int copy_strings(const struct manifest *from, struct manifest *out, struct err *err)
{
	int r;

	out->host = copy(from->host);
	out->user = copy(from->user);
	out->program = copy(from->program);
	r = out->host && out->user && out->program ? 0 : err_nomem(err);
	if (!r)
		r = copy_texts(from->tags, from->tag_count, &out->tags, &out->tag_count, err);
	if (!r)
		r = copy_texts(from->sources, from->source_count, &out->sources, &out->source_count,
			       err);
	return r;
}

int retell(const struct manifest *from, struct manifest *out, struct err *err)
{
	int r = from->has_read && from->has_maint
		    ? copy_strings(from, out, err)
		    : err_set(err, ERR_KEY, "this key cannot read the manifest");

	if (!r)
		r = copy_dbs(from, out, err);
	if (!r)
		r = copy_refs(from, out, err);
	out->time_ns = from->time_ns;
	out->started_ns = from->started_ns;
	out->finished_ns = from->finished_ns;
	out->unreadable = from->unreadable;
	out->carried = from->carried;
	out->alarms = from->alarms;
	out->files = from->files;
	out->bytes = from->bytes;
	return r;
}

int retell_tag(struct manifest *m, const char *tag, struct err *err)
{
	char **tags;

	for (size_t i = 0; i < m->tag_count; i++) {
		if (strcmp(m->tags[i], tag) == 0)
			return 0;
	}
	tags = realloc(m->tags, (m->tag_count + 1) * sizeof(*tags));
	if (!tags)
		return err_nomem(err);
	m->tags = tags;
	tags[m->tag_count] = copy(tag);
	if (!tags[m->tag_count])
		return err_nomem(err);
	m->tag_count++;
	return 0;
}

bool retell_alike(const struct manifest *a, const struct manifest *b)
{
	if (!a->host || !b->host || strcmp(a->host, b->host) != 0 ||
	    a->source_count != b->source_count)
		return false;
	for (size_t i = 0; i < a->source_count; i++) { /* ascending in both */
		if (strcmp(a->sources[i], b->sources[i]) != 0)
			return false;
	}
	return true;
}

bool retell_same(const struct manifest *a, const struct manifest *b)
{
	if (!retell_alike(a, b) || a->time_ns != b->time_ns || a->files != b->files ||
	    a->bytes != b->bytes || a->db_count != b->db_count)
		return false;
	for (size_t i = 0; i < a->db_count; i++) {
		if (strcmp(a->dbs[i].path, b->dbs[i].path) != 0 ||
		    memcmp(a->dbs[i].image_sha256, b->dbs[i].image_sha256, 32) != 0)
			return false;
	}
	return true;
}
