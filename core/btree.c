#include "core/btree.h"

#include <string.h>

#define MAGIC "SQLite format 3" /* and a zero byte */
#define VARINT_MAX 9
#define USABLE_MIN 480u
#define SCHEMA_COLUMNS 5
#define SCHEMA_ROOT 3

uint32_t btree_u16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

uint32_t btree_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void btree_put_u16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

void btree_put_u32(uint8_t *p, uint32_t v)
{
	btree_put_u16(p, v >> 16);
	btree_put_u16(p + 2, v);
}

bool btree_geom_get(const uint8_t *head, uint64_t image_bytes, struct btree_geom *out_geom)
{
	uint32_t page = btree_u16(head + 16);

	if (page == 1)
		page = BTREE_PAGE_MAX;
	if (memcmp(head, MAGIC, sizeof(MAGIC)) != 0 || page < 512 || (page & (page - 1)) ||
	    page - head[20] < USABLE_MIN || image_bytes / page > UINT32_MAX - 1)
		return false;
	*out_geom = (struct btree_geom){
	    .page_bytes = page,
	    .usable = page - head[20],
	    .page_count = image_bytes / page,
	    .tail_bytes = (uint32_t)(image_bytes % page),
	};
	return out_geom->page_count > 0;
}

/* SQLite's own variable-length numbers: the most significant bits first, a ninth byte whole. */
static uint32_t varint_bytes(uint64_t v)
{
	uint32_t n = 1;

	if (v >> 56)
		return VARINT_MAX;
	while (v >>= 7)
		n++;
	return n;
}

static uint32_t varint_put(uint8_t *out, uint64_t v)
{
	uint32_t n = varint_bytes(v), low = n;

	if (n == VARINT_MAX) {
		out[--low] = (uint8_t)v;
		v >>= 8;
	}
	for (uint32_t i = low; i-- > 0; v >>= 7)
		out[i] = (uint8_t)(v | 0x80);
	if (n < VARINT_MAX)
		out[n - 1] &= 0x7f;
	return n;
}

/* A number of two bytes or more. */
static uint32_t varint_long(const uint8_t *p, size_t left, uint64_t *out)
{
	uint64_t v = 0;
	uint32_t n = 0;

	while (n < left) {
		uint8_t byte = p[n++];

		if (n == VARINT_MAX) {
			v = v << 8 | byte;
			break;
		}
		v = v << 7 | (byte & 0x7f);
		if (byte < 0x80)
			break;
	}
	*out = v;
	return n && (n == VARINT_MAX || p[n - 1] < 0x80) && varint_bytes(v) == n ? n : 0;
}

/* How long it is; 0 when it ends behind what is left, or is not in its shortest form. Nearly all are one byte long. */
static inline uint32_t varint_at(const uint8_t *p, size_t left, uint64_t *out)
{
	if (left && p[0] < 0x80) {
		*out = p[0];
		return 1;
	}
	return varint_long(p, left, out);
}

static bool varint_get(struct rd *r, uint64_t *out)
{
	uint32_t n = r->bad ? 0 : varint_at(r->p, r->left, out);

	return n && rd_bytes(r, n);
}

uint32_t btree_local(const struct btree_geom *g, uint8_t type, uint64_t payload)
{
	uint32_t most =
	    type == BTREE_TABLE_LEAF ? g->usable - 35 : (g->usable - 12) * 64 / 255 - 23;
	uint32_t least = (g->usable - 12) * 32 / 255 - 23;
	uint32_t local;

	if (payload <= most)
		return (uint32_t)payload;
	local = least + (uint32_t)((payload - least) % (g->usable - 4));
	return local <= most ? local : least;
}

uint64_t btree_overflow_pages(const struct btree_geom *g, uint8_t type, uint64_t payload)
{
	uint64_t rest = payload - btree_local(g, type, payload);

	return (rest + g->usable - 5) / (g->usable - 4);
}

