/*
 * From bytes to what a handler reads: the head first, the input only once it is known who asks.
 * Called by request.c.
 */
#ifndef API_PARSE_H
#define API_PARSE_H

#include "api/api_private.h"

/* ---- parse.c ---- */
/* Path, operation and headers of request->http into request; *ret_status is of the refusal, 0: by
 * its code. */
int api_parse_head(
    struct api_request *request, int *ret_status, struct leased_err *err) LEASED_MUST_CHECK;
/* The same of query or body, into request->body: only for who may ask. */
int api_parse_input(
    struct api_request *request, int *ret_status, struct leased_err *err) LEASED_MUST_CHECK;

/* A boolean of a query: 1, 0, or -1 for what is none. */
int api_parse_bool(const char *text);

/* ---- basic.c ---- */
/* False: header (of Authorization) is of another scheme. The caller frees the token; NULL: out of
 * memory. */
bool api_basic_decode(const char *header, char **ret_token) LEASED_MUST_CHECK;
/* The `error` of RFC 6749, 5.2, that an error's text begins with; NULL: none. */
const char *api_oauth_code(const char *text);

/* ---- form.c ---- */
/* x-www-form-urlencoded text to an object: repeated keys joined by a comma, or (query) as a list.
 */
int api_form_decode(const char *text, size_t len, bool query, json_t **ret_object,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
