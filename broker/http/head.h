/*
 * What the lines of a request's head mean. Private to parser.c and head.c.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "http/parser.h"

/* A whole line stands in parser->head from line_start to head_len, without its CRLF. Takes it in,
 * or refuses. */
void http_head_line(struct http_parser *parser);

/* Turns parser to REFUSED; reason is cut to its room. */
enum http_phase http_parser_refuse(struct http_parser *parser, int status, const char *reason);

/* .. since what has more than limit units, by that setting. */
void http_parser_refuse_over(struct http_parser *parser, int status, const char *what,
    const char *unit, size_t limit, const char *setting);
void http_parser_refuse_body(struct http_parser *parser); /* 413 */

/* Makes room for more bytes behind head_len; false: refused. */
bool http_parser_head_room(struct http_parser *parser, size_t more);

/* The head is whole. */
void http_parser_begin_body(struct http_parser *parser);

#endif
