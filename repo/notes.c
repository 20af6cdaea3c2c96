#include "repo/notes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#define LOCAL_PLACES ((size_t)1 << 20)
#define LINE_CHARS (ID_HEX_CHARS + 3 + ID_HEX_CHARS + 1) /* pack, kind, chunk, line end */

void notes_free(struct notes *n)
{
	free(n->places);
	*n = (struct notes){0};
}

int notes_add(struct notes *n, const struct damage_place *place, struct err *err)
{
	if (n->count == n->cap) {
		size_t cap = n->cap ? n->cap * 2 : 16;
		struct damage_place *places = realloc(n->places, cap * sizeof(*places));

		if (!places)
			return err_nomem(err);
		n->places = places;
		n->cap = cap;
	}
	n->places[n->count++] = *place;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return damage_place_cmp(a, b);
}

void notes_settle(struct notes *n)
{
	size_t kept = 0;

	if (n->count)
		qsort(n->places, n->count, sizeof(*n->places), compare);
	for (size_t i = 0; i < n->count; i++) {
		if (kept && damage_place_cmp(&n->places[kept - 1], &n->places[i]) == 0)
			continue;
		n->places[kept++] = n->places[i];
	}
	n->count = kept;
}

bool notes_have(const struct notes *n, const struct damage_place *place)
{
	return n->count && bsearch(place, n->places, n->count, sizeof(*n->places), compare) != NULL;
}

/* --- in the repository --- */

/* A writer whose range of sequences has ended may still have noted damage before. */
static int signer_known(struct repo *repo, const struct damage *d, struct err *err)
{
	if (repo_find_writer(repo, d->signer) ||
	    memcmp(d->signer, repo->conf.gc_pub, sizeof(d->signer)) == 0)
		return 0;
	return err_set(err, ERR_DAMAGED,
		       "a damage note signed by a writer that the roster in keys/ does not name");
}

int notes_take(struct repo *repo, const struct buf *bytes, struct notes *n, struct err *err)
{
	struct damage d = {0};
	int r = damage_dec(repo->keys, bytes->data, bytes->len, &d, err);

	if (!r)
		r = signer_known(repo, &d, err);
	for (size_t i = 0; !r && i < d.count; i++)
		r = notes_add(n, &d.places[i], err);
	if (!r && d.number > n->number)
		n->number = d.number;
	damage_free(&d);
	return r;
}

void notes_apply(const struct notes *n, struct index *index)
{
	for (size_t i = 0; i < n->count; i++) {
		const struct damage_place *p = &n->places[i];

		for (uint32_t at = index_find(index, p->kind, &p->chunk); at != INDEX_NONE;
		     at = index->places[at].next) {
			if (id_eq(&index->packs[index->places[at].pack].name, &p->pack))
				index_mark_place(index, at);
		}
	}
}

static int put_one(struct repo *repo, struct damage *d, struct err *err)
{
	struct buf bytes = {0};
	struct id name;
	int r = d->number ? damage_enc(repo->keys, d, repo->conf.floor_log2, &bytes, err)
			  : err_set(err, ERR_LIMIT, "no more damage notes fit behind the last one");

	if (!r)
		r = repo_put(repo, STORE_SNAPSHOTS, &bytes, &name, err);
	buf_free(&bytes);
	return r;
}

int notes_put(struct repo *repo, const struct notes *found, int64_t now_ns, uint64_t *number,
	      struct err *err)
{
	int r = 0;

	for (size_t done = 0, count; !r && done < found->count; done += count) {
		struct damage d = {
		    .number = *number + 1,
		    .time_ns = now_ns,
		    .domain = repo->keys->writer_domain,
		    .places = found->places + done,
		};

		count = found->count - done;
		count = count < LIMIT_DAMAGE_PLACES ? count : LIMIT_DAMAGE_PLACES;
		d.count = count;
		r = put_one(repo, &d, err);
		*number += !r;
	}
	return r;
}

/* --- on this host --- */

static int local_path(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], char **out_folder,
		      char **out_path, struct err *err)
{
	char id[2 * REPO_ID_BYTES + 1];

	(void)sodium_bin2hex(id, sizeof(id), repo, REPO_ID_BYTES);
	if (asprintf(out_folder, "%s/%s", state_dir, id) < 0)
		*out_folder = NULL;
	if (asprintf(out_path, "%s/%s/damage", state_dir, id) < 0)
		*out_path = NULL;
	return *out_folder && *out_path ? 0 : err_nomem(err);
}

