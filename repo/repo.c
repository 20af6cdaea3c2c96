#include "repo/repo.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/keyfile.h"
#include "core/sha256.h"
#include "repo/witness.h"

struct listing {
	struct id *names;
	uint64_t *sizes;
	size_t count, cap;
};

static int listing_add(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	struct listing *l = arg;

	if (l->count == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct id *names;
		uint64_t *sizes;

		if (cap > LIMIT_STORE_NAMES)
			return err_set(err, ERR_LIMIT, "the store lists more than %u objects",
				       LIMIT_STORE_NAMES);
		names = realloc(l->names, cap * sizeof(*names));
		if (!names)
			return err_nomem(err);
		l->names = names;
		sizes = realloc(l->sizes, cap * sizeof(*sizes));
		if (!sizes)
			return err_nomem(err);
		l->sizes = sizes;
		l->cap = cap;
	}
	l->names[l->count] = *name;
	l->sizes[l->count++] = size_bytes;
	return 0;
}

struct named_size {
	struct id name;
	uint64_t size;
};

static int compare_named(const void *a, const void *b)
{
	return id_cmp(&((const struct named_size *)a)->name, &((const struct named_size *)b)->name);
}

static int listing_sort(struct listing *l, struct err *err)
{
	struct named_size *pairs = malloc((l->count ? l->count : 1) * sizeof(*pairs));

	if (!pairs)
		return err_nomem(err);
	for (size_t i = 0; i < l->count; i++)
		pairs[i] = (struct named_size){l->names[i], l->sizes[i]};
	qsort(pairs, l->count, sizeof(*pairs), compare_named);
	for (size_t i = 0; i < l->count; i++) {
		l->names[i] = pairs[i].name;
		l->sizes[i] = pairs[i].size;
	}
	free(pairs);
	return 0;
}

int repo_list(struct store *store, enum store_type type, struct id **out_names,
	      uint64_t **out_sizes, size_t *out_count, struct err *err)
{
	struct listing l = {0};
	int r = store_list(store, type, listing_add, &l, err);

	if (!r)
		r = listing_sort(&l, err);
	if (r) {
		free(l.names);
		free(l.sizes);
		return r;
	}
	*out_names = l.names;
	*out_count = l.count;
	if (out_sizes)
		*out_sizes = l.sizes;
	else
		free(l.sizes);
	return 0;
}

static int get_verified(struct store *store, enum store_type type, const struct id *name,
			size_t max_bytes, struct buf *out, struct err *err)
{
	char path[STORE_PATH_CHARS];
	size_t before = out->len;
	struct id digest;
	int r = store_get(store, type, name, max_bytes, out, err);

	if (r)
		return r;
	r = sha256_of(out->data + before, out->len - before, &digest, err);
	if (r)
		return r;
	if (id_eq(&digest, name))
		return 0;
	out->len = before;
	store_path(type, name, path);
	return err_set(err, ERR_DAMAGED, "%s/%s: damaged: its bytes are not those of its name",
		       store->location, path);
}

int repo_get(struct repo *repo, enum store_type type, const struct id *name, size_t max_bytes,
	     struct buf *out, struct err *err)
{
	return get_verified(repo->store, type, name, max_bytes, out, err);
}

void repo_unname(const struct store *store, enum store_type type, const struct id *name,
		 struct err *err)
{
	char path[STORE_PATH_CHARS];
	size_t location = strlen(store->location), len;
	const char *rest;

	store_path(type, name, path);
	len = strlen(path);
	if (strncmp(err->text, store->location, location) != 0 || err->text[location] != '/' ||
	    strncmp(err->text + location + 1, path, len) != 0)
		return;
	rest = err->text + location + 1 + len; /* ": damaged", " is no regular file" */
	rest += strspn(rest, ": ");
	memmove(err->text, rest, strlen(rest) + 1);
}

int repo_name(const struct store *store, enum store_type type, const struct id *name,
	      struct err *err)
{
	char path[STORE_PATH_CHARS];

	store_path(type, name, path);
	return strstr(err->text, path) ? -err->code
				       : err_prefix(err, "%s/%s", store->location, path);
}

/* What is there under a name may have rotted: to take it for what was to be stored would lose that. */
static int confirm_there(struct store *store, enum store_type type, const struct id *name,
			 size_t len, struct err *err)
{
	struct buf there = {0};
	int r = get_verified(store, type, name, len, &there, err);

	if (r == -ERR_LIMIT)
		err->code = ERR_DAMAGED;
	buf_free(&there);
	return r ? -err->code : 0;
}

