#include "cli/ping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/secret.h"

#ifdef HAVE_LIBCURL
#include <curl/curl.h>
#endif

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

#ifdef HAVE_LIBCURL

/* What the server answers interests nobody. */
static size_t drop(char *bytes, size_t size, size_t count, void *arg)
{
	(void)bytes;
	(void)arg;
	return size * count;
}

static int judge(CURL *curl, CURLcode code, struct err *err)
{
	long status = 0;

	if (code != CURLE_OK) /* its own words, which do not repeat the URL */
		return err_set(err, ERR_IO, "the ping failed: %s", curl_easy_strerror(code));
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status < 300)
		return 0;
	return err_set(err, ERR_IO, "the ping failed: the server answered %ld", status);
}

/* No redirects: a monitor that moved is told to whoever reads the log. */
static int post(CURL *curl, const char *url, long timeout_ms, const char *body, struct err *err)
{
	struct curl_slist *headers =
	    curl_slist_append(NULL, "Content-Type: text/plain; charset=utf-8");
	int r;

	if (!headers)
		return err_nomem(err);
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
	(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	(void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "nightjar");
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
	r = judge(curl, curl_easy_perform(curl), err);
	curl_slist_free_all(headers);
	return r;
}

int ping_send(const char *url, int64_t timeout_s, enum ping_event event, const char *body,
	      struct err *err)
{
	char *whole = ping_event_url(url, event);
	CURL *curl = NULL;
	int r;

	if (timeout_s == 0)
		timeout_s = PING_TIMEOUT_S;
	if (timeout_s > PING_TIMEOUT_MOST_S)
		timeout_s = PING_TIMEOUT_MOST_S;
	if (whole && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		curl = curl_easy_init();
	r = curl ? post(curl, whole, (long)timeout_s * 1000, body, err)
		 : err_set(err, ERR_IO, "the ping failed: libcurl cannot start");
	if (curl)
		curl_easy_cleanup(curl);
	curl_global_cleanup();
	free(whole);
	return r;
}

static int built_for_it(struct err *err)
{
	(void)err;
	return 0;
}

#else

int ping_send(const char *url, int64_t timeout_s, enum ping_event event, const char *body,
	      struct err *err)
{
	(void)url;
	(void)timeout_s;
	(void)event;
	(void)body;
	return err_set(err, ERR_USAGE, "this nightjar was built without libcurl");
}

static int built_for_it(struct err *err)
{
	return err_set(err, ERR_USAGE,
		       "[ping] needs libcurl, and this nightjar was built without it");
}

#endif

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

/* libcurl would also write to a file: or gopher: URL. */
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
