/*
 * The head of a request: request line and fields, their grammar and the rules that decide where the
 * body ends (RFC 9112 sections 3 and 6).
 *
 * Gets whole lines from parser.c and leaves behind, in the same buffer, the decoded path, the
 * query, and each field's name and value. Routes nothing.
 */
#include "http/head.h"

#include <string.h>
#include <strings.h>

#include "base/path.h"

static const char *const method_names[] = {
    [HTTP_GET] = "GET",
    [HTTP_HEAD] = "HEAD",
    [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",
    [HTTP_PATCH] = "PATCH",
    [HTTP_DELETE] = "DELETE",
    [HTTP_LIST] = "LIST",
};

const char *
http_method_name(enum http_method method)
{
	return (method_names[method]);
}

static bool
is_token(const char *text, size_t len)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	size_t i;

	for (i = 0; i < len; i++) {
		char c = text[i];

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
			continue;
		if (c == '\0' || strchr(others, c) == NULL)
			return (false);
	}
	return (len > 0);
}

/* "HTTP/" DIGIT "." DIGIT; false when refused. */
static bool
take_version(struct http_parser *parser, const char *text, size_t len)
{
	if (len != 8 || memcmp(text, "HTTP/", 5) != 0 || text[5] < '0' || text[5] > '9' ||
	    text[6] != '.' || text[7] < '0' || text[7] > '9') {
		(void)http_parser_refuse(
		    parser, 400, "the request line is not 'METHOD /path HTTP/1.1'");
		return (false);
	}
	if (text[5] != '1' || text[7] > '1') {
		(void)http_parser_refuse(parser, 505, "only HTTP/1.1 is spoken here");
		return (false);
	}
	parser->http_1_0 = text[7] == '0';
	return (true);
}

static bool
take_method(struct http_parser *parser, const char *text, size_t len)
{
	size_t i;

	if (!is_token(text, len)) {
		(void)http_parser_refuse(parser, 400, "the method is malformed");
		return (false);
	}
	for (i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++) {
		if (strlen(method_names[i]) == len && memcmp(method_names[i], text, len) == 0) {
			parser->method = (enum http_method)i;
			parser->method_known = true;
			return (true);
		}
	}
	(void)http_parser_refuse(parser, 405,
	    "the method is not served; use GET, HEAD, POST, PUT, PATCH, DELETE or LIST");
	return (false);
}

/* target: origin form only. Leaves "path NUL query NUL" at the start of the buffer. */
static void
take_target(struct http_parser *parser, size_t at, size_t len)
{
	struct leased_err err = LEASED_ERR_INIT;
	size_t line_len = parser->head_len, path_len, query_len;
	const char *query;
	int r;

	if (parser->head[at] != '/' || memchr(parser->head + at, '#', len) != NULL) {
		(void)http_parser_refuse(parser, 400,
		    "the request's target must be a path that starts with '/', without '#'");
		return;
	}
	query = memchr(parser->head + at, '?', len);
	path_len = query != NULL ? (size_t)(query - (parser->head + at)) : len;
	query_len = query != NULL ? len - path_len - 1 : 0;
	if (!http_parser_head_room(parser, path_len + 1))
		return;
	/* Decoded behind the line, then moved to the front: it is never longer than it was. */
	r = path_decode(parser->head + at, path_len, parser->head + line_len, path_len + 1, &err);
	if (r != 0 && r != LEASED_EEXIST) {
		(void)http_parser_refuse(parser, 400, err.text);
		return;
	}
	parser->collapsed = r == LEASED_EEXIST;
	at += path_len + 1;
	path_len = strlen(parser->head + line_len) + 1;
	memmove(parser->head, parser->head + line_len, path_len);
	memmove(parser->head + path_len, parser->head + at, query_len);
	parser->query_start = path_len;
	parser->head_len = path_len + query_len;
	parser->head[parser->head_len++] = '\0';
	parser->fields_start = parser->head_len;
	parser->step = HTTP_STEP_FIELD;
}

/* METHOD SP target SP version: exactly two spaces, since neither part can hold one. */
static void
take_request_line(struct http_parser *parser)
{
	const char *line = parser->head, *end = parser->head + parser->head_len;
	const char *first = NULL, *second = NULL;

	if (parser->head_len > 0)
		first = memchr(line, ' ', (size_t)(end - line));
	if (first != NULL)
		second = memchr(first + 1, ' ', (size_t)(end - first - 1));
	if (second == NULL || second == first + 1) {
		(void)http_parser_refuse(
		    parser, 400, "the request line is not 'METHOD /path HTTP/1.1'");
		return;
	}
	if (!take_version(parser, second + 1, (size_t)(end - second - 1)) ||
	    !take_method(parser, line, (size_t)(first - line)))
		return;
	take_target(parser, (size_t)(first + 1 - line), (size_t)(second - first - 1));
}

/* Digits only, at most the limit. The comparison comes before the multiplication can overflow. */
static void
take_length(struct http_parser *parser, const char *value)
{
	const char *at;

	if (*value == '\0' || strspn(value, "0123456789") != strlen(value)) {
		(void)http_parser_refuse(parser, 400, "Content-Length is not a number");
		return;
	}
	parser->has_length = true;
	parser->left = 0;
	for (at = value; *at != '\0'; at++) {
		parser->left = parser->left * 10 + (unsigned)(*at - '0');
		if (parser->left > parser->limits->body) {
			http_parser_refuse_body(parser);
			return;
		}
	}
}

static void
take_encoding(struct http_parser *parser, const char *value)
{
	parser->chunked = true;
	if (parser->http_1_0)
		(void)http_parser_refuse(parser, 400, "HTTP/1.0 has no Transfer-Encoding");
	else if (strcasecmp(value, "chunked") != 0)
		(void)http_parser_refuse(
		    parser, 501, "the only Transfer-Encoding taken is 'chunked'");
}

