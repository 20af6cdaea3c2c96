/*
 * session: a repository opened as the options say, and what most commands need of it. One thread.
 */
#ifndef NIGHTJAR_CLI_SESSION_H
#define NIGHTJAR_CLI_SESSION_H

#include "cli/command.h"
#include "repo/manifests.h"
#include "repo/reader.h"

struct session {
	struct repo *repo;
	struct manifest_list manifests;
	struct index *index;
	struct reader *reader;
};

/*
 * Opens the repository with the key file, or the password from where the options say. New packs have the parity that the configuration
 * file says for it.
 */
int session_open(struct cli *cli, struct session *out_session, struct err *err) ERR_UNUSED_WARN;
/* The same past the cache of this host, for whoever verifies what the repository has. */
int session_open_direct(struct cli *cli, struct session *out_session,
			struct err *err) ERR_UNUSED_WARN;
/* Is no key and no password said, by options, variables or the configuration file? Then some commands do what needs none. */
bool session_is_keyless(struct cli *cli);
/* The store of the repository, for what needs no key, past the cache. store_free. ERR_NOREPO. */
int session_open_store(struct cli *cli, struct store **out_store, struct err *err) ERR_UNUSED_WARN;
/* And its manifests. A damaged one is said. */
int session_open_manifests(struct cli *cli, struct session *out_session,
			   struct err *err) ERR_UNUSED_WARN;
/* The second repository, as resolved options say, and its manifests. */
int session_open_from(struct cli *cli, const struct options_from *from, struct session *out_session,
		      struct err *err) ERR_UNUSED_WARN;
/*
 * And the index with a reader, for `what`, a command that reads: ERR_KEY where the key's role does not. NULL: the caller asks what the
 * key may. A damaged segment is said as a warning: its chunks may be found another way.
 */
int session_open_reader(struct cli *cli, const char *what, struct session *out_session,
			struct err *err) ERR_UNUSED_WARN;
/* The manifests of one that session_open opened; it stays open when that fails. */
int session_load_manifests(struct cli *cli, struct session *s, struct err *err) ERR_UNUSED_WARN;
/* session_open_reader after session_open_direct. */
int session_open_reader_direct(struct cli *cli, const char *what, struct session *out_session,
			       struct err *err) ERR_UNUSED_WARN;
void session_close(struct session *s); /* {0} is fine */

/*
 * 1 when a repository is there, 0 when none is. ERR_NOREPO when none can be: a file is in the way, or config is
 * missing where backups are. ERR_MISSING when not even the place is there (a bucket), which `init` makes.
 */
int session_probe(struct store *store, struct err *err) ERR_UNUSED_WARN;

/*
 * manifests_find over the session's. Where manifests could not be read, "latest" may have been one of them: that is
 * EXIT_FAILED even when an older one is found.
 */
int session_find(struct cli *cli, const struct session *s, const char *spec, const char *host,
		 const struct manifest_item **out_item, const char **out_sub,
		 struct err *err) ERR_UNUSED_WARN;

/* The password as options say; a warning when its file is open to others and taken all the same. */
struct secret;
int session_password(struct cli *cli, bool is_new, struct secret *out_secret,
		     struct err *err) ERR_UNUSED_WARN;

/* Who and where: the label of a new key slot. */
struct keyslot_label;
void session_label(struct keyslot_label *out_label);

/* This machine's name, as manifests carry it. ERR_USAGE when it has none: --host says one. */
int session_host(const char *option, char out_host[256], struct err *err) ERR_UNUSED_WARN;

#endif
