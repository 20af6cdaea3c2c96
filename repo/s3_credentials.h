/*
 * s3_credentials: who we are to an S3 server, found where Amazon's own tools look: AWS_ACCESS_KEY_ID,
 * AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; else the profile AWS_PROFILE (default) of AWS_SHARED_CREDENTIALS_FILE
 * (~/.aws/credentials) and AWS_CONFIG_FILE (~/.aws/config). The whole struct lives in locked memory and is wiped when
 * freed; the secrets are never in an error text. Of a profile only keys that are written down are read: no single
 * sign-on, no assumed role, no command.
 */
#ifndef NIGHTJAR_REPO_S3_CREDENTIALS_H
#define NIGHTJAR_REPO_S3_CREDENTIALS_H

#include "core/err.h"
#include "repo/net.h"

#define S3_KEY_CHARS 1024
#define S3_TOKEN_CHARS 8192
#define S3_REGION_CHARS 64

struct s3_credentials {
	char access_key[S3_KEY_CHARS];
	char secret_key[S3_KEY_CHARS];
	char session_token[S3_TOKEN_CHARS]; /* "" for none */
	char region
	    [S3_REGION_CHARS]; /* AWS_REGION, AWS_DEFAULT_REGION, the profile's; "" for none */
};

/*
 * ERR_USAGE when there are none (one line naming the variables), when one variable of two is set, or the profile is
 * missing or of another kind; ERR_LIMIT; ERR_IO for a file that cannot be read.
 */
int s3_credentials_new(const struct net *net, struct s3_credentials **out_credentials,
		       struct err *err) ERR_UNUSED_WARN;
void s3_credentials_free(struct s3_credentials *credentials); /* NULL is fine */

#endif
