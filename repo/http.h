/*
 * http: requests over libcurl, as the s3 and rest stores and the pings need them. One struct http is one connection
 * that is kept open between requests; one thread uses it at a time, distinct ones are independent.
 *
 * What it promises: TLS certificates and host names are verified; no redirect is followed, to wherever (a 3xx is an
 * answer as any other); only http and https are spoken; a body is never longer than the caller allows, nor a header
 * block longer than HTTP_MAX_HEADERS; a transfer that moves less than 1 KiB in stall_s ends (waits for its own pace
 * do not count); paces and counts of struct net are kept; user and password are never in an error text, nor is the
 * path or the query of a URL. Proxies are those of the usual variables (https_proxy, no_proxy), as libcurl reads them.
 * Error texts do not name the object: the caller prefixes.
 * libcurl is loaded by the first http_new. Built without it, http_new says ERR_USAGE.
 */
#ifndef NIGHTJAR_REPO_HTTP_H
#define NIGHTJAR_REPO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/httphead.h"
#include "repo/net.h"

#define HTTP_MAX_HEADERS (64 << 10) /* bytes of all header lines of one answer */

struct http;

struct http_request {
	const char *method; /* "GET", "HEAD", "PUT", "POST", "DELETE" */
	const char *url;    /* absolute, encoded, without user and password; sent as it is */
	/*
	 * "Name: value", NULL at the end; may be NULL. Host, User-Agent, Accept, Content-Length and of a POST without
	 * Content-Type that of bytes are added; Expect is not.
	 */
	const char *const *headers;
	const char *user, *password; /* basic authentication; user NULL for none */
	const void *body;            /* PUT and POST; not owned; NULL when body_len is 0 */
	size_t body_len;
	/* Of the answer's body, when it is a 2xx; longer is ERR_LIMIT. Others are read to 256 KiB and dropped. */
	size_t max_bytes;
	/*
	 * Where the slices of a 2xx body go instead of out; NULL: to out. Nonzero ends the transfer, and http_send returns
	 * it. It must not send.
	 */
	int (*take)(void *arg, const void *bytes, size_t len, struct err *err);
	void *take_arg;
	const char *
	    want_header; /* one more header of the answer that the caller wants to see; NULL for none */
};

struct http_answer {
	long status;
	bool has_length;
	uint64_t length_bytes; /* Content-Length, of HEAD too */
	int wait_s;            /* Retry-After in seconds, at most an hour; 0 without */
	struct httphead head;
	char content_type[128]; /* cut */
	/* Of a status that is no 2xx: the start of the body, printable characters only. */
	char error_text[1024];
};

/* net may be NULL and must outlive the connection. */
int http_new(const struct net *net, struct http **out_http, struct err *err) ERR_UNUSED_WARN;
void http_free(struct http *http); /* NULL is fine */

/*
 * Sends and waits. 0 whenever a whole answer came, whatever its status; of a 2xx the body is appended to out (NULL:
 * dropped), of others nothing is. ERR_AGAIN for all that may pass: no connection, reset, stall, fewer bytes than
 * Content-Length said, an answer that does not say where it ends. ERR_IO for what will not (a certificate that does
 * not verify, an answer that is no HTTP). ERR_LIMIT, ERR_CANCELLED. A failed call leaves what out held before.
 */
int http_send(struct http *http, const struct http_request *request, struct http_answer *answer,
	      struct buf *out, struct err *err) ERR_UNUSED_WARN;

/*
 * The error that a status means, when it is none that the caller knows: "<what>: the server answered 503 (…)".
 * 404 and 410 ERR_MISSING; 401 and 403 ERR_DENIED; 408, 425, 429, 500, 502, 503, 504 ERR_AGAIN with wait_s; 507 and 413
 * ERR_FULL; others ERR_IO.
 */
int http_status_error(const struct http_answer *answer, const char *what, struct err *err);

#endif
