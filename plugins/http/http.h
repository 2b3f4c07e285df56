/*
 * The http plugin, inside: a backend that templates describe. exchange.c sends requests, the other
 * files are the operations of PROTOCOL.md. One worker has one connection, used by one call at a
 * time, so that nothing here locks.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <leased/plugin.h>

#include "config.h"

#define HTTP_NAME_MAX 63
#define HTTP_SERVER_MAX 127
#define HTTP_HANDLE_MAX 64
#define HTTP_KEPT_MAX 4096

#define HTTP_TAG 0x68747470u
struct http {
	unsigned tag;
	struct http_config *config; /* NULL before open */
	struct sdk_web *web;
	char *store_tag;
	json_t *login;                    /* what the login gave; NULL: none yet */
	char server[HTTP_SERVER_MAX + 1]; /* who answered at open */
	char incarnation[HTTP_SERVER_MAX + 1];
};
/* Checks the tag of a handler's ctx. */
struct http *http_from(void *ctx);

/* ---- exchange.c ---- */

/* The slots of a call, the caller's to json_decref. account may be NULL; expires: NULL: the
 * account's. NULL: out of memory. */
json_t *http_values_new(const struct http *http, const json_t *account, const char *expires);

/*
 * Sends one request, and logs in before where that is needed. Fails unless the answer means
 * HTTP_OK; err says why to people, *ret_meaning (may be NULL) to us. ret_body (may be NULL): the
 * answer's JSON, NULL when it is none; the caller's to json_decref.
 */
int http_exchange(struct http *http, struct leased_call *call, enum http_kind kind,
    const json_t *request, json_t *values, const char *where, json_t **ret_body,
    enum http_meaning *ret_meaning, struct leased_err *err) LEASED_MUST_CHECK;

/* r, LEASED_EREFUSED for LEASED_ENOENT: what was asked was about no account. */
int http_not_of_account(int r, struct leased_err *err) LEASED_MUST_CHECK;

/* All requests of a kind, for each item where they say so; what answers give goes to values.values.
 * Stops at the first that fails; but what is gone stops neither revoke nor remove, and the whole is
 * LEASED_ENOENT then. */
int http_exchange_all(struct http *http, struct leased_call *call, enum http_kind kind,
    json_t *values, enum http_meaning *ret_meaning, struct leased_err *err) LEASED_MUST_CHECK;

/* All of a kind as they would be sent, unsent: what a role leaves out is said before anything is
 * changed. */
int http_exchange_try(const struct http *http, enum http_kind kind, json_t *values,
    struct leased_err *err) LEASED_MUST_CHECK;

/* Asks the server who it is. LEASED_EMOVED: another than the one that we were opened on. */
int http_identify(
    struct http *http, struct leased_call *call, struct leased_err *err) LEASED_MUST_CHECK;

/* The account may be worked on: its name, and the server that it was made on. */
int http_account_check(
    const struct http *http, const json_t *account, struct leased_err *err) LEASED_MUST_CHECK;

/* Is the account there? LEASED_ENOENT: no. Puts its handle into values where the answer has one.
 * HTTP_LOOKUP or HTTP_INVENTORY must be configured. */
int http_find(struct http *http, struct leased_call *call, const json_t *account, json_t *values,
    struct leased_err *err) LEASED_MUST_CHECK;

/* inventory.c: all accounts that the backend lists, [{"name":.., "handle":..}, ..]. */
int http_list(struct http *http, struct leased_call *call, json_t **ret_accounts,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- the operations ---- */

int http_describe(void *ctx, struct leased_call *call, struct leased_err *err);
int http_open(void *ctx, struct leased_call *call, struct leased_err *err);
int http_ping(void *ctx, struct leased_call *call, struct leased_err *err);
int http_check(void *ctx, struct leased_call *call, struct leased_err *err);
int http_mint(void *ctx, struct leased_call *call, struct leased_err *err);
int http_renew(void *ctx, struct leased_call *call, struct leased_err *err);
int http_disarm(void *ctx, struct leased_call *call, struct leased_err *err);
int http_remove(void *ctx, struct leased_call *call, struct leased_err *err);
int http_inventory(void *ctx, struct leased_call *call, struct leased_err *err);

#endif
