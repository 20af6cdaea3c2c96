/*
 * store_fault: a store over a store that goes wrong at the k-th call, so that a test can loop
 *
 *	for (k = 1;; k++) {
 *		store_fault_arm(f, &(struct store_fault_plan){.kind = FAULT_BEFORE, .at = k});
 *		rc = what_is_tested(f);
 *		if (!store_fault_fired(f))
 *			break;               // rc must be 0: every call has failed once
 *		...                          // the invariants must hold in the inner store
 *	}
 *
 * Which calls count is chosen by operation and by object type. The inner store belongs to the caller
 * and outlives this one: it is what is left after the crash. A new one is disarmed and passes
 * everything through. It never invents an error of its own outside a plan.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_STORE_FAULT_H
#define NIGHTJAR_TESTS_SUPPORT_STORE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/store.h"

enum store_fault_op {
	FAULT_CREATE,
	FAULT_PUT,
	FAULT_GET,
	FAULT_RANGE,
	FAULT_SIZE,
	FAULT_LIST,
	FAULT_REMOVE,
	FAULT_NOW
};
#define FAULT_OPS 8
#define FAULT_OP(op) (1u << (op))       /* for plan.ops */
#define FAULT_TYPE(type) (1u << (type)) /* for plan.types */

enum store_fault_kind {
	FAULT_NONE,
	/* The call fails; nothing has happened. */
	FAULT_BEFORE,
	/* The call does its work, then fails: the answer was lost. A listing gives every name first. */
	FAULT_AFTER,
	/* As FAULT_BEFORE, and so does every later call of any operation and type: the crash. */
	FAULT_STOP,
	/*
	 * A backend that breaks the contract. put: the first half of the object is there under its
	 * name, and the call fails. get: the first half is given, as if it were all. get_range: the
	 * second half reads as zeros. size: half. list: the first half of the names, as if that were
	 * all (halves are rounded down). create, remove and now: as FAULT_BEFORE.
	 */
	FAULT_TEAR,
	/*
	 * One bit in the middle is turned over, and the call returns 0: put stores, get and get_range
	 * give such bytes. Empty objects and other operations pass.
	 */
	FAULT_FLIP,
	/* The call returns 0 but did nothing: put and remove only; others pass. */
	FAULT_LIE
};

/* {0} passes everything through and counts. */
struct store_fault_plan {
	enum store_fault_kind kind;
	uint64_t at;  /* which counted call, from 1 */
	unsigned ops; /* FAULT_OP bits whose calls count; 0 = all */
	unsigned
	    types; /* FAULT_TYPE bits whose calls count; 0 = all, and create and now, which have none */
	enum err_code code; /* what failing calls return; 0 = ERR_IO */
};

/* *out_store is freed with store_free, which leaves inner alone. */
int store_fault_new(struct store *inner, struct store **out_store, struct err *err) ERR_UNUSED_WARN;

/* Takes a new plan (copied), sets the counts to zero and forgets that a fault has fired. */
void store_fault_arm(struct store *fault, const struct store_fault_plan *plan);

/* True when the plan's call came, since arming. */
bool store_fault_fired(const struct store *fault);

/* Calls of an operation since arming, whatever the plan; includes those that failed. */
uint64_t store_fault_calls(const struct store *fault, enum store_fault_op op);

#endif
