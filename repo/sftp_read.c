#include "repo/sftp_store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- reading a handle --- */

struct reading;

/* A part that is on its way, or free. */
struct slice {
	struct reading *r;
	uint64_t offset;
	uint8_t *to;
	size_t left; /* 0: free */
};

struct reading {
	struct sftp_store *s;
	struct span handle;
	bool cut_short;
	struct sftp_result failed; /* code OK: none did */
	struct slice slices[SFTP_WINDOW];
};

static int on_data(void *arg, struct sftp_reply *reply, struct err *err);

static void ask_slice(struct slice *slice)
{
	struct sftp_link *link = slice->r->s->link;

	sftp_put_read(sftp_link_out(link), sftp_link_ask(link, on_data, slice), slice->r->handle,
		      slice->offset, (uint32_t)slice->left);
}

/* Less than was asked for is allowed; nothing at all is the end of the file said wrongly. */
static int on_data(void *arg, struct sftp_reply *reply, struct err *err)
{
	struct slice *slice = arg;
	struct reading *r = slice->r;
	const struct net *net = r->s->net;
	size_t n = reply->bytes.len;

	if (reply->type == SFTP_STATUS && reply->code != SFTP_OK) {
		slice->left = 0;
		r->cut_short |= reply->code == SFTP_EOF;
		r->failed.code = reply->code;
		sftp_link_words(reply, r->failed.words);
		return 0;
	}
	if (reply->type != SFTP_DATA || n == 0 || n > slice->left)
		return err_set(err, ERR_DAMAGED, "no data, or more than was asked for");
	memcpy(slice->to, reply->bytes.p, n);
	net_count_received(net, n);
	net_pace_take(net ? net->down : NULL, n, net);
	slice->offset += n;
	slice->to += n;
	slice->left -= n;
	if (slice->left > 0)
		ask_slice(slice);
	return 0;
}

static struct slice *free_slice(struct reading *r)
{
	struct slice *slice = r->slices;

	while (slice->left > 0)
		slice++;
	return slice;
}

static int read_all(struct reading *r, const struct sftp_path *path, uint64_t offset, uint8_t *to,
		    size_t len, struct err *err)
{
	int rc = 0;

	for (size_t at = 0; at < len && rc == 0 && r->failed.code == SFTP_OK;) {
		struct slice *slice = free_slice(r);
		size_t n = len - at < SFTP_SLICE_BYTES ? len - at : SFTP_SLICE_BYTES;

		*slice = (struct slice){r, offset + at, to + at, n};
		ask_slice(slice);
		at += n;
		rc = sftp_wait(r->s, SFTP_WINDOW - 1, path, err);
	}
	return rc == 0 ? sftp_wait(r->s, 0, path, err) : rc;
}

static int cut_short(const struct sftp_path *path, struct err *err)
{
	return err_set(err, ERR_DAMAGED, "%s/%s: cut short: it is shorter than it must be",
		       path->store->base.location, path->below);
}

/* Appends len bytes, or leaves out as it was. */
static int read_exactly(struct sftp_store *s, struct span handle, const struct sftp_path *path,
			uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	struct reading *r = calloc(1, sizeof(*r));
	size_t before = out->len;
	uint8_t *to = r ? buf_extend(out, len) : NULL;
	int rc;

	if (!to) {
		free(r);
		return err_nomem(err);
	}
	r->s = s;
	r->handle = handle;
	rc = read_all(r, path, offset, to, len, err);
	if (rc == 0 && r->cut_short)
		rc = cut_short(path, err);
	else if (rc == 0 && r->failed.code != SFTP_OK)
		rc = sftp_refused(path, "read", &r->failed, err);
	if (rc != 0)
		out->len = before;
	free(r);
	return rc;
}

/* --- opening --- */

/* A server that opens a pipe waits for its other end, and would never answer again. */
static bool hangs(const struct sftp_result *there)
{
	uint32_t type = there->attrs.has_mode ? there->attrs.mode & S_IFMT : 0;

	return there->answered && there->code == SFTP_OK && type != 0 && type != S_IFREG &&
	       type != S_IFDIR && type != S_IFLNK;
}

/* One round trip: what is it, and open it. On success out_file has a handle. */
static int open_object(struct sftp_store *s, const struct sftp_path *path,
		       struct sftp_result *out_file, uint64_t *out_bytes, struct err *err)
{
	struct sftp_result there = {0};
	struct buf *out;
	int rc = sftp_begin(s, path, err);

