#include "core/s3list.h"

#include <string.h>

enum token { TOKEN_OPEN, TOKEN_CLOSE, TOKEN_END, TOKEN_BAD };

/* Points into the document. */
struct word {
	const char *at;
	size_t len;
};

/* A scanner over the document. The text of a leaf is all that stands between two tags. */
struct scan {
	const char *at, *end;
	struct word open[LIMIT_S3_DEPTH];
	size_t depth;
	bool self_closed; /* "<a/>": the close follows without a byte of its own */
	bool seen_root;
	bool leaf;                          /* the innermost one has had no elements so far */
	struct word closed;                 /* the name after TOKEN_CLOSE */
	char text[LIMIT_S3_TEXT_BYTES + 1]; /* and what stood in it; "" when that were elements */
	size_t text_len;
};

/* --- characters --- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.' || c == ':';
}

static bool starts(const struct scan *s, const char *with)
{
	size_t len = strlen(with);

	return (size_t)(s->end - s->at) >= len && memcmp(s->at, with, len) == 0;
}

static bool is_word(const struct word *w, const char *text)
{
	return w->len == strlen(text) && memcmp(w->at, text, w->len) == 0;
}

static void skip_space(struct scan *s)
{
	while (s->at < s->end && is_space(*s->at))
		s->at++;
}

/* Without "ns:" in front. False for an empty name. */
static bool take_name(struct scan *s, struct word *out)
{
	out->at = s->at;
	for (; s->at < s->end && is_name(*s->at); s->at++)
		if (*s->at == ':')
			out->at = s->at + 1;
	out->len = (size_t)(s->at - out->at);
	return out->len > 0;
}

/* --- text --- */

static bool add_byte(struct scan *s, unsigned byte)
{
	if (s->text_len == LIMIT_S3_TEXT_BYTES || byte == 0)
		return false;
	s->text[s->text_len++] = (char)byte;
	return true;
}

static bool add_utf8(struct scan *s, uint32_t c)
{
	if (c < 0x80)
		return add_byte(s, c);
	if (c < 0x800)
		return add_byte(s, 0xc0 | c >> 6) && add_byte(s, 0x80 | (c & 63));
	if (c >= 0xd800 && c < 0xe000)
		return false;
	if (c < 0x10000)
		return add_byte(s, 0xe0 | c >> 12) && add_byte(s, 0x80 | (c >> 6 & 63)) &&
		       add_byte(s, 0x80 | (c & 63));
	return c < 0x110000 && add_byte(s, 0xf0 | c >> 18) && add_byte(s, 0x80 | (c >> 12 & 63)) &&
	       add_byte(s, 0x80 | (c >> 6 & 63)) && add_byte(s, 0x80 | (c & 63));
}

