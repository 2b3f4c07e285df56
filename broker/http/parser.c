/*
 * The request parser: takes bytes, keeps the head's strings and the body in two buffers, knows
 * where one request ends and the next begins.
 *
 * Lines are only collected here, with every byte judged as it comes; what a line means is head.c's.
 * Does not read sockets and does not reply; called by connection.c.
 */
#include "http/parser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <leased/secret.h>

#include "http/head.h"

/* Buffers of up to this size stay with the connection between requests. */
#define KEPT_SIZE 4096u
#define HEAD_SIZE 1024u
/* A body of up to this size is not charged to the budget: small requests pass even when others hold
 * it all. */
#define BODY_UNCHARGED (16u * 1024u)
#define CHUNK_DIGITS 8u

void
http_parser_init(
    struct http_parser *parser, const struct http_limits *limits, struct http_budget *budget)
{
	*parser = (struct http_parser){.limits = limits, .budget = budget};
}

enum http_phase
http_parser_refuse(struct http_parser *parser, int status, const char *reason)
{
	size_t len = strlen(reason);

	if (len >= sizeof(parser->reason))
		len = sizeof(parser->reason) - 1;
	memcpy(parser->reason, reason, len);
	parser->reason[len] = '\0';
	parser->status = status;
	parser->phase = HTTP_PHASE_REFUSED;
	return (HTTP_PHASE_REFUSED);
}

void
http_parser_refuse_over(struct http_parser *parser, int status, const char *what, const char *unit,
    size_t limit, const char *setting)
{
	char text[sizeof(parser->reason)];

	(void)snprintf(text, sizeof(text),
	    "%s more than %zu %s, the most that is taken here: send less, or have \"%s\" raised in "
	    "the block limits of leased.hcl",
	    what, limit, unit, setting);
	(void)http_parser_refuse(parser, status, text);
}

void
http_parser_refuse_body(struct http_parser *parser)
{
	http_parser_refuse_over(parser, 413, "the body has", "bytes", parser->limits->body, "body");
}

static void
wipe_free(void *bytes, size_t size)
{
	if (bytes != NULL)
		leased_wipe(bytes, size);
	free(bytes);
}

/* realloc() that leaves no copy behind. bytes holds len bytes and grows from *size to new_size. */
static bool
wipe_grow(void **bytes, size_t len, size_t *size, size_t new_size)
{
	void *grown = malloc(new_size);

	if (grown == NULL)
		return (false);
	if (len > 0)
		memcpy(grown, *bytes, len);
	wipe_free(*bytes, *size);
	*bytes = grown;
	*size = new_size;
	return (true);
}

bool
http_parser_head_room(struct http_parser *parser, size_t more)
{
	size_t size = parser->head_size == 0 ? HEAD_SIZE : parser->head_size;
	void *head = parser->head;
	bool ok;

	if (more <= parser->head_size - parser->head_len)
		return (true);
	while (size - parser->head_len < more)
		size *= 2;
	ok = wipe_grow(&head, parser->head_len, &parser->head_size, size);
	parser->head = head;
	if (!ok)
		(void)http_parser_refuse(parser, 503, "out of memory; try again later");
	return (ok);
}

/* Makes room for more bytes of body and the NUL behind them. No more is taken than has come in,
 * whatever length was announced. */
static bool
body_room(struct http_parser *parser, size_t more)
{
	size_t need = parser->body_len + more + 1;
	size_t size = parser->body_size == 0 ? HEAD_SIZE : parser->body_size;
	size_t charge;
	void *body = parser->body;
	bool ok;

	if (need <= parser->body_size)
		return (true);
	while (size < need)
		size *= 2;
	charge = size > BODY_UNCHARGED ? size - parser->body_charged : 0;
	if (parser->budget != NULL && charge > 0) {
		if (charge > parser->budget->limit - parser->budget->used) {
			(void)http_parser_refuse(parser, 503,
			    "too many large requests at the same time; try again later");
			return (false);
		}
		parser->budget->used += charge;
		parser->body_charged += charge;
	}
	ok = wipe_grow(&body, parser->body_len, &parser->body_size, size);
	parser->body = body;
	if (!ok)
		(void)http_parser_refuse(parser, 503, "out of memory; try again later");
	return (ok);
}

