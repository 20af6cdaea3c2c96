/*
 * check_run: what the parts of a check share (check.c, check_lists.c, check_scope.c, check_read.c, check_refs.c, check_note.c). Internal to them.
 */
#ifndef NIGHTJAR_REPO_CHECK_RUN_H
#define NIGHTJAR_REPO_CHECK_RUN_H

#include "core/node.h"
#include "repo/check.h"
#include "repo/condemned.h"
#include "repo/idset.h"
#include "repo/manifests.h"
#include "repo/notes.h"
#include "repo/reader.h"

/* A copy that does not give its chunk. */
struct check_found {
	uint32_t place; /* of the index */
	bool lasting;   /* worth a note */
	char *text;
};

struct check_run {
	struct repo *repo;
	const struct check_options *options;
	struct check_result *result;
	struct err refused; /* the first time that the store did not let us read */
	struct index *index;
	struct reader *reader;
	struct rotation part; /* what read_data reads */
	uint32_t indexed;     /* packs that segments name; later ones were found by rescue */
	struct condemned condemned;
	bool *doomed;        /* by pack of the index: condemned, and nothing was told of it */
	bool looked_for_all; /* whether all that manifests reach has a whole copy: then all_found */
	bool all_found;
	struct idset clean;     /* lists below which nothing is wrong */
	struct idset dirty;     /* and something is */
	size_t dirty_again;     /* how often one of them was gone through again, for another path */
	struct idset unnamed;   /* rescued packs that were reported */
	struct idset rested_on; /* bases whose packs were looked at for that */
	struct check_found *found; /* whether it is a loss is known when all has been read */
	size_t found_count, found_cap;
	struct idset scope; /* what the chosen backups rest on */
	bool structure; /* the key opens lists alone: what is sealed for reading is not opened */
	bool gathering; /* the scope is being found: nothing is told */
	bool lost_only; /* only of what has no whole copy any more */
	const struct id *manifest; /* under way */
	struct id told_manifest;   /* of the last path that was told, so that it is told once */
	char *told_path;
	struct id judged;                 /* the last pack that was told damaged, */
	bool judged_mendable, has_judged; /* and whether its parity can mend it */
};

/* Of what a call returned: the check ends with it. Being refused, or not answered, is no damage. */
bool check_ends(int rc);
/* An object that could not be used: damage, unless the store refused it, which check_refused then returns. */
void check_tell_bad(struct check_run *run, enum store_type type, const struct id *name,
		    const struct err *why);
int check_refused(const struct check_run *run, struct err *err) ERR_UNUSED_WARN;
void check_tell_damage(struct check_run *run, enum store_type type, const struct id *name,
		       const char *text);
/* A path of a manifest that damage touches. The same as the last one is not told again. */
void check_tell_touched(struct check_run *run, const struct id *manifest, const char *path,
			const char *text);
/* This damaged node has been gone through for so many paths that this one is not told. */
bool check_told_enough(struct check_run *run, const struct id *list);
/* What was found, from this one on. */
void check_tell_found(struct check_run *run, size_t first);
void check_tell_healed(struct check_run *run, const struct id *pack, const char *text);
/* Everything that the pack should give others do. */
bool check_pack_replaced(const struct check_run *run, const struct index_pack *pack);
int check_tick(struct check_run *run, uint64_t done, uint64_t total, const char *what,
	       struct err *err) ERR_UNUSED_WARN;
/* Is the chunk one that the chosen backups rest on? Without a choice: yes. */
bool check_in_scope(const struct check_run *run, const struct id *id);
/* Adds to the scope a chunk and what it rests on. */
int check_gather(struct check_run *run, const struct chunk_ref *ref,
		 struct err *err) ERR_UNUSED_WARN;
/* Marks a copy as damaged and remembers it with the error that says why. */
int check_find(struct check_run *run, uint32_t place, const struct err *why,
	       struct err *err) ERR_UNUSED_WARN;
/*
 * Finds the copies to blame when a node did not load, or what hangs on this list, with err. Gives -err->code again, unless this ends the
 * check.
 */
int check_probe(struct check_run *run, const struct chunk_ref *list,
		struct err *err) ERR_UNUSED_WARN;
/* Is there a whole copy? What else is to be said of it, of an index that lacks it for instance, is told. */
int check_whole(struct check_run *run, const struct chunk_ref *ref, bool *out_whole,
		struct err *err) ERR_UNUSED_WARN;
/* What a manifest reaches, by its lists: one line where something is lost. */
int check_lists(struct check_run *run, const struct manifest_item *item,
		struct err *err) ERR_UNUSED_WARN;
/* Reads every copy of a chunk that is whole as far as is known. */
int check_read_chunk(struct check_run *run, uint8_t kind, const struct id *id,
		     struct err *err) ERR_UNUSED_WARN;

/* Did the caller choose it? Without a choice: yes. */
bool check_is_chosen(const struct check_run *run, const struct manifest_item *item);
/* Runs what references manifests recorded. Missing files are told, and no damage. */
int check_refs(struct check_run *run, const struct manifest_list *list,
	       struct err *err) ERR_UNUSED_WARN;
/* The records in locks/; one that does not verify is damage. Then, with the index, which packs they condemn. */
int check_load_condemned(struct check_run *run, struct err *err) ERR_UNUSED_WARN;
int check_match_condemned(struct check_run *run, struct err *err) ERR_UNUSED_WARN;
bool check_is_condemned(const struct check_run *run, uint32_t pack);
/* Says once of a condemned pack that a backup needs it. */
void check_tell_needed(struct check_run *run, uint32_t pack);
/* All that manifests reach is there, so of a pack that is missing they need nothing. */
int check_unneeded(struct check_run *run, const struct manifest_list *list, bool *out_unneeded,
		   struct err *err) ERR_UNUSED_WARN;

/* At the end: notes what was found and is in none of the notes, marks what they name. What cannot be noted is told, and no error. */
int check_note(struct check_run *run, const struct notes *known, struct err *err) ERR_UNUSED_WARN;
/*
 * With options->withdraw, after everything was read: removes notes all of whose copies are whole or gone. Where that fails it is
 * told as unkept, and no error.
 */
void check_withdraw(struct check_run *run, const struct notes *known);
/* Chooses run->part; nothing is read yet. What is due is marked as read only by check_part_done. */
int check_part_choose(struct check_run *run, struct err *err) ERR_UNUSED_WARN;
/* After all of it has been read. What cannot be kept is told: the same part is read again next time. */
int check_part_done(struct check_run *run, struct err *err) ERR_UNUSED_WARN;
/* --read-data: every record of every pack, or of those in scope. */
int check_read_packs(struct check_run *run, struct err *err) ERR_UNUSED_WARN;

#endif
