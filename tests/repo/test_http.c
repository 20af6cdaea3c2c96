/* http: what comes of every kind of answer, over a server that plays a script. TLS is in tests/cli/rest.bats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "repo/http.h"
#include "tests/support/httpd.h"
#include "tests/support/must.h"
#include "tests/support/tmpdir.h"

#define OK(body_len) "HTTP/1.1 200 OK\r\nContent-Length: " #body_len "\r\n\r\n"

/* 64 lines of 1 KiB, and a few bytes more. */
#define TIMES_8(x) x x x x x x x x
#define LINES TIMES_8(TIMES_8("X: " TIMES_8(TIMES_8("0123456789abcdef")) "\r\n"))

struct box {
	char *dir;
	struct httpd server;
	struct net net;
	struct net_counts counts;
	struct http *http;
	struct http_answer answer;
	struct buf out;
	struct err err;
	char url[64];
};

static void box_open(struct box *b, const struct httpd_step *steps, size_t count)
{
	b->dir = tmpdir_make();
	httpd_start(&b->server, b->dir, steps, count);
	b->net.counts = &b->counts;
	MUST(http_new(&b->net, &b->http, &b->err), &b->err);
	(void)snprintf(b->url, sizeof(b->url), "http://127.0.0.1:%u/a/../b?q=hush", b->server.port);
	buf_put(&b->out, "kept", 4);
}
#define OPEN(b, steps) box_open(b, steps, sizeof(steps) / sizeof((steps)[0]))

static void box_close(struct box *b)
{
	assert_null(strstr(b->err.text, "hush"));
	http_free(b->http);
	httpd_stop(&b->server);
	tmpdir_remove(b->dir);
	buf_free(&b->out);
}

static int ask(struct box *b, const char *method, size_t max_bytes)
{
	struct http_request request = {.method = method, .url = b->url, .max_bytes = max_bytes};

	return http_send(b->http, &request, &b->answer, &b->out, &b->err);
}

static void assert_out(const struct box *b, const char *text)
{
	assert_int_equal(b->out.len, strlen(text));
	assert_memory_equal(b->out.data, text, strlen(text));
}

static void an_answer_is_taken_apart(void **state)
{
	static const struct httpd_step steps[] = {
	    {"HTTP/1.1 206 Partial\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 3\r\n"
	     "content-RANGE: bytes 5-7/99\r\nContent-Type: a/b\r\n\r\nabc",
	     HTTPD_KEEP, 0},
	    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	     "Date: yesterday\r\nContent-Range: bytes 7-5/99\r\n\r\n3\r\ndef\r\n0\r\n\r\n",
	     HTTPD_KEEP, 0},
	    {"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n", HTTPD_CLOSE, 0},
	    {"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n", HTTPD_KEEP, 0},
	};
	struct box b = {0};
	char *heard;

	(void)state;
	OPEN(&b, steps);
	MUST(ask(&b, "GET", 3), &b.err);
	assert_out(&b, "keptabc");
	assert_int_equal(b.answer.status, 206);
	assert_int_equal(b.answer.head.date_s, 784111777);
	assert_true(b.answer.has_length && b.answer.length_bytes == 3 && b.answer.head.has_range);
	assert_int_equal(b.answer.head.range_offset, 5);
	assert_int_equal(b.answer.head.range_len, 3);
	assert_int_equal(b.answer.head.range_total, 99);
	assert_string_equal(b.answer.content_type, "a/b");
	MUST(ask(&b, "GET", 3), &b.err);
	assert_out(&b, "keptabcdef");
	assert_true(b.answer.head.date_s == -1 && !b.answer.has_length && !b.answer.head.has_range);
	assert_int_not_equal(ask(&b, "GET", 3), 0);
	MUST(ask(&b, "HEAD", 0), &b.err);
	assert_int_equal(b.answer.length_bytes, 5000000000);
	assert_out(&b, "keptabcdef");
	assert_int_equal(atomic_load(&b.counts.requests), 4);
	assert_int_equal(atomic_load(&b.counts.received_bytes), 6);
	heard = httpd_heard(&b.server);
	assert_non_null(strstr(heard, "GET /a/../b?q=hush HTTP/1.1\r\n"));
	assert_non_null(strstr(heard, "User-Agent: nightjar/"));
	assert_non_null(strstr(heard, "#2"));
	assert_null(strstr(heard, "#3"));
	free(heard);
	box_close(&b);
}