static int put_named(struct store *store, enum store_type type, const struct buf *bytes,
		     struct id *out_name, struct err *err)
{
	struct err why = {0};
	struct id name;
	int r = sha256_of(bytes->data, bytes->len, &name, err);

	if (r)
		return r;
	r = store_put(store, type, &name, bytes->data, bytes->len, &why);
	if (r == -ERR_EXISTS)
		r = confirm_there(store, type, &name, bytes->len, err);
	else if (r)
		*err = why;
	if (!r && out_name)
		*out_name = name;
	return r;
}

int repo_put(struct repo *repo, enum store_type type, const struct buf *bytes, struct id *out_name,
	     struct err *err)
{
	return put_named(repo->store, type, bytes, out_name, err);
}

int repo_new_keys(struct keys **out_keys, struct err *err)
{
	uint8_t repo[REPO_ID_BYTES];
	uint8_t *master = NULL;
	int r;

	master = malloc(32);
	if (!master)
		return err_nomem(err);
	keys_random_master(repo, master);
	r = keys_from_master(repo, master, out_keys, err);
	sodium_memzero(master, 32);
	free(master);
	return r;
}

/* --- init --- */

static int put_slot(struct store *store, const struct keys *keys,
		    const struct repo_init_options *options, struct err *err)
{
	struct buf slot = {0};
	int r = keyslot_enc(keys->repo, keys->master, options->password, options->password_len,
			    &options->cost, &options->label, &slot, err);

	if (!r)
		r = put_named(store, STORE_KEYS, &slot, NULL, err);
	buf_free(&slot);
	return r;
}

static int put_roster(struct store *store, const struct keys *keys, const struct roster *roster,
		      struct err *err)
{
	struct buf bytes = {0};
	int r = roster_enc(roster, keys->repo, keys->owner_secret, &bytes, err);

	if (!r)
		r = put_named(store, STORE_KEYS, &bytes, NULL, err);
	buf_free(&bytes);
	return r;
}

static int put_first_roster(struct store *store, const struct keys *keys, struct err *err)
{
	const struct read_epoch *epoch = keys_newest_epoch(keys);
	struct roster roster = {.epoch = 1};
	int r = roster_add_epoch(&roster, epoch->epoch, epoch->pub, err);

	if (!r)
		r = put_roster(store, keys, &roster, err);
	roster_free(&roster);
	return r;
}

static int put_config(struct store *store, const struct keys *keys,
		      const struct repo_init_options *options, struct err *err)
{
	struct repoconf conf = {
	    .created_at = options->now_s, .parity = options->parity, .floor_log2 = 12};
	struct buf ours = {0}, stored = {0};
	int r;

	memcpy(conf.repo, keys->repo, sizeof(conf.repo));
	memcpy(conf.owner_pub, keys->owner_pub, 32);
	memcpy(conf.maint_pub, keys->maint_pub, 32);
	memcpy(conf.gc_pub, keys->gc_pub, 32);
	r = repoconf_enc(&conf, keys->owner_secret, &ours, err);
	if (!r)
		r = store_put(store, STORE_CONFIG, NULL, ours.data, ours.len, err);
	if (!r)
		r = store_get(store, STORE_CONFIG, NULL, LIMIT_CONFIG_BYTES, &stored, err);
	if (!r && (stored.len != ours.len || memcmp(stored.data, ours.data, ours.len) != 0))
		r = err_set(err, ERR_EXISTS,
			    "%s: somebody else made a repository here at the same moment",
			    store->location);
	buf_free(&ours);
	buf_free(&stored);
	return r;
}

static int stop_listing(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	(void)arg;
	(void)name;
	(void)size_bytes;
	return err_set(err, ERR_EXISTS, "not empty");
}

int repo_without_config(struct store *store, struct err *err)
{
	static const enum store_type told_by[] = {STORE_SNAPSHOTS, STORE_DATA, STORE_INDEX};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(told_by) / sizeof(told_by[0]); i++)
		r = store_list(store, told_by[i], stop_listing, NULL, err);
	if (r == -ERR_EXISTS)
		err_set(
		    err, ERR_EXISTS,
		    "%s: backups are here, but the file config is missing; it never changes, so "
		    "put it back from any copy",
		    store->location);
	return r;
}

int repo_init(struct store *store, struct keys *keys, const struct repo_init_options *options,
	      struct err *err)
{
	int r = repo_without_config(store, err);

	if (!r || r == -ERR_MISSING)
		r = store_create(store, err);

	if (!r && options->password)
		r = put_slot(store, keys, options, err);
	if (!r)
		r = put_first_roster(store, keys, err);
	if (!r)
		r = put_config(store, keys, options, err);
	return r;
}

/* --- open --- */

