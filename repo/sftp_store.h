/*
 * sftp_store: what the parts of the sftp store (store_net.h) share; nobody else includes this.
 *
 * Every call follows one pattern: sftp_begin connects where there is no connection; requests are asked; sftp_wait waits for
 * them. After an error of sftp_wait the connection is gone, and with it all handles.
 */
#ifndef NIGHTJAR_REPO_SFTP_STORE_H
#define NIGHTJAR_REPO_SFTP_STORE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "repo/sftp_link.h"
#include "repo/store.h"

#define SFTP_WINDOW 64u         /* slices on their way at a time */
#define SFTP_SLICE_BYTES 32768u /* what every server takes */
#define SFTP_KEPT_OPEN 64       /* as the local store */
#define SFTP_TEMP_PREFIX ".tmp-"
#define SFTP_TEMP_DIGITS 16

/* A pack that parts were read of, and soon others will be. */
struct sftp_kept {
	struct id name;
	uint64_t bytes, used;
	size_t handle_len;
	uint8_t handle[LIMIT_SFTP_HANDLE_BYTES];
};

/* How a file gets its name. */
enum sftp_way { SFTP_BY_RENAME, SFTP_BY_LINK, SFTP_BY_POSIX_RENAME };
#define SFTP_WAYS 3

struct sftp_store {
	struct store base;
	struct sftp_where where;
	const struct net *net;
	struct sftp_link *link; /* NULL: not connected */
	const char *temp;       /* a file that goes when the call is interrupted; NULL: none */
	struct sftp_kept kept[SFTP_KEPT_OPEN];
	size_t kept_count;
	uint64_t clock;
	bool forbidden[SFTP_WAYS]; /* this server does not do that */
	bool settled
	    [STORE_TYPES]
	    [256]; /* folders that this process has made durable: [type][first byte of a data name] */
};

/* An object, or a folder: on the server, and for messages. */
struct sftp_path {
	char there[PATH_MAX];
	const struct sftp_store *store;
	char below[STORE_PATH_CHARS]; /* the repository */
};

void sftp_path_object(const struct sftp_store *s, enum store_type type, const struct id *name,
		      struct sftp_path *out);
/* below: "", "data", "data/3f", … */
void sftp_path_folder(const struct sftp_store *s, const char *below, struct sftp_path *out);
/* The folder of a path's last component. */
void sftp_path_parent(const struct sftp_path *path, char out[PATH_MAX]);

/* In these the error names the path. */
int sftp_begin(struct sftp_store *s, const struct sftp_path *path, struct err *err) ERR_UNUSED_WARN;
int sftp_wait(struct sftp_store *s, unsigned most, const struct sftp_path *path,
	      struct err *err) ERR_UNUSED_WARN;
/* Ends the connection. orderly as in sftp_link_free. */
void sftp_drop(struct sftp_store *s, bool orderly);

/* The error of a result that is not OK: ERR_MISSING, ERR_DENIED, ERR_AGAIN, else ERR_IO. doing: "read", "write", … */
int sftp_refused(const struct sftp_path *path, const char *doing, const struct sftp_result *result,
		 struct err *err);
/* ERR_DAMAGED for a link, folder or device; ERR_IO when the server does not tell the size. */
int sftp_object_attrs(const struct sftp_path *path, const struct sftp_result *lstat,
		      struct err *err) ERR_UNUSED_WARN;

/* Folders opened to be synced, where the server can do that. */
struct sftp_folders {
	size_t count;
	struct sftp_result opened[3], synced[3];
};
void sftp_folders_open(struct sftp_store *s, const char *path, struct sftp_folders *f);
/* Asks; the result is in synced after a wait. */
void sftp_folders_sync(struct sftp_store *s, struct sftp_folders *f);
int sftp_folders_check(const struct sftp_folders *f, const struct sftp_path *path,
		       struct err *err) ERR_UNUSED_WARN;
void sftp_folders_close(struct sftp_store *s, const struct sftp_folders *f);

/* .tmp-<random hex> in the folder. */
void sftp_temp_path(const char *folder, char out[PATH_MAX]);
/* A REMOVE whose answer nobody needs. */
void sftp_forget_file(struct sftp_store *s, const char *path);

/* Closes the pack if it is kept open. */
void sftp_kept_drop(struct sftp_store *s, const struct id *name);

/* Every entry of a folder but "." and "..": attrs as of lstat. It must not use the store. */
typedef int sftp_entry_fn(void *arg, struct span name, const struct sftp_attrs *attrs,
			  struct err *err);
/* ERR_MISSING when there is no such folder. */
int sftp_each_entry(struct sftp_store *s, const struct sftp_path *folder, sftp_entry_fn *fn,
		    void *arg, struct err *err) ERR_UNUSED_WARN;

/* Every entry of the folders data/00 … data/ff, as above; a folder that is missing has none. */
typedef int sftp_pack_entry_fn(void *arg, uint8_t first_byte, struct span name,
			       const struct sftp_attrs *attrs, struct err *err);
int sftp_each_pack_entry(struct sftp_store *s, sftp_pack_entry_fn *fn, void *arg,
			 struct err *err) ERR_UNUSED_WARN;

/* The calls of struct store_ops that have a file of their own. */
int sftp_store_put(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		   size_t len, struct err *err) ERR_UNUSED_WARN;
int sftp_store_replace(struct store *s, enum store_type type, const struct id *name,
		       const void *bytes, size_t len, struct err *err) ERR_UNUSED_WARN;
int sftp_store_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		   struct buf *out, struct err *err) ERR_UNUSED_WARN;
int sftp_store_get_range(struct store *s, enum store_type type, const struct id *name,
			 uint64_t offset, size_t len, struct buf *out,
			 struct err *err) ERR_UNUSED_WARN;
int sftp_store_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		    struct err *err) ERR_UNUSED_WARN;
int sftp_store_sweep(struct store *s, int64_t least_age_s, bool dry_run,
		     struct store_leftovers *out, struct err *err) ERR_UNUSED_WARN;

#endif