/* Why one byte of a line, other than its end, is refused; NULL: it is not. */
static const char *
judge_line_byte(const struct http_parser *parser, unsigned char byte)
{
	bool request_line = parser->step == HTTP_STEP_REQUEST_LINE;

	if (parser->cr)
		return ("a CR that no LF follows");
	if (byte == '\r')
		return (NULL);
	if (byte == '\n')
		return ("a line that ends in LF without CR");
	if ((byte < 0x20 && (byte != '\t' || request_line)) || byte == 0x7f)
		return ("a control byte in the head of the request");
	if (request_line && byte >= 0x80)
		return ("a byte that is not ASCII in the request line; percent-encode it");
	return (NULL);
}

/* The line's limit, before one more byte of it is taken. */
static bool
within_limits(struct http_parser *parser)
{
	if (parser->step == HTTP_STEP_REQUEST_LINE) {
		if (++parser->line_len <= parser->limits->request_line)
			return (true);
		http_parser_refuse_over(parser, 414, "the request line has", "bytes",
		    parser->limits->request_line, "request_line");
		return (false);
	}
	if (++parser->header_bytes <= parser->limits->header_bytes)
		return (true);
	http_parser_refuse_over(
	    parser, 431, "the headers have", "bytes", parser->limits->header_bytes, "header_bytes");
	return (false);
}

/* One byte of the request line or of a header line. */
static void
feed_line_byte(struct http_parser *parser, unsigned char byte)
{
	const char *reason;

	if (parser->cr && byte == '\n') {
		parser->cr = false;
		http_head_line(parser);
		parser->line_start = parser->head_len;
		return;
	}
	if ((reason = judge_line_byte(parser, byte)) != NULL) {
		(void)http_parser_refuse(parser, 400, reason);
		return;
	}
	if (byte == '\r') {
		parser->cr = true;
		return;
	}
	if (within_limits(parser) && http_parser_head_room(parser, 1))
		parser->head[parser->head_len++] = (char)byte;
}

static void
finish(struct http_parser *parser)
{
	if (!body_room(parser, 0))
		return;
	parser->body[parser->body_len] = '\0';
	parser->phase = HTTP_PHASE_DONE;
}

/* Called by head.c's last line: what follows the head? */
void
http_parser_begin_body(struct http_parser *parser)
{
	parser->phase = HTTP_PHASE_BODY;
	parser->cr = false;
	if (parser->chunked) {
		parser->step = HTTP_STEP_CHUNK_SIZE;
		parser->left = 0;
		parser->digits = 0;
		return;
	}
	parser->step = HTTP_STEP_BODY;
	if (parser->left == 0)
		finish(parser);
}

/* The bytes of a body or of one chunk; how many were taken. */
static size_t
feed_data(struct http_parser *parser, const unsigned char *bytes, size_t len)
{
	size_t take = len < parser->left ? len : (size_t)parser->left;

	if (!body_room(parser, take))
		return (0);
	memcpy(parser->body + parser->body_len, bytes, take);
	parser->body_len += take;
	parser->left -= take;
	if (parser->left > 0)
		return (take);
	if (parser->step == HTTP_STEP_BODY)
		finish(parser);
	else
		parser->step = HTTP_STEP_CHUNK_END;
	return (take);
}

/* CR, then LF; true when the LF was taken. */
static bool
feed_line_end(struct http_parser *parser, unsigned char byte)
{
	if (byte != (parser->cr ? '\n' : '\r')) {
		(void)http_parser_refuse(parser, 400,
		    parser->step == HTTP_STEP_LAST_END
			? "the chunked body does not end with an empty line; trailers are not taken"
			: "a chunk that does not end where its size says");
		return (false);
	}
	parser->cr = !parser->cr;
	return (!parser->cr);
}

