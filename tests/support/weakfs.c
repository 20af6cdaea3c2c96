#include "tests/support/weakfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/tmpdir.h"
#include "tests/support/weakfs_data.h"

#define NONE SIZE_MAX
#define ROOT 0u

/* A file or a folder, under whatever names. */
struct node {
	bool is_folder;
	struct weakfs_bytes bytes; /* as it was before */
};

struct entry {
	size_t folder, node;
	char *name;
};

struct entries {
	struct entry *e;
	size_t count, cap;
};

/* An operation with nodes in the place of paths. */
struct step {
	const struct op *op;
	size_t node;              /* what is written, synced, named; NONE: the step does nothing */
	size_t folder, to_folder; /* of names that change; NONE */
	const char *name, *to_name;
	size_t durable_at; /* the point from which it is there whatever happens; NONE never */
};

struct weakfs {
	struct node *nodes;
	size_t node_count;
	struct entries before, live; /* live: while steps are made */
	struct step *steps;
	size_t step_count;
};

struct weakfs_image {
	const struct weakfs *fs;
	struct entries entries;
	struct weakfs_bytes *bytes; /* of each node */
};

static void die(const char *what)
{
	perror(what);
	abort();
}

/* --- names --- */

static size_t find(const struct entries *s, size_t folder, const char *name, size_t len)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->e[i].folder == folder && strncmp(s->e[i].name, name, len) == 0 &&
		    s->e[i].name[len] == '\0')
			return i;
	}
	return NONE;
}

static void drop(struct entries *s, size_t folder, const char *name)
{
	size_t i = find(s, folder, name, strlen(name));

	if (i == NONE)
		return;
	free(s->e[i].name);
	s->e[i] = s->e[--s->count];
}

static void put(struct entries *s, size_t folder, const char *name, size_t node)
{
	drop(s, folder, name);
	if (s->count == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 64;
		s->e = realloc(s->e, s->cap * sizeof(*s->e));
		if (!s->e)
			die("weakfs");
	}
	s->e[s->count++] = (struct entry){folder, node, strdup(name)};
}

static void free_entries(struct entries *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->e[i].name);
	free(s->e);
}

static struct entries copy_entries(const struct entries *from)
{
	struct entries s = {0};

	for (size_t i = 0; i < from->count; i++)
		put(&s, from->e[i].folder, from->e[i].name, from->e[i].node);
	return s;
}

/* The node of a path; and the folder and last name of it, which need not be there. */
static size_t resolve(const struct entries *s, const char *path, size_t *out_folder,
		      const char **out_name)
{
	size_t at = ROOT, i;

	*out_folder = NONE;
	*out_name = path;
	while (*path) {
		size_t len = strcspn(path, "/");

		if (at == NONE)
			die("weakfs: a path without its folder");
		*out_folder = at;
		*out_name = path;
		i = find(s, at, path, len);
		at = i == NONE ? NONE : s->e[i].node;
		path += len + (path[len] == '/');
	}
	return at;
}

/* --- what was there --- */

static size_t new_node(struct weakfs *fs, bool is_folder)
{
	fs->nodes = realloc(fs->nodes, (fs->node_count + 1) * sizeof(*fs->nodes));
	if (!fs->nodes)
		die("weakfs");
	fs->nodes[fs->node_count] = (struct node){.is_folder = is_folder};
	return fs->node_count++;
}

static void load(struct weakfs *fs, const char *path, size_t node)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (!d)
		die(path);
	while ((e = readdir(d)) != NULL) {
		char *below = tmpdir_path(path, e->d_name);
		struct stat st;
		size_t n;

		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
			if (lstat(below, &st) != 0)
				die(below);
			n = new_node(fs, S_ISDIR(st.st_mode));
			put(&fs->before, node, e->d_name, n);
			if (S_ISDIR(st.st_mode))
				load(fs, below, n);
			else
				weakfs_bytes_read(&fs->nodes[n].bytes, below);
		}
		free(below);
	}
	(void)closedir(d);
}

/* --- steps --- */

static void make_name(struct weakfs *fs, struct step *s, bool is_folder)
{
	if (s->node != NONE) { /* it is there already */
		s->node = NONE;
		return;
	}
	s->node = new_node(fs, is_folder);
	put(&fs->live, s->folder, s->name, s->node);
}

static void move_name(struct weakfs *fs, struct step *s)
{
	size_t replaced = resolve(&fs->live, s->op->to, &s->to_folder, &s->to_name);

	if (s->node == NONE || (replaced != NONE && fs->nodes[replaced].is_folder))
		die("weakfs: a rename that is not understood");
	if (s->op->kind == OP_RENAME)
		drop(&fs->live, s->folder, s->name);
	put(&fs->live, s->to_folder, s->to_name, s->node);
}

