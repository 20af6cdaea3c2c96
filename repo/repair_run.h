/*
 * repair_run: what the repairs share (repair_index.c, repair_packs.c, repair_manifests.c). Internal to them.
 */
#ifndef NIGHTJAR_REPO_REPAIR_RUN_H
#define NIGHTJAR_REPO_REPAIR_RUN_H

#include "repo/index.h"
#include "repo/mend.h"
#include "repo/repair.h"

/* ERR_CANCELLED when progress says so. */
int repair_tick(const struct repair_callbacks *cb, uint64_t done, uint64_t total, const char *what,
		struct err *err) ERR_UNUSED_WARN;
/* Tells what was repaired, or lost, of one object. */
void repair_tell(const struct repair_callbacks *cb, bool lost, enum store_type type,
		 const struct id *name, const char *text);
/* What there is to say of a pack that parity gives back, and that could not be written (MEND_COULD). */
#define REPAIR_TEXT_CHARS 1200
void repair_say_unwritten(const struct mend *m, char out[REPAIR_TEXT_CHARS]);
/* Not what only this user or this moment could not read: nothing is given up for that. */
bool repair_is_damage(const struct err *why);

/*
 * A segment key for what is to be written of a domain: of a good segment that it has, or, where there is none, a new one. ERR_KEY: only a full
 * key can make one.
 */
int repair_find_wrap(struct repo *repo, uint32_t domain, struct indexseg_wrap *out_wrap,
		     struct err *err) ERR_UNUSED_WARN;
int repair_new_wrap(struct repo *repo, uint32_t domain, struct indexseg_wrap *out_wrap,
		    struct err *err) ERR_UNUSED_WARN;
/* A full key could derive any domain, and the table of a key holds few: those that nobody writes are nobody's. */
bool repair_knows_domain(const struct repo *repo, uint32_t domain);

/* A manifest that can never be restored as it is. */
struct repair_doomed {
	struct id name;
	const char *why;
	bool unreadable; /* it does not even open */
	bool repaired;   /* another one has what can be had of it */
};
/* Shows and removes these, as options say, and counts them in result. What only seemed damaged stays. */
int repair_forget(struct repo *repo, const struct repair_manifests_options *options,
		  const struct repair_doomed *doomed, size_t count,
		  struct repair_manifests_result *result, struct err *err) ERR_UNUSED_WARN;

#endif
