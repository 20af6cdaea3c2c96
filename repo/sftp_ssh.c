#include "repo/sftp_ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 100 /* how often somebody who waits asks whether to go on */
#define END_MS 2000 /* for what is on its way, and for ssh to say why it ends */
#define LINE 200

struct sftp_ssh {
	const struct sftp_where *where;
	const struct net *net;
	pid_t pid;     /* 0: reaped */
	int status;    /* of waitpid */
	int socket;    /* its stdin and stdout */
	int complaint; /* its stderr; -1: closed */
	bool greeted;
	int64_t gone_at_ms; /* 0: not parting */
	size_t said;
	char tail[4096]; /* the last that it said; what ssh says of a changed host key is a page */
};

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static unsigned stall_s(const struct net *net)
{
	return net && net->stall_s ? net->stall_s : NET_STALL_S;
}

/* --- start --- */

#define MAX_ARGS 20

struct command {
	const char *argv[MAX_ARGS];
	size_t count;
	char alive[48];
};

static void add(struct command *c, const char *arg)
{
	c->argv[c->count++] = arg;
}

/* Three pings must fit into the time after which nothing moving is a stall. */
static void command_fill(struct command *c, const struct sftp_where *where, const struct net *net)
{
	static const char *const fixed[] = {"ssh",
					    "-x",
					    "-a",
					    "-oBatchMode=yes",
					    "-oClearAllForwardings=yes",
					    "-oPermitLocalCommand=no",
					    "-oServerAliveCountMax=3"};
	unsigned every = stall_s(net) / 4;

	if (net && net->ssh_command) {
		/* Its text is the script, and $0 for the shell's own complaints. */
		add(c, "/bin/sh");
		add(c, "-c");
		add(c, NULL); /* filled in by start, which owns the script */
		add(c, "ssh-command");
	} else {
		for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
			add(c, fixed[i]);
		(void)snprintf(c->alive, sizeof(c->alive), "-oServerAliveInterval=%u",
			       every > 0 ? every : 1);
		add(c, c->alive);
	}
	if (where->port[0]) {
		add(c, "-p");
		add(c, where->port);
	}
	if (where->user) {
		add(c, "-l");
		add(c, where->user);
	}
	add(c, "-s");
	add(c, where->host);
	add(c, "sftp");
}

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		_exit(126);
}

/* Between fork and exec of a program with threads: nothing that may take a lock. */
static void __attribute__((noreturn))
become(const struct command *c, int socket, int complaint, pid_t parent)
{
	static const int ours[] = {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP};
	char *argv[MAX_ARGS];
	sigset_t none;

	(void)setsid();
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(126);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		(void)signal(ours[i], SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(socket, STDIN_FILENO) < 0 || dup2(socket, STDOUT_FILENO) < 0 ||
	    dup2(complaint, STDERR_FILENO) < 0)
		_exit(126);
	/* exec promises not to change them. */
	memcpy(argv, c->argv, sizeof(argv));
	(void)execvp(argv[0], argv);
	say("cannot run ");
	say(c->argv[0]);
	say("\n");
	_exit(127);
}

static int start(struct sftp_ssh *ssh, const struct command *c, struct err *err)
{
	int ends[2], pipes[2];
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return err_sys(err, errno, "cannot make a channel to ssh");
	if (pipe2(pipes, O_CLOEXEC) != 0) {
		int failed = errno;

		(void)close(ends[0]);
		(void)close(ends[1]);
		return err_sys(err, failed, "cannot make a pipe to ssh");
	}
	ssh->pid = fork();
	if (ssh->pid == 0)
		become(c, ends[1], pipes[1], parent);
	(void)close(ends[1]);
	(void)close(pipes[1]);
	ssh->socket = ends[0];
	ssh->complaint = pipes[0];
	(void)fcntl(ssh->complaint, F_SETFL, O_NONBLOCK);
	if (ssh->pid > 0)
		return 0;
	ssh->pid = 0;
	return err_sys(err, errno, "cannot start ssh");
}

int sftp_ssh_start(const struct sftp_where *where, const struct net *net, struct sftp_ssh **out_ssh,
		   struct err *err)
{
	struct sftp_ssh *ssh = calloc(1, sizeof(*ssh));
	struct command c = {0};
	char *script = NULL;
	int rc = 0;

	if (!ssh)
		return err_nomem(err);
	*ssh = (struct sftp_ssh){.where = where, .net = net, .socket = -1, .complaint = -1};
	command_fill(&c, where, net);
	if (net && net->ssh_command) {
		if (asprintf(&script, "%s \"$@\"", net->ssh_command) < 0) {
			script = NULL;
			rc = err_nomem(err);
		}
		c.argv[2] = script;
	}
	if (rc == 0)
		rc = start(ssh, &c, err);
	free(script);
	if (rc == 0)
		*out_ssh = ssh;
	else
		sftp_ssh_stop(ssh, false);
	return rc;
}

