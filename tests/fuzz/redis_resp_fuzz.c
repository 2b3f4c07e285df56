/*
 * Fuzzes replies of a Redis server: what was measured can be read, takes no more bytes than were
 * measured, and is within its limits.
 */
#include <stdint.h>
#include <stdlib.h>

#include "redis/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static size_t
count(const struct redis_reply *reply, const char *from, const char *to)
{
	size_t all = 1;

	if (reply->text != NULL && reply->kind != REDIS_LIST && reply->kind != REDIS_NIL &&
	    reply->kind != REDIS_INTEGER && (reply->text < from || reply->text + reply->len > to))
		abort();
	for (size_t i = 0; reply->kind == REDIS_LIST && i < reply->len; i++)
		all += count(&reply->items[i], from, to);
	return (all);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct redis_reply reply;
	const char *text = (const char *)bytes;
	size_t whole = 0;

	if (redis_reply_measure(text, len, &whole, &err) != 0) {
		if (err.text[0] == '\0')
			abort();
		return (0);
	}
	if (whole == 0)
		return (0);
	if (whole > len || redis_reply_read(text, whole, &reply, &err) != 0 ||
	    count(&reply, text, text + whole) > REDIS_ITEMS_MAX)
		abort();
	redis_reply_clear(&reply);
	return (0);
}
