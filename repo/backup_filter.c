#include "repo/backup_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/glob.h"

struct marker {
	char *name;
	const char *header; /* points into the option; NULL = any content */
};

struct own {
	dev_t dev;
	ino_t ino;
	const char *text;
};

struct backup_filter {
	const struct backup_filter_options *o;
	const struct sources *sources;
	dev_t *devices; /* of each source, those that lie below another last */
	struct marker *markers;
	struct own *own;
	size_t own_count;
};

/* --- making --- */

static int marker_of(const char *option, struct marker *out, struct err *err)
{
	const char *colon = strchr(option, ':');
	size_t len = colon ? (size_t)(colon - option) : strlen(option);

	if (len == 0 || memchr(option, '/', len))
		return err_set(err, ERR_USAGE,
			       "--exclude-if-present takes the name of a file, not '%s'", option);
	out->name = strndup(option, len);
	out->header = colon && colon[1] ? colon + 1 : NULL;
	return out->name ? 0 : err_nomem(err);
}

static const struct source *source_at(const struct sources *s, size_t i)
{
	return i < s->count ? &s->items[i] : &s->nested[i - s->count];
}

static void look_at_sources(struct backup_filter *f)
{
	struct stat st;

	for (size_t i = 0; i < f->sources->count + f->sources->nested_count; i++) {
		const struct source *source = source_at(f->sources, i);

		if (lstat(source->real, &st) == 0)
			f->devices[i] = st.st_dev;
	}
}

static void look_at_own(struct backup_filter *f)
{
	struct stat st;

	for (size_t i = 0; i < f->o->own_count; i++) {
		if (stat(f->o->own[i].path, &st) == 0 && S_ISDIR(st.st_mode))
			f->own[f->own_count++] =
			    (struct own){st.st_dev, st.st_ino, f->o->own[i].text};
	}
}

int backup_filter_new(const struct backup_filter_options *options, const struct sources *sources,
		      struct backup_filter **out_filter, struct err *err)
{
	struct backup_filter *f = calloc(1, sizeof(*f));
	int r = 0;

	if (!f)
		return err_nomem(err);
	f->o = options;
	f->sources = sources;
	f->devices = calloc(sources->count + sources->nested_count + 1, sizeof(*f->devices));
	f->markers = calloc(options->if_present_count + 1, sizeof(*f->markers));
	f->own = calloc(options->own_count + 1, sizeof(*f->own));
	if (!f->devices || !f->markers || !f->own)
		r = err_nomem(err);
	for (size_t i = 0; !r && i < options->if_present_count; i++)
		r = marker_of(options->if_present[i], &f->markers[i], err);
	if (r) {
		backup_filter_free(f);
		return r;
	}
	look_at_sources(f);
	look_at_own(f);
	*out_filter = f;
	return 0;
}

void backup_filter_free(struct backup_filter *f)
{
	if (!f)
		return;
	for (size_t i = 0; f->markers && i < f->o->if_present_count; i++)
		free(f->markers[i].name);
	free(f->markers);
	free(f->devices);
	free(f->own);
	free(f);
}

/* --- devices --- */

/* Of the nearest source at or above path: "-x / /home" asks for both file systems. */
static dev_t device_of(const struct backup_filter *f, const char *path)
{
	size_t longest = 0;
	dev_t dev = 0;

	for (size_t i = 0; i < f->sources->count + f->sources->nested_count; i++) {
		const char *above = source_at(f->sources, i)->path;
		size_t len = strlen(above);

		if (len >= longest && sources_lies_below(path, above)) {
			longest = len;
			dev = f->devices[i];
		}
	}
	return dev;
}

/*
 * On an overlay a file may show another device than its folder and yet be no mount. Where the kernel cannot tell the two
 * apart, another device counts as a mount.
 */
static bool is_mount(int dirfd, const char *name)
{
	struct statx sx;

	if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &sx) != 0 ||
	    !(sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
		return true;
	return sx.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

/* --- deciding --- */

bool backup_filter_excludes(const struct backup_filter *f, const char *path)
{
	for (size_t i = 0; i < f->o->exclude_count; i++) {
		if (glob_match(f->o->excludes[i], path))
			return true;
	}
	return false;
}

bool backup_filter_by_path(const struct backup_filter *f)
{
	return !f->o->if_present_count && !f->o->has_largest && !f->o->one_file_system;
}

static const char *own_of(const struct backup_filter *f, const struct stat *st)
{
	for (size_t i = 0; S_ISDIR(st->st_mode) && i < f->own_count; i++) {
		if (f->own[i].ino == st->st_ino && f->own[i].dev == st->st_dev)
			return f->own[i].text;
	}
	return NULL;
}

bool backup_filter_wants(const struct backup_filter *f, int dirfd, const char *name,
			 const char *path, struct stat *out_st, const char **out_own)
{
	*out_own = NULL;
	memset(out_st, 0, sizeof(*out_st));
	if (backup_filter_excludes(f, path))
		return false;
	if (fstatat(dirfd, name, out_st, AT_SYMLINK_NOFOLLOW) != 0) {
		memset(out_st, 0, sizeof(*out_st));
		return true;
	}
	*out_own = own_of(f, out_st);
	if (*out_own)
		return false;
	if (S_ISREG(out_st->st_mode) && f->o->has_largest &&
	    (uint64_t)out_st->st_size > f->o->largest_bytes)
		return false;
	return S_ISDIR(out_st->st_mode) || !f->o->one_file_system ||
	       out_st->st_dev == device_of(f, path) || !is_mount(dirfd, name);
}

/* --- folders --- */

static bool begins_with(int dirfd, const struct marker *m, const char *path)
{
	size_t len = strlen(m->header), done = 0;
	struct err ignored = {0};
	char head[256];
	bool same = true;
	int fd;

	if (fs_open(dirfd, m->name, 0, path, &fd, &ignored) != 0)
		return false;
	while (same && done < len) {
		size_t take = len - done < sizeof(head) ? len - done : sizeof(head);
		ssize_t got = pread(fd, head, take, (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		same = got > 0 && memcmp(head, m->header + done, (size_t)got) == 0;
		done += got > 0 ? (size_t)got : 0;
	}
	(void)close(fd);
	return same;
}

static bool marked(const struct backup_filter *f, int dirfd, const char *path)
{
	struct stat st;

	for (size_t i = 0; i < f->o->if_present_count; i++) {
		const struct marker *m = &f->markers[i];

		if (fstatat(dirfd, m->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    (!m->header || (S_ISREG(st.st_mode) && begins_with(dirfd, m, path))))
			return true;
	}
	return false;
}

static bool names_marker(const struct backup_filter *f, const char *name)
{
	for (size_t i = 0; i < f->o->if_present_count; i++) {
		if (strcmp(f->markers[i].name, name) == 0)
			return true;
	}
	return false;
}

int backup_filter_list(const struct backup_filter *f, int dirfd, const char *path,
		       char ***out_names, size_t *out_count, struct err *err)
{
	struct stat st;
	size_t kept = 0;
	int r;

	*out_names = NULL;
	*out_count = 0;
	if (f->o->one_file_system && fstat(dirfd, &st) == 0 && st.st_dev != device_of(f, path))
		return 0;
	r = fs_list(dirfd, path, out_names, out_count, err);
	if (r || !marked(f, dirfd, path))
		return r;
	for (size_t i = 0; i < *out_count; i++) {
		if (names_marker(f, (*out_names)[i]))
			(*out_names)[kept++] = (*out_names)[i];
	}
	*out_count = kept;
	return 0;
}
