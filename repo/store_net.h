/*
 * store_net: the stores behind a network. Each opens as store_open says, and touches nothing until it is used; net may
 * be NULL and must outlive the store. Other processes may use the same repository at the same time.
 */
#ifndef NIGHTJAR_REPO_STORE_NET_H
#define NIGHTJAR_REPO_STORE_NET_H

#include "repo/net.h"
#include "repo/store.h"

/*
 * A bucket of an S3 server, or a prefix in one: repo/s3_location.h has the forms, repo/s3_credentials.h where the keys
 * come from. Create makes the bucket when it is missing. That put never replaces rests on a look before: of two
 * writers of one name at the same moment the last may win, which is harmless where names are hashes; config is put
 * with If-None-Match, and where that is not Amazon's, read back a second later. now is the server's Date header. A listing of a bucket that does
 * not exist is ERR_MISSING, rather than empty.
 */
int store_s3_open(const char *location, const struct net *net, struct store **out_store,
		  struct err *err) ERR_UNUSED_WARN;

#endif
