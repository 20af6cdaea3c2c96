#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "cli/parity_word.h"
#include "cli/paths.h"
#include "cli/rollback.h"
#include "cli/secret.h"
#include "cli/text.h"
#include "repo/store_stack.h"

#define KEYFILE_BYTES 65536

/* --- credentials --- */

static int read_all(int fd, const char *path, char *out, size_t room, size_t *out_len,
		    struct err *err)
{
	size_t len = 0;

	while (len < room) {
		ssize_t got = read(fd, out + len, room - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int r = err_sys(err, errno, "key file %s: cannot be read", path);

			return r == -ERR_NOMEM ? r : err_set(err, ERR_KEY, "%s", err->text);
		}
		if (got == 0) {
			*out_len = len;
			return 0;
		}
		len += (size_t)got;
	}
	return err_set(err, ERR_KEY, "key file %s: too long, this is no nightjar key file", path);
}

static void warn_tolerated(struct cli *cli, const char *what, const char *file)
{
	out_warning(&cli->out,
		    "%s %s is open to others; it is taken, being a secret that the system mounted",
		    what, file);
}

static int read_keyfile(struct cli *cli, const char *path, char *out, size_t *out_len,
			struct err *err)
{
	bool tolerated;
	int r, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		r = err_sys(err, errno, "key file %s: cannot be opened", path);
		return r == -ERR_NOMEM ? r : err_set(err, ERR_KEY, "%s", err->text);
	}
	r = secret_judge_mode(fd, "key file", path, &tolerated, err);
	if (!r && tolerated)
		warn_tolerated(cli, "key file", path);
	if (!r)
		r = read_all(fd, path, out, KEYFILE_BYTES, out_len, err);
	(void)close(fd);
	return r;
}

int session_password(struct cli *cli, bool is_new, struct secret *out_secret, struct err *err)
{
	bool tolerated = false;
	int r = secret_password(&cli->global, is_new, out_secret, &tolerated, err);

	if (!r && tolerated)
		warn_tolerated(cli, "password file", cli->global.password_file);
	return r;
}

/* Of the second repository: the terminal must say which one it asks about. */
static int from_password(struct cli *cli, const struct options_from *from,
			 struct secret *out_secret, struct err *err)
{
	bool tolerated = false;
	int r;

	if (from->password_command)
		return secret_from_command(from->password_command, out_secret, err);
	if (!from->password_file)
		return secret_from_terminal("password of the repository to copy from: ", NULL,
					    out_secret, err);
	r = secret_from_file(from->password_file, out_secret, &tolerated, err);
	if (!r && tolerated)
		warn_tolerated(cli, "password file", from->password_file);
	return r;
}

static int open_with_keyfile(struct cli *cli, const char *path, struct store *store,
			     struct repo **out_repo, struct err *err)
{
	struct repo_credentials c = {0};
	char *text = sodium_malloc(KEYFILE_BYTES);
	int r;

	if (!text)
		return err_nomem(err);
	c.keyfile = text;
	r = read_keyfile(cli, path, text, &c.keyfile_len, err);
	if (!r) {
		r = repo_open(store, &c, out_repo, err);
		if (r == -ERR_KEY)
			err_prefix(err, "key file %s", path);
	}
	sodium_free(text);
	return r;
}

int session_probe(struct store *store, struct err *err)
{
	uint64_t size;
	int r = store_size(store, STORE_CONFIG, NULL, &size, err);

	if (!r)
		return 1;
	if (r == -ERR_IO && err->sys_errno == ENOTDIR)
		return err_set(err, ERR_NOREPO,
			       "%s: is a file or lies below one; a repository is a folder",
			       store->location);
	if (r != -ERR_MISSING)
		return r;
	r = repo_without_config(store, err);
	if (r == -ERR_EXISTS)
		return err_set(err, ERR_NOREPO, "%s", err->text);
	return r;
}

/* A repository that is not there is said before anybody is asked for its password. */
static int need_repo(struct store *store, struct err *err)
{
	int r = session_probe(store, err);

	if (r == -ERR_MISSING)
		return err_set(err, ERR_NOREPO, "%s; 'nightjar init' would make it", err->text);
	if (r)
		return r > 0 ? 0 : r;
	return err_set(err, ERR_NOREPO,
		       "%s: there is no nightjar repository here; 'nightjar init' makes one",
		       store->location);
}

