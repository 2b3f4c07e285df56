/*
 * The token engine: opaque tokens for a team's own services. The handlers of its paths, and what
 * they share.
 */
#ifndef ENGINE_TOKEN_H
#define ENGINE_TOKEN_H

#include "base/opaque.h"
#include "engine/type.h"

#define TOKEN_PREFIX "lsd"  /* of a role that has none of its own */
#define TOKEN_SCOPES_MAX 64 /* a role's */
#define TOKEN_SCOPE_LEN_MAX 128
#define TOKEN_AUDIENCES_MAX 16
#define TOKEN_CEILING INT64_C(1000000) /* rows a mount may have */

void engine_token_role_read(struct engine_request_copy *request);
void engine_token_role_write(struct engine_request_copy *request);
void engine_token_role_delete(struct engine_request_copy *request);
void engine_token_creds(struct engine_request_copy *request);
void engine_token_introspect(struct engine_request_copy *request);
void engine_token_revoke(struct engine_request_copy *request);
bool engine_token_renew_inputs(struct engines *engines, const struct engine_mount *mount,
    const struct store_lease *row, struct lease_ttl_input *ret_ttl);

/* LEASED_EINVAL where text is no scope as RFC 6749 has it. */
int engine_token_scope_check(const char *text, struct leased_err *err) LEASED_MUST_CHECK;
/* The items of an array of texts with a space between each two; the caller frees. */
char *engine_token_scope_text(const json_t *scopes);
/* What stands for a token's random part in its lease: in hexadecimal. */
#define TOKEN_MAC_SIZE (2 * SEAL_HMAC_SIZE + 1)
int engine_token_mac(struct engines *engines, const char *random, char ret_mac[TOKEN_MAC_SIZE],
    struct leased_err *err) LEASED_MUST_CHECK;
/* Names one for people and logs, and opens nothing: the tag that the store had when it was made,
 * which a restored one has not, and the row's number. */
#define TOKEN_JTI_SIZE 24
void engine_token_jti(const char *tag, int64_t row, char ret_jti[TOKEN_JTI_SIZE]);

#endif
