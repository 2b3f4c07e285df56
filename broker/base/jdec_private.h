/*
 * What the files of jdec share, and hcl.c: parsing with the position of the mistake apart from its
 * text.
 */
#ifndef BASE_JDEC_PRIVATE_H
#define BASE_JDEC_PRIVATE_H

#include "base/jdec.h"

/* As jdec_parse(), but err's text has no position in front; *ret_line and *ret_column are set on
 * every failure (0 when it has none). */
int jdec_parse_located(const void *bytes, size_t len, const struct jdec_limits *limits,
    json_t **ret_value, unsigned *ret_line, unsigned *ret_column,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- jdec_read.c: texts quote no input, it may be a secret ---- */
struct jdec_reader {
	const uint8_t *at, *end;
	const struct jdec_limits *limits;
	unsigned tokens, depth;
	struct leased_err *err; /* not NULL */
};
bool jdec_refuse(struct jdec_reader *in, int code, const char *text); /* all three: false */
bool jdec_refuse_here(struct jdec_reader *in);
bool jdec_refuse_memory(struct jdec_reader *in);
/* *ret_at: how far it came. */
int jdec_read(const uint8_t *bytes, size_t len, const struct jdec_limits *limits,
    json_t **ret_value, size_t *ret_at, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- jdec_bytes.c ---- */
struct jdec_text {
	const char *bytes;
	size_t len;
	char *owned; /* bytes, where an escape made them differ from the input; NULL: the input */
	size_t owned_size;
};
/* From behind the opening quote to behind the closing one. */
bool jdec_text_read(struct jdec_reader *in, struct jdec_text *ret_text);
void jdec_text_clear(struct jdec_text *text); /* wipes */
/* Line and column of bytes[at], from 1. */
void jdec_locate(const uint8_t *bytes, size_t at, unsigned *ret_line, unsigned *ret_column);

#endif
