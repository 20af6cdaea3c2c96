#include "cli/paths.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes path and what is missing above it. A folder that is there stays as it is. */
static int make_folders(const char *path, struct err *err)
{
	char *copy = strdup(path);
	struct stat st;
	int status = 0;

	if (!copy)
		return err_nomem(err);
	for (char *slash = copy; status == 0 && slash;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		if (mkdir(copy, 0700) != 0 && errno != EEXIST && access(copy, F_OK) != 0)
			status = err_sys(err, errno, "cannot make the folder %s", copy);
		if (slash)
			*slash = '/';
	}
	/* One that cannot be asked fails whoever uses it, who may do without. */
	if (status == 0 && stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		status = err_set(err, ERR_IO, "%s is not a folder", path);
	free(copy);
	return status;
}

static int finish(const char *base, const char *below, char **out_path, struct err *err)
{
	size_t room = strlen(base) + strlen(below) + 1;
	char *path = malloc(room);
	int status;

	if (!path)
		return err_nomem(err);
	(void)snprintf(path, room, "%s%s", base, below);
	status = make_folders(path, err);
	if (status < 0)
		free(path);
	else
		*out_path = path;
	return status;
}

/* The XDG rules: a path that is not absolute is ignored. */
static const char *absolute_variable(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

static const char *home(void)
{
	const char *value = absolute_variable("HOME");
	const struct passwd *entry;

	if (value)
		return value;
	/* Services are often started without HOME. */
	entry = getpwuid(geteuid());
	return entry && entry->pw_dir && entry->pw_dir[0] == '/' ? entry->pw_dir : NULL;
}

static int under_home(const char *xdg, const char *below_home, const char *option, char **out_path,
		      struct err *err)
{
	const char *base = absolute_variable(xdg);

	if (base)
		return finish(base, "/nightjar", out_path, err);
	base = home();
	if (!base)
		return err_set(err, ERR_USAGE, "no home directory: set %s", option);
	return finish(base, below_home, out_path, err);
}

int paths_cache(const struct options_global *global, char **out_path, struct err *err)
{
	int r = global->cache_dir ? finish(global->cache_dir, "", out_path, err)
				  : under_home("XDG_CACHE_HOME", "/.cache/nightjar",
					       "NIGHTJAR_CACHE_DIR", out_path, err);

	if (r == -ERR_NOMEM || r == -ERR_USAGE)
		return r;
	return r ? err_set(err, (enum err_code)err->code,
			   "the cache: %s; --cache-dir or NIGHTJAR_CACHE_DIR names another place",
			   err->text)
		 : 0;
}

int paths_state(const struct options_global *global, char **out_path, struct err *err)
{
	if (global->state_dir)
		return finish(global->state_dir, "", out_path, err);
	if (global->cache_dir)
		return finish(global->cache_dir, "/state", out_path, err);
	return under_home("XDG_STATE_HOME", "/.local/state/nightjar", "NIGHTJAR_STATE_DIR",
			  out_path, err);
}

int paths_config(char **out_path, struct err *err)
{
	const char *xdg = absolute_variable("XDG_CONFIG_HOME");
	const char *base = xdg ? xdg : geteuid() == 0 ? "/etc" : home();
	const char *below = xdg || geteuid() == 0 ? "" : "/.config";

	*out_path = NULL;
	if (base && asprintf(out_path, "%s%s/nightjar/nightjar.ini", base, below) < 0)
		return err_nomem(err);
	return 0;
}
