/* config: everything that a file may say arrives where it belongs, and everything else is refused with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config.h"

static struct config parsed(const char *text)
{
	struct config c;
	struct err err = {0};

	if (config_parse(text, strlen(text), "f.ini", &c, &err) != 0)
		fail_msg("%s", err.text);
	return c;
}

static void assert_lines(const struct lines *l, const char *want)
{
	char got[1024] = "";

	for (size_t i = 0; i < l->count; i++) {
		(void)strcat(got, i ? "|" : "");
		(void)strcat(got, l->items[i]);
	}
	assert_string_equal(got, want);
}

static void how_it_is_reached(void **state)
{
	struct config c = parsed("[repository]\n"
				 "location = rest:https://host/x/\n"
				 "limit-upload = 500\n"
				 "limit-download = 0\n"
				 "option = connections=2\n"
				 "option =\n"
				 "  s3.region=eu\n"
				 "  sftp.command=ssh -4\n"
				 "cacert = /c.pem\n"
				 "rest-username = me\n"
				 "rest-password-file = /p\n"
				 "append-only = yes\n"
				 "parity = 4\n"
				 "[repository \"other\"]\n"
				 "location = /x\n");
	const struct config_repository *r = &c.repositories[0];

	(void)state;
	assert_true(r->limit_upload.given && r->limit_download.given);
	assert_int_equal(r->limit_upload.value, 500);
	assert_int_equal(r->limit_download.value, 0);
	assert_lines(&r->extended, "connections=2|s3.region=eu|sftp.command=ssh -4");
	assert_string_equal(r->cacert, "/c.pem");
	assert_string_equal(r->rest_username, "me");
	assert_string_equal(r->rest_password_file, "/p");
	assert_true(r->append_only);
	assert_false(c.repositories[1].limit_upload.given || c.repositories[1].append_only);
	assert_string_equal(r->parity, "4");
	assert_null(c.repositories[1].parity);
	assert_int_equal(c.repositories[1].extended.count, 0);
	assert_null(config_secret(&c));
	config_free(&c);
}

static void repositories(void **state)
{
	struct config c = parsed("\xef\xbb\xbf# a comment\n"
				 "; another\n"
				 "\n"
				 "[repository \"disk.1\"]\r\n"
				 "location = /srv/repo of mine  \r\n"
				 "key-file=/k\n"
				 "  # indented comments are comments, too\n"
				 "[repository \"away\"]\n"
				 "location: rest:https://host:8000/x\n"
				 "password-command = pass show x");

	(void)state;
	assert_int_equal(c.repository_count, 2);
	assert_string_equal(c.repositories[0].name, "disk.1");
	assert_string_equal(c.repositories[0].location, "/srv/repo of mine");
	assert_string_equal(c.repositories[0].key_file, "/k");
	assert_null(c.repositories[0].password_file);
	assert_string_equal(c.repositories[1].name, "away");
	assert_string_equal(c.repositories[1].location, "rest:https://host:8000/x");
	assert_string_equal(c.repositories[1].password_command, "pass show x");
	assert_null(config_secret(&c));
	config_free(&c);
	assert_int_equal(c.repository_count, 0);
}

static void sources(void **state)
{
	struct config c = parsed("[source]\n"
				 "path =\n"
				 "\t/a\n"
				 "\n"
				 "    /b b\n"
				 "path = /c\n"
				 "exclude = *.tmp\n"
				 "    # not this one\n"
				 "    x;y\n"
				 "tag = a,b\n"
				 "one-file-system = yes\n"
				 "exclude-larger-than = 10G\n"
				 "refs = app.db: SELECT path\n"
				 "   FROM t WHERE a = 1\n"
				 "refs =\n"
				 "   b.db: SELECT p\n"
				 "   FROM u\n"
				 "immutable = /a/up\n"
				 "before =\n"
				 "  cd /a\n"
				 "  ./lock on\n"
				 "after = ./lock off\n"
				 "time-limit = 90s\n"
				 "[source \"two\"]\n"
				 "path = /d\n"
				 "one-file-system = no\n"
				 "host = h\n");

	(void)state;
	assert_int_equal(c.source_count, 2);
	assert_string_equal(c.sources[0].name, "source");
	assert_lines(&c.sources[0].paths, "/a|/b b|/c");
	assert_lines(&c.sources[0].words,
		     "--exclude=*.tmp|--exclude=x;y|--tag=a,b|--one-file-system|"
		     "--exclude-larger-than=10G|--refs=app.db: SELECT path FROM t WHERE a = 1|"
		     "--refs=b.db: SELECT p FROM u|--immutable=/a/up");
	assert_string_equal(c.sources[0].hooks.before, "cd /a\n./lock on");
	assert_string_equal(c.sources[0].hooks.after, "./lock off");
	assert_null(c.sources[0].hooks.failed);
	assert_int_equal(c.sources[0].hooks.time_limit_s, 90);
	assert_string_equal(c.sources[1].name, "two");
	assert_lines(&c.sources[1].words, "--host=h");
	config_free(&c);
}

static void the_rest(void **state)
{
	struct config c = parsed("[retention]\n"
				 "keep-daily = 7\n"
				 "keep-within = 1y6m\n"
				 "keep-tag = a\n"
				 "keep-tag = b\n"
				 "min-age = 2d\n"
				 "prune = yes\n"
				 "grace = 72h\n"
				 "[checks]\n"
				 "read-data-days = 30\n"
				 "drill-days = 60\n"
				 "integrity = full\n"
				 "[hooks \"restore\"]\n"
				 "before = stop\n"
				 "[hooks]\n"
				 "failed = tell\n"
				 "time-limit = 2h\n"
				 "[metrics]\n"
				 "textfile = /m.prom\n"
				 "[ping]\n"
				 "url = https://hc/1\n"
				 "timeout = 3s\n");

	(void)state;
	assert_lines(&c.retention.forget,
		     "--keep-daily=7|--keep-within=1y6m|--keep-tag=a|--keep-tag=b|--min-age=2d");
	assert_lines(&c.retention.prune, "--grace=72h");
	assert_true(c.retention.run_prune);
	assert_int_equal(c.checks.read_data_days, 30);
	assert_int_equal(c.checks.drill_days, 60);
	assert_true(c.checks.integrity_full && !c.checks.off);
	assert_string_equal(c.restore_hooks.before, "stop");
	assert_null(c.hooks.before);
	assert_string_equal(c.hooks.failed, "tell");
	assert_int_equal(c.hooks.time_limit_s, 7200);
	assert_string_equal(c.metrics_textfile, "/m.prom");
	assert_string_equal(c.ping.url, "https://hc/1");
	assert_int_equal(c.ping.timeout_s, 3);
	assert_non_null(config_secret(&c));
	config_free(&c);
}

static void empty_files(void **state)
{
	struct config c = parsed("");

	(void)state;
	assert_int_equal(c.repository_count, 0);
	config_free(&c);
	c = parsed("\n\n# nothing\n");
	config_free(&c);
	c = parsed("[checks]\n[retention]\n");
	assert_null(c.metrics_textfile);
	config_free(&c);
}

/* What is wrong, where, and a part of what is said. */
static void refused(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *says;
	} table[] = {
	    {"x = 1\n", 1, "before the first section"},
	    {"[nightly]\n", 1, "unknown section [nightly]"},
	    {"[]\n", 1, "section is a line as"},
	    {"[retention\n", 1, "section is a line as"},
	    {"[retention] x\n", 1, "section is a line as"},
	    {"[retention \"x\"]\n", 1, "takes no name"},
	    {"[source app]\n", 1, "double quotes"},
	    {"[source \"\"]\n", 1, "double quotes"},
	    {"[source \"a b\"]\n", 1, "double quotes"},
	    {"[source \"a\" \"b\"]\n", 1, "double quotes"},
	    {"[source \"abcdefghijklmnopqrstuvwxyz0123456\"]\n", 1, "double quotes"},
	    {"[source \"a]\n", 1, "double quotes"},
	    {"# c\n\n [source]\n", 3, "begins at the beginning"},
	    {"[retention]\n[checks]\n[retention]\n", 3, "in line 1 already"},
	    {"[hooks]\n[hooks \"restore\"]\n[hooks]\n", 3, "[hooks] is in line 1 already"},
	    {"\n[hooks \"restore\"]\n[hooks \"restore\"]\n", 3,
	     "\"restore\"] is in line 2 already"},
	    {"[hooks \"backup\"]\n", 1, "[hooks \"restore\"]"},
	    {"[source]\npath = /a\n[source]\npath = /b\n", 3, "'source' is in line 1"},
	    {"[repository \"a\"]\nlocation = /a\n[repository \"a\"]\n", 3, "name each"},
	    {"[retention]\nkeep-dialy = 7\n", 2, "unknown key 'keep-dialy' in [retention]"},
	    {"[retention]\npath = /a\n", 2, "unknown key 'path'"},
	    {"[retention]\nkeep-daily = 7\nkeep-daily = 8\n", 3, "comes twice"},
	    {"[retention]\nkeep-daily\n", 2, "neither a section"},
	    {"[retention]\nkeep-daily 7\n[nonsense]\n", 2, "neither a section"},
	    {"[retention]\nkeep-daily = 7\n  8\n", 3, "takes one line"},
	    {"[retention]\n  keep-daily = 7\n", 2, "there is none"},
	    {"[retention]\nkeep-daily =\n", 2, "has no value"},
	    {"[retention]\nkeep-daily = 0\n", 2, "number of backups"},
	    {"[retention]\nkeep-daily = -7\n", 2, "number of backups"},
	    {"[retention]\nkeep-daily = 7 # a week\n", 2, "number of backups"},
	    {"[retention]\nkeep-daily = 7 ; a week\n", 2, "comments stand on lines"},
	    {"[retention]\nkeep-daily = 99999999999999999999\n", 2, "number of backups"},
	    {"[checks]\nread-data-days = 99999999999999999999\n", 2, "number from 1"},
	    {"[retention]\nprune = maybe\n", 2, "yes or no"},
	    {"[retention]\nprune = true\n", 2, "yes or no"},
	    {"[retention]\nmin-age = 2\n", 2, "no duration"},
	    {"[retention]\nkeep-within = 90s\n", 2, "no duration"},
	    {"[retention]\nprune = yes\ngrace = 2 d\n", 3, "a time such as"},
	    {"[retention]\nkeep-daily = 1\ngrace = 72h\n", 1, "'prune = yes'"},
	    {"[retention]\nprune = yes\ngrace = 90s\n", 3, "a time such as"},
	    {"[retention]\nkeep-daily = seven\n", 2, "'keep-daily': 'seven' is no"},
	    {"[retention]\n= x\n", 2, "the name of a key is missing"},
	    {"[repository]\nlocation = /x\nparity = 3\n", 3, "'parity': '3' is not off, 2 or 4"},
	    {"[repository]\nlocation = /x\nparity = 2\nparity = 4\n", 4, "'parity' comes twice"},
	    {"[retention]\nprune = yes\ngrace = 1h\n", 3, "'grace': 2 hours at least"},
	    {"[retention]\nprune = yes\nmax-unused = much\n", 3, "'max-unused': 'much' is neither"},
	    {"[retention]\nprune = yes\nmax-unused = 5\n", 3, "'max-unused': '5' has no unit"},
	    {"[retention]\nprune = yes\nmax-repack-size = 99999999t\n", 3,
	     "'max-repack-size': 99999999t is too large"},
	    {"[retention]\nkeep-last = 1\ngroup-by = host,path\n", 3,
	     "'group-by': 'path' is none of host, paths, tags"},
	    {"\n[retention]\nmin-age = 2d\n", 2, "what to keep is not said"},
	    {"[checks]\nintegrity = yes\n", 2, "full or due"},
	    {"[checks]\noff = yes\nintegrity = full\n", 1, "no other check"},
	    {"[checks]\noff = yes\nintegrity = due\n", 1, "no other check"},
	    {"[checks]\nassert = a.db: SELECT 1\n", 1, "no 'drill-days'"},
	    {"[checks]\ndrill-days = 1\nassert = a.db: DELETE\n", 3, "'assert': "},
	    {"[checks]\nassert =\n   a.db:\n   DROP TABLE t\ndrill-days = 1\n", 2, "'assert': "},
	    {"[source]\npath = /a\nassert = a.db: SELECT 1\n", 1, "no 'drill-days'"},
	    {"[checks]\noff = yes\ndrill-days = 3\n", 1, "no other check"},
	    {"[source]\npath = app\n", 2, "begins with '/'"},
	    {"[source]\npath = \"/app\"\n", 2, "begins with '/'"},
	    {"[source]\nexclude = a\n", 1, "has no path"},
	    {"[source]\npath = /a\n  b\n", 3, "begins with '/'"},
	    {"[source]\npath =\n\n[checks]\n", 2, "'path' has no value"},
	    {"[source]\npath =\nexclude = a\n", 2, "'path' has no value"},
	    {"[source]\npath =", 2, "'path' has no value"},
	    {"[source]\npath = /a\nexclude-larger-than = much\n", 3, "a size as"},
	    {"[source]\npath = /a\nexclude-larger-than = 99999999999t\n", 3, "is too large"},
	    {"[source]\npath = /a\nexclude =\n  *.tmp\n  a[\n", 5, "'exclude': pattern 'a['"},
	    {"[source]\npath = /a\nrefs = app.db SELECT path FROM t\nhost = h\n", 3, "'refs': "},
	    {"[source]\npath = /a\nrefs = app.db:\n  UPDATE t\n  SET x\n", 3, "'refs': "},
	    {"[source]\npath = /a\nbefore = cd /x ; rm y\n", 3, "';' behind a blank"},
	    {"[source]\npath = /a\nimmutable = up\n", 3, "begins with '/'"},
	    {"[source]\npath = /a\x01\n", 2, "control character"},
	    {"[repository]\nkey-file = /k\n", 1, "has no location"},
	    {"[repository]\nlocation = /a\nkey-file = /k\npassword-file = /p\n", 1, "not several"},
	    {"[repository]\nlocation = /a\npassword = x\n", 3, "unknown key 'password'"},
	    {"[ping]\nurl = https://a\nurl-file = /b\n", 1, "not both"},
	    {"[ping]\n", 1, "has no url"},
	    {"[ping]\ntimeout = 9s\nurl = ftp://host/x\n", 3, "'url' must begin with https://"},
	    {"[ping]\nurl = https://\n", 2, "and a host"},
	    {"[ping]\nurl = https:///x\n", 2, "and a host"},
	    {"[ping]\nurl = https://h/a b\n", 2, "no blank"},
	    {"[ping]\nurl = https://h/a\x02\n", 2, "control character"},
	    {"[metrics]\n", 1, "[metrics] has no textfile"},
	    {"[metrics]\ntextfile = /m.txt\n", 2, "ends with .prom"},
	    {"[metrics]\ntextfile = /m/.prom\n", 2, "ends with .prom"},
	    {"[metrics]\ntextfile = m.prom\n", 2, "begins with '/'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct err err = {0};
		struct config c;
		char where[32];

		(void)snprintf(where, sizeof(where), "f.ini:%u: ", table[i].line);
		assert_int_equal(
		    config_parse(table[i].text, strlen(table[i].text), "f.ini", &c, &err),
		    -ERR_USAGE);
		if (strncmp(err.text, where, strlen(where)) != 0 ||
		    !strstr(err.text, table[i].says))
			fail_msg("%s\n: %s", table[i].text, err.text);
		assert_int_equal(c.source_count + c.repository_count, 0);
	}
}

