/*
 * The mender of packs on any bytes: never a result whose SHA-256 is not the name, never one for a name that nothing has, and what is mended
 * mends again to itself. The name that is asked for is that of the undamaged object, when the input is a body and what follows; as a body of that many blocks gives
 * only one tail.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/parity.h"
#include "core/sha256.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend_to(const uint8_t *data, size_t size, const struct id *name)
{
	struct parity_mended mended;
	struct buf out = {0};
	struct err err = {0};
	struct id digest;

	if (parity_mend(data, size, name, &out, &mended, &err) == 0) {
		if (sha256_of(out.data, out.len, &digest, &err) != 0 || !id_eq(&digest, name) ||
		    mended.blocks > mended.of)
			abort();
	} else if (out.len != 0) {
		abort();
	}
	buf_free(&out);
}

/* The object whose body the input begins with, if it were well. */
static void mend_to_body(const uint8_t *data, size_t size, size_t blocks)
{
	struct buf object = {0};
	struct err err = {0};
	struct id name;

	if (blocks == 0 || blocks * PARITY_BLOCK_BYTES > size)
		return;
	buf_put(&object, data, blocks * PARITY_BLOCK_BYTES);
	if (parity_put(parity_kind_of(2, object.len), 0, &object, &err) == 0 &&
	    sha256_of(object.data, object.len, &name, &err) == 0)
		mend_to(data, size, &name);
	buf_free(&object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct id none;

	mend_to(data, size, &none);
	mend_to_body(data, size, 1);
	mend_to_body(data, size, 2);
	return 0;
}
