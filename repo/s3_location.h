/*
 * s3_location: "s3:https://host[:port]/bucket/prefix" taken apart, and put together again as URLs. Without a scheme it
 * is https; "s3:http://" is for servers of one's own. Pure.
 */
#ifndef NIGHTJAR_REPO_S3_LOCATION_H
#define NIGHTJAR_REPO_S3_LOCATION_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/err.h"
#include "repo/net.h"

#define S3_HOST_CHARS 256
#define S3_BUCKET_CHARS 64
#define S3_PREFIX_CHARS 512

struct s3_location {
	bool tls;
	bool amazon;              /* a host of Amazon's */
	bool by_host;             /* the bucket is part of the host's name */
	char host[S3_HOST_CHARS]; /* as written, without the scheme's own port */
	char bucket[S3_BUCKET_CHARS];
	char prefix[S3_PREFIX_CHARS]; /* "" or "a/b/", not encoded */
	char region[64];              /* that Amazon's host name says; "" for none */
};

/* ERR_USAGE with one line that does not repeat what may be a password. */
int s3_location_parse(const char *location, enum net_s3_lookup lookup,
		      struct s3_location *out_location, struct err *err) ERR_UNUSED_WARN;

/* What the Host header says, without a NUL. */
void s3_location_put_host(struct buf *out, const struct s3_location *location);
/* The encoded path of a key, which lies below the prefix; NULL = the bucket. */
void s3_location_put_path(struct buf *out, const struct s3_location *location, const char *key);
/* A bucket of Amazon's that lives in another region is at another host. */
void s3_location_move(struct s3_location *location, const char *region);

#endif
