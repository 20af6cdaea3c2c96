/*
 * faulttree: folders of a fault test: copied, emptied, and told apart by what is in them. Anything that goes wrong prints why and aborts.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_FAULTTREE_H
#define NIGHTJAR_TESTS_SUPPORT_FAULTTREE_H

#include <stdbool.h>
#include <stdint.h>

#define FAULTTREE_BYTES 16

/* Removes everything below a folder, and makes it when it is not there. */
void faulttree_empty(const char *folder);

/* from and all below it, as to, which may be there. Objects of a repository, which never change in place, become hard links. */
void faulttree_copy(const char *from, const char *to);

/*
 * A digest over the names and sizes of files below a folder, the same for trees that differ only in what is random: of an object that
 * faulttree_copy did not bring only the size and the folder count. False: a new object is not what its name says.
 * temporary: whether files that a run could not take away again count.
 */
bool faulttree_sum(const char *folder, bool temporary, uint8_t out[FAULTTREE_BYTES]);

#endif
