#include "cli/command.h"

#include <string.h>

static const char backup_detail[] =
    "SQLite databases are recognised by their header wherever they are met and are kept as a\n"
    "consistent snapshot, while the application goes on. PATTERN is a glob as restic's: '*.tmp',\n"
    "'/srv/app/cache', 'logs/**/*.gz'.\n"
    "A file whose size, times and inode are as the last backup of the same paths saw them is not\n"
    "opened; --force reads every file.\n"
    "Exit codes: 0 saved; 3 saved, but a source could not be read; 21 saved, but a database "
    "failed\n"
    "its integrity check; anything else: not saved.";
static const char restore_detail[] =
    "MANIFEST is an id, the first digits of one, or 'latest'; MANIFEST:/sub/path restores only "
    "that.\n"
    "Everything appears under its full path below DIR. Nothing outside DIR is touched.";
static const char find_detail[] =
    "PATTERN is a glob. One without '/' is compared with names, one with '/' with full paths, "
    "where\n"
    "'**' stands for any folders: '*.jpg', '/srv/app/**/a.db'. Finding nothing is no error.";
static const char stats_detail[] =
    "The totals are of all backups. Restore size is what a restore writes; stored new is what the\n"
    "repository keeps that no earlier backup needs. Then each database, night by night: the size\n"
    "of its image; its cells (rows and index entries), and how many of them were new or changed;\n"
    "what that night stored for it, and which part of a plain copy that is. Shown are the last 14\n"
    "backups of each host and paths, or those that are named; with --json all.";
static const char prune_detail[] =
    "Deletes what no backup needs, in two steps, so that backups may run all the time: what is\n"
    "not needed is condemned now, and a prune after the grace deletes it, unless it has come to\n"
    "be needed again. Packs with much in them that is not needed are repacked, without a reading\n"
    "key and without decrypting anything. So the first prune after a 'forget' frees no space.\n"
    "Exit codes: 0 done, or nothing to do; 20 a manifest cannot be read, or something that it\n"
    "needs is lost: it is named, and nothing was deleted; 12 needs a full or maintain key.";
static const char check_detail[] =
    "Without MANIFEST: the whole repository; with: only what those backups rest on. What is\n"
    "found damaged is noted, and the next backup stores it again, as far as the source still\n"
    "has it. A damaged copy of what another copy still gives is told, and is no damage.\n"
    "Exit codes: 0 nothing is lost; 20 something is: each path that it touches is named.";
static const char forget_detail[] =
    "Removes the backups that the policy does not keep, and says so in a signed record. It frees "
    "no\n"
    "space; 'prune' does. Backups of one host and the same paths are one group, and each writer's\n"
    "are judged on their own, in the order in which it made them.\n"
    "--keep-daily 7 keeps one backup of each of the last 7 days that have any: the FIRST of the "
    "day\n"
    "(restic keeps the last), a clean one before one whose databases failed their check. Hours,\n"
    "days, weeks (from Monday), months and years are those of this machine's time zone (TZ).\n"
    "DURATION is such as 2y5m7d3h, and counts back from the newest backup of the group. N may be\n"
    "'unlimited' or -1. Several words keep what any of them keeps; without any it is an error.\n"
    "Never removed: the newest backup of a host and paths, the newest of them whose databases\n"
    "passed their check, and one whose time is still to come. Named backups are removed instead,\n"
    "all or none, but not those that are never removed.\n"
    "Exit codes: 0 done; 2 no policy, or one that cannot be meant: nothing is removed; 12 the key\n"
    "is neither a full nor a maintain key; 20 done, but there are manifests that cannot be read:\n"
    "they stay.";
static const char init_detail[] =
    "With --key-file FILE the key is written to FILE, which must not exist, and there is no "
    "password:\n"
    "best for unattended hosts. Otherwise a password is asked for, or read as the options say.";
static const char copy_detail[] =
    "Makes a consistent copy of a live database (VACUUM INTO), checks it with PRAGMA "
    "integrity_check,\n"
    "and only then gives it its name. An existing DEST is never overwritten.";

static const char cache_detail[] =
    "Caches make backups faster and are never needed: any of them may be removed at any time.\n"
    "What this machine must not forget (its state) is kept elsewhere and never touched.";

