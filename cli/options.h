/*
 * options: the command line into plain structs, by tables. A table entry names an option, its kind and
 * where in a struct its value goes; the same table prints the help. {0} = nothing was given.
 * Pointers in the structs point into argv or the environment.
 */
#ifndef NIGHTJAR_CLI_OPTIONS_H
#define NIGHTJAR_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* The type of the member that each kind fills. */
enum option_kind {
	OPTION_FLAG,   /* bool */
	OPTION_COUNT,  /* unsigned: how often it was given */
	OPTION_STRING, /* const char *; not empty; given twice, the last wins */
	OPTION_LIST,   /* struct option_list; items may be empty */
	OPTION_WORDS, /* struct option_words: a few, which need no wiping and may be copied; not empty */
	OPTION_NUMBER, /* struct option_number: decimal digits */
	OPTION_SIZE    /* struct option_number: digits and k, m, g or t, powers of 1024 */
};

struct option_list {
	const char **items; /* freed by options_wipe */
	size_t count;
};

#define OPTION_WORDS_MOST 16
struct option_words {
	const char *items[OPTION_WORDS_MOST];
	size_t count;
};

struct option_number {
	bool given;
	uint64_t value;
};

struct option_spec {
	const char *name; /* without "--"; NULL ends a table */
	char letter;      /* 0 = none */
	enum option_kind kind;
	size_t offset;
	const char *value; /* "FILE" for the help; NULL for flags and counts */
	const char *help;
};

/* Taken before and after COMMAND. */
struct options_global {
	const char *repo;
	const char *password_file;
	const char *password_command;
	const char *key_file;
	const char *config;
	const char *cache_dir;
	const char *state_dir; /* from the environment only, as the next */
	const char *ssh_command;
	/* From the environment, both or none of them of the configuration file, where the password has a file. */
	const char *rest_username, *rest_password, *rest_password_file;
	const char *cacert;
	struct option_number limit_upload, limit_download; /* KiB/s, 0 = none */
	struct option_words extended;                      /* -o KEY=VALUE */
	struct option_words configured; /* the same of the configuration file, which -o beats */
	const char *parity; /* of the configuration file only; a command's --parity beats it */
	bool no_cache;
	bool json;
	bool quiet;
	unsigned verbose;
	bool help;
	bool version;
};

extern const struct option_spec options_global_specs[];

/* A second repository, which `copy` reads: options of that command. */
struct options_from {
	const char *repo;
	const char *password_file;
	const char *password_command;
	const char *key_file;
};

/*
 * Reads options up to the first operand (or "--", which it swallows). *out_used counts the words taken,
 * argv[0] included. ERR_USAGE with one clear line.
 */
int options_parse_global(int argc, char **argv, struct options_global *global, int *out_used,
			 struct err *err) ERR_UNUSED_WARN;

/*
 * Reads what follows COMMAND (argv[0]): global options and those of specs (NULL = none) into options,
 * mixed with operands, "--" ends options. argv is permuted; operands start at argv[*out_first].
 */
int options_parse_command(int argc, char **argv, struct options_global *global,
			  const struct option_spec *specs, void *options, int *out_first,
			  struct err *err) ERR_UNUSED_WARN;

/*
 * Fills what no option said from NIGHTJAR_REPOSITORY, _PASSWORD_FILE, _PASSWORD_COMMAND, _KEY_FILE,
 * _CONFIG, _CACHE_DIR, _STATE_DIR, _CACERT, _REST_USERNAME, _REST_PASSWORD, _SSH_COMMAND (an empty variable is not set) and refuses what contradicts itself: two of the
 * password and key options, or of their variables when no option decides; -q with -v.
 */
int options_resolve(struct options_global *global, struct err *err) ERR_UNUSED_WARN;

/* The same for a second repository, from NIGHTJAR_FROM_REPOSITORY, _FROM_PASSWORD_FILE, _FROM_PASSWORD_COMMAND, _FROM_KEY_FILE. */
int options_resolve_from(struct options_from *from, struct err *err) ERR_UNUSED_WARN;

/* Was this flag of specs given? False also when there is no such flag. */
bool options_flag(const struct option_spec *specs, const void *options, const char *name);

/* Frees the lists. */
void options_wipe(const struct option_spec *specs, void *options);

/* Are a repository and how to open it said, by options or variables? Then no file has a say. Of a resolved one. */
bool options_complete(const struct options_global *global);

#endif
