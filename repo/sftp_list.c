#include "repo/sftp_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Folders that are read at a time: each holds a handle of the server's. */
#define AT_A_TIME 128u
#define MOST_ASKED (SFTP_LINK_ASKED / 2u)
#define WIDEST 32u /* READDIRs of one folder on their way */

struct listing;

struct folder {
	struct listing *l;
	int first_byte; /* names must start with it; -1: any */
	unsigned asked, window;
	unsigned told; /* answers with names */
	bool ended;
	struct sftp_result opened;
};

struct listing {
	struct sftp_store *s;
	const struct sftp_path *path;
	sftp_entry_fn *fn;
	void *arg;
	struct folder *folders;
	unsigned count, next;
	uint64_t entries;
	struct sftp_result failed; /* the first failure but "no such folder" */
	bool missing;              /* some folder was */
	struct err *stop;          /* what fn said */
	int rc;
};

static int on_names(void *arg, struct sftp_reply *reply, struct err *err);
static void begin_more(struct listing *l);

/* So many that a long folder costs few round trips, and a short one no more than two requests. */
static void ask_names(struct folder *f)
{
	struct sftp_link *link = f->l->s->link;

	while (!f->ended && f->asked < f->window &&
	       (f->asked == 0 || sftp_link_asked(link) < MOST_ASKED)) {
		f->asked++;
		sftp_put_handle(sftp_link_out(link), SFTP_READDIR, sftp_link_ask(link, on_names, f),
				sftp_result_handle(&f->opened));
	}
}

static void fail(struct listing *l, const struct sftp_reply *reply)
{
	if (l->failed.code != SFTP_OK)
		return;
	l->failed.code = reply->code;
	sftp_link_words(reply, l->failed.words);
}

static int on_opened(void *arg, struct sftp_reply *reply, struct err *err)
{
	struct folder *f = arg;

	if (reply->type == SFTP_STATUS && reply->code == SFTP_NO_SUCH_FILE) {
		f->l->missing = true;
		begin_more(f->l);
		return 0;
	}
	if (reply->type == SFTP_STATUS && reply->code != SFTP_OK) {
		fail(f->l, reply);
		return 0;
	}
	if (reply->type != SFTP_HANDLE)
		return err_set(err, ERR_DAMAGED, "no handle");
	f->opened.handle_len = reply->bytes.len;
	memcpy(f->opened.handle, reply->bytes.p, reply->bytes.len);
	f->window = 2;
	ask_names(f);
	return 0;
}

static bool is_dots(struct span name)
{
	return (name.len == 1 || name.len == 2) && memcmp(name.p, "..", name.len) == 0;
}

static int take_names(struct folder *f, struct sftp_reply *reply, struct err *err)
{
	struct listing *l = f->l;
	int rc = 0;

	for (uint32_t i = 0; i < reply->count && rc == 0; i++) {
		struct sftp_attrs attrs;
		struct span name;

		rc = sftp_get_name(reply, &name, &attrs, err);
		if (rc == 0 && ++l->entries > LIMIT_SFTP_LISTED)
			return err_set(err, ERR_LIMIT, "the server lists more than %u entries",
				       LIMIT_SFTP_LISTED);
		if (rc == 0 && l->rc == 0 && !is_dots(name))
			l->rc = l->fn(f, name, &attrs, l->stop);
	}
	return rc;
}

static int on_names(void *arg, struct sftp_reply *reply, struct err *err)
{
	struct folder *f = arg;
	int rc = 0;

	f->asked--;
	if (reply->type == SFTP_NAME) {
		rc = take_names(f, reply, err);
		/* The first answer is all of a short folder, and the second says so: more is asked for when it does not. */
		if (f->told++ > 0 || f->asked == 0)
			f->window = f->window < WIDEST ? f->window * 2 : WIDEST;
	} else if (reply->type == SFTP_STATUS && reply->code != SFTP_OK) {
		f->ended = true;
		if (reply->code != SFTP_EOF)
			fail(f->l, reply);
	} else {
		return err_set(err, ERR_DAMAGED, "no names");
	}
	f->ended |= f->l->rc != 0;
	if (!f->ended && (f->told > 1 || f->asked == 0)) {
		ask_names(f);
	} else if (f->ended && f->asked == 0) {
		sftp_link_close(f->l->s->link, sftp_result_handle(&f->opened));
		begin_more(f->l);
	}
	return rc;
}

