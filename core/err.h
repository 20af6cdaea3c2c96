/*
 * err: the one error type of nightjar.
 *
 * A caller owns a `struct err` and passes it as the last parameter. A function that fails returns
 * a negative code (-ERR_…) and has filled the struct; one that succeeds returns 0 and leaves it
 * alone. The place that detects a failure sets code and text; a caller adds a prefix only where it
 * knows a name the callee did not (a pack id, a path, a table). Nothing here allocates, prints or
 * keeps state, and any thread may use its own struct.
 *
 * Secrets never enter an error text.
 */
#ifndef NIGHTJAR_CORE_ERR_H
#define NIGHTJAR_CORE_ERR_H

/* Chosen by what the user can do about it. Values are not stored anywhere. */
enum err_code {
	ERR_NOMEM = 1, /* out of memory, or of descriptors */
	ERR_IO,        /* the system or a store failed; sys_errno says how */
	ERR_FULL,      /* no space left, quota or file size limit */
	ERR_MISSING,   /* an object or a path is not there */
	ERR_EXISTS,    /* it is there already */
	ERR_DAMAGED,   /* bytes are not what they must be */
	ERR_VERSION,   /* written by a newer nightjar */
	ERR_KEY,       /* wrong password or key, or its role does not allow this */
	ERR_LIMIT,     /* larger than core/limits.h allows */
	ERR_USAGE,     /* what the caller asked for cannot be meant */
	ERR_BUSY,      /* somebody else holds it */
	ERR_SOURCE,    /* a source could not be read */
	ERR_NOREPO,    /* no repository there */
	ERR_CANCELLED, /* interrupted on request */
	ERR_AGAIN,     /* a network or a server failed in a way that may pass: see wait_s */
	ERR_DENIED,    /* a server knows us and does not allow this */
	ERR_ROLLBACK   /* what this host has seen has vanished: nothing may be removed now */
};

struct err {
	int code;      /* an err_code, positive; 0 = nothing failed */
	int sys_errno; /* the saved errno, or 0 */
	int wait_s;    /* of ERR_AGAIN: for how long the server asked to wait, or 0 */
	char text[768];
};

#define ERR_UNUSED_WARN __attribute__((warn_unused_result))

/* Fills err and returns -code. The text is one line without a final newline. Arguments may point into err->text. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * As err_set for a failed system call: keeps errnum, appends ": <its description>", and chooses the
 * code from it: ENOSPC, EDQUOT, EFBIG → ERR_FULL; ENOMEM → ERR_NOMEM; ENOENT → ERR_MISSING;
 * EEXIST → ERR_EXISTS; anything else → ERR_IO.
 */
int err_sys(struct err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * As err_sys, but EMFILE, ENFILE → ERR_NOMEM: that this process may open no more files says as little about the one that it
 * wanted as a lack of memory does.
 */
int err_sys_own(struct err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<prefix>: " before the text of an error that is set. Returns -err->code. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ERR_NOMEM with the usual text. */
int err_nomem(struct err *err);

#endif
