#include "tests/support/dbgrid_break.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"

/*
 * A breaker that finds nothing to damage its way (a page that is no b-tree) damages something else; images of the
 * grid are many enough.
 */
typedef void breaker(struct dbgrid_victim *v);

static size_t below(struct dbgrid_victim *v, size_t limit)
{
	return (size_t)dbgrid_below(&v->rng, limit);
}

static size_t pages_of(const struct dbgrid_victim *v)
{
	return v->len / v->page_bytes;
}

/* The page with that index from 0. There is one at least: every breaker asks pages_of first, or uses any_page. */
static uint8_t *page_at(struct dbgrid_victim *v, size_t index)
{
	return v->bytes + index * v->page_bytes;
}

static uint8_t *any_page(struct dbgrid_victim *v)
{
	return page_at(v, below(v, pages_of(v)));
}

static void put_be16(uint8_t *p, size_t n)
{
	p[0] = (uint8_t)(n >> 8);
	p[1] = (uint8_t)n;
}

static void put_be32(uint8_t *p, size_t n)
{
	put_be16(p, n >> 16);
	put_be16(p + 2, n);
}

static size_t get_be16(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

/* --- the b-tree pages --- */

struct btree_page {
	uint8_t *page;
	uint8_t *head; /* the b-tree header in it */
	size_t number; /* from 1 */
	size_t cells;  /* as many pointers as fit in the page */
	uint8_t *pointers;
	bool interior;
};

static bool is_btree(const uint8_t *head)
{
	return head[0] == 2 || head[0] == 5 || head[0] == 10 || head[0] == 13;
}

static struct btree_page btree_at(struct dbgrid_victim *v, size_t index)
{
	struct btree_page b = {.page = page_at(v, index), .number = index + 1};
	size_t at, room;

	b.head = b.page + (index == 0 ? 100 : 0);
	b.interior = b.head[0] == 2 || b.head[0] == 5;
	b.pointers = b.head + (b.interior ? 12 : 8);
	at = (size_t)(b.pointers - b.page);
	room = (v->page_bytes - at) / 2;
	b.cells = get_be16(b.head + 3);
	if (b.cells > room)
		b.cells = room;
	return b;
}

/* A random b-tree page; one with interior cells where want_interior and there is one. */
static struct btree_page any_btree(struct dbgrid_victim *v, bool want_interior)
{
	struct btree_page found = btree_at(v, 0);
	size_t start = below(v, pages_of(v));

	for (size_t i = 0; i < pages_of(v); i++) {
		struct btree_page b = btree_at(v, (start + i) % pages_of(v));

		if (!is_btree(b.head))
			continue;
		found = b;
		if (b.interior || !want_interior)
			break;
	}
	return found;
}

static uint8_t *any_pointer(struct dbgrid_victim *v, const struct btree_page *b)
{
	return b->pointers + 2 * below(v, b->cells ? b->cells : 1);
}

/* The first bytes of a random cell, with at least 8 of them in the page. */
static uint8_t *any_cell(struct dbgrid_victim *v, const struct btree_page *b)
{
	size_t at = get_be16(any_pointer(v, b));

	return b->page + (at + 8 <= v->page_bytes ? at : v->page_bytes - 8);
}

static void child_loops(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, true);

	put_be32(any_cell(v, &b), b.number);
}

static void right_child_loops(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, true);

	put_be32(b.head + 8, below(v, 2) ? b.number : 1);
}

static void child_claimed_twice(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, true);
	uint8_t *from = any_cell(v, &b), *to = any_cell(v, &b);

	if (from == to)
		to = b.head + 8;
	memmove(to, from, 4);
}

static void child_anywhere(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, true);
	size_t far = below(v, 3);

	put_be32(any_cell(v, &b), far == 0   ? below(v, pages_of(v) + 3)
				  : far == 1 ? 0xffffffffu
					     : (size_t)dbgrid_next(&v->rng));
}

static void cell_out_of_bounds(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, false);
	size_t near_end = v->page_bytes - 1 - below(v, 4);

	put_be16(any_pointer(v, &b), below(v, 2) ? near_end : below(v, 65536));
}

static void cell_into_header(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, false);

	put_be16(any_pointer(v, &b), below(v, (size_t)(b.pointers - b.page) + 2 * b.cells));
}

static void cell_twice(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, false);

	memmove(any_pointer(v, &b), any_pointer(v, &b), 2);
}

static void cells_overlap(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, false);
	uint8_t *pointer = any_pointer(v, &b);

	put_be16(pointer, get_be16(pointer) + 1 + below(v, 5));
}

