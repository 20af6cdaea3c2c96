/*
 * siphash: SipHash-2-4, as crypto_shorthash has it, but inline: millions of keys of a few bytes are hashed for one database, and of
 * several that wait the processor works on two at a time when it sees them together. Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_SIPHASH_H
#define NIGHTJAR_CORE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t siphash_load(const uint8_t *p)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static inline uint64_t siphash_turn(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

static inline void siphash_round(struct siphash *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = siphash_turn(s->v1, 13) ^ s->v0;
	s->v3 = siphash_turn(s->v3, 16) ^ s->v2;
	s->v0 = siphash_turn(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = siphash_turn(s->v1, 17) ^ s->v2;
	s->v3 = siphash_turn(s->v3, 21) ^ s->v0;
	s->v2 = siphash_turn(s->v2, 32);
}

static inline void siphash_word(struct siphash *s, uint64_t word)
{
	s->v3 ^= word;
	siphash_round(s);
	siphash_round(s);
	s->v0 ^= word;
}

/* The state under a key, to be copied for each hash. */
static inline struct siphash siphash_of(const uint8_t key[16])
{
	uint64_t k0 = siphash_load(key), k1 = siphash_load(key + 8);

	return (struct siphash){
	    .v0 = k0 ^ 0x736f6d6570736575,
	    .v1 = k1 ^ 0x646f72616e646f6d,
	    .v2 = k0 ^ 0x6c7967656e657261,
	    .v3 = k1 ^ 0x7465646279746573,
	};
}

static inline uint64_t siphash_end(struct siphash *s, uint64_t last)
{
	siphash_word(s, last);
	s->v2 ^= 0xff;
	for (unsigned i = 0; i < 4; i++)
		siphash_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* Of the eight bytes of a number, the least first. */
static inline uint64_t siphash_u64(const struct siphash *keyed, uint64_t number)
{
	struct siphash s = *keyed;

	siphash_word(&s, number);
	return siphash_end(&s, (uint64_t)8 << 56);
}

static inline uint64_t siphash_bytes(const struct siphash *keyed, const uint8_t *p, size_t len)
{
	struct siphash s = *keyed;
	uint64_t last = (uint64_t)len << 56;
	size_t words = len / 8;

	for (size_t i = 0; i < words; i++)
		siphash_word(&s, siphash_load(p + 8 * i));
	for (size_t i = 8 * words; i < len; i++)
		last |= (uint64_t)p[i] << (8 * (i % 8));
	return siphash_end(&s, last);
}

#endif
