/*
 * keyadmin: the passwords of a repository: key add, list, remove, passwd. Needs the full role. One thread.
 */
#ifndef NIGHTJAR_REPO_KEYADMIN_H
#define NIGHTJAR_REPO_KEYADMIN_H

#include "repo/repo.h"

struct keyadmin_slot {
	struct id name;
	struct keyslot_label label;
	bool damaged; /* label could not be read; the rest is empty */
};

/* *out_slots: one allocation, free(). Slots of other repositories are left out. */
int keyadmin_list(struct repo *repo, struct keyadmin_slot **out_slots, size_t *out_count,
		  struct err *err) ERR_UNUSED_WARN;
/* Adds a slot for a password; its name is given. */
int keyadmin_add(struct repo *repo, const void *password, size_t password_len,
		 const struct kdf_cost *cost, const struct keyslot_label *label,
		 struct id *out_name, struct err *err) ERR_UNUSED_WARN;
/*
 * Removes the slot whose id begins with prefix (at least 4 digits). ERR_MISSING, ERR_USAGE ambiguous, and ERR_USAGE when
 * no other one with a good label would be left, unless last_too.
 */
int keyadmin_remove(struct repo *repo, const char *prefix, bool last_too, struct id *out_name,
		    struct err *err) ERR_UNUSED_WARN;
/*
 * The slots that a password opens, which are several when it was added more than once: what `key passwd` replaces. *out_names: one
 * allocation, free(). ERR_KEY when there is none.
 */
int keyadmin_find(struct repo *repo, const void *password, size_t password_len,
		  struct id **out_names, size_t *out_count, struct err *err) ERR_UNUSED_WARN;

#endif