static int get_config(struct store *store, struct repoconf *out_conf, struct err *err)
{
	struct buf bytes = {0};
	int r = store_get(store, STORE_CONFIG, NULL, LIMIT_CONFIG_BYTES, &bytes, err);

	if (r == -ERR_MISSING || r == -ERR_NOREPO)
		r = err_set(
		    err, ERR_NOREPO,
		    "%s: there is no nightjar repository here (no config); 'init' makes one",
		    store->location);
	else if (r == -ERR_LIMIT)
		r = err_set(err, ERR_DAMAGED, "%s/config: damaged: too long", store->location);
	if (!r) {
		r = repoconf_dec(bytes.data, bytes.len, out_conf, err);
		if (r)
			err_prefix(err, "%s/config%s", store->location,
				   r == -ERR_DAMAGED ? ": damaged; it never changes, so put it "
						       "back from any copy"
						     : "");
	}
	buf_free(&bytes);
	return r;
}

int repo_peek(struct store *store, uint8_t out_repo[REPO_ID_BYTES], struct err *err)
{
	struct repoconf conf;
	int r = get_config(store, &conf, err);

	if (!r)
		memcpy(out_repo, conf.repo, REPO_ID_BYTES);
	return r;
}

/* Tries one object of keys/ as a key slot: 0 opened, otherwise why not. */
static int try_slot(struct store *store, const struct repoconf *conf, const struct id *name,
		    const struct repo_credentials *c, struct keys **out_keys, struct err *err)
{
	uint8_t master[32], kind;
	struct buf bytes = {0};
	struct rd head;
	int r = get_verified(store, STORE_KEYS, name, LIMIT_KEY_OBJECT_BYTES, &bytes, err);

	/* Not by header_type: it knows no type of a newer format, and "newer" must be said. */
	head = rd_of(bytes.data, bytes.len);
	if (!r)
		r = header_get(&head, OBJECT_KEYSLOT, &kind, err);
	if (!r)
		r = keyslot_open(bytes.data, bytes.len, conf->repo, c->password, c->password_len,
				 master, err);
	if (!r)
		r = keys_from_master(conf->repo, master, out_keys, err);
	sodium_memzero(master, sizeof(master));
	buf_free(&bytes);
	return r == -ERR_VERSION ? repo_name(store, STORE_KEYS, name, err) : r;
}

static int keys_by_password(struct store *store, const struct repoconf *conf,
			    const struct repo_credentials *c, struct keys **out_keys,
			    struct err *err)
{
	struct id *names = NULL;
	struct err telling = {0}; /* more than "wrong password": a slot that could not be tried */
	size_t count = 0;
	bool opened = false;
	int r = repo_list(store, STORE_KEYS, &names, NULL, &count, err);

	for (size_t i = 0; !r && !opened && i < count; i++) {
		struct err why = {0};

		r = try_slot(store, conf, &names[i], c, out_keys, &why);
		opened = r == 0;
		if (r == -ERR_NOMEM || store_is_away(r))
			*err = why;
		else if (r == -ERR_IO || r == -ERR_VERSION || r == -ERR_DENIED)
			telling = why;
		r = r == -ERR_NOMEM || store_is_away(r) ? r : 0;
	}
	free(names);
	if (r || opened)
		return r;
	if (telling.code) {
		*err = telling;
		return -err->code;
	}
	return err_set(err, ERR_KEY,
		       "%s: wrong password, or the key slot in keys/ is damaged or missing",
		       store->location);
}

/*
 * A roster that does not verify is left out: what the others say still holds. One that may not be read, or not now, is
 * not: all that the hosts in it have signed would look forged.
 */
static int merge_roster(struct repo *repo, const struct id *name, struct err *err)
{
	struct buf bytes = {0};
	struct roster one = {0};
	struct err why = {0};
	int r = repo_get(repo, STORE_KEYS, name, LIMIT_KEY_OBJECT_BYTES, &bytes, &why);

	if (!r && header_type(bytes.data, bytes.len) == OBJECT_ROSTER &&
	    roster_dec(bytes.data, bytes.len, repo->conf.repo, repo->conf.owner_pub, &one, &why) ==
		0)
		r = roster_merge(&repo->roster, &one, &why);
	roster_free(&one);
	buf_free(&bytes);
	if (r != -ERR_NOMEM && r != -ERR_DENIED && !store_is_away(r))
		return 0;
	*err = why;
	return r;
}

int repo_refresh_roster(struct repo *repo, struct err *err)
{
	struct id *names = NULL;
	size_t count = 0;
	int r = repo_list(repo->store, STORE_KEYS, &names, NULL, &count, err);

	for (size_t i = 0; !r && i < count; i++)
		r = merge_roster(repo, &names[i], err);
	for (size_t i = 0; !r && i < repo->roster.epoch_count; i++)
		r = keys_add_epoch(repo->keys, repo->roster.epochs[i].epoch,
				   repo->roster.epochs[i].pub, err);
	free(names);
	return r;
}

