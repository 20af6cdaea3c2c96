/* fuzzkeys: the keys of the targets that seal and open. Of a known master, so that what is found is found again. */
#ifndef NIGHTJAR_FUZZ_FUZZKEYS_H
#define NIGHTJAR_FUZZ_FUZZKEYS_H

#include <stdlib.h>

#include "core/keys.h"

/* Full keys that are the writer of host "h", made once and never freed. */
static inline struct keys *fuzzkeys_full(void)
{
	static const uint8_t master[32] = {1}, repo[REPO_ID_BYTES] = {2};
	static struct keys *keys;
	struct err err = {0};

	if (!keys &&
	    (keys_from_master(repo, master, &keys, &err) || keys_use_host(keys, "h", &err)))
		abort();
	return keys;
}

#endif
