/*
 * Identity: JWTs that other systems trust (identity/oidc) and who the daemon knows
 * (identity/entity). One mount, "identity/", made at the first start. What is asked without a
 * token or answered without an envelope is here, for api/; the rest are paths of the mount.
 */
#ifndef ENGINE_IDENTITY_H
#define ENGINE_IDENTITY_H

#include "engine/engine.h"

/* What relying parties read. */
struct identity_page {
	int code; /* 0, or why there is none */
	struct leased_err err;
	json_t *body;            /* a new object, to be taken; NULL for what may be long: */
	const char *text, *etag; /* JSON as it is sent, and its mark; borrowed for this turn */
	size_t text_len;
	int64_t max_age_s; /* it may be kept that long; 0: asked for again each time */
};
/* LEASED_EINVAL while no issuer is configured. */
void engines_identity_discovery(struct engines *engines, struct identity_page *ret_page);
void engines_identity_keys(struct engines *engines, struct identity_page *ret_page);
/* The list of tokens that ended before their time; may call back before it returns. */
typedef void (*identity_page_done)(void *arg, const struct identity_page *page);
void engines_identity_denied(struct engines *engines, identity_page_done done, void *arg);

/* Is token one of ours that is good at this moment? *ret_why: "" or what to say, a literal. 0, or
 * LEASED_EINVAL for a request that cannot be right. */
int engines_identity_introspect(struct engines *engines, const char *token, const char *client_id,
    bool *ret_active, const char **ret_why, struct leased_err *err) LEASED_MUST_CHECK;

#endif
