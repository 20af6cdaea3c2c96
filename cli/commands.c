#include "cli/command.h"

#include <string.h>

static const char backup_detail[] =
    "SQLite databases are recognised by their header wherever they are met and are kept as a\n"
    "consistent snapshot, while the application goes on. PATTERN is a glob as restic's: '*.tmp',\n"
    "'/srv/app/cache', 'logs/**/*.gz'.\n"
    "A file whose size, times and inode are as the last backup of the same paths saw them is not\n"
    "opened; --force reads every file.\n"
    "--refs: the query is run on the copy of the database whose path ends in DB; it gives the "
    "paths of\n"
    "files, relative ones count from the database's folder, and if it likes their size and "
    "SHA-256.\n"
    "Each must be in the backup: 'app.db: SELECT path, size FROM attachments'. The SHA-256 is\n"
    "compared when a file is read: when it is new or changed, by 'drill', and by 'check "
    "--read-data'.\n"
    "Files below the folders of named files that no query names are counted as orphans.\n"
    "--immutable: in DIR a file of a known name, size and time is not opened, even on another\n"
    "machine. One that is stored and has changed is an alarm, with the backup that has the old "
    "one;\n"
    "the exit code stays 0. Give that backup a tag to keep, before it is forgotten.\n"
    "A file that vanishes while the backup runs is kept as the last backup has it.\n"
    "Exit codes: 0 saved; 3 saved, but a source could not be read; 21 saved, but a database "
    "failed\n"
    "its integrity check; 22 saved, but files that a database names are missing, or a query of\n"
    "--refs could not be run; anything else: not saved.";
static const char restore_detail[] =
    "MANIFEST is an id, the first digits of one, or 'latest'; MANIFEST:/sub/path restores only "
    "that.\n"
    "Everything appears under its full path below DIR; --target / puts it back where it was.\n"
    "Nothing outside DIR is touched, and no symlink followed.\n"
    "What is there already and the same is left, so an interrupted restore, run again, goes on. "
    "Of\n"
    "a larger file only the blocks that differ are written, in place; a small one, one with other\n"
    "names (hard links), or a program that runs is replaced as a whole, and the other names keep\n"
    "the old content. --overwrite, for all but folders: always: make it as in the backup;\n"
    "if-changed: the same, but a file of equal size and time is taken to be equal; if-newer: only\n"
    "what is newer in the backup, and such a file is written as a whole, not only the blocks that\n"
    "differ; never: leave what is there.\n"
    "--delete never deletes in folders above what was backed up, nor what was moved aside, nor a\n"
    "-wal or -journal of a database that stays; what the backup excluded it deletes, if --exclude\n"
    "does not say otherwise. Look first: --delete --dry-run -v.\n"
    "A database is never overwritten: the new one is completed and verified, then the old one is\n"
    "moved aside with its -wal, -shm and -journal, as NAME.before-restore-TIME, and stays there "
    "for\n"
    "you to delete. While another process has one open nothing is restored (exit 11): stop the\n"
    "application. With --force the restore goes on; that process keeps the old file under its new\n"
    "name until it is restarted, and what it writes until then is in that file only.\n"
    "Exit codes: 0 all is there; 1 something is not, and is named: the rest is there; 11 a "
    "database is\n"
    "open elsewhere, nothing was changed.";
static const char diff_detail[] =
    "A and B are backups, or folders or files of them: A:/sub/path. A line for each entry: + "
    "added,\n"
    "- removed, M its content is another, T its type is, U only owner, mode, times or attributes "
    "are\n"
    "(with --metadata). Of a database whose content is another the rows of each table that were\n"
    "added, removed and changed are counted; a table under a new name is another table, and "
    "SQLite's\n"
    "own tables do not count. What both sides have is not read.";
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
    "--read-data-days 30 every night reads a thirtieth a night; what a night missed the next one\n"
    "reads.\n"
    "What a backup's --refs named is looked for again, in the newest backup of each host and "
    "paths,\n"
    "or in those that are chosen; SHA-256 sums are compared with --read-data.\n"
    "--repair first compares every pack with its name, mends what its parity can mend, and says "
    "so; it\n"
    "needs no key, and without one that is all that is done. Together with --read-data and the "
    "full key\n"
    "it also takes away the notes of damage that is no more.\n"
    "A maintain key checks lists, directories and the bytes of packs, and names backups by id; a\n"
    "record that never was what its id says, and references, only a full or read key checks.\n"
    "What this host has seen in the repository, or another manifest names, and is gone without a\n"
    "record of its removal has vanished: exit code 24, here and in every command, until it is "
    "back.\n"
    "--accept-rollback lists it and takes the repository as it is; each machine accepts for "
    "itself.\n"
    "--expect takes the lines that 'status' prints, kept where nobody can set them back. With a "
    "write key\n"
    "these two and --repair work, and nothing else is looked at.\n"
    "Exit codes: 0 nothing is lost; 20 something is: each path that it touches is named; 22 files\n"
    "that a database names are missing; 24 something has vanished.";
