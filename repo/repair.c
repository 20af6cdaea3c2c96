#include "repo/repair.h"

#include <errno.h>
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

bool repair_is_damage(const struct err *why)
{
	return why->code == ERR_DAMAGED || why->code == ERR_LIMIT ||
	       (why->code == ERR_IO && why->sys_errno == EIO);
}
