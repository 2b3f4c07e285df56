/*
 * <mount>/introspect (RFC 7662) and <mount>/revoke (RFC 7009) of the token engine. Who may ask is
 * the policies' to say; whoever may, and holds a token, is told what it is good for, or ends it.
 * Of a token that is not good nothing is told, whatever is wrong with it. The answers have no
 * envelope: those who read them know no other broker.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"
#include "engine/token.h"

struct token_body {
	struct leased_secret *token;
};
static const struct jdec_field token_fields[] = {
    JDEC_FIELD(struct token_body, token, JDEC_SECRET),
    JDEC_END,
};

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return (text != NULL ? text : "");
}

/* Is text the token that engine's lease was made for? */
static int
compare(struct engines *engines, const json_t *engine, const char *text,
    const struct opaque *opaque, struct leased_err *err)
{
	const char *prefix = text_of(engine, "prefix"), *kept = text_of(engine, "mac");
	char mac[TOKEN_MAC_SIZE];
	int r;

	if ((r = engine_token_mac(engines, opaque->random, mac, err)) != 0)
		return (r);
	if (strcmp(text_of(engine, "kind"), "opaque") != 0 ||
	    strlen(prefix) != opaque->prefix_len || memcmp(prefix, text, opaque->prefix_len) != 0 ||
	    strlen(kept) != sizeof(mac) - 1 || CRYPTO_memcmp(kept, mac, sizeof(mac) - 1) != 0)
		return (LEASED_ENOENT);
	return (0);
}

/* LEASED_ENOENT: it is not good, for whatever reason. */
static int
find(struct engine_request_copy *request, const char *text, struct lease_plain *ret_plain,
    struct leased_err *err)
{
	struct lease_plain plain;
	struct opaque opaque;
	int r;

	if (!opaque_parse(text, &opaque))
		return (LEASED_ENOENT);
	if ((r = lease_plain_get(request->engines->leases, opaque.row, &plain, err)) != 0)
		return (r);
	r = plain.row->mount == request->mount_id
		? compare(request->engines, plain.engine, text, &opaque, err)
		: LEASED_ENOENT;
	if (r == 0)
		*ret_plain = plain;
	else
		lease_plain_clear(&plain);
	return (r);
}

/* The token that the body names, or NULL: the request has failed. The caller frees. */
static struct leased_secret *
token_of(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct token_body body = {0};

	if (jdec_decode(request->body, token_fields, &body, NULL, &err) != 0) {
		jdec_clear(token_fields, &body);
		engine_fail_err(request, &err);
		return (NULL);
	}
	if (body.token == NULL)
		engine_fail(request, LEASED_EINVAL,
		    "invalid_request: the body has no token: send token=.. as a form or as JSON");
	return (body.token);
}

static void
finish_raw(struct engine_request_copy *request, json_t *data)
{
	request->reply.raw = true;
	if ((request->reply.data = data) == NULL)
		engine_fail(request, LEASED_ENOMEM, "out of memory");
	else
		engine_finish(request);
}

/* ---- introspection ---- */

/* One as a text, several as a list: as readers know it from JWTs. */
static json_t *
audience(const json_t *aud)
{
	return (json_incref(
	    json_array_size(aud) == 1 ? json_array_get(aud, 0) : (json_t *)(uintptr_t)aud));
}

static json_t *
describe(struct engines *engines, const struct lease_plain *plain)
{
	const json_t *aud = json_object_get(plain->engine, "aud");
	const char *iss = text_of(plain->engine, "iss");
	char jti[TOKEN_JTI_SIZE], urn[16 + ID_UUID_SIZE];
	json_t *answer;

	engine_token_jti(engines, plain->row->id, jti);
	(void)snprintf(urn, sizeof(urn), "urn:uuid:%s", store_cluster_id(engines->config.store));
	answer = json_pack("{s:b, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:s}", "active", 1,
	    "scope", text_of(plain->engine, "scope"), "client_id", plain->role, "username",
	    plain->display, "token_type", "Bearer", "sub",
	    plain->entity[0] != '\0' ? plain->entity : plain->display, "exp",
	    (json_int_t)(plain->expires_wall_ms / 1000), "iat",
	    (json_int_t)(plain->issued_wall_ms / 1000), "jti", jti, "iss",
	    iss[0] != '\0' ? iss : urn);
	if (answer != NULL && json_array_size(aud) > 0 &&
	    json_object_set_new(answer, "aud", audience(aud)) != 0) {
		json_decref(answer);
		return (NULL);
	}
	return (answer);
}

void
engine_token_introspect(struct engine_request_copy *request)
{
	struct leased_secret *token = token_of(request);
	struct leased_err err = LEASED_ERR_INIT;
	struct lease_plain plain;
	int r;

	if (token == NULL)
		return;
	r = find(request, leased_secret_reveal(token), &plain, &err);
	leased_secret_free(token);
	if (r == 0) {
		finish_raw(request, describe(request->engines, &plain));
		lease_plain_clear(&plain);
	} else if (r == LEASED_ENOENT) {
		finish_raw(request, json_pack("{s:b}", "active", 0));
	} else {
		engine_fail_err(request, &err);
	}
}

/* ---- revocation ---- */

/* Recorded is enough: from then on it is good for nothing. */
static void
on_revoked(void *arg, enum lease_revoke_state state, const struct leased_err *err)
{
	struct engine_request_copy *request = arg;

	if (state == LEASE_REVOKE_FAILED)
		engine_fail_err(request, err);
	else
		finish_raw(request, json_object());
}

void
engine_token_revoke(struct engine_request_copy *request)
{
	struct lease_actor actor = {.name = request->display_name, .accessor = ""};
	struct leased_secret *token = token_of(request);
	struct leased_err err = LEASED_ERR_INIT;
	struct lease_plain plain;
	int r;

	if (token == NULL)
		return;
	r = find(request, leased_secret_reveal(token), &plain, &err);
	leased_secret_free(token);
	if (r == 0) {
		lease_revoke_by(request->engines->leases, plain.row->id, 0, request->request_id,
		    &actor, on_revoked, request);
		lease_plain_clear(&plain);
	} else if (r == LEASED_ENOENT) {
		finish_raw(request, json_object()); /* RFC 7009: what is not good is no error */
	} else {
		engine_fail_err(request, &err);
	}
}
