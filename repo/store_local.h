/* store_local: what store_local.c has in files of their own. Internal to it. */
#ifndef NIGHTJAR_REPO_STORE_LOCAL_H
#define NIGHTJAR_REPO_STORE_LOCAL_H

#include "repo/store.h"

/* As list of struct store_ops, below the folder root, whose path leaves room for STORE_PATH_CHARS. Not for config. */
int store_local_list(const char *root, enum store_type type, store_list_fn *fn, void *arg,
		     struct err *err) ERR_UNUSED_WARN;

#endif
