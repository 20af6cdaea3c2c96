#include "tests/support/sftp_box.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/store_net.h"
#include "tests/support/must.h"
#include "tests/support/sshd.h"
#include "tests/support/tmpdir.h"

static char *server;

const char *sftp_box_sshd(void)
{
	return server;
}

struct id sftp_box_id(unsigned first, unsigned rest)
{
	struct id id;

	memset(id.b, (int)rest, sizeof(id.b));
	id.b[0] = (uint8_t)first;
	return id;
}

void sftp_box_reopen(struct sftp_box *b, const char *host)
{
	char location[4096];

	store_free(b->store);
	b->store = NULL;
	b->net.ssh_command = b->command;
	(void)snprintf(location, sizeof(location), "sftp:%s:%s", host, b->root);
	MUST(store_sftp_open(location, &b->net, &b->store, &b->err), &b->err);
}

/* A repository's folders, by this command; skips without one. */
void sftp_box_open(struct sftp_box *b, char *command)
{
	*b = (struct sftp_box){.dir = tmpdir_make(), .command = command, .net = {.stall_s = 20}};
	b->net.counts = &b->counts;
	b->root = tmpdir_path(b->dir, "repo");
	if (!command) {
		free(b->root);
		tmpdir_remove(b->dir);
		skip();
	}
	b->big = malloc(SFTP_BOX_BIG);
	for (size_t i = 0; i < SFTP_BOX_BIG; i++)
		b->big[i] = (uint8_t)(i * 2654435761u >> 13);
	sftp_box_reopen(b, "target");
	MUST(store_create(b->store, &b->err), &b->err);
	MUST(store_local_open(b->root, &b->local, &b->err), &b->err);
}

void sftp_box_close(struct sftp_box *b)
{
	store_free(b->store);
	store_free(b->local);
	buf_free(&b->buf);
	free(b->big);
	free(b->command);
	free(b->root);
	tmpdir_remove(b->dir);
}

char *sftp_box_over_ssh(void)
{
	return server ? sshd_command(server) : NULL;
}

int sftp_box_see(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	struct sftp_box_seen *s = arg;

	(void)name;
	(void)err;
	s->names++;
	s->bytes += size_bytes;
	return 0;
}

int sftp_box_start_sshd(void **state)
{
	char *dir = tmpdir_make();

	(void)state;
	if (sshd_start(dir, ""))
		server = dir;
	else
		tmpdir_remove(dir);
	return 0;
}

int sftp_box_stop_sshd(void **state)
{
	(void)state;
	if (server)
		sshd_stop(server);
	tmpdir_remove(server);
	return 0;
}
