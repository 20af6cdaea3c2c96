/*
 * banned: calls that are compile errors in core/, repo/ and cli/. The Makefile puts this file in front
 * of every source there (-include); nothing includes it by hand. What they share: they cannot be told
 * how much room there is, cannot report a failure, or keep hidden state between calls.
 *
 * The headers that declare them come first, so that only our own uses meet the macros.
 */
#ifndef NIGHTJAR_CORE_BANNED_H
#define NIGHTJAR_CORE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BANNED(call) sorry_##call##_is_banned_see_core_banned_h

/* No bound: snprintf or memcpy with a length that was checked. */
#undef strcpy
#define strcpy(to, from) BANNED(strcpy)
#undef strcat
#define strcat(to, from) BANNED(strcat)
#undef stpcpy
#define stpcpy(to, from) BANNED(stpcpy)
#undef sprintf
#define sprintf(...) BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf)
#undef gets
#define gets(line) BANNED(gets)

/* May leave no NUL, or count from the wrong end. */
#undef strncpy
#define strncpy(to, from, len) BANNED(strncpy)
#undef strncat
#define strncat(to, from, len) BANNED(strncat)

/* Hidden state: memchr for the first, the _r forms of the others. */
#undef strtok
#define strtok(text, delimiters) BANNED(strtok)
#undef gmtime
#define gmtime(seconds) BANNED(gmtime)
#undef localtime
#define localtime(seconds) BANNED(localtime)
#undef ctime
#define ctime(seconds) BANNED(ctime)
#undef asctime
#define asctime(broken_down) BANNED(asctime)
#undef rand
#define rand() BANNED(rand)
#undef srand
#define srand(seed) BANNED(srand)

/* Cannot fail on nonsense: strtoull with its end pointer and errno. */
#undef atoi
#define atoi(text) BANNED(atoi)
#undef atol
#define atol(text) BANNED(atol)
#undef atoll
#define atoll(text) BANNED(atoll)
#undef atof
#define atof(text) BANNED(atof)

/* A name is taken between asking and opening: mkstemp, mkdtemp, O_TMPFILE. */
#undef mktemp
#define mktemp(template) BANNED(mktemp)
#undef tmpnam
#define tmpnam(name) BANNED(tmpnam)
#undef tempnam
#define tempnam(dir, prefix) BANNED(tempnam)

#endif