/* inih alone takes 198 bytes. */
static void long_lines(void **state)
{
	size_t room = 8 * CONFIG_LINE_BYTES;
	char *text = calloc(1, room), *a = calloc(1, room);
	struct config c;
	struct err err = {0};

	(void)state;
	assert_true(text && a);
	for (size_t len = 150; len < CONFIG_LINE_BYTES - 50; len += len < 250 ? 1 : 997) {
		memset(a, 'a', len);
		(void)snprintf(text, room,
			       "[source]\npath=/%s\n \t/b/%s \t\r\n# %s\n  ; %s\nbefore = %s\n"
			       "\techo %s\nhost : %s",
			       a, a, a, a, a, a, "h");
		c = parsed(text);
		assert_int_equal(c.sources[0].paths.count, 2);
		assert_int_equal(strlen(c.sources[0].paths.items[0]), len + 1);
		assert_int_equal(strlen(c.sources[0].paths.items[1]), len + 3);
		assert_int_equal(strlen(c.sources[0].hooks.before), 2 * len + 6);
		assert_lines(&c.sources[0].words, "--host=h");
		config_free(&c);
	}
	memset(a, 'a', CONFIG_LINE_BYTES);
	(void)snprintf(text, room, "[source]\npath = /%s", a);
	assert_int_equal(config_parse(text, strlen(text), "f.ini", &c, &err), -ERR_USAGE);
	assert_non_null(strstr(err.text, "f.ini:2: longer than"));
	a[300] = '\0';
	(void)snprintf(text, room, "[source]\npath = /a\n%300s\nhost =%300s\n", "", "");
	err = (struct err){0};
	assert_int_equal(config_parse(text, strlen(text), "f.ini", &c, &err), -ERR_USAGE);
	assert_string_equal(err.text, "f.ini:4: 'host' has no value");
	(void)snprintf(text, room, "[source]\n%s = 1\n", a);
	err = (struct err){0};
	assert_int_equal(config_parse(text, strlen(text), "f.ini", &c, &err), -ERR_USAGE);
	assert_non_null(strstr(err.text, "f.ini:2: begins with no key"));
	(void)snprintf(text, room, "[source]\npath = /a\nhost = %s\n", a);
	err = (struct err){0};
	assert_int_equal(config_parse(text, strlen(text), "f.ini", &c, &err), -ERR_USAGE);
	assert_non_null(strstr(err.text, "f.ini:3: 'host': at most"));
	(void)snprintf(text, room, "[source \"%s\"]\n", a);
	err = (struct err){0};
	assert_int_equal(config_parse(text, strlen(text), "f.ini", &c, &err), -ERR_USAGE);
	assert_non_null(strstr(err.text, "f.ini:1: the name of a section"));
	free(text);
	free(a);
}

