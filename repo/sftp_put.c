#include "repo/sftp_store.h"

#include <stdio.h>
#include <string.h>

/* One put: three round trips, of which each builds on the answers of the one before. */
struct putting {
	struct sftp_store *s;
	enum store_type type;
	struct sftp_path path;
	char folder[PATH_MAX], temp[PATH_MAX];
	bool *settled;
	bool exists;
	bool replaces; /* what is there */
	struct sftp_result there, file, written, synced, stat, closed, published;
	struct sftp_folders folders;
};

static struct buf *out_of(const struct putting *p)
{
	return sftp_link_out(p->s->link);
}

static uint32_t status(const struct putting *p, struct sftp_result *result)
{
	return sftp_link_expect(p->s->link, SFTP_STATUS, result);
}

/* --- the first: folders, the temporary file, and is the object there? --- */

/* A folder that is merely there may be the work of a writer killed before its sync: once a process it is synced. */
static void ask_folders(struct putting *p)
{
	char data[PATH_MAX];

	sftp_folders_open(p->s, p->folder, &p->folders);
	if (*p->settled)
		return;
	if (p->type == STORE_DATA) {
		struct sftp_path above;

		sftp_path_folder(p->s, store_type_name(STORE_DATA), &above);
		memcpy(data, above.there, sizeof(data));
		sftp_put_mkdir(out_of(p), sftp_link_unheard(p->s->link), data, 0700);
		sftp_folders_open(p->s, data, &p->folders);
	}
	if (p->type != STORE_CONFIG) {
		struct sftp_path root;

		sftp_put_mkdir(out_of(p), sftp_link_unheard(p->s->link), p->folder, 0700);
		sftp_path_folder(p->s, "", &root);
		sftp_folders_open(p->s, root.there, &p->folders);
	}
}

static void ask_there(struct putting *p)
{
	p->there = (struct sftp_result){0};
	sftp_put_path(out_of(p), SFTP_LSTAT, sftp_link_expect(p->s->link, SFTP_ATTRS, &p->there),
		      p->path.there);
}

static int open_temp(struct putting *p, struct err *err)
{
	int rc;

	ask_there(p);
	ask_folders(p);
	sftp_temp_path(p->folder, p->temp);
	p->s->temp = p->temp;
	sftp_put_open(out_of(p), sftp_link_expect(p->s->link, SFTP_HANDLE, &p->file), p->temp,
		      SFTP_WRITABLE | SFTP_CREATE | SFTP_EXCLUSIVE, 0400);
	rc = sftp_wait(p->s, 0, &p->path, err);
	if (rc != 0)
		return rc;
	p->exists = p->there.code == SFTP_OK;
	/* One that is there is there, even where nothing may be made. */
	return p->file.code == SFTP_OK || p->exists
		   ? 0
		   : sftp_refused(&p->path, "write", &p->file, err);
}

/* --- the second: the bytes --- */

static int send_bytes(struct putting *p, const uint8_t *bytes, size_t len, struct err *err)
{
	struct sftp_store *s = p->s;
	int rc = 0;

	for (size_t at = 0; at < len && rc == 0 && p->written.code == SFTP_OK;) {
		size_t n = len - at < SFTP_SLICE_BYTES ? len - at : SFTP_SLICE_BYTES;

		net_pace_take(s->net ? s->net->up : NULL, n, s->net);
		sftp_put_write(out_of(p), status(p, &p->written), sftp_result_handle(&p->file), at,
			       bytes + at, (uint32_t)n);
		net_count_sent(s->net, n);
		at += n;
		rc = sftp_wait(s, SFTP_WINDOW - 1, &p->path, err);
	}
	return rc;
}

/* A server that fails to write says no more than that; a full disk is the usual reason. */
static int not_written(struct putting *p, size_t len, struct err *err)
{
	struct sftp_result space = {0};
	int rc;

	if (p->written.code != SFTP_FAILURE || !sftp_link_version(p->s->link)->statvfs)
		return sftp_refused(&p->path, "write", &p->written, err);
	sftp_put_statvfs(out_of(p), sftp_link_expect(p->s->link, SFTP_EXTENDED_REPLY, &space),
			 p->folder);
	rc = sftp_wait(p->s, 0, &p->path, err);
	if (rc != 0)
		return rc;
	if (space.code == SFTP_OK && space.free_bytes < len)
		return err_set(err, ERR_FULL,
			       "cannot write %s/%s: no space left on %s (%llu KiB free, %zu KiB "
			       "needed)",
			       p->s->base.location, p->path.below, p->s->where.host,
			       (unsigned long long)(space.free_bytes >> 10), len >> 10);
	return err_set(err, ERR_IO,
		       "cannot write %s/%s: the server says \"%s\" (a quota, or a failing disk?)",
		       p->s->base.location, p->path.below, p->written.words);
}

