#include "cli/config.h"

#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config_keys.h"

/* Of a section's name: inih keeps 50 bytes of what stands in the brackets. */
#define NAME_BYTES 32u

struct parser {
	const char *from, *text;
	size_t len, at;
	unsigned line; /* under way, from 1 */
	bool indented; /* it begins with white space */
	bool in_section;
	enum config_section section;
	void *members;                         /* of the section that is open */
	uint64_t seen;                         /* keys of config_keys that it has, a bit each */
	unsigned opened[CONFIG_SECTION_KINDS]; /* the line of the last of each kind, 0 = none */
	unsigned keys[CONFIG_SECTION_KINDS];   /* of all of a kind */
	unsigned hooks_opened[2];              /* [hooks], and that of restore: their lines */
	const struct config_key *key;          /* the last one; what is indented goes on with it */
	unsigned key_line;
	bool key_has_value;
	char *long_value; /* of this line, which inih would not take whole */
	struct config *config;
	struct err *err;
};

static int __attribute__((format(printf, 2, 3))) refuse(struct parser *p, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* The first is what went wrong. */
	if (p->err->code)
		return -p->err->code;
	return err_set(p->err, ERR_USAGE, "%s:%u: %s", p->from, p->line, text);
}

/* --- sections --- */

/* Copies of a section's name are what all strings of a config are: malloc'd. */
static int new_repository(struct parser *p, const char *name)
{
	struct config *c = p->config;
	struct config_repository *grown;

	for (size_t i = 0; i < c->repository_count; i++) {
		if (strcmp(c->repositories[i].name, name) == 0)
			return refuse(p,
				      "the repository '%s' is in line %u already; name each: "
				      "[repository \"NAME\"]",
				      name, c->repositories[i].line);
	}
	if (c->repository_count == CONFIG_SECTIONS)
		return refuse(p, "more than %u repositories", CONFIG_SECTIONS);
	grown = realloc(c->repositories, (c->repository_count + 1) * sizeof(*grown));
	if (!grown)
		return err_nomem(p->err);
	c->repositories = grown;
	grown += c->repository_count++;
	*grown = (struct config_repository){.name = strdup(name), .line = p->line};
	p->members = grown;
	return grown->name ? 0 : err_nomem(p->err);
}

static int new_source(struct parser *p, const char *name)
{
	struct config *c = p->config;
	struct config_source *grown;

	for (size_t i = 0; i < c->source_count; i++) {
		if (strcmp(c->sources[i].name, name) == 0)
			return refuse(p,
				      "the source '%s' is in line %u already; name each: "
				      "[source \"NAME\"]",
				      name, c->sources[i].line);
	}
	if (c->source_count == CONFIG_SECTIONS)
		return refuse(p, "more than %u sources", CONFIG_SECTIONS);
	grown = realloc(c->sources, (c->source_count + 1) * sizeof(*grown));
	if (!grown)
		return err_nomem(p->err);
	c->sources = grown;
	grown += c->source_count++;
	*grown = (struct config_source){.name = strdup(name), .line = p->line};
	p->members = grown;
	return grown->name ? 0 : err_nomem(p->err);
}

static int open_single(struct parser *p, enum config_section kind, const char *name, void *members)
{
	if (name)
		return refuse(p, "[%s] takes no name", config_section_names[kind]);
	if (p->opened[kind])
		return refuse(p, "[%s] is in line %u already", config_section_names[kind],
			      p->opened[kind]);
	p->opened[kind] = p->line;
	p->members = members;
	return 0;
}

/* [hooks] are those of the night, [hooks "restore"] those of restore. */
static int open_hooks(struct parser *p, const char *name)
{
	bool restore = name && strcmp(name, "restore") == 0;
	unsigned *opened = &p->hooks_opened[restore];

	if (name && !restore)
		return refuse(p, "there is [hooks] and [hooks \"restore\"], not \"%s\"", name);
	if (*opened)
		return refuse(p, "[hooks%s] is in line %u already", restore ? " \"restore\"" : "",
			      *opened);
	*opened = p->line;
	p->members = restore ? &p->config->restore_hooks : &p->config->hooks;
	return 0;
}