uint32_t btree_leaf_cell_bytes(const struct btree_geom *g, bool table, uint64_t rowid,
			       uint64_t payload)
{
	uint32_t local = btree_local(g, table ? BTREE_TABLE_LEAF : BTREE_INDEX_LEAF, payload);

	return varint_bytes(payload) + (table ? varint_bytes(rowid) : 0) + local +
	       (local < payload ? 4 : 0);
}

/* Where the numbers in front of a cell's payload end; 0 when they are not as they must be. */
static uint32_t cell_numbers(uint8_t type, const uint8_t *p, uint32_t left, struct btree_cell *c)
{
	uint32_t n = 0, len;

	if (btree_is_interior(type)) {
		if (left < 4)
			return 0;
		c->child = btree_u32(p);
		n = 4;
	}
	if (type != BTREE_TABLE_INTERIOR) {
		len = varint_at(p + n, left - n, &c->payload);
		if (!len || c->payload > BTREE_PAYLOAD_MAX)
			return 0;
		n += len;
	}
	if (btree_is_table(type)) {
		len = varint_at(p + n, left - n, &c->rowid);
		n = len ? n + len : 0;
	}
	return n;
}

bool btree_cell_get(const struct btree_geom *g, uint8_t type, const uint8_t *page, uint32_t at,
		    struct btree_cell *out_cell)
{
	struct btree_cell c = {.at = at};
	uint32_t left;

	if (at >= g->usable)
		return false;
	left = g->usable - at;
	c.size = cell_numbers(type, page + at, left, &c);
	if (!c.size)
		return false;
	if (type != BTREE_TABLE_INTERIOR) {
		c.local = btree_local(g, type, c.payload);
		c.size += c.local;
		if (c.local < c.payload) {
			c.size += 4;
			if (c.size <= left)
				c.overflow = btree_u32(page + at + c.size - 4);
		}
	}
	*out_cell = c;
	return c.size <= left;
}

uint32_t btree_cell_front(uint8_t type, const struct btree_cell *cell, uint8_t *out)
{
	uint32_t len = 0;

	if (btree_is_interior(type)) {
		btree_put_u32(out, cell->child);
		len = 4;
	}
	if (type != BTREE_TABLE_INTERIOR)
		len += varint_put(out + len, cell->payload);
	if (btree_is_table(type))
		len += varint_put(out + len, cell->rowid);
	return len;
}

/* --- schema rows --- */

static uint64_t serial_bytes(uint64_t serial)
{
	static const uint8_t of[12] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0};

	return serial < 12 ? of[serial] : (serial - 12) / 2;
}

static bool whole_number(uint64_t serial, const uint8_t *p, uint32_t *out)
{
	uint64_t v = 0, bytes = serial_bytes(serial);

	if (serial == 8 || serial == 9) {
		*out = (uint32_t)(serial - 8);
		return true;
	}
	if (serial < 1 || serial > 6)
		return false;
	for (uint64_t i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	*out = (uint32_t)v;
	return v <= UINT32_MAX;
}

bool btree_schema_get(const uint8_t *payload, size_t len, struct btree_schema *out_row)
{
	struct rd head = rd_of(payload, len), body;
	uint64_t head_bytes, serials[SCHEMA_COLUMNS];
	struct span columns[SCHEMA_COLUMNS];

	if (!varint_get(&head, &head_bytes) || head_bytes > len || head_bytes < len - head.left)
		return false;
	body = rd_of(payload + head_bytes, len - (size_t)head_bytes);
	head.left -= len - (size_t)head_bytes;
	for (size_t i = 0; i < SCHEMA_COLUMNS; i++) {
		if (!varint_get(&head, &serials[i]) || serial_bytes(serials[i]) > body.left)
			return false;
		columns[i].len = (size_t)serial_bytes(serials[i]);
		columns[i].p = rd_bytes(&body, columns[i].len);
	}
	out_row->type = columns[0];
	out_row->name = columns[1];
	return whole_number(serials[SCHEMA_ROOT], columns[SCHEMA_ROOT].p, &out_row->root) &&
	       out_row->root > 1;
}
