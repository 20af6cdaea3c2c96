#include "repo/liveness.h"

#include <stdlib.h>
#include <string.h>

#include "core/node.h"

#define LIVE 1   /* a place that must stay */
#define SEEN 2   /* the first place of an id that a manifest reaches */
#define OPENED 4 /* the first place of an id of which a copy was opened, and is live */
#define COPIES_COMPARED 256

/* An id that only condemned packs give. */
struct needy {
	struct chunk_ref ref;
	size_t manifest;
};

struct mark {
	struct reader *reader;
	struct index *index;
	const struct manifest_list *list;
	const struct liveness_options *options;
	struct liveness *out;
	struct chunk_ref *stack; /* lists that were come by and not read yet */
	size_t stack_count, stack_cap;
	struct needy *needy;
	size_t needy_count, needy_cap;
	size_t manifest; /* under way */
	uint16_t *kept;  /* by first place of an id: all whole copies below this depth are live */
	struct buf bytes;
};

void liveness_free(struct liveness *l)
{
	free(l->live);
	free(l->needed);
	*l = (struct liveness){0};
}

static int name_manifest(const struct mark *m, size_t manifest, struct err *err)
{
	char hex[ID_HEX_CHARS + 1];

	id_hex(&m->list->items[manifest].name, hex);
	return err_prefix(err, "manifest %.*s", ID_SHORT_CHARS, hex);
}

/* --- choosing copies --- */

static const struct pack_source *source_of(const struct index *index, uint32_t at)
{
	const struct index_place *p = &index->places[at];

	return &index->packs[p->pack].sources[p->source];
}

/* By what is said of them. That says nothing of their bytes: a hostile directory may claim anybody's record. */
static bool said_same(const struct index *index, uint32_t a, uint32_t b)
{
	const struct index_place *x = &index->places[a], *y = &index->places[b];
	const struct slot *s = &index->packs[x->pack].slots[x->slot];
	const struct slot *t = &index->packs[y->pack].slots[y->slot];

	return x->counter == y->counter && x->stored_bytes == y->stored_bytes &&
	       x->info.depth == y->info.depth && x->info.base_count == y->info.base_count &&
	       memcmp(x->info.bases, y->info.bases, x->info.base_count * sizeof(struct id)) == 0 &&
	       memcmp(s->eph, t->eph, sizeof(s->eph)) == 0;
}

static int get_sealed(const struct mark *m, uint32_t at, struct buf *out, struct err *err)
{
	const struct index_place *p = &m->index->places[at];
	const struct id *pack = &m->index->packs[p->pack].name;
	struct store *store = reader_repo(m->reader)->store;

	/* What the repository has is asked, not what this host keeps of it. */
	(void)store_distrust(store, STORE_DATA, pack);
	return store_get_range(store, STORE_DATA, pack, p->offset, p->stored_bytes, out, err);
}

/*
 * One record in two packs, as a prune leaves it that was killed between moving and condemning: then one is enough, whatever is in it. Who
 * wrote it is no reason: a writer may have planted what it says another one stored.
 */
static bool same_record(const struct mark *m, uint32_t a, uint32_t b)
{
	struct buf x = {0}, y = {0};
	struct err ignored = {0};
	bool same = said_same(m->index, a, b) && get_sealed(m, a, &x, &ignored) == 0 &&
		    get_sealed(m, b, &y, &ignored) == 0 && memcmp(x.data, y.data, x.len) == 0;

	buf_free(&x);
	buf_free(&y);
	return same;
}

/*
 * One that a segment names; older; of equals (a repacked copy and the one that it was made of) the one in the larger pack, which a repack made; else by name:
 * every prune that sees both chooses the same.
 */
static bool better(const struct index *index, uint32_t a, uint32_t b)
{
	const struct index_pack *x = &index->packs[index->places[a].pack];
	const struct index_pack *y = &index->packs[index->places[b].pack];
	uint64_t seq_a = source_of(index, a)->sequence, seq_b = source_of(index, b)->sequence;

	if (x->named != y->named)
		return x->named;
	if (seq_a != seq_b)
		return seq_a < seq_b;
	if (x->pack_bytes != y->pack_bytes)
		return x->pack_bytes > y->pack_bytes;
	return a != b && id_cmp(&x->name, &y->name) < 0;
}

