/*
 * link_server: what several connections lead to: a store in a folder, with naps, gates and faults that all of them share.
 * Any thread may use a connection of its own, and set what is atomic here.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_LINK_SERVER_H
#define NIGHTJAR_TESTS_SUPPORT_LINK_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "repo/net.h"
#include "repo/store.h"

struct link_server {
	char *dir, *path;   /* the caller's folder, and the store in it */
	atomic_uint opened; /* connections so far */
	atomic_uint puts;   /* that were tried */
	atomic_uint at_once, most_at_once;
	atomic_uint naps_ms;  /* a put or a get takes so long */
	atomic_uint gets;     /* that were tried */
	atomic_uint fail_put; /* the put of this number fails, from 1 */
	atomic_uint cut_put;  /* and from this one on all do; 0 = none */
	atomic_int fail_code; /* ERR_FULL at first */
	atomic_bool hang;     /* puts wait until they are stopped */
	atomic_bool no_connection;
};

struct link_server *link_server_new(char *dir);
void link_server_free(void *server); /* the folder is the caller's */

/* A store_connect_fn whose arg is a server. */
int link_connect(void *arg, const struct net *net, struct store **out_store, struct err *err);

#endif
