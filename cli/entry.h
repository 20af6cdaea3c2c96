/* entry: an entry of a backup as `ls` and `find` show it. One thread. */
#ifndef NIGHTJAR_CLI_ENTRY_H
#define NIGHTJAR_CLI_ENTRY_H

#include "cli/out.h"
#include "core/node.h"

/* Its members, into the object that j has open. */
void entry_json(struct json *j, const char *path, const struct entry *e);
/* A line: the path, in the long form behind mode, owner, size and time. */
void entry_line(struct out *out, const char *path, const struct entry *e, bool long_form);

#endif
