/*
 * metrics: a night as node_exporter's textfile collector reads it. What the night did not come to keeps the time when it last did, so an
 * alarm on its age goes on. One thread.
 */
#ifndef NIGHTJAR_CLI_METRICS_H
#define NIGHTJAR_CLI_METRICS_H

#include "cli/night.h"
#include "core/err.h"

/* Replaces the file as a whole, mode 0644: the collector never sees half of it. ERR_IO, ERR_NOMEM. */
int metrics_write(const struct night *night, const char *path, struct err *err) ERR_UNUSED_WARN;

#endif
