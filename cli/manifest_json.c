#include "cli/manifest_json.h"

#include <string.h>

#include "cli/text.h"

#define NS_PER_S 1000000000

void manifest_json_texts(struct json *j, const char *key, char *const *items, size_t count)
{
	json_array(j, key);
	for (size_t i = 0; i < count; i++)
		json_str(j, NULL, items[i]);
	json_close(j);
}

/* What the key cannot read is left out, rather than told as empty. */
static void put_read(struct json *j, const struct manifest *m)
{
	json_str(j, "hostname", m->host);
	json_str(j, "username", m->user);
	manifest_json_texts(j, "tags", m->tags, m->tag_count);
	manifest_json_texts(j, "paths", m->sources, m->source_count);
	json_str(j, "program_version", m->program);
}

static void put_hex(struct json *j, const char *key, const uint8_t bytes[ID_BYTES])
{
	char hex[ID_HEX_CHARS + 1];
	struct id id;

	memcpy(id.b, bytes, sizeof(id.b));
	id_hex(&id, hex);
	json_str(j, key, hex);
}

void manifest_json_put(struct json *j, const struct manifest_item *item)
{
	const struct manifest *m = &item->m;
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS];

	id_hex(&item->name, hex);
	text_time_json(m->time_ns / NS_PER_S, (uint32_t)(m->time_ns % NS_PER_S), time);
	json_str(j, "id", hex);
	json_bytes(j, "short_id", hex, ID_SHORT_CHARS);
	json_str(j, "time", time);
	if (m->has_read)
		put_read(j, m);
	else if (m->host) /* of its own backups a write key knows it */
		json_str(j, "hostname", m->host);
	json_u64(j, "sequence", m->sequence);
	if (m->has_maint) {
		json_u64(j, "files", m->files);
		json_u64(j, "bytes", m->bytes);
	}
	if (m->has_read)
		json_u64(j, "unreadable", m->unreadable);
	else if (m->has_maint)
		json_bool(j, "incomplete", m->incomplete);
	if (!id_is_zero(&m->original))
		put_hex(j, "original", m->original.b);
	put_hex(j, "writer", m->writer);
	if (m->has_maint)
		put_hex(j, "group", m->group.b);
}
