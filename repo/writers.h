/*
 * writers: who may make backups: the roster's writers beside what their backups tell, and revoking one (FORMAT.md §3). One thread.
 */
#ifndef NIGHTJAR_REPO_WRITERS_H
#define NIGHTJAR_REPO_WRITERS_H

#include "repo/manifests.h"

struct writer {
	uint8_t pub[32]; /* its id for people: the first digits of it */
	uint32_t domain;
	uint64_t
	    last_sequence; /* of its newest backup that counts, removed ones too; 0: none is known */
	uint64_t ends_at;  /* UINT64_MAX: active; else it was revoked after this one */
	int64_t time_ns;   /* of the newest that is there; 0: none is */
	const char *host;  /* of that, in the list; NULL: none is, or this key cannot read it */
};

/* Those of the roster, ascending by pub. *out_writers: one allocation, free(); texts are those of the list. */
int writers_list(const struct repo *repo, const struct manifest_list *list,
		 struct writer **out_writers, size_t *out_count, struct err *err) ERR_UNUSED_WARN;

/*
 * The writer whose public key begins with these digits (at least 4). ERR_MISSING none, ERR_USAGE ambiguous or no digits.
 */
int writers_find(const struct writer *writers, size_t count, const char *prefix,
		 const struct writer **out_writer, struct err *err) ERR_UNUSED_WARN;

/*
 * Publishes a roster in which the writer's range ends at `after`, and that names those of its backups in the list up to there: only these
 * count from now on, whatever number another has. None is removed. Needs the full role.
 */
int writers_revoke(struct repo *repo, const struct manifest_list *list, const struct writer *writer,
		   uint64_t after, struct err *err) ERR_UNUSED_WARN;

#endif
