/*
 * Bytes, numbers and escaped values behind a growing text. A page of a thousand connections has
 * ten thousand lines, and printf() would take most of the time. Called by page.c.
 */
#include <stdlib.h>
#include <string.h>

#include "metrics/page_private.h"

#define SIZE_FIRST 128

void
metrics_put(struct metrics_text *text, const char *bytes, size_t len)
{
	size_t size = text->size > 0 ? text->size : SIZE_FIRST;
	char *grown;

	if (text->failed)
		return;
	while (size - text->len <= len) /* and one for the NUL */
		size *= 2;
	if (size != text->size) {
		if ((grown = realloc(text->bytes, size)) == NULL) {
			text->failed = true;
			return;
		}
		text->bytes = grown;
		text->size = size;
	}
	memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
	text->bytes[text->len] = '\0';
}

void
metrics_puts(struct metrics_text *text, const char *string)
{
	metrics_put(text, string, strlen(string));
}

/* At least so many digits. */
static void
put_digits(struct metrics_text *text, uint64_t value, unsigned least)
{
	char digits[24];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0 || sizeof(digits) - at < least);
	metrics_put(text, digits + at, sizeof(digits) - at);
}

void
metrics_put_int(struct metrics_text *text, int64_t value)
{
	uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	if (value < 0)
		metrics_put(text, "-", 1);
	put_digits(text, size, 1);
}

void
metrics_put_seconds(struct metrics_text *text, int64_t us)
{
	uint64_t size = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;

	if (us < 0)
		metrics_put(text, "-", 1);
	put_digits(text, size / 1000000, 1);
	metrics_put(text, ".", 1);
	put_digits(text, size % 1000000, 6);
}

/*
 * Backslash, quote and newline are written alike in labels and in JSON. Other control characters
 * have no spelling in labels, and are nothing that a name should hold: a mark stands for them.
 */
void
metrics_put_escaped(struct metrics_text *text, const char *value)
{
	const char *plain = value;

	for (; *value != '\0'; value++) {
		if ((unsigned char)*value >= 0x20 && *value != '"' && *value != '\\' &&
		    *value != 0x7f)
			continue;
		metrics_put(text, plain, (size_t)(value - plain));
		plain = value + 1;
		if (*value == '\n')
			metrics_put(text, "\\n", 2);
		else if (*value == '"')
			metrics_put(text, "\\\"", 2);
		else if (*value == '\\')
			metrics_put(text, "\\\\", 2);
		else
			metrics_put(text, "?", 1);
	}
	metrics_put(text, plain, (size_t)(value - plain));
}