static const char drill_detail[] =
    "A restore for practice, of MANIFEST or the latest: every database is restored into memory "
    "(what\n"
    "does not fit goes encrypted to the cache) and checked there by integrity_check,\n"
    "foreign_key_check and its SHA-256, every other file is read to its last chunk, and what "
    "--refs\n"
    "named is looked for again. Nothing readable reaches a disk. --target restores real files and\n"
    "checks those. --assert 'app.db: SELECT count(*) > 0 FROM users' asks what only you can know;\n"
    "app.db is the end of the database's path, the query can only read.\n"
    "A full key leaves the verdict in the repository as a signed note; of a drill with a read key "
    "only\n"
    "this host knows. 'stats' shows the last.\n"
    "Exit codes: 0 good; 23 failed: a line names each thing that is wrong; anything else: no "
    "verdict.";
static const char forget_detail[] =
    "Removes the backups that the policy does not keep, and says so in a signed record. It frees "
    "no\n"
    "space; 'prune' does, or --prune. Backups of one host and the same paths are one group, and "
    "each\n"
    "writer's are judged on their own, in the order in which it made them.\n"
    "--keep-daily 7 keeps one backup of each of the last 7 days that have any: the FIRST of the "
    "day\n"
    "(restic keeps the last), a clean one before one whose databases failed their check. Hours,\n"
    "days, weeks (from Monday), months and years are those of this machine's time zone (TZ).\n"
    "DURATION is such as 2y5m7d3h, and counts back from the newest backup of the group. N may be\n"
    "'unlimited' or -1. Several words keep what any of them keeps; without any it is an error.\n"
    "Never removed: the newest backup of a host and paths, the newest of them whose databases\n"
    "passed their check, and one whose time is still to come. Named backups are removed instead,\n"
    "all or none, but not those that are never removed.\n"
    "A maintain key decides as a full key does, and shows groups by id; what asks for hosts, "
    "paths\n"
    "or tags needs the full key.\n"
    "Exit codes: 0 done; 2 no policy, or one that cannot be meant: nothing is removed; 12 the key\n"
    "is neither a full nor a maintain key; 20 done, but there are manifests that cannot be read:\n"
    "they stay.";
static const char init_detail[] =
    "With --key-file FILE the key is written to FILE, which must not exist, and there is no "
    "password:\n"
    "best for unattended hosts. Otherwise a password is asked for, or read as the options say.\n"
    "Of every command: a key file or password file that others may open is refused, exit code 2,\n"
    "but for what the system mounted: on a read-only mount, or below /run/secrets.\n"
    "--parity 2, the default: a pack can lose 2 of 64 blocks of 4 KiB, or any run of them that "
    "long (for\n"
    "16 MiB: 512 KiB), and be mended; takes 4 %, of a small pack up to as much again. 4: twice "
    "that.";
static const char copy_detail[] =
    "Makes a consistent copy of a live database (VACUUM INTO), checks it with PRAGMA "
    "integrity_check,\n"
    "and only then gives it its name. An existing DEST is never overwritten.\n"
    "Exit codes: 0 copied and sound; 11 SRC stayed locked; 1 no copy is made.";

static const char verify_detail[] =
    "The database may be in use; it is only read. Exit codes: 0 sound; 21 not sound; 11 it stayed\n"
    "locked; 1 no database, or it cannot be read.";
static const char copy_repo_detail[] =
    "Without MANIFEST: all backups of the other repository, or those that the options leave; what "
    "is\n"
    "here already is skipped, so the same command every night copies what is new. A copy keeps "
    "host,\n"
    "user, time, tags and paths, and names its original; it is encrypted anew and shares data "
    "with\n"
    "what is here. Needs the full key here, and a full or read key of the other repository.\n"
    "AWS_*, NIGHTJAR_REST_*, -o and --cacert count for both. Two REST servers with different "
    "users: "
    "name\n"
    "them in the locations (rest:https://USER:PASSWORD@HOST/), or in the [repository] sections of "
    "a\n"
    "configuration file, each of which is for its own location only. Two S3 accounts cannot be "
    "used\n"
    "in one copy.\n"
    "Exit codes: 0 all is here; 20 a backup of the other repository is damaged and was not "
    "copied.";