static int open_kind(struct parser *p, enum config_section kind, const char *name)
{
	struct config *c = p->config;

	switch (kind) {
	case SECTION_REPOSITORY:
		return new_repository(p, name ? name : "repository");
	case SECTION_SOURCE:
		return new_source(p, name ? name : "source");
	case SECTION_RETENTION:
		return open_single(p, kind, name, &c->retention);
	case SECTION_CHECKS:
		return open_single(p, kind, name, &c->checks);
	case SECTION_HOOKS:
		return open_hooks(p, name);
	case SECTION_METRICS:
		return open_single(p, kind, name, &c->metrics_textfile);
	case SECTION_PING:
		break;
	}
	return open_single(p, kind, name, &c->ping);
}

static bool name_ok(const char *name, size_t len)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	return len > 0 && len <= NAME_BYTES && strspn(name, letters) == len;
}

/* line: "[source "app"]", white space around it cut. */
static int open_section(struct parser *p, char *line)
{
	size_t len = strlen(line), word = strcspn(line + 1, " \t\"]");
	char *name = line + 1 + word + strspn(line + 1 + word, " \t");

	if (len < 3 || line[len - 1] != ']')
		return refuse(p, "a section is a line as [retention] or [source \"app\"]");
	line[--len] = '\0';
	if (name < line + len && (*name != '"' || line[len - 1] != '"' ||
				  (line[len - 1] = '\0', !name_ok(name + 1, strlen(name + 1)))))
		return refuse(p,
			      "the name of a section is one of letters, digits and ._- in "
			      "double quotes, %u at most",
			      NAME_BYTES);
	name = name < line + len ? name + 1 : NULL;
	line[1 + word] = '\0';
	p->in_section = true;
	p->seen = 0;
	p->key = NULL;
	for (unsigned i = 0; i < CONFIG_SECTION_KINDS; i++) {
		if (strcmp(line + 1, config_section_names[i]) == 0) {
			p->section = (enum config_section)i;
			return open_kind(p, p->section, name);
		}
	}
	return refuse(p, "unknown section [%s]", line + 1);
}

/* --- keys --- */

/* What a value must be is said behind the name, as a sentence or behind a colon. */
static int refuse_value(struct parser *p, int r, const char *name, const struct err *why)
{
	if (r == -ERR_NOMEM)
		return err_nomem(p->err);
	return refuse(p, "'%s'%s%s", name, why->text[0] == ':' ? "" : " ", why->text);
}

/* "path =" must be followed by what it is. */
static int close_key(struct parser *p)
{
	unsigned line = p->line;
	struct err why = {0};
	int r;

	if (!p->key)
		return 0;
	p->line = p->key_line;
	if (!p->key_has_value) {
		(void)refuse(p, "'%s' has no value", p->key->name);
	} else {
		r = config_key_close(p->key, p->members, &why);
		if (r)
			(void)refuse_value(p, r, p->key->name, &why);
	}
	p->line = line;
	p->key = NULL;
	return -p->err->code;
}

static int find_key(struct parser *p, const char *name)
{
	if (!*name)
		return refuse(p, "the name of a key is missing: 'key = value'");
	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];

		if (key->section != p->section || strcmp(key->name, name) != 0)
			continue;
		if (p->seen >> i & 1 && !config_kind_repeats(key->kind))
			return refuse(p, "'%s' comes twice in this section", name);
		p->seen |= UINT64_C(1) << i;
		p->keys[p->section]++;
		p->key = key;
		p->key_line = p->line;
		p->key_has_value = false;
		return 0;
	}
	p->key = NULL;
	return refuse(p, "unknown key '%s' in [%s]", name, config_section_names[p->section]);
}

