#include "core/restlist.h"

#include <inttypes.h>
#include <string.h>

enum expect {
	VALUE,
	VALUE_OR_CLOSE, /* behind [ */
	KEY,
	KEY_OR_CLOSE, /* behind { */
	COLON,
	COMMA_OR_CLOSE,
	NOTHING
};

enum lexing { BETWEEN, STRING, ESCAPE, HEX, WORD };

/* Bits of seen, too. */
enum member { OTHER = 0, NAME = 1, SIZE = 2 };

enum token { TOKEN_STRING = 's', TOKEN_WORD = 'w' }; /* the others are their own characters */

#define ENTRY_DEPTH 2u

void restlist_init(struct restlist *r, restlist_fn *fn, void *arg)
{
	*r = (struct restlist){.fn = fn, .arg = arg, .expect = VALUE, .lexing = BETWEEN};
}

static int bad(const struct restlist *r, const char *why, struct err *err)
{
	return err_set(err, ERR_DAMAGED,
		       "the listing is none of restic's REST protocol: %s at byte %" PRIu64, why,
		       r->at);
}

static bool text_is(const struct restlist *r, const char *text)
{
	return !r->odd && strlen(text) == r->text_len && memcmp(r->text, text, r->text_len) == 0;
}

static size_t digits(const char *text, size_t at)
{
	size_t n = 0;

	while (text[at + n] >= '0' && text[at + n] <= '9')
		n++;
	return n;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool is_number(const char *text)
{
	size_t at = text[0] == '-', n = digits(text, at);

	if (n == 0 || (n > 1 && text[at] == '0'))
		return false;
	at += n;
	if (text[at] == '.') {
		n = digits(text, ++at);
		if (n == 0)
			return false;
		at += n;
	}
	if (text[at] == 'e' || text[at] == 'E') {
		at++;
		at += text[at] == '+' || text[at] == '-';
		n = digits(text, at);
		if (n == 0)
			return false;
		at += n;
	}
	return text[at] == '\0';
}

static int take_size(struct restlist *r, struct err *err)
{
	uint64_t size = 0;

	if (!r->text_len || digits(r->text, 0) != r->text_len)
		return bad(r, "a size that is no count of bytes", err);
	for (size_t i = 0; i < r->text_len; i++) {
		uint64_t digit = (uint64_t)(r->text[i] - '0');

		if (size > ((uint64_t)INT64_MAX - digit) / 10)
			return err_set(err, ERR_LIMIT,
				       "the listing has a size that is too large, at byte %" PRIu64,
				       r->at);
		size = size * 10 + digit;
	}
	r->size_bytes = size;
	return 0;
}

/* A string, number or literal of an entry. */
static int take_member(struct restlist *r, int token, struct err *err)
{
	if (r->member == OTHER)
		return 0;
	if (r->seen & r->member)
		return bad(r, "a member twice", err);
	r->seen |= r->member;
	if (r->member == SIZE)
		return token == TOKEN_WORD ? take_size(r, err) : bad(r, "a size in quotes", err);
	if (token != TOKEN_STRING)
		return bad(r, "a name that is no string", err);
	r->named = !r->odd && id_from_hex(r->text, &r->name);
	return 0;
}

static int check_word(const struct restlist *r, struct err *err)
{
	if (r->odd)
		return err_set(err, ERR_LIMIT,
			       "the listing has a number of many digits, at byte %" PRIu64, r->at);
	if (is_number(r->text) || text_is(r, "true") || text_is(r, "false") || text_is(r, "null"))
		return 0;
	return bad(r, "a word that is no JSON", err);
}

static bool in_object(const struct restlist *r)
{
	return r->depth && (r->objects >> r->depth & 1u);
}

static int open_level(struct restlist *r, int token, struct err *err)
{
	if (r->depth == RESTLIST_MAX_DEPTH)
		return err_set(err, ERR_LIMIT, "the listing nests too deeply, at byte %" PRIu64,
			       r->at);
	if (r->depth == 0 && token == '{')
		return bad(r, "an object instead of a list", err);
	if (r->depth == ENTRY_DEPTH && r->member != OTHER)
		return bad(r, "a name or size that is neither", err);
	r->depth++;
	r->objects &= ~(UINT32_C(1) << r->depth);
	r->objects |= (uint32_t)(token == '{') << r->depth;
	r->expect = token == '{' ? KEY_OR_CLOSE : VALUE_OR_CLOSE;
	if (r->depth == ENTRY_DEPTH) {
		r->seen = 0;
		r->named = false;
	}
	return 0;
}

static int take_value(struct restlist *r, int token, struct err *err)
{
	int rc = 0;

	if (r->depth == ENTRY_DEPTH - 1 && token == TOKEN_STRING)
		return err_set(err, ERR_VERSION,
			       "the server speaks version 1 of restic's REST protocol only, whose "
			       "listings have no sizes: a newer rest-server or rclone is needed");
	if (r->depth == ENTRY_DEPTH - 1 && token != '{')
		return bad(r, "an entry that is no object", err);
	if (token == '{' || token == '[')
		return open_level(r, token, err);
	if (token == TOKEN_WORD)
		rc = check_word(r, err);
	if (!rc && r->depth == 0 && !(token == TOKEN_WORD && text_is(r, "null")))
		rc = bad(r, "something else than a list", err);
	if (!rc && r->depth == ENTRY_DEPTH)
		rc = take_member(r, token, err);
	r->expect = r->depth ? COMMA_OR_CLOSE : NOTHING;
	return rc;
}

static int close_level(struct restlist *r, int token, struct err *err)
{
	int rc = 0;

	if (token != (in_object(r) ? '}' : ']'))
		return bad(r, "the wrong bracket", err);
	if (r->depth == ENTRY_DEPTH) {
		if (r->seen != (NAME | SIZE))
			return bad(r, "an entry without name or size", err);
		if (r->named)
			rc = r->fn(r->arg, &r->name, r->size_bytes, err);
	}
	r->depth--;
	r->expect = r->depth ? COMMA_OR_CLOSE : NOTHING;
	return rc;
}

static void take_key(struct restlist *r)
{
	r->expect = COLON;
	if (r->depth == ENTRY_DEPTH)
		r->member = text_is(r, "name") ? NAME : text_is(r, "size") ? SIZE : OTHER;
}

static int take_token(struct restlist *r, int token, struct err *err)
{
	bool closes = token == '}' || token == ']';

	switch ((enum expect)r->expect) {
	case VALUE_OR_CLOSE:
		if (closes)
			return close_level(r, token, err);
		break;
	case VALUE:
		break;
	case KEY_OR_CLOSE:
		if (closes)
			return close_level(r, token, err);
		/* fall through */
	case KEY:
		if (token != TOKEN_STRING)
			return bad(r, "no key where one must be", err);
		take_key(r);
		return 0;
	case COLON:
		r->expect = VALUE;
		return token == ':' ? 0 : bad(r, "no colon behind a key", err);
	case COMMA_OR_CLOSE:
		if (closes)
			return close_level(r, token, err);
		r->expect = in_object(r) ? KEY : VALUE;
		return token == ',' ? 0 : bad(r, "no comma where one must be", err);
	case NOTHING:
		return bad(r, "something behind its end", err);
	}
	if (closes || token == ',' || token == ':')
		return bad(r, "no value where one must be", err);
	return take_value(r, token, err);
}

static void add(struct restlist *r, unsigned c)
{
	if (c < 0x20 || c > 0x7e || r->text_len + 1 >= sizeof(r->text)) {
		r->odd = true;
		return;
	}
	r->text[r->text_len++] = (char)c;
	r->text[r->text_len] = '\0';
}

static void begin(struct restlist *r, enum lexing lexing)
{
	r->lexing = lexing;
	r->text_len = 0;
	r->text[0] = '\0';
	r->odd = false;
}

static int in_string(struct restlist *r, unsigned c, struct err *err)
{
	if (c == '"') {
		r->lexing = BETWEEN;
		return take_token(r, TOKEN_STRING, err);
	}
	if (c < 0x20)
		return bad(r, "a control character in a string", err);
	if (c == '\\')
		r->lexing = ESCAPE;
	else
		add(r, c);
	return 0;
}

static int in_escape(struct restlist *r, unsigned c, struct err *err)
{
	r->lexing = STRING;
	if (c == 'u') {
		r->lexing = HEX;
		r->hex_left = 4;
		r->hex = 0;
	} else if (c == '"' || c == '\\' || c == '/') {
		add(r, c);
	} else if (c && strchr("bfnrt", (int)c)) {
		r->odd = true;
	} else {
		return bad(r, "an escape that is none", err);
	}
	return 0;
}

static int in_hex(struct restlist *r, unsigned c, struct err *err)
{
	unsigned lower = c | 0x20u;

	if (c >= '0' && c <= '9')
		r->hex = r->hex << 4 | (c - '0');
	else if (lower >= 'a' && lower <= 'f')
		r->hex = r->hex << 4 | (lower - 'a' + 10);
	else
		return bad(r, "an escape that is none", err);
	if (--r->hex_left == 0) {
		add(r, r->hex);
		r->lexing = STRING;
	}
	return 0;
}

static bool of_word(unsigned c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '-' || c == '+' || c == '.';
}

static int between(struct restlist *r, unsigned c, struct err *err)
{
	if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
		return 0;
	if (c && strchr("{}[]:,", (int)c))
		return take_token(r, (int)c, err);
	if (c == '"') {
		begin(r, STRING);
		return 0;
	}
	if (!of_word(c))
		return bad(r, "no JSON", err);
	begin(r, WORD);
	add(r, c);
	return 0;
}

static int take_byte(struct restlist *r, unsigned c, struct err *err)
{
	int rc;

	switch ((enum lexing)r->lexing) {
	case STRING:
		return in_string(r, c, err);
	case ESCAPE:
		return in_escape(r, c, err);
	case HEX:
		return in_hex(r, c, err);
	case WORD:
		if (of_word(c)) {
			add(r, c);
			return 0;
		}
		r->lexing = BETWEEN;
		rc = take_token(r, TOKEN_WORD, err);
		return rc ? rc : between(r, c, err);
	case BETWEEN:
		break;
	}
	return between(r, c, err);
}

int restlist_feed(struct restlist *r, const void *bytes, size_t len, struct err *err)
{
	const uint8_t *p = bytes;
	int rc = 0;

	for (size_t i = 0; i < len && !rc; i++) {
		rc = take_byte(r, p[i], err);
		r->at++;
	}
	return rc;
}

int restlist_end(const struct restlist *r, struct err *err)
{
	/* A word that nothing has ended yet; the only one that may stand alone is null. */
	if (r->lexing == WORD && r->depth == 0 && r->expect == VALUE && text_is(r, "null"))
		return 0;
	return r->lexing == BETWEEN && r->expect == NOTHING ? 0 : bad(r, "it ends", err);
}