static void assertions(void **state)
{
	struct config c = parsed("[source]\n"
				 "path = /a\n"
				 "assert = app.db:\n"
				 "    SELECT count(*)\n"
				 "    FROM t\n"
				 "[checks]\n"
				 "drill-days = 3\n"
				 "assert = a.db: SELECT 1\n"
				 "assert = b.db: SELECT 2\n");

	(void)state;
	assert_lines(&c.sources[0].drill, "--assert=app.db: SELECT count(*) FROM t");
	assert_lines(&c.checks.drill, "--assert=a.db: SELECT 1|--assert=b.db: SELECT 2");
	assert_int_equal(c.sources[0].words.count, 0);
	config_free(&c);
}

static void zero_bytes_and_size(void **state)
{
	static const char text[] = "[source]\npath = /a\0b\n";
	struct config c;
	struct err err = {0};
	char *large = calloc(1, CONFIG_BYTES + 1);

	(void)state;
	assert_int_equal(config_parse(text, sizeof(text) - 1, "f.ini", &c, &err), -ERR_USAGE);
	assert_string_equal(err.text, "f.ini:2: holds a zero byte");
	assert_non_null(large);
	memset(large, '\n', CONFIG_BYTES + 1);
	assert_int_equal(config_parse(large, CONFIG_BYTES, "f.ini", &c, &err), 0);
	config_free(&c);
	assert_int_equal(config_parse(large, CONFIG_BYTES + 1, "f.ini", &c, &err), -ERR_LIMIT);
	free(large);
}

