#include "cli/forget_show.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/manifest_json.h"
#include "cli/text.h"

#define NS_PER_S 1000000000
#define REASONS_CHARS 512

/* --- reasons --- */

static const struct {
	uint32_t bit;
	const char *text;
} reason_words[] = {
    {RETENTION_KEPT(RETENTION_LAST), "last snapshot"},
    {RETENTION_KEPT(RETENTION_HOURLY), "hourly snapshot"},
    {RETENTION_KEPT(RETENTION_DAILY), "daily snapshot"},
    {RETENTION_KEPT(RETENTION_WEEKLY), "weekly snapshot"},
    {RETENTION_KEPT(RETENTION_MONTHLY), "monthly snapshot"},
    {RETENTION_KEPT(RETENTION_YEARLY), "yearly snapshot"},
    {RETENTION_WITHIN(RETENTION_LAST), "within"},
    {RETENTION_WITHIN(RETENTION_HOURLY), "hourly within"},
    {RETENTION_WITHIN(RETENTION_DAILY), "daily within"},
    {RETENTION_WITHIN(RETENTION_WEEKLY), "weekly within"},
    {RETENTION_WITHIN(RETENTION_MONTHLY), "monthly within"},
    {RETENTION_WITHIN(RETENTION_YEARLY), "yearly within"},
    {RETENTION_TAGGED, "has tags"},
    {RETENTION_NEWEST, "newest"},
    {RETENTION_CLEAN, "last that passed its checks"},
    {RETENTION_YOUNG, "younger than min-age"},
    {RETENTION_FUTURE, "its time is still to come"},
};
#define REASON_WORDS (sizeof(reason_words) / sizeof(reason_words[0]))

/* The newest is nearly always the last clean one, too, which goes without saying. */
static bool is_said(uint32_t reasons, size_t word)
{
	uint32_t bit = reason_words[word].bit;

	return (reasons & bit) && !(bit == RETENTION_CLEAN && (reasons & RETENTION_NEWEST));
}

static void join_reasons(const struct forget_backup *b, char out[REASONS_CHARS])
{
	size_t used = 0;

	(void)snprintf(out, REASONS_CHARS, "%s",
		       b->reasons   ? ""
		       : b->retired ? "an earlier forget was interrupted"
				    : "");
	for (size_t i = 0; i < REASON_WORDS; i++) {
		if (!is_said(b->reasons, i) || used >= REASONS_CHARS)
			continue;
		(void)snprintf(out + used, REASONS_CHARS - used, "%s%s", used ? ", " : "",
			       reason_words[i].text);
		used += strlen(out + used);
	}
}

/* --- for people --- */

struct table {
	struct out *out;
	bool as_notes;
};

static void __attribute__((format(printf, 2, 3))) row(const struct table *t, const char *fmt, ...)
{
	char line[10000];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (t->as_notes)
		out_note(t->out, "%s", line);
	else
		out_line(t->out, "%s", line);
}

static void join_texts(char *const *texts, size_t count, char *out, size_t out_size)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < count && used + 8 < out_size; i++) {
		used += (size_t)snprintf(out + used, out_size - used, "%s", i ? ", " : "");
		used += text_printable(texts[i], out + used, out_size - used);
	}
}

/* "host app1, paths /srv/app", what of it makes the group. */
static void name_group(const struct manifest *m, unsigned by, char *out, size_t out_size)
{
	char hex[ID_HEX_CHARS + 1], text[3000];
	size_t used = 0;

	out[0] = '\0';
	if (!m->has_read && by) {
		id_hex(&m->group, hex);
		(void)snprintf(out, out_size, "group %.*s", ID_SHORT_CHARS, hex);
		return;
	}
	if (by & FORGET_BY_HOST) {
		(void)text_printable(m->host, text, sizeof(text));
		used += (size_t)snprintf(out, out_size, "host %s", text);
	}
	if (by & FORGET_BY_PATHS) {
		join_texts(m->sources, m->source_count, text, sizeof(text));
		used += (size_t)snprintf(out + used, out_size - used, "%spaths %s",
					 used ? ", " : "", text);
	}
	if (by & FORGET_BY_TAGS) {
		join_texts(m->tags, m->tag_count, text, sizeof(text));
		(void)snprintf(out + used, out_size - used, "%stags %s", used ? ", " : "",
			       *text ? text : "(none)");
	}
	if (!by)
		(void)snprintf(out, out_size, "all backups");
}

