#include "repo/place.h"

#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "core/sha256.h"
#include "repo/statefile.h"

#define NAME "place"
#define HEAD "nightjar place 1"
#define TAIL "end"
#define MOST_BYTES 16384u
#define HEX_CHARS (2 * REPO_ID_BYTES)

static int folder_of(const char *location, uint8_t out_folder[REPO_ID_BYTES], struct err *err)
{
	struct id sum;
	int r = sha256_of(location, strlen(location), &sum, err);

	if (!r)
		memcpy(out_folder, sum.b, REPO_ID_BYTES);
	return r;
}

/* The location is for people who look. */
static bool parse(char *text, struct place *p)
{
	char *next = strchr(text, '\n');
	size_t number = 0;

	for (char *line = text; next; line = next + 1, next = strchr(line, '\n'), number++) {
		*next = '\0';
		if (number == 0 && strcmp(line, HEAD) != 0)
			return false;
		if (number < 2)
			continue;
		if (strcmp(line, TAIL) == 0)
			return next[1] == '\0' && p->count > 0;
		if (p->count == PLACE_REPOS || strlen(line) != HEX_CHARS ||
		    sodium_hex2bin(p->repos[p->count], REPO_ID_BYTES, line, HEX_CHARS, NULL, NULL,
				   NULL) != 0)
			return false;
		p->count++;
	}
	return false;
}

int place_load(const char *state_dir, const char *location, struct place *out_place,
	       struct err *err)
{
	uint8_t folder[REPO_ID_BYTES];
	struct buf text = {0};
	struct place p = {0};
	int r = folder_of(location, folder, err);

	*out_place = p;
	if (!r)
		r = statefile_read(state_dir, folder, NAME, MOST_BYTES, &text, err);
	if (r == -ERR_LIMIT || (!r && memchr(text.data ? text.data : folder, '\0', text.len)))
		r = statefile_damaged(state_dir, folder, NAME, "damaged", err);
	if (!r && text.len) {
		buf_put_u8(&text, '\0');
		r = buf_check(&text, err);
		if (!r && !parse((char *)text.data, &p))
			r = statefile_damaged(state_dir, folder, NAME, "damaged", err);
	}
	if (!r)
		*out_place = p;
	buf_free(&text);
	return r;
}

bool place_has(const struct place *place, const uint8_t repo[REPO_ID_BYTES])
{
	for (size_t i = 0; i < place->count; i++) {
		if (memcmp(place->repos[i], repo, REPO_ID_BYTES) == 0)
			return true;
	}
	return false;
}

static void put_line(struct buf *b, const char *text)
{
	for (; *text; text++)
		buf_put_u8(b, (uint8_t)((unsigned char)*text < 0x20 ? '?' : *text));
	buf_put_u8(b, '\n');
}

static int save(const char *state_dir, const char *location, const uint8_t folder[REPO_ID_BYTES],
		const struct place *p, struct err *err)
{
	struct buf text = {0};
	char hex[HEX_CHARS + 1];
	int r;

	put_line(&text, HEAD);
	put_line(&text, location);
	for (size_t i = 0; i < p->count; i++)
		put_line(&text, sodium_bin2hex(hex, sizeof(hex), p->repos[i], REPO_ID_BYTES));
	put_line(&text, TAIL);
	r = buf_check(&text, err);
	if (!r)
		r = statefile_write(state_dir, folder, NAME, text.data, text.len, err);
	buf_free(&text);
	return r;
}

int place_add(const char *state_dir, const char *location, const uint8_t repo[REPO_ID_BYTES],
	      struct err *err)
{
	uint8_t folder[REPO_ID_BYTES];
	struct err why = {0};
	struct place p;
	int fd = -1, r = folder_of(location, folder, err);

	if (!r)
		r = statefile_lock(state_dir, folder, &fd, err);
	if (r)
		return r;
	r = place_load(state_dir, location, &p, &why);
	if (r == -ERR_NOMEM) {
		*err = why;
	} else if (!r && place_has(&p, repo)) {
		r = 0;
	} else {
		if (p.count == PLACE_REPOS)
			memmove(p.repos[0], p.repos[1], --p.count * REPO_ID_BYTES);
		memcpy(p.repos[p.count++], repo, REPO_ID_BYTES);
		r = save(state_dir, location, folder, &p, err);
	}
	(void)close(fd);
	return r;
}
