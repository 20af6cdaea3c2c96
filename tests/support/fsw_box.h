/* fsw_box: an open fswrite target in a throw-away folder, as cmocka's setup and teardown. */
#ifndef NIGHTJAR_TESTS_SUPPORT_FSW_BOX_H
#define NIGHTJAR_TESTS_SUPPORT_FSW_BOX_H

#include <stddef.h>
#include <stdint.h>

#include "repo/fswrite.h"

struct fsw_box {
	char *dir;    /* everything */
	char *target; /* dir/target, made by fsw_open */
	struct fsw *w;
	int fd; /* of the target */
	unsigned warnings;
	char last_warning[512];
};

int fsw_box_setup(void **state);
int fsw_box_teardown(void **state);

/* The caller's own ids, a fixed time, no xattrs. */
struct fsw_attrs fsw_box_attrs(uint32_t mode);
/* A whole file through begin, write, commit. Gives what fsw gave. */
int fsw_box_put(struct fsw *w, const char *path, const char *text, const struct fsw_attrs *attrs,
		struct err *err);
/* How many names are in a folder. */
size_t fsw_box_entries(int dirfd);
void fsw_box_content(const struct fsw_box *b, const char *path, const char *want);

#endif