static bool parse_line(char *line, struct damage_place *p)
{
	if (strlen(line) != LINE_CHARS || line[LINE_CHARS - 1] != '\n' ||
	    line[ID_HEX_CHARS] != ' ' || line[ID_HEX_CHARS + 2] != ' ')
		return false;
	line[ID_HEX_CHARS] = line[LINE_CHARS - 1] = '\0';
	p->kind = (uint8_t)(line[ID_HEX_CHARS + 1] - '0');
	return chunk_kind_valid(p->kind) && id_from_hex(line, &p->pack) &&
	       id_from_hex(line + ID_HEX_CHARS + 3, &p->chunk);
}

static int read_lines(FILE *f, const char *path, struct notes *n, struct err *err)
{
	char line[LINE_CHARS + 2];
	int r = 0;

	while (!r && fgets(line, sizeof(line), f)) {
		struct damage_place p;

		if (n->count >= LOCAL_PLACES)
			return err_set(err, ERR_LIMIT, "%s: more places than can be", path);
		r = parse_line(line, &p)
			? notes_add(n, &p, err)
			: err_set(err, ERR_DAMAGED, "%s: does not read as notes of damage", path);
	}
	if (!r && ferror(f)) /* such as a folder of that name */
		r = err_sys(err, errno, "%s", path);
	return r;
}

int notes_load_local(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], struct notes *n,
		     struct err *err)
{
	char *folder = NULL, *path = NULL;
	int fd = -1, r = local_path(state_dir, repo, &folder, &path, err);
	FILE *f = NULL;

	if (!r) {
		fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 && errno != ENOENT)
			r = err_sys(err, errno, "%s", path);
	}
	if (!r && fd >= 0) {
		f = fdopen(fd, "r");
		if (f)
			r = read_lines(f, path, n, err);
		else
			r = err_nomem(err);
	}
	if (f)
		(void)fclose(f);
	else if (fd >= 0)
		(void)close(fd);
	free(folder);
	free(path);
	return r;
}

static int write_lines(int fd, const struct notes *n, const char *path, struct err *err)
{
	FILE *f = fdopen(fd, "w");
	bool ok = f != NULL;

	for (size_t i = 0; ok && i < n->count && i < LOCAL_PLACES; i++) {
		char pack[ID_HEX_CHARS + 1], chunk[ID_HEX_CHARS + 1];

		id_hex(&n->places[i].pack, pack);
		id_hex(&n->places[i].chunk, chunk);
		ok = fprintf(f, "%s %u %s\n", pack, (unsigned)n->places[i].kind, chunk) > 0;
	}
	if (!f) {
		(void)close(fd);
		return err_nomem(err);
	}
	ok = ok && fflush(f) == 0 && fsync(fd) == 0;
	if (fclose(f) != 0 || !ok)
		return err_sys(err, errno, "%s", path);
	return 0;
}

int notes_save_local(const char *state_dir, const uint8_t repo[REPO_ID_BYTES],
		     const struct notes *n, struct err *err)
{
	char *folder = NULL, *path = NULL, *temp = NULL;
	int fd, r = local_path(state_dir, repo, &folder, &path, err);

	if (!r && asprintf(&temp, "%s.new", path) < 0) {
		temp = NULL;
		r = err_nomem(err);
	}
	if (!r && mkdir(folder, 0700) != 0 && errno != EEXIST)
		r = err_sys(err, errno, "%s", folder);
	if (!r) {
		(void)unlink(temp);
		fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		r = fd < 0 ? err_sys(err, errno, "%s", temp) : write_lines(fd, n, path, err);
	}
	if (!r && rename(temp, path) != 0)
		r = err_sys(err, errno, "%s", path);
	if (r && temp)
		(void)unlink(temp);
	free(folder);
	free(path);
	free(temp);
	return r;
}

int notes_apply_all(const struct notes *n, const char *state_dir, const struct repo *repo,
		    struct index *index, struct err *err)
{
	struct notes local = {0};
	struct err why = {0};
	int r = state_dir ? notes_load_local(state_dir, repo->conf.repo, &local, &why) : 0;

	notes_apply(n, index);
	notes_apply(&local, index);
	notes_free(&local);
	return r == -ERR_NOMEM ? err_nomem(err) : 0;
}
