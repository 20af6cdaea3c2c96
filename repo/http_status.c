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

int http_status_error(const struct http_answer *answer, const char *what, struct err *err)
{
	enum err_code code = code_of_status(answer->status);

	(void)err_set(err, code, "%s: the server answered %ld%s%.255s%s", what, answer->status,
		      answer->error_text[0] ? " (" : "", answer->error_text,
		      answer->error_text[0] ? ")" : "");
	if (code == ERR_AGAIN)
		err->wait_s = answer->wait_s;
	return -(int)code;
}
