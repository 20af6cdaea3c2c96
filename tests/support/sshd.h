/*
 * sshd: an SSH server of the test's own, by tests/tools/sshd.sh, and OpenSSH's SFTP server without one. Anything but a server
 * that is not installed aborts the test.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_SSHD_H
#define NIGHTJAR_TESTS_SUPPORT_SSHD_H

#include <stdbool.h>

/* Starts one in dir, with lines of sshd_config ("" for none). False where sshd is missing. */
bool sshd_start(const char *dir, const char *option);
void sshd_stop(const char *dir);
/* "ssh -F dir/ssh_config", for net->ssh_command; the host is "target". To be freed. */
char *sshd_command(const char *dir);

/*
 * A command that is OpenSSH's sftp-server itself with these arguments, whatever the host. NULL where it is not installed. To be
 * freed.
 */
char *sshd_sftp_server(const char *args);

/* A command that is tests/tools/sftpd.py MODE. NULL without python3. To be freed. */
char *sshd_fake(const char *mode);

/* The command, but its process leaves its id in the file. Frees command. To be freed. */
char *sshd_with_pid(char *command, const char *file);

#endif
