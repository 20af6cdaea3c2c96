/*
 * manifests: the backups of a repository: verified, opened, ordered, found by what an operator types. One thread.
 */
#ifndef NIGHTJAR_REPO_MANIFESTS_H
#define NIGHTJAR_REPO_MANIFESTS_H

#include "core/manifest.h"
#include "repo/drills.h"
#include "repo/notes.h"
#include "repo/repo.h"
#include "repo/retires.h"

struct manifest_item {
	struct id name;
	uint64_t object_bytes;
	uint64_t
	    tag_number;    /* of the tag record that holds; 0 = the tags are those of the backup */
	struct manifest m; /* with the tags that hold now */
};

/* A tag record, and whose. */
struct manifest_tagrec {
	struct id name, manifest;
	bool absent; /* there is no object of that name */
};

struct manifest_list {
	struct manifest_item *items; /* oldest first: time, then writer, then sequence */
	size_t count;
	struct manifest_tagrec *tagrecs;
	size_t tagrec_count;
	struct drills drills;
	struct retires retires; /* settled; a manifest that one names may still be there */
	struct notes notes;     /* of damage, settled */
	size_t bad; /* manifests that could not be used; "latest" may have been one of them */
};
void manifest_list_free(struct manifest_list *list); /* {0} is fine */

/*
 * Told of each signed record that could not be used; loading goes on. May be NULL. ERR_KEY: a revoked writer's manifest that is not counted,
 * which is no damage and is not in `bad`.
 */
typedef void manifest_bad_fn(void *arg, const struct id *name, const struct err *why);

/* Every manifest whose signature, writer and sealed parts verify, with what tag records say of it. */
int manifests_load(struct repo *repo, manifest_bad_fn *bad, void *bad_arg,
		   struct manifest_list *out_list, struct err *err) ERR_UNUSED_WARN;

/*
 * ERR_KEY: it is whole, and this key cannot read what it is of; what is to be done. 0 also without an idea of what is needed: of a maintain
 * or write key, which reads nothing.
 */
int manifests_readable(const struct repo *repo, const struct manifest_item *item,
		       struct err *err) ERR_UNUSED_WARN;

/*
 * Finds what "latest", an id or an id prefix of at least 4 digits names; a ":/sub/path" after it is given in *out_sub (points into
 * spec; NULL when there is none). host, when not NULL, narrows "latest". ERR_MISSING none; ERR_USAGE ambiguous or no
 * manifest id at all.
 */
int manifests_find(const struct manifest_list *list, const char *spec, const char *host,
		   const struct manifest_item **out_item, const char **out_sub,
		   struct err *err) ERR_UNUSED_WARN;

/*
 * Of the ordinary backups that the same writer made of the same group after item, the last one, if it claims an older time: then a clock was
 * wrong, and "latest" is not what was made last. Else NULL.
 */
const struct manifest_item *manifests_overtaken(const struct manifest_list *list,
						const struct manifest_item *item);

/*
 * Publishes a manifest made by the keys' writer; its appearance is the commit. out_name is its id. ERR_KEY when the roster
 * does not name the writer with this sequence: nobody would count the manifest.
 */
int manifests_put(struct repo *repo, struct manifest *m, struct id *out_name, uint64_t *out_bytes,
		  struct err *err) ERR_UNUSED_WARN;

/*
 * Fills m's clear part for the keys' writer: next sequence, newest own manifests as parents, newest seen of others.
 * ERR_KEY when the roster names the writer, but not for this sequence: its range has ended.
 */
int manifests_succeed(const struct repo *repo, const struct manifest_list *list, struct manifest *m,
		      struct err *err) ERR_UNUSED_WARN;

#endif
