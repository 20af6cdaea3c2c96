#include "cli/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/paths.h"
#include "cli/text.h"
#include "repo/runstate.h"

void config_file_free(struct config_file *file)
{
	config_free(&file->config);
	free(file->path);
	file->path = NULL;
}

static int read_all(int fd, const char *path, char *text, size_t room, size_t *out_len,
		    struct err *err)
{
	*out_len = 0;
	while (*out_len < room) {
		ssize_t got = read(fd, text + *out_len, room - *out_len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, errno, "%s", path);
		if (got == 0)
			break;
		*out_len += (size_t)got;
	}
	return 0;
}

/* Scripts in it run as whoever runs nightjar, and a key named in it opens every backup. */
static int judge_mode(const char *path, const struct stat *st, const struct config *config,
		      struct err *err)
{
	const char *secret = config_secret(config);

	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, ERR_USAGE, "%s: others can write to it: 'chmod go-w' it", path);
	if (secret && (st->st_mode & (S_IRWXG | S_IRWXO)))
		return err_set(err, ERR_USAGE,
			       "%s: holds %s and can be read by others: 'chmod 600 %s'", path,
			       secret, path);
	return 0;
}

/* The same place on a REST server, whoever goes there. (Of SFTP a user may decide which folder it is.) */
static bool same_url(const char *a, const char *b)
{
	char bare_a[RUNSTATE_LOCATION_CHARS], bare_b[RUNSTATE_LOCATION_CHARS];

	if (strncmp(a, "rest:", 5) != 0 || strncmp(b, "rest:", 5) != 0 ||
	    strlen(a) >= sizeof(bare_a) || strlen(b) >= sizeof(bare_b))
		return false;
	text_location(a, bare_a, sizeof(bare_a));
	text_location(b, bare_b, sizeof(bare_b));
	return strcmp(bare_a, bare_b) == 0;
}

/* The same place: as it is written, or the same folder or URL by another name. */
static bool same_location(const char *a, const char *b)
{
	char *real_a, *real_b;
	bool same = strcmp(a, b) == 0 || same_url(a, b);

	if (same || strchr(a, ':') || strchr(b, ':'))
		return same;
	real_a = realpath(a, NULL);
	real_b = realpath(b, NULL);
	same = real_a && real_b && strcmp(real_a, real_b) == 0;
	free(real_a);
	free(real_b);
	return same;
}

/* Two backups a night in one place would be no second copy. */
static int judge_locations(const char *path, const struct config *c, struct err *err)
{
	for (size_t i = 0; i < c->repository_count; i++) {
		for (size_t k = 0; k < i; k++) {
			const struct config_repository *a = &c->repositories[k],
						       *b = &c->repositories[i];

			if (same_location(a->location, b->location))
				return err_set(err, ERR_USAGE,
					       "%s:%u: the repository '%s' is where '%s' of line "
					       "%u is",
					       path, b->line, b->name, a->name, a->line);
		}
	}
	return 0;
}

static int read_file(int fd, const char *path, struct config *out_config, struct err *err)
{
	size_t room = CONFIG_BYTES + 1, len = 0;
	char *text = malloc(room);
	struct stat st;
	int r;

	if (!text)
		return err_nomem(err);
	if (fstat(fd, &st) != 0)
		r = err_sys(err, errno, "%s", path);
	else if (!S_ISREG(st.st_mode))
		r = err_set(err, ERR_USAGE, "%s: is no file", path);
	else
		r = read_all(fd, path, text, room, &len, err);
	if (!r)
		r = config_parse(text, len, path, out_config, err);
	if (!r)
		r = judge_mode(path, &st, out_config, err);
	if (!r)
		r = judge_locations(path, out_config, err);
	if (r)
		config_free(out_config);
	free(text);
	return r;
}

int config_file_load(const struct options_global *global, struct config_file *out_file,
		     struct err *err)
{
	char *path = NULL;
	int fd, r = 0;

	*out_file = (struct config_file){0};
	if (global->config) {
		path = strdup(global->config);
		r = path ? 0 : err_nomem(err);
	} else {
		r = paths_config(&path, err);
	}
	if (r || !path)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && !global->config && (errno == ENOENT || errno == ENOTDIR)) {
		free(path);
		return 0;
	}
	if (fd < 0) {
		r = err_sys(err, errno, "the configuration %s", path);
		r = r == -ERR_MISSING ? err_set(err, ERR_USAGE, "%s", err->text) : r;
	} else {
		r = read_file(fd, path, &out_file->config, err);
		(void)close(fd);
	}
	if (r)
		free(path);
	else
		out_file->path = path;
	return r;
}

static const struct config_repository *find(const struct config *c, const char *location)
{
	for (size_t i = 0; i < c->repository_count; i++) {
		if (same_location(c->repositories[i].location, location))
			return &c->repositories[i];
	}
	return NULL;
}

/* User and password belong together, whoever says them. */
static void fill_network(const struct config_repository *r, struct options_global *global)
{
	if (!global->limit_upload.given)
		global->limit_upload = r->limit_upload;
	if (!global->limit_download.given)
		global->limit_download = r->limit_download;
	if (!global->cacert)
		global->cacert = r->cacert;
	if (!global->rest_username && !global->rest_password) {
		global->rest_username = r->rest_username;
		global->rest_password_file = r->rest_password_file;
	}
	global->configured.count = r->extended.count;
	for (size_t i = 0; i < r->extended.count; i++)
		global->configured.items[i] = r->extended.items[i];
}

int config_file_fill(const struct config_file *file, struct options_global *global, struct err *err)
{
	const struct config *c = &file->config;
	const struct config_repository *chosen;
	char first[RUNSTATE_LOCATION_CHARS];

	if (!global->repo && c->repository_count > 1) {
		text_location(c->repositories[0].location, first, sizeof(first));
		return err_set(err, ERR_USAGE,
			       "%s names %zu repositories: choose one with -r REPO, such as -r %s",
			       file->path, c->repository_count, first);
	}
	if (!global->repo && c->repository_count == 1)
		global->repo = c->repositories[0].location;
	chosen = global->repo ? find(c, global->repo) : NULL;
	if (!chosen)
		return 0;
	/* It may have been named as messages name it, without its user. */
	if (same_url(chosen->location, global->repo) && !config_names_user(global->repo))
		global->repo = chosen->location;
	fill_network(chosen, global);
	global->parity = chosen->parity;
	if (!global->password_file && !global->password_command && !global->key_file) {
		global->password_file = chosen->password_file;
		global->password_command = chosen->password_command;
		global->key_file = chosen->key_file;
	}
	return 0;
}
