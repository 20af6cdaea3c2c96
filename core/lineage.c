#include "core/lineage.h"

#include "core/id.h"
#include "core/limits.h"

#define KEEP_PERCENT 75
#define GOOD_PERCENT 30
#define CHAIN_ROOTS 2
#define CHAIN_NODE_ROOTS 8
#define CHAIN_MOST_BYTES (UINT32_MAX - LIMIT_RECORD_BYTES)

bool lineage_jumps(bool node, uint32_t follows, uint32_t *out_wanted)
{
	if (node || follows == UINT32_MAX || (follows + 1) % LINEAGE_STEP != 0)
		return false;
	*out_wanted = follows + 1 - LINEAGE_STEP;
	return true;
}

bool lineage_plan(const struct lineage_ground *ground, uint64_t plain_bytes,
		  struct lineage_plan *out_plan)
{
	unsigned roots = ground->node ? CHAIN_NODE_ROOTS : CHAIN_ROOTS;
	uint64_t chain_most = roots * (uint64_t)ground->root_stored;

	if (ground->follows == UINT32_MAX ||
	    ground->depth >= (ground->node ? LINEAGE_NODE_DEPTH : LINEAGE_DEPTH) ||
	    ground->closure >= LINEAGE_CLOSURE)
		return false;
	if (plain_bytes > LINEAGE_PLAIN_BYTES || ground->base_bytes > LINEAGE_PLAIN_BYTES)
		return false;
	if (ground->root_plain == 0)
		return false;
	/* Chain bytes are a u32; this is far above what records of allowed lengths come to. */
	if (ground->chain_bytes > CHAIN_MOST_BYTES)
		return false;
	*out_plan = (struct lineage_plan){
	    .lineage = ground->follows + 1,
	    .depth = (uint8_t)(ground->depth + 1),
	    .chain_before = (uint32_t)ground->chain_bytes,
	    .extra = (uint32_t)(ground->base_count * ID_BYTES),
	    .most = chain_most > ground->chain_bytes ? chain_most - ground->chain_bytes : 0,
	    .roots = roots,
	    .good = ground->root_stored * plain_bytes / ground->root_plain * GOOD_PERCENT / 100,
	};
	return true;
}

bool lineage_good(const struct lineage_plan *plan, uint64_t stored)
{
	return stored <= plan->most && stored + plan->extra <= plan->good;
}

bool lineage_keeps(const struct lineage_plan *plan, uint64_t stored, uint64_t full)
{
	/* The root may have been another sort of content, and much shorter: what counts is what full would cost now. */
	bool bears = stored <= plan->most || plan->chain_before + stored <= plan->roots * full;

	return bears && (stored + plan->extra) * 100 < full * KEEP_PERCENT;
}
