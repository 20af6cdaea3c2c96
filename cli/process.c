#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	if (interrupted) {
		/* Pending until this returns, and then fatal. */
		(void)signal(number, SIG_DFL);
		(void)raise(number);
	}
	interrupted = 1;
}

bool process_interrupted(void)
{
	return interrupted != 0;
}

/* Without SA_RESTART: a prompt that waits for a password must notice. */
static int catch_signals(struct err *err)
{
	static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action, old;

	memset(&action, 0, sizeof(action));
	(void)sigemptyset(&action.sa_mask);
	action.sa_handler = SIG_IGN;
	/* A closed pipe and a file size limit come as errors of write, which are told and cleaned up after. */
	if (sigaction(SIGPIPE, &action, NULL) != 0 || sigaction(SIGXFSZ, &action, NULL) != 0)
		return err_sys(err, errno, "cannot ignore SIGPIPE and SIGXFSZ");
	action.sa_handler = on_signal;
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		/* nohup and shells that start jobs in the background mean their SIG_IGN. */
		if (sigaction(caught[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
			continue;
		if (sigaction(caught[i], &action, NULL) != 0)
			return err_sys(err, errno, "cannot catch signal %d", caught[i]);
	}
	return 0;
}

/* Else the first file that is opened takes the number, and a message lands in it. */
static int open_standard_descriptors(struct err *err)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		/* What should go to a stdout that is closed is lost, and must not count as said. */
		if (open("/dev/null", (fd == 1 ? O_RDONLY : O_RDWR) | O_NOCTTY) != fd)
			return err_sys(err, errno, "cannot open /dev/null");
	}
	return 0;
}

int process_start(struct err *err)
{
	const struct rlimit none = {0, 0};

	/* Keys and plaintext are in memory from here on. */
	if (setrlimit(RLIMIT_CORE, &none) != 0)
		return err_sys(err, errno, "cannot turn core dumps off");
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)umask(077);
	if (open_standard_descriptors(err) < 0 || catch_signals(err) < 0)
		return -err->code;
	if (sodium_init() < 0)
		return err_set(err, ERR_IO, "libsodium cannot start: no source of randomness");
	return 0;
}