static void
take_expect(struct http_parser *parser, const char *value)
{
	if (parser->http_1_0)
		return;
	if (strcasecmp(value, "100-continue") != 0)
		(void)http_parser_refuse(parser, 417,
		    "the only expectation met is 'Expect: 100-continue'; leave it out");
	parser->expect = true;
}

/* A comma-separated list: is "close" in it? */
static void
take_connection(struct http_parser *parser, const char *value)
{
	while (*value != '\0') {
		size_t len = strcspn(value, ", \t");

		if (len == 5 && strncasecmp(value, "close", 5) == 0)
			parser->close = true;
		value += len;
		value += strspn(value, ", \t");
	}
}

static void
take_host(struct http_parser *parser, const char *value)
{
	(void)value; /* over a Unix socket clients send all sorts, or nothing */
	parser->has_host = true;
}

/* Fields that decide something may come once and are ASCII; a second one is what smuggling is made
 * of. */
static const struct single {
	const char *name; /* one that ends in '-' is a prefix */
	void (*take)(struct http_parser *parser, const char *value);
} singles[] = {
    {"Authorization", NULL},
    {"Content-Encoding", NULL},
    {"Content-Length", take_length},
    {"Content-Type", NULL},
    {"Expect", take_expect},
    {"Host", take_host},
    {"Transfer-Encoding", take_encoding},
    {"X-Vault-", NULL},
};

static const struct single *
single_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(singles) / sizeof(singles[0]); i++) {
		size_t len = strlen(singles[i].name);
		bool prefix = singles[i].name[len - 1] == '-';

		if (prefix ? strncasecmp(name, singles[i].name, len) == 0
			   : strcasecmp(name, singles[i].name) == 0)
			return (&singles[i]);
	}
	return (NULL);
}

/* How many fields of that name there are up to end; *ret_value is the last one's. */
static unsigned
count_fields(const struct http_parser *parser, size_t end, const char *name, const char **ret_value)
{
	const char *at = parser->head + parser->fields_start, *value;
	unsigned count = 0;

	while (at < parser->head + end) {
		value = at + strlen(at) + 1;
		if (strcasecmp(at, name) == 0) {
			*ret_value = value;
			count++;
		}
		at = value + strlen(value) + 1;
	}
	return (count);
}

/* The field's meaning to the edge itself. */
static void
judge_field(struct http_parser *parser, const char *name, const char *value)
{
	const struct single *single = single_of(name);
	const char *other, *at;

	if (single == NULL) {
		if (strcasecmp(name, "Connection") == 0)
			take_connection(parser, value);
		return;
	}
	if (count_fields(parser, parser->line_start, name, &other) > 0) {
		(void)http_parser_refuse(parser, 400, "a header that may come once comes twice");
		return;
	}
	for (at = value; *at != '\0'; at++) {
		if ((unsigned char)*at >= 0x80) {
			(void)http_parser_refuse(
			    parser, 400, "a byte that is not ASCII in a header's value");
			return;
		}
	}
	if (single->take != NULL)
		single->take(parser, value);
}

/* name ":" OWS value OWS becomes "name NUL value NUL", which is never longer than the line with its
 * CRLF was. */
static void
take_field(struct http_parser *parser)
{
	char *line = parser->head + parser->line_start, *colon, *value, *end;
	size_t len = parser->head_len - parser->line_start;

	if (line[0] == ' ' || line[0] == '\t') {
		(void)http_parser_refuse(
		    parser, 400, "a header line that starts with a space (obsolete folding)");
		return;
	}
	colon = memchr(line, ':', len);
	if (colon == NULL || !is_token(line, (size_t)(colon - line))) {
		(void)http_parser_refuse(parser, 400, "a header line that is not 'Name: value'");
		return;
	}
	if (++parser->header_count > parser->limits->header_count) {
		http_parser_refuse_over(parser, 431, "the request has", "headers",
		    parser->limits->header_count, "header_count");
		return;
	}
	if (!http_parser_head_room(parser, 1))
		return;
	line = parser->head + parser->line_start;
	colon = memchr(line, ':', len);
	value = colon + 1;
	end = line + len;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	len = (size_t)(end - value);
	*colon = '\0';
	memmove(colon + 1, value, len);
	colon[1 + len] = '\0';
	parser->head_len = (size_t)(colon + 2 + len - parser->head);
	judge_field(parser, line, colon + 1);
}

static void
finish_head(struct http_parser *parser)
{
	if (!parser->has_host && !parser->http_1_0) {
		(void)http_parser_refuse(parser, 400, "the Host header is missing");
		return;
	}
	if (parser->chunked && parser->has_length) {
		(void)http_parser_refuse(
		    parser, 400, "Content-Length and Transfer-Encoding together");
		return;
	}
	http_parser_begin_body(parser);
}

void
http_head_line(struct http_parser *parser)
{
	if (parser->step == HTTP_STEP_REQUEST_LINE) {
		take_request_line(parser);
		return;
	}
	if (parser->head_len == parser->line_start) {
		finish_head(parser);
		return;
	}
	parser->header_bytes += 2; /* the CRLF counts too */
	take_field(parser);
}

const char *
http_parser_path(const struct http_parser *parser)
{
	return (parser->head);
}

const char *
http_parser_query(const struct http_parser *parser)
{
	return (parser->head + parser->query_start);
}

const char *
http_parser_field(const struct http_parser *parser, const char *name)
{
	const char *value = NULL;

	return (count_fields(parser, parser->head_len, name, &value) == 1 ? value : NULL);
}