static int digit_of(char c, int base)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (base == 16 && c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (base == 16 && c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* At the character after "&#". */
static bool add_number(struct scan *s)
{
	int base = 10, digit;
	uint32_t c = 0;
	const char *first;

	if (s->at < s->end && *s->at == 'x') {
		base = 16;
		s->at++;
	}
	first = s->at;
	for (; s->at < s->end && (digit = digit_of(*s->at, base)) >= 0 && c < 0x110000; s->at++)
		c = c * (uint32_t)base + (uint32_t)digit;
	if (s->at == first || s->at == s->end || *s->at != ';')
		return false;
	s->at++;
	return add_utf8(s, c);
}

static bool add_entity(struct scan *s)
{
	static const struct {
		const char *name;
		char c;
	} named[] = {
	    {"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}};

	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (starts(s, named[i].name)) {
			s->at += strlen(named[i].name);
			return add_byte(s, (uint8_t)named[i].c);
		}
	if (!starts(s, "&#"))
		return false;
	s->at += 2;
	return add_number(s);
}

/* Up to the next tag. Outside the root there may be nothing but white space. */
static bool take_text(struct scan *s)
{
	s->text_len = 0;
	while (s->at < s->end && *s->at != '<') {
		if (s->depth == 0) {
			if (!is_space(*s->at++))
				return false;
		} else if (*s->at == '&') {
			if (!add_entity(s))
				return false;
		} else if (!add_byte(s, (uint8_t)*s->at++)) {
			return false;
		}
	}
	return true;
}

/* --- tags --- */

static bool skip_attribute(struct scan *s)
{
	struct word name;
	char quote;

	if (!take_name(s, &name))
		return false;
	skip_space(s);
	if (s->at == s->end || *s->at++ != '=')
		return false;
	skip_space(s);
	if (s->at == s->end || (*s->at != '"' && *s->at != '\''))
		return false;
	for (quote = *s->at++; s->at < s->end && *s->at != quote; s->at++)
		if (*s->at == '<')
			return false;
	return s->at < s->end && s->at++ != NULL;
}

/* After the name of an opening tag: up to and with its end. */
static bool finish_open(struct scan *s)
{
	for (unsigned i = 0; i <= LIMIT_S3_ATTRIBUTES; i++) {
		skip_space(s);
		if (starts(s, "/>")) {
			s->at += 2;
			s->self_closed = true;
			return true;
		}
		if (starts(s, ">")) {
			s->at++;
			return true;
		}
		if (!skip_attribute(s))
			return false;
	}
	return false;
}

static enum token take_open(struct scan *s)
{
	if (s->depth == LIMIT_S3_DEPTH || (s->depth == 0 && s->seen_root))
		return TOKEN_BAD;
	s->at++;
	if (!take_name(s, &s->open[s->depth]))
		return TOKEN_BAD;
	s->seen_root = true;
	s->leaf = true;
	s->depth++;
	s->text_len = 0;
	return finish_open(s) ? TOKEN_OPEN : TOKEN_BAD;
}

static enum token closed(struct scan *s)
{
	s->closed = s->open[--s->depth];
	s->text[s->text_len] = '\0';
	s->self_closed = false;
	if (!s->leaf)
		s->text[0] = '\0';
	s->leaf = false;
	return TOKEN_CLOSE;
}

static enum token take_close(struct scan *s)
{
	const struct word *open;
	struct word name;

	s->at += 2;
	if (s->depth == 0 || !take_name(s, &name))
		return TOKEN_BAD;
	open = &s->open[s->depth - 1];
	skip_space(s);
	if (!starts(s, ">") || name.len != open->len || memcmp(name.at, open->at, name.len) != 0)
		return TOKEN_BAD;
	s->at++;
	return closed(s);
}

static enum token next(struct scan *s)
{
	if (s->self_closed)
		return closed(s);
	if (!take_text(s))
		return TOKEN_BAD;
	if (s->at == s->end)
		return s->depth == 0 && s->seen_root ? TOKEN_END : TOKEN_BAD;
	return starts(s, "</") ? take_close(s) : take_open(s);
}

/* The first line may say <?xml …?>, and a byte order mark may be before it. */
static bool begin(struct scan *s, const void *bytes, size_t len)
{
	const char *close;

	memset(s, 0, sizeof(*s));
	s->at = bytes;
	s->end = s->at + len;
	if (starts(s, "\xef\xbb\xbf"))
		s->at += 3;
	if (!starts(s, "<?xml "))
		return true;
	close = memchr(s->at, '>', (size_t)(s->end - s->at));
	if (!close || close[-1] != '?')
		return false;
	s->at = close + 1;
	return true;
}

/* --- a page --- */

enum field {
	FIELD_TRUNCATED = 1,
	FIELD_TOKEN = 2,
	FIELD_ENCODING = 4,
	FIELD_KEY = 8,
	FIELD_SIZE = 16
};

struct page {
	struct scan scan;
	struct s3list_page *out;
	bool url_encoded;
	unsigned seen; /* fields of the page, and of the object under way */
	char key[LIMIT_S3_TEXT_BYTES + 1];
	uint64_t size_bytes;
	s3list_fn *fn; /* NULL while the page as a whole is looked at */
	void *arg;
};

static int refuse(const char *why, struct err *err)
{
	return err_set(err, ERR_DAMAGED, "the server's listing is no ListObjectsV2 answer: %s",
		       why);
}

/* Marks a field as seen. False the second time. */
static bool once(struct page *p, enum field field)
{
	bool first = !(p->seen & (unsigned)field);

	p->seen |= (unsigned)field;
	return first;
}

static bool parse_size(const char *text, uint64_t *out)
{
	uint64_t n = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || n > (UINT64_MAX - 9) / 10)
			return false;
		n = n * 10 + (uint64_t)(*text - '0');
	}
	*out = n;
	return true;
}

/* In place. "+" is a blank, as in a form. */
static bool url_decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (*text == '%') {
			int high = digit_of(text[1], 16);
			int low = high < 0 ? -1 : digit_of(text[2], 16);

			if (low < 0 || (high | low) == 0)
				return false;
			*to++ = (char)(high * 16 + low);
			text += 2;
		} else {
			*to++ = *text == '+' ? ' ' : *text;
		}
	}
	*to = '\0';
	return true;
}

static int page_field(struct page *p, struct err *err)
{
	const struct word *name = &p->scan.closed;
	const char *text = p->scan.text;

	if (is_word(name, "IsTruncated")) {
		p->out->truncated = strcmp(text, "true") == 0;
		if (!once(p, FIELD_TRUNCATED) || (!p->out->truncated && strcmp(text, "false") != 0))
			return refuse("IsTruncated is neither true nor false", err);
	} else if (is_word(name, "NextContinuationToken")) {
		if (!once(p, FIELD_TOKEN))
			return refuse("two continuation tokens", err);
		memcpy(p->out->next_token, text, strlen(text) + 1);
	} else if (is_word(name, "EncodingType")) {
		p->url_encoded = strcmp(text, "url") == 0;
		if (!once(p, FIELD_ENCODING) || (!p->url_encoded && *text))
			return refuse("an unknown EncodingType", err);
	}
	return 0;
}

