#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli/metrics.h"
#include "cli/night.h"
#include "cli/paths.h"
#include "cli/ping.h"
#include "cli/tail.h"
#include "core/sha256.h"

struct nightly_words {
	bool dry_run;
};

const struct option_spec cmd_nightly_options[] = {
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct nightly_words, dry_run), NULL,
     "back up, forget and prune as far as their --dry-run; no hooks, checks, metrics and pings"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};
const size_t cmd_nightly_options_bytes = sizeof(struct nightly_words);

/* --- one at a time --- */

/* "<state>/nightly-<16 digits of the configuration's path>.lock" */
static int lock_path(struct cli *cli, char **out_path, struct err *err)
{
	char hex[ID_HEX_CHARS + 1], *dir = NULL, *real = realpath(cli->file.path, NULL);
	const char *name = real ? real : cli->file.path;
	struct id id;
	int r = sha256_of(name, strlen(name), &id, err);

	*out_path = NULL;
	if (!r)
		r = paths_state(&cli->global, &dir, err);
	if (!r) {
		id_hex(&id, hex);
		if (asprintf(out_path, "%s/nightly-%.16s.lock", dir, hex) < 0) {
			*out_path = NULL;
			r = err_nomem(err);
		}
	}
	free(dir);
	free(real);
	return r;
}

/* Let go of by the kernel when we end, however that is; the file stays, and means nothing. */
static int lock(struct cli *cli, int *out_fd, struct err *err)
{
	char *path;
	int r = lock_path(cli, &path, err);

	*out_fd = -1;
	if (r)
		return r;
	*out_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*out_fd < 0)
		r = err_sys(err, errno, "%s", path);
	else if (flock(*out_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		r = err_set(
		    err, ERR_BUSY,
		    "another nightly with the configuration %s is running; this one did nothing",
		    cli->file.path);
	free(path);
	return r;
}

/* --- pings --- */

static void ping(struct cli *cli, const char *url, enum ping_event event, const char *body)
{
	struct err err = {0};

	if (url && ping_send(url, cli->file.config.ping.timeout_s, event, body, &err))
		out_warning(&cli->out, "%s", err.text);
}

/* The streams that the steps write to, with the end of what they say. */
struct log {
	struct tail tail;
	FILE *results, *errors; /* ours */
	struct out before;
};

static int log_begin(struct log *log, struct out *out, struct err *err)
{
	int r;

	log->before = *out;
	r = tail_open(&log->tail, out->results, &log->results, err);
	if (!r)
		r = tail_open(&log->tail, out->errors, &log->errors, err);
	if (r)
		return r;
	out->results = log->results;
	out->errors = log->errors;
	return 0;
}

static void log_end(struct log *log, struct out *out)
{
	if (log->results && fclose(log->results) != 0 && !out->write_errno)
		out->write_errno = errno ? errno : EIO;
	if (log->errors)
		(void)fclose(log->errors);
	out->results = log->before.results;
	out->errors = log->before.errors;
}

static void ping_end(struct cli *cli, struct log *log, const struct night *night, const char *url)
{
	struct err err = {0};
	char *text = NULL;

	if (!url)
		return;
	(void)fflush(cli->out.results);
	if (tail_text(&log->tail, url, &text, &err))
		out_warning(&cli->out, "%s", err.text);
	ping(cli, url, night_is_well(night) ? PING_SUCCESS : PING_FAIL, text ? text : "");
	free(text);
}

/* --- the whole --- */

/* False: it failed, which is said. */
static bool write_metrics(struct night *night)
{
	const char *path = night->config->metrics_textfile;
	struct err err = {0};

	if (!path || night->dry_run || metrics_write(night, path, &err) == 0)
		return true;
	out_error(&night->cli->out, "metrics", path, err.text);
	night_fail(night, EXIT_FAILED);
	return false;
}

/* The last hooks find the night written down, for those who ask or fetch it; and then they are a part of it. */
static void finish(struct night *night)
{
	bool written, again;

	night_keep(night);
	written = write_metrics(night);
	again = night_run_last_hooks(night);
	if (again || !written)
		night_keep(night);
	if (again && written)
		(void)write_metrics(night);
}

/* "exit code 20: damage was found; and 3: a source could not be read" */
static void say_codes(struct out *out, const struct exit_codes *codes)
{
	enum exit_code all[EXIT_CODES];
	size_t count = exit_list(codes, all), used = 0;
	char text[1024] = "";

	for (size_t i = 0; i < count && used < sizeof(text); i++) {
		int n = snprintf(text + used, sizeof(text) - used, "%s%d: %s",
				 i ? "; and " : "exit code ", (int)all[i], exit_text(all[i]));

		used += n > 0 ? (size_t)n : 0;
	}
	if (count)
		out_exit_error(out, all[0], text);
}

static void run(struct cli *cli, struct night *night, struct log *log, const char *url)
{
	if (!night->dry_run)
		ping(cli, url, PING_START, "");
	night_run(night);
	finish(night);
	night_report(night);
	say_codes(&cli->out, &night->codes);
	if (!night->dry_run)
		ping_end(cli, log, night, url);
}

static int need_config(struct cli *cli, struct err *err)
{
	int r = command_config(cli, err);

	if (r || cli->file.path)
		return r;
	return err_set(
	    err, ERR_USAGE,
	    "'nightly' needs a configuration file: use --config FILE or NIGHTJAR_CONFIG; "
	    "'nightjar help config' prints one to begin with");
}

/*
 * A url that is none, or is open to others, is an error of the configuration. A file that is not there tonight is no reason to
 * make no backup: who waits for the ping will ask.
 */
static int find_ping(struct cli *cli, char **out_url, struct err *err)
{
	struct err why = {0};
	int r = ping_url(&cli->file.config.ping, out_url, &why);

	if (r == -ERR_USAGE || r == -ERR_NOMEM) {
		*err = why;
		return r;
	}
	if (r)
		out_warning(&cli->out, "no ping is sent: %s", why.text);
	return 0;
}

enum exit_code cmd_nightly(struct cli *cli, const void *options, int count, char **operands)
{
	const struct nightly_words *w = options;
	struct night night = {0};
	struct log *log = calloc(1, sizeof(*log));
	struct err err = {0};
	char *url = NULL;
	int fd = -1, r = log ? need_config(cli, &err) : err_nomem(&err);

	(void)count;
	(void)operands;
	if (!r && !w->dry_run)
		r = lock(cli, &fd, &err);
	if (!r)
		r = find_ping(cli, &url, &err);
	if (!r)
		r = log_begin(log, &cli->out, &err);
	if (!r)
		r = night_begin(&night, cli, w->dry_run, &err);
	if (!r)
		run(cli, &night, log, url);
	cli->codes.seen |= night.codes.seen;
	if (log && (log->results || log->errors))
		log_end(log, &cli->out);
	if (fd >= 0)
		(void)close(fd);
	night_free(&night);
	free(url);
	free(log);
	return r ? command_fail(cli, &err) : EXIT_OK;
}
