/* A configuration file. Whatever comes is refused with its line, or is whole; nothing leaks or hangs. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	struct config c;

	if (config_parse((const char *)data, size, "f", &c, &err) != 0) {
		if (!err.text[0] || c.repositories || c.sources)
			abort();
		return 0;
	}
	for (size_t i = 0; i < c.repository_count; i++) {
		if (!c.repositories[i].location || !c.repositories[i].name)
			abort();
	}
	for (size_t i = 0; i < c.source_count; i++) {
		if (c.sources[i].paths.count == 0 || c.sources[i].paths.items[0][0] != '/')
			abort();
	}
	(void)config_secret(&c);
	config_free(&c);
	return 0;
}
