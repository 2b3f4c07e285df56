/*
 * Strict JSON, first half: reading (jdec_read.c), and saying where a mistake is. It does not know
 * what an object should hold; that is jdec_fields.c. Called by everyone who reads bytes from
 * outside.
 */
#include "base/jdec.h"
#include "base/jdec_private.h"

const struct jdec_limits jdec_default_limits = {.depth = 16, .tokens = 10000, .string_len = 65536};

int
jdec_parse_located(const void *bytes, size_t len, const struct jdec_limits *limits,
    json_t **ret_value, unsigned *ret_line, unsigned *ret_column, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	size_t at = 0;
	int r;

	*ret_line = 0;
	*ret_column = 0;
	r = jdec_read(len > 0 ? bytes : (const void *)"", len,
	    limits != NULL ? limits : &jdec_default_limits, ret_value, &at, &why);
	if (r == 0)
		return (0);
	if (r != LEASED_ENOMEM)
		jdec_locate(bytes, at, ret_line, ret_column);
	if (err != NULL)
		*err = why;
	return (r);
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
