/*
 * curllib: libcurl, loaded when it is first used. Linking it would start OpenSSL, nghttp2 and some twenty other
 * libraries with every command, and most speak to no server.
 *
 * Only repo/http.c includes this. Threads: any may call curllib_get.
 */
#ifndef NIGHTJAR_REPO_CURLLIB_H
#define NIGHTJAR_REPO_CURLLIB_H

#ifdef HAVE_LIBCURL

#include <curl/curl.h>

#include "core/err.h"

/* The calls that are used, by their names without "curl_". */
#define CURLLIB_CALLS(X)                                                                           \
	X(global_init)                                                                             \
	X(easy_init)                                                                               \
	X(easy_reset)                                                                              \
	X(easy_setopt)                                                                             \
	X(easy_perform)                                                                            \
	X(easy_getinfo)                                                                            \
	X(easy_strerror)                                                                           \
	X(easy_cleanup)                                                                            \
	X(slist_append)                                                                            \
	X(slist_free_all)

#define CURLLIB_MEMBER(name) __typeof__(&(curl_##name)) name;

struct curllib {
	CURLLIB_CALLS(CURLLIB_MEMBER)
};

/* The same table for everybody, for as long as the process lives. ERR_USAGE when there is no usable libcurl. */
int curllib_get(const struct curllib **out_lib, struct err *err) ERR_UNUSED_WARN;

#endif
#endif
