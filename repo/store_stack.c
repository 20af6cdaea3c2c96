#include "repo/store_stack.h"

#include <stdlib.h>
#include <string.h>

/* Opens connections to one location. */
struct opener {
	char *location;
};

bool store_is_remote(const char *location)
{
	return location[strcspn(location, ":/")] == ':';
}

static int open_retrying(const char *location, const struct net *net, struct store **out_store,
			 struct err *err)
{
	struct store *bare = NULL;
	int r = store_open(location, net, &bare, err);

	if (!r)
		r = store_retry_new(bare, net, NULL, out_store, err);
	if (r)
		store_free(bare);
	return r;
}

static int connect_again(void *arg, const struct net *net, struct store **out_store,
			 struct err *err)
{
	return open_retrying(((struct opener *)arg)->location, net, out_store, err);
}

static void opener_free(void *arg)
{
	struct opener *o = arg;

	free(o->location);
	free(o);
}

/* ssh is one connection that is filled by pipelining; each further one would be a log-in. */
static unsigned connections(const char *location, const struct net *net)
{
	unsigned asked = net ? net->connections : 0;

	if (!asked)
		asked = strncmp(location, "sftp:", 5) == 0 ? 1 : NET_CONNECTIONS;
	return asked < NET_MAX_CONNECTIONS ? asked : NET_MAX_CONNECTIONS;
}

static int add_parallel(const char *location, const struct net *net, struct store **store,
			struct err *err)
{
	struct opener *o = calloc(1, sizeof(*o));
	struct store_parallel_options options = {
	    .connections = connections(location, net),
	    .connect = connect_again,
	    .arg = o,
	    .release = opener_free,
	    .net = net,
	};
	int r;

	if (!o || !(o->location = strdup(location))) {
		free(o);
		return err_nomem(err);
	}
	r = store_parallel_new(*store, &options, store, err);
	if (r)
		opener_free(o);
	return r;
}

static int open_remote(const char *location, const struct net *net, const char *cache_dir,
		       struct store **out_store, struct err *err)
{
	struct store *store = NULL;
	int r = open_retrying(location, net, &store, err);

	if (!r && connections(location, net) > 1)
		r = add_parallel(location, net, &store, err);
	if (!r)
		r = store_packs_new(store, &store, err);
	if (!r && cache_dir)
		r = store_cache_new(store, cache_dir, 0, &store, err);
	if (r)
		store_free(store);
	else
		*out_store = store;
	return r;
}

int store_stack_open(const char *location, const struct net *net, const char *cache_dir,
		     struct store **out_store, struct err *err)
{
	struct store *store = NULL;
	int r;

	if (store_is_remote(location))
		return open_remote(location, net, cache_dir, out_store, err);
	r = store_open(location, net, &store, err);
	if (!r && net && (net->up || net->down))
		r = store_limit_new(store, net, &store, err);
	if (r)
		store_free(store);
	else
		*out_store = store;
	return r;
}