/* The next folder: as one ends, another begins. */
static void begin_more(struct listing *l)
{
	struct folder *f;
	struct sftp_path path;
	char below[16];

	if (l->next == l->count || l->rc != 0 || l->failed.code != SFTP_OK)
		return;
	f = &l->folders[l->next++];
	path = *l->path;
	if (f->first_byte >= 0) {
		(void)snprintf(below, sizeof(below), "data/%02x", (unsigned)f->first_byte);
		sftp_path_folder(l->s, below, &path);
	}
	sftp_put_path(sftp_link_out(l->s->link), SFTP_OPENDIR,
		      sftp_link_ask(l->s->link, on_opened, f), path.there);
}

static int run(struct listing *l, struct err *err)
{
	int rc;

	for (unsigned i = 0; i < l->count; i++)
		l->folders[i].l = l;
	for (unsigned i = 0; i < AT_A_TIME; i++)
		begin_more(l);
	rc = sftp_wait(l->s, 0, l->path, err);
	if (rc == 0 && l->rc != 0)
		rc = l->rc;
	else if (rc == 0 && l->failed.code != SFTP_OK)
		rc = sftp_refused(l->path, "list", &l->failed, err);
	return rc;
}

/* --- any folder --- */

struct each {
	sftp_entry_fn *fn;
	void *arg;
};

static int pass_on(void *arg, struct span name, const struct sftp_attrs *attrs, struct err *err)
{
	const struct folder *f = arg;
	const struct each *e = f->l->arg;

	return e->fn(e->arg, name, attrs, err);
}

int sftp_each_entry(struct sftp_store *s, const struct sftp_path *path, sftp_entry_fn *fn,
		    void *arg, struct err *err)
{
	struct each e = {fn, arg};
	struct folder folder = {.first_byte = -1};
	struct listing l = {.s = s,
			    .path = path,
			    .fn = pass_on,
			    .arg = &e,
			    .folders = &folder,
			    .count = 1,
			    .stop = err};
	int rc = run(&l, err);

	if (rc == 0 && l.missing) {
		l.failed.code = SFTP_NO_SUCH_FILE;
		rc = sftp_refused(path, "list", &l.failed, err);
	}
	return rc;
}

/* --- the folders of packs --- */

struct each_pack {
	sftp_pack_entry_fn *fn;
	void *arg;
};

static int pass_pack_on(void *arg, struct span name, const struct sftp_attrs *attrs,
			struct err *err)
{
	const struct folder *f = arg;
	const struct each_pack *e = f->l->arg;

	return e->fn(e->arg, (uint8_t)f->first_byte, name, attrs, err);
}

/* The list of a store's type: of packs 256 folders, else one. */
static int run_type(struct listing *l, enum store_type type, struct err *err)
{
	int rc;

	l->count = type == STORE_DATA ? 256 : 1;
	l->folders = calloc(l->count, sizeof(*l->folders));
	if (!l->folders)
		return err_nomem(err);
	for (unsigned i = 0; i < l->count; i++)
		l->folders[i].first_byte = type == STORE_DATA ? (int)i : -1;
	rc = run(l, err);
	free(l->folders);
	return rc;
}

int sftp_each_pack_entry(struct sftp_store *s, sftp_pack_entry_fn *fn, void *arg, struct err *err)
{
	struct each_pack e = {fn, arg};
	struct sftp_path path;
	struct listing l = {.s = s, .path = &path, .fn = pass_pack_on, .arg = &e, .stop = err};

	sftp_path_folder(s, store_type_name(STORE_DATA), &path);
	return run_type(&l, STORE_DATA, err);
}