static int take_pair(struct parser *p, const char *name, const char *value)
{
	struct err why = {0};
	int r = 0;

	if (!p->in_section)
		return refuse(p, "'%s' stands before the first section", name);
	if (p->indented && !p->key)
		return refuse(p, "an indented line goes on with the one above, and there is none");
	if (p->indented && !config_kind_goes_on(p->key->kind))
		return refuse(p, "'%s' takes one line; this one is indented", p->key->name);
	if (!p->indented)
		r = close_key(p);
	if (!r && !p->indented)
		r = find_key(p, name);
	if (r || (!*value && config_kind_goes_on(p->key->kind)))
		return r;
	if (!*value)
		return refuse(p, "'%s' has no value", name);
	r = config_key_set(p->key, p->members, value, p->indented && p->key_has_value, &why);
	p->key_has_value = true;
	return r ? refuse_value(p, r, name, &why) : 0;
}

/* inih's idea of success is 1. */
static int on_pair(void *user, const char *section, const char *name, const char *value)
{
	struct parser *p = user;

	(void)section; /* cut at 50 bytes; take_line has seen all of it */
	return take_pair(p, name, p->long_value ? p->long_value : value) == 0;
}

/* --- lines --- */

static const char white[] = " \t\r\v\f";

/*
 * What inih would take without a word and not as it was meant. It ends a value at a ';' behind white space, which cuts a shell
 * script short.
 */
static int judge_line(struct parser *p, char *line)
{
	size_t len = strlen(line);
	char *start = line + strspn(line, white);

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];

		if ((c < 0x20 && !strchr(white, c)) || c == 0x7f)
			return refuse(p, "holds a control character");
	}
	if (len > CONFIG_LINE_BYTES)
		return refuse(p, "longer than %u bytes; an indented line goes on with a value",
			      CONFIG_LINE_BYTES);
	p->indented = start > line;
	while (len && strchr(white, line[len - 1]))
		line[--len] = '\0';
	if (!*start || *start == '#' || *start == ';')
		return 0;
	for (char *c = start; *c; c++) {
		if (*c == ';' && strchr(white, c[-1]))
			return refuse(p,
				      "';' behind a blank would begin a comment: comments stand "
				      "on lines of their own, and a script has a line a command");
	}
	if (p->indented && *start == '[')
		return refuse(p, "a section begins at the beginning of a line");
	if (*start != '[' && !p->indented && !strpbrk(start, "=:"))
		return refuse(p, "is neither a section, nor 'key = value', nor a comment");
	if (*start != '[')
		return 0;
	return close_key(p) ? -p->err->code : open_section(p, line);
}

/* Copies the next line without its end. False when there is none, or it has a zero byte. */
static bool next_line(struct parser *p, char **out_line)
{
	const char *start, *end;
	size_t len;

	*out_line = NULL;
	if (p->at >= p->len)
		return false;
	start = p->text + p->at;
	end = memchr(start, '\n', p->len - p->at);
	len = end ? (size_t)(end - start) : p->len - p->at;
	p->at += len + 1;
	p->line++;
	if (p->line == 1 && len >= 3 && memcmp(start, "\xef\xbb\xbf", 3) == 0) {
		start += 3;
		len -= 3;
	}
	if (memchr(start, '\0', len)) {
		(void)refuse(p, "holds a zero byte");
		return false;
	}
	*out_line = strndup(start, len);
	if (!*out_line)
		(void)err_nomem(p->err);
	return *out_line != NULL;
}

/*
 * inih is built with a longest line, 198 bytes in most places. It gets the key of a longer one and something for a value, which
 * on_pair then takes from here.
 */
static int shorten(struct parser *p, char *line, size_t room)
{
	size_t len = strlen(line), key;
	const char *value;

	if (len <= room)
		return 0;
	if (strchr("#;", line[strspn(line, white)])) {
		line[0] = '\0';
		return 0;
	}
	/* judge_line has seen that it has one. */
	key = p->indented ? strspn(line, white) : strcspn(line, "=:") + 1;
	if (key + 1 > room)
		return refuse(p, "begins with no key: 'key = value'");
	while (strchr(white, line[len - 1]))
		line[--len] = '\0';
	value = line + key + strspn(line + key, white);
	p->long_value = strdup(value);
	if (!p->long_value)
		return err_nomem(p->err);
	memcpy(line + key, *value ? "-" : "", *value ? 2 : 1);
	return 0;
}

