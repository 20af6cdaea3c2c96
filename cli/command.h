/*
 * command: the table of commands, what a command is given, and how it is run. A command lives in
 * cli/cmd_<name>.c and turns words into one call of repo/ and its answer into words.
 *
 * Adding one: write cmd_<name>.c with its option table and run function, declare the function at the
 * end of this file, add a line to the table in commands.c. Help and completion follow from that.
 */
#ifndef NIGHTJAR_CLI_COMMAND_H
#define NIGHTJAR_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/config_file.h"
#include "cli/exit.h"
#include "cli/facts.h"
#include "cli/options.h"
#include "cli/out.h"
#include "cli/transfers.h"
#include "core/err.h"
#include "core/version.h"
#include "repo/net.h"

/* One run of the program. */
struct cli {
	struct options_global global; /* resolved: options, then environment, then the file */
	struct options_global said;   /* without the file, once command_repo has asked it */
	bool reached;                 /* it has, in this command */
	struct net net;               /* what they say of servers; for store_stack_open */
	struct net from_net;          /* the same of the repository that is copied from */
	struct transfers transfers, from_transfers; /* what their pointers lead to */
	struct config_file file;                    /* once command_config has read it */
	bool file_read;
	struct out out;
	struct exit_codes codes; /* what applied besides the command's own answer */
	struct facts facts;
	bool accept_rollback; /* what vanished is taken for right: of `check` alone */
};

#define COMMAND_ANY (-1) /* max_operands: no limit */

struct command {
	const char *name;     /* "backup", or two words: "key add" */
	const char *alias;    /* or NULL */
	const char *summary;  /* one line for the list */
	const char *operands; /* "PATH…" for the usage line; "" = none */
	const char *detail;   /* paragraphs for its own help; NULL = none */
	int min_operands, max_operands;
	const struct option_spec *options; /* NULL = none of its own */
	const size_t *options_bytes;       /* sizeof the struct that options fills; NULL = none */
	/*
	 * options: its struct, filled. operands: the words left over, within the bounds above. Returns its exit
	 * code; further ones are added to cli->codes, and the program ends with the one that wins.
	 */
	enum exit_code (*run)(struct cli *cli, const void *options, int count, char **operands);
};

/* All commands in the order of the help; ends with a NULL name. */
extern const struct command commands[];

/*
 * The command that words[0] (and words[1]) name, by name or alias; *out_words says how many of them. NULL
 * when there is none; err says what would be one.
 */
const struct command *commands_find(int count, char **words, int *out_words, struct err *err);

/*
 * Are the values of its options such as it takes? options: its struct, filled; count: of operands. Nothing is opened. What a command
 * without a judge of its own refuses, it refuses when it runs. ERR_USAGE begins with the option's name.
 */
int commands_judge(const struct command *command, const void *options, int count,
		   struct err *err) ERR_UNUSED_WARN;

/* True when word begins two-word commands ("key"). */
bool commands_is_group(const char *word);

/* Says err as the end of the command (with a reason when a usage is wrong) and returns its exit code. */
enum exit_code command_fail(struct cli *cli, const struct err *err);

/* The configuration file, read once into cli->file. */
int command_config(struct cli *cli, struct err *err) ERR_UNUSED_WARN;

/*
 * -r, NIGHTJAR_REPOSITORY or the one of the configuration file, or ERR_USAGE that says how to give one. How it is opened and reached is then in
 * cli->global and cli->net, too.
 */
int command_repo(struct cli *cli, const char **out_repo, struct err *err) ERR_UNUSED_WARN;

/*
 * Runs a command as its words say, words[0] (and words[1]) being its name; the array is permuted. Global options among them go into
 * cli->global, which is resolved anew. Returns its own answer.
 */
enum exit_code command_run(struct cli *cli, int count, char **words);
/* Would these words be understood, and their values taken? Nothing is run. ERR_USAGE. */
int command_try(int count, char **words, struct err *err) ERR_UNUSED_WARN;

/* The whole program: options, command, messages. Returns its exit code. */
int command_main(int argc, char **argv);

