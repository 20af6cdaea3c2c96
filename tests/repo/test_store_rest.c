/*
 * The promises of repo/store.h over `rclone serve restic`; what comes of answers that are wrong, over a server that
 * plays a script. rest-server itself is in tests/cli/rest.bats.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/http.h"
#include "repo/store_net.h"
#include "tests/support/httpd.h"
#include "tests/support/must.h"
#include "tests/support/store_suite.h"
#include "tests/support/tmpdir.h"

/* --- rclone --- */

static struct {
	pid_t pid;
	char *dir;
	char url[64];
	unsigned next; /* each test has a folder of its own */
} rclone;

/* The address that it says it listens on; false when it says none. */
static bool read_url(const char *log)
{
	char text[4096] = "", *at;
	FILE *f = fopen(log, "r");

	if (f) {
		(void)!fread(text, 1, sizeof(text) - 1, f);
		(void)fclose(f);
	}
	at = strstr(text, "http://127.0.0.1:");
	if (!at || !strchr(at, '\n'))
		return false;
	at[strcspn(at, " \n")] = '\0';
	(void)snprintf(rclone.url, sizeof(rclone.url), "%s", at);
	return true;
}

/* False when there is no rclone. */
static bool rclone_start(void)
{
	char *log;
	bool up = false;

	if (system("rclone version >/dev/null 2>&1") != 0)
		return false;
	rclone.dir = tmpdir_make();
	log = tmpdir_path(rclone.dir, "log");
	rclone.pid = fork();
	assert_true(rclone.pid >= 0);
	if (rclone.pid == 0) {
		int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		(void)dup2(fd, 1);
		(void)dup2(fd, 2);
		(void)execlp("rclone", "rclone", "serve", "restic", "--config", "/dev/null",
			     "--addr", "127.0.0.1:0", rclone.dir, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 200 && !up; i++) {
		(void)nanosleep(&(struct timespec){0, 50000000}, NULL);
		up = read_url(log);
	}
	free(log);
	return up;
}

static void rclone_stop(void)
{
	(void)kill(rclone.pid, SIGKILL);
	(void)waitpid(rclone.pid, NULL, 0);
	tmpdir_remove(rclone.dir);
}

static void open_rclone(struct store_fixture *f)
{
	char location[128];

	(void)snprintf(location, sizeof(location), "rest:%sr%u/sub", rclone.url, rclone.next++);
	MUST(store_open(location, NULL, &f->store, &f->err), &f->err);
}

/* --- a script --- */

#define OK(len, body) "HTTP/1.1 200 OK\r\nContent-Length: " #len "\r\n\r\n" body
#define NO(status) "HTTP/1.1 " #status " No\r\nContent-Length: 0\r\n\r\n"

struct box {
	char *dir;
	struct httpd server;
	struct store *store;
	struct buf out;
	struct err err;
	struct id id;
};

static void box_open(struct box *b, const struct httpd_step *steps, size_t count)
{
	char location[128];

	*b = (struct box){.dir = tmpdir_make()};
	memset(&b->id, 0x3f, sizeof(b->id));
	httpd_start(&b->server, b->dir, steps, count);
	(void)snprintf(location, sizeof(location), "rest:http://me:hu%%73h@127.0.0.1:%u/r/",
		       b->server.port);
	MUST(store_open(location, NULL, &b->store, &b->err), &b->err);
	buf_put(&b->out, "kept", 4);
}
#define OPEN(b, steps) box_open(b, steps, sizeof(steps) / sizeof((steps)[0]))

static void box_close(struct box *b)
{
	assert_null(strstr(b->err.text, "hush"));
	assert_null(strstr(b->err.text, "hu%73h"));
	assert_true(b->out.len >= 4 && memcmp(b->out.data, "kept", 4) == 0);
	buf_free(&b->out);
	store_free(b->store);
	httpd_stop(&b->server);
	tmpdir_remove(b->dir);
}

static int count_names(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	(void)name;
	(void)size_bytes;
	(void)err;
	++*(size_t *)arg;
	return 0;
}

enum call { PUT, PUT_CONFIG, GET, RANGE, SIZE, LIST, REMOVE, CREATE, NOW };

static int call(struct box *b, enum call which)
{
	struct store *s = b->store;
	struct err *err = &b->err;
	uint64_t size;
	int64_t now;
	size_t n = 0;

	switch (which) {
	case PUT:
		return store_put(s, STORE_DATA, &b->id, "abc", 3, err);
	case PUT_CONFIG:
		return store_put(s, STORE_CONFIG, NULL, "abc", 3, err);
	case GET:
		return store_get(s, STORE_DATA, &b->id, 9, &b->out, err);
	case RANGE:
		return store_get_range(s, STORE_DATA, &b->id, 4, 3, &b->out, err);
	case SIZE:
		return store_size(s, STORE_DATA, &b->id, &size, err);
	case LIST:
		return store_list(s, STORE_SNAPSHOTS, count_names, &n, err);
	case REMOVE:
		return store_remove(s, STORE_DATA, &b->id, err);
	case CREATE:
		return store_create(s, err);
	case NOW:
		return store_now(s, &now, err);
	}
	return 0;
}

static void answers_mean_what_they_mean(void **state)
{
	static const struct {
		enum call call;
		const char *answers[3]; /* the last given one again and again */
		int want;
		const char *says;
	} table[] = {
	    {PUT, {NO(404), NO(200), OK(3, "")}, 0, NULL},
	    {PUT, {NO(404), NO(200), OK(2, "")}, ERR_AGAIN, "is not there, though"},
	    {PUT, {NO(404), NO(200), NO(404)}, ERR_AGAIN, "is not there, though"},
	    {PUT, {NO(404), NO(200), NO(503)}, ERR_AGAIN, "503"},
	    {PUT, {OK(0, "")}, ERR_EXISTS, "exists already"},
	    {PUT, {NO(404), NO(403), OK(0, "")}, ERR_EXISTS, "exists already"},
	    {PUT, {NO(404), NO(403), NO(404)}, ERR_DENIED, "does not allow"},
	    {PUT, {NO(503)}, ERR_AGAIN, "503"},
	    {PUT, {NO(404), NO(500)}, ERR_AGAIN, "500"},
	    {PUT, {NO(404), NO(507)}, ERR_FULL, "507"},
	    {PUT, {NO(404), NO(400)}, ERR_IO, "400"},
	    {PUT, {NO(404), NO(302)}, ERR_IO, "302"},
	    {PUT_CONFIG, {NO(404), NO(200), OK(3, "abc")}, 0, NULL},
	    {PUT_CONFIG, {NO(404), NO(200), OK(3, "abd")}, ERR_EXISTS, "/config exists already"},
	    {PUT_CONFIG, {NO(404), NO(200), OK(4, "abcd")}, ERR_EXISTS, "/config exists already"},
	    {PUT_CONFIG, {NO(404), NO(200), NO(404)}, ERR_MISSING, "/config is not there"},
	    {GET, {NO(404)}, ERR_MISSING, "is not there"},
	    {GET, {NO(410)}, ERR_MISSING, "is not there"},
	    {GET, {NO(401)}, ERR_DENIED, "refuses this user and password"},
	    {GET, {NO(403)}, ERR_DENIED, "403"},
	    {GET, {"HTTP/1.1 206 Part\r\nContent-Length: 3\r\n\r\nabc"}, ERR_IO, "206"},
	    {GET, {OK(10, "0123456789")}, ERR_LIMIT, "longer than the 9 bytes"},
	    {RANGE, {NO(404)}, ERR_MISSING, "is not there"},
	    {RANGE, {NO(416)}, ERR_DAMAGED, "is too short"},
	    {RANGE, {OK(10, "0123456789")}, ERR_IO, "whole files only"},
	    {RANGE, {OK(3, "012")}, ERR_IO, "whole files only"},
	    {RANGE,
	     {"HTTP/1.1 206 P\r\nContent-Length: 2\r\nContent-Range: bytes 4-5/6\r\n\r\nab"},
	     ERR_DAMAGED,
	     "is too short"},
	    {RANGE,
	     {"HTTP/1.1 206 P\r\nContent-Length: 3\r\nContent-Range: bytes 3-5/9\r\n\r\nabc"},
	     ERR_IO,
	     "gave another"},
	    {RANGE, {"HTTP/1.1 206 P\r\nContent-Length: 3\r\n\r\nabc"}, ERR_IO, "gave another"},
	    {SIZE, {"HTTP/1.1 200 OK\r\n\r\n"}, ERR_IO, "does not say its size"},
	    {LIST, {OK(2, "[]")}, 0, NULL},
	    {LIST, {OK(1, "[")}, ERR_IO, "/snapshots/: the listing is none"},
	    {LIST, {OK(15, "<html>hi</html>")}, ERR_IO, "/snapshots/: the listing is none"},
	    {LIST, {OK(5, "[\"a\"]")}, ERR_VERSION, "version 1"},
	    {LIST, {NO(404), NO(404)}, 0, NULL},
	    {LIST, {NO(404), OK(0, "")}, ERR_IO, "no such folder"},
	    {LIST, {NO(404), NO(500)}, ERR_AGAIN, "500"},
	    {LIST, {NO(400)}, ERR_IO, "400"},
	    {LIST, {NO(302)}, ERR_IO, "302"},
	    {REMOVE, {NO(204)}, 0, NULL},
	    {REMOVE, {NO(404)}, ERR_MISSING, "is not there"},
	    {REMOVE, {NO(403)}, ERR_DENIED, "append-only"},
	    {CREATE, {NO(404), NO(200)}, 0, NULL},
	    {CREATE, {OK(0, "")}, ERR_EXISTS, "a repository is in"},
	    {CREATE, {NO(404), NO(403)}, ERR_DENIED, "403"},
	    {CREATE, {NO(503)}, ERR_AGAIN, "503"},
	    {NOW, {NO(404)}, ERR_IO, "what time it is"},
	    {NOW, {"HTTP/1.1 404 No\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"}, 0, NULL},
	    {NOW, {NO(500)}, ERR_AGAIN, "500"},
	};
	struct box b;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct httpd_step steps[3] = {{0}};
		size_t count = 0;
		int r;

		for (; count < 3 && table[i].answers[count]; count++)
			steps[count] = (struct httpd_step){table[i].answers[count], HTTPD_CLOSE, 0};
		box_open(&b, steps, count);
		r = call(&b, table[i].call);
		if (r != -table[i].want || (table[i].says && !strstr(b.err.text, table[i].says)))
			fail_msg("line %zu: %d, %s", i, r, r ? b.err.text : "");
		if (r && !strstr(b.err.text, "rest:http://me:***@127.0.0.1:"))
			fail_msg("line %zu does not name the store: %s", i, b.err.text);
		assert_int_equal(b.out.len, 4);
		box_close(&b);
	}
}

