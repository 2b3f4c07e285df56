/*
 * Hostile and unusual requests against the parser: what is taken, what is refused with which
 * status, at every split point, with a second request right behind, which must never be mistaken
 * for a part of the first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/parser.h"
#include "vectors.h"

/* Feeds len bytes in two pieces, then the probe with the second; false when it is not what the
 * vector says. */
static bool
try_split(const struct vector *vector, const char *bytes, size_t len, size_t split,
    size_t *refused_at, struct http_parser *ret_found)
{
	struct http_parser parser;
	size_t whole = len + sizeof(VECTOR_PROBE) - 1, used = 0, at = 0;
	enum http_phase phase = HTTP_PHASE_START;
	bool ok;

	http_parser_init(&parser, &http_default_limits, NULL);
	if (split > 0) {
		phase = http_parser_feed(&parser, bytes, split, &used);
		at += used;
	}
	if (phase < HTTP_PHASE_DONE) {
		phase = http_parser_feed(&parser, bytes + at, whole - at, &used);
		at += used;
	}
	*ret_found = parser;
	if (vector->status != 0) {
		/* Refused at the same byte however it came. */
		ok = phase == HTTP_PHASE_REFUSED && parser.status == vector->status &&
		     parser.reason[0] != '\0' && (*refused_at == 0 || *refused_at == at);
		*refused_at = at;
	} else {
		ok = phase == HTTP_PHASE_DONE && at == len;
		http_parser_reset(&parser);
		phase = http_parser_feed(&parser, bytes + len, sizeof(VECTOR_PROBE) - 1, &used);
		ok = ok && phase == HTTP_PHASE_DONE && used == sizeof(VECTOR_PROBE) - 1 &&
		     strcmp(http_parser_path(&parser), "/v1/probe") == 0;
	}
	http_parser_clear(&parser);
	return (ok);
}

static void
every_vector_at_every_split_point(void **state)
{
	size_t i, split;

	(void)state;
	for (i = 0; i < vector_count; i++) {
		size_t len, refused_at = 0;
		struct http_parser found; /* its buffers are gone */
		char *bytes = vector_build(&vectors[i], &len);

		for (split = 0; split < len; split++) {
			/* Of the long ones the middle is all the same. */
			if (split > 400 && split + 400 < len)
				continue;
			if (!try_split(&vectors[i], bytes, len, split, &refused_at, &found))
				fail_msg("%s: split at %zu: status %d, %s", vectors[i].name, split,
				    found.status, found.reason);
		}
		free(bytes);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_vector_at_every_split_point),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