static void make_step(struct weakfs *fs, const struct op *op)
{
	struct step *s = &fs->steps[fs->step_count++];

	*s = (struct step){
	    .op = op, .node = NONE, .folder = NONE, .to_folder = NONE, .durable_at = NONE};
	if (op->kind == OP_SAID)
		return;
	s->node = resolve(&fs->live, op->path, &s->folder, &s->name);
	if (op->kind == OP_CREATE || op->kind == OP_FOLDER)
		make_name(fs, s, op->kind == OP_FOLDER);
	else if (op->kind == OP_RENAME || op->kind == OP_LINK)
		move_name(fs, s);
	else if (op->kind == OP_REMOVE)
		drop(&fs->live, s->folder, s->name);
	else if (s->node == NONE)
		die("weakfs: bytes of a file that is not there");
}

static bool is_data(const struct step *s)
{
	return s->node != NONE &&
	       (s->op->kind == OP_WRITE || s->op->kind == OP_LENGTH || s->op->kind == OP_HOLE);
}

static bool is_name(const struct step *s)
{
	return s->node != NONE && !is_data(s) && s->op->kind != OP_SYNC;
}

static void find_syncs(struct weakfs *fs)
{
	for (size_t i = 0; i < fs->step_count; i++) {
		struct step *s = &fs->steps[i];
		size_t first = is_data(s) ? s->node : s->folder, second = NONE;
		bool first_done = !is_data(s) && !is_name(s), second_done;

		if (is_name(s) && s->to_folder != NONE && s->to_folder != first)
			second = s->to_folder;
		second_done = second == NONE;
		for (size_t j = i + 1; j < fs->step_count && s->durable_at == NONE; j++) {
			if (fs->steps[j].op->kind != OP_SYNC)
				continue;
			first_done |= fs->steps[j].node == first;
			second_done |= fs->steps[j].node == second;
			if (first_done && second_done)
				s->durable_at = j + 1;
		}
	}
}

struct weakfs *weakfs_new(const char *base, const struct oplog *ops)
{
	struct weakfs *fs = calloc(1, sizeof(*fs));

	if (!fs)
		die("weakfs");
	fs->steps = calloc(ops->count + 1, sizeof(*fs->steps));
	if (!fs->steps)
		die("weakfs");
	(void)new_node(fs, true);
	load(fs, base, ROOT);
	fs->live = copy_entries(&fs->before);
	for (size_t i = 0; i < ops->count; i++)
		make_step(fs, &ops->ops[i]);
	find_syncs(fs);
	return fs;
}

void weakfs_free(struct weakfs *fs)
{
	free_entries(&fs->before);
	free_entries(&fs->live);
	for (size_t i = 0; i < fs->node_count; i++)
		free(fs->nodes[i].bytes.p);
	free(fs->nodes);
	free(fs->steps);
	free(fs);
}

/* --- images --- */

/* How much of what no sync has seen is there: names of each way, and of those by chance so many in 8. */
static bool takes_name(unsigned way, unsigned odds, struct weakfs_chance *chance)
{
	if (way < WEAKFS_FIXED)
		return way != 0 && way != 3;
	return weakfs_draw(chance, 8) < odds;
}

static enum weakfs_fate fate_of(unsigned way, struct weakfs_chance *chance)
{
	static const enum weakfs_fate fixed[WEAKFS_FIXED] = {FATE_OLD, FATE_OLD, FATE_ZEROS,
							     FATE_NEW, FATE_NEW, FATE_TORN};

	return way < WEAKFS_FIXED ? fixed[way] : (enum weakfs_fate)weakfs_draw(chance, FATES);
}

static void apply_name(struct entries *s, const struct step *step)
{
	switch (step->op->kind) {
	case OP_RENAME:
		drop(s, step->folder, step->name);
		put(s, step->to_folder, step->to_name, step->node);
		break;
	case OP_LINK:
		put(s, step->to_folder, step->to_name, step->node);
		break;
	case OP_REMOVE:
		drop(s, step->folder, step->name);
		break;
	case OP_CREATE:
	case OP_FOLDER:
		put(s, step->folder, step->name, step->node);
		break;
	case OP_WRITE:
	case OP_LENGTH:
	case OP_HOLE:
	case OP_SYNC:
	case OP_SAID:
	default:
		break;
	}
}

static void make_bytes(struct weakfs_image *image, size_t point, size_t node, enum weakfs_fate fate,
		       struct weakfs_chance *chance)
{
	const struct weakfs *fs = image->fs;
	const struct op **pending = calloc(point + 1, sizeof(const struct op *));
	struct weakfs_bytes *b = &image->bytes[node];
	size_t count = 0;

	if (!pending)
		die("weakfs");
	weakfs_bytes_copy(b, &fs->nodes[node].bytes);
	for (size_t i = 0; i < point; i++) {
		const struct step *s = &fs->steps[i];

		if (!is_data(s) || s->node != node)
			continue;
		if (s->durable_at <= point)
			weakfs_bytes_apply(b, s->op, s->op->len);
		else
			pending[count++] = s->op;
	}
	weakfs_bytes_suffer(b, pending, count, fate, chance);
	free(pending);
}