static int object_field(struct page *p, struct err *err)
{
	const struct word *name = &p->scan.closed;

	if (is_word(name, "Key")) {
		memcpy(p->key, p->scan.text, strlen(p->scan.text) + 1);
		if (!once(p, FIELD_KEY) || !*p->key)
			return refuse("an object without a name, or with two", err);
	} else if (is_word(name, "Size")) {
		if (!once(p, FIELD_SIZE) || !parse_size(p->scan.text, &p->size_bytes))
			return refuse("an object's Size is no number", err);
	}
	return 0;
}

/* The element "Contents" closed. */
static int object_end(struct page *p, struct err *err)
{
	const unsigned both = (unsigned)FIELD_KEY | (unsigned)FIELD_SIZE;
	bool whole = (p->seen & both) == both;

	p->seen &= ~both;
	if (!whole)
		return refuse("an object without Key or Size", err);
	if (!p->fn)
		return 0;
	if (p->url_encoded && !url_decode(p->key))
		return refuse("a Key that is not encoded as EncodingType says", err);
	return p->fn(p->arg, p->key, p->size_bytes, err);
}

static int on_close(struct page *p, struct err *err)
{
	const struct scan *s = &p->scan;

	if (s->depth == 1)
		return is_word(&s->closed, "Contents") ? object_end(p, err) : page_field(p, err);
	if (s->depth == 2 && is_word(&s->open[1], "Contents"))
		return object_field(p, err);
	return 0;
}

static int walk(struct page *p, const void *bytes, size_t len, struct err *err)
{
	enum token token = begin(&p->scan, bytes, len) ? next(&p->scan) : TOKEN_BAD;
	int rc = 0;

	if (token != TOKEN_OPEN || !is_word(&p->scan.open[0], "ListBucketResult"))
		return refuse("it is another document", err);
	for (; rc == 0 && token != TOKEN_END && token != TOKEN_BAD; token = next(&p->scan))
		if (token == TOKEN_CLOSE)
			rc = on_close(p, err);
	if (rc == 0 && token == TOKEN_BAD)
		rc = refuse("it is cut, or no XML of the plain kind", err);
	return rc;
}

/* Twice, because only the whole page says how its names are encoded, and whether it is one. */
int s3list_read(const void *bytes, size_t len, s3list_fn *fn, void *arg,
		struct s3list_page *out_page, struct err *err)
{
	struct page p = {.out = out_page};
	int rc;

	*out_page = (struct s3list_page){0};
	if (len > LIMIT_S3_LIST_BYTES)
		return err_set(err, ERR_LIMIT, "the server's listing has a page of %zu bytes", len);
	rc = walk(&p, bytes, len, err);
	if (rc == 0 && !(p.seen & (unsigned)FIELD_TRUNCATED))
		rc = refuse("IsTruncated is missing", err);
	if (rc == 0 && out_page->truncated && !*out_page->next_token)
		rc = refuse("there is more, and no continuation token", err);
	if (rc != 0)
		return rc;
	p.seen = 0;
	p.fn = fn;
	p.arg = arg;
	return walk(&p, bytes, len, err);
}

/* --- an error --- */

static void put_printable(char *out, size_t room, const char *text)
{
	size_t n = 0;

	for (; *text && n + 1 < room; text++)
		if (*text >= ' ' && *text <= '~')
			out[n++] = *text;
	out[n] = '\0';
}

bool s3list_read_error(const void *bytes, size_t len, struct s3list_error *out_error)
{
	struct scan s;
	enum token token = begin(&s, bytes, len) ? next(&s) : TOKEN_BAD;

	*out_error = (struct s3list_error){{0}, {0}, {0}};
	if (token != TOKEN_OPEN || !is_word(&s.open[0], "Error"))
		return false;
	for (; token == TOKEN_OPEN || token == TOKEN_CLOSE; token = next(&s)) {
		if (token != TOKEN_CLOSE || s.depth != 1)
			continue;
		if (is_word(&s.closed, "Code"))
			put_printable(out_error->code, sizeof(out_error->code), s.text);
		else if (is_word(&s.closed, "Message"))
			put_printable(out_error->message, sizeof(out_error->message), s.text);
		else if (is_word(&s.closed, "Region"))
			put_printable(out_error->region, sizeof(out_error->region), s.text);
	}
	return out_error->code[0] != '\0';
}
