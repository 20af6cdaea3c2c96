/*
 * keyexport: key files for the other roles, and a new read key (FORMAT.md §3). Needs the full role. One thread.
 */
#ifndef NIGHTJAR_REPO_KEYEXPORT_H
#define NIGHTJAR_REPO_KEYEXPORT_H

#include "repo/repo.h"

struct keyexport_options {
	enum role role;
	const char *host; /* write: whose writer; other roles: not looked at */
	bool own_domain;  /* write: a domain that no other writer has */
};

/* What a write key became; the roster names it. */
struct keyexport_result {
	uint8_t writer[32];
	uint32_t domain;
	size_t domains, epochs; /* read: how many the file holds */
};

/*
 * Makes the file at path, mode 0600. ERR_EXISTS when there is something of that name, ERR_KEY without the full role; in both cases nothing
 * was changed. The order is: an empty file; the roster, with a fresh random writer; the key into the file. So a run that is cut off leaves at
 * worst a writer in the roster whose secret nobody has, and no key that holds a domain which the next export gives to somebody else.
 */
int keyexport_file(struct repo *repo, const struct keyexport_options *options, const char *path,
		   struct keyexport_result *out_result, struct err *err) ERR_UNUSED_WARN;

/* Publishes a roster with one more epoch of the read key; writers seal for the newest from their next run on. ERR_LIMIT. */
int keyexport_rotate(struct repo *repo, uint32_t *out_epoch, struct err *err) ERR_UNUSED_WARN;

#endif