	*out_file = (struct sftp_result){0};
	if (rc != 0)
		return rc;
	out = sftp_link_out(s->link);
	sftp_put_path(out, SFTP_LSTAT, sftp_link_expect(s->link, SFTP_ATTRS, &there), path->there);
	sftp_put_open(out, sftp_link_expect(s->link, SFTP_HANDLE, out_file), path->there,
		      SFTP_READABLE, 0);
	rc = sftp_wait(s, 1, path, err);
	if (rc == 0 && hangs(&there)) {
		sftp_drop(s, false);
		return sftp_object_attrs(path, &there, err);
	}
	if (rc == 0)
		rc = sftp_wait(s, 0, path, err);
	if (rc != 0)
		return rc;
	rc = sftp_object_attrs(path, &there, err);
	if (rc == 0 && out_file->code != SFTP_OK)
		rc = sftp_refused(path, "open", out_file, err);
	if (rc != 0 && out_file->handle_len > 0)
		sftp_link_close(s->link, sftp_result_handle(out_file));
	*out_bytes = there.attrs.size_bytes;
	return rc;
}

int sftp_store_get(struct store *store, enum store_type type, const struct id *name,
		   size_t max_bytes, struct buf *out, struct err *err)
{
	struct sftp_store *s = (struct sftp_store *)store;
	struct sftp_result file;
	struct sftp_path path;
	uint64_t bytes;
	int rc;

	sftp_path_object(s, type, name, &path);
	rc = open_object(s, &path, &file, &bytes, err);
	if (rc != 0)
		return rc;
	if (bytes > max_bytes)
		rc = err_set(err, ERR_LIMIT, "%s/%s has %llu bytes, more than the %zu allowed",
			     s->base.location, path.below, (unsigned long long)bytes, max_bytes);
	else
		rc = read_exactly(s, sftp_result_handle(&file), &path, 0, (size_t)bytes, out, err);
	if (s->link)
		sftp_link_close(s->link, sftp_result_handle(&file));
	return rc;
}

/* --- packs that are kept open --- */

static void kept_close(struct sftp_store *s, struct sftp_kept *k)
{
	sftp_link_close(s->link, (struct span){k->handle, k->handle_len});
	*k = s->kept[--s->kept_count];
}

static struct sftp_kept *kept_find(struct sftp_store *s, const struct id *name)
{
	for (size_t i = 0; i < s->kept_count; i++)
		if (id_eq(&s->kept[i].name, name))
			return &s->kept[i];
	return NULL;
}

void sftp_kept_drop(struct sftp_store *s, const struct id *name)
{
	struct sftp_kept *k = kept_find(s, name);

	if (k)
		kept_close(s, k);
}

static struct sftp_kept *kept_oldest(struct sftp_store *s)
{
	struct sftp_kept *oldest = &s->kept[0];

	for (size_t i = 1; i < s->kept_count; i++)
		if (s->kept[i].used < oldest->used)
			oldest = &s->kept[i];
	return oldest;
}

static int kept_open(struct sftp_store *s, const struct id *name, const struct sftp_path *path,
		     struct sftp_kept **out, struct err *err)
{
	struct sftp_result file;
	uint64_t bytes;
	int rc = open_object(s, path, &file, &bytes, err);

	if (rc != 0)
		return rc;
	if (s->kept_count == SFTP_KEPT_OPEN)
		kept_close(s, kept_oldest(s));
	*out = &s->kept[s->kept_count++];
	**out = (struct sftp_kept){.bytes = bytes, .handle_len = file.handle_len};
	if (name)
		(*out)->name = *name;
	memcpy((*out)->handle, file.handle, file.handle_len);
	return 0;
}

int sftp_store_get_range(struct store *store, enum store_type type, const struct id *name,
			 uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	struct sftp_store *s = (struct sftp_store *)store;
	struct sftp_kept *k = type == STORE_DATA ? kept_find(s, name) : NULL;
	struct sftp_path path;
	int rc;

	sftp_path_object(s, type, name, &path);
	rc = k ? 0 : kept_open(s, type == STORE_DATA ? name : NULL, &path, &k, err);
	if (rc != 0)
		return rc;
	k->used = ++s->clock;
	if (offset > k->bytes || len > k->bytes - offset)
		rc = cut_short(&path, err);
	else
		rc = read_exactly(s, (struct span){k->handle, k->handle_len}, &path, offset, len,
				  out, err);
	/* A connection that broke has taken all of them along. */
	if ((rc != 0 || type != STORE_DATA) && s->link)
		kept_close(s, k);
	return rc;
}
