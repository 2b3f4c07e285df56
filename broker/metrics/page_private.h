/*
 * A page while it is written. Private to metrics/.
 */
#ifndef METRICS_PAGE_PRIVATE_H
#define METRICS_PAGE_PRIVATE_H

#include "metrics/page.h"

struct metrics_text {
	char *bytes;
	size_t len, size;
	bool failed; /* memory was out */
};
void metrics_put(struct metrics_text *text, const char *bytes, size_t len);
void metrics_puts(struct metrics_text *text, const char *string);
void metrics_put_int(struct metrics_text *text, int64_t value);
void metrics_put_seconds(struct metrics_text *text, int64_t us);
/* What stands between quotes: alike in all forms. */
void metrics_put_escaped(struct metrics_text *text, const char *value);

struct metrics_page {
	enum metrics_format format;
	enum metrics_kind kind; /* of the family */
	const char *name;       /* of the family; NULL: none yet */
	/* Text has one part; JSON has a list for each of the first three kinds. */
	struct metrics_text parts[3];
	struct metrics_text *out; /* of the family */
};

#endif
