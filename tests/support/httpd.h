/*
 * httpd: a server on 127.0.0.1 that plays a script, for tests of what a client makes of its answers. It is a child
 * process; each request takes the next step of the script, whichever connection it comes on, and the last step again
 * when the script is through. Anything that goes wrong here aborts.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_HTTPD_H
#define NIGHTJAR_TESTS_SUPPORT_HTTPD_H

#include <stddef.h>
#include <sys/types.h>

enum httpd_end {
	HTTPD_KEEP,  /* the connection waits for another request */
	HTTPD_CLOSE, /* a FIN behind the bytes */
	HTTPD_RESET, /* a RST behind them */
	HTTPD_STALL, /* and nothing more, until the client has gone */
	HTTPD_DRIP   /* and 16 bytes a second for ever */
};

struct httpd_step {
	const char *answer; /* all of it, status line included */
	enum httpd_end end;
	size_t then; /* so many bytes 'x' behind the answer */
};

struct httpd {
	pid_t pid;
	unsigned port;
	char *
	    log; /* the file of all that was received, in order; "#N\n" before each connection's first */
};

/* Listens, and starts the child. dir is where the log goes. */
void httpd_start(struct httpd *d, const char *dir, const struct httpd_step *steps, size_t count);
/* Ends it and frees. */
void httpd_stop(struct httpd *d);
/* What the log holds, with a NUL; the caller's to free. */
char *httpd_heard(const struct httpd *d);

#endif
