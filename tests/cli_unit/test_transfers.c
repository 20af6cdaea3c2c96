/* What options make of cli->net, which are refused, and the words of what went over the network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "tests/support/must.h"

static void take(struct cli *cli, const char *word)
{
	cli->global.extended.items[cli->global.extended.count++] = word;
}

static void options_become_settings(void **state)
{
	struct cli cli = {0};
	struct err err = {0};

	(void)state;
	cli.global.ssh_command = "ssh -4";
	MUST(transfers_set(&cli, &err), &err);
	assert_null(cli.net.up);
	assert_null(cli.net.down);
	assert_int_equal(cli.net.connections, 0);
	assert_string_equal(cli.net.ssh_command, "ssh -4");
	cli.global.limit_upload = (struct option_number){true, 100};
	cli.global.limit_download = (struct option_number){true, 0};
	take(&cli, "connections=7");
	take(&cli, "retry-seconds=30");
	take(&cli, "stall-seconds=9");
	take(&cli, "s3.region=eu=1");
	take(&cli, "s3.storage-class=COLD");
	take(&cli, "s3.bucket-lookup=dns");
	take(&cli, "s3.bucket-lookup=path");
	take(&cli, "sftp.command=my ssh");
	MUST(transfers_set(&cli, &err), &err);
	assert_ptr_equal(cli.net.up, &cli.transfers.up);
	assert_int_equal(cli.net.up->bytes_per_s, 102400);
	assert_null(cli.net.down);
	assert_int_equal(cli.net.connections, 7);
	assert_int_equal(cli.net.retry_s, 30);
	assert_int_equal(cli.net.stall_s, 9);
	assert_string_equal(cli.net.s3_region, "eu=1");
	assert_string_equal(cli.net.s3_storage_class, "COLD");
	assert_int_equal(cli.net.s3_lookup, NET_S3_LOOKUP_PATH);
	assert_string_equal(cli.net.ssh_command, "my ssh");
	assert_false(net_stopped(&cli.net));
}

/* What the file says, and what beats it. */
static void the_file_comes_before_options(void **state)
{
	struct cli cli = {0};
	struct err err = {0};

	(void)state;
	cli.global.configured = (struct option_words){{"connections=3", "retry-seconds=9"}, 2};
	take(&cli, "connections=7");
	MUST(transfers_set(&cli, &err), &err);
	assert_int_equal(cli.net.connections, 7);
	assert_int_equal(cli.net.retry_s, 9);
}

/* Of a second repository: options are for both, what the file says of the first is not. */
static void the_second_repository_has_its_own(void **state)
{
	struct config_repository own = {.name = (char[]){"b"},
					.location = (char[]){"rest:http://b/"},
					.limit_download = {true, 5},
					.cacert = (char[]){"/b.pem"}};
	struct cli cli = {.file.config = {.repositories = &own, .repository_count = 1}};
	struct err err = {0};

	(void)state;
	take(&cli, "connections=7");
	cli.global.limit_upload = (struct option_number){true, 100};
	cli.said = cli.global;
	cli.global.cacert = "/a.pem";
	cli.global.rest_username = "me";
	cli.global.configured = (struct option_words){{"retry-seconds=9"}, 1};
	MUST(transfers_set(&cli, &err), &err);
	assert_string_equal(cli.net.rest_user, "me");
	MUST(transfers_set_from(&cli, "rest:http://b/", &err), &err);
	assert_null(cli.from_net.rest_user);
	assert_string_equal(cli.from_net.ca_file, "/b.pem");
	assert_int_equal(cli.from_net.connections, 7);
	assert_int_equal(cli.from_net.retry_s, 0);
	assert_ptr_equal(cli.from_net.up, cli.net.up);
	assert_int_equal(cli.from_net.down->bytes_per_s, 5 * 1024);
	assert_ptr_equal(cli.from_net.counts, cli.net.counts);
	MUST(transfers_set_from(&cli, "rest:http://c/", &err), &err);
	assert_null(cli.from_net.ca_file);
	assert_null(cli.from_net.down);
}

