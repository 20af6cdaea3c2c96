/*
 * dbfunctions: SQLite's own functions whose time grows with the product of the lengths of two values, for queries that are not trusted: no
 * call of a function can be interrupted. instr and replace are linear here; trim, ltrim and rtrim take a set of some characters only. What they
 * give is what SQLite's give. Thread rule: that of the connection.
 */
#ifndef NIGHTJAR_REPO_DBFUNCTIONS_H
#define NIGHTJAR_REPO_DBFUNCTIONS_H

#include <sqlite3.h>

/* Takes the place of them on this connection. most_set_bytes: of the characters of a trim, and its error says so. SQLite's result code. */
int dbfunctions_add(sqlite3 *db, int most_set_bytes);

#endif
