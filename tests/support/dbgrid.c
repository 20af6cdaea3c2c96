#include "tests/support/dbgrid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/dbgrid_break.h"
#include "tests/support/dbgrid_fill.h"
#include "tests/support/dbkit.h"

#define SOURCE_URI "file:/dbgrid-source?vfs=memdb"
#define VACUUM_URI "file:/dbgrid-vacuum?vfs=memdb"
#define RECIPES (2 * DBGRID_FLAVOURS * DBGRID_PAGE_SIZES)
#define JUNK_IMAGES 24

struct walk {
	dbgrid_visit *visit;
	void *arg;
	unsigned next_kind; /* of damage, so that each way has its turn */
};

uint64_t dbgrid_next(struct dbgrid_rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint64_t dbgrid_below(struct dbgrid_rng *rng, uint64_t limit)
{
	uint64_t n = dbgrid_next(rng);

	return limit ? n % limit : 0;
}

void dbgrid_noise(struct dbgrid_rng *rng, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t n = dbgrid_next(rng);

		memcpy(out + i, &n, len - i < 8 ? len - i : 8);
	}
}

/* --- recipes --- */

static struct dbgrid_recipe recipe_of(unsigned number)
{
	static const unsigned reserved[] = {0, 0, 0, 1, 8, 32, 100, 255};
	struct dbgrid_recipe r = {
	    .number = number, .flavour = number % DBGRID_FLAVOURS, .rng = {number}};
	unsigned size = number / DBGRID_FLAVOURS % DBGRID_PAGE_SIZES;
	unsigned round = number / DBGRID_FLAVOURS / DBGRID_PAGE_SIZES;
	unsigned turn = r.flavour + round * 5; /* 0 to 20: each of the nine pairs below comes up */

	r.page_bytes = 512u << size;
	r.reserved_bytes = reserved[dbgrid_below(&r.rng, 8)];
	if (r.page_bytes - r.reserved_bytes < 480) /* the least that SQLite allows */
		r.reserved_bytes = r.page_bytes - 480;
	r.encoding = (turn + size) % 3;
	r.auto_vacuum = (turn / 3 + size / 3) % 3;
	r.old_format = dbgrid_below(&r.rng, 4) == 0;
	r.secure_delete = dbgrid_below(&r.rng, 2) == 1;
	return r;
}

static sqlite3 *open_uri(const char *uri)
{
	sqlite3 *db = NULL;

	assert_int_equal(
	    sqlite3_open_v2(uri, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI,
			    NULL),
	    SQLITE_OK);
	return db;
}

static sqlite3 *cook(struct dbgrid_recipe *r)
{
	static const char *const encodings[] = {"UTF-8", "UTF-16le", "UTF-16be"};
	sqlite3 *db = open_uri(SOURCE_URI);
	int reserved = (int)r->reserved_bytes;
	char sql[200];

	assert_int_equal(sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved),
			 SQLITE_OK);
	(void)snprintf(sql, sizeof(sql),
		       "PRAGMA page_size = %u; PRAGMA auto_vacuum = %u; PRAGMA encoding = '%s';"
		       "PRAGMA journal_mode = MEMORY; PRAGMA cache_size = 20;",
		       r->page_bytes, r->auto_vacuum, encodings[r->encoding]);
	kit_exec(db, sql);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_LEGACY_FILE_FORMAT, (int)r->old_format, NULL);
	dbgrid_functions(db, r);
	dbgrid_fill(db, r);
	return db;
}

/* --- images --- */

static struct dbgrid_image image_of(const struct dbgrid_recipe *r, sqlite3 *db,
				    enum dbgrid_form form)
{
	static const char *const forms[] = {"vacuumed", "plain", "lying"};
	struct dbgrid_image image = {.form = form,
				     .page_bytes = r->page_bytes,
				     .reserved_bytes = r->reserved_bytes,
				     .encoding = r->encoding,
				     .auto_vacuum = r->auto_vacuum,
				     .secure_delete = r->secure_delete,
				     .recipe = r->number};
	sqlite3_int64 len = 0;
	uint8_t *bytes;

	/* It must have read the page size, or sqlite3_serialize goes by the default one (3.40). */
	(void)kit_int(db, "SELECT count(*) FROM sqlite_schema");
	bytes = sqlite3_serialize(db, "main", &len, 0);
	assert_non_null(bytes);
	image.len = (size_t)len;
	image.bytes = malloc(image.len);
	assert_non_null(image.bytes);
	memcpy(image.bytes, bytes, image.len);
	sqlite3_free(bytes);
	(void)snprintf(
	    image.name, sizeof(image.name), "recipe %u %s: %s, %u+%u bytes, encoding %u, av %u",
	    (unsigned)r->number, forms[form], dbgrid_flavour_name(r->flavour),
	    r->page_bytes - r->reserved_bytes, r->reserved_bytes, r->encoding, r->auto_vacuum);
	return image;
}