/* The second goes out on a connection that the server has closed: nobody notices. */
static void a_body_is_sent(void **state)
{
	static const struct httpd_step steps[] = {{OK(0), HTTPD_CLOSE, 0}, {OK(0), HTTPD_KEEP, 0}};
	static const char *const headers[] = {"X-Own: 1", NULL};
	struct http_request request = {.headers = headers, .user = "me", .password = "hush"};
	const char *methods[] = {"POST", "PUT", "DELETE"};
	size_t len = 3 << 20, x = 0;
	struct box b = {0};
	char *heard;

	(void)state;
	OPEN(&b, steps);
	request.url = b.url;
	request.body = memset(malloc(len), 'Z', len);
	for (size_t i = 0; i < 3; i++) {
		request.method = methods[i];
		request.body_len = i == 1 ? len : i == 0 ? 100000 : 0;
		MUST(http_send(b.http, &request, &b.answer, NULL, &b.err), &b.err);
	}
	assert_true(atomic_load(&b.counts.sent_bytes) >= len + 100000);
	heard = httpd_heard(&b.server);
	assert_non_null(strstr(heard, "POST /"));
	assert_non_null(strstr(heard, "Content-Type: application/octet-stream\r\n"));
	assert_non_null(strstr(heard, "X-Own: 1\r\n"));
	assert_non_null(strstr(heard, "Authorization: Basic bWU6aHVzaA==\r\n"));
	assert_non_null(strstr(heard, "PUT /"));
	assert_null(strcasestr(heard, "expect"));
	assert_null(strcasestr(heard, "form-urlencoded"));
	for (const char *p = strstr(heard, "POST /"); *p; p++)
		x += *p == 'Z';
	assert_true(x >= 100000);
	free(heard);
	free((void *)(uintptr_t)request.body);
	box_close(&b);
}

static void what_fails_leaves_nothing(void **state)
{
	static const struct {
		struct httpd_step step;
		enum err_code want;
	} table[] = {
	    {{"", HTTPD_CLOSE, 0}, ERR_AGAIN},
	    {{"", HTTPD_RESET, 0}, ERR_AGAIN},
	    {{"HTTP/1.1 200 OK\r\n", HTTPD_CLOSE, 0}, ERR_AGAIN},
	    {{"HTTP/1.1 200 OK\r\n\r\n", HTTPD_CLOSE, 5}, ERR_AGAIN},
	    {{OK(9), HTTPD_CLOSE, 5}, ERR_AGAIN},
	    {{OK(99999), HTTPD_RESET, 70000}, ERR_AGAIN},
	    {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n", HTTPD_CLOSE, 5},
	     ERR_AGAIN},
	    {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTPD_CLOSE, 50}, ERR_AGAIN},
	    {{"", HTTPD_STALL, 0}, ERR_AGAIN},
	    {{OK(9000000), HTTPD_STALL, 0}, ERR_AGAIN},
	    {{OK(9000000), HTTPD_DRIP, 0}, ERR_AGAIN},
	    {{"SSH-2.0-OpenSSH_9.2\r\n", HTTPD_CLOSE, 0}, ERR_IO},
	    {{OK(1000001), HTTPD_CLOSE, 1000001}, ERR_LIMIT},
	    {{"HTTP/1.1 200 OK\r\n\r\n", HTTPD_CLOSE, 90000000}, ERR_LIMIT},
	    {{"HTTP/1.1 200 OK\r\n" LINES, HTTPD_CLOSE, 0}, ERR_LIMIT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct box b = {.net = {.stall_s = 1}};

		box_open(&b, &table[i].step, 1);
		if (ask(&b, "GET", 1000000) != -(int)table[i].want)
			fail_msg("step %zu: %d, %s", i, b.err.code, b.err.text);
		assert_out(&b, "kept");
		box_close(&b);
	}
}

static void nobody_there(void **state)
{
	static const struct httpd_step none[] = {{"", HTTPD_CLOSE, 0}};
	struct box b = {0};

	(void)state;
	OPEN(&b, none);
	(void)snprintf(b.url, sizeof(b.url), "http://127.0.0.1:1/hush");
	MUST_FAIL(ask(&b, "GET", 9), ERR_AGAIN, &b.err);
	(void)snprintf(b.url, sizeof(b.url), "file:///etc/hush");
	MUST_FAIL(ask(&b, "GET", 9), ERR_IO, &b.err);
	(void)snprintf(b.url, sizeof(b.url), "https://127.0.0.1:%u/hush", b.server.port);
	b.net.stall_s = 1;
	assert_int_not_equal(ask(&b, "GET", 9), 0);
	box_close(&b);
}