/* from: NULL for the repository of -r. */
static int open_with_password(struct cli *cli, const struct options_from *from, struct store *store,
			      struct repo **out_repo, struct err *err)
{
	struct secret secret = {0};
	struct repo_credentials c = {0};
	int r = from ? from_password(cli, from, &secret, err)
		     : session_password(cli, false, &secret, err);

	if (!r) {
		c.password = secret.bytes;
		c.password_len = secret.len;
		r = repo_open(store, &c, out_repo, err);
	}
	secret_free(&secret);
	return r;
}

/* --- opening --- */

/* A repository and the way to it. */
struct way {
	const char *location, *key_file;
	const struct net *net;
	const struct options_from *from; /* NULL for the repository of -r */
	bool direct;                     /* past the cache */
};

/* NULL without one, which is no failure. */
static char *cache_of(struct cli *cli, const struct way *way)
{
	struct err err = {0};
	char *dir = NULL;

	if (way->direct || cli->global.no_cache || !store_is_remote(way->location))
		return NULL;
	if (paths_cache(&cli->global, &dir, &err)) {
		out_detail(&cli->out, "without a cache: %s", err.text);
		return NULL;
	}
	return dir;
}

static int open_at(struct cli *cli, const struct way *way, struct session *out_session,
		   struct err *err)
{
	struct store *store = NULL;
	char *cache = cache_of(cli, way);
	int r = store_stack_open(way->location, way->net, cache, &store, err);

	if (!r)
		r = need_repo(store, err);
	if (!r)
		r = way->key_file
			? open_with_keyfile(cli, way->key_file, store, &out_session->repo, err)
			: open_with_password(cli, way->from, store, &out_session->repo, err);
	if (!r && *store_cache_note(store))
		out_detail(&cli->out, "without a cache: %s", store_cache_note(store));
	if (r == -ERR_KEY)
		rollback_suspect(cli, store);
	if (r)
		store_free(store);
	free(cache);
	if (!r)
		r = rollback_watch(cli, out_session->repo, err);
	if (r)
		session_close(out_session);
	return r;
}

static int open_own(struct cli *cli, bool direct, struct session *out_session, struct err *err)
{
	struct way way = {.net = &cli->net, .direct = direct};
	int r = command_repo(cli, &way.location, err);

	*out_session = (struct session){0};
	way.key_file = cli->global.key_file;
	if (!r)
		r = open_at(cli, &way, out_session, err);
	if (!r)
		parity_word_set(cli->global.parity, &out_session->repo->parity);
	return r;
}

int session_open(struct cli *cli, struct session *out_session, struct err *err)
{
	return open_own(cli, false, out_session, err);
}

int session_open_direct(struct cli *cli, struct session *out_session, struct err *err)
{
	return open_own(cli, true, out_session, err);
}

/* A configuration file may name a key; what is wrong with it who opens the repository says. */
bool session_is_keyless(struct cli *cli)
{
	const struct options_global *g = &cli->global;
	const char *location;
	struct err why = {0};

	return command_repo(cli, &location, &why) == 0 && !g->key_file && !g->password_file &&
	       !g->password_command;
}

int session_open_store(struct cli *cli, struct store **out_store, struct err *err)
{
	const char *location;
	struct store *store = NULL;
	int r = command_repo(cli, &location, err);

	if (!r)
		r = store_stack_open(location, &cli->net, NULL, &store, err);
	if (!r)
		r = need_repo(store, err);
	if (r)
		store_free(store);
	else
		*out_store = store;
	return r;
}

static void on_bad_manifest(void *arg, const struct id *name, const struct err *why)
{
	struct cli *cli = arg;
	char path[STORE_PATH_CHARS];

	store_path(STORE_SNAPSHOTS, name, path);
	if (why->code == ERR_KEY)
		out_warning(&cli->out, "%s: %s", path, why->text);
	else
		out_error(&cli->out, "manifests", path, why->text);
}

int session_load_manifests(struct cli *cli, struct session *s, struct err *err)
{
	return manifests_load(s->repo, on_bad_manifest, cli, &s->manifests, err);
}

int session_open_from(struct cli *cli, const struct options_from *from, struct session *out_session,
		      struct err *err)
{
	const struct way way = {.location = from->repo,
				.key_file = from->key_file,
				.net = &cli->from_net,
				.from = from};
	int r = transfers_set_from(cli, from->repo, err);

	*out_session = (struct session){0};
	if (!r)
		r = open_at(cli, &way, out_session, err);
	if (!r)
		r = manifests_load(out_session->repo, on_bad_manifest, cli, &out_session->manifests,
				   err);
	if (r)
		session_close(out_session);
	return r;
}

