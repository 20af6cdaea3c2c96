#include "cli/out.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "cli/text.h"

/* Longer than any err text with every byte escaped; longer lines are cut. */
#define LINE_CHARS 16384

static void results_written(struct out *o, bool ok)
{
	if (!ok && o->write_errno == 0)
		o->write_errno = errno ? errno : EIO;
}

void out_clear_meter(struct out *o)
{
	if (!o->meter_shown)
		return;
	(void)fputs("\r\033[K", o->errors);
	(void)fflush(o->errors);
	o->meter_shown = false;
}

/* A result may be several lines; whatever else in it would steer a terminal is escaped. */
static void __attribute__((format(printf, 2, 0)))
put_line(struct out *o, const char *fmt, va_list ap)
{
	char text[LINE_CHARS], shown[2 * LINE_CHARS], *at = text, *end;

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	out_clear_meter(o);
	errno = 0;
	do {
		end = strchr(at, '\n');
		if (end)
			*end = '\0';
		(void)text_printable(at, shown, sizeof(shown));
		results_written(o, fputs(shown, o->results) >= 0 && fputc('\n', o->results) != EOF);
		at = end + 1;
	} while (end);
}

void out_line(struct out *o, const char *fmt, ...)
{
	va_list ap;

	if (o->json)
		return;
	va_start(ap, fmt);
	put_line(o, fmt, ap);
	va_end(ap);
}

void out_note(struct out *o, const char *fmt, ...)
{
	va_list ap;

	if (o->json || o->quiet)
		return;
	va_start(ap, fmt);
	put_line(o, fmt, ap);
	va_end(ap);
}

void out_detail(struct out *o, const char *fmt, ...)
{
	va_list ap;

	if (o->json || o->quiet || o->verbose == 0)
		return;
	va_start(ap, fmt);
	put_line(o, fmt, ap);
	va_end(ap);
}

/* A line on stderr. What stderr does not take is lost: there is nowhere left to say so. */
static void put_error(struct out *o, const char *prefix, const char *text)
{
	char line[LINE_CHARS];

	out_clear_meter(o);
	(void)text_printable(text, line, sizeof(line));
	(void)fprintf(o->errors, "nightjar: %s%s\n", prefix, line);
}

/* A step's array is put into an object, so that every line of the whole is one. */
static void put_document(const struct out *o, FILE *to, const struct json *j)
{
	bool wrapped = o->step && j->text.len && j->text.data[0] == '[';

	if (wrapped)
		(void)fprintf(
		    to, "{\"message_type\":\"document\",\"step\":\"%s\",\"document\":", o->step);
	(void)fwrite(j->text.data, 1, j->text.len, to);
	if (wrapped)
		(void)fputc('}', to);
	(void)fputc('\n', to);
}

void out_json(struct out *o, const struct json *j)
{
	struct err err = {0};

	if (json_end(j, &err) < 0) {
		results_written(o, false);
		put_error(o, "", err.text);
		return;
	}
	errno = 0;
	put_document(o, o->results, j);
	/* A caller that reads status lines from a pipe wants each at once. */
	results_written(o, fflush(o->results) == 0 && !ferror(o->results));
}

void out_bytes(struct out *o, const void *bytes, size_t len)
{
	errno = 0;
	results_written(o, len == 0 || fwrite(bytes, 1, len, o->results) == len);
}

static void begin_message(struct json *j, const char *type)
{
	json_object(j, NULL);
	json_str(j, "message_type", type);
}

/* Out of memory while saying what is wrong: better a plain line than silence. */
static void end_message(struct out *o, struct json *j, const char *text)
{
	struct err err = {0};

	json_close(j);
	if (json_end(j, &err) < 0)
		put_error(o, "", text);
	else
		put_document(o, o->errors, j);
	json_free(j);
}

/* Most texts name their item already; a person must be told it once, not twice. */
static void say_error(struct out *o, const char *item, const char *text)
{
	char both[5120];

	if (!item || !*item || strstr(text, item)) {
		put_error(o, "", text);
		return;
	}
	(void)snprintf(both, sizeof(both), "%s: %s", item, text);
	put_error(o, "", both);
}

void out_error(struct out *o, const char *during, const char *item, const char *text)
{
	struct json j = {0};

	if (!o->json) {
		say_error(o, item, text);
		return;
	}
	begin_message(&j, "error");
	json_object(&j, "error");
	json_str(&j, "message", text);
	json_close(&j);
	if (during)
		json_str(&j, "during", during);
	if (item)
		json_str(&j, "item", item);
	end_message(o, &j, text);
}

void out_warning(struct out *o, const char *fmt, ...)
{
	struct json j = {0};
	char text[2048];
	va_list ap;

	if (o->quiet)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!o->json) {
		put_error(o, "warning: ", text);
		return;
	}
	begin_message(&j, "warning");
	json_str(&j, "message", text);
	end_message(o, &j, text);
}

void out_elsewhere(const struct out *o, const char *text)
{
	const char *clear = isatty(fileno(o->errors)) ? "\r\033[K" : "";
	char line[LINE_CHARS];
	struct json j = {0};
	struct err ignored = {0};

	if (o->quiet)
		return;
	if (o->json) {
		begin_message(&j, "warning");
		json_str(&j, "message", text);
		json_close(&j);
		if (json_end(&j, &ignored) == 0)
			(void)fprintf(o->errors, "%.*s\n", (int)j.text.len,
				      (const char *)j.text.data);
		json_free(&j);
		return;
	}
	(void)text_printable(text, line, sizeof(line));
	(void)fprintf(o->errors, "%snightjar: %s\n", clear, line);
}

void out_exit_error(struct out *o, enum exit_code code, const char *text)
{
	struct json j = {0};

	if (o->step) {
		out_error(o, o->step, NULL, text);
		return;
	}
	o->exit_error_said = true;
	if (!o->json) {
		put_error(o, "", text);
		return;
	}
	begin_message(&j, "exit_error");
	json_i64(&j, "code", (int64_t)code);
	json_str(&j, "message", text);
	end_message(o, &j, text);
}

int out_finish(struct out *o, bool *out_pipe_closed, struct err *err)
{
	errno = 0;
	results_written(o, fflush(o->results) == 0);
	*out_pipe_closed = o->write_errno == EPIPE;
	if (o->write_errno)
		return err_sys(err, o->write_errno, "cannot write to standard output");
	return 0;
}
