/* config_keys: the sections and keys of a configuration file, and how a value becomes a member. Internal to config.c. */
#ifndef NIGHTJAR_CLI_CONFIG_KEYS_H
#define NIGHTJAR_CLI_CONFIG_KEYS_H

#include "cli/config.h"

enum config_section {
	SECTION_REPOSITORY,
	SECTION_SOURCE,
	SECTION_RETENTION,
	SECTION_CHECKS,
	SECTION_HOOKS,
	SECTION_METRICS,
	SECTION_PING
};
#define CONFIG_SECTION_KINDS 7u

/* What a value is, and the type of the member that it goes to. */
enum config_kind {
	CONFIG_TEXT,   /* char * */
	CONFIG_PATH,   /* char *: absolute */
	CONFIG_PATHS,  /* struct lines: absolute, one a line */
	CONFIG_SCRIPT, /* char *: lines are joined as lines */
	CONFIG_BOOL,   /* bool: yes or no */
	CONFIG_FULL,   /* bool: full or due */
	CONFIG_NUMBER, /* uint64_t: 1 to 36500 */
	CONFIG_RATE,   /* struct option_number: KiB/s */
	CONFIG_WAYS,   /* struct lines: KEY=VALUE, as -o takes it; may be repeated, one a line */
	CONFIG_SPAN,   /* int64_t: seconds */
	CONFIG_URL,    /* char *: of a ping */
	CONFIG_PROM,   /* char *: absolute, ends with .prom */
	CONFIG_PARITY, /* char *: as --parity takes it */
	/* struct lines: "--key=value", an option of the command that it is for, which judges the value */
	CONFIG_WORD,
	CONFIG_WORDS,      /* may be repeated, one a line */
	CONFIG_WORD_PATHS, /* the same, absolute */
	CONFIG_WORD_SQL,   /* may be repeated; indented lines are joined to one */
	CONFIG_WORD_FLAG   /* "--key" when yes */
};

struct config_key {
	enum config_section section;
	const char *name;
	enum config_kind kind;
	size_t offset; /* in the struct of its section */
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;
extern const char *const config_section_names[CONFIG_SECTION_KINDS];

bool config_kind_repeats(enum config_kind kind);
/* May it be empty at first, to be told by indented lines? */
bool config_kind_goes_on(enum config_kind kind);

/*
 * Puts a value (not empty) into its member; more: it goes on with what is there. ERR_USAGE says what is wrong, to go behind the key's name:
 * "needs a path …", or ": 'x' is none of …".
 */
int config_key_set(const struct config_key *key, void *section, const char *value, bool more,
		   struct err *err) ERR_UNUSED_WARN;

/* And when all of it is there: what only makes sense as a whole. Errors as above. */
int config_key_close(const struct config_key *key, const void *section,
		     struct err *err) ERR_UNUSED_WARN;

#endif
