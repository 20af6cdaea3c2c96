#include "repo/checkpos.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "repo/statefile.h"

#define NAME "check-position"
#define DAY_S 86400
#define LINE_CHARS 64
#define MOST_BYTES 4096u

static int line_of(const struct checkpos *pos, char line[LINE_CHARS])
{
	return snprintf(line, LINE_CHARS, "%016" PRIx64 " %" PRId64 "\n", pos->point,
			pos->read_at_s);
}

/* Only what checkpos_save would write. */
static bool parse(const char *text, struct checkpos *out_pos)
{
	char line[LINE_CHARS];

	if (sscanf(text, "%16" SCNx64 " %" SCNd64, &out_pos->point, &out_pos->read_at_s) != 2)
		return false;
	(void)line_of(out_pos, line);
	return strcmp(line, text) == 0;
}

int checkpos_load(const char *state_dir, const uint8_t repo[REPO_ID_BYTES],
		  struct checkpos *out_pos, bool *out_found, struct err *err)
{
	struct buf text = {0};
	int r;

	*out_found = false;
	r = statefile_read(state_dir, repo, NAME, MOST_BYTES, &text, err);
	if (!r && text.len) {
		buf_put_u8(&text, '\0');
		r = buf_check(&text, err);
		*out_found = !r && parse((const char *)text.data, out_pos);
	}
	buf_free(&text);
	return r == -ERR_LIMIT ? 0 : r;
}

int checkpos_save(const char *state_dir, const uint8_t repo[REPO_ID_BYTES],
		  const struct checkpos *pos, struct err *err)
{
	char line[LINE_CHARS];
	int len = line_of(pos, line);

	return statefile_write(state_dir, repo, NAME, line, (size_t)len, err);
}

struct rotation checkpos_due(const struct checkpos *pos, unsigned days, int64_t now_s)
{
	uint64_t elapsed = DAY_S;

	if (pos && now_s >= pos->read_at_s)
		elapsed = (uint64_t)now_s - (uint64_t)pos->read_at_s;
	return rotation_share(pos ? pos->point : 0, elapsed, (uint64_t)days * DAY_S);
}
