/* The promises of repo/store.h over SFTP: a real sshd, OpenSSH's server with and without extensions, and a poor one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/net.h"
#include "repo/store_net.h"
#include "tests/support/must.h"
#include "tests/support/sshd.h"
#include "tests/support/store_suite.h"
#include "tests/support/tmpdir.h"

#define DENIED "-P posix-rename,hardlink,fsync,statvfs"

static struct net net = {.stall_s = 20};

static void open_sftp(struct store_fixture *f)
{
	char location[4096];

	f->dir = tmpdir_make();
	(void)snprintf(location, sizeof(location), "sftp:target:%s/repo", f->dir);
	MUST(store_open(location, &net, &f->store, &f->err), &f->err);
}

/* The suite with this command for ssh; without one it is a skip. Frees command. */
static int suite(const char *name, char *command)
{
	const struct store_backend backend = {name, open_sftp};
	int failed;

	if (!command) {
		(void)printf("1..1\nok 1 - %s # SKIP not installed\n", name);
		return 0;
	}
	net.ssh_command = command;
	failed = store_suite_run(&backend);
	free(command);
	return failed;
}

int main(void)
{
	char *dir = tmpdir_make();
	bool there = sshd_start(dir, "");
	int failed = 0;

	failed += suite("sftp over sshd", there ? sshd_command(dir) : NULL);
	failed += suite("sftp-server", sshd_sftp_server(""));
	failed += suite("a poor server", sshd_fake("plain"));
	failed += suite("sftp-server without extensions", sshd_sftp_server(DENIED));
	if (there)
		sshd_stop(dir);
	tmpdir_remove(dir);
	return failed != 0;
}