static const char repair_index_detail[] =
    "Backups need an index; when parts of it are damaged or lost, it is written anew from the "
    "packs\n"
    "themselves. Nothing but broken index segments is removed. Next: 'nightjar check'.\n"
    "Exit codes: 0 the index is whole; 20 the directory of a pack is damaged.";
static const char repair_packs_detail[] =
    "Reads all packs, or those named by the first digits of their names. A damaged one is mended "
    "by its\n"
    "parity, in its place; that needs no key, and with a write or read key it is all that is done. "
    "Of\n"
    "one that cannot be mended the records that still open are moved into a new pack; all of it "
    "is\n"
    "noted as damaged, so the next backup of the same sources stores again what is lost, as far as "
    "they\n"
    "still have it. No pack is removed: prune does that. Where index segments are damaged, run "
    "'repair\n"
    "index' first. A maintain key moves lists alone and notes the rest; what of that still opens "
    "only\n"
    "the full key saves.\n"
    "What cannot be written, as the disk is full or may only be read, stays as it is and is named "
    "with\n"
    "the reason; the rest is mended.\n"
    "Exit codes: 0 nothing is lost; 20 something is, and each path that it touches is named, or a "
    "pack\n"
    "could not be written.";
static const char repair_manifests_detail[] =
    "Of each backup that rests on lost data a new one is made without the files, folders and "
    "databases\n"
    "that cannot be had whole; it is tagged 'repaired' and names the damaged one as its original. "
    "That\n"
    "one stays. A backup goes first: what it stores again needs no repair. Only damage that "
    "'check'\n"
    "or 'repair packs' has found, and what is missing, is seen. Needs the full key.\n"
    "\n"
    "With --forget the damaged ones are shown and removed once the new ones are there, and so are "
    "those\n"
    "of which nothing can be had: while one is there 'prune' deletes nothing. Try --dry-run first. "
    "What\n"
    "is removed cannot become whole again by a later backup or a copy of the repository. A whole "
    "backup\n"
    "is never removed, and nothing at all while no backup is whole.\n"
    "Exit codes: 0 every backup is whole or has a repaired one; 20 nothing can be had of one.";
static const char nightly_detail[] =
    "Does what the configuration file says, in this order: the hook 'before'; a backup of each "
    "source\n"
    "into each repository; forget (of the sources' hosts only) and prune as [retention] says; "
    "check\n"
    "with the part of the data that is due, and the drill when it is due; the metrics; the hooks\n"
    "'failed' and 'after'; and pings at the beginning and the end. 'nightjar help config' prints a "
    "file\n"
    "with every key explained.\n"
    "\n"
    "A step that fails ends what rests on it and nothing else: without a backup nothing is "
    "forgotten,\n"
    "but the repository is still checked; each repository fails for itself. One that cannot be "
    "reached\n"
    "is tried for 15 minutes (option = retry-seconds=N), once, and its later steps are not done. "
    "When\n"
    "the disk was full prune still runs, moving nothing, since what it deletes no backup needs. "
    "With -r\n"
    "or NIGHTJAR_REPOSITORY the night is about that repository instead of those of the file.\n"
    "\n"
    "A host whose key may only write leaves forget, prune, check and drill to others and says so. "
    "One\n"
    "with a maintain key and no [source] does forget, prune and its check, without names. With a "
    "read\n"
    "key run 'check' and 'drill' by themselves.\n"
    "\n"
    "Only one runs at a time for a configuration file: a second one ends with 11. A killed one "
    "leaves\n"
    "nothing to clean up, and its running hook ends with it. After an interrupt 'failed' and "
    "'after'\n"
    "still run. At the end stands a summary, and one exit code for all: of those that the\n"
    "steps and hooks ended with the first of 130, 12, 10, 24, 1, 20, 21, 22, 23, 2, 3, 11.\n"
    "A file of an immutable folder that changed is an ALARM and has no exit code, for the backup "
    "is\n"
    "whole and the old content kept; but then the night is 'NOT all is well': it pings /fail, runs "
    "the\n"
    "hook 'failed' (NIGHTJAR_ALARMS has the count), and 'status' and the metrics tell.\n"
    "\n"
    "From cron:     30 2 * * *  root  nightjar nightly >>/var/log/nightjar.log\n"
    "From systemd:  a service of Type=oneshot with ExecStart=/usr/local/bin/nightjar nightly, and "
    "a timer.\n"
    "For a monitor: nightjar status --max-age 26h";