static void print_part(const struct table *t, const struct forget_backup *backups, size_t count,
		       bool kept)
{
	char hex[ID_HEX_CHARS + 1], time[TEXT_TIME_CHARS], reasons[REASONS_CHARS];
	char host[1024], paths[3000], tags[512], writer_hex[ID_HEX_CHARS + 1];
	struct id writer;

	for (size_t i = 0; i < count; i++) {
		const struct manifest *m = &backups[i].item->m;

		if ((backups[i].reasons != 0) != kept)
			continue;
		id_hex(&backups[i].item->name, hex);
		text_time_local(m->time_ns / NS_PER_S, time);
		join_reasons(&backups[i], reasons);
		if (!m->has_read) {
			memcpy(writer.b, m->writer, sizeof(writer.b));
			id_hex(&writer, writer_hex);
			row(t, "%.*s  %-19s  %.*s  %s", ID_SHORT_CHARS, hex, time, ID_SHORT_CHARS,
			    writer_hex, reasons);
			continue;
		}
		(void)text_printable(m->host, host, sizeof(host));
		join_texts(m->sources, m->source_count, paths, sizeof(paths));
		join_texts(m->tags, m->tag_count, tags, sizeof(tags));
		row(t, "%.*s  %-19s  %-12s  %-10s  %-24s  %s", ID_SHORT_CHARS, hex, time, host,
		    tags, reasons, paths);
	}
}

static void print_group(const struct table *t, const struct forget_backup *backups,
			const struct forget_group *g, unsigned by)
{
	const size_t counts[] = {g->removed, g->count - g->removed};
	char name[10000];

	name_group(&backups[g->first].item->m, by, name, sizeof(name));
	row(t, "%s:", name);
	for (int kept = 1; kept >= 0; kept--) {
		if (counts[kept] == 0)
			continue;
		row(t, "%s %zu manifest%s:", kept ? "keep" : "remove", counts[kept],
		    text_plural(counts[kept]));
		if (backups[g->first].item->m.has_read)
			row(t, "%-8s  %-19s  %-12s  %-10s  %-24s  %s", "ID", "Time", "Host", "Tags",
			    kept ? "Reasons" : "", "Paths");
		else
			row(t, "%-8s  %-19s  %-8s  %s", "ID", "Time", "Writer",
			    kept ? "Reasons" : "");
		print_part(t, backups + g->first, g->count, kept != 0);
	}
}

void forget_show_tables(struct out *out, const struct forget_plan *plan, unsigned group_by,
			bool as_notes)
{
	const struct table t = {out, as_notes};

	for (size_t i = 0; i < plan->group_count; i++)
		print_group(&t, plan->backups, &plan->groups[i], group_by);
}

/* --- JSON --- */

static void json_part(struct json *j, const char *key, const struct forget_backup *backups,
		      size_t count, bool kept)
{
	json_array(j, key);
	for (size_t i = 0; i < count; i++) {
		if ((backups[i].reasons != 0) != kept)
			continue;
		json_object(j, NULL);
		manifest_json_put(j, backups[i].item);
		json_close(j);
	}
	json_close(j);
}

static void json_reasons(struct json *j, const struct forget_backup *backups, size_t count)
{
	json_array(j, "reasons");
	for (size_t i = 0; i < count; i++) {
		if (!backups[i].reasons)
			continue;
		json_object(j, NULL);
		json_object(j, "snapshot");
		manifest_json_put(j, backups[i].item);
		json_close(j);
		json_array(j, "matches");
		for (size_t k = 0; k < REASON_WORDS; k++)
			if (is_said(backups[i].reasons, k))
				json_str(j, NULL, reason_words[k].text);
		json_close(j);
		json_close(j);
	}
	json_close(j);
}

/* As restic: what does not make the group is null or empty; what the key cannot read is not there. */
static void json_group(struct json *j, const struct manifest *m, unsigned by)
{
	char hex[ID_HEX_CHARS + 1];

	if (m->has_read && (by & FORGET_BY_TAGS))
		manifest_json_texts(j, "tags", m->tags, m->tag_count);
	else if (m->has_read)
		json_null(j, "tags");
	if (m->has_read)
		json_str(j, "host", by & FORGET_BY_HOST ? m->host : "");
	if (m->has_read && (by & FORGET_BY_PATHS))
		manifest_json_texts(j, "paths", m->sources, m->source_count);
	else if (m->has_read)
		json_null(j, "paths");
	if (by == (FORGET_BY_HOST | FORGET_BY_PATHS)) {
		id_hex(&m->group, hex);
		json_str(j, "group", hex);
	}
}

void forget_show_json(struct out *out, const struct forget_plan *plan, unsigned group_by)
{
	struct json j = {0};

	json_array(&j, NULL);
	for (size_t i = 0; i < plan->group_count; i++) {
		const struct forget_group *g = &plan->groups[i];
		const struct forget_backup *backups = plan->backups + g->first;

		json_object(&j, NULL);
		json_group(&j, &backups->item->m, group_by);
		json_part(&j, "keep", backups, g->count, true);
		json_part(&j, "remove", backups, g->count, false);
		json_reasons(&j, backups, g->count);
		json_close(&j);
	}
	json_close(&j);
	out_json(out, &j);
	json_free(&j);
}
