#include "core/parity_code.h"

#include <string.h>

#define FIELD 0x1d  /* x^8 + x^4 + x^3 + x^2 + 1 without its highest term */
#define PIECE 1024u /* bytes at a time: eight planes of it stay in the fastest cache */

static uint8_t twice(uint8_t a)
{
	return (uint8_t)(a << 1 ^ (a & 0x80 ? FIELD : 0));
}

uint8_t parity_code_mul(uint8_t a, uint8_t b)
{
	uint8_t product = 0;

	for (; b; b = (uint8_t)(b >> 1), a = twice(a))
		product ^= (uint8_t)(a * (b & 1u));
	return product;
}

/* a^254, as a^255 = 1. */
static uint8_t inverse(uint8_t a)
{
	uint8_t power = a, result = 1;

	for (unsigned i = 1; i < 8; i++) {
		power = parity_code_mul(power, power);
		result = parity_code_mul(result, power);
	}
	return result;
}

/*
 * 1 / (row + y) is Cauchy's matrix with y = 4 + column; that each column is multiplied by its y changes no determinant to zero and makes
 * row 0 all ones.
 */
uint8_t parity_code_factor(unsigned row, unsigned column)
{
	uint8_t y = (uint8_t)(PARITY_CODE_ROWS + column);

	return parity_code_mul(y, inverse((uint8_t)(y ^ row)));
}

static void add(uint8_t *restrict to, const uint8_t *restrict from)
{
	for (size_t i = 0; i < PIECE; i++)
		to[i] ^= from[i];
}

/* to = 2 to + from */
static void double_add(uint8_t *restrict to, const uint8_t *restrict from)
{
	for (size_t i = 0; i < PIECE; i++)
		to[i] = (uint8_t)(to[i] << 1 ^ ((to[i] & 0x80) ? FIELD : 0) ^ from[i]);
}

static void put_piece(const uint8_t *const *data, const uint8_t *factors, size_t count, size_t at,
		      uint8_t *out)
{
	uint8_t planes[8][PIECE];

	memset(planes, 0, sizeof(planes));
	for (size_t i = 0; i < count; i++) {
		for (unsigned bit = 0; data[i] && bit < 8; bit++) {
			if (factors[i] >> bit & 1)
				add(planes[bit], data[i] + at);
		}
	}
	for (unsigned bit = 7; bit > 0; bit--)
		double_add(planes[7], planes[bit - 1]);
	memcpy(out + at, planes[7], PIECE);
}

/* The sum of the blocks, each multiplied by its factor. */
static void sum(const uint8_t *const *blocks, const uint8_t *factors, size_t count, uint8_t *out)
{
	for (size_t at = 0; at < PARITY_BLOCK_BYTES; at += PIECE)
		put_piece(blocks, factors, count, at, out);
}

void parity_code_put(const uint8_t *const *data, size_t count, unsigned row,
		     uint8_t out[PARITY_BLOCK_BYTES])
{
	uint8_t factors[PARITY_CODE_DATA];

	for (unsigned i = 0; i < count; i++)
		factors[i] = parity_code_factor(row, i);
	sum(data, factors, count, out);
}

/* The inverse of an n × n matrix, which has one. */
static void invert(uint8_t m[PARITY_CODE_ROWS][PARITY_CODE_ROWS],
		   uint8_t out[PARITY_CODE_ROWS][PARITY_CODE_ROWS], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < n; k++)
			out[i][k] = i == k;
	}
	/* No pivot is looked for: as each square part of the matrix has an inverse, the diagonal never gets a 0. */
	for (size_t i = 0; i < n; i++) {
		uint8_t scale = inverse(m[i][i]);

		for (size_t k = 0; k < n; k++) {
			m[i][k] = parity_code_mul(m[i][k], scale);
			out[i][k] = parity_code_mul(out[i][k], scale);
		}
		for (size_t row = 0; row < n; row++) {
			uint8_t factor = row == i ? 0 : m[row][i];

			for (size_t k = 0; k < n; k++) {
				m[row][k] ^= parity_code_mul(factor, m[i][k]);
				out[row][k] ^= parity_code_mul(factor, out[i][k]);
			}
		}
	}
}

bool parity_code_solve(const uint8_t *const *data, size_t count, const uint8_t *const *parity,
		       unsigned rows, const unsigned *lost, size_t lost_count, uint8_t *const *out)
{
	uint8_t m[PARITY_CODE_ROWS][PARITY_CODE_ROWS], back[PARITY_CODE_ROWS][PARITY_CODE_ROWS];
	uint8_t left[PARITY_CODE_ROWS][PARITY_BLOCK_BYTES];
	const uint8_t *lefts[PARITY_CODE_ROWS];
	size_t n = 0;

	/* What the lost blocks count in the first parity blocks that are there. */
	for (unsigned row = 0; row < rows && n < lost_count; row++) {
		if (!parity[row])
			continue;
		parity_code_put(data, count, row, left[n]);
		for (size_t i = 0; i < PARITY_BLOCK_BYTES; i++)
			left[n][i] ^= parity[row][i];
		for (size_t i = 0; i < lost_count && i < PARITY_CODE_ROWS; i++)
			m[n][i] = parity_code_factor(row, lost[i]);
		lefts[n] = left[n];
		n++;
	}
	if (n < lost_count)
		return false;
	invert(m, back, n);
	for (size_t i = 0; i < n; i++)
		sum(lefts, back[i], n, out[i]);
	return true;
}
