/* manifest_json: a backup as JSON, with restic's names (cli/JSON.md "manifests"). One thread. */
#ifndef NIGHTJAR_CLI_MANIFEST_JSON_H
#define NIGHTJAR_CLI_MANIFEST_JSON_H

#include "cli/json.h"
#include "repo/manifests.h"

/* Into an object that is open: id to unreadable; names are null when the key cannot read them. */
void manifest_json_put(struct json *j, const struct manifest_item *item);
/* An array of texts under key. */
void manifest_json_texts(struct json *j, const char *key, char *const *items, size_t count);

#endif
