/*
 * The RabbitMQ plugin, inside: what its files call of each other. One worker has one configured
 * connection to the management API, used by one call at a time. PROTOCOL.md says what each
 * operation must do.
 */
#ifndef RABBITMQ_RABBITMQ_H
#define RABBITMQ_RABBITMQ_H

#include <stdbool.h>
#include <stddef.h>

#include <leased/plugin.h>

#include "sdk/web.h"

#define RABBITMQ_NAME_MAX 128
#define RABBITMQ_SERVER_SIZE 128
#define RABBITMQ_HASH_SIZE 64 /* of a password, in base64 */

struct rabbitmq_config;

#define RABBITMQ_TAG 0x726d7171u
struct rabbitmq {
	unsigned tag;
	struct rabbitmq_config *config; /* NULL before open */
	struct sdk_web *web;
	char server[RABBITMQ_SERVER_SIZE]; /* the cluster's id; "" before open */
};
/* Checks the tag of a handler's ctx. */
struct rabbitmq *rabbitmq_from(void *ctx);

/* ---- api.c: one request to the management API ---- */

struct rabbitmq_request {
	const char *method;
	const char *query;               /* behind the '?'; NULL: none */
	const json_t *body;              /* borrowed; NULL: none */
	size_t answer_max;               /* bytes; 0: 1 MiB */
	bool changes;                    /* if its end stays unknown this worker exits */
	const char *username, *password; /* NULL: leased's own login */
};
/*
 * To /api/ and what follows, a name an element, NULL at the end: each is escaped. *ret_status is
 * the answer's; *ret_value its JSON, the caller's to json_decref(), NULL where it has none.
 */
int rabbitmq_send(struct rabbitmq *plugin, struct leased_call *call,
    const struct rabbitmq_request *request, long *ret_status, json_t **ret_value,
    struct leased_err *err, ...) LEASED_MUST_CHECK __attribute__((sentinel));
/* Always fails: with what an answer of this status means. what: "make the user", for people. */
int rabbitmq_refused(const struct rabbitmq *plugin, const char *what, long status,
    const json_t *answer, struct leased_err *err) LEASED_MUST_CHECK;
/* The "reason" of an answer that refuses; "" where there is none. */
const char *rabbitmq_reason(const json_t *answer);

/* Is it the API's own word that there is no such thing, and not another server's 404? */
bool rabbitmq_is_absent(long status, const json_t *answer);
/* open.c: LEASED_EMOVED where another cluster answers by now. Requests have no connection that
 * would tell: asked for before anything is said of accounts. */
int rabbitmq_same_server(
    struct rabbitmq *plugin, struct leased_call *call, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- account.c ---- */

struct rabbitmq_account {
	const char *name, *server; /* of the params; NULL: absent */
	const json_t *role;
};
/* LEASED_EINVAL: a name that cannot stand in a URL, or is too long. */
int rabbitmq_account_read(const json_t *object, struct rabbitmq_account *ret_account,
    struct leased_err *err) LEASED_MUST_CHECK;
/* LEASED_EMOVED where it was made on another cluster. */
int rabbitmq_account_on_server(const struct rabbitmq *plugin,
    const struct rabbitmq_account *account, struct leased_err *err) LEASED_MUST_CHECK;
/* *ret_user is the user as the API shows it, the caller's to json_decref(); NULL: there is none. */
int rabbitmq_user_find(struct rabbitmq *plugin, struct leased_call *call, const char *name,
    json_t **ret_user, struct leased_err *err) LEASED_MUST_CHECK;
/* hash "" lets no password in. Makes the user where there is none. */
int rabbitmq_user_put(struct rabbitmq *plugin, struct leased_call *call, const char *name,
    const char *hash, const char *tags, struct leased_err *err) LEASED_MUST_CHECK;
/* The tags of a user of the API, with commas; the caller's to free(). NULL: out of memory. */
char *rabbitmq_user_tags(const json_t *user);
/* Closes its connections but those in closed, an object that it adds their names to. *ret_quiet:
 * there was none to close. */
int rabbitmq_user_close(struct rabbitmq *plugin, struct leased_call *call, const char *name,
    json_t *closed, bool *ret_quiet, struct leased_err *err) LEASED_MUST_CHECK;

/* password.c: as the server stores it: base64 of a salt and of SHA-256 over salt and password. */
int rabbitmq_hash(const char *password, char ret_hash[RABBITMQ_HASH_SIZE],
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- the handlers ---- */

int rabbitmq_describe(void *ctx, struct leased_call *call, struct leased_err *err);
int rabbitmq_open(void *ctx, struct leased_call *call, struct leased_err *err);
int rabbitmq_ping(void *ctx, struct leased_call *call, struct leased_err *err);
int rabbitmq_check(void *ctx, struct leased_call *call, struct leased_err *err);
int rabbitmq_mint(void *ctx, struct leased_call *call, struct leased_err *err);
int rabbitmq_renew(void *ctx, struct leased_call *call, struct leased_err *err);
int rabbitmq_disarm(void *ctx, struct leased_call *call, struct leased_err *err);
int rabbitmq_remove(void *ctx, struct leased_call *call, struct leased_err *err);
int rabbitmq_set_password(void *ctx, struct leased_call *call, struct leased_err *err);
int rabbitmq_inventory(void *ctx, struct leased_call *call, struct leased_err *err);

#endif
