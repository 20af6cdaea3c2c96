#include "tests/support/faulttree.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINES_MOST 400

static void die(const char *what)
{
	perror(what);
	abort();
}

/* nftw takes no argument. */
static struct {
	const char *from, *to;
	char *lines[LINES_MOST];
	size_t count;
	bool bad, without_temporary;
} walk;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type;
	if (at->level > 0 && remove(path) != 0)
		die(path);
	return 0;
}

void faulttree_empty(const char *folder)
{
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		die(folder);
	if (nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		die(folder);
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 0777);
	uint8_t bytes[65536];
	ssize_t got;

	if (in < 0 || out < 0)
		die(to);
	while ((got = read(in, bytes, sizeof(bytes))) > 0) {
		if (write(out, bytes, (size_t)got) != got)
			die(to);
	}
	if (got < 0 || close(in) != 0 || close(out) != 0)
		die(from);
}

static int copy_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	char to[PATH_MAX];

	(void)at;
	(void)snprintf(to, sizeof(to), "%s%s", walk.to, path + strlen(walk.from));
	if (type == FTW_D && mkdir(to, 0700) != 0 && errno != EEXIST)
		die(to);
	if (type == FTW_F && (st->st_mode & 0777) == 0400 && link(path, to) != 0)
		die(to);
	if (type == FTW_F && (st->st_mode & 0777) != 0400)
		copy_file(path, to, st->st_mode);
	return 0;
}

void faulttree_copy(const char *from, const char *to)
{
	walk.from = from;
	walk.to = to;
	if (nftw(from, copy_one, 16, FTW_PHYS) != 0)
		die(from);
}

static bool is_hex(const char *name, size_t digits)
{
	return strlen(name) == digits && strspn(name, "0123456789abcdef") == digits;
}

/* The SHA-256 of a file is its name. */
static bool true_to_name(const char *path, const char *name)
{
	static uint8_t bytes[1 << 20];
	uint8_t sum[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(sum) + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));

	if (len < 0 || close(fd) != 0)
		die(path);
	(void)crypto_hash_sha256(sum, bytes, (unsigned long long)len);
	(void)sodium_bin2hex(hex, sizeof(hex), sum, sizeof(sum));
	return strcmp(hex, name) == 0;
}

static int list_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	char *line = NULL, folder[PATH_MAX] = "";
	const char *name = path + at->base, *below = path + strlen(walk.from);
	int len;

	if (type != FTW_F || walk.count == LINES_MOST)
		return 0;
	(void)snprintf(folder, sizeof(folder), "%.*s", (int)(path + at->base - below), below);
	if (is_hex(name, 64) && st->st_nlink == 1) {
		walk.bad |= !true_to_name(path, name);
		/* The folder of a pack is the beginning of its name. */
		len = asprintf(&line, "%.6s new %lld", folder, (long long)st->st_size);
	} else if (strncmp(name, ".tmp-", 5) == 0) {
		if (walk.without_temporary)
			return 0;
		len = asprintf(&line, "%.6s temporary %d", folder, st->st_size > 0);
	} else {
		len = asprintf(&line, "%s %lld", below, (long long)st->st_size);
	}
	if (len < 0)
		die("asprintf");
	walk.lines[walk.count++] = line;
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

bool faulttree_sum(const char *folder, bool temporary, uint8_t out[FAULTTREE_BYTES])
{
	crypto_generichash_state state;

	walk.from = folder;
	walk.count = 0;
	walk.bad = false;
	walk.without_temporary = !temporary;
	crypto_generichash_init(&state, NULL, 0, FAULTTREE_BYTES);
	if (access(folder, F_OK) == 0 && nftw(folder, list_one, 16, FTW_PHYS) != 0)
		die(folder);
	qsort(walk.lines, walk.count, sizeof(walk.lines[0]), by_text);
	for (size_t i = 0; i < walk.count; i++) {
		crypto_generichash_update(&state, (const uint8_t *)walk.lines[i],
					  strlen(walk.lines[i]) + 1);
		free(walk.lines[i]);
	}
	crypto_generichash_final(&state, out, FAULTTREE_BYTES);
	return !walk.bad;
}