/* --- end --- */

/* Keeps the end of what ssh says. */
static void listen_to(struct sftp_ssh *ssh)
{
	char more[1024];
	ssize_t n;

	while (ssh->complaint >= 0 && (n = read(ssh->complaint, more, sizeof(more))) != 0) {
		size_t room = sizeof(ssh->tail) - 1 - ssh->said;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		if ((size_t)n > room) {
			size_t drop = (size_t)n - room;

			memmove(ssh->tail, ssh->tail + drop, ssh->said - drop);
			ssh->said -= drop;
		}
		memcpy(ssh->tail + ssh->said, more, (size_t)n);
		ssh->said += (size_t)n;
	}
	if (ssh->complaint >= 0)
		(void)close(ssh->complaint);
	ssh->complaint = -1;
}

/* Waits for its end, and listens. */
static bool ends_within(struct sftp_ssh *ssh, int64_t ms)
{
	const struct timespec step = {0, 5000000};
	int64_t until = now_ms() + ms;

	while (ssh->pid > 0) {
		pid_t pid = waitpid(ssh->pid, &ssh->status, WNOHANG);

		if (pid == ssh->pid || (pid < 0 && errno == ECHILD))
			ssh->pid = 0;
		else if (now_ms() >= until)
			return false;
		else
			(void)nanosleep(&step, NULL);
		listen_to(ssh);
	}
	return true;
}

/* With all that a shell of the user's may have started. */
static void signal_it(const struct sftp_ssh *ssh, int sig)
{
	if (ssh->pid > 0) {
		(void)kill(-ssh->pid, sig);
		(void)kill(ssh->pid, sig);
	}
}

void sftp_ssh_stop(struct sftp_ssh *ssh, bool orderly)
{
	if (!ssh)
		return;
	if (orderly && ssh->socket >= 0)
		(void)shutdown(ssh->socket, SHUT_WR);
	else if (ssh->socket >= 0)
		(void)shutdown(ssh->socket, SHUT_RDWR);
	if (!orderly || !ends_within(ssh, END_MS)) {
		signal_it(ssh, SIGTERM);
		if (!ends_within(ssh, END_MS)) {
			signal_it(ssh, SIGKILL);
			(void)ends_within(ssh, END_MS);
		}
	}
	if (ssh->socket >= 0)
		(void)close(ssh->socket);
	if (ssh->complaint >= 0)
		(void)close(ssh->complaint);
	free(ssh);
}

/* --- why it ended --- */

/* The last line with something in it, printable characters only, cut. */
static void last_line(const struct sftp_ssh *ssh, char out[LINE])
{
	size_t end = ssh->said, start, n = 0;

	while (end > 0 && (unsigned char)ssh->tail[end - 1] <= ' ')
		end--;
	start = end;
	while (start > 0 && ssh->tail[start - 1] != '\n')
		start--;
	for (; start < end && n < LINE - 1; start++)
		if (ssh->tail[start] >= ' ' && ssh->tail[start] < 127)
			out[n++] = ssh->tail[start];
	out[n] = '\0';
}

struct reason {
	const char *said; /* somewhere in what ssh said */
	enum err_code code;
	const char *hint;
};

/* The first that fits. What may pass by itself is tried again by the layer above: that is for the machine, not the hint. */
static const struct reason reasons[] = {
    {"IDENTIFICATION HAS CHANGED", ERR_IO,
     "another machine answers, or it was set up anew: compare its key before known_hosts is "
     "changed"},
    {"Host key verification failed", ERR_IO,
     "its key is not known here: connect once by hand, as this user, and compare the key"},
    {"Too many authentication failures", ERR_DENIED,
     "the agent offers too many keys: name one by IdentityFile and IdentitiesOnly in "
     "~/.ssh/config"},
    {"Permission denied", ERR_DENIED,
     "the server takes no key of this user: see its authorized_keys; a key with a passphrase needs "
     "an agent"},
    {"Temporary failure in name resolution", ERR_AGAIN, "is the network up?"},
    {"Could not resolve hostname", ERR_IO, "check how the host is spelt, and ~/.ssh/config"},
    {"subsystem request failed", ERR_IO,
     "SFTP is switched off there: 'Subsystem sftp internal-sftp' in its sshd_config"},
    {"Bad configuration option", ERR_IO, "see ~/.ssh/config"},
    {"Bad owner or permissions", ERR_IO, "ssh wants that file to be its user's alone"},
    {"Connection refused", ERR_AGAIN, "is the machine up, and is it that port?"},
    {"Connection timed out", ERR_AGAIN, "is the machine up, and no firewall between?"},
    {"No route to host", ERR_AGAIN, "is the machine up?"},
    {"Network is unreachable", ERR_AGAIN, "is the network up?"},
};