/* --- objects --- */

struct object {
	struct id name;
	bool sized;
	uint64_t bytes;
};

struct objects {
	struct object *list;
	size_t count, room;
};

static int add(struct objects *o, const struct object *object, struct err *err)
{
	if (o->count == o->room) {
		size_t room = o->room ? o->room * 2 : 64;
		struct object *list = realloc(o->list, room * sizeof(*list));

		if (!list)
			return err_nomem(err);
		o->list = list;
		o->room = room;
	}
	o->list[o->count++] = *object;
	return 0;
}

/* Foreign names and what is no regular file are passed over. */
static int take_object(void *arg, struct span name, const struct sftp_attrs *attrs, struct err *err)
{
	const struct folder *f = arg;
	struct object object = {.sized = attrs->has_size && attrs->has_mode,
				.bytes = attrs->size_bytes};
	char hex[ID_HEX_CHARS + 1];

	if (name.len != ID_HEX_CHARS ||
	    (attrs->has_mode && (attrs->mode & S_IFMT) != 0 && !S_ISREG(attrs->mode)))
		return 0;
	memcpy(hex, name.p, name.len);
	hex[name.len] = '\0';
	if (!id_from_hex(hex, &object.name) ||
	    (f->first_byte >= 0 && object.name.b[0] != f->first_byte))
		return 0;
	return add(f->l->arg, &object, err);
}

static int by_name(const void *a, const void *b)
{
	return memcmp(((const struct object *)a)->name.b, ((const struct object *)b)->name.b,
		      ID_BYTES);
}

/* Each name once, whatever the server says how often. */
static void sort(struct objects *o)
{
	size_t kept = 0;

	if (o->count > 0)
		qsort(o->list, o->count, sizeof(*o->list), by_name);
	for (size_t i = 0; i < o->count; i++)
		if (kept == 0 || by_name(&o->list[kept - 1], &o->list[i]) != 0)
			o->list[kept++] = o->list[i];
	o->count = kept;
}

/* Nothing is called before the listing is over: fn may use the store, for reading. */
static int tell(struct sftp_store *s, enum store_type type, const struct objects *o,
		store_list_fn *fn, void *arg, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < o->count && rc == 0; i++) {
		uint64_t bytes = o->list[i].bytes;

		/* A server whose listings tell no sizes is asked for each; what has gone since then, or is no file, is none. */
		if (!o->list[i].sized) {
			rc = store_size(&s->base, type, &o->list[i].name, &bytes, err);
			if (rc == -ERR_MISSING || rc == -ERR_DAMAGED) {
				rc = 0;
				continue;
			}
		}
		if (rc == 0)
			rc = fn(arg, &o->list[i].name, bytes, err);
	}
	return rc;
}

static int list_config(struct sftp_store *s, store_list_fn *fn, void *arg, struct err *err)
{
	const struct id none = {0};
	uint64_t bytes;
	int rc = store_size(&s->base, STORE_CONFIG, NULL, &bytes, err);

	if (rc == -ERR_MISSING)
		return 0;
	return rc == 0 ? fn(arg, &none, bytes, err) : rc;
}

int sftp_store_list(struct store *store, enum store_type type, store_list_fn *fn, void *arg,
		    struct err *err)
{
	struct sftp_store *s = (struct sftp_store *)store;
	struct objects objects = {0};
	struct sftp_path path;
	struct listing l = {.s = s, .path = &path, .fn = take_object, .arg = &objects, .stop = err};
	int rc;

	if (type == STORE_CONFIG)
		return list_config(s, fn, arg, err);
	sftp_path_folder(s, store_type_name(type), &path);
	rc = sftp_begin(s, &path, err);
	if (rc != 0)
		return rc;
	rc = run_type(&l, type, err);
	if (rc == 0) {
		sort(&objects);
		rc = tell(s, type, &objects, fn, arg, err);
	}
	free(objects.list);
	return rc;
}
