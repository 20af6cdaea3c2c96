/* Any bytes as a record of SQLite: its columns lie within them, one after the other. */
#include <stdint.h>
#include <stdlib.h>

#include "core/sqlrec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *at = data;
	struct sqlrec_column c;
	struct sqlrec r;

	if (!sqlrec_open(data, size, &r))
		return 0;
	while (sqlrec_next(&r, &c)) {
		if (c.value.p < at || c.value.p + c.value.len > data + size)
			abort();
		at = c.value.p + c.value.len;
	}
	return 0;
}