static const char status_detail[] =
    "For monitors and the health checks of containers: reads what earlier runs of 'backup' and\n"
    "'nightly' on this host have noted, without a key and without the repository. Of nights only "
    "those\n"
    "that backed up every source count. About the repository that -r names, else those of the\n"
    "configuration file, else all that this host has backed up into.\n"
    "Below each: WRITER:SEQUENCE:HASH, a line for each host, of the newest backup that this host "
    "has\n"
    "seen. Written down elsewhere it proves later what was there: see --expect of 'check'.\n"
    "Exit codes: 0 every one is fresh and its last night went well; 1 one is older than --max-age "
    "or\n"
    "never was, or its last night (without nights: its last backup) ended with another code than 0 "
    "and\n"
    "3, or raised an ALARM about immutable files: the line names the code. After a 3, a source "
    "that\n"
    "could not be read, it is 0 and the line says so; with --strict it is 1. 24: something has\n"
    "vanished from the repository.";

static const char key_export_detail[] =
    "Makes FILE, a key that can do part of what the full key can. Needs the full key.\n"
    "write     for the host with the data: makes backups; reads none, deletes nothing\n"
    "maintain  for the side of the storage: check, forget, prune, repair; sees no names or "
    "contents\n"
    "read      restores and verifies; makes no backup, deletes nothing\n"
    "full      everything\n"
    "A write key is of one host, and 'writer revoke' ends it. --own-domain: that host shares no "
    "data\n"
    "with others, so its key tells nothing of what they have and cannot spoil their backups to "
    "come.\n"
    "BACKUP.md, 'Who holds which key', has a recipe.";
static const char key_rotate_detail[] =
    "Makes a new read key. Every backup that begins afterwards is sealed for it, whatever key its "
    "host\n"
    "has. A read key file that was exported before opens what was sealed before, for ever, and "
    "nothing\n"
    "newer: so export new ones for whom is to read on. Needs the full key.";
static const char writer_list_detail[] =
    "A line for each host that the roster lets make backups: its id, host and last backup (as far "
    "as\n"
    "this key can read them), the domain whose data it shares, the number of its newest backup, "
    "and\n"
    "whether it was revoked.";
static const char writer_revoke_detail[] =
    "WRITER is the first digits of an id of 'writer list'. Its backups so far stay; what it makes\n"
    "from now on does not count, and its next 'backup' ends with 12. Needs the full key. There is\n"
    "no way back: a host that is to go on gets a new key by 'key export --role write'.\n"
    "--after: also its newest backups, after this one, do not count any more, because the host "
    "was\n"
    "in other hands then. The next prune deletes what only they need.";
static const char cache_detail[] =
    "Caches make backups faster and are never needed: any of them may be removed at any time.\n"
    "What this machine must not forget (its state) is kept elsewhere and never touched.";

