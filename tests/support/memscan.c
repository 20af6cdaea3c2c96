#include "tests/support/memscan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MASK 0xa5
#define WINDOW_BYTES (1u << 20)
/* Shadow memory of sanitizers, which is huge and holds no bytes of ours. */
#define MOST_BYTES ((uint64_t)1 << 32)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
const bool memscan_works = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
const bool memscan_works = false;
#else
const bool memscan_works = true;
#endif
#else
const bool memscan_works = true;
#endif

static void add_piece(struct memscan *scan, const char *what, const uint8_t *from, uint8_t with)
{
	struct memscan_needle *n = &scan->needles[scan->count++];

	assert_true(scan->count <= MEMSCAN_MOST);
	(void)snprintf(n->what, sizeof(n->what), "%s", what);
	for (size_t i = 0; i < MEMSCAN_BYTES; i++)
		n->masked[i] = (uint8_t)(from[i] ^ with ^ MASK);
}

void memscan_add(struct memscan *scan, const char *what, const void *secret, size_t len,
		 uint8_t with)
{
	const uint8_t *p = secret;
	size_t at = 0;

	assert_true(len >= MEMSCAN_BYTES);
	for (; at + MEMSCAN_BYTES <= len; at += MEMSCAN_BYTES)
		add_piece(scan, what, p + at, with);
	if (at < len)
		add_piece(scan, what, p + len - MEMSCAN_BYTES, with);
}

/*
 * In memory of its own, which is not searched; and with small frames, since what lies below the caller's is searched, too: calls that ended
 * left it there.
 */
struct search {
	struct memscan *scan;
	const char *mapping; /* its name in maps */
	uint64_t at, end;
	int memory;
	uint8_t first[256]; /* needle + 1 of the first that begins so; 0 none */
	uint8_t next[MEMSCAN_MOST];
	char maps[1u << 18];
	uint8_t window[WINDOW_BYTES];
};

static struct search *search_new(struct memscan *scan)
{
	struct search *s =
	    mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(s, MAP_FAILED);
	s->scan = scan;
	for (size_t i = 0; i < scan->count; i++) {
		uint8_t begin = scan->needles[i].masked[0] ^ MASK;

		scan->needles[i].hits = 0;
		s->next[i] = s->first[begin];
		s->first[begin] = (uint8_t)(i + 1);
	}
	return s;
}

static int is_at(const struct memscan_needle *n, const uint8_t *p)
{
	size_t i = 0;

	while (i < MEMSCAN_BYTES && (p[i] ^ MASK) == n->masked[i])
		i++;
	return i == MEMSCAN_BYTES;
}

static void look_for(struct search *s, struct memscan_needle *n, size_t at)
{
	if (!is_at(n, s->window + at))
		return;
	n->hits++;
	n->from_end = s->end - s->at - at;
	for (size_t i = 0; i + 1 < sizeof(n->where); i++)
		n->where[i] = i && !n->where[i - 1] ? '\0' : s->mapping[i];
}

static void look(struct search *s, size_t len)
{
	for (size_t at = 0; at + MEMSCAN_BYTES <= len; at++) {
		for (uint8_t n = s->first[s->window[at]]; n; n = s->next[n - 1])
			look_for(s, &s->scan->needles[n - 1], at);
	}
}

/* Windows overlap, so that nothing hides between two. */
static void look_through(struct search *s, uint64_t from)
{
	while (from < s->end) {
		size_t want = s->end - from < WINDOW_BYTES ? (size_t)(s->end - from) : WINDOW_BYTES;
		ssize_t got = pread(s->memory, s->window, want, (off_t)from);

		if (got < MEMSCAN_BYTES)
			return;
		s->at = from;
		look(s, (size_t)got);
		if (from + (uint64_t)got >= s->end)
			return;
		from += (uint64_t)got - (MEMSCAN_BYTES - 1);
	}
}

static uint64_t hex_at(const char **p)
{
	uint64_t v = 0;

	for (; (**p >= '0' && **p <= '9') || (**p >= 'a' && **p <= 'f'); (*p)++)
		v = v * 16 + (uint64_t)(**p <= '9' ? **p - '0' : **p - 'a' + 10);
	return v;
}

/* "from-to rw-p offset device inode   name" */
static void look_at_line(struct search *s, const char *line)
{
	const char *p = line, *last;
	uint64_t from = hex_at(&p), to;

	p++;
	to = hex_at(&p);
	if (p[1] != 'r' || p[2] != 'w' || to - from > MOST_BYTES ||
	    (from <= (uintptr_t)s && (uintptr_t)s < to))
		return;
	last = strrchr(line, ' ');
	s->mapping = last && last[1] ? last + 1 : "a mapping without a name";
	s->end = to;
	look_through(s, from);
}

static void look_everywhere(struct search *s)
{
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t got;

	s->memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	assert_true(maps >= 0 && s->memory >= 0);
	while ((got = read(maps, s->maps + len, sizeof(s->maps) - 1 - len)) > 0)
		len += (size_t)got;
	for (char *line = s->maps, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		look_at_line(s, line);
	}
	(void)close(maps);
	(void)close(s->memory);
}

size_t memscan_run(struct memscan *scan, int tell)
{
	struct search *s = search_new(scan);
	size_t found = 0;

	look_everywhere(s);
	(void)munmap(s, sizeof(*s));
	for (size_t i = 0; i < scan->count; i++) {
		const struct memscan_needle *n = &scan->needles[i];

		found += n->hits != 0;
		if (tell && n->hits)
			print_message(
			    "# %s: %zu times in memory, the last in %s, %llu from its end\n",
			    n->what, n->hits, n->where, (unsigned long long)n->from_end);
	}
	return found;
}
