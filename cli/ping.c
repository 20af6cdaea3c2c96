#include "cli/ping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/secret.h"
#include "repo/http.h"

#define PING_ANSWER_BYTES (1u << 20)

char *ping_event_url(const char *url, enum ping_event event)
{
	static const char *const ends[] = {
	    [PING_START] = "/start", [PING_SUCCESS] = "", [PING_FAIL] = "/fail"};
	size_t path = strcspn(url, "?#"), kept = path;
	char *out;

	/* "https://host/uuid/" and "https://host/uuid" are the same check. */
	while (kept && url[kept - 1] == '/' && event != PING_SUCCESS)
		kept--;
	if (asprintf(&out, "%.*s%s%s", (int)kept, url, ends[event], url + path) < 0)
		return NULL;
	return out;
}

/* What the server answers interests nobody; a redirect is told to whoever reads the log. */
static int post(struct http *http, const char *url, const char *body, struct err *err)
{
	static const char *const headers[] = {"Content-Type: text/plain; charset=utf-8", NULL};
	struct http_request request = {
	    .method = "POST",
	    .url = url,
	    .headers = headers,
	    .body = body,
	    .body_len = strlen(body),
	    .max_bytes = PING_ANSWER_BYTES,
	};
	struct http_answer answer;
	int r = http_send(http, &request, &answer, NULL, err);

	if (r)
		return err_set(err, ERR_IO, "the ping failed: %s", err->text);
	if (answer.status / 100 == 2)
		return 0;
	return err_set(err, ERR_IO, "the ping failed: the server answered %ld", answer.status);
}

int ping_send(const char *url, int64_t timeout_s, enum ping_event event, const char *body,
	      struct err *err)
{
	struct net net = {.stall_s = PING_TIMEOUT_S};
	char *whole = ping_event_url(url, event);
	struct http *http = NULL;
	int r;

	if (timeout_s > 0)
		net.stall_s =
		    timeout_s < PING_TIMEOUT_MOST_S ? (unsigned)timeout_s : PING_TIMEOUT_MOST_S;
	r = whole ? http_new(&net, &http, err) : err_nomem(err);
	if (!r)
		r = post(http, whole, body, err);
	http_free(http);
	free(whole);
	return r;
}

/* Before the night begins, so that nobody waits for pings that will never come. */
static int built_for_it(struct err *err)
{
	struct http *http = NULL;
	int r = http_new(NULL, &http, err);

	http_free(http);
	return r ? err_prefix(err, "[ping]") : 0;
}

static int read_url(int fd, const char *path, char *out, struct err *err)
{
	bool tolerated;
	ssize_t got;
	int r = secret_judge_mode(fd, "the ping's url-file", path, &tolerated, err);

	if (r)
		return r;
	do {
		got = read(fd, out, PING_URL_BYTES);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_sys(err, errno, "%s", path);
	out[got] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	return 0;
}

static int url_of_file(const char *path, char **out_url, struct err *err)
{
	char *url = calloc(1, PING_URL_BYTES + 1);
	int r, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (!url)
		r = err_nomem(err);
	else if (fd < 0)
		r = err_sys(err, errno, "%s", path);
	else
		r = read_url(fd, path, url, err);
	if (fd >= 0)
		(void)close(fd);
	if (r)
		free(url);
	else
		*out_url = url;
	return r;
}

/* Before a typing error becomes a failed connection. */
int ping_url_judge(const char *url, struct err *err)
{
	const char *host = strncmp(url, "https://", 8) == 0  ? url + 8
			   : strncmp(url, "http://", 7) == 0 ? url + 7
							     : NULL;
	bool ok = host && *host && !strchr("/?#", *host) && strlen(url) < PING_URL_BYTES &&
		  !strpbrk(url, "\"'<>");

	for (const char *c = url; ok && *c; c++)
		ok = (unsigned char)*c > 0x20 && *c != 0x7f;
	return ok ? 0
		  : err_set(
			err, ERR_USAGE,
			"must begin with https:// or http:// and a host, and have no blank, quote "
			"or control character in it");
}

int ping_url(const struct config_ping *ping, char **out_url, struct err *err)
{
	int r = 0;

	*out_url = NULL;
	if (!ping->url && !ping->url_file)
		return 0;
	r = built_for_it(err);
	if (r)
		return r;
	if (ping->url_file) {
		r = url_of_file(ping->url_file, out_url, err);
	} else {
		*out_url = strdup(ping->url);
		r = *out_url ? 0 : err_nomem(err);
	}
	if (!r && ping_url_judge(*out_url, err))
		r = err_prefix(err, "the ping's url%s%s", ping->url_file ? " in " : "",
			       ping->url_file ? ping->url_file : "");
	if (r) {
		free(*out_url);
		*out_url = NULL;
	}
	return r;
}
