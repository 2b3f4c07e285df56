/*
 * Fuzzes the HTTP request parser. The oracle: however the bytes are cut, the same requests come
 * out, and a refusal comes at the same byte with the same status.
 *
 * The first byte of the input chooses the cut.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/parser.h"

/* Limits small enough for a fuzzer to reach. */
static const struct http_limits limits = {.request_line = 200,
    .header_bytes = 300,
    .header_count = 8,
    .body = 100,
    .bodies = 1024 * 1024};

struct digest {
	unsigned requests;
	uint64_t hash;
	size_t used;
	enum http_phase phase;
	int status;
};

static void
mix(struct digest *digest, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	size_t i;

	for (i = 0; i < len; i++)
		digest->hash = (digest->hash ^ at[i]) * UINT64_C(1099511628211);
	digest->hash = (digest->hash ^ len) * UINT64_C(1099511628211);
}

static void
take_request(struct http_parser *parser, struct digest *digest)
{
	static const char *const names[] = {"host", "x-vault-token", "content-length", "x"};
	const char *value;
	size_t i;

	digest->requests++;
	mix(digest, &parser->method, sizeof(parser->method));
	mix(digest, http_parser_path(parser), strlen(http_parser_path(parser)));
	mix(digest, http_parser_query(parser), strlen(http_parser_query(parser)));
	mix(digest, parser->body, parser->body_len);
	if (parser->body_len > limits.body || parser->body[parser->body_len] != '\0' ||
	    http_parser_path(parser)[0] != '/' || strstr(http_parser_path(parser), "//") != NULL)
		abort();
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((value = http_parser_field(parser, names[i])) == NULL)
			continue;
		mix(digest, value, strlen(value));
		if (strpbrk(value, "\r\n") != NULL)
			abort();
	}
}

/* piece 0: all in one. */
static struct digest
run(const uint8_t *bytes, size_t len, size_t piece)
{
	struct http_budget budget = {0, limits.bodies};
	struct digest digest = {0};
	struct http_parser parser;
	size_t used, take;

	http_parser_init(&parser, &limits, &budget);
	while (digest.used < len && digest.phase != HTTP_PHASE_REFUSED) {
		take = len - digest.used;
		if (piece > 0 && take > piece)
			take = piece;
		digest.phase = http_parser_feed(&parser, bytes + digest.used, take, &used);
		digest.used += used;
		if (used < take && digest.phase < HTTP_PHASE_DONE)
			abort();
		if (digest.phase == HTTP_PHASE_DONE) {
			take_request(&parser, &digest);
			http_parser_reset(&parser);
		}
	}
	digest.status = parser.status;
	if (digest.phase == HTTP_PHASE_REFUSED && (parser.status < 400 || parser.reason[0] == '\0'))
		abort();
	http_parser_clear(&parser);
	if (budget.used != 0)
		abort();
	return (digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct digest whole, cut;

	if (size < 1)
		return (0);
	whole = run(data + 1, size - 1, 0);
	cut = run(data + 1, size - 1, 1 + data[0] % 16);
	if (whole.requests != cut.requests || whole.hash != cut.hash || whole.used != cut.used ||
	    whole.phase != cut.phase || whole.status != cut.status)
		abort();
	return (0);
}
