#include "cli/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/process.h"

#define TICK_MS 100
#define MERCY_MS 10000      /* between SIGTERM and SIGKILL */
#define MERCY_AFTER_MS 2000 /* once the shell itself is gone */
#define VARIABLES 16u
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* some hosts allow no other */
#endif
#define SCRIPT_FD 3 /* in the shell */
#define SCRIPT_PATH "/proc/self/fd/3"

struct hook {
	struct out *out;
	const struct hook_facts *facts;
	pid_t pid;       /* the shell */
	pid_t guard;     /* its id is that of the group */
	int life;        /* what the guard reads from; nobody else has this end */
	int from;        /* its output */
	char line[1024]; /* not told yet */
	size_t line_len;
	size_t told; /* bytes */
	bool cut;
};

/* --- environment --- */

struct environment {
	char *items[VARIABLES + 1];
	size_t count;
	bool failed;
};

static void add(struct environment *e, const char *name, const char *value)
{
	if (!value || !*value || e->failed || e->count == VARIABLES)
		return;
	if (asprintf(&e->items[e->count], "%s=%s", name, value) < 0) {
		e->items[e->count] = NULL;
		e->failed = true;
	} else {
		e->count++;
	}
}

static void environment_fill(struct environment *e, const struct hook_facts *f)
{
	static const char *const passed[] = {"PATH",   "HOME", "USER",  "LANG",
					     "LC_ALL", "TZ",   "TMPDIR"};
	char code[16], alarms[24];

	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
		add(e, passed[i], getenv(passed[i]));
	if (!getenv("PATH"))
		add(e, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	(void)snprintf(code, sizeof(code), "%d", f->exit_code);
	(void)snprintf(alarms, sizeof(alarms), "%llu", (unsigned long long)f->alarms);
	add(e, "NIGHTJAR_EVENT", f->event);
	add(e, "NIGHTJAR_SOURCE", f->source);
	add(e, "NIGHTJAR_MANIFEST_ID", f->manifest);
	add(e, "NIGHTJAR_LOCATION", f->location);
	add(e, "NIGHTJAR_EXIT_CODE", code);
	add(e, "NIGHTJAR_ALARMS", alarms);
}

static void environment_free(struct environment *e)
{
	for (size_t i = 0; i < e->count; i++)
		free(e->items[i]);
}

/* --- start --- */

/* A file without a name: on a command line everybody could read it. */
static int script_file(const char *script, int *out_fd, struct err *err)
{
	/* The shell has opened it by then; what the script starts has no use for it. Line numbers stay. */
	static const char shut[] = "exec 3<&-; ";
	const char *const parts[] = {shut, script, "\n"};
	int fd = memfd_create("nightjar-hook", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* Linux before 6.3 */
		fd = memfd_create("nightjar-hook", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_sys(err, errno, "memfd_create");
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (size_t at = 0, len = strlen(parts[i]); at < len;) {
			ssize_t put = write(fd, parts[i] + at, len - at);

			if (put < 0 && errno == EINTR)
				continue;
			if (put < 0) {
				(void)err_sys(err, errno, "the script in memory");
				(void)close(fd);
				return -err->code;
			}
			at += (size_t)put;
		}
	}
	(void)fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	*out_fd = fd;
	return 0;
}

/* What one of the two is started with. A descriptor of -1 stays closed, or becomes /dev/null. */
struct start {
	char *const *argv, *const *environment;
	int in, out, script;
	pid_t group; /* 0: its own */
	bool guard;
};

static int set_files(posix_spawn_file_actions_t *files, const struct start *s)
{
	int e = s->in < 0 ? posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null",
							     O_RDONLY, 0)
			  : posix_spawn_file_actions_adddup2(files, s->in, STDIN_FILENO);

	for (int fd = STDOUT_FILENO; !e && fd <= STDERR_FILENO; fd++)
		e = s->out < 0
			? posix_spawn_file_actions_addopen(files, fd, "/dev/null", O_WRONLY, 0)
			: posix_spawn_file_actions_adddup2(files, s->out, fd);
	if (!e && s->script >= 0)
		e = posix_spawn_file_actions_adddup2(files, s->script, SCRIPT_FD);
	return e;
}

static void set_signals(posix_spawnattr_t *attributes, const struct start *s)
{
	static const int caught[] = {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP};
	sigset_t defaults, blocked;

	(void)sigemptyset(&defaults);
	(void)sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		(void)sigaddset(&defaults, caught[i]);
		if (s->guard)
			(void)sigaddset(&blocked, caught[i]);
	}
	(void)posix_spawnattr_setsigdefault(attributes, &defaults);
	(void)posix_spawnattr_setsigmask(attributes, &blocked);
	(void)posix_spawnattr_setpgroup(attributes, s->group);
	(void)posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
						       POSIX_SPAWN_SETPGROUP);
}

