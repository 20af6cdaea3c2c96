/*
 * bigalloc: memory for large tables that are read in no order. Asks for huge pages, without which most of the time of a look-up goes
 * into finding out where in the memory it is. Any thread.
 */
#ifndef NIGHTJAR_REPO_BIGALLOC_H
#define NIGHTJAR_REPO_BIGALLOC_H

#include <stddef.h>

/* As malloc, for free(); NULL: no memory. For what will be used to its end: a huge page is there as a whole once it is touched. */
void *bigalloc(size_t bytes);

#endif