static void statuses_are_told_apart(void **state)
{
	static const struct {
		const char *answer;
		enum err_code want;
	} table[] = {
	    {"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", ERR_DENIED},
	    {"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", ERR_DENIED},
	    {"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", ERR_MISSING},
	    {"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", ERR_AGAIN},
	    {"HTTP/1.1 503 No\r\nRetry-After: 700000\r\nContent-Length: 10\r\n\r\nso\n\001 bad<>",
	     ERR_AGAIN},
	    {"HTTP/1.1 507 No\r\nContent-Length: 0\r\n\r\n", ERR_FULL},
	    {"HTTP/1.1 302 No\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
	     ERR_IO},
	    {"HTTP/1.1 400 No\r\n\r\n", ERR_IO},
	};
	static const int waits[] = {0, 0, 0, 7, 3600, 0, 0, 0};
	struct box b;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		/* The last goes on for ever: its start is enough. */
		struct httpd_step step = {table[i].answer, HTTPD_CLOSE, i == 7 ? 1u << 30 : 0};

		b = (struct box){0};
		box_open(&b, &step, 1);
		MUST(ask(&b, "GET", 0), &b.err);
		assert_out(&b, "kept");
		assert_int_equal(http_status_error(&b.answer, "it", &b.err), -(int)table[i].want);
		assert_int_equal(b.err.wait_s, waits[i]);
		if (i == 4)
			assert_string_equal(b.err.text, "it: the server answered 503 (so bad<>)");
		box_close(&b);
	}
}

static bool at_once(void *arg)
{
	return ++*(int *)arg > 2;
}

static void a_stop_ends_a_wait(void **state)
{
	static const struct httpd_step steps[] = {{"", HTTPD_STALL, 0}};
	int asked = 0;
	struct box b = {.net = {.stopped = at_once, .stopped_arg = &asked}};
	time_t began = time(NULL);

	(void)state;
	OPEN(&b, steps);
	MUST_FAIL(ask(&b, "GET", 9), ERR_CANCELLED, &b.err);
	assert_true(time(NULL) - began < 10);
	box_close(&b);
}

/* 100 KB at 30 KB/s, both ways. A slice takes longer than the second that is called a stall, which that is not. */
static void the_pace_is_kept(void **state)
{
	static const struct httpd_step steps[] = {{OK(100000), HTTPD_KEEP, 100000}};
	struct net_pace up, down;
	struct box b = {.net = {.up = &up, .down = &down, .stall_s = 1}};
	struct http_request request = {.method = "POST", .body_len = 100000, .max_bytes = 100000};
	struct timespec from, to;

	(void)state;
	net_pace_init(&up, 30000);
	net_pace_init(&down, 30000);
	OPEN(&b, steps);
	request.url = b.url;
	request.body = calloc(1, 100000);
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	MUST(http_send(b.http, &request, &b.answer, NULL, &b.err), &b.err);
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	assert_in_range((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000,
			5000, 20000);
	free((void *)(uintptr_t)request.body);
	box_close(&b);
}

static void nothing_without_libcurl(void **state)
{
	(void)state;
	skip();
}

static bool has_libcurl(void)
{
	struct http *http = NULL;
	struct err err = {0};
	int r = http_new(NULL, &http, &err);

	http_free(http);
	return r == 0;
}

int main(void)
{
	const struct CMUnitTest none[] = {cmocka_unit_test(nothing_without_libcurl)};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_answer_is_taken_apart),  cmocka_unit_test(a_body_is_sent),
	    cmocka_unit_test(what_fails_leaves_nothing), cmocka_unit_test(nobody_there),
	    cmocka_unit_test(statuses_are_told_apart),   cmocka_unit_test(a_stop_ends_a_wait),
	    cmocka_unit_test(the_pace_is_kept),
	};

	return has_libcurl() ? cmocka_run_group_tests(tests, NULL, NULL)
			     : cmocka_run_group_tests(none, NULL, NULL);
}
