#include "tests/support/parity_grid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/parity_layout.h"
#include "core/sha256.h"
#include "tests/support/must.h"

struct sample {
	struct parity_layout l;
	struct buf whole;
	struct id name;
	uint8_t *bytes; /* damaged */
	size_t len, cap;
	uint32_t random;
};

enum promise { MUST_MEND, MUST_REFUSE, MAY_MEND };

static uint32_t next(struct sample *s)
{
	s->random = s->random * 1664525u + 1013904223u;
	return s->random >> 8;
}

static size_t below(struct sample *s, size_t n)
{
	return (size_t)next(s) % n;
}

struct buf parity_grid_object(enum parity_kind kind, size_t blocks)
{
	struct buf object = {0};
	struct err err = {0};
	uint32_t x = 1;
	uint8_t *body = buf_extend(&object, blocks * PARITY_BLOCK_BYTES);

	assert_non_null(body);
	for (size_t i = 0; i < object.len; i++) {
		x = x * 1664525u + 1013904223u;
		body[i] = (uint8_t)(x >> 24);
	}
	MUST(parity_put(kind, 0, &object, &err), &err);
	return object;
}

static struct sample sample_new(enum parity_kind kind, size_t blocks)
{
	struct sample s = {.whole = parity_grid_object(kind, blocks), .random = (uint32_t)blocks};
	struct err err = {0};

	assert_true(parity_layout_of(kind, blocks, &s.l));
	assert_int_equal(s.l.object_bytes, s.whole.len);
	MUST(sha256_of(s.whole.data, s.whole.len, &s.name, &err), &err);
	s.cap = s.whole.len + 16 * PARITY_BLOCK_BYTES;
	s.bytes = malloc(s.cap);
	assert_non_null(s.bytes);
	return s;
}

static void sample_free(struct sample *s)
{
	buf_free(&s->whole);
	free(s->bytes);
}

static void restart(struct sample *s)
{
	memcpy(s->bytes, s->whole.data, s->whole.len);
	s->len = s->whole.len;
}

/* Other bytes, for sure, at a place of the object. */
static void spoil(struct sample *s, size_t at, size_t len)
{
	uint8_t how = (uint8_t)(1 + below(s, 255));

	for (size_t i = at; i < at + len && i < s->len; i++)
		s->bytes[i] = (uint8_t)(s->bytes[i] ^ how);
}

static void spoil_block(struct sample *s, size_t file_block)
{
	spoil(s, file_block * PARITY_BLOCK_BYTES, PARITY_BLOCK_BYTES);
}

static bool is_good(const struct sample *s, size_t at, size_t len)
{
	return at + len <= s->len && memcmp(s->bytes + at, s->whole.data + at, len) == 0;
}

/* --- what is promised of the damage, told by comparing with the whole object --- */

static bool tables_hold(const struct sample *s)
{
	bool hold = true;

	for (size_t k = 0; k < s->l.segments; k++)
		hold =
		    hold && (is_good(s, parity_layout_segment(&s->l, 0, k), s->l.segment_bytes) ||
			     is_good(s, parity_layout_segment(&s->l, 1, k), s->l.segment_bytes));
	return hold;
}

static bool copies_hold(const struct sample *s)
{
	size_t other = s->l.blocks * PARITY_BLOCK_BYTES + s->l.table_bytes;
	bool hold = true;

	for (size_t c = 0; c < s->l.blocks; c++) {
		size_t at = c * PARITY_BLOCK_BYTES;

		hold = hold && (is_good(s, at, PARITY_BLOCK_BYTES) ||
				is_good(s, other + at, PARITY_BLOCK_BYTES));
	}
	return hold;
}

/* Stripes of the code by its definition: coded block c is of stripe c mod stripes. A body that is well needs none. */
static bool stripes_hold(const struct sample *s)
{
	bool hold = true;

	for (size_t stripe = 0; stripe < s->l.stripes; stripe++) {
		size_t lost = 0, lost_data = 0;

		for (size_t c = stripe; c < s->l.coded; c += s->l.stripes) {
			bool bad = !is_good(s, parity_layout_block(&s->l, c), PARITY_BLOCK_BYTES);

			lost += bad;
			lost_data += bad && c < s->l.blocks;
		}
		hold = hold && (!lost_data || lost <= s->l.rows);
	}
	return hold;
}