static void visit_broken(struct walk *walk, const struct dbgrid_image *sound, unsigned turn)
{
	struct dbgrid_image broken = *sound;
	struct dbgrid_victim v = {.len = sound->len, .page_bytes = sound->page_bytes};
	unsigned kind = walk->next_kind++ % dbgrid_breakers();
	const char *way;

	v.rng.state = sound->recipe << 32 | (uint64_t)sound->form << 16 | turn;
	v.bytes = malloc(v.len);
	assert_non_null(v.bytes);
	memcpy(v.bytes, sound->bytes, v.len);
	way = dbgrid_break(&v, kind);
	broken.bytes = realloc(v.bytes, v.len ? v.len : 1);
	assert_non_null(broken.bytes);
	broken.len = v.len;
	broken.form = DBGRID_BROKEN;
	(void)snprintf(broken.name, sizeof(broken.name), "%.100s; %s, turn %u", sound->name, way,
		       turn);
	walk->visit(walk->arg, &broken);
	free(broken.bytes);
}

/* The image, then damaged ones, the more of them the smaller it is. */
static void visit_all_of(struct walk *walk, struct dbgrid_image *image)
{
	unsigned turns = image->len <= 100000    ? 8
			 : image->len <= 400000  ? 3
			 : image->len <= 1000000 ? 1
						 : 0;

	walk->visit(walk->arg, image);
	for (unsigned turn = 0; turn < turns; turn++)
		visit_broken(walk, image, turn);
	free(image->bytes);
}

struct dbgrid_image dbgrid_one(const char *flavour, unsigned page_bytes, enum dbgrid_form form)
{
	struct dbgrid_recipe r = recipe_of(0);
	struct dbgrid_image image;
	sqlite3 *db, *vacuum;
	unsigned number = 0;

	while (r.page_bytes != page_bytes || strcmp(dbgrid_flavour_name(r.flavour), flavour) != 0) {
		number++;
		assert_true(number < RECIPES);
		r = recipe_of(number);
	}
	db = cook(&r);
	vacuum = open_uri(VACUUM_URI);
	kit_exec(db, "VACUUM INTO '" VACUUM_URI "'");
	image = image_of(&r, form == DBGRID_VACUUM ? vacuum : db, form);
	assert_int_equal(sqlite3_close(vacuum), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return image;
}

static void visit_recipe(struct walk *walk, unsigned number)
{
	struct dbgrid_recipe r = recipe_of(number);
	sqlite3 *db = cook(&r), *vacuum = open_uri(VACUUM_URI);
	struct dbgrid_image image = image_of(&r, db, DBGRID_PLAIN);

	visit_all_of(walk, &image);
	kit_exec(db, "VACUUM INTO '" VACUUM_URI "'");
	image = image_of(&r, vacuum, DBGRID_VACUUM);
	visit_all_of(walk, &image);
	assert_int_equal(sqlite3_close(vacuum), SQLITE_OK);
	if (dbgrid_lies(db, &r)) {
		image = image_of(&r, db, DBGRID_BROKEN);
		visit_all_of(walk, &image);
	}
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* --- what is no database --- */

static void fill_junk(struct dbgrid_image *image, unsigned number)
{
	static const size_t lens[] = {0, 1, 15, 16, 99, 100, 101, 512, 65536, 70001};
	static const uint8_t jpeg[] = {0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I',
				       'F',  0,    1,    1,    0, 0,  1,   0,   1};
	struct dbgrid_rng rng = {number};
	size_t head;

	image->len = number < 10 ? lens[number] : (size_t)dbgrid_below(&rng, 300000);
	image->bytes = malloc(image->len ? image->len : 1);
	assert_non_null(image->bytes);
	if (number % 3 == 0)
		memset(image->bytes, 0, image->len);
	else
		dbgrid_noise(&rng, image->bytes, image->len);
	head = image->len < sizeof(jpeg) ? image->len : sizeof(jpeg);
	if (number % 4 == 1)
		memcpy(image->bytes, jpeg, head);
	head = image->len < 16 ? image->len : 16;
	if (number % 4 == 3)
		memcpy(image->bytes, "SQLite format 3", head);
}

static void visit_junk(struct walk *walk, unsigned number)
{
	struct dbgrid_image image = {.form = DBGRID_BROKEN, .recipe = RECIPES + number};

	fill_junk(&image, number);
	(void)snprintf(image.name, sizeof(image.name), "junk %u: %zu bytes", number, image.len);
	walk->visit(walk->arg, &image);
	free(image.bytes);
}

void dbgrid_each(dbgrid_visit *visit, void *arg)
{
	struct walk walk = {.visit = visit, .arg = arg};

	for (unsigned number = 0; number < JUNK_IMAGES; number++)
		visit_junk(&walk, number);
	for (unsigned number = 0; number < RECIPES; number++)
		visit_recipe(&walk, number);
}

uint64_t dbgrid_odd_pages(const struct dbgrid_image *image)
{
	uint64_t pages = image->len / image->page_bytes;
	/* A ptrmap page has 5 bytes for each of the pages that follow it; the first one is page 2. */
	uint64_t per_map = (image->page_bytes - image->reserved_bytes) / 5 + 1;
	uint64_t odd = (1u << 30) / image->page_bytes < pages;
	const uint8_t *free_pages = image->bytes + 36;

	for (int i = 0, shift = 24; i < 4; i++, shift -= 8)
		odd += (uint64_t)free_pages[i] << shift;
	if (image->auto_vacuum && pages > 1)
		odd += (pages - 2) / per_map + 1;
	return odd;
}
