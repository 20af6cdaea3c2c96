/*
 * sftp_ssh: the system's ssh as a child process, and the bytes to and from the SFTP server behind it.
 *
 * Without a command of the user's own it is
 *
 *   ssh -x -a -oBatchMode=yes -oClearAllForwardings=yes -oPermitLocalCommand=no -oServerAliveInterval=N
 *       -oServerAliveCountMax=3 [-p PORT] [-l USER] -s HOST sftp
 *
 * so that ~/.ssh/config, agents and known_hosts count. A command (net->ssh_command) is taken as git takes
 * GIT_SSH_COMMAND: the shell runs `COMMAND [-p PORT] [-l USER] -s HOST sftp`, whose input and output must be the
 * SFTP server's. ssh gets a session of its own: it has no terminal to ask at, and Ctrl-C reaches us alone. It dies with
 * the thread that started it. What it says on stderr is kept for the error text, nothing of it is shown else.
 *
 * Errors, each with the last line of ssh and what to try: ERR_AGAIN when the connection breaks, stalls, or cannot be had
 * now; ERR_DENIED when the server wants another key; ERR_IO for what will not pass by itself (host key, unknown host, no
 * ssh); ERR_CANCELLED. After any error the connection is of no more use. One thread.
 */
#ifndef NIGHTJAR_REPO_SFTP_SSH_H
#define NIGHTJAR_REPO_SFTP_SSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "repo/net.h"
#include "repo/sftp_where.h"

struct sftp_ssh;

/* Both must outlive it; net may be NULL. Does not wait for the connection. */
int sftp_ssh_start(const struct sftp_where *where, const struct net *net, struct sftp_ssh **out_ssh,
		   struct err *err) ERR_UNUSED_WARN;
/* orderly: it may end by itself, within two seconds. Else, and after that, it is killed. NULL is fine. */
void sftp_ssh_stop(struct sftp_ssh *ssh, bool orderly);

/*
 * Waits until something moves: some of out to the server (*sent is raised by it), or up to room bytes from it (*got
 * is set, room > 0).
 */
int sftp_ssh_move(struct sftp_ssh *ssh, struct span out, size_t *sent, uint8_t *in, size_t room,
		  size_t *got, struct err *err) ERR_UNUSED_WARN;

/* From now on nobody is asked whether to go on, and two seconds are left: for the last requests and their answers. */
void sftp_ssh_parting(struct sftp_ssh *ssh);

/* The server has answered as one: from now on an end is a broken connection, not a refused one. */
void sftp_ssh_greeted(struct sftp_ssh *ssh);

#endif
