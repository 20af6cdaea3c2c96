/* repair index: segments from the packs' own directories. */
#include "repo/repair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/repair_run.h"

#define SEGMENT_ENTRIES 262144 /* a segment is put when its packs hold so many records */

struct segment {
	struct id name;
	struct indexseg seg; /* when it is good */
	bool good, replace;
};

/* A pack that the store has. */
struct pack {
	struct id name;
	uint64_t bytes;
	const struct indexseg_pack *said; /* what a good segment says of it, or NULL */
	struct indexseg_pack own;         /* its own directory, when that was read */
	bool has_own;
	bool wrong;    /* own is not what a segment says */
	bool kept;     /* a segment that stays names it */
	bool disputed; /* segments contradict one another */
};

struct run {
	struct repo *repo;
	const struct repair_index_options *options;
	struct repair_index_result *result;
	struct segment *segments;
	size_t segment_count;
	struct pack *packs; /* ascending by name */
	size_t pack_count;
};

static int tick(struct run *run, uint64_t done, uint64_t total, const char *what, struct err *err)
{
	return repair_tick(&run->options->cb, done, total, what, err);
}

/* --- what there is --- */

/* Segments first: a pack is there before a segment names it, so one that is not listed afterwards is missing. */
static int load_segment(struct run *run, struct segment *s, struct err *err)
{
	struct err why = {0};
	int r = index_get_segment(run->repo, &s->name, &s->seg, &why);

	s->good = !r;
	if (!r || r == -ERR_MISSING) /* somebody has replaced it meanwhile */
		return 0;
	if (!repair_is_damage(&why)) {
		*err = why;
		return repo_name(run->repo->store, STORE_INDEX, &s->name, err);
	}
	s->replace = true;
	repo_unname(run->repo->store, STORE_INDEX, &s->name, &why);
	repair_tell(&run->options->cb, false, STORE_INDEX, &s->name, why.text);
	return 0;
}

static int load_segments(struct run *run, struct err *err)
{
	struct id *names = NULL;
	size_t count = 0;
	int r = repo_list(run->repo->store, STORE_INDEX, &names, NULL, &count, err);

	if (!r) {
		run->segments = calloc(count ? count : 1, sizeof(*run->segments));
		r = run->segments ? 0 : err_nomem(err);
	}
	for (size_t i = 0; !r && i < count; i++) {
		struct segment *s = &run->segments[run->segment_count++];

		s->name = names[i];
		r = tick(run, i, count, "index", err);
		if (!r)
			r = load_segment(run, s, err);
	}
	run->result->segments = count;
	free(names);
	return r;
}

static int list_packs(struct run *run, struct err *err)
{
	struct id *names = NULL;
	uint64_t *sizes = NULL;
	size_t count = 0;
	int r = repo_list(run->repo->store, STORE_DATA, &names, &sizes, &count, err);

	if (!r) {
		run->packs = calloc(count ? count : 1, sizeof(*run->packs));
		r = run->packs ? 0 : err_nomem(err);
	}
	for (size_t i = 0; !r && i < count; i++)
		run->packs[run->pack_count++] = (struct pack){.name = names[i], .bytes = sizes[i]};
	run->result->packs = count;
	free(names);
	free(sizes);
	return r;
}

static int compare_pack(const void *name, const void *pack)
{
	return id_cmp(name, &((const struct pack *)pack)->name);
}

static struct pack *find_pack(const struct run *run, const struct id *name)
{
	return run->pack_count
		   ? bsearch(name, run->packs, run->pack_count, sizeof(*run->packs), compare_pack)
		   : NULL;
}

/* --- what is wrong --- */

static int same_directory(const struct pack_dir *a, const struct pack_dir *b, bool *out_same,
			  struct err *err)
{
	const struct pack_dir *both[2] = {a, b};
	struct buf bytes[2] = {{0}, {0}};
	int r = 0;

	for (size_t i = 0; !r && i < 2; i++) {
		for (size_t k = 0; k < both[i]->slot_count; k++)
			slot_put(&bytes[i], &both[i]->slots[k]);
		pack_dir_put(&bytes[i], both[i]);
		r = buf_check(&bytes[i], err);
	}
	*out_same = !r && bytes[0].len == bytes[1].len &&
		    memcmp(bytes[0].data, bytes[1].data, bytes[0].len) == 0;
	buf_free(&bytes[0]);
	buf_free(&bytes[1]);
	return r;
}

