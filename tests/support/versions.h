/*
 * versions: chunks that are versions of one another, and packs made by hand of records that rest on them as a test wants.
 * Failures fail the test that asked.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_VERSIONS_H
#define NIGHTJAR_TESTS_SUPPORT_VERSIONS_H

#include "tests/support/repo_case.h"

/* Rows of a table, len bytes in all: of each version some hundredths of them are new since the version before. */
struct buf versions_make(uint64_t table, unsigned version, size_t len);

/* The chunk of that id reads back as that version. */
void versions_assert_reads(struct repo_case *c, const struct id *id, uint64_t table,
			   unsigned version, size_t len);

/* A record that a pack is to hold. */
struct versions_record {
	const char *plain;
	const char *bases[LIMIT_BASES]; /* their plaintexts, up to a NULL; none = stored full */
	uint8_t depth;
	uint8_t bad; /* 1: other bytes are sealed than it should have */
};
struct id versions_id(struct repo_case *c, const char *plain);
/* Puts one pack of them into the store and adds it to the index, whose number of it is given. */
uint32_t versions_pack(struct repo_case *c, struct index *index,
		       const struct versions_record *records, size_t count);

#endif
