#include "repo/dbfunctions.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct bytes {
	const uint8_t *at;
	size_t len;
};

/* False where SQLite has no memory to convert it; then that is the result. */
static bool get(sqlite3_context *ctx, sqlite3_value *value, bool as_blob, struct bytes *out)
{
	const void *at = as_blob ? sqlite3_value_blob(value) : sqlite3_value_text(value);

	out->len = (size_t)sqlite3_value_bytes(value);
	out->at = at ? at : (const void *)"";
	if (at || (as_blob && out->len == 0))
		return true;
	sqlite3_result_error_nomem(ctx);
	return false;
}

static bool any_null(int count, sqlite3_value **values)
{
	for (int i = 0; i < count; i++) {
		if (sqlite3_value_type(values[i]) == SQLITE_NULL)
			return true;
	}
	return false;
}

static bool in_character(uint8_t b)
{
	return (b & 0xc0) == 0x80;
}

static int64_t characters(const uint8_t *from, const uint8_t *to)
{
	int64_t count = 0;

	for (; from < to; from++)
		count += !in_character(*from);
	return count;
}

static void do_instr(sqlite3_context *ctx, int count, sqlite3_value **values)
{
	bool blobs = sqlite3_value_type(values[0]) == SQLITE_BLOB &&
		     sqlite3_value_type(values[1]) == SQLITE_BLOB;
	struct bytes hay, needle;
	const uint8_t *found;

	if (any_null(count, values) || !get(ctx, values[0], blobs, &hay) ||
	    !get(ctx, values[1], blobs, &needle))
		return;
	found = needle.len ? memmem(hay.at, hay.len, needle.at, needle.len) : hay.at;
	if (!found)
		sqlite3_result_int64(ctx, 0);
	else
		sqlite3_result_int64(ctx, 1 + (blobs ? found - hay.at : characters(hay.at, found)));
}

/* --- replace --- */

struct replacing {
	struct bytes text, what, with;
};

static const uint8_t *next_of(const struct replacing *r, const uint8_t *at)
{
	return memmem(at, (size_t)(r->text.at + r->text.len - at), r->what.at, r->what.len);
}

static sqlite3_uint64 replaced_bytes(const struct replacing *r)
{
	sqlite3_uint64 bytes = r->text.len;

	for (const uint8_t *at = next_of(r, r->text.at); at; at = next_of(r, at + r->what.len))
		bytes += r->with.len - r->what.len; /* as unsigned numbers do, also below zero */
	return bytes;
}

static void fill(const struct replacing *r, char *out)
{
	const uint8_t *from = r->text.at;

	for (const uint8_t *at = next_of(r, from); at; at = next_of(r, from)) {
		memcpy(out, from, (size_t)(at - from));
		out += at - from;
		memcpy(out, r->with.at, r->with.len);
		out += r->with.len;
		from = at + r->what.len;
	}
	memcpy(out, from, (size_t)(r->text.at + r->text.len - from));
}

static void replace_some(sqlite3_context *ctx, const struct replacing *r)
{
	int most = sqlite3_limit(sqlite3_context_db_handle(ctx), SQLITE_LIMIT_LENGTH, -1);
	sqlite3_uint64 bytes = replaced_bytes(r);
	char *out;

	if (bytes > (sqlite3_uint64)most) {
		sqlite3_result_error_toobig(ctx);
		return;
	}
	out = sqlite3_malloc64(bytes + 1);
	if (!out) {
		sqlite3_result_error_nomem(ctx);
		return;
	}
	fill(r, out);
	sqlite3_result_text64(ctx, out, bytes, sqlite3_free, SQLITE_UTF8);
}

static void do_replace(sqlite3_context *ctx, int count, sqlite3_value **values)
{
	struct replacing r;

	if (any_null(2, values) || !get(ctx, values[0], false, &r.text) ||
	    !get(ctx, values[1], false, &r.what))
		return;
	if (r.what.len == 0 || r.what.at[0] == '\0')
		sqlite3_result_value(ctx, values[0]);
	else if (!any_null(count, values) && get(ctx, values[2], false, &r.with))
		replace_some(ctx, &r);
}

/* --- trim --- */

enum trim_side { TRIM_LEFT = 1, TRIM_RIGHT = 2 };

/* The length of the first character: as SQLite skips, bytes that continue one belong to it. */
static size_t first_character(struct bytes text)
{
	size_t len = 1;

	while (text.at[0] >= 0xc0 && len < text.len && in_character(text.at[len]))
		len++;
	return len;
}

/* The length of the character of the set that text begins with, or ends with; 0: none. */
static size_t matching(struct bytes text, struct bytes set, bool at_end)
{
	for (size_t len; set.len; set.at += len, set.len -= len) {
		len = first_character(set);
		if (len <= text.len &&
		    memcmp(at_end ? text.at + text.len - len : text.at, set.at, len) == 0)
			return len;
	}
	return 0;
}

static void do_trim(sqlite3_context *ctx, int count, sqlite3_value **values, int side)
{
	int most = (int)(intptr_t)sqlite3_user_data(ctx);
	struct bytes text, set;
	char why[80];
	size_t len;

	if (any_null(count, values) || !get(ctx, values[0], false, &text) ||
	    !get(ctx, values[1], false, &set))
		return;
	set.len = strnlen((const char *)set.at, set.len); /* so does SQLite */
	if (set.len > (size_t)most) {
		(void)snprintf(why, sizeof(why), "the characters of a trim are more than %d bytes",
			       most);
		sqlite3_result_error(ctx, why, -1);
		return;
	}
	while ((side & TRIM_LEFT) && (len = matching(text, set, false)) != 0) {
		text.at += len;
		text.len -= len;
	}
	while ((side & TRIM_RIGHT) && (len = matching(text, set, true)) != 0)
		text.len -= len;
	sqlite3_result_text64(ctx, (const char *)text.at, text.len, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static void trim_both(sqlite3_context *ctx, int count, sqlite3_value **values)
{
	do_trim(ctx, count, values, TRIM_LEFT | TRIM_RIGHT);
}

static void trim_left(sqlite3_context *ctx, int count, sqlite3_value **values)
{
	do_trim(ctx, count, values, TRIM_LEFT);
}

static void trim_right(sqlite3_context *ctx, int count, sqlite3_value **values)
{
	do_trim(ctx, count, values, TRIM_RIGHT);
}

int dbfunctions_add(sqlite3 *db, int most_set_bytes)
{
	static const struct {
		const char *name;
		int arguments;
		void (*fn)(sqlite3_context *, int, sqlite3_value **);
	} all[] = {
	    {"instr", 2, do_instr},  {"replace", 3, do_replace}, {"trim", 2, trim_both},
	    {"ltrim", 2, trim_left}, {"rtrim", 2, trim_right},
	};
	int rc = SQLITE_OK;

	for (size_t i = 0; rc == SQLITE_OK && i < sizeof(all) / sizeof(all[0]); i++)
		rc = sqlite3_create_function_v2(
		    db, all[i].name, all[i].arguments,
		    SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
		    (void *)(intptr_t)most_set_bytes, all[i].fn, NULL, NULL, NULL);
	return rc;
}