/* Help, as results; plain text with --json too. */
void help_list(struct out *out);
void help_group(struct out *out, const char *word);
void help_command(struct out *out, const struct command *command);

enum exit_code cmd_help(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_version(struct cli *cli, const void *options, int count, char **operands);

enum exit_code cmd_init(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_backup(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_manifests(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_ls(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_dump(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_diff(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_restore(struct cli *cli, const void *options, int count, char **operands);
/* cmd_restore between the hooks of the configuration file. */
enum exit_code cmd_restore_hooked(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_check(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_prune(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_tag(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_drill(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_forget(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_find(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_stats(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_copy(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_repair_index(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_repair_packs(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_repair_manifests(struct cli *cli, const void *options, int count,
				    char **operands);
enum exit_code cmd_key_add(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_key_list(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_key_remove(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_key_passwd(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_key_export(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_key_rotate(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_writer_list(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_writer_revoke(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_cache(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_nightly(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_status(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_db_copy(struct cli *cli, const void *options, int count, char **operands);
enum exit_code cmd_db_verify(struct cli *cli, const void *options, int count, char **operands);

/* Those that `nightly` runs, of its words. */
int cmd_backup_judge(const void *options, int count, struct err *err) ERR_UNUSED_WARN;
int cmd_drill_judge(const void *options, int count, struct err *err) ERR_UNUSED_WARN;
int cmd_forget_judge(const void *options, int count, struct err *err) ERR_UNUSED_WARN;
int cmd_prune_judge(const void *options, int count, struct err *err) ERR_UNUSED_WARN;

/* Their options, next to what they mean. */
extern const struct option_spec cmd_backup_options[];
extern const size_t cmd_backup_options_bytes;
extern const struct option_spec cmd_ls_options[];
extern const size_t cmd_ls_options_bytes;
extern const struct option_spec cmd_dump_options[];
extern const size_t cmd_dump_options_bytes;
extern const struct option_spec cmd_diff_options[];
extern const size_t cmd_diff_options_bytes;
extern const struct option_spec cmd_restore_options[];
extern const size_t cmd_restore_options_bytes;
extern const struct option_spec cmd_repair_packs_options[];
extern const size_t cmd_repair_packs_options_bytes;
extern const struct option_spec cmd_init_options[];
extern const size_t cmd_init_options_bytes;
extern const struct option_spec cmd_prune_options[];
extern const size_t cmd_prune_options_bytes;
extern const struct option_spec cmd_tag_options[];
extern const size_t cmd_tag_options_bytes;
extern const struct option_spec cmd_drill_options[];
extern const size_t cmd_drill_options_bytes;
extern const struct option_spec cmd_forget_options[];
extern const size_t cmd_forget_options_bytes;
extern const struct option_spec cmd_find_options[];
extern const size_t cmd_find_options_bytes;
extern const struct option_spec cmd_stats_options[];
extern const size_t cmd_stats_options_bytes;
extern const struct option_spec cmd_check_options[];
extern const size_t cmd_check_options_bytes;
extern const struct option_spec cmd_copy_options[];
extern const size_t cmd_copy_options_bytes;
extern const struct option_spec cmd_repair_index_options[];
extern const size_t cmd_repair_index_options_bytes;
extern const struct option_spec cmd_repair_manifests_options[];
extern const size_t cmd_repair_manifests_options_bytes;
extern const struct option_spec cmd_cache_options[];
extern const size_t cmd_cache_options_bytes;
extern const struct option_spec cmd_nightly_options[];
extern const size_t cmd_nightly_options_bytes;
extern const struct option_spec cmd_status_options[];
extern const size_t cmd_status_options_bytes;
extern const struct option_spec cmd_key_options[];
extern const size_t cmd_key_options_bytes;
extern const struct option_spec cmd_key_export_options[];
extern const size_t cmd_key_export_options_bytes;
extern const struct option_spec cmd_writer_revoke_options[];
extern const size_t cmd_writer_revoke_options_bytes;

#endif
