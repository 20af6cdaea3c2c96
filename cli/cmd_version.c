#include "cli/command.h"

#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <xxhash.h>
#include <zstd.h>
#ifdef HAVE_LIBCRYPTO
#include <openssl/crypto.h>
#endif

struct library {
	const char *name;
	const char *version;
};

static void print_json(struct out *out, const struct library *libraries, size_t count)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "version");
	json_str(&j, "version", NIGHTJAR_VERSION);
	json_object(&j, "libraries");
	for (size_t i = 0; i < count; i++)
		json_str(&j, libraries[i].name, libraries[i].version);
	json_close(&j);
	json_close(&j);
	out_json(out, &j);
	json_free(&j);
}

enum exit_code cmd_version(struct cli *cli, const void *options, int count, char **operands)
{
	char xxhash[16];
	const struct library libraries[] = {
	    {"sqlite3", sqlite3_libversion()},
	    {"libsodium", sodium_version_string()},
	    {"zstd", ZSTD_versionString()},
	    {"xxhash", xxhash},
#ifdef HAVE_LIBCRYPTO
	    {"libcrypto", OpenSSL_version(OPENSSL_VERSION_STRING)},
#endif
	};
	size_t libraries_count = sizeof(libraries) / sizeof(libraries[0]);
	unsigned xxh = XXH_VERSION_NUMBER;

	(void)options;
	(void)count;
	(void)operands;
	(void)snprintf(xxhash, sizeof(xxhash), "%u.%u.%u", xxh / 10000, xxh / 100 % 100, xxh % 100);
	if (cli->out.json) {
		print_json(&cli->out, libraries, libraries_count);
		return EXIT_OK;
	}
	out_line(&cli->out, "nightjar " NIGHTJAR_VERSION);
	for (size_t i = 0; i < libraries_count; i++)
		out_note(&cli->out, "%s %s", libraries[i].name, libraries[i].version);
	return EXIT_OK;
}
