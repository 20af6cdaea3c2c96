#include "tests/model/model.h"

struct rule_info {
	const char *name;
	enum world world;
	unsigned ids;
	const char *text;
};

static const struct rule_info rules[RULES] = {
    [RULE_MANIFEST_LAST] = {"manifest-last", WORLD_STRICT, 1, "Order: packs, index, manifest."},
    [RULE_LIST_BEFORE] = {"list-before", WORLD_STRICT, 1,
			  "A writer, before it publishes, lists condemn records and stores again "
			  "what only they hold."},
    [RULE_REACH_BASES] = {"reach-bases", WORLD_STRICT, 2,
			  "It takes everything its manifest reaches, bases included."},
    [RULE_REACH_CARRIED] = {"reach-carried", WORLD_STRICT, 1,
			    "And carried-over subtrees included."},
    [RULE_STORE_GONE] = {"store-gone", WORLD_STRICT, 1,
			 "It stores again each id whose only copies are condemned or gone: packs "
			 "are listed, not remembered."},
    [RULE_STORE_FULL] = {"store-full", WORLD_STRICT, 2, "What is stored again is stored full."},
    [RULE_LIST_AGAIN] =
	{"list-again", WORLD_STALL, 1,
	 "It lists again after publishing, and repeats; only then is the backup acknowledged."},
    [RULE_HALF_GRACE] = {"half-grace", WORLD_STRICT, 1,
			 "Listing to publish is at most half the grace."},
    [RULE_BOOTTIME] = {"boottime", WORLD_STRICT, 1,
		       "By CLOCK_BOOTTIME, which goes on while the machine sleeps."},
    [RULE_TWO_PHASES] = {"two-phases", WORLD_STRICT, 1,
			 "Phase 1 publishes a condemn record and deletes nothing."},
    [RULE_RECORD_PRESENT] =
	{"record-present", WORLD_LOSS, 1,
	 "A later run deletes with the record still present, not one that it remembers."},
    [RULE_GRACE] = {"grace", WORLD_STRICT, 1, "Only after a grace."},
    [RULE_STORE_CLOCK] = {"store-clock", WORLD_STRICT, 1, "By the store's clock, not the host's."},
    [RULE_FRESH_MARK] = {"fresh-mark", WORLD_STRICT, 1,
			 "With a fresh mark: manifests are read after the records."},
    [RULE_ALL_MANIFESTS] = {"all-manifests", WORLD_STRICT, 1, "Over all manifests."},
    [RULE_MARK_BASES] = {"mark-bases", WORLD_STRICT, 2, "Marking follows bases."},
    [RULE_COPY_FREE] =
	{"copy-free", WORLD_STRICT, 1,
	 "If every live id in it has an intact copy in a pack that no record condemns."},
    [RULE_DELETE_LIMIT] = {"delete-limit", WORLD_LOSS, 1,
			   "From the listing of the records to the last delete it is at most 1 h."},
    [RULE_NEVER_NAMED] = {"never-named", WORLD_NAMED, 1,
			  "Packs that no manifest ever named are condemned only after 14 days."},
    [RULE_KEEP_NEWEST] = {"keep-newest", WORLD_STRICT, 1,
			  "forget never removes the newest manifest of a writer and group."},
    [RULE_RECORDS_FIRST_WRITER] = {"records-first-writer", WORLD_STRICT, 1,
				   "A writer lists the condemn records before it lists the packs."},
    [RULE_RECORDS_FIRST_PRUNER] = {"records-first-pruner", WORLD_STRICT, 1,
				   "A pruner lists the condemn records before it lists the packs."},
    [RULE_DECODABLE_WRITER] = {"decodable-writer", WORLD_STRICT, 2,
			       "A copy counts for a writer if it decodes from packs that no record "
			       "condemns, depth falling."},
    [RULE_DECODABLE_PRUNER] = {"decodable-pruner", WORLD_STRICT, 2,
			       "A copy counts for a pruner if it decodes from packs that no record "
			       "condemns, depth falling."},
    [RULE_RECORD_LAST] = {"record-last", WORLD_STRICT, 1,
			  "A record is removed after the packs that it names, never before."},
    [RULE_NO_PARDON] = {"no-pardon", WORLD_STRICT, 1,
			"No record is withdrawn while a pack that it names is there."},
    [RULE_VISIBLE_STAMP] =
	{"visible-stamp", WORLD_STRICT, 1,
	 "The grace counts from a moment when the record was visible, not when it was written."},
};

static const char *const events[EVENTS] = {
    [EVENT_GARBAGE_DELETED] = "garbage deleted",
    [EVENT_LIVE_MOVED] = "pack deleted whose live ids are elsewhere",
    [EVENT_STORED_AGAIN] = "condemned id stored again",
    [EVENT_HEALED] = "stored again after publishing",
    [EVENT_LATE] = "writer late, listed again",
    [EVENT_KEPT] = "due pack kept by a fresh mark",
    [EVENT_ACKNOWLEDGED] = "backup acknowledged",
    [EVENT_KILLED] = "actor killed",
    [EVENT_FORGOTTEN] = "manifest forgotten",
    [EVENT_RECORD_LOST] = "condemn record lost",
};

static const char *const worlds[WORLDS] = {
    [WORLD_STRICT] = "strict",
    [WORLD_STALL] = "stalled publishing",
    [WORLD_LOSS] = "lost records",
    [WORLD_NAMED] = "never named",
};

const char *rule_name(enum rule r)
{
	return rules[r].name;
}

const char *rule_text(enum rule r)
{
	return rules[r].text;
}

unsigned rule_ids(enum rule r)
{
	return rules[r].ids;
}

enum world rule_world(enum rule r)
{
	return rules[r].world;
}

const char *event_name(enum event e)
{
	return events[e];
}

const char *world_name(enum world w)
{
	return worlds[w];
}