static int is_whole(struct putting *p, size_t len, struct err *err)
{
	if (p->written.code != SFTP_OK)
		return not_written(p, len, err);
	if (p->synced.code != SFTP_OK)
		return sftp_refused(&p->path, "sync", &p->synced, err);
	if (p->stat.code != SFTP_OK || !p->stat.attrs.has_size)
		return err_set(err, ERR_IO, "%s/%s: the server does not tell how much it wrote",
			       p->s->base.location, p->path.below);
	if (p->stat.attrs.size_bytes != len)
		return err_set(err, ERR_IO, "%s/%s: the server wrote %llu of %zu bytes",
			       p->s->base.location, p->path.below,
			       (unsigned long long)p->stat.attrs.size_bytes, len);
	if (p->closed.code != SFTP_OK)
		return sftp_refused(&p->path, "write", &p->closed, err);
	return 0;
}

static int write_temp(struct putting *p, const void *bytes, size_t len, struct err *err)
{
	struct span handle = sftp_result_handle(&p->file);
	int rc = send_bytes(p, bytes, len, err);

	if (rc != 0)
		return rc;
	if (sftp_link_version(p->s->link)->fsync)
		sftp_put_fsync(out_of(p), status(p, &p->synced), handle);
	sftp_put_handle(out_of(p), SFTP_FSTAT, sftp_link_expect(p->s->link, SFTP_ATTRS, &p->stat),
			handle);
	sftp_put_handle(out_of(p), SFTP_CLOSE, status(p, &p->closed), handle);
	rc = sftp_wait(p->s, 0, &p->path, err);
	return rc == 0 ? is_whole(p, len, err) : rc;
}

/* --- the third: the name --- */

typedef void put_pair(struct buf *out, uint32_t id, const char *from, const char *to);

/* RENAME replaces on servers that do not keep to the protocol, a link never does, posix-rename always. */
static put_pair *const by_way[SFTP_WAYS] = {[SFTP_BY_RENAME] = sftp_put_rename,
					    [SFTP_BY_LINK] = sftp_put_hardlink,
					    [SFTP_BY_POSIX_RENAME] = sftp_put_posix_rename};

static bool may(const struct putting *p, enum sftp_way way)
{
	const struct sftp_version *can = sftp_link_version(p->s->link);

	if (p->s->forbidden[way])
		return false;
	if (way == SFTP_BY_LINK)
		return can->hardlink;
	/* Names are hashes of the content: what it would replace is the same. */
	return way == SFTP_BY_RENAME || (can->posix_rename && p->type != STORE_CONFIG);
}

/* The best first. Where none may be tried RENAME is, so that the server says why not. */
static size_t ways(const struct putting *p, enum sftp_way out_ways[SFTP_WAYS])
{
	bool config = p->type == STORE_CONFIG;
	const enum sftp_way order[SFTP_WAYS] = {config ? SFTP_BY_LINK : SFTP_BY_RENAME,
						config ? SFTP_BY_RENAME : SFTP_BY_LINK,
						SFTP_BY_POSIX_RENAME};
	size_t n = 0;

	if (p->replaces) {
		out_ways[0] = SFTP_BY_POSIX_RENAME;
		return 1;
	}
	for (size_t i = 0; i < SFTP_WAYS; i++)
		if (may(p, order[i]))
			out_ways[n++] = order[i];
	if (n == 0)
		out_ways[n++] = SFTP_BY_RENAME;
	return n;
}

/*
 * FAILURE may mean that another writer was first, and nothing less vague is to be had: so it is looked. After OK as well:
 * there are servers (rclone's, for a link) that say so and have done nothing.
 */
static int publish_by(struct putting *p, enum sftp_way way, bool *out_done, struct err *err)
{
	bool there, ok;
	int rc;

	p->published = (struct sftp_result){0};
	by_way[way](out_of(p), status(p, &p->published), p->temp, p->path.there);
	ask_there(p);
	sftp_folders_sync(p->s, &p->folders);
	rc = sftp_wait(p->s, 0, &p->path, err);
	if (rc != 0)
		return rc;
	there = p->there.code == SFTP_OK;
	ok = p->published.code == SFTP_OK;
	*out_done = p->replaces ? ok : there;
	p->exists = there && !ok;
	if (there && ok && way == SFTP_BY_LINK)
		sftp_forget_file(p->s, p->temp);
	/* A server told not to do this (internal-sftp -p, as an append-only one) is not asked for every object. */
	p->s->forbidden[way] |= !there && (p->published.code == SFTP_PERMISSION_DENIED ||
					   p->published.code == SFTP_OP_UNSUPPORTED);
	return 0;
}

