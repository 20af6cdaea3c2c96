#include "repo/cachekey.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "core/buf.h"
#include "core/sha256.h"

int cachekey_root(const struct cache_owner *owner, const char *sort, struct id *out_root,
		  struct err *err)
{
	struct buf b = {0};
	int r;

	buf_put(&b, sort, strlen(sort));
	buf_put(&b, owner->repo, REPO_ID_BYTES);
	buf_put_u64(&b, geteuid());
	buf_put_str32(&b, owner->host, strlen(owner->host));
	for (size_t i = 0; i < owner->source_count; i++)
		buf_put_str32(&b, owner->sources[i], strlen(owner->sources[i]));
	r = buf_check(&b, err);
	if (!r)
		r = hmac256_of(owner->secret, &(struct hmac_part){b.data, b.len}, 1, out_root, err);
	buf_free(&b);
	return r;
}

int cachekey_derive(const struct id *root, const char *what, struct id *out_key, struct err *err)
{
	return hmac256_of(root->b, &(struct hmac_part){what, strlen(what)}, 1, out_key, err);
}

int cachekey_folder(const struct cache_owner *owner, char **out_folder, struct err *err)
{
	char repo[2 * REPO_ID_BYTES + 1];

	(void)sodium_bin2hex(repo, sizeof(repo), owner->repo, REPO_ID_BYTES);
	if (asprintf(out_folder, "%s/%s", owner->cache_dir, repo) >= 0)
		return 0;
	*out_folder = NULL;
	return err_nomem(err);
}

int cachekey_file(const char *folder, const struct id *root, const char *head, const char *tail,
		  char **out_path, struct err *err)
{
	char name[ID_HEX_CHARS + 1];
	struct id group;
	int r = cachekey_derive(root, "name", &group, err);

	*out_path = NULL;
	if (r)
		return r;
	id_hex(&group, name);
	if (asprintf(out_path, "%s/%s%.16s%s", folder, head, name, tail) >= 0)
		return 0;
	*out_path = NULL;
	return err_nomem(err);
}
