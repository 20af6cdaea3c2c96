#include "repo/keyexport.h"

#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "core/keyfile.h"
#include "repo/durable.h"

/* Two exports at the same moment take the same number, and both see it. */
#define DOMAIN_TRIES 8

/* --- a writer --- */

/* One above all; a domain stays its writer's for good, also of a revoked one. */
static int fresh_domain(const struct roster *roster, uint32_t *out_domain, struct err *err)
{
	uint32_t domain = 1;

	for (size_t i = 0; i < roster->writer_count; i++) {
		if (roster->writers[i].domain >= domain)
			domain = roster->writers[i].domain + 1;
	}
	if (domain >= LIMIT_KEY_DOMAINS)
		return err_set(err, ERR_LIMIT,
			       "there are %u domains already, and a read key holds no more",
			       LIMIT_KEY_DOMAINS);
	*out_domain = domain;
	return 0;
}

static bool is_alone(const struct roster *roster, const struct roster_writer *w)
{
	for (size_t i = 0; i < roster->writer_count; i++) {
		const struct roster_writer *other = &roster->writers[i];

		if (other->domain == w->domain && memcmp(other->pub, w->pub, sizeof(w->pub)) != 0)
			return false;
	}
	return true;
}

static int publish_writer(struct repo *repo, const struct roster_writer *w, struct err *err)
{
	struct roster next = {0};
	int r = roster_merge(&next, &repo->roster, err);

	if (!r)
		r = roster_add_writer(&next, w, err);
	if (!r)
		r = repo_publish_roster(repo, &next, err);
	roster_free(&next);
	return r;
}

/*
 * The domain is known to be nobody else's only once it was published and the rosters were read again: of two who take the same number at once
 * at least one sees the other's, and takes another.
 */
static int take_own_domain(struct repo *repo, struct roster_writer *w, struct err *err)
{
	int r = 0;

	for (int i = 0; !r && i < DOMAIN_TRIES; i++) {
		w->version++;
		r = fresh_domain(&repo->roster, &w->domain, err);
		if (!r)
			r = publish_writer(repo, w, err);
		if (!r)
			r = repo_refresh_roster(repo, err);
		if (!r && is_alone(&repo->roster, w))
			return 0;
	}
	return r ? r
		 : err_set(
		       err, ERR_BUSY,
		       "other exports take the same domain again and again; try when none runs");
}

static int new_writer(struct repo *repo, const struct keyexport_options *options,
		      struct keyexport_result *res, struct err *err)
{
	struct roster_writer w = {.first_sequence = 1, .last_sequence = UINT64_MAX};
	int r = keys_random_writer(repo->keys, options->host, 0, err);

	if (r)
		return r;
	memcpy(w.pub, repo->keys->writer_pub, sizeof(w.pub));
	if (options->own_domain) {
		r = take_own_domain(repo, &w, err);
	} else {
		w.version = 1;
		r = publish_writer(repo, &w, err);
	}
	if (!r && !keys_domain(repo->keys, w.domain, err))
		r = -err->code;
	repo->keys->writer_domain = w.domain;
	memcpy(res->writer, w.pub, sizeof(w.pub));
	res->domain = w.domain;
	return r;
}

/* --- the file --- */

/* A read key holds every domain that a writer has, and every epoch: the roster has told the keys of those. */
static int gather_domains(struct repo *repo, struct keyexport_result *res, struct err *err)
{
	int r = repo_refresh_roster(repo, err);

	for (size_t i = 0; !r && i < repo->roster.writer_count; i++) {
		if (!keys_domain(repo->keys, repo->roster.writers[i].domain, err))
			r = -err->code;
	}
	res->domains = repo->keys->domain_count;
	res->epochs = repo->keys->epoch_count;
	return r;
}

static int make_text(struct repo *repo, const struct keyexport_options *options,
		     struct keyexport_result *res, struct buf *out, struct err *err)
{
	int r = 0;

	if (options->role == ROLE_WRITE)
		r = new_writer(repo, options, res, err);
	else if (options->role == ROLE_READ)
		r = gather_domains(repo, res, err);
	return r ? r : keyfile_enc(repo->keys, options->role, out, err);
}

int keyexport_file(struct repo *repo, const struct keyexport_options *options, const char *path,
		   struct keyexport_result *out_result, struct err *err)
{
	struct buf text = {0};
	int r = keys_allow(repo->keys, POWER_OWN, "key export", err);

	*out_result = (struct keyexport_result){0};
	if (!r)
		r = durable_create(path, "", 0, err);
	if (r)
		return r;
	r = make_text(repo, options, out_result, &text, err);
	if (!r)
		r = durable_replace(path, 0600, text.data, text.len, err);
	if (r)
		(void)unlink(path);
	buf_wipe(&text);
	return r;
}

/* --- a new read key --- */

int keyexport_rotate(struct repo *repo, uint32_t *out_epoch, struct err *err)
{
	struct roster next = {0};
	uint8_t secret[32], pub[32];
	uint32_t epoch;
	int r = keys_allow(repo->keys, POWER_OWN, "key rotate", err);

	if (r)
		return r;
	epoch = keys_newest_epoch(repo->keys)->epoch + 1;
	r = keys_epoch_secret(repo->keys, epoch, secret, pub, err);
	sodium_memzero(secret, sizeof(secret));
	if (!r)
		r = roster_merge(&next, &repo->roster, err);
	if (!r)
		r = roster_add_epoch(&next, epoch, pub, err);
	if (!r)
		r = repo_publish_roster(repo, &next, err);
	if (!r)
		r = keys_add_epoch(repo->keys, epoch, pub, err);
	roster_free(&next);
	*out_epoch = epoch;
	return r;
}