static int not_published(struct putting *p, struct err *err)
{
	if (p->published.code != SFTP_OK)
		return sftp_refused(&p->path, "give its name to", &p->published, err);
	return err_set(
	    err, ERR_IO,
	    "cannot write %s/%s: the server says that it has given it its name, and has not",
	    p->s->base.location, p->path.below);
}

static int publish(struct putting *p, struct err *err)
{
	enum sftp_way way[SFTP_WAYS];
	size_t count = ways(p, way);
	bool done = false;
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0 && !done; i++)
		rc = publish_by(p, way[i], &done, err);
	if (rc != 0)
		return rc;
	return done ? sftp_folders_check(&p->folders, &p->path, err) : not_published(p, err);
}

/* --- all of it --- */

static int put(struct putting *p, const void *bytes, size_t len, struct err *err)
{
	int rc = open_temp(p, err);

	if (rc == 0 && !p->exists) {
		rc = write_temp(p, bytes, len, err);
		if (rc == 0)
			rc = publish(p, err);
	} else if (rc == 0) {
		sftp_folders_sync(p->s, &p->folders);
		if (p->file.handle_len > 0)
			sftp_link_close(p->s->link, sftp_result_handle(&p->file));
		rc = sftp_wait(p->s, 0, &p->path, err);
		if (rc == 0)
			rc = sftp_folders_check(&p->folders, &p->path, err);
	}
	if (rc == 0)
		*p->settled = true;
	if (rc == 0 && p->exists)
		rc = err_set(err, ERR_EXISTS, "%s/%s exists already", p->s->base.location,
			     p->path.below);
	return rc;
}

static int put_over(struct putting *p, const void *bytes, size_t len, struct err *err)
{
	int rc = open_temp(p, err);

	if (rc == 0 && !p->exists)
		rc = sftp_refused(&p->path, "replace", &p->there, err);
	if (rc == 0 && p->file.code != SFTP_OK)
		rc = sftp_refused(&p->path, "write", &p->file, err);
	if (rc == 0)
		rc = write_temp(p, bytes, len, err);
	return rc == 0 ? publish(p, err) : rc;
}

static int begin(struct putting *p, const struct id *name, struct err *err)
{
	struct sftp_store *s = p->s;

	p->settled = &s->settled[p->type][p->type == STORE_DATA ? name->b[0] : 0];
	sftp_path_object(s, p->type, name, &p->path);
	sftp_path_parent(&p->path, p->folder);
	return sftp_begin(s, &p->path, err);
}

static void end(struct putting *p, int rc)
{
	struct sftp_store *s = p->s;

	s->temp = NULL;
	if (!s->link)
		return;
	if (rc != 0 && p->file.handle_len > 0)
		sftp_forget_file(s, p->temp);
	sftp_folders_close(s, &p->folders);
}

int sftp_store_put(struct store *store, enum store_type type, const struct id *name,
		   const void *bytes, size_t len, struct err *err)
{
	struct putting p = {.s = (struct sftp_store *)store, .type = type};
	int rc = begin(&p, name, err);

	if (rc != 0)
		return rc;
	rc = put(&p, bytes, len, err);
	end(&p, rc);
	return rc;
}

/* posix-rename alone puts a file in another's place in one step. */
int sftp_store_replace(struct store *store, enum store_type type, const struct id *name,
		       const void *bytes, size_t len, struct err *err)
{
	struct putting p = {.s = (struct sftp_store *)store, .type = type, .replaces = true};
	int rc = begin(&p, name, err);

	if (rc != 0)
		return rc;
	if (!sftp_link_version(p.s->link)->posix_rename || p.s->forbidden[SFTP_BY_POSIX_RENAME])
		return err_set(err, ERR_DENIED, "%s/%s: this server cannot replace a file",
			       p.s->base.location, p.path.below);
	if (type == STORE_DATA)
		sftp_kept_drop(p.s, name);
	rc = put_over(&p, bytes, len, err);
	end(&p, rc);
	return rc;
}
