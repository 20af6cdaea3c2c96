#include "cli/parity_word.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *word;
	uint8_t level;
} words[] = {{"off", 0}, {"2", 2}, {"4", 4}};

#define WORDS (sizeof(words) / sizeof(words[0]))

static size_t find(const char *word)
{
	size_t i = 0;

	while (i < WORDS && strcmp(word, words[i].word) != 0)
		i++;
	return i;
}

int parity_word_check(const char *word, struct err *err)
{
	if (!word || find(word) < WORDS)
		return 0;
	return err_set(err, ERR_USAGE, "--parity: '%s' is not off, 2 or 4", word);
}

void parity_word_set(const char *word, uint8_t *level)
{
	size_t i = word ? find(word) : WORDS;

	if (i < WORDS)
		*level = words[i].level;
}
