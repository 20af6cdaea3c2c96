/*
 * nomem: the k-th allocation fails. What includes this (one file of a test program) has its malloc, calloc, realloc, free and sodium_malloc
 * replaced by ones that count and, when armed, fail once; the libraries that it calls use them, too. Not under sanitizers, which have
 * their own: nomem_works is false then. Include after cmocka.h. One thread.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_NOMEM_H
#define NIGHTJAR_TESTS_SUPPORT_NOMEM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <stdbool.h>

#include "core/err.h"
#include "tests/support/must.h"

/* A call that frees what it gives. */
struct nomem_op {
	const char *name;
	int (*run)(struct err *err);
};

/* Sanitizers have their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NOMEM_OFF
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NOMEM_OFF
#endif
#endif

static bool nomem_armed, nomem_failed;
static unsigned long nomem_left;
static long nomem_count;

/* The next allocation but `after` gives NULL. */
static void nomem_arm(unsigned long after)
{
	nomem_armed = true;
	nomem_failed = false;
	nomem_left = after;
}

/* Ends that; was there such an allocation? */
static bool nomem_disarm(void)
{
	nomem_armed = false;
	return nomem_failed;
}

/* Blocks that are allocated now. */
static long nomem_blocks(void)
{
	return nomem_count;
}

#ifdef NOMEM_OFF
static const bool nomem_works = false;
#else
static const bool nomem_works = true;

void *__libc_malloc(size_t len);
void *__libc_calloc(size_t count, size_t len);
void *__libc_realloc(void *old, size_t len);
void __libc_free(void *old);
void *malloc(size_t len);
void *calloc(size_t count, size_t len);
void *realloc(void *old, size_t len);
void free(void *old);
void *sodium_malloc(size_t len);

static bool fails(void)
{
	if (!nomem_armed || nomem_failed)
		return false;
	nomem_failed = nomem_left == 0;
	nomem_left--;
	return nomem_failed;
}

static void *counted(void *p)
{
	nomem_count += p != NULL;
	return p;
}

void *malloc(size_t len)
{
	return fails() ? NULL : counted(__libc_malloc(len));
}

void *calloc(size_t count, size_t len)
{
	return fails() ? NULL : counted(__libc_calloc(count, len));
}

void *realloc(void *old, size_t len)
{
	if (fails())
		return NULL;
	return old ? __libc_realloc(old, len) : counted(__libc_realloc(NULL, len));
}

void free(void *old)
{
	nomem_count -= old != NULL;
	__libc_free(old);
}

void *sodium_malloc(size_t len)
{
	static void *(*real)(size_t);

	/* The two types have one size, and POSIX says that it works. */
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "sodium_malloc");
	return fails() ? NULL : real(len);
}
#endif

/* How many of those that failed were not missed: the call gave 0 all the same. */
static unsigned long nomem_done_without;

/* Fails allocation k; gives how many blocks are left, and whether there was such an allocation. */
static bool nomem_one(const struct nomem_op *op, unsigned long k, long *out_left)
{
	struct err err = {0};
	long before = nomem_blocks();
	bool hit;
	int rc;

	nomem_arm(k);
	rc = op->run(&err);
	hit = nomem_disarm();
	/* Libraries can do without some of theirs. */
	if (hit && rc == 0)
		nomem_done_without++;
	else if (hit ? rc != -ERR_NOMEM : rc != 0)
		fail_msg("%s, allocation %lu: gave %d: %s", op->name, k, rc, err.text);
	*out_left = nomem_blocks() - before;
	return hit;
}

/*
 * Fails each allocation of the call once, which then gives ERR_NOMEM and leaves no block behind; how many there were.
 */
static unsigned long nomem_each(const struct nomem_op *op)
{
	struct err err = {0};
	unsigned long k = 0;
	long blocks_left;

	/* What libraries keep is there then. */
	MUST(op->run(&err), &err);
	while (nomem_one(op, k, &blocks_left)) {
		/* And what they keep of their last errors: libcrypto the texts of 16. */
		for (int again = 0; blocks_left && again < 40; again++)
			(void)nomem_one(op, k, &blocks_left);
		if (blocks_left)
			fail_msg("%s, allocation %lu: %ld blocks are left", op->name, k,
				 blocks_left);
		k++;
	}
	return k;
}

#endif
