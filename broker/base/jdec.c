/*
 * Strict JSON, first half: a scan that checks the limits without building anything, then jansson in
 * its strictest mode. It does not know what an object should hold; that is jdec_fields.c. Called by
 * everyone who reads bytes from outside.
 */
#include <stdio.h>
#include <string.h>

#include "base/jdec.h"
#include "base/jdec_private.h"

const struct jdec_limits jdec_default_limits = {.depth = 16, .tokens = 10000, .string_len = 65536};

/* A number longer than this is no number that anybody means; long ones are slow to convert. */
#define NUMBER_LEN_MAX 128

struct scan {
	const uint8_t *bytes;
	size_t len, at;
	const struct jdec_limits *limits;
	unsigned depth, tokens;
};

static void
locate(const uint8_t *bytes, size_t at, unsigned *ret_line, unsigned *ret_column)
{
	unsigned line = 1, column = 1;

	for (size_t i = 0; i < at; i++) {
		if (bytes[i] == '\n') {
			line++;
			column = 1;
		} else {
			column++;
		}
	}
	*ret_line = line;
	*ret_column = column;
}

static int
count_token(struct scan *scan, struct leased_err *err)
{
	if (++scan->tokens > scan->limits->tokens)
		return (leased_err_set(err, LEASED_ETOOBIG,
		    "the JSON has more than %u values and keys", scan->limits->tokens));
	return (0);
}

/* Behind the opening quote. What an escape stands for is counted as the longest that it can be. */
static int
scan_string(struct scan *scan, struct leased_err *err)
{
	size_t length = 0, start = scan->at;

	while (scan->at < scan->len && scan->bytes[scan->at] != '"') {
		if (scan->bytes[scan->at] == '\\' && scan->at + 1 < scan->len) {
			length += scan->bytes[scan->at + 1] == 'u' ? 3 : 1;
			scan->at += scan->bytes[scan->at + 1] == 'u' ? 6 : 2;
		} else {
			length++;
			scan->at++;
		}
		if (length > scan->limits->string_len) {
			scan->at = start;
			return (leased_err_set(err, LEASED_ETOOBIG,
			    "a JSON string is longer than %zu bytes", scan->limits->string_len));
		}
	}
	scan->at++; /* the closing quote; its absence is jansson's to report */
	return (count_token(scan, err));
}

/* A number or a literal: anything up to the next byte that ends it. */
static int
scan_word(struct scan *scan, struct leased_err *err)
{
	size_t start = scan->at;

	while (
	    scan->at < scan->len && memchr(" \t\r\n,:\"[]{}", scan->bytes[scan->at], 11) == NULL) {
		if (++scan->at - start > NUMBER_LEN_MAX) {
			scan->at = start;
			return (leased_err_set(err, LEASED_ETOOBIG,
			    "a JSON number is longer than %d digits", NUMBER_LEN_MAX));
		}
	}
	return (count_token(scan, err));
}

/* Checks the limits and nothing else: whatever this lets pass costs jansson a bounded amount of
 * memory and time. */
static int
scan_limits(struct scan *scan, struct leased_err *err)
{
	int r = 0;

	while (r == 0 && scan->at < scan->len) {
		switch (scan->bytes[scan->at]) {
		case '"':
			scan->at++;
			r = scan_string(scan, err);
			break;
		case '[':
		case '{':
			if (++scan->depth > scan->limits->depth)
				return (leased_err_set(err, LEASED_ETOOBIG,
				    "the JSON is nested more than %u deep", scan->limits->depth));
			scan->at++;
			r = count_token(scan, err);
			break;
		case ']':
		case '}':
			/* More closed than opened: jansson stops there, and so does what must be
			 * counted. */
			if (scan->depth == 0)
				return (0);
			scan->depth--;
			scan->at++;
			break;
		case ' ':
		case '\t':
		case '\r':
		case '\n':
		case ',':
		case ':':
			scan->at++;
			break;
		default:
			r = scan_word(scan, err);
			break;
		}
	}
	return (r);
}

/* jansson's own texts quote the input near the mistake, which may be a secret: ours do not. */
static int
refuse(const json_error_t *why, struct leased_err *err)
{
	switch ((int)json_error_code(why)) {
	case json_error_out_of_memory:
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	case json_error_premature_end_of_input:
		return (leased_err_set(err, LEASED_EINVAL, "the JSON ends too early"));
	case json_error_end_of_input_expected:
		return (leased_err_set(
		    err, LEASED_EINVAL, "something follows behind the end of the JSON"));
	case json_error_invalid_utf8:
		return (leased_err_set(err, LEASED_EINVAL, "the JSON is not valid UTF-8"));
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return (leased_err_set(err, LEASED_EINVAL, "a JSON string holds a NUL"));
	case json_error_duplicate_key:
		return (
		    leased_err_set(err, LEASED_EINVAL, "a key stands twice in one JSON object"));
	case json_error_numeric_overflow:
		return (leased_err_set(err, LEASED_EINVAL, "a JSON number is out of range"));
	default:
		return (leased_err_set(err, LEASED_EINVAL, "not valid JSON"));
	}
}

int
jdec_parse_located(const void *bytes, size_t len, const struct jdec_limits *limits,
    json_t **ret_value, unsigned *ret_line, unsigned *ret_column, struct leased_err *err)
{
	struct scan scan = {
	    .bytes = bytes, .len = len, .limits = limits != NULL ? limits : &jdec_default_limits};
	unsigned long failures = leased_secret_alloc_failures();
	json_error_t why;
	json_t *value;
	int r;

	*ret_line = 0;
	*ret_column = 0;
	if ((r = scan_limits(&scan, err)) != 0) {
		locate(bytes, scan.at < len ? scan.at : len, ret_line, ret_column);
		return (r);
	}
	value =
	    json_loadb(len > 0 ? bytes : "", len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	/* Without memory jansson reports bad syntax, or leaves out characters and reports nothing.
	 */
	if (leased_secret_alloc_failures() != failures) {
		json_decref(value);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	if (value == NULL) {
		*ret_line = why.line > 0 ? (unsigned)why.line : 1;
		*ret_column = why.column > 0 ? (unsigned)why.column : 1;
		return (refuse(&why, err));
	}
	*ret_value = value;
	return (0);
}

int
jdec_parse(const void *bytes, size_t len, const struct jdec_limits *limits, json_t **ret_value,
    struct leased_err *err)
{
	unsigned line, column;
	int r = jdec_parse_located(bytes, len, limits, ret_value, &line, &column, err);

	if (r != 0 && line > 0)
		(void)leased_err_prefix(err, "line %u, column %u", line, column);
	return (r);
}