static bool is_copy(const struct index *index, uint32_t at, unsigned below_depth)
{
	return index->places[at].info.depth < below_depth && index_place_whole(index, at);
}

/* The best whole copy below a depth. */
static uint32_t best_copy(const struct index *index, const struct chunk_ref *ref,
			  unsigned below_depth)
{
	uint32_t best = INDEX_NONE;

	for (uint32_t at = index_find(index, ref->kind, &ref->id); at != INDEX_NONE;
	     at = index->places[at].next) {
		if (is_copy(index, at, below_depth) &&
		    (best == INDEX_NONE || better(index, at, best)))
			best = at;
	}
	return best;
}

static bool has_live_copy(const struct mark *m, const struct chunk_ref *ref, unsigned below_depth)
{
	for (uint32_t at = index_find(m->index, ref->kind, &ref->id); at != INDEX_NONE;
	     at = m->index->places[at].next) {
		if ((m->out->live[at] & LIVE) && m->index->places[at].info.depth < below_depth)
			return true;
	}
	return false;
}

static bool keep_copies(struct mark *m, const struct chunk_ref *ref, unsigned below_depth);

/* With what it rests on, which a whole place has: of strictly lower depth at each step. */
static void keep_place(struct mark *m, uint32_t at)
{
	const struct record_info *info = &m->index->places[at].info;

	if (m->out->live[at] & LIVE)
		return;
	m->out->live[at] |= LIVE;
	for (size_t i = 0; i < info->base_count; i++) {
		const struct chunk_ref base = {info->kind, info->bases[i]};

		(void)keep_copies(m, &base, info->depth);
	}
}

/* The bytes of this place open and are what the id says. */
static bool opens(struct mark *m, uint32_t at)
{
	const struct index_place place = m->index->places[at];
	struct buf sealed = {0}, plain = {0};
	struct err ignored = {0};
	bool ok =
	    get_sealed(m, at, &sealed, &ignored) == 0 &&
	    reader_open_place(m->reader, &place, sealed.data, sealed.len, &plain, &ignored) == 0;

	buf_free(&sealed);
	buf_wipe(&plain);
	return ok;
}

/* How many copies, up to a few more than are compared with one another. */
static size_t count_copies(const struct index *index, const struct chunk_ref *ref,
			   unsigned below_depth)
{
	size_t count = 0;

	for (uint32_t at = index_find(index, ref->kind, &ref->id);
	     at != INDEX_NONE && count <= COPIES_COMPARED; at = index->places[at].next)
		count += is_copy(index, at, below_depth);
	return count;
}

/* A better copy is the same record. */
static bool is_repeated(const struct mark *m, const struct chunk_ref *ref, unsigned below_depth,
			uint32_t copy)
{
	for (uint32_t at = index_find(m->index, ref->kind, &ref->id); at != INDEX_NONE;
	     at = m->index->places[at].next) {
		if (at != copy && is_copy(m->index, at, below_depth) &&
		    better(m->index, at, copy) && same_record(m, at, copy))
			return true;
	}
	return false;
}

/*
 * Whether two copies of an id have the same content only who can open them knows, and a planted one may rest where a true one is needed as
 * a base. So who cannot open them keeps each; who can keeps one that it has opened. False: there is no whole copy below that depth.
 */
static bool keep_copies(struct mark *m, const struct chunk_ref *ref, unsigned below_depth)
{
	uint32_t first = index_find(m->index, ref->kind, &ref->id), best;
	size_t count;

	if (first == INDEX_NONE)
		return false;
	/* What was kept before may lie deeper: what is condemned did not count then, and does in keep_needy. */
	if ((m->kept[first] >= below_depth || (m->out->live[first] & OPENED)) &&
	    has_live_copy(m, ref, below_depth))
		return true;
	best = best_copy(m->index, ref, below_depth);
	if (best == INDEX_NONE)
		return false;
	count = count_copies(m->index, ref, below_depth);
	if (count > 1 && m->options->merge_writers && opens(m, best)) {
		m->out->live[first] |= OPENED;
		keep_place(m, best);
		return true;
	}
	m->kept[first] = (uint16_t)below_depth;
	for (uint32_t at = first; at != INDEX_NONE; at = m->index->places[at].next) {
		if (is_copy(m->index, at, below_depth) && (count == 1 || count > COPIES_COMPARED ||
							   !is_repeated(m, ref, below_depth, at)))
			keep_place(m, at);
	}
	return true;
}