const struct roster_writer *repo_find_writer(struct repo *repo, const uint8_t pub[32])
{
	const struct roster_writer *w = roster_find(&repo->roster, pub);
	struct err ignored = {0};

	if (!w && repo_refresh_roster(repo, &ignored) == 0)
		w = roster_find(&repo->roster, pub);
	return w;
}

int repo_open(struct store *store, const struct repo_credentials *credentials,
	      struct repo **out_repo, struct err *err)
{
	struct repo *repo = calloc(1, sizeof(*repo));
	int r;

	if (!repo)
		return err_nomem(err);
	repo->store = store;
	r = get_config(store, &repo->conf, err);
	repo->parity = repo->conf.parity;
	if (!r && credentials->keyfile)
		r = keyfile_dec(credentials->keyfile, credentials->keyfile_len, &repo->keys, err);
	else if (!r)
		r = keys_by_password(store, &repo->conf, credentials, &repo->keys, err);
	if (!r)
		r = repoconf_matches(&repo->conf, repo->keys, err);
	if (!r)
		r = repo_refresh_roster(repo, err);
	if (r) {
		repo->store = NULL;
		repo_close(repo);
		return r;
	}
	*out_repo = repo;
	return 0;
}

void repo_close(struct repo *repo)
{
	if (!repo)
		return;
	witness_free(repo->witness);
	roster_free(&repo->roster);
	keys_free(repo->keys);
	store_free(repo->store);
	free(repo);
}

/*
 * A roster of the same content that has rotted keeps its name from being used again: the next epoch gives another
 * one. More than a few are somebody's intent.
 */
static int put_next(struct repo *repo, struct roster *roster, struct err *err)
{
	struct err why = {0};
	int r = -ERR_DAMAGED;

	for (int tries = 0; tries < 16 && r == -ERR_DAMAGED; tries++) {
		roster->epoch++;
		r = put_roster(repo->store, repo->keys, roster, &why);
	}
	if (r)
		*err = why;
	return r;
}

int repo_publish_roster(struct repo *repo, struct roster *next, struct err *err)
{
	int r = put_next(repo, next, err);

	if (r)
		return r;
	roster_free(&repo->roster);
	repo->roster = *next;
	*next = (struct roster){0};
	witness_enrolled(repo);
	return 0;
}

static int add_writer(struct repo *repo, struct err *err)
{
	struct roster_writer w = {.first_sequence = 1, .last_sequence = UINT64_MAX, .version = 1};
	struct roster next = {0};
	int r = roster_merge(&next, &repo->roster, err);

	memcpy(w.pub, repo->keys->writer_pub, sizeof(w.pub));
	w.domain = repo->keys->writer_domain;
	if (!r)
		r = roster_add_writer(&next, &w, err);
	if (!r)
		r = repo_publish_roster(repo, &next, err);
	roster_free(&next);
	return r;
}

int repo_say_revoked(const struct repo *repo, const struct roster_writer *w, struct err *err)
{
	unsigned long long last = (unsigned long long)w->last_sequence;
	const char *host = repo->keys->host;

	if (repo->keys->role == ROLE_WRITE)
		return err_set(err, ERR_KEY,
			       "this write key was revoked after its backup %llu; make a new one "
			       "with the full key: 'nightjar key export --role write FILE'",
			       last);
	return err_set(
	    err, ERR_KEY,
	    "host %s was revoked as a writer after its backup %llu, under the full key, "
	    "too; make it a write key: 'nightjar key export --role write --host %s FILE'",
	    host, last, host);
}

static int unknown_writer(const struct repo *repo, struct err *err)
{
	if (repo->keys->role != ROLE_WRITE)
		return keys_allow(repo->keys, POWER_OWN, "adding a new host to the roster", err);
	return err_set(err, ERR_KEY,
		       "the roster in keys/ does not name this write key: an export that was cut "
		       "off made it, or the roster is lost; make a new one with the full key: "
		       "'nightjar key export --role write FILE'");
}

int repo_use_writer(struct repo *repo, const char *host, bool dry_run, struct err *err)
{
	int r = keys_allow(repo->keys, POWER_WRITE, "backup", err);

	if (!r)
		r = keys_use_host(repo->keys, host, err);
	if (r || roster_find(&repo->roster, repo->keys->writer_pub))
		return r;
	r = unknown_writer(repo, err);
	return r || dry_run ? r : add_writer(repo, err);
}
