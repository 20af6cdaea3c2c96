/* subset: the words of `check --read-data-subset`. One thread. */
#ifndef NIGHTJAR_CLI_SUBSET_H
#define NIGHTJAR_CLI_SUBSET_H

#include "repo/check.h"

/*
 * "2/5": the second of five parts that are everything together; "2.5%" and "500M": so much of the packs, from a random one on. Sets
 * read_data and the part. ERR_USAGE.
 */
int subset_parse(const char *text, struct check_options *options, struct err *err) ERR_UNUSED_WARN;

#endif