/* reads: NULL, or the command that needs a key that reads. */
static int open_manifests(struct cli *cli, const char *reads, bool direct,
			  struct session *out_session, struct err *err)
{
	int r = open_own(cli, direct, out_session, err);

	if (!r && reads)
		r = keys_allow(out_session->repo->keys, POWER_READ, reads, err);
	if (!r)
		r = session_load_manifests(cli, out_session, err);
	if (r)
		session_close(out_session);
	return r;
}

int session_open_manifests(struct cli *cli, struct session *out_session, struct err *err)
{
	return open_manifests(cli, NULL, false, out_session, err);
}

/* "latest" goes by the times that backups claim. */
static void tell_overtaken(struct cli *cli, const struct session *s,
			   const struct manifest_item *item)
{
	const struct manifest_item *made_later = manifests_overtaken(&s->manifests, item);
	char id[ID_HEX_CHARS + 1], later[ID_HEX_CHARS + 1], at[TEXT_TIME_CHARS];

	if (!made_later)
		return;
	id_hex(&item->name, id);
	id_hex(&made_later->name, later);
	text_time_local(item->m.time_ns / 1000000000, at);
	out_warning(
	    &cli->out,
	    "latest is %.*s, dated %s, but %.*s was made after it: a clock was wrong; name the "
	    "one that you mean, and 'nightjar forget' the one with the wrong date",
	    ID_SHORT_CHARS, id, at, ID_SHORT_CHARS, later);
}

int session_find(struct cli *cli, const struct session *s, const char *spec, const char *host,
		 const struct manifest_item **out_item, const char **out_sub, struct err *err)
{
	bool latest = strncmp(spec, "latest", 6) == 0;
	int r;

	if (s->manifests.bad && latest)
		exit_add(&cli->codes, EXIT_FAILED);
	r = manifests_find(&s->manifests, spec, host, out_item, out_sub, err);
	if (!r && latest)
		tell_overtaken(cli, s, *out_item);
	return r ? r : manifests_readable(s->repo, *out_item, err);
}

static void on_bad_segment(void *arg, const struct id *name, const struct err *why)
{
	struct cli *cli = arg;
	char path[STORE_PATH_CHARS];

	store_path(STORE_INDEX, name, path);
	if (strstr(why->text, path))
		out_warning(&cli->out, "%s", why->text);
	else
		out_warning(&cli->out, "%s: %s", path, why->text);
}

static int open_reader(struct cli *cli, const char *what, bool direct, struct session *out_session,
		       struct err *err)
{
	int r = open_manifests(cli, what, direct, out_session, err);

	if (r)
		return r;
	r = index_load(out_session->repo, on_bad_segment, cli, &out_session->index, err);
	if (!r)
		r = reader_new(out_session->repo, out_session->index, &out_session->reader, err);
	if (r)
		session_close(out_session);
	return r;
}

int session_open_reader(struct cli *cli, const char *what, struct session *out_session,
			struct err *err)
{
	return open_reader(cli, what, false, out_session, err);
}

int session_open_reader_direct(struct cli *cli, const char *what, struct session *out_session,
			       struct err *err)
{
	return open_reader(cli, what, true, out_session, err);
}

void session_close(struct session *s)
{
	reader_free(s->reader);
	index_free(s->index);
	manifest_list_free(&s->manifests);
	repo_close(s->repo);
	*s = (struct session){0};
}

/* --- who and where --- */

void session_label(struct keyslot_label *out_label)
{
	const struct passwd *pw = getpwuid(geteuid());

	*out_label = (struct keyslot_label){.created_at = (int64_t)time(NULL)};
	(void)snprintf(out_label->user, sizeof(out_label->user), "%s", pw ? pw->pw_name : "");
	if (gethostname(out_label->host, sizeof(out_label->host) - 1) != 0)
		out_label->host[0] = '\0';
}

int session_host(const char *option, char out_host[256], struct err *err)
{
	if (option && strlen(option) > LIMIT_HOST_BYTES)
		return err_set(err, ERR_USAGE, "--host: at most %u bytes", LIMIT_HOST_BYTES);
	if (option)
		(void)snprintf(out_host, 256, "%s", option);
	else if (gethostname(out_host, 255) != 0)
		out_host[0] = '\0';
	out_host[255] = '\0';
	if (!*out_host)
		return err_set(err, ERR_USAGE, "this machine has no host name; --host gives one");
	return 0;
}
