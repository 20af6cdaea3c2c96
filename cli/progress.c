#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/text.h"

#define TERMINAL_EVERY_S 0.2
#define JSON_EVERY_S 1.0
#define LINE_CHARS 1024
#define COLUMNS_LEAST 20

static double seconds_between(const struct timespec *a, const struct timespec *b)
{
	return (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) / 1e9;
}

static struct timespec now(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t;
}

void progress_begin(struct progress *p, struct out *out)
{
	*p = (struct progress){.out = out, .started = now()};
	p->shown = p->started;
	p->terminal = !out->json && !out->quiet && isatty(fileno(out->errors));
}

double progress_seconds(const struct progress *p)
{
	struct timespec t = now();

	return seconds_between(&p->started, &t);
}

/* How much is done, 0 to 1; negative when nobody knows. */
static double share_done(const struct progress_state *s)
{
	uint64_t done = s->bytes_total ? s->bytes : s->files;
	uint64_t total = s->bytes_total ? s->bytes_total : s->files_total;

	if (total == 0)
		return -1;
	return done < total ? (double)done / (double)total : 1;
}

/* Seconds that are left if the rest goes as what is done; negative when nobody knows. */
static double seconds_left(const struct progress_state *s, double elapsed)
{
	double share = share_done(s);

	return share <= 0 || elapsed < 1 ? -1 : elapsed * (1 - share) / share;
}

static size_t add_files(const struct progress_state *s, char *line, size_t room)
{
	const char *unit = s->unit ? s->unit : "files";
	int n = 0;

	if (s->files_total)
		n = snprintf(line, room, "  %llu/%llu %s", (unsigned long long)s->files,
			     (unsigned long long)s->files_total, unit);
	else if (s->files)
		n = snprintf(line, room, "  %llu %s", (unsigned long long)s->files, unit);
	return n > 0 ? (size_t)n : 0;
}

static size_t add_bytes(const struct progress_state *s, double elapsed, char *line, size_t room)
{
	char done[TEXT_SIZE_CHARS], total[TEXT_SIZE_CHARS], rate[TEXT_SIZE_CHARS];
	int n;

	if (s->bytes + s->bytes_total == 0)
		return 0;
	text_size(s->bytes, done);
	text_size(s->bytes_total, total);
	text_size(elapsed > 0 ? (uint64_t)((double)s->bytes / elapsed) : 0, rate);
	n = snprintf(line, room, "  %s%s%s  %s/s", done, s->bytes_total ? "/" : "",
		     s->bytes_total ? total : "", rate);
	return n > 0 ? (size_t)n : 0;
}

static unsigned columns_of(FILE *terminal)
{
	struct winsize size = {0};

	if (ioctl(fileno(terminal), TIOCGWINSZ, &size) != 0 || size.ws_col < COLUMNS_LEAST)
		return 80;
	return size.ws_col;
}

/* Never in the middle of a character: half of one is garbage on the screen. */
static void cut_line(char *line, size_t columns)
{
	size_t at = columns - 1;

	if (strlen(line) <= at)
		return;
	while (at > 0 && ((unsigned char)line[at] & 0xc0) == 0x80)
		at--;
	line[at] = '\0';
}

static void show_line(struct progress *p, const struct progress_state *s, double elapsed)
{
	char line[LINE_CHARS], took[TEXT_SIZE_CHARS], left[TEXT_SIZE_CHARS];
	unsigned columns = columns_of(p->out->errors);
	double rest = seconds_left(s, elapsed);
	size_t used;

	text_duration((uint64_t)elapsed, took);
	used = (size_t)snprintf(line, sizeof(line), "[%s] %s", took, s->phase);
	used += add_files(s, line + used, sizeof(line) - used);
	used += add_bytes(s, elapsed, line + used, sizeof(line) - used);
	if (rest >= 0) {
		text_duration((uint64_t)rest, left);
		used += (size_t)snprintf(line + used, sizeof(line) - used, "  %s left", left);
	}
	if (s->path && *s->path && used + 3 < sizeof(line)) {
		line[used++] = ' ';
		line[used++] = ' ';
		(void)text_printable(s->path, line + used, sizeof(line) - used);
	}
	cut_line(line, columns);
	(void)fprintf(p->out->errors, "\r\033[K%s", line);
	(void)fflush(p->out->errors);
	p->out->meter_shown = true;
}

static void show_json(struct progress *p, const struct progress_state *s, double elapsed)
{
	double rest = seconds_left(s, elapsed), share = share_done(s);
	struct json j = {0};

	json_object(&j, NULL);
	json_str(&j, "message_type", "status");
	json_str(&j, "phase", s->phase);
	json_u64(&j, "seconds_elapsed", (uint64_t)elapsed);
	if (rest >= 0)
		json_u64(&j, "seconds_remaining", (uint64_t)rest);
	if (share >= 0)
		json_double(&j, "percent_done", share);
	if (s->unit)
		json_str(&j, "unit", s->unit);
	json_u64(&j, "total_files", s->files_total);
	json_u64(&j, "files_done", s->files);
	json_u64(&j, "total_bytes", s->bytes_total);
	json_u64(&j, "bytes_done", s->bytes);
	if (s->path && *s->path) {
		json_array(&j, "current_files");
		json_str(&j, NULL, s->path);
		json_close(&j);
	}
	json_close(&j);
	out_json(p->out, &j);
	json_free(&j);
}

void progress_show(struct progress *p, const struct progress_state *state)
{
	struct timespec t;

	if (!p->terminal && !p->out->json)
		return;
	t = now();
	if (seconds_between(&p->shown, &t) < (p->terminal ? TERMINAL_EVERY_S : JSON_EVERY_S))
		return;
	p->shown = t;
	if (p->terminal)
		show_line(p, state, progress_seconds(p));
	else
		show_json(p, state, progress_seconds(p));
}

void progress_end(struct progress *p)
{
	out_clear_meter(p->out);
}
