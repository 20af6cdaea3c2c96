/* A command line, words ended by zero bytes: understood or refused in one line, and run by nobody. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MOST 40u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 2), *words[WORDS_MOST + 1] = {0};
	struct err err = {0};
	int count = 0, rc;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	for (char *p = text; p < text + size && count < (int)WORDS_MOST; p += strlen(p) + 1)
		words[count++] = p;
	if (count) {
		rc = command_try(count, words, &err);
		if (rc && !err.text[0])
			abort();
	}
	free(text);
	return 0;
}
