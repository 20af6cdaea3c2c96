/* Words that people type as times, spans, parts, settings and URLs, and bytes that are shown to them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/lines.h"
#include "cli/ping.h"
#include "cli/subset.h"
#include "cli/text.h"
#include "cli/transfers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judged(int rc, const struct err *err)
{
	if (rc && ((rc != -ERR_USAGE && rc != -ERR_LIMIT && rc != -ERR_NOMEM) || !err->text[0]))
		abort();
}

static void times(const char *text)
{
	int64_t s = -1, ns;
	char again[TEXT_TIME_CHARS];

	if (text_span_parse(text, &s) && (s < 0 || s > 100 * INT64_C(366) * 86400))
		abort();
	if (text_time_parse(text, &ns)) {
		text_time_local((ns - (ns % 1000000000 + 1000000000) % 1000000000) / 1000000000,
				again);
		if (strcmp(again, text) != 0)
			abort();
	}
}

static void parts(const char *text)
{
	struct check_options options = {0};
	struct err err = {0};
	int rc = subset_parse(text, &options, &err);

	judged(rc, &err);
	if (rc == 0 && (!options.read_data || options.part == CHECK_DUE))
		abort();
}

static void settings(const char *text)
{
	struct err err = {0};
	int rc = transfers_judge(text, &err);

	judged(rc, &err);
	if (rc && strncmp(err.text, "-o ", 3) != 0)
		abort();
}

static void urls(const char *text)
{
	struct err err = {0};
	int rc = ping_url_judge(text, &err);
	char *url;

	judged(rc, &err);
	if (rc) {
		if (strlen(text) > 12 && strstr(err.text, text))
			abort(); /* the URL is a secret */
		return;
	}
	url = ping_event_url(text, PING_FAIL);
	if (url && (ping_url_judge(url, &err) != 0 ? strlen(url) < 2000 : !strstr(url, "/fail")))
		abort();
	free(url);
}

static void shown(const char *text, size_t len)
{
	char *out = malloc(len * 4 + 1);
	size_t n;

	if (!out)
		return;
	n = text_printable(text, out, len * 4 + 1);
	if (n != strlen(out))
		abort();
	for (size_t i = 0; i < n; i++) {
		if ((uint8_t)out[i] < ' ' || out[i] == 127)
			abort();
	}
	free(out);
}

static void lists(const uint8_t *data, size_t size)
{
	for (int kind = LINES_TRIMMED; kind <= LINES_RAW; kind++) {
		struct lines lines = {0};
		struct err err = {0};
		char *text = malloc(size ? size : 1);

		if (!text)
			return;
		if (size)
			memcpy(text, data, size);
		judged(lines_split(&lines, text, size, (enum lines_kind)kind, "a list", &err),
		       &err);
		for (size_t i = 0; i < lines.count; i++) {
			if (!lines.items[i][0] ||
			    (kind != LINES_RAW && strchr(lines.items[i], '\n')))
				abort();
		}
		lines_free(&lines);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1);

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	times(text);
	parts(text);
	settings(text);
	urls(text);
	shown(text, strlen(text));
	lists(data, size);
	free(text);
	return 0;
}
