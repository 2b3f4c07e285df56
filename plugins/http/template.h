/*
 * Text with slots, {{name}}, and how what fills a slot is escaped where it stands: no value can
 * change the structure of a request. And pointers into answers (RFC 6901). Knows no request.
 */
#ifndef HTTP_TEMPLATE_H
#define HTTP_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <leased/error.h>

/* ---- pointer.c ---- */

int http_pointer_check(
    const char *pointer, const char *where, struct leased_err *err) LEASED_MUST_CHECK;
/* NULL: nothing is there. Borrowed from value. */
json_t *http_pointer_get(const json_t *value, const char *pointer);
/* A string, number or boolean as text, new; NULL: it is none of these, or out of memory. */
char *http_value_text(const json_t *value);

/* ---- template.c ---- */

/* Where a template stands. */
enum http_place {
	HTTP_PATH,       /* an element of the path, or a part of one */
	HTTP_QUERY,      /* a value in the query */
	HTTP_FORM,       /* a value in a form */
	HTTP_HEADER,     /* a header's value */
	HTTP_LOGIN_NAME, /* the user name of basic authentication, */
	HTTP_LOGIN_WORD, /* and its password */
	HTTP_JSON,       /* within a JSON string, which is escaped when all is in place */
	HTTP_PLAIN       /* a text of a kind that we do not know: takes choices only */
};

/* {{role.privilege|READ|WRITE}} */
struct http_slot {
	char path[96];     /* role.privilege */
	char type[8];      /* "", "number", "json" */
	char choices[256]; /* "|READ|WRITE|"; "": any value */
};

/* What a kind of request knows: bits. */
enum http_known {
	HTTP_KNOWS_NAME = 1,
	HTTP_KNOWS_HANDLE = 2,
	HTTP_KNOWS_KEPT = 4,
	HTTP_KNOWS_END = 8,
	HTTP_KNOWS_PASSWORD = 16,
	HTTP_KNOWS_RANDOM = 32,
	HTTP_KNOWS_ROLE = 64,
	HTTP_KNOWS_VALUES = 128,
	HTTP_KNOWS_LOGIN = 256
};

/*
 * The next piece of *at, which moves behind it: 1, and a literal (*ret_len bytes of *ret_text) or,
 * with *ret_len 0, a slot. 0: the end. Negative: what stands there is no slot.
 */
int http_template_next(const char **at, const char **ret_text, size_t *ret_len,
    struct http_slot *ret_slot, struct leased_err *err) LEASED_MUST_CHECK;

/* A template is a string, or {"influxql": string} in a query or a form. where: for the text. */
int http_template_check(const json_t *template, enum http_place place, unsigned known,
    const char *where, struct leased_err *err) LEASED_MUST_CHECK;
/* fill.c. values: the slots, as an object. *ret_text is new, and may hold secrets. */
int http_template_fill(const json_t *template, enum http_place place, const json_t *values,
    const char *where, char **ret_text, struct leased_err *err) LEASED_MUST_CHECK;

/* The same for all strings of a JSON value; *ret_value is new. */
int http_template_check_json(const json_t *value, unsigned known, const char *where,
    struct leased_err *err) LEASED_MUST_CHECK;
int http_template_fill_json(const json_t *value, const json_t *values, const char *where,
    json_t **ret_value, struct leased_err *err) LEASED_MUST_CHECK;

/* fill.c: json_copy() and json_deep_copy() leave members out, in silence, where they have no
 * memory: these give NULL then. */
json_t *http_json_copy(const json_t *value);
json_t *http_json_deep_copy(const json_t *value);

/* Is there a slot in any string of value that begins with this word? */
bool http_template_uses(const json_t *value, const char *word);

/* ---- escape.c ---- */

/* Appends value as it must be at this place. LEASED_EINVAL: it cannot be there. */
int http_escape(
    FILE *out, enum http_place place, const char *value, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- influxql.c: one statement of InfluxQL ---- */

int http_influxql_check(
    const char *text, const char *where, struct leased_err *err) LEASED_MUST_CHECK;
int http_influxql_fill(FILE *out, const char *text, const json_t *values, const char *where,
    struct leased_err *err) LEASED_MUST_CHECK;

/* template.c: the statement in {"influxql": ".."}; NULL: it is none. Borrowed. */
const char *http_template_statement(const json_t *template);

/* fill.c, for influxql.c: a slot's value as text, new; its choices are checked. */
int http_slot_text(const struct http_slot *slot, const json_t *values, const char *where,
    char **ret_text, struct leased_err *err) LEASED_MUST_CHECK;

#endif
