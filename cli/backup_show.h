/*
 * backup_show: what `backup` says of its databases. One thread.
 */
#ifndef NIGHTJAR_CLI_BACKUP_SHOW_H
#define NIGHTJAR_CLI_BACKUP_SHOW_H

#include "cli/command.h"
#include "repo/backup.h"

/* "2 databases of 1.203 GiB: 3,412 of 12,000,000 cells new or changed, stored in 1.400 MiB, 1/880 of a plain copy"; nothing without one. */
void backup_show_databases(struct cli *cli, uint64_t databases, const struct backup_result *res);

#endif
