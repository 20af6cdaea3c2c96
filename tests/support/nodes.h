/* nodes: the codecs of core/node, each as decode and encode again, for tests of what they take and refuse. */
#ifndef NIGHTJAR_TESTS_SUPPORT_NODES_H
#define NIGHTJAR_TESTS_SUPPORT_NODES_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

typedef int (*nodes_fn)(const uint8_t *bytes, size_t len, struct buf *out, struct err *err);

int nodes_list(const uint8_t *bytes, size_t len, struct buf *out, struct err *err);
int nodes_tree(const uint8_t *bytes, size_t len, struct buf *out, struct err *err);
int nodes_list_body(const uint8_t *bytes, size_t len, struct buf *out, struct err *err);

/* 0 when it was taken and came out as it was, else the error. A cmocka assertion guards everything else. */
int nodes_same_or_refused(nodes_fn again, const uint8_t *bytes, size_t len);

#endif