static int spawn(const struct start *s, pid_t *out_pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int e = posix_spawn_file_actions_init(&files);

	if (e)
		return e;
	e = posix_spawnattr_init(&attributes);
	if (!e) {
		set_signals(&attributes, s);
		e = set_files(&files, s);
		if (!e)
			e = posix_spawn(out_pid, "/bin/sh", &files, &attributes, s->argv,
					s->environment);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return e;
}

/*
 * It leads the group, and outlives us if we are killed: then its standard input ends, and it ends the group, itself at last. The signals
 * that it sends to all are blocked in it.
 */
static int start_guard(struct hook *h, char *const *environment, struct err *err)
{
	static char shell[] = "sh", options[] = "-c", name[] = "nightjar-hook-guard",
		    script[] = "read x; kill -TERM 0; sleep 10; kill -KILL 0"; /* MERCY_MS */
	char *const argv[] = {shell, options, script, name, NULL};
	int ends[2], e;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(err, errno, "a pipe");
	e = spawn(&(struct start){argv, environment, ends[0], -1, -1, 0, true}, &h->guard);
	(void)close(ends[0]);
	h->life = ends[1];
	if (!e)
		return 0;
	(void)close(ends[1]);
	return err_sys(err, e, "/bin/sh");
}

/* What the hook has left running goes on. */
static void dismiss_guard(struct hook *h)
{
	(void)kill(h->guard, SIGKILL);
	while (waitpid(h->guard, NULL, 0) < 0 && errno == EINTR)
		;
	(void)close(h->life);
}

static int start_shell(struct hook *h, const char *script, char *const *environment,
		       struct err *err)
{
	static char shell[] = "sh", options[] = "-e", path[] = SCRIPT_PATH;
	char *const argv[] = {shell, options, path, NULL};
	int ends[2], fd = -1, e, r = script_file(script, &fd, err);

	if (r)
		return r;
	if (pipe2(ends, O_CLOEXEC) != 0) {
		r = err_sys(err, errno, "a pipe");
		(void)close(fd);
		return r;
	}
	e = spawn(&(struct start){argv, environment, -1, ends[1], fd, h->guard, false}, &h->pid);
	(void)close(fd);
	(void)close(ends[1]);
	h->from = ends[0];
	if (e) {
		(void)close(ends[0]);
		return err_sys(err, e, "/bin/sh");
	}
	(void)fcntl(h->from, F_SETFL, O_NONBLOCK);
	return 0;
}

static int start(struct hook *h, const char *script, struct err *err)
{
	struct environment environment = {0};
	int r;

	environment_fill(&environment, h->facts);
	r = environment.failed ? err_nomem(err) : start_guard(h, environment.items, err);
	if (!r) {
		r = start_shell(h, script, environment.items, err);
		if (r)
			dismiss_guard(h);
	}
	environment_free(&environment);
	return r;
}

/* --- output --- */

static void tell(struct hook *h)
{
	struct json j = {0};

	h->line[h->line_len] = '\0';
	h->told += h->line_len + 1;
	if (!h->out->json) {
		out_note(h->out, "  | %s", h->line);
	} else {
		json_object(&j, NULL);
		json_str(&j, "message_type", "hook_output");
		json_str(&j, "event", h->facts->event);
		json_str(&j, "source", h->facts->source);
		json_str(&j, "line", h->line);
		json_close(&j);
		out_json(h->out, &j);
		json_free(&j);
	}
	h->line_len = 0;
}

static void take(struct hook *h, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (h->told >= HOOK_OUTPUT_BYTES) {
			h->cut = true;
			return;
		}
		if (bytes[i] == '\n' || h->line_len + 1 == sizeof(h->line))
			tell(h);
		if (bytes[i] != '\n' && bytes[i])
			h->line[h->line_len++] = bytes[i];
	}
}

