#include "tests/support/weakfs_data.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	abort();
}

void weakfs_bytes_read(struct weakfs_bytes *b, const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	b->len = (size_t)st.st_size;
	b->p = malloc(b->len + 1);
	if (!b->p || read(fd, b->p, b->len) != (ssize_t)b->len)
		die(path);
	(void)close(fd);
}

void weakfs_bytes_write(const struct weakfs_bytes *b, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || (b->len && write(fd, b->p, b->len) != (ssize_t)b->len))
		die(path);
	(void)close(fd);
}

void weakfs_bytes_copy(struct weakfs_bytes *b, const struct weakfs_bytes *from)
{
	b->len = from->len;
	b->p = malloc(b->len + 1);
	if (!b->p)
		die("weakfs");
	if (b->len)
		memcpy(b->p, from->p, b->len);
}

static void resize(struct weakfs_bytes *b, size_t len)
{
	b->p = realloc(b->p, len + 1);
	if (!b->p)
		die("weakfs");
	if (len > b->len)
		memset(b->p + b->len, 0, len - b->len);
	b->len = len;
}

void weakfs_bytes_apply(struct weakfs_bytes *b, const struct op *op, size_t len)
{
	if (op->kind == OP_LENGTH) {
		resize(b, (size_t)op->offset);
		return;
	}
	if (op->kind == OP_HOLE) {
		if (op->offset < b->len)
			memset(b->p + op->offset, 0,
			       len < b->len - op->offset ? len : b->len - op->offset);
		return;
	}
	if (op->offset + len > b->len)
		resize(b, (size_t)op->offset + len);
	memcpy(b->p + op->offset, op->bytes, len);
}

/* splitmix64 */
unsigned weakfs_draw(struct weakfs_chance *chance, unsigned below)
{
	uint64_t x = chance->state += 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return (unsigned)((x ^ (x >> 31)) >> 33) % below;
}

/* One of the two lengths, or one between at a sector's begin. */
static size_t draw_length(size_t old, size_t new, size_t sector, struct weakfs_chance *chance)
{
	size_t low = old < new ? old : new, high = old < new ? new : old, len;

	switch (weakfs_draw(chance, 3)) {
	case 0:
		return old;
	case 1:
		return new;
	default:
		len = (low + weakfs_draw(chance, (unsigned)(high - low) + 1)) / sector * sector;
		return len < low ? low : len;
	}
}

static void mix_sectors(struct weakfs_bytes *old, const struct weakfs_bytes *new, size_t sector,
			struct weakfs_chance *chance)
{
	resize(old, draw_length(old->len, new->len, sector, chance));
	for (size_t at = 0; at < old->len && at < new->len; at += sector) {
		size_t end = old->len < new->len ? old->len : new->len;

		if (weakfs_draw(chance, 2))
			memcpy(old->p + at, new->p + at, end - at < sector ? end - at : sector);
	}
}

static void tear(struct weakfs_bytes *b, const struct op *const *pending, size_t count,
		 struct weakfs_chance *chance)
{
	size_t whole = weakfs_draw(chance, (unsigned)count);
	const struct op *torn = pending[whole];

	for (size_t i = 0; i < whole; i++)
		weakfs_bytes_apply(b, pending[i], pending[i]->len);
	if (torn->kind == OP_WRITE && torn->len > 1)
		weakfs_bytes_apply(b, torn, weakfs_draw(chance, (unsigned)torn->len) / 512u * 512u);
}

void weakfs_bytes_suffer(struct weakfs_bytes *b, const struct op *const *pending, size_t count,
			 enum weakfs_fate fate, struct weakfs_chance *chance)
{
	struct weakfs_bytes new = {0};

	if (count == 0 || fate == FATE_OLD)
		return;
	if (fate == FATE_TORN) {
		tear(b, pending, count, chance);
		return;
	}
	weakfs_bytes_copy(&new, b);
	for (size_t i = 0; i < count; i++)
		weakfs_bytes_apply(&new, pending[i], pending[i]->len);
	if (fate == FATE_NEW) {
		resize(b, new.len);
		if (new.len)
			memcpy(b->p, new.p, new.len);
	} else if (fate == FATE_ZEROS) {
		resize(b, new.len);
	} else {
		mix_sectors(b, &new, fate == FATE_SECTORS ? 512 : 4096, chance);
	}
	free(new.p);
}
