/* Telling and choosing. */
#include "repo/restore_run.h"

#include <string.h>

#include "core/glob.h"
#include "repo/snapshot.h"
#include "repo/sources.h"

/* --- telling --- */

void restore_tell_failed(struct restore_run *run, const char *path, const char *text)
{
	run->result->failed++;
	if (run->options->cb.failed)
		run->options->cb.failed(run->options->cb.arg, path, text);
}

void restore_tell_warning(void *arg, const char *path, const char *text)
{
	struct restore_run *run = arg;

	if (run->options->cb.warning)
		run->options->cb.warning(run->options->cb.arg, path, text);
}

void restore_tell_verdict(struct restore_run *run, const struct manifest_db *db)
{
	if (db->verdict == SNAPSHOT_FAILED)
		restore_tell_warning(
		    run, db->path,
		    "was broken already when it was backed up, and is so now; 'nightjar "
		    "manifests' shows a backup whose databases were ok");
}

void restore_tell_action(struct restore_run *run, enum restore_action action, const char *path,
			 const struct entry *e)
{
	if (run->options->cb.action)
		run->options->cb.action(run->options->cb.arg, action, path,
					e && e->type == ENTRY_FILE ? e->size : 0);
}

int restore_tick(struct restore_run *run, const char *path, struct err *err)
{
	const struct restore_callbacks *cb = &run->options->cb;
	const struct restore_result *res = run->result;

	if (cb->progress && cb->progress(cb->arg, res->files + res->skipped,
					 res->bytes + res->bytes_skipped, path) != 0)
		return err_set(err, ERR_CANCELLED,
			       "interrupted; the same restore, run again, goes on from here");
	return 0;
}

bool restore_fatal(int r)
{
	return r == -ERR_NOMEM || r == -ERR_CANCELLED || r == -ERR_FULL || r == -ERR_KEY;
}

/* --- choosing --- */

static bool any_match(const char *const *patterns, size_t count, const char *path)
{
	for (size_t i = 0; i < count; i++) {
		if (glob_match(patterns[i], path))
			return true;
	}
	return false;
}

bool restore_wants(const struct restore_run *run, const char *path)
{
	const struct restore_options *o = run->options;

	if (!sources_lies_below(path, run->sub) || any_match(o->excludes, o->exclude_count, path))
		return false;
	return o->include_count == 0 || any_match(o->includes, o->include_count, path);
}

bool restore_enters(const struct restore_run *run, const char *path)
{
	const struct restore_options *o = run->options;

	if (any_match(o->excludes, o->exclude_count, path))
		return false;
	if (!sources_lies_below(path, run->sub))
		return sources_lies_below(run->sub, path);
	if (o->include_count == 0 || any_match(o->includes, o->include_count, path))
		return true;
	for (size_t i = 0; i < o->include_count; i++) {
		if (glob_may_match_below(o->includes[i], path))
			return true;
	}
	return false;
}

bool restore_above_sources(const struct restore_run *run, const char *path)
{
	for (size_t i = 0; i < run->m->source_count; i++) {
		if (sources_lies_below(path, run->m->sources[i]))
			return false;
	}
	return true;
}

bool restore_may_replace(const struct restore_run *run, const struct entry *e, int64_t newest_s,
			 long newest_ns)
{
	switch (run->options->overwrite) {
	case RESTORE_NEVER:
		return false;
	case RESTORE_IF_NEWER:
		return e->mtime_s != newest_s ? e->mtime_s > newest_s
					      : (long)e->mtime_ns > newest_ns;
	case RESTORE_ALWAYS:
	case RESTORE_IF_CHANGED:
		break;
	}
	return true;
}
