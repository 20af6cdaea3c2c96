/* parity_word: what --parity says: off, 2 or 4 (core/parity.h, levels). */
#ifndef NIGHTJAR_CLI_PARITY_WORD_H
#define NIGHTJAR_CLI_PARITY_WORD_H

#include <stdint.h>

#include "core/err.h"

/* Refuses what is none, before anything is asked for or opened: ERR_USAGE. NULL, not given, is fine. */
int parity_word_check(const char *word, struct err *err) ERR_UNUSED_WARN;
/* Sets the level to what a word says that was checked; leaves it alone for NULL. */
void parity_word_set(const char *word, uint8_t *level);

#endif