static void cells_reordered(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, false);

	for (size_t i = 0; i + 1 < b.cells; i += 2) {
		uint8_t *p = b.pointers + 2 * i, first[2];

		memcpy(first, p, 2);
		memmove(p, p + 2, 2);
		memcpy(p + 2, first, 2);
	}
}

static void cell_count_lies(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, false);
	size_t n = get_be16(b.head + 3), way = below(v, 4);

	put_be16(b.head + 3, way == 0 ? 0 : way == 1 ? n + 1 : way == 2 ? n - 1 : below(v, 65536));
}

static void content_start_lies(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, false);

	put_be16(b.head + 5, below(v, 3) ? below(v, 65536) : 0);
}

static void fragments_lie(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, false);

	b.head[7] = (uint8_t)dbgrid_next(&v->rng);
}

static void freeblock_lies(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, false);
	size_t at = below(v, v->page_bytes - 4);

	put_be16(b.head + 1, at);
	put_be16(b.page + at, below(v, 2) ? at : below(v, 65536)); /* the next one: itself */
	put_be16(b.page + at + 2, below(v, 100));
}

static void page_type_changes(struct dbgrid_victim *v)
{
	static const uint8_t types[] = {2, 5, 10, 13, 0, 1, 255};
	struct btree_page b = any_btree(v, false);

	b.head[0] = types[below(v, sizeof(types))];
}

static void payload_length_lies(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, false);
	uint8_t *cell = any_cell(v, &b);

	memset(cell, 0xff, below(v, 9));
	cell[7] = (uint8_t)(below(v, 2) ? 0x7f : 0xff);
}

/* The varint of a length that could be shorter: not what SQLite writes. */
static void varint_too_long(struct dbgrid_victim *v)
{
	struct btree_page b = any_btree(v, false);
	uint8_t *cell = any_cell(v, &b);

	memmove(cell + 1, cell, 7);
	cell[0] = 0x80;
}

/* --- other pages --- */

/* A page that is not of a b-tree: overflow, free list, ptrmap; where there is none, any. */
static uint8_t *any_other(struct dbgrid_victim *v, size_t *out_number)
{
	size_t start = below(v, pages_of(v)), index = start;

	for (size_t i = 0; i < pages_of(v); i++) {
		index = (start + i) % pages_of(v);
		if (index != 0 && !is_btree(page_at(v, index)))
			break;
	}
	*out_number = index + 1;
	return page_at(v, index);
}

static void overflow_loops(struct dbgrid_victim *v)
{
	size_t number;
	uint8_t *page = any_other(v, &number);

	put_be32(page, number);
}

static void overflow_anywhere(struct dbgrid_victim *v)
{
	size_t number;
	uint8_t *page = any_other(v, &number);

	put_be32(page, below(v, pages_of(v) + 2));
}

static void trunk_count_lies(struct dbgrid_victim *v)
{
	size_t number;
	uint8_t *page = any_other(v, &number);

	put_be32(page + 4, below(v, 2) ? 0xffffffffu : below(v, v->page_bytes / 4 + 2));
}

static void other_bytes_change(struct dbgrid_victim *v)
{
	size_t number;
	uint8_t *page = any_other(v, &number);

	page[below(v, v->page_bytes)] ^= (uint8_t)(1 + below(v, 255));
}

/* --- bytes and pages, whatever they are --- */

static void truncated(struct dbgrid_victim *v)
{
	v->len = below(v, v->len);
}

static void truncated_at_a_page(struct dbgrid_victim *v)
{
	v->len = v->page_bytes * below(v, pages_of(v));
}

static void header_only(struct dbgrid_victim *v)
{
	static const size_t lens[] = {100, 99, 101, 108, 16, 1};

	v->len = lens[below(v, 6)];
}

static void grown(struct dbgrid_victim *v)
{
	size_t more = 1 + below(v, 2 * v->page_bytes);
	uint8_t *bytes = realloc(v->bytes, v->len + more);

	if (!bytes)
		abort();
	v->bytes = bytes;
	memset(bytes + v->len, 0, more);
	if (below(v, 2))
		dbgrid_noise(&v->rng, bytes + v->len, more);
	v->len += more;
}

static void one_bit(struct dbgrid_victim *v)
{
	v->bytes[below(v, v->len)] ^= (uint8_t)(1u << below(v, 8));
}

static void many_bits(struct dbgrid_victim *v)
{
	for (size_t i = 0; i < v->len / 400 + 2; i++)
		one_bit(v);
}

static void bits_of_page_1(struct dbgrid_victim *v)
{
	for (size_t i = 0; i < 4; i++)
		v->bytes[below(v, v->page_bytes)] ^= (uint8_t)(1u << below(v, 8));
}

