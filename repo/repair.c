#include "repo/repair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/repair_run.h"

int repair_tick(const struct repair_callbacks *cb, uint64_t done, uint64_t total, const char *what,
		struct err *err)
{
	if (cb->progress && cb->progress(cb->arg, done, total, what) != 0)
		return err_set(err, ERR_CANCELLED, "interrupted; run the repair again");
	return 0;
}

void repair_tell(const struct repair_callbacks *cb, bool lost, enum store_type type,
		 const struct id *name, const char *text)
{
	char path[STORE_PATH_CHARS];

	store_path(type, name, path);
	if (lost && cb->lost)
		cb->lost(cb->arg, path, text);
	else if (!lost && cb->repaired)
		cb->repaired(cb->arg, path, text);
}

void repair_say_unwritten(const struct mend *m, char out[REPAIR_TEXT_CHARS])
{
	char what[MEND_TEXT_CHARS];

	mend_text(m, what);
	(void)snprintf(out, REPAIR_TEXT_CHARS,
		       "damaged; its parity gives it back (%s), but it cannot be put in its place: "
		       "%s; %s",
		       what, m->why.text,
		       m->why.code == ERR_DENIED
			   ? "'repair packs' with the full key moves its records"
			   : "it is as it was; when that is put right, do this again");
}

bool repair_is_damage(const struct err *why)
{
	return why->code == ERR_DAMAGED || why->code == ERR_LIMIT ||
	       (why->code == ERR_IO && why->sys_errno == EIO);
}

bool repair_knows_domain(const struct repo *repo, uint32_t domain)
{
	bool known = domain == 0;

	for (size_t i = 0; !known && i < repo->roster.writer_count; i++)
		known = repo->roster.writers[i].domain == domain;
	return known;
}

int repair_new_wrap(struct repo *repo, uint32_t domain, struct indexseg_wrap *out_wrap,
		    struct err *err)
{
	int r = indexseg_wrap_new(repo->keys, domain, out_wrap, err);

	return r == -ERR_KEY ? err_set(err, ERR_KEY,
				       "no index segment is left to go by: writing the index anew "
				       "needs a full key; this is a %s key",
				       role_name(repo->keys->role))
			     : r;
}

int repair_find_wrap(struct repo *repo, uint32_t domain, struct indexseg_wrap *out_wrap,
		     struct err *err)
{
	struct id *names = NULL;
	size_t count = 0;
	bool found = false;
	int r = repo_list(repo->store, STORE_INDEX, &names, NULL, &count, err);

	for (size_t i = 0; !r && !found && i < count; i++) {
		struct indexseg seg = {0};
		struct err why = {0};

		/* One that does not open is another's to tell. */
		if (index_get_segment(repo, &names[i], &seg, &why))
			continue;
		found = seg.domain == domain;
		if (found)
			*out_wrap = seg.wrap;
		indexseg_free(&seg);
	}
	free(names);
	return r || found ? r : repair_new_wrap(repo, domain, out_wrap, err);
}