/* Waits a tick for output. False at its end. */
static bool listen(struct hook *h, int wait_ms)
{
	struct pollfd from = {.fd = h->from, .events = POLLIN};
	char bytes[4096];
	ssize_t got;

	if (poll(&from, 1, wait_ms) <= 0)
		return true;
	got = read(h->from, bytes, sizeof(bytes));
	if (got > 0)
		take(h, bytes, (size_t)got);
	return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

/* --- end --- */

static int64_t now_ms(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/*
 * Until the shell has ended; what it left running in the background is not waited for. *out_why: ERR_IO it took too long,
 * ERR_CANCELLED.
 */
static int wait_for(struct hook *h, int64_t limit_ms, int *out_why)
{
	int64_t killed_at = 0, until = now_ms() + limit_ms;
	/* What cleans up after an interrupt is not ended by the same one. */
	bool open = true, late = process_interrupted();
	int status = 0;
	pid_t ended;

	*out_why = 0;
	for (;;) {
		if (open)
			open = listen(h, TICK_MS);
		else
			(void)poll(NULL, 0, TICK_MS / 10);
		ended = waitpid(h->pid, &status, WNOHANG);
		if (ended == h->pid || (ended < 0 && errno != EINTR))
			return status;
		if (!*out_why && ((!late && process_interrupted()) || now_ms() >= until)) {
			*out_why = !late && process_interrupted() ? ERR_CANCELLED : ERR_IO;
			killed_at = now_ms();
			(void)kill(-h->guard, SIGTERM);
		} else if (*out_why && now_ms() >= killed_at + MERCY_MS) {
			(void)kill(-h->guard, SIGKILL);
		}
	}
}

/* What the shell that was ended had started got the same signal; it has a moment to obey. */
static void end_group(const struct hook *h)
{
	for (int waited = 0; waited < MERCY_AFTER_MS && kill(-h->guard, 0) == 0; waited += TICK_MS)
		(void)poll(NULL, 0, TICK_MS);
	(void)kill(-h->guard, SIGKILL);
}

static void drain(struct hook *h)
{
	for (unsigned i = 0; i < HOOK_OUTPUT_BYTES / 4096 && listen(h, 0); i++)
		;
	if (h->line_len)
		tell(h);
	if (h->cut)
		out_note(h->out, "  | (more than %u bytes; the rest is not shown)",
			 HOOK_OUTPUT_BYTES);
	(void)close(h->from);
}

static int judge(int status, int why, int64_t limit_s, struct err *err)
{
	if (why == ERR_CANCELLED)
		return err_set(err, ERR_CANCELLED, "interrupted");
	if (why)
		return err_set(err, ERR_IO,
			       "took longer than %lld s and was ended; 'time-limit' gives it more",
			       (long long)limit_s);
	if (WIFSIGNALED(status))
		return err_set(err, ERR_IO, "killed by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return err_set(err, ERR_IO, "exit status %d", WEXITSTATUS(status));
	return 0;
}

int hook_run(struct out *out, const char *script, int64_t limit_s, const struct hook_facts *facts,
	     struct err *err)
{
	struct hook h = {.out = out, .facts = facts};
	int status, why, r;

	if (limit_s == 0)
		limit_s = HOOK_LIMIT_S;
	r = start(&h, script, err);
	if (!r) {
		status = wait_for(&h, limit_s * 1000, &why);
		dismiss_guard(&h);
		if (why)
			end_group(&h);
		drain(&h);
		r = judge(status, why, limit_s, err);
	}
	if (!r)
		return 0;
	return facts->source ? err_prefix(err, "hook '%s' of %s", facts->event, facts->source)
			     : err_prefix(err, "hook '%s'", facts->event);
}
