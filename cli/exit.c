#include "cli/exit.h"

/*
 * Usage stands alone but in a night, where a step that was not understood must not hide what others found: so it comes after all
 * that was.
 */
static const struct {
	enum exit_code code;
	const char *text;
} by_precedence[] = {
    {EXIT_INTERRUPTED, "interrupted"},
    {EXIT_KEY, "wrong password or key"},
    {EXIT_NOREPO, "no repository"},
    {EXIT_ROLLBACK, "the repository was rolled back"},
    {EXIT_FAILED, "failed"},
    {EXIT_DAMAGED, "damage was found"},
    {EXIT_INTEGRITY, "a database failed its integrity check"},
    {EXIT_REFS, "referenced files are missing"},
    {EXIT_DRILL, "the drill failed"},
    {EXIT_USAGE, "usage error"},
    {EXIT_SOURCE, "a source could not be read"},
    {EXIT_BUSY, "busy"},
};
#define CODES (sizeof(by_precedence) / sizeof(by_precedence[0]))

void exit_add(struct exit_codes *codes, enum exit_code code)
{
	for (size_t i = 0; i < CODES; i++) {
		if (by_precedence[i].code == code)
			codes->seen |= UINT32_C(1) << i;
	}
}

size_t exit_list(const struct exit_codes *codes, enum exit_code out_codes[EXIT_CODES])
{
	size_t count = 0;

	for (size_t i = 0; i < CODES; i++) {
		if (codes->seen & UINT32_C(1) << i)
			out_codes[count++] = by_precedence[i].code;
	}
	return count;
}

enum exit_code exit_first(const struct exit_codes *codes)
{
	enum exit_code all[EXIT_CODES];

	return exit_list(codes, all) > 0 ? all[0] : EXIT_OK;
}

enum exit_code exit_of_err(const struct err *err)
{
	switch ((enum err_code)err->code) {
	case ERR_KEY:
		return EXIT_KEY;
	case ERR_NOREPO:
		return EXIT_NOREPO;
	case ERR_BUSY:
		return EXIT_BUSY;
	case ERR_USAGE:
		return EXIT_USAGE;
	case ERR_ROLLBACK:
		return EXIT_ROLLBACK;
	case ERR_CANCELLED:
		return EXIT_INTERRUPTED;
	case ERR_NOMEM:
	case ERR_IO:
	case ERR_FULL:
	case ERR_MISSING:
	case ERR_EXISTS:
	case ERR_DAMAGED:
	case ERR_VERSION:
	case ERR_LIMIT:
	case ERR_SOURCE:
	case ERR_AGAIN:
	case ERR_DENIED:
		break;
	}
	return EXIT_FAILED;
}

const char *exit_text(enum exit_code code)
{
	for (size_t i = 0; i < CODES; i++) {
		if (by_precedence[i].code == code)
			return by_precedence[i].text;
	}
	return "ok";
}
