/*
 * store_net: the backends behind a network. Each keeps the promises of repo/store.h as far as its server does, and
 * says here where that ends. location is what follows -r, its scheme included; net may be NULL and must outlive the
 * store. Opening sends nothing. ERR_USAGE for a location that cannot be meant, without telling it: it may hold a
 * password. Neither that nor any key is in an error text or in the store's own location.
 */
#ifndef NIGHTJAR_REPO_STORE_NET_H
#define NIGHTJAR_REPO_STORE_NET_H

#include "repo/net.h"
#include "repo/store.h"

/*
 * rest:http(s)://[user[:password]@]host[:port]/path/: restic's REST protocol, version 2, as rest-server and
 * `rclone serve restic` speak it. User and password are net's where the location has none.
 *
 * A put looks first whether the object is there, because rclone replaces unless it is told --append-only. Two puts of
 * `config` within a second may both pass that look: so put(config) waits, reads it back, and says ERR_EXISTS when
 * another's is there. What is in a durable place when is the server's affair.
 * What an append-only server refuses is ERR_DENIED.
 */
int store_rest_open(const char *location, const struct net *net, struct store **out_store,
		    struct err *err) ERR_UNUSED_WARN;

#endif