static void secrets(void **state)
{
	static const struct {
		const char *location;
		bool secret;
	} table[] = {
	    {"/srv/a:b@c", false},
	    {"sftp:user@host:/path", false},
	    {"rest:https://host:8000/a@b", false},
	    {"rest:https://user@host/", false},
	    {"rest:https://user:pw@host/", true},
	    {"s3:https://host/x?y=a:b@c", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char text[128];
		struct config c;

		(void)snprintf(text, sizeof(text), "[repository]\nlocation = %s\n",
			       table[i].location);
		c = parsed(text);
		assert_int_equal(config_secret(&c) != NULL, table[i].secret);
		config_free(&c);
	}
}

static void the_example_parses(void **state)
{
	struct config c = parsed(config_example);

	(void)state;
	assert_int_equal(c.repository_count, 1);
	assert_int_equal(c.source_count, 1);
	assert_lines(&c.sources[0].paths, "/srv/app/data|/srv/app/uploads");
	assert_lines(&c.retention.forget, "--keep-daily=7|--keep-weekly=4|--keep-monthly=12");
	assert_int_equal(c.checks.read_data_days, 30);
	config_free(&c);
}

/* And so does each line that it leaves to choose, without its '#'. */
static void what_the_example_offers_parses(void **state)
{
	char *text = strdup(config_example), *at = text;
	struct config c;

	(void)state;
	assert_non_null(text);
	while ((at = strstr(at, "\n# ")) != NULL) {
		size_t word = strspn(at + 3, "abcdefghijklmnopqrstuvwxyz-");

		if (at[3] == '[' || (word && strncmp(at + 3 + word, " = ", 3) == 0)) {
			/* What goes instead of the one above stays out. */
			if (strncmp(at + 3, "password-", 9) != 0)
				memmove(at + 1, at + 3, strlen(at + 3) + 1);
		}
		at++;
	}
	/* Some of it is for one behind a network. */
	at = strstr(text, "/srv/backup/app\n");
	assert_non_null(at);
	memcpy(at, "rest:http://h/p", 15);
	c = parsed(text);
	assert_string_equal(c.repositories[0].rest_username, "app1");
	assert_lines(&c.repositories[0].extended, "connections=8|retry-seconds=300");
	assert_string_equal(c.metrics_textfile, "/var/lib/prometheus/node-exporter/nightjar.prom");
	assert_string_equal(c.ping.url_file, "/etc/nightjar/ping.url");
	assert_non_null(c.hooks.failed);
	assert_non_null(c.restore_hooks.before);
	assert_lines(&c.retention.prune, "--max-unused=5%|--max-repack-size=2g|--grace=72h");
	config_free(&c);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(how_it_is_reached),
	    cmocka_unit_test(repositories),
	    cmocka_unit_test(sources),
	    cmocka_unit_test(the_rest),
	    cmocka_unit_test(empty_files),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(long_lines),
	    cmocka_unit_test(assertions),
	    cmocka_unit_test(zero_bytes_and_size),
	    cmocka_unit_test(secrets),
	    cmocka_unit_test(the_example_parses),
	    cmocka_unit_test(what_the_example_offers_parses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
