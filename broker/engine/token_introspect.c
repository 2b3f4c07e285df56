/*
 * <mount>/introspect (RFC 7662) and <mount>/revoke (RFC 7009) of the token engine. Who may ask is
 * the policies' to say; whoever may, and holds a token, is told what it is good for, or ends it.
 * Of a token that is not good nothing is told, whatever is wrong with it. The answers have no
 * envelope: those who read them know no other broker. JWTs that identity/oidc or this mount handed
 * out are tokens like others here.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"
#include "engine/jwt.h"
#include "engine/jwt_read.h"
#include "engine/token.h"

/* What somebody shows. */
struct found {
	struct lease_plain plain;
	json_t *claims; /* of a JWT; NULL: an opaque token */
	bool elsewhere; /* of another mount */
};

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

static void
found_clear(struct found *found)
{
	lease_plain_clear(&found->plain);
	json_decref(found->claims);
}

/* LEASED_ENOENT: it is not good, for whatever reason. */
static int
find_opaque(struct engines *engines, const char *text, const struct opaque *opaque,
    struct lease_plain *ret_plain, struct leased_err *err)
{
	struct lease_plain plain;
	int r;

	if ((r = lease_plain_get(engines->leases, opaque->row, &plain, err)) != 0)
		return (r);
	if ((r = compare(engines, plain.engine, text, opaque, err)) == 0)
		*ret_plain = plain;
	else
		lease_plain_clear(&plain);
	return (r);
}

static int
find(struct engine_request_copy *request, const char *text, struct found *ret_found,
    struct leased_err *err)
{
	const struct engine_mount *identity = engine_jwt_mount(request->engines);
	struct found found = {0};
	struct opaque opaque;
	int r;

	if (opaque_parse(text, &opaque))
		r = find_opaque(request->engines, text, &opaque, &found.plain, err);
	else
		r = engine_jwt_lease(request->engines, text, &found.plain, &found.claims, err);
	if (r != 0)
		return (r == LEASED_EINVAL ? LEASED_ENOENT : r);
	found.elsewhere =
	    found.plain.row->mount != request->mount_id &&
	    (found.claims == NULL || identity == NULL || found.plain.row->mount != identity->id);
	*ret_found = found;
	return (0);
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
	if (body.token == NULL) {
		engine_fail(request, LEASED_EINVAL,
		    "invalid_request: the body has no token: send token=.. as a form or as JSON");
	} else if (memchr(leased_secret_reveal(body.token), ',', leased_secret_len(body.token)) !=
		   NULL) {
		/* A form's repeated names come joined by it, and no token has one: what looks like
		 * an unknown token would be "not good", or "ended", of tokens that are good. */
		leased_secret_free(body.token);
		body.token = NULL;
		engine_fail(request, LEASED_EINVAL,
		    "invalid_request: the body has more than one token: send one at a time");
	}
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

/* What it says of itself by RFC 7519, and whose it is; a template's claims are in the token. */
static json_t *
describe_jwt(const struct found *found)
{
	static const char *const names[] = {"scope", "sub", "aud", "exp", "iat", "jti", "iss"};
	json_t *answer = json_pack("{s:b, s:s, s:s, s:s}", "active", 1, "client_id",
	    found->plain.role, "username", found->plain.display, "token_type", "Bearer");
	json_t *claim;
	int r = answer != NULL ? 0 : -1;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((claim = json_object_get(found->claims, names[i])) == NULL ||
		    (i == 0 && !json_is_string(claim)))
			continue;
		r |= json_object_set(answer, names[i], claim);
	}
	if (r != 0) {
		json_decref(answer);
		return (NULL);
	}
	return (answer);
}

static json_t *
describe(struct engines *engines, const struct lease_plain *plain)
{
	const json_t *aud = json_object_get(plain->engine, "aud");
	const char *iss = text_of(plain->engine, "iss"), *tag = text_of(plain->engine, "tag");
	char jti[TOKEN_JTI_SIZE], urn[16 + ID_UUID_SIZE];
	json_t *answer;

	engine_token_jti(
	    tag[0] != '\0' ? tag : store_tag(engines->config.store), plain->row->id, jti);
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
	struct found found = {0};
	int r;

	if (token == NULL)
		return;
	r = find(request, leased_secret_reveal(token), &found, &err);
	leased_secret_free(token);
	if (r != 0 && r != LEASED_ENOENT)
		engine_fail_err(request, &err);
	else if (r == LEASED_ENOENT || found.elsewhere ||
		 (found.claims != NULL && !engine_jwt_is_good(request->engines, &found.plain)))
		finish_raw(request, json_pack("{s:b}", "active", 0));
	else if (found.claims != NULL)
		finish_raw(request, describe_jwt(&found));
	else
		finish_raw(request, describe(request->engines, &found.plain));
	found_clear(&found);
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
	struct found found = {0};
	int r;

	if (token == NULL)
		return;
	r = find(request, leased_secret_reveal(token), &found, &err);
	leased_secret_free(token);
	if (r == LEASED_ENOENT)
		finish_raw(request, json_object()); /* RFC 7009: what is not good is no error */
	else if (r != 0)
		engine_fail_err(request, &err);
	else if (found.elsewhere) /* whoever heard 200 would take it for dead */
		engine_fail(request, LEASED_EINVAL,
		    "unsupported_token_type: the token is good, and of another mount: it can be "
		    "revoked there, or by its lease");
	else
		lease_revoke_by(request->engines->leases, found.plain.row->id, 0,
		    request->request_id, &actor, on_revoked, request);
	found_clear(&found);
}
