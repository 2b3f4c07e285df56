/*
 * A strict, incremental parser of HTTP/1.1 requests (RFC 9110, RFC 9112). Private to http/.
 *
 * What two readers could understand in two ways is refused, never repaired. Bytes may come in
 * pieces of any size: the result is the same. All header lines of a request lie in one buffer;
 * nothing is allocated per header. Both buffers are wiped before they are freed or used again.
 */
#ifndef HTTP_PARSER_H
#define HTTP_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/http.h"

enum http_phase {
	HTTP_PHASE_START,   /* not one byte of a request yet */
	HTTP_PHASE_HEAD,    /* in the request line or the headers */
	HTTP_PHASE_BODY,    /* the head is whole, the body is not */
	HTTP_PHASE_DONE,    /* a whole request: read it, then http_parser_reset() */
	HTTP_PHASE_REFUSED, /* answer status and reason, then close: the stream is lost */
};

/* What bodies of all connections may hold together, so that nobody fills the memory before saying
 * who he is. */
struct http_budget {
	size_t used, limit;
};

enum http_step {
	HTTP_STEP_REQUEST_LINE,
	HTTP_STEP_FIELD,
	HTTP_STEP_BODY,
	HTTP_STEP_CHUNK_SIZE,
	HTTP_STEP_CHUNK_DATA,
	HTTP_STEP_CHUNK_END,
	HTTP_STEP_LAST_END, /* the empty line behind the last chunk; trailers are refused */
};

struct http_parser {
	const struct http_limits *limits;
	struct http_budget *budget; /* NULL: none */
	enum http_phase phase;
	enum http_step step;
	int status; /* REFUSED: the answer's status */
	char reason[256];

	enum http_method method;
	bool method_known;
	bool http_1_0;   /* no keep-alive, no chunks */
	bool close;      /* Connection: close */
	bool expect;     /* Expect: 100-continue */
	bool collapsed;  /* path had repeated slashes: redirect to it */
	bool body_begun; /* a byte of it was seen */
	bool has_host, has_length, chunked;

	/* While it grows: finished strings, then the line that is coming in. Afterwards: path,
	 * query, then name and value of each field, each NUL-terminated. */
	char *head;
	size_t head_len, head_size;
	size_t line_start;
	size_t query_start, fields_start;
	size_t line_len, header_bytes;
	unsigned header_count;
	bool cr; /* the last byte was a CR: LF must follow */

	uint8_t *body; /* NUL-terminated once DONE */
	size_t body_len, body_size, body_charged;
	uint64_t left;   /* of the body, or of the chunk */
	unsigned digits; /* of a chunk size */
};

/* limits and budget are borrowed for the parser's life. */
void http_parser_init(
    struct http_parser *parser, const struct http_limits *limits, struct http_budget *budget);

/*
 * Takes bytes until the request is DONE or REFUSED, or none are left; *ret_used says how many. The
 * phase is returned and stays in parser. Out of memory is a refusal (503).
 */
enum http_phase http_parser_feed(
    struct http_parser *parser, const void *bytes, size_t len, size_t *ret_used);

/* Ready for the next request; wipes, keeps small buffers. */
void http_parser_reset(struct http_parser *parser);

/* Wipes and frees all; also gives back what the budget was charged. */
void http_parser_clear(struct http_parser *parser);

/* When DONE. */
const char *http_parser_path(const struct http_parser *parser);
const char *http_parser_query(const struct http_parser *parser);

/* The value of the only field of that name (ASCII case ignored); NULL when there is none, or
 * several. */
const char *http_parser_field(const struct http_parser *parser, const char *name);

#endif
