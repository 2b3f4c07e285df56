/*
 * What a person wrote of a backend, checked; requests made of it; and what answers mean. Opens no
 * connection. docs/how-to/http.md describes the configuration.
 */
#ifndef HTTP_CONFIG_H
#define HTTP_CONFIG_H

#include "sdk/web.h"
#include "template.h"

enum http_kind {
	HTTP_LOGIN,
	HTTP_IDENTITY,
	HTTP_CREATE,
	HTTP_RENEW,
	HTTP_REVOKE,
	HTTP_REMOVE,
	HTTP_LOOKUP,
	HTTP_INVENTORY,
	HTTP_CHECK
};
#define HTTP_KIND_COUNT 9

/* ---- config.c ---- */

struct http_config {
	json_t *document; /* as given; requests are arrays */
	bool can_revoke, has_password, has_end;
};

/* given: open's config. LEASED_EINVAL names the place. */
int http_config_new(
    const json_t *given, struct http_config **ret_config, struct leased_err *err) LEASED_MUST_CHECK;
void http_config_free(struct http_config *config); /* NULL is fine */

/* {name, secret, required} of each field. NULL: out of memory. */
json_t *http_config_fields(void);

const char *http_kind_name(enum http_kind kind);
/* What its slots may be: enum http_known. */
unsigned http_kind_knows(enum http_kind kind);
/* Changes the backend: sent on a connection of its own, of unknown outcome when it breaks off. */
bool http_kind_changes(enum http_kind kind);
/* The requests of a kind, an array; NULL: there are none. */
const json_t *http_config_requests(const struct http_config *config, enum http_kind kind);

/* ---- config_request.c ---- */

int http_config_check_request(const json_t *request, enum http_kind kind, const char *where,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Every key of object is one of these; NULL at the end. */
int http_config_check_keys(const json_t *object, const char *const *known, const char *where,
    struct leased_err *err) LEASED_MUST_CHECK;
int http_config_check_headers(const json_t *headers, unsigned known, const char *where,
    struct leased_err *err) LEASED_MUST_CHECK;
int http_config_check_login(const json_t *basic_auth, unsigned known, const char *where,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- render.c ---- */

struct http_rendered {
	struct sdk_web_request request; /* of what is below */
	char *target, *username, *password, *body;
	char *headers[32 + 1];
	size_t header_count;
};

/* LEASED_EINVAL: a slot has no value, or one that cannot stand there; where names the request. */
int http_render(const struct http_config *config, enum http_kind kind, const json_t *request,
    const json_t *values, const char *where, struct http_rendered *ret_rendered,
    struct leased_err *err) LEASED_MUST_CHECK;
void http_rendered_clear(struct http_rendered *rendered);

/* ---- answer.c ---- */

enum http_meaning {
	HTTP_OK,
	HTTP_GONE,
	HTTP_EXISTS,
	HTTP_DENIED,
	HTTP_RETRY,
	HTTP_FAIL,
	HTTP_EXPIRED /* our own login has ended */
};

int http_answers_check(
    const json_t *answers, const char *where, struct leased_err *err) LEASED_MUST_CHECK;
/* body: NULL when the answer is no JSON; is_other: it is something else, and not nothing. */
enum http_meaning http_answer_meaning(const struct http_config *config, const json_t *request,
    long status, const json_t *body, bool is_other);
/* What the configured field says of an error, without control characters, and with every secret of
 * values hidden. "" when it says nothing. */
void http_answer_text(const struct http_config *config, const json_t *request, const json_t *body,
    const json_t *values, char *ret_text, size_t size);

#endif
