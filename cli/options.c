#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct options_global, member)

const struct option_spec options_global_specs[] = {
    {"repo", 'r', OPTION_STRING, AT(repo), "REPO",
     "the repository: a folder, sftp:USER@HOST:/PATH, rest:https://HOST/PATH/ or "
     "s3:https://HOST/BUCKET/PREFIX [NIGHTJAR_REPOSITORY]"},
    {"password-file", 0, OPTION_STRING, AT(password_file), "FILE",
     "read the password from FILE [NIGHTJAR_PASSWORD_FILE]"},
    {"password-command", 0, OPTION_STRING, AT(password_command), "COMMAND",
     "the password is the first line COMMAND prints [NIGHTJAR_PASSWORD_COMMAND]"},
    {"key-file", 0, OPTION_STRING, AT(key_file), "FILE", "use a key file [NIGHTJAR_KEY_FILE]"},
    {"config", 0, OPTION_STRING, AT(config), "FILE",
     "the configuration file [NIGHTJAR_CONFIG]; 'nightjar help config' shows one"},
    {"cache-dir", 0, OPTION_STRING, AT(cache_dir), "DIR", "the cache [NIGHTJAR_CACHE_DIR]"},
    {"cacert", 0, OPTION_STRING, AT(cacert), "FILE",
     "trust the certificates in FILE (PEM), not the system's [NIGHTJAR_CACERT]"},
    {"no-cache", 0, OPTION_FLAG, AT(no_cache), NULL,
     "keep no copies here of what a repository behind a network has"},
    {"limit-upload", 0, OPTION_NUMBER, AT(limit_upload), "RATE",
     "send no more than RATE KiB a second"},
    {"limit-download", 0, OPTION_NUMBER, AT(limit_download), "RATE",
     "receive no more than RATE KiB a second"},
    {"option", 'o', OPTION_WORDS, AT(extended), "KEY=VALUE",
     "how the repository is reached: connections, retry-seconds, stall-seconds, s3.region, "
     "s3.storage-class, s3.bucket-lookup, sftp.command; may be repeated"},
    {"json", 0, OPTION_FLAG, AT(json), NULL, "print JSON, an object a line"},
    {"quiet", 'q', OPTION_FLAG, AT(quiet), NULL, "print results and errors only"},
    {"verbose", 'v', OPTION_COUNT, AT(verbose), NULL, "print more"},
    {"help", 'h', OPTION_FLAG, AT(help), NULL, "print help"},
    {"version", 0, OPTION_FLAG, AT(version), NULL, "print the version"},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};

/* getopt's tables, made of ours. Its answer for a long option is FIRST_LONG + the index in `from`. */
#define MAX_OPTIONS 64
#define FIRST_LONG 256

struct parser {
	struct option longs[MAX_OPTIONS + 1];
	char letters[3 * MAX_OPTIONS + 3];
	struct {
		const struct option_spec *spec;
		void *base;
	} from[MAX_OPTIONS];
	int count;
};

static int add_specs(struct parser *p, const struct option_spec *specs, void *base, struct err *err)
{
	for (; specs && specs->name; specs++) {
		bool has_value = specs->kind != OPTION_FLAG && specs->kind != OPTION_COUNT;
		size_t used = strlen(p->letters);

		if (p->count == MAX_OPTIONS)
			return err_set(err, ERR_LIMIT, "too many options in a table");
		p->from[p->count].spec = specs;
		p->from[p->count].base = base;
		p->longs[p->count].name = specs->name;
		p->longs[p->count].has_arg = has_value ? required_argument : no_argument;
		p->longs[p->count].val = FIRST_LONG + p->count;
		p->count++;
		if (specs->letter)
			(void)snprintf(p->letters + used, sizeof(p->letters) - used, "%c%s",
				       specs->letter, has_value ? ":" : "");
	}
	return 0;
}

static int parse_number(const struct option_spec *spec, const char *text,
			struct option_number *number, struct err *err)
{
	static const char units[] = "kmgt";
	const char *what = spec->kind == OPTION_SIZE ? "size as 500, 10k or 2g" : "number";
	unsigned shift = 0;
	char *end = NULL;
	const char *unit;