/* Two files of one name, as some clouds have them; foreign ones; and a listing that never ends. */
static void listings(void **state)
{
#define N "3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f"
#define E "{\"name\":\"" N "\",\"size\":1}"
	static const struct httpd_step steps[] = {
	    {OK(201, "[" E "," E ",{\"name\":\"../config\",\"size\":9}]"), HTTPD_KEEP, 0},
	    {OK(400000000, "[" E ",{\"name\":\""), HTTPD_CLOSE, 300000000},
	};
	struct rusage used;
	struct box b;
	size_t n = 0;

	(void)state;
	OPEN(&b, steps);
	MUST(store_list(b.store, STORE_DATA, count_names, &n, &b.err), &b.err);
	assert_int_equal(n, 1);
	MUST_FAIL(store_list(b.store, STORE_DATA, count_names, &n, &b.err), ERR_AGAIN, &b.err);
	assert_int_equal(n, 1);
	(void)getrusage(RUSAGE_SELF, &used);
	assert_true(used.ru_maxrss < 128 << 10); /* KiB */
	box_close(&b);
}

static void requests_are_those_of_the_protocol(void **state)
{
	static const struct httpd_step steps[] = {{NO(404), HTTPD_KEEP, 0}};
	struct box b;
	char *heard;

	(void)state;
	OPEN(&b, steps);
	(void)call(&b, GET);
	(void)call(&b, RANGE);
	(void)call(&b, LIST);
	(void)call(&b, CREATE);
	(void)call(&b, PUT);
	(void)call(&b, REMOVE);
	heard = httpd_heard(&b.server);
	assert_non_null(strstr(heard, "GET /r/data/" N " HTTP/1.1\r\n"));
	assert_non_null(strstr(heard, "\r\nRange: bytes=4-6\r\n"));
	assert_non_null(strstr(heard, "GET /r/snapshots/ HTTP/1.1\r\n"));
	assert_non_null(strstr(heard, "\r\nAccept: application/vnd.x.restic.rest.v2\r\n"));
	assert_non_null(strstr(heard, "POST /r/?create=true HTTP/1.1\r\n"));
	assert_non_null(strstr(heard, "POST /r/data/" N " HTTP/1.1\r\n"));
	assert_non_null(strstr(heard, "DELETE /r/data/" N " HTTP/1.1\r\n"));
	assert_non_null(strstr(heard, "\r\nAuthorization: Basic bWU6aHVzaA==\r\n"));
	assert_null(strstr(heard, "#2"));
	free(heard);
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
	    cmocka_unit_test(answers_mean_what_they_mean),
	    cmocka_unit_test(listings),
	    cmocka_unit_test(requests_are_those_of_the_protocol),
	};
	const struct store_backend backend = {"rclone serve restic", open_rclone};
	int failed;

	if (!has_libcurl())
		return cmocka_run_group_tests(none, NULL, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (!rclone_start()) {
		(void)printf("# the suite over rclone was skipped: there is no rclone\n");
		return failed != 0;
	}
	failed += store_suite_run(&backend);
	rclone_stop();
	return failed != 0;
}