/* --- the walk --- */

static int push_needy(struct mark *m, const struct chunk_ref *ref, struct err *err)
{
	if (m->needy_count == m->needy_cap) {
		size_t cap = m->needy_cap ? m->needy_cap * 2 : 64;
		struct needy *needy = realloc(m->needy, cap * sizeof(*needy));

		if (!needy)
			return err_nomem(err);
		m->needy = needy;
		m->needy_cap = cap;
	}
	m->needy[m->needy_count++] = (struct needy){*ref, m->manifest};
	return 0;
}

static int push_list(struct mark *m, const struct chunk_ref *ref, struct err *err)
{
	if (m->stack_count == m->stack_cap) {
		size_t cap = m->stack_cap ? m->stack_cap * 2 : 256;
		struct chunk_ref *stack = realloc(m->stack, cap * sizeof(*stack));

		if (!stack)
			return err_nomem(err);
		m->stack = stack;
		m->stack_cap = cap;
	}
	m->stack[m->stack_count++] = *ref;
	return 0;
}

#define UNTIL                                                                                      \
	"; nothing is deleted until 'nightjar repair packs' has saved it or a backup stored it "   \
	"again, or 'nightjar repair manifests --forget' removes the manifest"

static int is_lost(const struct chunk_ref *ref, struct err *err)
{
	char hex[ID_HEX_CHARS + 1];

	id_hex(&ref->id, hex);
	return err_set(err, ERR_DAMAGED, "chunk %.*s of it has no whole copy" UNTIL, ID_SHORT_CHARS,
		       hex);
}

static int reach(struct mark *m, const struct chunk_ref *ref, struct err *err)
{
	uint32_t first = index_find(m->index, ref->kind, &ref->id);
	int r = 0;

	if (first == INDEX_NONE)
		return is_lost(ref, err);
	if (m->out->live[first] & SEEN)
		return 0;
	m->out->live[first] |= SEEN;
	m->out->chunks++;
	if (!keep_copies(m, ref, LIMIT_DEPTH + 1))
		r = push_needy(m, ref, err);
	if (!r && (ref->kind == CHUNK_TREE_LIST || ref->kind == CHUNK_LIST))
		r = push_list(m, ref, err);
	return r;
}

static int reach_all(struct mark *m, const struct chunk_ref *children, size_t count,
		     struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < count; i++)
		r = reach(m, &children[i], err);
	return r;
}

static int children_of(struct mark *m, uint32_t at, struct chunk_ref **out_children,
		       size_t *out_count, struct err *err)
{
	const struct index_place place = m->index->places[at];
	struct buf sealed = {0}, plain = {0};
	int r = get_sealed(m, at, &sealed, err);

	if (!r)
		r = reader_open_place(m->reader, &place, sealed.data, sealed.len, &plain, err);
	if (!r)
		r = list_get(plain.data, plain.len, out_children, out_count, err);
	buf_free(&sealed);
	buf_free(&plain);
	return r;
}

/*
 * Who recomputes no ids cannot tell a list from what was planted under its id: whatever a copy lists is needed. *out_any: some copy that
 * stays was read.
 */
static int read_copies(struct mark *m, const struct chunk_ref *list, bool *out_any, struct err *err)
{
	int r = 0;

	*out_any = false;
	for (uint32_t at = index_find(m->index, list->kind, &list->id); !r && at != INDEX_NONE;
	     at = m->index->places[at].next) {
		struct chunk_ref *children = NULL;
		struct err why = {0};
		size_t count = 0;

		if (!(m->out->live[at] & LIVE))
			continue;
		r = children_of(m, at, &children, &count, &why);
		if (!r) {
			*out_any = true;
			r = reach_all(m, children, count, err);
		} else if (r == -ERR_NOMEM || store_is_away(r)) {
			*err = why;
		} else {
			r = 0;
		}
		free(children);
	}
	return r;
}