	errno = 0;
	number->value = strtoull(text, &end, 10);
	number->given = true;
	if (text[0] < '0' || text[0] > '9')
		return err_set(err, ERR_USAGE, "--%s needs a %s, not '%s'", spec->name, what, text);
	if (spec->kind == OPTION_SIZE && *end) {
		unit = strchr(units, *end | 0x20);
		if (unit) {
			shift = 10 * ((unsigned)(unit - units) + 1);
			end++;
		}
	}
	if (*end)
		return err_set(err, ERR_USAGE, "--%s needs a %s, not '%s'", spec->name, what, text);
	if (errno == ERANGE || number->value > UINT64_MAX >> shift)
		return err_set(err, ERR_USAGE, "--%s: %s is too large", spec->name, text);
	number->value <<= shift;
	return 0;
}

static int add_item(struct option_list *list, const char *text, struct err *err)
{
	const char **grown = realloc(list->items, (list->count + 1) * sizeof(*grown));

	if (!grown)
		return err_nomem(err);
	list->items = grown;
	list->items[list->count++] = text;
	return 0;
}

static int add_word(const struct option_spec *spec, struct option_words *words, const char *text,
		    struct err *err)
{
	if (words->count == OPTION_WORDS_MOST)
		return err_set(err, ERR_USAGE, "--%s: at most %d times", spec->name,
			       OPTION_WORDS_MOST);
	words->items[words->count++] = text;
	return 0;
}

static int store_value(const struct option_spec *spec, void *base, const char *text,
		       struct err *err)
{
	void *member = (char *)base + spec->offset;

	if (text && text[0] == '\0' && spec->kind != OPTION_LIST)
		return err_set(err, ERR_USAGE, "--%s needs a value that is not empty", spec->name);
	switch (spec->kind) {
	case OPTION_FLAG:
		*(bool *)member = true;
		return 0;
	case OPTION_COUNT:
		++*(unsigned *)member;
		return 0;
	case OPTION_STRING:
		*(const char **)member = text;
		return 0;
	case OPTION_LIST:
		return add_item(member, text, err);
	case OPTION_WORDS:
		return add_word(spec, member, text, err);
	case OPTION_NUMBER:
	case OPTION_SIZE:
		break;
	}
	return parse_number(spec, text, member, err);
}

static int spec_of_answer(const struct parser *p, int answer)
{
	if (answer >= FIRST_LONG)
		return answer - FIRST_LONG;
	for (int i = 0; i < p->count; i++) {
		if (p->from[i].spec->letter == answer)
			return i;
	}
	return -1;
}

/* Why getopt said '?' or ':'. word is the last one it took. */
static int refuse(const struct parser *p, int answer, const char *word, struct err *err)
{
	int name_len = (int)strcspn(word, "=");
	int known;

	if (answer == ':') {
		known = spec_of_answer(p, optopt);
		if (known >= 0)
			return err_set(err, ERR_USAGE, "option --%s needs a %s",
				       p->from[known].spec->name, p->from[known].spec->value);
	}
	if (optopt >= FIRST_LONG)
		return err_set(err, ERR_USAGE, "option --%s takes no value",
			       p->from[optopt - FIRST_LONG].spec->name);
	if (optopt != 0)
		return err_set(err, ERR_USAGE, "unknown option -%c", optopt);
	return err_set(err, ERR_USAGE, "unknown option %.*s", name_len, word);
}

static int parse(struct parser *p, int argc, char **argv, struct err *err)
{
	int answer, i;

	opterr = 0;
	optind = 0; /* 0, not 1: glibc then forgets the scan before */
	for (;;) {
		answer = getopt_long(argc, argv, p->letters, p->longs, NULL);
		if (answer == -1)
			return 0;
		if (answer == '?' || answer == ':')
			return refuse(p, answer, argv[optind - 1], err);
		i = spec_of_answer(p, answer);
		if (i >= 0 && store_value(p->from[i].spec, p->from[i].base, optarg, err) < 0)
			return -err->code;
	}
}

int options_parse_global(int argc, char **argv, struct options_global *global, int *out_used,
			 struct err *err)
{
	struct parser p;

	memset(&p, 0, sizeof(p));
	(void)snprintf(p.letters, sizeof(p.letters), "+:");
	if (add_specs(&p, options_global_specs, global, err) < 0 || parse(&p, argc, argv, err) < 0)
		return -err->code;
	*out_used = optind;
	return 0;
}

int options_parse_command(int argc, char **argv, struct options_global *global,
			  const struct option_spec *specs, void *options, int *out_first,
			  struct err *err)
{
	struct parser p;

