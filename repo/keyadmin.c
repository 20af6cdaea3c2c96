#include "repo/keyadmin.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* An init that lost a race leaves its slot beside ours: it opens nothing here. */
static bool is_own_slot(const struct repo *repo, const struct buf *bytes)
{
	return header_type(bytes->data, bytes->len) == OBJECT_KEYSLOT &&
	       bytes->len >= HEADER_BYTES + REPO_ID_BYTES &&
	       memcmp(bytes->data + HEADER_BYTES, repo->conf.repo, REPO_ID_BYTES) == 0;
}

/* Reads one object of keys/; 1 when it is no key slot of this repository, or removed meanwhile. */
static int get_slot(struct repo *repo, const struct id *name, struct buf *bytes, struct err *err)
{
	struct err why = {0};
	int r;

	buf_reset(bytes);
	r = repo_get(repo, STORE_KEYS, name, LIMIT_KEY_OBJECT_BYTES, bytes, &why);
	if (!r)
		return is_own_slot(repo, bytes) ? 0 : 1;
	if (r == -ERR_DAMAGED || r == -ERR_LIMIT || r == -ERR_MISSING)
		return 1;
	*err = why;
	return r;
}

int keyadmin_list(struct repo *repo, struct keyadmin_slot **out_slots, size_t *out_count,
		  struct err *err)
{
	struct keyadmin_slot *slots = NULL;
	struct id *names = NULL;
	struct buf bytes = {0};
	size_t count = 0, kept = 0;
	int r = keys_allow(repo->keys, POWER_OWN, "key list", err);

	if (!r)
		r = repo_list(repo->store, STORE_KEYS, &names, NULL, &count, err);
	if (!r) {
		slots = calloc(count ? count : 1, sizeof(*slots));
		r = slots ? 0 : err_nomem(err);
	}
	for (size_t i = 0; !r && i < count; i++) {
		struct err why = {0};

		r = get_slot(repo, &names[i], &bytes, err);
		if (!r) {
			slots[kept].name = names[i];
			slots[kept].damaged =
			    keyslot_label_get(bytes.data, bytes.len, repo->conf.repo,
					      repo->keys->master, &slots[kept].label, &why) != 0;
			kept++;
		}
		r = r > 0 ? 0 : r;
	}
	buf_free(&bytes);
	free(names);
	if (r) {
		free(slots);
		return r;
	}
	*out_slots = slots;
	*out_count = kept;
	return 0;
}

int keyadmin_add(struct repo *repo, const void *password, size_t password_len,
		 const struct kdf_cost *cost, const struct keyslot_label *label,
		 struct id *out_name, struct err *err)
{
	struct buf slot = {0};
	int r = keys_allow(repo->keys, POWER_OWN, "key add", err);

	if (!r)
		r = keyslot_enc(repo->conf.repo, repo->keys->master, password, password_len, cost,
				label, &slot, err);
	if (!r)
		r = repo_put(repo, STORE_KEYS, &slot, out_name, err);
	buf_free(&slot);
	return r;
}

static bool prefix_fits(const struct id *name, const char *prefix)
{
	char hex[ID_HEX_CHARS + 1];

	id_hex(name, hex);
	return strncmp(hex, prefix, strlen(prefix)) == 0;
}

int keyadmin_remove(struct repo *repo, const char *prefix, bool last_too, struct id *out_name,
		    struct err *err)
{
	struct keyadmin_slot *slots = NULL;
	size_t count = 0, found = 0, left = 0;
	int r = keys_allow(repo->keys, POWER_OWN, "key remove", err);

	if (r)
		return r;
	if (strlen(prefix) < 4)
		return err_set(err, ERR_USAGE, "'%s': at least 4 digits of a key id", prefix);
	r = keyadmin_list(repo, &slots, &count, err);
	for (size_t i = 0; !r && i < count; i++) {
		if (prefix_fits(&slots[i].name, prefix)) {
			*out_name = slots[i].name;
			found++;
		} else if (!slots[i].damaged) {
			left++;
		}
	}
	free(slots);
	if (r)
		return r;
	if (found == 0)
		return err_set(err, ERR_MISSING, "there is no key whose id begins with %s", prefix);
	if (found > 1)
		return err_set(err, ERR_USAGE, "%s names several keys; give more digits", prefix);
	if (left == 0 && !last_too)
		return err_set(err, ERR_USAGE,
			       "%s is the only password of this repository; add another one first",
			       prefix);
	return store_remove(repo->store, STORE_KEYS, out_name, err);
}

/* 1 when it does not, be it because it is damaged or asks for too much. */
static int try_slot(struct repo *repo, const struct id *name, const void *password,
		    size_t password_len, struct buf *bytes, struct err *err)
{
	struct err why = {0};
	uint8_t master[32];
	int r = get_slot(repo, name, bytes, err);

	if (r)
		return r;
	r = keyslot_open(bytes->data, bytes->len, repo->conf.repo, password, password_len, master,
			 &why);
	sodium_memzero(master, sizeof(master));
	if (r != -ERR_NOMEM && r != -ERR_IO)
		return r ? 1 : 0;
	*err = why;
	return r;
}

int keyadmin_find(struct repo *repo, const void *password, size_t password_len,
		  struct id **out_names, size_t *out_count, struct err *err)
{
	struct id *names = NULL;
	struct buf bytes = {0};
	size_t count = 0, found = 0;
	int r = repo_list(repo->store, STORE_KEYS, &names, NULL, &count, err);

	for (size_t i = 0; r >= 0 && i < count; i++) {
		r = try_slot(repo, &names[i], password, password_len, &bytes, err);
		if (!r)
			names[found++] = names[i];
	}
	buf_free(&bytes);
	if (r >= 0 && !found)
		r = err_set(err, ERR_KEY, "no key slot is opened by this password");
	if (r < 0) {
		free(names);
		return r;
	}
	*out_names = names;
	*out_count = found;
	return 0;
}
