#include "core/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* By way of a copy: the arguments may point into the old text. Of it no more than the text: behind lies what the stack held before. */
static void __attribute__((format(printf, 2, 0)))
set_text(struct err *err, const char *fmt, va_list ap)
{
	char text[sizeof(err->text)];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	memcpy(err->text, text, strlen(text) + 1);
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_text(err, fmt, ap);
	va_end(ap);
	err->code = (int)code;
	err->sys_errno = 0;
	err->wait_s = 0;
	return -(int)code;
}

static enum err_code code_of_errno(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return ERR_FULL;
	case ENOMEM:
		return ERR_NOMEM;
	case ENOENT:
		return ERR_MISSING;
	case EEXIST:
		return ERR_EXISTS;
	default:
		return ERR_IO;
	}
}

static int __attribute__((format(printf, 3, 0)))
set_sys(struct err *err, int errnum, const char *fmt, va_list ap)
{
	char what[128];
	size_t used;

	set_text(err, fmt, ap);
	err->code = (int)code_of_errno(errnum);
	err->sys_errno = errnum;
	err->wait_s = 0;
	if (strerror_r(errnum, what, sizeof(what)) != 0)
		(void)snprintf(what, sizeof(what), "error %d", errnum);
	used = strlen(err->text);
	(void)snprintf(err->text + used, sizeof(err->text) - used, ": %s", what);
	return -err->code;
}

int err_sys(struct err *err, int errnum, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = set_sys(err, errnum, fmt, ap);
	va_end(ap);
	return r;
}

int err_sys_own(struct err *err, int errnum, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)set_sys(err, errnum, fmt, ap);
	va_end(ap);
	if (errnum == EMFILE || errnum == ENFILE)
		err->code = (int)ERR_NOMEM;
	return -err->code;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char old[sizeof(err->text)];
	va_list ap;
	size_t used;

	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	used = strlen(err->text);
	(void)snprintf(err->text + used, sizeof(err->text) - used, ": %s", old);
	return -err->code;
}

int err_nomem(struct err *err)
{
	return err_set(err, ERR_NOMEM, "out of memory");
}