static int read_any(struct mark *m, const struct chunk_ref *list, struct err *err)
{
	struct chunk_ref *children = NULL;
	size_t count = 0;
	int r;

	buf_reset(&m->bytes);
	r = reader_get(m->reader, list->kind, &list->id, &m->bytes, err);
	if (!r)
		r = list_get(m->bytes.data, m->bytes.len, &children, &count, err);
	/* What hangs on it is not known. */
	if (r == -ERR_MISSING || r == -ERR_DAMAGED)
		return err_set(err, ERR_DAMAGED, "%s" UNTIL, err->text);
	if (!r)
		r = reach_all(m, children, count, err);
	free(children);
	return r;
}

static int read_list(struct mark *m, const struct chunk_ref *list, struct err *err)
{
	bool any = false;
	int r = 0;

	if (reader_repo(m->reader)->keys->role == ROLE_MAINTAIN)
		r = read_copies(m, list, &any, err);
	return r || any ? r : read_any(m, list, err);
}

static int walk(struct mark *m, const struct manifest_item *item, struct err *err)
{
	const struct chunk_ref root = {CHUNK_TREE_LIST, item->m.root};
	const struct liveness_options *o = m->options;
	int r = reach(m, &root, err);

	while (!r && m->stack_count) {
		const struct chunk_ref list = m->stack[--m->stack_count];

		r = read_list(m, &list, err);
		if (!r && o->progress && o->progress(o->arg) != 0)
			return err_set(err, ERR_CANCELLED, "interrupted");
	}
	return r && r != -ERR_NOMEM ? name_manifest(m, m->manifest, err) : r;
}

/* --- what only condemned packs have (R4) --- */

static bool has_live(const struct mark *m, const struct index_pack *pack)
{
	for (uint32_t i = 0; i < pack->place_count; i++) {
		if (m->out->live[pack->first_place + i] & LIVE)
			return true;
	}
	return false;
}

/*
 * While copies are chosen for these nothing counts as condemned. Copies that were chosen before stay so: what made them whole is there
 * still.
 */
static int keep_needy(struct mark *m, struct err *err)
{
	struct index *index = m->index;
	bool *needed = calloc(index->pack_count + 1, sizeof(*needed));
	int r = needed ? 0 : err_nomem(err);

	for (size_t i = 0; !r && i < index->pack_count; i++) {
		needed[i] = index->packs[i].condemned;
		index_pardon_pack(index, (uint32_t)i);
	}
	for (size_t i = 0; !r && i < m->needy_count; i++) {
		const struct needy *n = &m->needy[i];

		if (!keep_copies(m, &n->ref, LIMIT_DEPTH + 1)) {
			(void)is_lost(&n->ref, err);
			r = name_manifest(m, n->manifest, err);
		}
	}
	for (size_t i = 0; !r && i < index->pack_count; i++) {
		if (!needed[i])
			continue;
		index_condemn_pack(index, (uint32_t)i);
		needed[i] = has_live(m, &index->packs[i]);
		m->out->needed_count += needed[i];
	}
	m->out->needed = needed;
	return r;
}

static int mark_all(struct mark *m, struct err *err)
{
	int r = 0;

	m->out->live = calloc(m->index->place_count + 1, 1);
	m->out->place_count = m->index->place_count;
	m->out->pack_count = m->index->pack_count;
	m->kept = calloc(m->index->place_count + 1, sizeof(*m->kept));
	if (!m->out->live || !m->kept)
		return err_nomem(err);
	for (m->manifest = 0; !r && m->manifest < m->list->count; m->manifest++)
		r = walk(m, &m->list->items[m->manifest], err);
	if (!r)
		r = keep_needy(m, err);
	for (size_t i = 0; !r && i < m->out->place_count; i++)
		m->out->live[i] &= LIVE;
	return r;
}

int liveness_mark(struct reader *reader, const struct manifest_list *list,
		  const struct liveness_options *options, struct liveness *out_liveness,
		  struct err *err)
{
	struct liveness out = {0};
	struct mark m = {.reader = reader,
			 .index = reader_index(reader),
			 .list = list,
			 .options = options,
			 .out = &out};
	int r = mark_all(&m, err);

	free(m.stack);
	free(m.needy);
	free(m.kept);
	buf_free(&m.bytes);
	if (r)
		liveness_free(&out);
	else
		*out_liveness = out;
	return r;
}
