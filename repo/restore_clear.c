/* What lies in a restored folder and is not in the manifest. */
#include "repo/restore_run.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/browse.h"
#include "repo/fswrite_place.h"
#include "repo/snapshot.h"

static const char *const tails[] = {"-wal", "-shm", "-journal"};

/* The names of a folder of the manifest, ascending; names point into text. */
struct names {
	struct buf text;
	size_t *at; /* where each begins */
	bool *database;
	size_t count, cap;
};

static void names_free(struct names *n)
{
	buf_free(&n->text);
	free(n->at);
	free(n->database);
}

static const char *name_of(const struct names *n, size_t i)
{
	return (const char *)n->text.data + n->at[i];
}

static int add_name(void *arg, const struct entry *e, const struct chunk_ref *children,
		    struct err *err)
{
	struct names *n = arg;

	(void)children;
	if (n->count == n->cap) {
		size_t cap = n->cap ? n->cap * 2 : 64;
		size_t *at = realloc(n->at, cap * sizeof(*at));
		bool *database;

		if (!at)
			return err_nomem(err);
		n->at = at;
		database = realloc(n->database, cap * sizeof(*database));
		if (!database)
			return err_nomem(err);
		n->database = database;
		n->cap = cap;
	}
	n->at[n->count] = n->text.len;
	n->database[n->count++] = entry_is_database(e);
	buf_put(&n->text, e->name.p, e->name.len);
	buf_put_u8(&n->text, 0);
	return buf_check(&n->text, err);
}

/* The first count bytes of name are a name: which one, or n->count. */
static size_t find_name(const struct names *n, const char *name, size_t len)
{
	size_t low = 0, high = n->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const char *is = name_of(n, mid);
		size_t is_len = strlen(is);
		int c = memcmp(name, is, len < is_len ? len : is_len);

		if (c == 0 && len == is_len)
			return mid;
		if (c < 0 || (c == 0 && len < is_len))
			high = mid;
		else
			low = mid + 1;
	}
	return n->count;
}

/* How long name is without a tail of SQLite's; 0: it has none. */
static size_t without_tail(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < 3; i++) {
		size_t tail = strlen(tails[i]);

		if (len > tail && strcmp(name + len - tail, tails[i]) == 0)
			return len - tail;
	}
	return 0;
}

/* What lies beside a database of the manifest belongs to it: one that was replaced has nothing there any more. */
static bool belongs(const struct names *n, const char *name)
{
	size_t len = without_tail(name), at;

	if (len == 0)
		return false;
	at = find_name(n, name, len);
	return at < n->count && n->database[at];
}

/* "….before-restore-YYYYMMDDTHHMMSSZ…": kept by this restore or an earlier one. */
static bool was_set_aside(const char *name)
{
	const char *stamp = strstr(name, FSW_ASIDE_INFIX);
	static const char form[] = "ddddddddTddddddZ";

	if (!stamp)
		return false;
	stamp += strlen(FSW_ASIDE_INFIX);
	for (size_t i = 0; form[i]; i++) {
		if (form[i] == 'd' ? stamp[i] < '0' || stamp[i] > '9' : stamp[i] != form[i])
			return false;
	}
	return true;
}

/* --- removing --- */

static bool is_database(struct restore_run *run, const char *rel)
{
	struct err ignored = {0};
	struct fsw_file *file = NULL;
	uint8_t head[16];
	bool is = fsw_file_open(run->fsw, rel, &file, &ignored) == 0 &&
		  fsw_file_size(file) >= sizeof(head) &&
		  fsw_file_read(file, 0, head, sizeof(head), &ignored) == 0 &&
		  snapshot_is_database(head, sizeof(head));

	fsw_file_abort(file);
	return is;
}

/* 0 also when it cannot be removed, which is told. */
static int remove_one(struct restore_run *run, const char *path, bool *out_gone, struct err *err)
{
	const char *rel = path + 1;
	struct err why = {0};
	uint64_t removed = 0;
	int r = 0;

	*out_gone = false;
	if (is_database(run, rel))
		r = restore_not_open(run, path, rel, &why);
	if (!r && !run->options->dry_run)
		r = fsw_remove(run->fsw, rel, &removed, &why);
	if (r && restore_fatal(r)) {
		*err = why;
		return r;
	}
	if (r) {
		restore_tell_failed(run, path, why.text);
		return 0;
	}
	*out_gone = true;
	run->result->deleted++;
	restore_tell_action(run, RESTORE_DELETED, path, NULL);
	return restore_tick(run, path, err);
}

/* A folder that is being cleared. */
struct clearing {
	struct restore_run *run;
	const char *path;
	struct names expected;
	char *kept; /* the last name that could not go */
};

static int clear_name(struct clearing *c, const char *name, struct err *err)
{
	const struct span span = {(const uint8_t *)name, strlen(name)};
	size_t base = without_tail(name);
	char *path = NULL;
	bool gone = true;
	int r;

	if (find_name(&c->expected, name, span.len) < c->expected.count)
		return 0;
	r = browse_join(c->path, &span, &path, err);
	if (r)
		return r;
	if (fsw_temp_is_name(name)) {
		if (!c->run->options->dry_run)
			(void)fsw_clear_left_over(c->run->fsw, path + 1);
	} else if (c->run->options->remove && restore_wants(c->run, path) &&
		   !belongs(&c->expected, name) && !was_set_aside(name) &&
		   !(c->kept && strlen(c->kept) == base && memcmp(c->kept, name, base) == 0)) {
		r = remove_one(c->run, path, &gone, err);
	}
	if (!r && !gone) {
		free(c->kept);
		c->kept = strdup(name);
		r = c->kept ? 0 : err_nomem(err);
	}
	free(path);
	return r;
}

int restore_clear(struct restore_run *run, const char *path, const struct id *list, struct err *err)
{
	struct clearing c = {.run = run, .path = path};
	struct err why = {0};
	struct stat st;
	char **names = NULL;
	size_t count = 0;
	bool there, any = run->options->remove;
	int r = fsw_look(run->fsw, path + 1, &there, &st, &why);

	/* Nothing of it was wanted, or a dry run left in its place what is in the way. */
	if (r || !there || !S_ISDIR(st.st_mode))
		return 0;
	r = fsw_list(run->fsw, path + 1, &names, &count, err);
	for (size_t i = 0; !r && i < count && !any; i++)
		any = fsw_temp_is_name(names[i]);
	if (!r && any)
		r = tree_each(run->reader, list, add_name, &c.expected, err);
	for (size_t i = 0; !r && any && i < count; i++)
		r = clear_name(&c, names[i], err);
	free(names);
	free(c.kept);
	names_free(&c.expected);
	return r;
}

int restore_clear_way(struct restore_run *run, const char *path, bool *out_gone, struct err *err)
{
	*out_gone = false;
	if (!run->options->remove)
		return err_set(err, ERR_EXISTS,
			       "something of another kind is in the way; --delete removes it");
	return remove_one(run, path, out_gone, err);
}
