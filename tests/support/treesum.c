#include "tests/support/treesum.h"

#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	abort();
}

static int not_dots(const struct dirent *e)
{
	return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

static char *below(const char *folder, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		die("asprintf");
	return path;
}

static void sum_content(crypto_generichash_state *state, const char *path)
{
	static uint8_t bytes[1 << 16];
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		die(path);
	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		crypto_generichash_update(state, bytes, (unsigned long long)got);
	if (got < 0 || close(fd) != 0)
		die(path);
}

static void sum_entry(crypto_generichash_state *state, const char *path, const char *name,
		      const struct stat *st)
{
	char target[4096] = "", line[600];
	int len = snprintf(line, sizeof(line), "%s %o %u %u %lld.%09ld %lld\n", name, st->st_mode,
			   st->st_uid, st->st_gid, (long long)st->st_mtim.tv_sec,
			   st->st_mtim.tv_nsec, S_ISREG(st->st_mode) ? (long long)st->st_size : 0);

	crypto_generichash_update(state, (const uint8_t *)line, (unsigned long long)len);
	if (S_ISLNK(st->st_mode) && readlink(path, target, sizeof(target) - 1) < 0)
		die(path);
	crypto_generichash_update(state, (const uint8_t *)target, strlen(target) + 1);
	if (S_ISREG(st->st_mode))
		sum_content(state, path);
}

static void sum_folder(crypto_generichash_state *state, const char *folder, treesum_skip_fn *skip)
{
	struct dirent **entries = NULL;
	int count = scandir(folder, &entries, not_dots, alphasort);

	if (count < 0)
		die(folder);
	for (int i = 0; i < count; i++) {
		char *path = below(folder, entries[i]->d_name);
		struct stat st;

		if (!skip || !skip(path)) {
			if (lstat(path, &st) != 0)
				die(path);
			sum_entry(state, path, entries[i]->d_name, &st);
			if (S_ISDIR(st.st_mode))
				sum_folder(state, path, skip);
		}
		free(path);
		free(entries[i]);
	}
	free(entries);
	crypto_generichash_update(state, (const uint8_t *)"/", 1);
}

void treesum(const char *folder, treesum_skip_fn *skip, uint8_t out_sum[TREESUM_BYTES])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, TREESUM_BYTES);
	sum_folder(&state, folder, skip);
	crypto_generichash_final(&state, out_sum, TREESUM_BYTES);
}

bool treesum_any(const char *folder, treesum_fn *fn, void *arg)
{
	struct dirent **entries = NULL;
	int count = scandir(folder, &entries, not_dots, alphasort);
	bool any = false;

	if (count < 0)
		die(folder);
	for (int i = 0; i < count; i++) {
		char *path = below(folder, entries[i]->d_name);
		struct stat st;

		if (lstat(path, &st) != 0)
			die(path);
		any |= fn(arg, path, S_ISDIR(st.st_mode));
		if (S_ISDIR(st.st_mode))
			any |= treesum_any(path, fn, arg);
		free(path);
		free(entries[i]);
	}
	free(entries);
	return any;
}

bool treesum_file_holds(const char *path, const char *text)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool found = false;
	struct stat st;
	void *bytes;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
		bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (bytes == MAP_FAILED)
			abort();
		found = memmem(bytes, (size_t)st.st_size, text, strlen(text)) != NULL;
		(void)munmap(bytes, (size_t)st.st_size);
	}
	(void)close(fd);
	return found;
}
