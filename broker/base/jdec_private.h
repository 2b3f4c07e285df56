/*
 * What jdec.c shares with hcl.c alone: parsing with the position of the mistake apart from its
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

#endif
