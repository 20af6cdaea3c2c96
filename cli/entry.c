#include "cli/entry.h"

#include <string.h>

#include "cli/text.h"

static const char *type_name(uint8_t type)
{
	static const char *const names[] = {"",     "file",   "dir",     "symlink",
					    "fifo", "socket", "chardev", "dev"};

	return names[type <= ENTRY_BLOCK ? type : 0];
}

static void mode_text(const struct entry *e, char out[11])
{
	static const char types[] = "?-dlpscb";
	static const char bits[] = "rwxrwxrwx";

	out[0] = types[e->type <= ENTRY_BLOCK ? e->type : 0];
	for (unsigned i = 0; i < 9; i++)
		out[i + 1] = e->mode >> (8 - i) & 1 ? bits[i] : '-';
	if (e->mode & 04000)
		out[3] = e->mode & 0100 ? 's' : 'S';
	if (e->mode & 02000)
		out[6] = e->mode & 010 ? 's' : 'S';
	if (e->mode & 01000)
		out[9] = e->mode & 01 ? 't' : 'T';
	out[10] = '\0';
}

void entry_json(struct json *j, const char *path, const struct entry *e)
{
	char time[TEXT_TIME_CHARS], mode[11];

	mode_text(e, mode);
	text_time_json(e->mtime_s, e->mtime_ns, time);
	json_bytes(j, "name", e->name.p, e->name.len);
	json_str(j, "type", type_name(e->type));
	json_str(j, "path", path);
	json_u64(j, "uid", e->uid);
	json_u64(j, "gid", e->gid);
	json_bytes(j, "user", e->user.p, e->user.len);
	json_bytes(j, "group", e->group.p, e->group.len);
	if (e->type == ENTRY_FILE)
		json_u64(j, "size", e->size);
	json_u64(j, "mode", e->mode);
	json_str(j, "permissions", mode);
	json_str(j, "mtime", time);
	json_bool(j, "database", entry_is_database(e));
	if (e->type == ENTRY_SYMLINK)
		json_bytes(j, "linktarget", e->target.p, e->target.len);
}

void entry_line(struct out *out, const char *path, const struct entry *e, bool long_form)
{
	char shown[4096], target[1024] = "", mode[11], time[TEXT_TIME_CHARS];

	(void)text_printable(path, shown, sizeof(shown));
	if (!long_form) {
		out_line(out, "%s", shown);
		return;
	}
	if (e->type == ENTRY_SYMLINK && e->target.len < sizeof(target)) {
		char raw[1024];

		memcpy(raw, e->target.p, e->target.len);
		raw[e->target.len] = '\0';
		(void)text_printable(raw, target, sizeof(target));
	}
	mode_text(e, mode);
	text_time_local(e->mtime_s, time);
	out_line(out, "%s %6u %6u %12llu %s %s%s%s", mode, e->uid, e->gid,
		 (unsigned long long)(e->type == ENTRY_FILE ? e->size : 0), time, shown,
		 *target ? " -> " : "", target);
}
