#include "repo/curllib.h"

#ifdef HAVE_LIBCURL

#include <dlfcn.h>
#include <string.h>
#include <threads.h>

static once_flag once = ONCE_FLAG_INIT;
static struct curllib lib;
static const char *missing; /* why there is none */

/* Through memcpy: C knows no way from a pointer to an object to one to a function. */
static void find(void *so, const char *name, void *out_call)
{
	void *at = dlsym(so, name);

	if (at)
		memcpy(out_call, &at, sizeof(at));
	else
		missing = name;
}

#define FIND(name) find(so, "curl_" #name, &lib.name);

static void load(void)
{
	void *so = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	if (!so)
		so = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!so) {
		missing = "libcurl.so.4";
		return;
	}
	CURLLIB_CALLS(FIND)
	if (!missing && lib.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		missing = "curl_global_init";
}

int curllib_get(const struct curllib **out_lib, struct err *err)
{
	call_once(&once, load);
	if (missing)
		return err_set(err, ERR_USAGE,
			       "%s cannot be loaded: install libcurl (Debian: libcurl4)", missing);
	*out_lib = &lib;
	return 0;
}

#endif