static void try(struct parity_grid *g, struct sample *s, enum promise promise)
{
	bool code = s->l.kind == PARITY_COPY ? copies_hold(s) : stripes_hold(s);
	bool held = tables_hold(s) && code;
	/* Each try is its own allocation, so that ASan sees a read past it. */
	uint8_t *bytes = malloc(s->len ? s->len : 1);
	struct parity_mended mended = {0};
	struct buf out = {0};
	struct err err = {0};
	int r;

	assert_non_null(bytes);
	memcpy(bytes, s->bytes, s->len);
	r = parity_mend(bytes, s->len, &s->name, &out, &mended, &err);
	if (promise == MUST_MEND && !held)
		fail_msg("the damage is not what was meant");
	if (r && (held || promise == MUST_MEND))
		fail_msg("kind %d, %zu blocks: %s", (int)s->l.kind, s->l.blocks, err.text);
	if (!r && (promise == MUST_REFUSE || !code))
		fail_msg("mended what cannot be");
	if (!r && (out.len != s->whole.len || memcmp(out.data, s->whole.data, out.len) != 0))
		fail_msg("mended to something else");
	if (r && (r != -ERR_DAMAGED || out.len != 0))
		fail_msg("refused as %d: %s", r, err.text);
	g->tries++;
	g->promised += held;
	g->beyond += !held;
	g->refused += r != 0;
	g->lucky += !held && !r;
	buf_free(&out);
	free(bytes);
	restart(s);
}

void parity_grid_print(const struct parity_grid *g, const char *what)
{
	printf("# parity, %s: %llu damaged packs: %llu within the promise, all mended; %llu beyond "
	       "it: %llu "
	       "refused, %llu mended all the same; none mended to anything else\n",
	       what, (unsigned long long)g->tries, (unsigned long long)g->promised,
	       (unsigned long long)g->beyond, (unsigned long long)g->refused,
	       (unsigned long long)g->lucky);
}

/* --- the damage --- */

/* Where parts begin and end: body, first table, middle, second table, end. */
static size_t part_ends(const struct sample *s, size_t out[5])
{
	out[0] = 0;
	out[1] = parity_layout_segment(&s->l, 0, 0);
	out[2] = out[1] + s->l.table_bytes;
	out[3] = out[2] + s->l.middle_bytes;
	out[4] = s->whole.len;
	return 5;
}

void parity_grid_single(struct parity_grid *g, enum parity_kind kind, size_t blocks,
			unsigned rounds)
{
	struct sample s = sample_new(kind, blocks);
	size_t ends[5], count = part_ends(&s, ends);

	restart(&s);
	for (size_t i = 0; i < 2 * count; i++) {
		size_t at = i % 2 ? ends[i / 2] : ends[i / 2] - 1;

		if (at >= s.len) /* before the first, behind the last */
			continue;
		s.bytes[at] ^= (uint8_t)(1u << below(&s, 8));
		try(g, &s, MUST_MEND);
	}
	for (unsigned i = 0; i < rounds; i++) {
		s.bytes[below(&s, s.len)] ^= (uint8_t)(1u << below(&s, 8));
		try(g, &s, MUST_MEND);
		memset(s.bytes + below(&s, s.l.blocks) * PARITY_BLOCK_BYTES, 0, PARITY_BLOCK_BYTES);
		try(g, &s, MUST_MEND);
	}
	sample_free(&s);
}

/* So many blocks, from a block of the file on, as a disk loses them. */
static void burst(struct parity_grid *g, struct sample *s, size_t from, size_t length, size_t limit)
{
	size_t last = (s->whole.len - 1) / PARITY_BLOCK_BYTES;

	if (from > last)
		from = last;
	for (size_t i = from; i < from + length && i <= last; i++)
		spoil_block(s, i);
	/* One more within the body is one too many in some stripe. */
	if (length <= limit)
		try(g, s, MUST_MEND);
	else if (s->l.kind != PARITY_COPY && from + length <= s->l.blocks)
		try(g, s, MUST_REFUSE);
	else
		try(g, s, MAY_MEND);
}

void parity_grid_bursts(struct parity_grid *g, enum parity_kind kind, size_t blocks, size_t steps,
			unsigned rounds)
{
	struct sample s = sample_new(kind, blocks);
	size_t limit = kind == PARITY_COPY ? blocks : s.l.stripes * s.l.rows;
	size_t ends[5], count = part_ends(&s, ends);

	restart(&s);
	for (size_t n = 0; n < steps + 2; n++) {
		size_t length = n < steps ? 1 + n * (limit - 1) / (steps > 1 ? steps - 1 : 1)
					  : limit + 1 + n - steps;

		for (size_t i = 0; i < count; i++) {
			size_t end = ends[i] / PARITY_BLOCK_BYTES;

			burst(g, &s, end, length, limit);
			burst(g, &s, end > length ? end - length : 0, length, limit);
			burst(g, &s, end > length / 2 ? end - length / 2 : 0, length, limit);
		}
		for (unsigned i = 0; i < rounds; i++)
			burst(g, &s, below(&s, s.whole.len / PARITY_BLOCK_BYTES), length, limit);
	}
	sample_free(&s);
}

/* So many different coded blocks of a stripe, or of a copied pack one copy of each of so many blocks. */
static void spoil_some(struct sample *s, size_t stripe, size_t many)
{
	size_t in_stripe = 0, at;

	for (size_t c = stripe; c < s->l.coded; c += s->l.stripes)
		in_stripe++;
	for (size_t left = many; left > 0;) {
		at = parity_layout_block(&s->l, stripe + below(s, in_stripe) * s->l.stripes);
		if (!is_good(s, at, PARITY_BLOCK_BYTES))
			continue;
		spoil(s, at, PARITY_BLOCK_BYTES);
		left--;
	}
}