/* An ini_reader: a line a call, so that ours and inih's lines are the same. Ends at the first error. */
static char *read_line(char *str, int num, void *stream)
{
	struct parser *p = stream;
	size_t room = num > 2 ? (size_t)num - 2 : 0;
	char *line, *given = NULL;

	free(p->long_value);
	p->long_value = NULL;
	if (p->err->code || !next_line(p, &line))
		return NULL;
	given = strdup(line); /* a section's line is taken apart */
	if (!given)
		(void)err_nomem(p->err);
	else if (judge_line(p, line) == 0 && (given[0] == '[' || shorten(p, given, room) == 0)) {
		/* Sections are ours, and inih would cut their names. */
		size_t len = given[0] == '[' ? 0 : strlen(given);

		memcpy(str, given, len);
		memcpy(str + len, "\n", 2);
	}
	free(line);
	free(given);
	return p->err->code ? NULL : str;
}

/* --- the whole --- */

/* Of "https://user:password@host" what stands before the '@', *out_len bytes; NULL without. */
static const char *user_of(const char *location, size_t *out_len)
{
	const char *host = strstr(location, "://"), *at;

	if (!host)
		return NULL;
	host += 3;
	at = memrchr(host, '@', strcspn(host, "/?#"));
	*out_len = at ? (size_t)(at - host) : 0;
	return at ? host : NULL;
}

bool config_names_user(const char *location)
{
	size_t len;

	return user_of(location, &len) != NULL;
}

/* A user alone is no secret. */
static bool has_password(const char *location)
{
	size_t len = 0;
	const char *user = user_of(location, &len);

	return user && memchr(user, ':', len) != NULL;
}

static int check_repository(const char *from, const struct config_repository *r, struct err *err)
{
	if (!r->location)
		return err_set(err, ERR_USAGE, "%s:%u: the repository '%s' has no location", from,
			       r->line, r->name);
	if ((r->password_file != NULL) + (r->password_command != NULL) + (r->key_file != NULL) > 1)
		return err_set(err, ERR_USAGE,
			       "%s:%u: give the repository '%s' one of password-file, "
			       "password-command and key-file, not several",
			       from, r->line, r->name);
	if (!r->rest_username != !r->rest_password_file)
		return err_set(err, ERR_USAGE,
			       "%s:%u: give the repository '%s' both rest-username and "
			       "rest-password-file, or neither",
			       from, r->line, r->name);
	if (r->rest_username && strncmp(r->location, "rest:", 5) != 0)
		return err_set(
		    err, ERR_USAGE,
		    "%s:%u: rest-username is for a location that begins with rest:", from, r->line);
	if (r->rest_username && config_names_user(r->location))
		return err_set(err, ERR_USAGE,
			       "%s:%u: the location of the repository '%s' names a user, and so "
			       "does rest-username: one of them",
			       from, r->line, r->name);
	return 0;
}

static int check_source(const struct parser *p, const struct config_source *s, struct err *err)
{
	if (s->paths.count == 0)
		return err_set(err, ERR_USAGE, "%s:%u: the source '%s' has no path", p->from,
			       s->line, s->name);
	if (s->drill.count && !p->config->checks.drill_days)
		return err_set(
		    err, ERR_USAGE,
		    "%s:%u: what 'assert' says is checked by drills, and [checks] has no "
		    "'drill-days'",
		    p->from, s->line);
	return 0;
}

