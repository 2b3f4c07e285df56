/*
 * Fuzzes base/frame: the first byte says in what pieces the stream comes; every cut gives the same
 * objects.
 */
#include <stdlib.h>

#include "base/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Feeds the stream in pieces; returns how many objects came. */
static size_t
count_objects(const uint8_t *bytes, size_t len, size_t piece)
{
	struct frame_reader reader = {0};
	size_t count = 0;
	int r = 0;

	for (size_t at = 0; r == 0 && at < len; at += piece) {
		json_t *object = NULL;

		/* A bad length may be told by either call; what stood before it counts. */
		r = frame_reader_feed(
		    &reader, bytes + at, len - at < piece ? len - at : piece, NULL);
		while (frame_reader_next(&reader, &object, NULL) == 0 && object != NULL) {
			count++;
			json_decref(object);
		}
	}
	frame_reader_clear(&reader);
	return (count);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	size_t piece;

	if (len < 1)
		return (0);
	piece = bytes[0] % 16 + 1u;
	if (count_objects(bytes + 1, len - 1, piece) != count_objects(bytes + 1, len - 1, len))
		abort();
	return (0);
}
