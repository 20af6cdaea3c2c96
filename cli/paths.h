/*
 * paths: where this host keeps its cache and its state. The environment and the password database are
 * asked, folders are made with mode 0700. One thread.
 */
#ifndef NIGHTJAR_CLI_PATHS_H
#define NIGHTJAR_CLI_PATHS_H

#include "cli/options.h"
#include "core/err.h"

/*
 * --cache-dir, NIGHTJAR_CACHE_DIR, $XDG_CACHE_HOME/nightjar or ~/.cache/nightjar. global must be
 * resolved. *out_path is the caller's to free. ERR_USAGE when there is no home either.
 */
int paths_cache(const struct options_global *global, char **out_path,
		struct err *err) ERR_UNUSED_WARN;

/*
 * NIGHTJAR_STATE_DIR, <chosen cache>/state, $XDG_STATE_HOME/nightjar or ~/.local/state/nightjar, as
 * paths_cache.
 */
int paths_state(const struct options_global *global, char **out_path,
		struct err *err) ERR_UNUSED_WARN;

/*
 * Where the configuration file is looked for when nothing names it: $XDG_CONFIG_HOME/nightjar/nightjar.ini where that variable is set, else
 * /etc/nightjar/nightjar.ini for root, ~/.config/nightjar/nightjar.ini for others. Makes nothing. NULL when there is no home.
 */
int paths_config(char **out_path, struct err *err) ERR_UNUSED_WARN;

#endif