static int take_word(struct pack *p, const struct indexseg_pack *said, struct err *err)
{
	bool same = true;
	int r = 0;

	if (!p->said)
		p->said = said;
	else
		r = same_directory(&p->said->dir, &said->dir, &same, err);
	p->disputed = p->disputed || !same || p->said->pack_bytes != said->pack_bytes;
	return r;
}

static int take_words(struct run *run, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < run->segment_count; i++) {
		const struct segment *s = &run->segments[i];

		for (size_t k = 0; !r && s->good && k < s->seg.pack_count; k++) {
			struct pack *p = find_pack(run, &s->seg.packs[k].name);

			if (p)
				r = take_word(p, &s->seg.packs[k], err);
		}
	}
	return r;
}

static int read_directory(struct run *run, struct pack *p, struct err *err)
{
	int r = index_get_directory(run->repo, &p->name, p->bytes, &p->own.dir, err);

	if (!r && !repair_knows_domain(run->repo, p->own.dir.slots[0].domain)) {
		pack_dir_free(&p->own.dir);
		r = err_set(err, ERR_DAMAGED, "of a domain that no writer has");
	}
	p->own.name = p->name;
	p->own.pack_bytes = p->bytes;
	p->has_own = !r;
	return r;
}

/* What a segment says of a pack whose directory is damaged is all that is known of it, and stays. */
static int look_into(struct run *run, struct pack *p, struct err *err)
{
	struct err why = {0};
	bool same = true;
	int r = read_directory(run, p, &why);

	if (r == -ERR_MISSING)
		return 0;
	if (r && !repair_is_damage(&why)) {
		*err = why;
		return repo_name(run->repo->store, STORE_DATA, &p->name, err);
	}
	run->result->packs_unreadable += r != 0;
	repo_unname(run->repo->store, STORE_DATA, &p->name, &why);
	if (r)
		repair_tell(&run->options->cb, true, STORE_DATA, &p->name, why.text);
	else if (p->said)
		r = same_directory(&p->own.dir, &p->said->dir, &same, err);
	if (!p->said && p->has_own) {
		run->result->packs_added++;
		repair_tell(&run->options->cb, false, STORE_DATA, &p->name,
			    "no index segment named it");
	}
	p->wrong = !same || (p->disputed && p->has_own);
	return r == -ERR_NOMEM ? r : 0;
}

static int look_into_packs(struct run *run, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < run->pack_count; i++) {
		struct pack *p = &run->packs[i];

		if (p->said && !p->disputed && !run->options->read_all_packs)
			continue;
		r = tick(run, i, run->pack_count, "packs", err);
		if (!r)
			r = look_into(run, p, err);
	}
	return r;
}

/* A listing may have left it out. */
static bool is_missing(const struct run *run, const struct id *pack)
{
	struct err ignored = {0};
	uint64_t size;

	return store_size(run->repo->store, STORE_DATA, pack, &size, &ignored) == -ERR_MISSING;
}

static void judge(struct run *run, struct segment *s)
{
	char text[128], hex[ID_HEX_CHARS + 1];

	for (size_t k = 0; s->good && k < s->seg.pack_count; k++) {
		const struct id *name = &s->seg.packs[k].name;
		const struct pack *p = find_pack(run, name);

		if (p ? !p->wrong : !is_missing(run, name))
			continue;
		s->replace = true;
		run->result->packs_missing += !p;
		id_hex(name, hex);
		(void)snprintf(text, sizeof(text), "names pack %.*s, which %s", ID_SHORT_CHARS, hex,
			       p ? "has another directory" : "is missing");
		repair_tell(&run->options->cb, false, STORE_INDEX, &s->name, text);
	}
}

static void judge_segments(struct run *run)
{
	for (size_t i = 0; i < run->segment_count; i++)
		judge(run, &run->segments[i]);
	for (size_t i = 0; i < run->segment_count; i++) {
		const struct segment *s = &run->segments[i];

		for (size_t k = 0; s->good && !s->replace && k < s->seg.pack_count; k++) {
			struct pack *p = find_pack(run, &s->seg.packs[k].name);

			if (p)
				p->kept = true;
		}
	}
}

