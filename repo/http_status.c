#include "repo/http.h"

static enum err_code code_of_status(long status)
{
	switch (status) {
	case 401:
	case 403:
		return ERR_DENIED;
	case 404:
	case 410:
		return ERR_MISSING;
	case 413:
	case 507:
		return ERR_FULL;
	case 408:
	case 425:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		return ERR_AGAIN;
	default:
		return ERR_IO;
	}
}

/* What a number alone does not tell whoever reads the log. */
static const char *meaning(long status)
{
	switch (status) {
	case 507:
		return ": its disk is full, or a quota is used up";
	case 413:
		return ": it takes no object of this size; raise its limit";
	default:
		return status / 100 == 3
			   ? ", a redirect, which is not followed: use the address it names"
			   : "";
	}
}

int http_status_error(const struct http_answer *answer, const char *what, struct err *err)
{
	enum err_code code = code_of_status(answer->status);

	(void)err_set(err, code, "%s: the server answered %ld%s%s%.255s%s", what, answer->status,
		      meaning(answer->status), answer->error_text[0] ? " (" : "",
		      answer->error_text, answer->error_text[0] ? ")" : "");
	if (code == ERR_AGAIN)
		err->wait_s = answer->wait_s;
	return -(int)code;
}
