#include "repo/tree_sum.h"

#include <stdlib.h>

#define AT_ONCE (16u << 10)

int tree_sum_new(struct tree_sum *sum, struct err *err)
{
	*sum = (struct tree_sum){.least_file_bytes = UINT64_MAX};
	return sha256_new(&sum->ctx, err);
}

void tree_sum_free(struct tree_sum *sum)
{
	sha256_free(sum->ctx);
	sum->ctx = NULL;
	buf_wipe(&sum->bytes);
}

static void count(struct tree_sum *sum, const struct entry *e)
{
	sum->folders += e->type == ENTRY_DIR;
	sum->databases += e->type == ENTRY_FILE && e->encoding != ENCODING_BYTES;
	if (e->type != ENTRY_FILE || e->encoding != ENCODING_BYTES) {
		sum->others++;
		return;
	}
	sum->files++;
	sum->file_bytes += e->size;
	if (e->size < sum->least_file_bytes)
		sum->least_file_bytes = e->size;
}

static int digest(struct tree_sum *sum, struct err *err)
{
	int r = buf_check(&sum->bytes, err);

	if (!r)
		r = sha256_update(sum->ctx, sum->bytes.data, sum->bytes.len, err);
	buf_reset(&sum->bytes);
	return r;
}

/* An entry says how many children it takes, so where one ends is no question. */
int tree_sum_add(struct tree_sum *sum, const struct entry *e, const struct chunk_ref *children,
		 size_t child_count, struct err *err)
{
	struct entry counted = *e;

	count(sum, e);
	counted.child_count = (uint32_t)child_count;
	tree_body_entry(&sum->bytes, &counted);
	for (size_t i = 0; i < child_count; i++) {
		buf_put_u8(&sum->bytes, children[i].kind);
		buf_put(&sum->bytes, children[i].id.b, ID_BYTES);
	}
	return sum->bytes.len < AT_ONCE ? 0 : digest(sum, err);
}

int tree_sum_final(struct tree_sum *sum, struct id *out_sum, struct err *err)
{
	int r = digest(sum, err);

	return r ? r : sha256_final(sum->ctx, out_sum, err);
}
