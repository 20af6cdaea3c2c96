/*
 * night: one run of `nightly`: the steps that a configuration asks for, each a command with the words that one could type, and what they
 * came to. night.c runs them, night_words.c makes the words, night_report.c and metrics.c tell. A step's failure ends what rests
 * on it, nothing else; each repository fails for itself. One thread.
 */
#ifndef NIGHTJAR_CLI_NIGHT_H
#define NIGHTJAR_CLI_NIGHT_H

#include <time.h>

#include "cli/command.h"
#include "cli/lines.h"
#include "core/keys.h"

struct night_step {
	const char *name;    /* "backup", "forget", "hook before", … */
	const char *source;  /* name of the source; NULL = of the repository */
	const char *skipped; /* NULL = it was run; else why it was not */
	enum exit_code code;
	double seconds;
};

struct night_steps {
	struct night_step *items;
	size_t count;
};

struct night_repo {
	const char *name;
	struct cli cli; /* a copy that means this repository; its facts are of the last step */
	struct exit_codes codes;
	struct night_steps steps;
	bool open; /* it could be opened; then role holds */
	bool lost; /* and then could no more be reached: a step has waited for it long enough */
	enum role role;
	bool append_only; /* as the configuration says: nothing is removed there */
	char id[RUNSTATE_ID_CHARS + 1];
	char location[RUNSTATE_LOCATION_CHARS]; /* without credentials */
	size_t backups;                         /* sources that got a manifest */
	bool backup_failed;                     /* one of them did not */
	char manifest[ID_HEX_CHARS + 1];        /* the last */
	char (*manifests)[ID_HEX_CHARS + 1];    /* by source; "" = none tonight */
	int64_t
	    drill_good_at_s; /* the last good one that the repository or this host knows of; 0 = none */
	uint64_t bytes_stored, files, databases_failed, refs_missing, alarms; /* of all sources */
	struct transfer_sums transfers;                                       /* of all steps */
	uint64_t vanished; /* from the repository, of what this host has seen: the most of a step */
	uint64_t full;     /* backups for which there was no room */
	struct runstate state;  /* as it is kept when the night has ended */
	bool kept;              /* once already; then the next holds */
	int64_t clean_before_s; /* nightly_clean_at_s before tonight */
};

struct night {
	struct cli *cli;
	const struct config *config;
	bool dry_run;
	struct night_repo *repos;
	size_t repo_count;
	struct night_steps steps; /* hooks, which are of no repository */
	struct exit_codes codes;  /* of everything */
	struct exit_codes shared; /* of what is of no repository: hooks, metrics, an interrupt */
	struct timespec started;
	int64_t started_at_s;
};

/* Takes the repositories of the configuration, or the one that an option or a variable says instead. ERR_USAGE, ERR_NOMEM. */
int night_begin(struct night *night, struct cli *cli, bool dry_run,
		struct err *err) ERR_UNUSED_WARN;
void night_free(struct night *night);

/* Everything up to the metrics. What went wrong is in night->codes, and was said. */
void night_run(struct night *night);
/* Hooks `failed`, unless all is well, and `after`. True when one was run. */
bool night_run_last_hooks(struct night *night);
/* A failure that is of no repository. */
void night_fail(struct night *night, enum exit_code code);
/*
 * For `status`, and into each repository's state. Twice: what the last hooks ask for is the night before them, what stays is the night with
 * them.
 */
void night_keep(struct night *night);

uint64_t night_alarms(const struct night *night);
/* Exit code 0, and no alarm, which has no exit code: what the night is told by to those who only hear yes or no. */
bool night_is_well(const struct night *night);
double night_seconds(const struct timespec *since);
bool night_add_step(struct night *night, struct night_repo *repo, const struct night_step *step);

/* --- night_words.c --- */

enum night_command { NIGHT_BACKUP, NIGHT_FORGET, NIGHT_PRUNE, NIGHT_CHECK, NIGHT_DRILL };

/*
 * The words of a step, its command first. source: for backup, and for a drill of its manifest. manifest: for drill; NULL = the latest. full: there is no room, so prune moves
 * nothing.
 */
const char *night_command_name(enum night_command command);
int night_words(const struct night *night, enum night_command command,
		const struct config_source *source, const char *manifest, bool full,
		struct lines *out_words, struct err *err) ERR_UNUSED_WARN;
/* Is this step asked for at all? */
bool night_asks(const struct night *night, enum night_command command);
/* Would every step that is asked for be understood? ERR_USAGE names the section. */
int night_words_try(const struct night *night, const char *file, struct err *err) ERR_UNUSED_WARN;

/* --- night_report.c --- */

/* The summary, for people or as JSON. */
void night_report(const struct night *night);

#endif