/* A shell, or our own child, says so with these two. */
static bool no_program(const struct sftp_ssh *ssh)
{
	return WIFEXITED(ssh->status) &&
	       (WEXITSTATUS(ssh->status) == 127 || WEXITSTATUS(ssh->status) == 126);
}

static struct reason reason_of(const struct sftp_ssh *ssh)
{
	struct reason other = {"", ERR_AGAIN, "the server's own log says why"};

	if (ssh->greeted)
		return (struct reason){"", ERR_AGAIN, "the connection broke"};
	if (no_program(ssh))
		return (struct reason){
		    "", ERR_IO,
		    "a program is missing: the package openssh-client here, the one of "
		    "NIGHTJAR_SSH_COMMAND, or sftp-server there"};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strstr(ssh->tail, reasons[i].said))
			return reasons[i];
	return other;
}

static int ended(struct sftp_ssh *ssh, struct err *err)
{
	struct reason reason;
	char line[LINE];

	/* It may have closed its output only: then it has no more to say to us. */
	if (!ends_within(ssh, END_MS)) {
		signal_it(ssh, SIGTERM);
		(void)ends_within(ssh, END_MS);
	}
	ssh->tail[ssh->said] = '\0';
	reason = reason_of(ssh);
	last_line(ssh, line);
	if (line[0])
		return err_set(err, reason.code, "ssh to %s says \"%s\" (%s)", ssh->where->host,
			       line, reason.hint);
	return err_set(err, reason.code, "ssh to %s ended without a word (%s)", ssh->where->host,
		       reason.hint);
}

/* --- bytes --- */

static bool passing(int failed)
{
	return failed == EAGAIN || failed == EINTR;
}

/* 1: something moved, 0: nothing could, negative: an error. */
static int move_now(struct sftp_ssh *ssh, struct span out, size_t *sent, uint8_t *in, size_t room,
		    size_t *got, short ready, struct err *err)
{
	ssize_t n = -1;
	int moved = 0;

	if (ready & (POLLIN | POLLHUP | POLLERR)) {
		n = recv(ssh->socket, in, room, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && !passing(errno)))
			return ended(ssh, err);
		if (n > 0) {
			*got = (size_t)n;
			moved = 1;
		}
	}
	if (ready & POLLOUT) {
		n = send(ssh->socket, out.p, out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
		/* A server that has gone may have said why: that is read first, by the next call. */
		if (n < 0 && !passing(errno))
			return moved ? moved : ended(ssh, err);
		if (n > 0) {
			*sent += (size_t)n;
			moved = 1;
		}
	}
	return moved;
}

int sftp_ssh_move(struct sftp_ssh *ssh, struct span out, size_t *sent, uint8_t *in, size_t room,
		  size_t *got, struct err *err)
{
	int64_t until =
	    ssh->gone_at_ms ? ssh->gone_at_ms : now_ms() + (int64_t)stall_s(ssh->net) * 1000;
	int rc = 0;

	*got = 0;
	while (rc == 0) {
		struct pollfd fds[2] = {
		    {.fd = ssh->socket, .events = (short)(POLLIN | (out.len > 0 ? POLLOUT : 0))},
		    {.fd = ssh->complaint, .events = POLLIN}};

		if (!ssh->gone_at_ms && net_stopped(ssh->net))
			return err_set(err, ERR_CANCELLED, "interrupted");
		if (poll(fds, 2, LOOK_MS) < 0 && errno != EINTR)
			return err_sys(err, errno, "cannot wait for ssh to %s", ssh->where->host);
		if (fds[1].revents)
			listen_to(ssh);
		if (fds[0].revents)
			rc = move_now(ssh, out, sent, in, room, got, fds[0].revents, err);
		if (rc == 0 && now_ms() >= until)
			return err_set(
			    err, ERR_AGAIN,
			    "%s is silent: nothing moved for %u s; the connection is given up",
			    ssh->where->host, stall_s(ssh->net));
	}
	return rc < 0 ? rc : 0;
}

void sftp_ssh_parting(struct sftp_ssh *ssh)
{
	ssh->gone_at_ms = now_ms() + END_MS;
}

void sftp_ssh_greeted(struct sftp_ssh *ssh)
{
	ssh->greeted = true;
}
