#include "tests/support/httpd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/tmpdir.h"

#define SECONDS_MOST 120 /* when a test died without ending it */

struct player {
	const struct httpd_step *steps;
	size_t count, next;
	int log;
};

static void check(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static void put_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);

		if (n <= 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

/* Reads a head and the body that it tells of. 0 when the client has gone. */
static int take_request(int fd, int log)
{
	char head[16384], *end = NULL, *length;
	size_t have = 0, body = 0;

	while (!end) {
		ssize_t n =
		    have + 1 < sizeof(head) ? read(fd, head + have, sizeof(head) - 1 - have) : 0;

		if (n <= 0)
			return 0;
		have += (size_t)n;
		head[have] = '\0';
		end = strstr(head, "\r\n\r\n");
	}
	put_all(log, head, have);
	length = strcasestr(head, "\r\ncontent-length:");
	if (length && length < end)
		body = (size_t)strtoul(length + 17, NULL, 10);
	have -= (size_t)(end + 4 - head);
	while (have < body) {
		ssize_t n = read(fd, head, sizeof(head));

		if (n <= 0)
			return 0;
		put_all(log, head, (size_t)n);
		have += (size_t)n;
	}
	return 1;
}

static void wait_for_end(int fd)
{
	char byte;

	while (read(fd, &byte, 1) > 0)
		continue;
}

/* Does the connection go on? */
static int play(struct player *p, int fd)
{
	const struct httpd_step *step = &p->steps[p->next];
	struct linger linger = {1, 0};
	char some[4096];

	if (p->next + 1 < p->count)
		p->next++;
	put_all(fd, step->answer, strlen(step->answer));
	memset(some, 'x', sizeof(some));
	for (size_t left = step->then; left;) {
		size_t n = left < sizeof(some) ? left : sizeof(some);

		put_all(fd, some, n);
		left -= n;
	}
	if (step->end == HTTPD_STALL)
		wait_for_end(fd);
	while (step->end == HTTPD_DRIP && write(fd, some, 16) == 16)
		(void)sleep(1);
	if (step->end == HTTPD_RESET)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	return step->end == HTTPD_KEEP;
}

static void serve(int listener, struct player *p)
{
	(void)signal(SIGPIPE, SIG_IGN);
	(void)alarm(SECONDS_MOST);
	for (unsigned connections = 1;; connections++) {
		int fd = accept(listener, NULL, NULL);
		char line[16];
		int first = 1;

		check(fd >= 0, "accept");
		(void)snprintf(line, sizeof(line), "#%u\n", connections);
		for (;;) {
			if (first)
				put_all(p->log, line, strlen(line));
			first = 0;
			if (!take_request(fd, p->log) || !play(p, fd))
				break;
		}
		(void)close(fd);
	}
}

void httpd_start(struct httpd *d, const char *dir, const struct httpd_step *steps, size_t count)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct player player = {.steps = steps, .count = count};

	check(listener >= 0, "socket");
	check(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0, "bind");
	check(listen(listener, 16) == 0, "listen");
	check(getsockname(listener, (struct sockaddr *)&at, &len) == 0, "getsockname");
	d->port = ntohs(at.sin_port);
	d->log = tmpdir_path(dir, "heard");
	player.log = open(d->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	check(player.log >= 0, d->log);
	d->pid = fork();
	check(d->pid >= 0, "fork");
	if (d->pid == 0)
		serve(listener, &player);
	(void)close(listener);
	(void)close(player.log);
}

void httpd_stop(struct httpd *d)
{
	(void)kill(d->pid, SIGKILL);
	(void)waitpid(d->pid, NULL, 0);
	free(d->log);
}

char *httpd_heard(const struct httpd *d)
{
	FILE *f = fopen(d->log, "r");
	char *text = calloc(1, 1 << 20);

	check(f && text, d->log);
	(void)!fread(text, 1, (1 << 20) - 1, f);
	(void)fclose(f);
	return text;
}
