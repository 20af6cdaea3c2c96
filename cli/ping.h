/*
 * ping: tells a monitor that a night began, went well or failed, the way healthchecks.io wants it: POST to URL/start, URL, URL/fail, with the end of
 * the log. The URL is a secret: it is in no error text and no log. Over repo/http. One thread.
 */
#ifndef NIGHTJAR_CLI_PING_H
#define NIGHTJAR_CLI_PING_H

#include "cli/config.h"

enum ping_event { PING_START, PING_SUCCESS, PING_FAIL };

#define PING_URL_BYTES 2048u
#define PING_TIMEOUT_S 10 /* when the configuration says nothing */
#define PING_TIMEOUT_MOST_S 120

/*
 * The URL as the configuration says it, from the file if need be; *out_url is the caller's to free, NULL when there is no [ping].
 * ERR_USAGE: it is none of http or https, or nightjar was built without libcurl, or others can read the file; ERR_IO, ERR_MISSING.
 */
int ping_url(const struct config_ping *ping, char **out_url, struct err *err) ERR_UNUSED_WARN;

/* ERR_USAGE, which does not repeat it: none of http or https, without a host, too long, or with a blank, quote or control character in it. */
int ping_url_judge(const char *url, struct err *err) ERR_UNUSED_WARN;

/* One POST to a server whose certificate is good; it ends when nothing moves for so long. ERR_IO. */
int ping_send(const char *url, int64_t timeout_s, enum ping_event event, const char *body,
	      struct err *err) ERR_UNUSED_WARN;

/* url with "/start" or "/fail" behind its path and before its query; the caller's to free. NULL without memory. */
char *ping_event_url(const char *url, enum ping_event event);

#endif
