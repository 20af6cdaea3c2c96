/* pick: which backups a command is about: those that operands name, or all that --host, --tag and --path leave. One thread. */
#ifndef NIGHTJAR_CLI_PICK_H
#define NIGHTJAR_CLI_PICK_H

#include "cli/options.h"
#include "cli/out.h"
#include "repo/manifests.h"

struct pick {
	struct option_list hosts; /* any of them */
	struct option_list tags;  /* "a,b" is both, several are any of them; "" is without tags */
	struct option_list paths; /* all of them */
};

/*
 * *out_wanted: one for each manifest of the list, the caller's to free. Operands go without filters, but for hosts, of which the
 * only one says whose "latest" is meant. ERR_USAGE; ERR_MISSING an operand names no backup; ERR_NOMEM.
 */
int pick_manifests(const struct pick *pick, const struct manifest_list *list, int count,
		   char **operands, bool **out_wanted, struct err *err) ERR_UNUSED_WARN;

/* found: how many backups the filters leave. None is rather a filter mistyped than meant, and is told; not where there are no filters. */
void pick_tell_none(struct out *out, const struct pick *pick, size_t found);

#endif
