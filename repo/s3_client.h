/*
 * s3_client: signed requests to one bucket, and what its refusals mean. It signs by the region and the clock of this
 * machine, and corrects either once when the server says that it is wrong. One thread.
 */
#ifndef NIGHTJAR_REPO_S3_CLIENT_H
#define NIGHTJAR_REPO_S3_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/s3list.h"
#include "core/sigv4.h"
#include "repo/http.h"
#include "repo/s3_location.h"

struct s3_client;

struct s3_request {
	const char *method;
	const char *key;                /* below the prefix; NULL = the bucket */
	const struct sigv4_pair *query; /* ascending */
	size_t query_count;
	const void *body;
	size_t body_len;
	const char *range;         /* "bytes=0-9"; NULL = the whole */
	const char *storage_class; /* NULL: not said */
	bool if_none_match;        /* put only where nothing is */
	size_t max_bytes;          /* of the answer */
};

struct s3_answer {
	struct http_answer http;
	struct s3list_error error; /* of a status that is no 2xx; "" where it did not say */
};

/* Errors as s3_location_parse and s3_credentials_new. net may be NULL and must outlive it. */
int s3_client_new(const char *location, const struct net *net, struct s3_client **out_client,
		  struct err *err) ERR_UNUSED_WARN;
void s3_client_free(struct s3_client *client); /* NULL is fine */
const struct s3_location *s3_client_location(const struct s3_client *client);
const char *s3_client_region(const struct s3_client *client);

/*
 * Sends and waits; 0 whenever an answer came. A HEAD that is refused is asked again as a GET, because only a GET's
 * answer has a body that says why; its status is then the HEAD's own. Errors as http_send. A failed call and an answer
 * that is no 2xx leave what out held before.
 */
int s3_client_send(struct s3_client *client, const struct s3_request *request,
		   struct s3_answer *out_answer, struct buf *out, struct err *err) ERR_UNUSED_WARN;

/*
 * The error that an answer means: "<what>: the server refuses it (AccessDenied: …); <what to do>". 404 ERR_MISSING, 412
 * ERR_EXISTS, 403 ERR_DENIED, SlowDown and others that may pass ERR_AGAIN, a quota ERR_FULL, the rest ERR_IO.
 */
int s3_client_error(const struct s3_client *client, const struct s3_answer *answer,
		    const char *what, struct err *err);

#endif
