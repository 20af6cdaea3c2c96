#include "tests/support/sshd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/spawn.h"
#include "tests/support/tmpdir.h"

#define SCRIPT "tests/tools/sshd.sh"

static char *__attribute__((format(printf, 1, 2))) made(const char *form, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, form);
	if (vasprintf(&text, form, ap) < 0)
		abort();
	va_end(ap);
	return text;
}

static int run(const char *dir, const char *action, const char *option)
{
	char *log = tmpdir_path(dir, "start.log");
	int status =
	    *option ? SPAWN(log, SCRIPT, action, dir, option) : SPAWN(log, SCRIPT, action, dir);

	if (status != 0 && status != 77) {
		spawn_show(log);
		abort();
	}
	free(log);
	return status;
}

bool sshd_start(const char *dir, const char *option)
{
	return run(dir, "start", option) == 0;
}

void sshd_stop(const char *dir)
{
	(void)run(dir, "stop", "");
}

char *sshd_command(const char *dir)
{
	return made("ssh -F %s/ssh_config", dir);
}

char *sshd_sftp_server(const char *args)
{
	static const char *const places[] = {
	    "/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server",
	    "/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], X_OK) == 0)
			return made("sh -c 'exec %s %s'", places[i], args);
	return NULL;
}

char *sshd_fake(const char *mode)
{
	if (system("command -v python3 >/dev/null") != 0)
		return NULL;
	return made("python3 tests/tools/sftpd.py %s", mode);
}

char *sshd_with_pid(char *command, const char *file)
{
	char *text = made("echo $$ >%s; exec %s", file, command);

	free(command);
	return text;
}