static int
hex_value(unsigned char byte)
{
	if (byte >= '0' && byte <= '9')
		return (byte - '0');
	if (byte >= 'a' && byte <= 'f')
		return (byte - 'a' + 10);
	if (byte >= 'A' && byte <= 'F')
		return (byte - 'A' + 10);
	return (-1);
}

/* Hexadecimal digits and CRLF; chunk extensions are refused: nobody needs them and readers differ
 * on them. */
static void
feed_chunk_size(struct http_parser *parser, unsigned char byte)
{
	int value = hex_value(byte);

	if (!parser->cr && value >= 0) {
		if (++parser->digits > CHUNK_DIGITS) {
			(void)http_parser_refuse(parser, 400, "a chunk size of too many digits");
			return;
		}
		parser->left = parser->left * 16 + (unsigned)value;
		if (parser->left > parser->limits->body - parser->body_len)
			http_parser_refuse_body(parser);
		return;
	}
	if (parser->digits == 0 || byte != (parser->cr ? '\n' : '\r')) {
		(void)http_parser_refuse(
		    parser, 400, "a chunk size that is not hexadecimal digits and CRLF");
		return;
	}
	parser->cr = !parser->cr;
	if (parser->cr)
		return;
	parser->step = parser->left > 0 ? HTTP_STEP_CHUNK_DATA : HTTP_STEP_LAST_END;
	parser->digits = 0;
}

static size_t
feed_body(struct http_parser *parser, const unsigned char *bytes, size_t len)
{
	parser->body_begun = true;
	switch (parser->step) {
	case HTTP_STEP_BODY:
	case HTTP_STEP_CHUNK_DATA:
		return (feed_data(parser, bytes, len));
	case HTTP_STEP_CHUNK_SIZE:
		feed_chunk_size(parser, bytes[0]);
		return (1);
	case HTTP_STEP_CHUNK_END:
		if (feed_line_end(parser, bytes[0]))
			parser->step = HTTP_STEP_CHUNK_SIZE;
		return (1);
	case HTTP_STEP_LAST_END:
		if (feed_line_end(parser, bytes[0]))
			finish(parser);
		return (1);
	case HTTP_STEP_REQUEST_LINE:
	case HTTP_STEP_FIELD:
		break;
	}
	(void)http_parser_refuse(parser, 500, "the parser lost its place");
	return (1);
}

enum http_phase
http_parser_feed(struct http_parser *parser, const void *bytes, size_t len, size_t *ret_used)
{
	const unsigned char *at = bytes;
	size_t used = 0;

	while (used < len && parser->phase < HTTP_PHASE_DONE) {
		if (parser->phase == HTTP_PHASE_BODY) {
			used += feed_body(parser, at + used, len - used);
			continue;
		}
		parser->phase = HTTP_PHASE_HEAD;
		feed_line_byte(parser, at[used++]);
	}
	*ret_used = used;
	return (parser->phase);
}

static void
budget_release(struct http_parser *parser)
{
	if (parser->budget != NULL)
		parser->budget->used -= parser->body_charged;
	parser->body_charged = 0;
}

void
http_parser_reset(struct http_parser *parser)
{
	struct http_parser kept = {.limits = parser->limits,
	    .budget = parser->budget,
	    .head = parser->head,
	    .head_size = parser->head_size,
	    .body = parser->body,
	    .body_size = parser->body_size};

	if (kept.head_size > KEPT_SIZE || kept.body_size > KEPT_SIZE) {
		http_parser_clear(parser);
		return;
	}
	if (kept.head != NULL)
		leased_wipe(kept.head, kept.head_size);
	if (kept.body != NULL)
		leased_wipe(kept.body, kept.body_size);
	budget_release(parser);
	*parser = kept;
}

void
http_parser_clear(struct http_parser *parser)
{
	wipe_free(parser->head, parser->head_size);
	wipe_free(parser->body, parser->body_size);
	budget_release(parser);
	*parser = (struct http_parser){.limits = parser->limits, .budget = parser->budget};
}