/* What is wrong with a section as a whole; its line. NULL = nothing. */
static const char *odd_section(const struct parser *p, enum config_section kind)
{
	const struct config *c = p->config;
	const struct lines *forget = &c->retention.forget;
	bool keeps = false;

	for (size_t i = 0; i < forget->count; i++)
		keeps = keeps || strncmp(forget->items[i], "--keep-", 7) == 0;
	if (kind == SECTION_PING && c->ping.url && c->ping.url_file)
		return "give [ping] one of url and url-file, not both";
	if (kind == SECTION_PING && !c->ping.url && !c->ping.url_file)
		return "[ping] has no url";
	if (kind == SECTION_METRICS && !c->metrics_textfile)
		return "[metrics] has no textfile";
	if (kind == SECTION_CHECKS && c->checks.off && p->keys[kind] > 1)
		return "'off' goes with no other check";
	if (kind == SECTION_CHECKS && c->checks.drill.count && !c->checks.drill_days)
		return "what 'assert' says is checked by drills, and there is no 'drill-days'";
	if (kind == SECTION_RETENTION && c->retention.prune.count && !c->retention.run_prune)
		return "what prune does is said, but not 'prune = yes'";
	if (kind == SECTION_RETENTION && forget->count && !keeps)
		return "what to keep is not said, such as 'keep-daily = 7'";
	return NULL;
}

static int check_whole(const struct parser *p, struct err *err)
{
	const struct config *c = p->config;
	const char *odd;
	int r = 0;

	for (size_t i = 0; !r && i < c->repository_count; i++)
		r = check_repository(p->from, &c->repositories[i], err);
	for (size_t i = 0; !r && i < c->source_count; i++)
		r = check_source(p, &c->sources[i], err);
	for (unsigned kind = 0; !r && kind < CONFIG_SECTION_KINDS; kind++) {
		odd = p->opened[kind] ? odd_section(p, (enum config_section)kind) : NULL;
		if (odd)
			r = err_set(err, ERR_USAGE, "%s:%u: %s", p->from, p->opened[kind], odd);
	}
	return r;
}

int config_parse(const char *text, size_t len, const char *from, struct config *out_config,
		 struct err *err)
{
	struct err why = {0};
	struct parser p = {
	    .from = from, .text = text, .len = len, .config = out_config, .err = &why};
	int at;

	*out_config = (struct config){0};
	if (len > CONFIG_BYTES)
		return err_set(err, ERR_LIMIT, "%s: too long, this is no configuration file", from);
	at = ini_parse_stream(read_line, &p, on_pair, &p);
	free(p.long_value);
	if (at > 0 && !why.code) { /* what inih refuses of itself */
		p.line = (unsigned)at;
		(void)refuse(&p, "does not read as 'key = value'");
	} else if (at < 0 && !why.code) {
		(void)err_nomem(&why);
	}
	if (!why.code)
		(void)close_key(&p);
	if (!why.code)
		(void)check_whole(&p, &why);
	if (!why.code)
		return 0;
	config_free(out_config);
	*err = why;
	return -why.code;
}

static void hooks_free(struct config_hooks *h)
{
	free(h->before);
	free(h->after);
	free(h->failed);
}

void config_free(struct config *config)
{
	for (size_t i = 0; i < config->repository_count; i++) {
		struct config_repository *r = &config->repositories[i];

		free(r->name);
		free(r->location);
		free(r->password_file);
		free(r->password_command);
		free(r->key_file);
		lines_free(&r->extended);
		free(r->cacert);
		free(r->rest_username);
		free(r->rest_password_file);
		free(r->parity);
	}
	for (size_t i = 0; i < config->source_count; i++) {
		struct config_source *s = &config->sources[i];

		free(s->name);
		lines_free(&s->paths);
		lines_free(&s->words);
		lines_free(&s->drill);
		hooks_free(&s->hooks);
	}
	free(config->repositories);
	free(config->sources);
	lines_free(&config->checks.drill);
	lines_free(&config->retention.forget);
	lines_free(&config->retention.prune);
	hooks_free(&config->hooks);
	hooks_free(&config->restore_hooks);
	free(config->metrics_textfile);
	free(config->ping.url);
	free(config->ping.url_file);
	*config = (struct config){0};
}

const char *config_secret(const struct config *config)
{
	if (config->ping.url)
		return "the ping's url";
	for (size_t i = 0; i < config->repository_count; i++) {
		if (has_password(config->repositories[i].location))
			return "a password in a location";
	}
	return NULL;
}