static void run_of_ones(struct dbgrid_victim *v)
{
	size_t at = below(v, v->len), len = below(v, 300);

	memset(v->bytes + at, 0xff, len < v->len - at ? len : v->len - at);
}

static void pages_swapped(struct dbgrid_victim *v)
{
	uint8_t *a = any_page(v), *b = any_page(v);

	for (size_t i = 0; i < v->page_bytes; i++) {
		uint8_t byte = a[i];

		a[i] = b[i];
		b[i] = byte;
	}
}

static void page_copied(struct dbgrid_victim *v)
{
	uint8_t *from = any_page(v);

	memmove(any_page(v), from, v->page_bytes);
}

static void page_zeroed(struct dbgrid_victim *v)
{
	memset(any_page(v), 0, v->page_bytes);
}

static void page_of_noise(struct dbgrid_victim *v)
{
	dbgrid_noise(&v->rng, any_page(v), v->page_bytes);
}

static void reserved_bytes_used(struct dbgrid_victim *v)
{
	for (size_t i = 0; i < pages_of(v); i++)
		page_at(v, i)[v->page_bytes - 1] ^= (uint8_t)dbgrid_next(&v->rng);
}

/* --- the header --- */

static void page_size_lies(struct dbgrid_victim *v)
{
	static const size_t sizes[] = {0, 1, 2, 256, 511, 512, 1024, 4096, 4097, 32768, 65535};

	put_be16(v->bytes + 16, sizes[below(v, 11)]);
}

static void reserved_lies(struct dbgrid_victim *v)
{
	v->bytes[20] = (uint8_t)(below(v, 2) ? 255 : dbgrid_next(&v->rng));
}

static void page_count_lies(struct dbgrid_victim *v)
{
	put_be32(v->bytes + 28, below(v, 2) ? below(v, pages_of(v)) : 0x7fffffff);
}

static void free_list_lies(struct dbgrid_victim *v)
{
	put_be32(v->bytes + 32, below(v, pages_of(v) + 2));
	put_be32(v->bytes + 36, below(v, 3) ? below(v, pages_of(v)) : 0xffffffffu);
}

static void encoding_lies(struct dbgrid_victim *v)
{
	put_be32(v->bytes + 56, below(v, 5));
}

static void auto_vacuum_lies(struct dbgrid_victim *v)
{
	put_be32(v->bytes + 52, below(v, 4));
	put_be32(v->bytes + 64, below(v, 2));
}

/* Not damage: what the header of a database in WAL mode says. */
static void wal_mode(struct dbgrid_victim *v)
{
	v->bytes[18] = 2;
	v->bytes[19] = 2;
}

static const struct {
	const char *name;
	breaker *run;
} breakers[] = {
    {"child loops", child_loops},
    {"right child loops", right_child_loops},
    {"child claimed twice", child_claimed_twice},
    {"child anywhere", child_anywhere},
    {"cell out of bounds", cell_out_of_bounds},
    {"cell into header", cell_into_header},
    {"cell twice", cell_twice},
    {"cells overlap", cells_overlap},
    {"cells reordered", cells_reordered},
    {"cell count lies", cell_count_lies},
    {"content start lies", content_start_lies},
    {"fragments lie", fragments_lie},
    {"freeblock lies", freeblock_lies},
    {"page type changes", page_type_changes},
    {"payload length lies", payload_length_lies},
    {"varint too long", varint_too_long},
    {"overflow loops", overflow_loops},
    {"overflow anywhere", overflow_anywhere},
    {"trunk count lies", trunk_count_lies},
    {"other bytes change", other_bytes_change},
    {"truncated", truncated},
    {"truncated at a page", truncated_at_a_page},
    {"header only", header_only},
    {"grown", grown},
    {"one bit", one_bit},
    {"many bits", many_bits},
    {"bits of page 1", bits_of_page_1},
    {"run of ones", run_of_ones},
    {"pages swapped", pages_swapped},
    {"page copied", page_copied},
    {"page zeroed", page_zeroed},
    {"page of noise", page_of_noise},
    {"reserved bytes used", reserved_bytes_used},
    {"page size lies", page_size_lies},
    {"reserved lies", reserved_lies},
    {"page count lies", page_count_lies},
    {"free list lies", free_list_lies},
    {"encoding lies", encoding_lies},
    {"auto_vacuum lies", auto_vacuum_lies},
    {"wal mode", wal_mode},
};

unsigned dbgrid_breakers(void)
{
	return sizeof(breakers) / sizeof(breakers[0]);
}

const char *dbgrid_break(struct dbgrid_victim *v, unsigned kind)
{
	breakers[kind].run(v);
	return breakers[kind].name;
}