	memset(&p, 0, sizeof(p));
	(void)snprintf(p.letters, sizeof(p.letters), ":");
	if (add_specs(&p, options_global_specs, global, err) < 0 ||
	    add_specs(&p, specs, options, err) < 0 || parse(&p, argc, argv, err) < 0)
		return -err->code;
	*out_first = optind;
	return 0;
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

/* The three ways to open a repository, of which one is chosen: where they go, and what they are called. */
struct secrets {
	const char **at[3];
	const char *options, *variables[3], *names;
};

static int given(const struct secrets *s)
{
	return (*s->at[0] != NULL) + (*s->at[1] != NULL) + (*s->at[2] != NULL);
}

static int resolve_secret(const struct secrets *s, struct err *err)
{
	if (given(s) > 1)
		return err_set(err, ERR_USAGE, "give one of %s, not several", s->options);
	if (given(s) == 1)
		return 0;
	for (size_t i = 0; i < 3; i++)
		*s->at[i] = variable(s->variables[i]);
	if (given(s) > 1)
		return err_set(err, ERR_USAGE, "set one of %s, not several", s->names);
	return 0;
}

int options_resolve(struct options_global *global, struct err *err)
{
	const struct secrets secrets = {
	    {&global->password_file, &global->password_command, &global->key_file},
	    "--password-file, --password-command and --key-file",
	    {"NIGHTJAR_PASSWORD_FILE", "NIGHTJAR_PASSWORD_COMMAND", "NIGHTJAR_KEY_FILE"},
	    "NIGHTJAR_PASSWORD_FILE, NIGHTJAR_PASSWORD_COMMAND and NIGHTJAR_KEY_FILE",
	};

	if (global->quiet && global->verbose > 0)
		return err_set(err, ERR_USAGE, "give --quiet or --verbose, not both");
	if (!global->repo)
		global->repo = variable("NIGHTJAR_REPOSITORY");
	if (!global->config)
		global->config = variable("NIGHTJAR_CONFIG");
	if (!global->cache_dir)
		global->cache_dir = variable("NIGHTJAR_CACHE_DIR");
	if (!global->cacert)
		global->cacert = variable("NIGHTJAR_CACERT");
	global->state_dir = variable("NIGHTJAR_STATE_DIR");
	if (!global->rest_username) {
		global->rest_username = variable("NIGHTJAR_REST_USERNAME");
		global->rest_password = variable("NIGHTJAR_REST_PASSWORD");
	}
	global->ssh_command = variable("NIGHTJAR_SSH_COMMAND");
	return resolve_secret(&secrets, err);
}

int options_resolve_from(struct options_from *from, struct err *err)
{
	const struct secrets secrets = {
	    {&from->password_file, &from->password_command, &from->key_file},
	    "--from-password-file, --from-password-command and --from-key-file",
	    {"NIGHTJAR_FROM_PASSWORD_FILE", "NIGHTJAR_FROM_PASSWORD_COMMAND",
	     "NIGHTJAR_FROM_KEY_FILE"},
	    "NIGHTJAR_FROM_PASSWORD_FILE, NIGHTJAR_FROM_PASSWORD_COMMAND and "
	    "NIGHTJAR_FROM_KEY_FILE",
	};

	if (!from->repo)
		from->repo = variable("NIGHTJAR_FROM_REPOSITORY");
	if (!from->repo)
		return err_set(err, ERR_USAGE,
			       "no repository to copy from: use --from-repo REPO or "
			       "NIGHTJAR_FROM_REPOSITORY");
	return resolve_secret(&secrets, err);
}

bool options_flag(const struct option_spec *specs, const void *options, const char *name)
{
	for (; specs->name; specs++) {
		if (specs->kind == OPTION_FLAG && strcmp(specs->name, name) == 0)
			return *(const bool *)((const char *)options + specs->offset);
	}
	return false;
}

void options_wipe(const struct option_spec *specs, void *options)
{
	for (; specs && specs->name; specs++) {
		if (specs->kind == OPTION_LIST) {
			struct option_list *list = (void *)((char *)options + specs->offset);

			free(list->items);
			memset(list, 0, sizeof(*list));
		}
	}
}

bool options_complete(const struct options_global *global)
{
	return global->repo &&
	       (global->password_file || global->password_command || global->key_file);
}
