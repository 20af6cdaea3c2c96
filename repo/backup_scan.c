/* The first walk of a backup: which databases there are, and how much there will be to do. */
#include "repo/backup_quiet.h"
#include "repo/fsread.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int folder_add(struct backup_run *run, const char *path, const struct stat *st,
		      struct err *err)
{
	struct backup_folder *f;

	if (run->folder_count && strcmp(run->folders[run->folder_count - 1].path, path) == 0)
		return 0;
	if (run->folder_count == run->folder_cap) {
		size_t cap = run->folder_cap ? run->folder_cap * 2 : 8;

		f = realloc(run->folders, cap * sizeof(*f));
		if (!f)
			return err_nomem(err);
		run->folders = f;
		run->folder_cap = cap;
	}
	f = &run->folders[run->folder_count];
	*f = (struct backup_folder){.path = strdup(path), .mtime = st->st_mtim};
	if (!f->path)
		return err_nomem(err);
	run->folder_count++;
	return 0;
}

/* True when the file begins as a database does. What cannot be read is told by the second walk. */
static bool looks_like_database(int dirfd, const char *name, const char *path)
{
	uint8_t head[BACKUP_HEAD_BYTES];
	struct err ignored = {0};
	ssize_t got;
	int fd;

	if (fs_open(dirfd, name, 0, path, &fd, &ignored) != 0)
		return false;
	got = fs_pread(fd, head, sizeof(head), 0);
	(void)close(fd);
	return got > 0 && snapshot_is_database(head, (size_t)got);
}

/* During the walk: names ascend, so what lies beside a database comes soon after it. Only counts depend on this. */
static bool beside_last(const struct backup_run *run, const char *path)
{
	return run->db_count && backup_lies_beside(path, run->dbs[run->db_count - 1].path);
}

static int scan_folder(struct backup_run *run, int dirfd, const char *path, unsigned depth,
		       struct err *err);

/* A folder whose names are gone through. */
struct scanned {
	int fd;
	const char *path; /* "" above an operand */
	struct stat st;   /* before anything in it was opened */
	unsigned depth;
};

static int count_file(struct backup_run *run, const char *path, uint64_t bytes, struct err *err)
{
	if (!beside_last(run, path)) {
		run->files_total++;
		run->bytes_total += bytes;
	}
	return backup_carry_note(run, path, err);
}

/*
 * A file that was no database when the files cache last saw it is not even looked at: one lstat of each file is half of what an
 * unchanged backup costs, and the second walk makes one. Should it be a database by now, the second walk takes it
 * (backup_db_late); but one that --refs may mean must be known before.
 */
static bool known_by_name(const struct backup_run *run, const char *listed, const char *path,
			  uint64_t *out_bytes)
{
	return fs_listed_type(listed) == DT_REG &&
	       filescache_remembers(run->cache, path, out_bytes) &&
	       *out_bytes >= BACKUP_HEAD_BYTES && !backup_filter_excludes(run->filter, path) &&
	       !backup_refs_mean(run, path);
}

static int scan_file(struct backup_run *run, const struct scanned *in, const char *name,
		     const char *path, const struct stat *st, struct err *err)
{
	struct fs_meta meta = {0};
	int r = count_file(run, path, (uint64_t)st->st_size, err);

	if (r || st->st_size < BACKUP_HEAD_BYTES || filescache_knows(run->cache, path, st))
		return r;
	r = backup_immutable_scan(run, in->path, name, st, err);
	if (r || !looks_like_database(in->fd, name, path))
		return r < 0 ? r : 0;
	r = *in->path ? folder_add(run, in->path, &in->st, err) : 0;
	if (!r)
		r = fs_meta_read(in->fd, name, path, &meta, err);
	if (!r)
		r = backup_db_add(run, path, &meta, err);
	fs_meta_wipe(&meta);
	return r;
}

static int scan_below(struct backup_run *run, const struct scanned *in, const char *name,
		      const char *path, struct err *err)
{
	struct err ignored = {0};
	int fd, r = backup_carry_note(run, path, err);

	if (r || fs_open(in->fd, name, O_DIRECTORY, path, &fd, &ignored) != 0)
		return r;
	r = scan_folder(run, fd, path, in->depth + 1, err);
	(void)close(fd);
	return r;
}

static int scan_entry(struct backup_run *run, const struct scanned *in, const char *name,
		      const char *path, struct err *err)
{
	const char *own; /* told by the second walk */
	struct stat st;

	if (!backup_filter_wants(run->filter, in->fd, name, path, &st, &own))
		return 0;
	if (S_ISDIR(st.st_mode))
		return scan_below(run, in, name, path, err);
	return S_ISREG(st.st_mode) ? scan_file(run, in, name, path, &st, err) : 0;
}

static int scan_listed(struct backup_run *run, const struct scanned *in, const char *listed,
		       struct err *err)
{
	char *path = backup_join(in->path, listed);
	uint64_t bytes;
	int r;

	if (!path)
		return err_nomem(err);
	if (known_by_name(run, listed, path, &bytes))
		r = count_file(run, path, bytes, err);
	else
		r = scan_entry(run, in, listed, path, err);
	free(path);
	return r;
}

static int scan_folder(struct backup_run *run, int dirfd, const char *path, unsigned depth,
		       struct err *err)
{
	struct scanned in = {.fd = dirfd, .path = path, .depth = depth};
	struct err ignored = {0};
	char **names = NULL;
	size_t count = 0;
	int r = backup_tick(run, BACKUP_SCAN, path, err);

	if (r || depth > LIMIT_TREE_DEPTH || fstat(dirfd, &in.st) != 0)
		return r;
	r = backup_quiet_scan(run, path, &in.st, err);
	if (r)
		return r > 0 ? backup_carry_note_all(run, path, err) : r;
	if (backup_filter_list(run->filter, dirfd, path, &names, &count, &ignored) != 0)
		return 0;
	for (size_t i = 0; !r && i < count; i++)
		r = scan_listed(run, &in, names[i], err);
	free(names);
	return r;
}

int backup_scan(struct backup_run *run, struct err *err)
{
	const struct scanned above = {.fd = AT_FDCWD, .path = ""};
	int r = 0;

	for (size_t i = 0; !r && i < run->sources.count; i++) {
		const struct source *s = &run->sources.items[i];

		r = scan_entry(run, &above, s->real, s->path, err);
	}
	backup_immutable_close_folder(run);
	return r;
}