/* --- what is written --- */

/* NULL: the pack needs no new words, or there are none. */
static const struct indexseg_pack *words_for(const struct pack *p)
{
	if (p->kept)
		return NULL;
	return p->said && !p->wrong ? p->said : p->has_own ? &p->own : NULL;
}

/* A segment key that a good segment of the domain has, or, where there is none, a new one. */
static int find_wrap(struct run *run, uint32_t domain, struct indexseg_wrap *out, struct err *err)
{
	for (size_t i = 0; i < run->segment_count; i++) {
		if (run->segments[i].good && run->segments[i].seg.domain == domain) {
			*out = run->segments[i].seg.wrap;
			return 0;
		}
	}
	return repair_new_wrap(run->repo, domain, out, err);
}

/* The packs are lent, not copied. */
static int put_segment(struct run *run, uint32_t domain, const struct indexseg_wrap *wrap,
		       const struct indexseg_pack *packs, size_t count, struct err *err)
{
	struct buf bytes = {0};
	int r;

	if (count == 0)
		return 0;
	r = indexseg_enc_gc(run->repo->keys, domain, wrap, packs, count, run->repo->conf.floor_log2,
			    &bytes, err);
	if (!r)
		r = repo_put(run->repo, STORE_INDEX, &bytes, NULL, err);
	run->result->written += !r;
	buf_free(&bytes);
	return r;
}

/* The packs of one domain, from packs[first] on. */
static int put_domain(struct run *run, size_t first, struct indexseg_pack *room, struct err *err)
{
	uint32_t domain = words_for(&run->packs[first])->dir.slots[0].domain;
	struct indexseg_wrap wrap;
	size_t count = 0, entries = 0;
	int r = find_wrap(run, domain, &wrap, err);

	for (size_t i = first; !r && i < run->pack_count; i++) {
		const struct indexseg_pack *words = words_for(&run->packs[i]);

		if (!words || words->dir.slots[0].domain != domain)
			continue;
		room[count++] = *words;
		run->packs[i].kept = true;
		entries += words->dir.entry_count;
		if (entries < SEGMENT_ENTRIES)
			continue;
		r = put_segment(run, domain, &wrap, room, count, err);
		count = entries = 0;
	}
	return r ? r : put_segment(run, domain, &wrap, room, count, err);
}

static int put_segments(struct run *run, struct err *err)
{
	struct indexseg_pack *room = calloc(run->pack_count ? run->pack_count : 1, sizeof(*room));
	int r = room ? 0 : err_nomem(err);

	for (size_t i = 0; !r && i < run->pack_count; i++) {
		if (words_for(&run->packs[i]))
			r = put_domain(run, i, room, err);
	}
	free(room);
	return r;
}

static int remove_segments(struct run *run, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < run->segment_count; i++) {
		struct segment *s = &run->segments[i];

		if (!s->replace)
			continue;
		r = store_remove(run->repo->store, STORE_INDEX, &s->name, err);
		if (r == -ERR_MISSING)
			r = 0;
		if (r)
			return err_prefix(err, "the new index is written, the old one could not "
					       "be removed");
		run->result->replaced++;
	}
	return r;
}

static void run_free(struct run *run)
{
	for (size_t i = 0; i < run->segment_count; i++)
		indexseg_free(&run->segments[i].seg);
	for (size_t i = 0; i < run->pack_count; i++)
		pack_dir_free(&run->packs[i].own.dir);
	free(run->segments);
	free(run->packs);
}

int repair_index(struct repo *repo, const struct repair_index_options *options,
		 struct repair_index_result *out_result, struct err *err)
{
	struct run run = {.repo = repo, .options = options, .result = out_result};
	int r = keys_allow(repo->keys, POWER_MAINTAIN, "repair index", err);

	*out_result = (struct repair_index_result){0};
	if (!r)
		r = load_segments(&run, err);
	if (!r)
		r = list_packs(&run, err);
	if (!r)
		r = take_words(&run, err);
	if (!r)
		r = look_into_packs(&run, err);
	if (!r) {
		judge_segments(&run);
		r = put_segments(&run, err);
	}
	if (!r)
		r = remove_segments(&run, err);
	run_free(&run);
	return r;
}
