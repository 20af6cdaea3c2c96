/*
 * treecopy: a folder copied with everything below it, modes and times included: regular files and folders alone. Anything
 * that goes wrong prints why and aborts.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_TREECOPY_H
#define NIGHTJAR_TESTS_SUPPORT_TREECOPY_H

/* to must not exist. */
void treecopy(const char *from, const char *to);

#endif
