/* bytes: small helpers of tests that take stored objects apart. Fails the running cmocka test on misuse. */
#ifndef NIGHTJAR_TESTS_SUPPORT_BYTES_H
#define NIGHTJAR_TESTS_SUPPORT_BYTES_H

#include "core/buf.h"
#include "core/id.h"

/* Appends the bytes of hex digits. */
void bytes_put_hex(struct buf *b, const char *hex);
/* The text as a span, without its NUL. */
struct span bytes_span(const char *text);
/* An id whose bytes count up from first, as gen_node.py makes them. */
struct id bytes_id(unsigned first);
/* strdup that never fails. */
char *bytes_text(const char *text);

#endif
