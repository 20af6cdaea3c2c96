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
 * A put looks first whether the object is there, because rclone replaces unless it is told --append-only, and afterwards
 * whether it is there with its size, because what was answered is not always done. Two puts of
 * `config` within a second may both pass that look: so put(config) waits, reads it back, and says ERR_EXISTS when
 * another's is there. What is in a durable place when is the server's affair.
 * What an append-only server refuses is ERR_DENIED.
 */
int store_rest_open(const char *location, const struct net *net, struct store **out_store,
		    struct err *err) ERR_UNUSED_WARN;

/*
 * `sftp:…`, as repo/sftp_where.h reads it, over the system's ssh (repo/sftp_ssh.h): one connection, everything pipelined.
 *
 * A put writes `.tmp-<hex>` beside the object, has it synced (fsync@openssh.com), compares its size, and gives it its name
 * in a way that never replaces: for `config` by hardlink@openssh.com where there is one, for the others by RENAME, which the
 * protocol forbids to replace; then by hardlink, and for names that are hashes by posix-rename. A server that has neither
 * extension and whose RENAME replaces is no safe place for two `init` at once; for all else it is.
 *
 * What survives a power loss: with OpenSSH, everything that was answered: it syncs files, and folders as well, which it opens
 * like files. A server without fsync@openssh.com syncs when it likes; one that opens no folders may lose the newest names.
 *
 * Objects get mode 0400, folders 0700. ERR_DENIED where the server forbids something. A full disk is told from other
 * failures by statvfs@openssh.com. What a killed put leaves is a `.tmp-<hex>`, which nothing here reads or removes.
 * Round trips: put 3, get 2, get_range 1 (2 the first time; 64 packs stay open), size 1, list 2 to 5, remove 2.
 */
int store_sftp_open(const char *location, const struct net *net, struct store **out_store,
		    struct err *err) ERR_UNUSED_WARN;

/*
 * A bucket of an S3 server, or a prefix in one: repo/s3_location.h has the forms, repo/s3_credentials.h where the keys
 * come from. Create makes the bucket when it is missing. What was put is looked for, as with rest:. That put never replaces rests on a look before: of two
 * writers of one name at the same moment the last may win, which is harmless where names are hashes; config is put
 * with If-None-Match, and where that is not Amazon's, read back a second later. now is the server's Date header. A listing of a bucket that does
 * not exist is ERR_MISSING, rather than empty.
 */
int store_s3_open(const char *location, const struct net *net, struct store **out_store,
		  struct err *err) ERR_UNUSED_WARN;

#endif
