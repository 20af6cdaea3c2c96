/*
 * store_suite: the promises of repo/store.h, one suite, run over every backend and every layer.
 */
#ifndef NIGHTJAR_TESTS_STORE_SUITE_H
#define NIGHTJAR_TESTS_STORE_SUITE_H

#include "repo/store.h"

/* What a backend opens, and what goes after each test: freed and removed by the suite. */
struct store_fixture {
	struct store *store;
	struct store *below; /* of a layer that does not own it; else NULL */
	char *dir;           /* tmpdir_make; else NULL */
	struct buf buf;
	struct err err;
};

struct store_backend {
	const char *name;
	/* Opens a store where no repository is yet; asserts. */
	void (*open)(struct store_fixture *f);
};

/* The number of promises that the backend broke. */
int store_suite_run(const struct store_backend *b);

#endif
