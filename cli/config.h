/*
 * config: the configuration file as plain structs. INI (inih): sections, "key = value", comments on lines of their own (# or ;), and
 * indented lines that go on with the value above. Nothing is guessed: whatever does not read, is not known or comes twice is
 * ERR_USAGE with "FILE:LINE: …". Passwords never stand in it, only where they are. `nightjar help config` prints an example of it all.
 * No effects but memory; config_file.h reads the file. Any thread may use its own.
 */
#ifndef NIGHTJAR_CLI_CONFIG_H
#define NIGHTJAR_CLI_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/lines.h"
#include "cli/options.h"
#include "core/err.h"

#define CONFIG_BYTES ((size_t)1 << 20) /* of a file */
#define CONFIG_LINE_BYTES 8192u        /* of a line; what inih takes is less, and no matter */
#define CONFIG_SECTIONS 256u           /* repositories, and sources, at most */

/* Shell scripts; NULL = none. */
struct config_hooks {
	char *before, *after, *failed;
	int64_t time_limit_s; /* 0 = not said */
};

struct config_repository {
	char *name; /* as the section has it, else "repository" */
	char *location;
	char *password_file, *password_command, *key_file; /* at most one */
	struct option_number limit_upload, limit_download; /* KiB/s */
	struct lines extended;                             /* as of -o, OPTION_WORDS_MOST at most */
	char *cacert;
	char *rest_username, *rest_password_file; /* both or none */
	bool append_only;                         /* a night removes nothing there */
	char *parity;                             /* off, 2 or 4; NULL = as init said */
	unsigned line;
};

struct config_source {
	char *name; /* as the section has it, else "source" */
	struct lines paths;
	struct lines words; /* options of `backup`: "--exclude=*.tmp" */
	struct lines drill; /* options of `drill`, for what it backed up */
	struct config_hooks hooks;
	unsigned line;
};

struct config_retention {
	struct lines forget; /* options of `forget`: "--keep-daily=7" */
	struct lines prune;  /* options of `prune` */
	bool run_prune;
};

struct config_checks {
	uint64_t read_data_days; /* 0 = structure only */
	uint64_t drill_days;     /* 0 = never */
	struct lines drill;      /* options of `drill`: "--assert=app.db: SELECT …" */
	bool off;                /* structure neither */
	bool integrity_full;
};

struct config_ping {
	char *url, *url_file; /* at most one */
	int64_t timeout_s;    /* 0 = not said */
};

/* {0} is an empty one. */
struct config {
	struct config_repository *repositories;
	size_t repository_count;
	struct config_source *sources;
	size_t source_count;
	struct config_retention retention;
	struct config_checks checks;
	struct config_hooks hooks, restore_hooks;
	char *metrics_textfile;
	struct config_ping ping;
};

/*
 * Reads text (any bytes, no NUL needed). from: the name of the file, for errors. On failure *out_config is empty. ERR_USAGE, ERR_LIMIT, ERR_NOMEM.
 */
int config_parse(const char *text, size_t len, const char *from, struct config *out_config,
		 struct err *err) ERR_UNUSED_WARN;
void config_free(struct config *config);

/* What nobody but its reader may see stands in the file itself, and what. NULL = nothing. */
const char *config_secret(const struct config *config);

/* Does this location name a user in front of its host, as rest:https://USER@HOST/ does? */
bool config_names_user(const char *location);

/* The example that documents every key. It parses. */
extern const char config_example[];

#endif
