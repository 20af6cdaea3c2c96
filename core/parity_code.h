/*
 * parity_code: the erasure code of a pack's parity tail (FORMAT.md §5 "Parity"): Reed–Solomon over GF(2^8), up to 64 data blocks of
 * 4 KiB and up to 4 of parity, systematic, by a Cauchy matrix: whichever blocks are lost, as many as there are parity blocks, the
 * rest gives them back. Pure; any thread.
 *
 * Own code and no library: it is small, and a library (isa-l is the well-kept one) would have to be there wherever a repository is to be
 * mended. Every product is a sum of the data's bit planes, so that encoding is XOR alone, which compilers vectorise: no
 * instruction set is asked for.
 */
#ifndef NIGHTJAR_CORE_PARITY_CODE_H
#define NIGHTJAR_CORE_PARITY_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARITY_BLOCK_BYTES 4096u
#define PARITY_CODE_DATA 64u
#define PARITY_CODE_ROWS 4u

/* The product, and what the data block of a column (0…63) counts in the parity block of a row (0…3). */
uint8_t parity_code_mul(uint8_t a, uint8_t b);
uint8_t parity_code_factor(unsigned row, unsigned column);

/* Parity block `row` of these data blocks. A column without a block is one of zeros: NULL, or beyond count. */
void parity_code_put(const uint8_t *const *data, size_t count, unsigned row,
		     uint8_t out[PARITY_BLOCK_BYTES]);

/*
 * Writes the data blocks of the columns lost[0…lost_count), where data has NULL, to out[0…lost_count). parity[0…rows) has NULL where
 * a parity block is lost. False when more blocks are lost than parity blocks are there; nothing was written then.
 */
bool parity_code_solve(const uint8_t *const *data, size_t count, const uint8_t *const *parity,
		       unsigned rows, const unsigned *lost, size_t lost_count, uint8_t *const *out);

#endif
