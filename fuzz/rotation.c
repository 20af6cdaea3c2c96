/* u64 n, t, a point, a share, a whole. Parts of a ring: every point is in exactly one of those that join, and the arc of a share is as long as said. */
#include <stdint.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/lineage.h"
#include "core/rotation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct id point(uint64_t at)
{
	struct id id = {{0}};

	for (size_t i = 0; i < 8; i++)
		id.b[i] = (uint8_t)(at >> (56 - 8 * i));
	return id;
}

static void parts_of(uint64_t t, uint64_t at)
{
	struct id id = point(at);
	unsigned in = 0;
	uint64_t next = 0;

	for (uint64_t n = 1; n <= t; n++) {
		struct rotation part = rotation_nth(n, t);

		if (part.from != next && t > 1)
			abort();
		next = rotation_end(&part);
		in += rotation_has(&part, &id);
	}
	if (in != 1 || (t > 1 && next != 0))
		abort();
}

static void share_of(uint64_t from, uint64_t share, uint64_t whole)
{
	struct rotation part = rotation_share(from, share, whole);
	struct id first = point(from), before = point(from - 1);

	if (part.all)
		return;
	if (part.from != from || (part.span && !rotation_has(&part, &first)) ||
	    rotation_has(&part, &before))
		abort();
	if (rotation_end(&part) != from + part.span)
		abort();
}

/* What a delta may rest on: never more than FORMAT.md §4 says, whatever the numbers. */
static void lineage_of(struct rd *r)
{
	struct lineage_ground g = {.node = rd_u8(r) & 1};
	struct lineage_plan plan;
	uint64_t plain, stored, full;

	g.follows = rd_u32(r);
	g.depth = rd_u8(r);
	g.closure = rd_u32(r);
	g.base_count = rd_u8(r) % 3u + 1u;
	g.base_bytes = rd_u64(r);
	g.chain_bytes = rd_u64(r);
	g.root_stored = rd_u32(r);
	g.root_plain = rd_u32(r);
	plain = rd_u32(r);
	stored = rd_u32(r);
	full = rd_u32(r);
	if (!lineage_plan(&g, plain, &plan))
		return;
	if (plan.depth != g.depth + 1 || plan.depth > (g.node ? 60 : 24) || g.closure >= 64 ||
	    plan.lineage != g.follows + 1 || plain > (1u << 20) || g.base_bytes > (1u << 20))
		abort();
	if (lineage_keeps(&plan, stored, full) &&
	    (stored + plan.extra) * 4 >= full * 3 + (full == 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);
	uint64_t t = rd_u64(&r), at = rd_u64(&r), share = rd_u64(&r), whole = rd_u64(&r);

	parts_of(t % 300 + 1, at);
	share_of(at, share, whole);
	if (t > 300) {
		struct rotation part = rotation_nth(at % t + 1, t);

		share_of(part.from, share, whole);
	}
	lineage_of(&r);
	return 0;
}
