#include "cli/backup_show.h"

#include <stdio.h>

#include "cli/text.h"

void backup_show_databases(struct cli *cli, uint64_t databases, const struct backup_result *res)
{
	char count[TEXT_SIZE_CHARS], size[TEXT_SIZE_CHARS], changed[TEXT_SIZE_CHARS];
	char cells[TEXT_SIZE_CHARS], packed[TEXT_SIZE_CHARS], part[TEXT_SIZE_CHARS];
	char stored[256] = "nothing to store";

	if (databases == 0)
		return;
	text_count(databases, count);
	text_size(res->image_bytes, size);
	text_count(res->cells_changed, changed);
	text_count(res->cells, cells);
	text_size(res->image_packed, packed);
	text_part(res->image_packed, res->image_bytes, part);
	if (res->image_packed)
		(void)snprintf(stored, sizeof(stored), "%sstored in %s, %s of a plain copy",
			       res->committed ? "" : "to be ", packed, part);
	out_note(&cli->out, "%s database%s of %s: %s of %s cell%s new or changed, %s", count,
		 text_plural(databases), size, changed, cells, text_plural(res->cells), stored);
}