struct weakfs_image *weakfs_image(const struct weakfs *fs, size_t point, unsigned way)
{
	struct weakfs_chance chance = {point * 1000003u + way};
	unsigned odds = 1 + weakfs_draw(&chance, 7);
	struct weakfs_image *image = calloc(1, sizeof(*image));

	if (!image)
		die("weakfs");
	image->fs = fs;
	image->entries = copy_entries(&fs->before);
	image->bytes = calloc(fs->node_count, sizeof(*image->bytes));
	if (!image->bytes)
		die("weakfs");
	for (size_t i = 0; i < point; i++) {
		const struct step *s = &fs->steps[i];

		if (is_name(s) && (s->durable_at <= point || takes_name(way, odds, &chance)))
			apply_name(&image->entries, s);
	}
	for (size_t n = 0; n < fs->node_count; n++) {
		if (!fs->nodes[n].is_folder)
			make_bytes(image, point, n, fate_of(way, &chance), &chance);
	}
	return image;
}

void weakfs_image_free(struct weakfs_image *image)
{
	for (size_t n = 0; n < image->fs->node_count; n++)
		free(image->bytes[n].p);
	free(image->bytes);
	free_entries(&image->entries);
	free(image);
}

/* --- what is reached from the root --- */

/* Of one entry; true: stop. */
typedef bool visit_fn(void *arg, const char *path, bool is_folder, const struct weakfs_bytes *b);

static bool visit(const struct weakfs_image *image, size_t folder, const char *path, visit_fn *fn,
		  void *arg)
{
	bool stop = false;

	for (size_t i = 0; i < image->entries.count && !stop; i++) {
		const struct entry *e = &image->entries.e[i];
		bool is_folder = image->fs->nodes[e->node].is_folder;
		char *below;

		if (e->folder != folder)
			continue;
		below = tmpdir_path(path, e->name);
		stop = fn(arg, below, is_folder, &image->bytes[e->node]) ||
		       (is_folder && visit(image, e->node, below, fn, arg));
		free(below);
	}
	return stop;
}

static bool add_to_sum(void *arg, const char *path, bool is_folder, const struct weakfs_bytes *b)
{
	uint64_t *sum = arg, one;
	crypto_generichash_state state;
	uint8_t digest[16];

	crypto_generichash_init(&state, NULL, 0, sizeof(digest));
	crypto_generichash_update(&state, (const uint8_t *)path, strlen(path) + 1);
	crypto_generichash_update(&state, (const uint8_t *)(is_folder ? "d" : "f"), 1);
	if (!is_folder && b->len)
		crypto_generichash_update(&state, b->p, b->len);
	crypto_generichash_final(&state, digest, sizeof(digest));
	memcpy(&one, digest, sizeof(one));
	*sum += one;
	return false;
}

uint64_t weakfs_sum(const struct weakfs_image *image)
{
	uint64_t sum = 0;

	(void)visit(image, ROOT, "", add_to_sum, &sum);
	return sum;
}

static bool write_entry(void *arg, const char *path, bool is_folder, const struct weakfs_bytes *b)
{
	(void)arg;
	if (is_folder) {
		if (mkdir(path, 0700) != 0)
			die(path);
	} else {
		weakfs_bytes_write(b, path);
	}
	return false;
}

void weakfs_write(const struct weakfs_image *image, const char *folder)
{
	if (mkdir(folder, 0700) != 0)
		die(folder);
	(void)visit(image, ROOT, folder, write_entry, NULL);
}

static bool differs(void *arg, const char *path, bool is_folder, const struct weakfs_bytes *b)
{
	size_t *left = arg;
	struct weakfs_bytes there = {0};
	struct stat st;
	bool other;

	if (lstat(path, &st) != 0 || S_ISDIR(st.st_mode) != is_folder)
		other = true;
	else if (is_folder)
		other = false;
	else {
		weakfs_bytes_read(&there, path);
		other = there.len != b->len || (b->len && memcmp(there.p, b->p, b->len) != 0);
	}
	if (other)
		(void)fprintf(stderr, "# the record says otherwise: %s\n", path);
	free(there.p);
	--*left;
	return other;
}

static size_t count_in(const char *folder)
{
	struct weakfs fs = {0};
	size_t count;

	(void)new_node(&fs, true);
	load(&fs, folder, ROOT);
	count = fs.before.count;
	for (size_t i = 0; i < fs.node_count; i++)
		free(fs.nodes[i].bytes.p);
	free(fs.nodes);
	free_entries(&fs.before);
	return count;
}

bool weakfs_is(const struct weakfs_image *image, const char *folder)
{
	size_t left = count_in(folder);

	return !visit(image, ROOT, folder, differs, &left) && left == 0;
}
