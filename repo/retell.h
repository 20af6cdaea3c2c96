/* retell: a manifest that tells of the same backup as another one: a copy of it, or what could be saved of it. */
#ifndef NIGHTJAR_REPO_RETELL_H
#define NIGHTJAR_REPO_RETELL_H

#include "core/manifest.h"

/*
 * Copies into out, which is fresh or has only its clear part, everything that the reading part says but original, and the sums of
 * the maintenance part. out is to be freed in any case. ERR_NOMEM, ERR_KEY when from was not opened for reading.
 */
int retell(const struct manifest *from, struct manifest *out, struct err *err) ERR_UNUSED_WARN;
/* Adds a tag unless it is there. */
int retell_tag(struct manifest *m, const char *tag, struct err *err) ERR_UNUSED_WARN;

/*
 * Are these the same backup as far as two manifests can tell: host, time, sources, sums and databases? Tags may have
 * changed since.
 */
bool retell_same(const struct manifest *a, const struct manifest *b);
/* The same host and sources. */
bool retell_alike(const struct manifest *a, const struct manifest *b);

#endif
