#include "tests/support/killplan.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

const char *killplan_name(enum phase phase)
{
	static const char *const names[] = {"opening", "keys",  "snapshot", "files",
					    "pack",    "index", "manifest"};

	return names[phase];
}

/* What comes after dir and name in path; NULL when path is neither there nor below. */
static const char *tail_of(const char *path, const char *dir, const char *name)
{
	size_t dir_len = strlen(dir), name_len = strlen(name);

	if (strncmp(path, dir, dir_len) != 0 || strncmp(path + dir_len, name, name_len) != 0)
		return NULL;
	path += dir_len + name_len;
	return *path == '\0' || *path == '/' ? path : NULL;
}

static enum phase phase_of(const struct watch *w, const struct tracer_stop *stop)
{
	static const struct {
		const char *folder;
		enum phase phase;
	} folders[] = {
	    {"/keys", KEYS},
	    {"/data", PACK},
	    {"/index", INDEX},
	    {"/snapshots", MANIFEST},
	};
	const char *tail = tail_of(stop->path, w->app, "");
	bool database = tail && strstr(tail, ".db") != NULL;

	for (size_t i = 0; stop->changes && i < 4; i++) {
		if (tail_of(stop->path, w->repo, folders[i].folder))
			return folders[i].phase;
	}
	/* The first walk reads headers below its folder's descriptor; SQLite opens by whole paths. */
	if (w->phase < SNAPSHOT && database && stop->call == SYS_openat &&
	    (int)stop->args[0] == AT_FDCWD)
		return SNAPSHOT;
	if (w->phase >= SNAPSHOT && tail && *tail && (!database || w->phase > SNAPSHOT))
		return FILES;
	return w->phase;
}

bool killplan_on_stop(void *arg, const struct tracer_stop *stop)
{
	struct watch *w = arg;
	unsigned ordinal;

	if (stop->before)
		w->phase = phase_of(w, stop);
	ordinal = w->counts[w->phase]++;
	if (w->stop_count < w->stop_cap)
		w->stops[w->stop_count++] =
		    (struct moment){w->phase, ordinal, stop->before, stop->changes, stop->call};
	return w->until && w->until->phase == w->phase && w->until->ordinal == ordinal;
}

size_t killplan_choose(const struct moment *stops, size_t count, enum phase phase, size_t wanted,
		       struct moment *out_moments, size_t cap)
{
	size_t changing = 0, others = 0, left, taken = 0, chosen = 0;

	for (size_t i = 0; i < count; i++) {
		if (stops[i].phase == phase)
			*(stops[i].changes ? &changing : &others) += 1;
	}
	left = wanted > changing ? wanted - changing : 0;
	for (size_t i = 0, k = 0; i < count && chosen < cap; i++) {
		bool take = stops[i].phase == phase && stops[i].changes;

		if (stops[i].phase == phase && !take && k++ * left >= taken * others &&
		    taken < left) {
			take = true;
			taken++;
		}
		if (take)
			out_moments[chosen++] = stops[i];
	}
	return chosen;
}
