/*
 * config_file: finds and reads the configuration file, and fills from it what neither options nor variables say: an option beats its
 * variable, a variable beats the file. One thread.
 */
#ifndef NIGHTJAR_CLI_CONFIG_FILE_H
#define NIGHTJAR_CLI_CONFIG_FILE_H

#include "cli/config.h"
#include "cli/options.h"

struct config_file {
	struct config config;
	char *path; /* as it was opened; NULL: there is none */
};
void config_file_free(struct config_file *file); /* {0} is fine */

/*
 * Reads the file that --config or NIGHTJAR_CONFIG names, which must be there, else the one in its usual place, which need not.
 * ERR_USAGE: not there, does not read (config_parse), or open to others who must not write to it, or read the secret in it; says what to
 * do. ERR_IO, ERR_NOMEM.
 */
int config_file_load(const struct options_global *global, struct config_file *out_file,
		     struct err *err) ERR_UNUSED_WARN;

/*
 * The repository, when nothing else says one and the file has exactly one; and when the repository is one of the file's, its key
 * and how it is reached, as far as nothing else says them; and the parity of its packs. It may be named without the user that its location has. Again on what it filled: nothing changes. ERR_USAGE when it has several and none was chosen. The strings belong to file.
 */
int config_file_fill(const struct config_file *file, struct options_global *global,
		     struct err *err) ERR_UNUSED_WARN;

#endif