const struct command commands[] = {
    {"init", NULL, "make a new repository", "", init_detail, 0, 0, cmd_init_options,
     &cmd_init_options_bytes, cmd_init},
    {"backup", NULL, "back up files, folders and live SQLite databases", "PATH…", backup_detail, 0,
     COMMAND_ANY, cmd_backup_options, &cmd_backup_options_bytes, cmd_backup},
    {"manifests", "snapshots", "list the backups", "", NULL, 0, 0, NULL, NULL, cmd_manifests},
    {"ls", NULL, "list what is in a backup", "MANIFEST[:/sub] [PATH…]", NULL, 1, COMMAND_ANY,
     cmd_ls_options, &cmd_ls_options_bytes, cmd_ls},
    {"find", NULL, "find files by name in the backups", "PATTERN…", find_detail, 1, COMMAND_ANY,
     cmd_find_options, &cmd_find_options_bytes, cmd_find},
    {"dump", NULL, "write one file of a backup to standard output", "MANIFEST:/path", NULL, 1, 2,
     cmd_dump_options, &cmd_dump_options_bytes, cmd_dump},
    {"diff", NULL, "show what differs between two backups: files, and rows of databases", "A B",
     diff_detail, 2, 2, cmd_diff_options, &cmd_diff_options_bytes, cmd_diff},
    {"restore", NULL, "put a backup, or a part of it, into a folder",
     "MANIFEST[:/sub] --target DIR", restore_detail, 1, 1, cmd_restore_options,
     &cmd_restore_options_bytes, cmd_restore_hooked},
    {"tag", NULL, "change the tags of backups", "MANIFEST…", NULL, 1, COMMAND_ANY, cmd_tag_options,
     &cmd_tag_options_bytes, cmd_tag},
    {"drill", NULL, "restore for practice, and check what comes back", "[MANIFEST]", drill_detail,
     0, 1, cmd_drill_options, &cmd_drill_options_bytes, cmd_drill},
    {"forget", NULL, "remove old backups by a policy, or by name", "[MANIFEST…]", forget_detail, 0,
     COMMAND_ANY, cmd_forget_options, &cmd_forget_options_bytes, cmd_forget},
    {"stats", NULL, "show what the backups hold and what they take", "[MANIFEST…]", stats_detail, 0,
     COMMAND_ANY, cmd_stats_options, &cmd_stats_options_bytes, cmd_stats},
    {"check", NULL, "look for damage in the repository", "[MANIFEST…]", check_detail, 0,
     COMMAND_ANY, cmd_check_options, &cmd_check_options_bytes, cmd_check},
    {"copy", NULL, "copy backups from another repository", "--from-repo REPO [MANIFEST…]",
     copy_repo_detail, 0, COMMAND_ANY, cmd_copy_options, &cmd_copy_options_bytes, cmd_copy},
    {"repair index", NULL, "write a damaged or lost index anew", "", repair_index_detail, 0, 0,
     cmd_repair_index_options, &cmd_repair_index_options_bytes, cmd_repair_index},
    {"repair packs", NULL, "mend damaged packs, or save what still opens of them", "[ID…]",
     repair_packs_detail, 0, COMMAND_ANY, cmd_repair_packs_options, &cmd_repair_packs_options_bytes,
     cmd_repair_packs},
    {"repair manifests", NULL, "make backups without what is lost of damaged ones", "[MANIFEST…]",
     repair_manifests_detail, 0, COMMAND_ANY, cmd_repair_manifests_options,
     &cmd_repair_manifests_options_bytes, cmd_repair_manifests},
    {"prune", NULL, "delete what no backup needs", "", prune_detail, 0, 0, cmd_prune_options,
     &cmd_prune_options_bytes, cmd_prune},
    {"nightly", NULL, "do every night what the configuration file says", "", nightly_detail, 0, 0,
     cmd_nightly_options, &cmd_nightly_options_bytes, cmd_nightly},
    {"status", NULL, "say whether the last backup is recent", "", status_detail, 0, 0,
     cmd_status_options, &cmd_status_options_bytes, cmd_status},
    {"key add", NULL, "add a password", "", NULL, 0, 0, cmd_key_options, &cmd_key_options_bytes,
     cmd_key_add},
    {"key list", NULL, "list the passwords' ids", "", NULL, 0, 0, NULL, NULL, cmd_key_list},
    {"key remove", NULL, "remove a password", "ID", NULL, 1, 1, NULL, NULL, cmd_key_remove},
    {"key passwd", NULL, "change the password", "", NULL, 0, 0, cmd_key_options,
     &cmd_key_options_bytes, cmd_key_passwd},
    {"key export", NULL, "make a key file for another role", "--role ROLE FILE", key_export_detail,
     1, 1, cmd_key_export_options, &cmd_key_export_options_bytes, cmd_key_export},
    {"key rotate", NULL, "seal backups to come for a new read key", "", key_rotate_detail, 0, 0,
     NULL, NULL, cmd_key_rotate},
    {"writer list", NULL, "list who may make backups", "", writer_list_detail, 0, 0, NULL, NULL,
     cmd_writer_list},
    {"writer revoke", NULL, "end what a host's key may do", "WRITER", writer_revoke_detail, 1, 1,
     cmd_writer_revoke_options, &cmd_writer_revoke_options_bytes, cmd_writer_revoke},
    {"cache", NULL, "list the caches on this machine, or remove old ones", "", cache_detail, 0, 0,
     cmd_cache_options, &cmd_cache_options_bytes, cmd_cache},
    {"db copy", NULL, "copy a live database, verified", "SRC DEST", copy_detail, 2, 2, NULL, NULL,
     cmd_db_copy},
    {"db verify", NULL, "run PRAGMA integrity_check on a database", "FILE", verify_detail, 1, 1,
     NULL, NULL, cmd_db_verify},
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

static const struct {
	enum exit_code (*run)(struct cli *cli, const void *options, int count, char **operands);
	int (*judge)(const void *options, int count, struct err *err);
} judges[] = {
    {cmd_backup, cmd_backup_judge},
    {cmd_drill, cmd_drill_judge},
    {cmd_forget, cmd_forget_judge},
    {cmd_prune, cmd_prune_judge},
};

int commands_judge(const struct command *command, const void *options, int count, struct err *err)
{
	for (size_t i = 0; i < sizeof(judges) / sizeof(judges[0]); i++) {
		if (judges[i].run == command->run)
			return judges[i].judge(options, count, err);
	}
	return 0;
}