static void what_cannot_be_meant_is_refused(void **state)
{
	static const char *const words[] = {
	    "",
	    "connections",
	    "connections=",
	    "connections=0",
	    "connections=33",
	    "connections=4x",
	    "connections=-1",
	    "connections=99999999999999999999",
	    "Connections=4",
	    "s3.region",
	    "s3.region=",
	    "s3.bucket-lookup=maybe",
	    "s3.regio=x",
	    "=x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct cli cli = {0};
		struct err err = {0};

		take(&cli, words[i]);
		MUST_FAIL(transfers_set(&cli, &err), ERR_USAGE, &err);
		assert_non_null(strstr(err.text, "-o "));
	}
	struct cli cli = {.global.limit_upload = {true, UINT64_MAX}};
	struct err err = {0};

	MUST_FAIL(transfers_set(&cli, &err), ERR_USAGE, &err);
	assert_non_null(strstr(err.text, "--limit-upload"));
}

static void sums_have_words(void **state)
{
	struct transfer_sums sums = {0};
	char words[TRANSFERS_CHARS];
	struct cli cli = {0};
	struct err err = {0};

	(void)state;
	MUST(transfers_set(&cli, &err), &err);
	transfers_add(&cli, &sums);
	transfers_words(&sums, words);
	assert_string_equal(words, "");
	net_count_request(&cli.net);
	net_count_sent(&cli.net, 2048);
	transfers_add(&cli, &sums);
	transfers_words(&sums, words);
	assert_string_equal(words, "1 request, 2.000 KiB sent, 0 B received");
	net_count_retry(&cli.net);
	net_count_received(&cli.net, 5);
	transfers_add(&cli, &sums);
	transfers_words(&sums, words);
	assert_string_equal(words, "2 requests, 4.000 KiB sent, 5 B received, 1 retried");
	MUST(transfers_set(&cli, &err), &err); /* a new command */
	transfers_add(&cli, &sums);
	transfers_words(&sums, words);
	assert_string_equal(words, "2 requests, 4.000 KiB sent, 5 B received, 1 retried");
}

/* People are told of a long wait, and with -v of the first short one; never with -q. */
static void waits_are_told(void **state)
{
	char *text = NULL;
	size_t len = 0;
	struct cli cli = {0};
	struct err err = {0};

	(void)state;
	cli.out.errors = open_memstream(&text, &len);
	assert_non_null(cli.out.errors);
	MUST(transfers_set(&cli, &err), &err);
	cli.net.retrying(cli.net.retrying_arg, "a\nreset", 1, 2);
	cli.net.retrying(cli.net.retrying_arg, "b", 4, 8);
	cli.out.verbose = 1;
	cli.net.retrying(cli.net.retrying_arg, "c", 1, 2);
	cli.net.retrying(cli.net.retrying_arg, "d", 2, 2);
	cli.out.json = true;
	cli.net.retrying(cli.net.retrying_arg, "e", 3, 60);
	cli.out.quiet = true;
	cli.net.retrying(cli.net.retrying_arg, "f", 3, 60);
	assert_int_equal(fclose(cli.out.errors), 0);
	assert_string_equal(text, "nightjar: b; trying again in 8 s\n"
				  "nightjar: c; trying again in 2 s\n"
				  "{\"message_type\":\"warning\",\"message\":\"e; trying again in "
				  "60 s\"}\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(options_become_settings),
	    cmocka_unit_test(the_file_comes_before_options),
	    cmocka_unit_test(the_second_repository_has_its_own),
	    cmocka_unit_test(what_cannot_be_meant_is_refused),
	    cmocka_unit_test(sums_have_words),
	    cmocka_unit_test(waits_are_told),
	};

	return cmocka_run_group_tests_name("transfers", tests, NULL, NULL);
}
