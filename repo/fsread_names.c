#include "repo/fsread.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BUCKETS 64u

struct name_entry {
	struct name_entry *next;
	uint32_t id;
	char text[];
};

struct fs_names {
	struct name_entry *users[NAME_BUCKETS], *groups[NAME_BUCKETS];
	char *scratch;
	size_t scratch_bytes;
};

struct fs_names *fs_names_new(void)
{
	struct fs_names *names = calloc(1, sizeof(*names));

	if (!names)
		return NULL;
	names->scratch_bytes = 1024;
	names->scratch = malloc(names->scratch_bytes);
	if (!names->scratch) {
		free(names);
		return NULL;
	}
	return names;
}

static void table_free(struct name_entry **table)
{
	for (unsigned i = 0; i < NAME_BUCKETS; i++) {
		struct name_entry *e = table[i], *next;

		for (; e; e = next) {
			next = e->next;
			free(e);
		}
	}
}

void fs_names_free(struct fs_names *names)
{
	if (!names)
		return;
	table_free(names->users);
	table_free(names->groups);
	free(names->scratch);
	free(names);
}

/* More room for a group with very many members. */
static bool scratch_grow(struct fs_names *names)
{
	char *bigger;

	if (names->scratch_bytes > (16u << 20))
		return false;
	bigger = realloc(names->scratch, names->scratch_bytes * 2);
	if (!bigger)
		return false;
	names->scratch = bigger;
	names->scratch_bytes *= 2;
	return true;
}

static const char *user_look_up(struct fs_names *names, uint32_t id)
{
	struct passwd pw, *found = NULL;
	int errnum;

	do {
		errnum = getpwuid_r(id, &pw, names->scratch, names->scratch_bytes, &found);
	} while (errnum == EINTR || (errnum == ERANGE && scratch_grow(names)));
	return errnum == 0 && found ? found->pw_name : "";
}

static const char *group_look_up(struct fs_names *names, uint32_t id)
{
	struct group gr, *found = NULL;
	int errnum;

	do {
		errnum = getgrgid_r(id, &gr, names->scratch, names->scratch_bytes, &found);
	} while (errnum == EINTR || (errnum == ERANGE && scratch_grow(names)));
	return errnum == 0 && found ? found->gr_name : "";
}

/* An id without a name is remembered too: asking for it can be slow where names come over a network. */
static const char *name_of(struct fs_names *names, struct name_entry **table, uint32_t id,
			   const char *(*look_up)(struct fs_names *, uint32_t))
{
	struct name_entry **bucket = &table[id % NAME_BUCKETS], *e;
	const char *text;
	size_t len;

	for (e = *bucket; e; e = e->next) {
		if (e->id == id)
			return e->text;
	}
	text = look_up(names, id);
	len = strlen(text);
	e = malloc(sizeof(*e) + len + 1);
	if (!e)
		return "";
	e->id = id;
	memcpy(e->text, text, len + 1);
	e->next = *bucket;
	*bucket = e;
	return e->text;
}

const char *fs_names_user(struct fs_names *names, uid_t uid)
{
	return name_of(names, names->users, uid, user_look_up);
}

const char *fs_names_group(struct fs_names *names, gid_t gid)
{
	return name_of(names, names->groups, gid, group_look_up);
}
