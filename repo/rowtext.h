/* rowtext: SQLite's texts in UTF-8. Any thread. */
#ifndef NIGHTJAR_REPO_ROWTEXT_H
#define NIGHTJAR_REPO_ROWTEXT_H

#include "core/buf.h"

/*
 * encoding: that of the manifest (1 UTF-8, 2 UTF-16le, 3 UTF-16be). malloc'd; ends at a zero character; half a surrogate becomes
 * U+FFFD. NULL: no memory.
 */
char *rowtext_utf8(const struct span *text, uint8_t encoding);

#endif