const struct command commands[] = {
    {"init", NULL, "make a new repository", "", init_detail, 0, 0, NULL, NULL, cmd_init},
    {"backup", NULL, "back up files, folders and live SQLite databases", "PATH…", backup_detail, 0,
     COMMAND_ANY, cmd_backup_options, &cmd_backup_options_bytes, cmd_backup},
    {"manifests", "snapshots", "list the backups", "", NULL, 0, 0, NULL, NULL, cmd_manifests},
    {"ls", NULL, "list what is in a backup", "MANIFEST[:/sub] [PATH…]", NULL, 1, COMMAND_ANY,
     cmd_ls_options, &cmd_ls_options_bytes, cmd_ls},
    {"find", NULL, "find files by name in the backups", "PATTERN…", find_detail, 1, COMMAND_ANY,
     cmd_find_options, &cmd_find_options_bytes, cmd_find},
    {"dump", NULL, "write one file of a backup to standard output", "MANIFEST:/path", NULL, 1, 2,
     cmd_dump_options, &cmd_dump_options_bytes, cmd_dump},
    {"restore", NULL, "put a backup, or a part of it, into a folder",
     "MANIFEST[:/sub] --target DIR", restore_detail, 1, 1, cmd_restore_options,
     &cmd_restore_options_bytes, cmd_restore},
    {"tag", NULL, "change the tags of backups", "MANIFEST…", NULL, 1, COMMAND_ANY, cmd_tag_options,
     &cmd_tag_options_bytes, cmd_tag},
    {"forget", NULL, "remove old backups by a policy, or by name", "[MANIFEST…]", forget_detail, 0,
     COMMAND_ANY, cmd_forget_options, &cmd_forget_options_bytes, cmd_forget},
    {"stats", NULL, "show what the backups hold and what they take", "[MANIFEST…]", stats_detail, 0,
     COMMAND_ANY, cmd_stats_options, &cmd_stats_options_bytes, cmd_stats},
    {"check", NULL, "look for damage in the repository", "[MANIFEST…]", check_detail, 0,
     COMMAND_ANY, cmd_check_options, &cmd_check_options_bytes, cmd_check},
    {"prune", NULL, "delete what no backup needs", "", prune_detail, 0, 0, cmd_prune_options,
     &cmd_prune_options_bytes, cmd_prune},
    {"key add", NULL, "add a password", "", NULL, 0, 0, cmd_key_options, &cmd_key_options_bytes,
     cmd_key_add},
    {"key list", NULL, "list the passwords' ids", "", NULL, 0, 0, NULL, NULL, cmd_key_list},
    {"key remove", NULL, "remove a password", "ID", NULL, 1, 1, NULL, NULL, cmd_key_remove},
    {"key passwd", NULL, "change the password", "", NULL, 0, 0, cmd_key_options,
     &cmd_key_options_bytes, cmd_key_passwd},
    {"cache", NULL, "list the caches on this machine, or remove old ones", "", cache_detail, 0, 0,
     cmd_cache_options, &cmd_cache_options_bytes, cmd_cache},
    {"db copy", NULL, "copy a live database, verified", "SRC DEST", copy_detail, 2, 2, NULL, NULL,
     cmd_db_copy},
    {"db verify", NULL, "run PRAGMA integrity_check on a database", "FILE", NULL, 1, 1, NULL, NULL,
     cmd_db_verify},
    {"help", NULL, "show help about a command", "[COMMAND]", NULL, 0, 2, NULL, NULL, cmd_help},
    {"version", NULL, "show the version of nightjar and its libraries", "", NULL, 0, 0, NULL, NULL,
     cmd_version},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

/* How many of the words spell name: 0, 1 or 2. */
static int words_of(const char *name, int count, char **words)
{
	const char *space = strchr(name, ' ');
	size_t first = space ? (size_t)(space - name) : strlen(name);

	if (strlen(words[0]) != first || memcmp(words[0], name, first) != 0)
		return 0;
	if (!space)
		return 1;
	return count > 1 && strcmp(words[1], space + 1) == 0 ? 2 : 0;
}

bool commands_is_group(const char *word)
{
	size_t len = strlen(word);

	for (const struct command *c = commands; c->name; c++) {
		if (strncmp(c->name, word, len) == 0 && c->name[len] == ' ')
			return true;
	}
	return false;
}

/* The members of a group, as "add, list, remove". */
static int refuse_group(const char *word, struct err *err)
{
	char members[256] = "";
	size_t len = strlen(word), used = 0;

	for (const struct command *c = commands; c->name; c++) {
		const char *rest = c->name + len + 1;

		if (strncmp(c->name, word, len) != 0 || c->name[len] != ' ')
			continue;
		if (used + strlen(rest) + 3 > sizeof(members))
			break;
		if (used > 0) {
			memcpy(members + used, ", ", 2);
			used += 2;
		}
		memcpy(members + used, rest, strlen(rest) + 1);
		used += strlen(rest);
	}
	return err_set(err, ERR_USAGE, "'%s' needs one of: %s", word, members);
}

const struct command *commands_find(int count, char **words, int *out_words, struct err *err)
{
	for (const struct command *c = commands; c->name; c++) {
		*out_words = words_of(c->name, count, words);
		if (*out_words > 0)
			return c;
		if (c->alias && strcmp(c->alias, words[0]) == 0) {
			*out_words = 1;
			return c;
		}
	}
	if (commands_is_group(words[0]))
		(void)refuse_group(words[0], err);
	else
		(void)err_set(err, ERR_USAGE,
			      "unknown command '%s'; 'nightjar help' lists the commands", words[0]);
	return NULL;
}
