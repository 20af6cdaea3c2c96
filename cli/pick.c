#include "cli/pick.h"

#include <stdlib.h>
#include <string.h>

static bool has(char *const *set, size_t count, const char *text, size_t len)
{
	for (size_t i = 0; i < count; i++) {
		if (strlen(set[i]) == len && memcmp(set[i], text, len) == 0)
			return true;
	}
	return false;
}

static bool has_all_tags(const struct manifest *m, const char *tags)
{
	if (*tags == '\0')
		return m->tag_count == 0;
	while (*tags) {
		size_t len = strcspn(tags, ",");

		if (len && !has(m->tags, m->tag_count, tags, len))
			return false;
		tags += len + (tags[len] == ',');
	}
	return true;
}

static bool tags_fit(const struct pick *p, const struct manifest *m)
{
	bool fit = p->tags.count == 0;

	for (size_t i = 0; !fit && i < p->tags.count; i++)
		fit = has_all_tags(m, p->tags.items[i]);
	return fit;
}

static bool host_fits(const struct pick *p, const struct manifest *m)
{
	bool fits = p->hosts.count == 0;

	for (size_t i = 0; !fits && i < p->hosts.count; i++)
		fits = m->host && strcmp(m->host, p->hosts.items[i]) == 0;
	return fits;
}

static bool paths_fit(const struct pick *p, const struct manifest *m)
{
	for (size_t i = 0; i < p->paths.count; i++) {
		const char *path = p->paths.items[i];

		if (!has(m->sources, m->source_count, path, strlen(path)))
			return false;
	}
	return true;
}

static int pick_named(const struct pick *p, const struct manifest_list *list, const char *operand,
		      bool *wanted, struct err *err)
{
	const char *host = p->hosts.count ? p->hosts.items[0] : NULL;
	const struct manifest_item *item;
	const char *sub;
	int r = manifests_find(list, operand, host, &item, &sub, err);

	if (!r && sub)
		r = err_set(err, ERR_USAGE, "'%s': this is about whole backups, not paths in them",
			    operand);
	if (!r)
		wanted[item - list->items] = true;
	return r;
}

int pick_manifests(const struct pick *pick, const struct manifest_list *list, int count,
		   char **operands, bool **out_wanted, struct err *err)
{
	int r = 0;

	if (count && (pick->tags.count || pick->paths.count || pick->hosts.count > 1))
		return err_set(err, ERR_USAGE,
			       "name backups, or choose them by --tag, --path and several --host, "
			       "not both");
	*out_wanted = calloc(list->count + 1, sizeof(**out_wanted));
	if (!*out_wanted)
		return err_nomem(err);
	for (int i = 0; !r && i < count; i++)
		r = pick_named(pick, list, operands[i], *out_wanted, err);
	for (size_t i = 0; !count && i < list->count; i++) {
		const struct manifest *m = &list->items[i].m;

		(*out_wanted)[i] = host_fits(pick, m) && tags_fit(pick, m) && paths_fit(pick, m);
	}
	return r;
}

void pick_tell_none(struct out *out, const struct pick *pick, size_t found)
{
	if (found == 0 && pick->hosts.count + pick->tags.count + pick->paths.count > 0)
		out_warning(out, "no backup is of the --host, --tag and --path that are asked for");
}