static void scatter_copy(struct parity_grid *g, struct sample *s)
{
	size_t other = s->l.middle_bytes + s->l.table_bytes;

	for (size_t c = 0; c < s->l.blocks; c++)
		spoil(s, c * PARITY_BLOCK_BYTES + (below(s, 2) ? other : 0), PARITY_BLOCK_BYTES);
	spoil(s, parity_layout_segment(&s->l, (unsigned)below(s, 2), 0), s->l.segment_bytes);
	try(g, s, MUST_MEND);
	spoil(s, below(s, s->l.blocks) * PARITY_BLOCK_BYTES, 1);
	memcpy(s->bytes + other, s->bytes, PARITY_BLOCK_BYTES);
	spoil(s, 0, 1);
	try(g, s, MAY_MEND);
}

void parity_grid_scattered(struct parity_grid *g, enum parity_kind kind, size_t blocks,
			   unsigned rounds)
{
	struct sample s = sample_new(kind, blocks);

	restart(&s);
	for (unsigned i = 0; i < rounds && kind == PARITY_COPY; i++)
		scatter_copy(g, &s);
	for (unsigned i = 0; i < rounds && kind != PARITY_COPY; i++) {
		/* Everything that is promised, at once: in each stripe, and of each segment one copy. */
		for (size_t stripe = 0; stripe < s.l.stripes; stripe++)
			spoil_some(&s, stripe, s.l.rows);
		for (size_t k = 0; k < s.l.segments; k++)
			spoil(&s, parity_layout_segment(&s.l, (unsigned)below(&s, 2), k), 4096);
		try(g, &s, MUST_MEND);
		/* One more than that in one stripe, and nothing else. */
		spoil_some(&s, below(&s, s.l.stripes), s.l.rows + 1);
		try(g, &s, MAY_MEND);
		for (size_t n = 1 + below(&s, 2 * s.l.rows * s.l.stripes); n > 0; n--)
			spoil_block(&s, below(&s, s.whole.len / PARITY_BLOCK_BYTES));
		try(g, &s, MAY_MEND);
	}
	sample_free(&s);
}

void parity_grid_lengths(struct parity_grid *g, enum parity_kind kind, size_t blocks)
{
	static const size_t steps[] = {1, 2, 17, 512, 4095, 4096, 4097, 5 * 4096};
	struct sample s = sample_new(kind, blocks);

	restart(&s);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		s.len = s.whole.len + steps[i];
		memset(s.bytes + s.whole.len, (int)i, steps[i]);
		try(g, &s, MUST_MEND);
		s.len = s.whole.len > steps[i] ? s.whole.len - steps[i] : 0;
		try(g, &s, MAY_MEND);
		/* What is cut off, and a block of the head with it. */
		s.len = s.whole.len - (steps[i] < 4096 ? steps[i] : 1);
		spoil(&s, 0, 512);
		try(g, &s, kind == PARITY_COPY ? MAY_MEND : MUST_MEND);
	}
	/* The whole second table; the tail; half of it; all but a byte; nothing. */
	s.len = s.whole.len - s.l.table_bytes;
	try(g, &s, MUST_MEND);
	s.len = s.l.blocks * PARITY_BLOCK_BYTES + s.l.table_bytes;
	try(g, &s, MUST_MEND);
	s.len = s.l.blocks * PARITY_BLOCK_BYTES;
	try(g, &s, MAY_MEND);
	s.len = s.whole.len / 2;
	try(g, &s, MAY_MEND);
	s.len = 1;
	try(g, &s, MUST_REFUSE);
	s.len = 0;
	try(g, &s, MUST_REFUSE);
	sample_free(&s);
}

void parity_grid_tables(struct parity_grid *g, enum parity_kind kind, size_t blocks)
{
	struct sample s = sample_new(kind, blocks);

	restart(&s);
	for (unsigned table = 0; table < 2; table++) {
		for (size_t head = 0; head < 2; head++) {
			spoil(&s, parity_layout_segment(&s.l, table, 0), s.l.table_bytes);
			spoil(&s, 0, head * 36);
			try(g, &s, MUST_MEND);
		}
	}
	for (size_t k = 0; k < s.l.segments; k++) {
		for (size_t damaged = 0; damaged < 2; damaged++) {
			spoil(&s, parity_layout_segment(&s.l, 0, k), 1);
			spoil(&s, parity_layout_segment(&s.l, 1, k), 1);
			spoil(&s, 0, damaged);
			try(g, &s, MAY_MEND);
		}
	}
	for (size_t damaged = 0; damaged < 2; damaged++) {
		spoil(&s, parity_layout_segment(&s.l, 0, 0), s.l.table_bytes);
		spoil(&s, parity_layout_segment(&s.l, 1, 0), s.l.table_bytes);
		spoil(&s, 0, damaged);
		try(g, &s, MAY_MEND);
	}
	sample_free(&s);
}
