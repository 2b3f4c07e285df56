/*
 * The lease of a JWT that somebody shows, and whether the token is good at this moment. Both kinds
 * of introspection and the revocation by who holds a token ask here; nothing is changed.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "engine/jwt.h"
#include "engine/jwt_read.h"

/* The lease that was made with just this token, letter by letter: nobody else can have signed it,
 * and no other claims can stand in it. */
static bool
is_its_token(const struct lease_plain *plain, const char *hash)
{
	const char *type = json_string_value(json_object_get(plain->engine, "type"));
	const char *kept = json_string_value(json_object_get(plain->engine, "hash"));

	return (type != NULL && strcmp(type, "identity") == 0 && kept != NULL &&
		strlen(kept) == strlen(hash) && CRYPTO_memcmp(kept, hash, strlen(hash)) == 0);
}

/* The row is found by the index alone, and opened once, by who may remember it. */
static int
lease_of(
    struct engines *engines, const char *jti, struct lease_plain *ret_plain, struct leased_err *err)
{
	int64_t id = 0;
	int r;

	if ((r = store_account_find(store_db(engines->config.store), jti, &id, err)) != 0)
		return (r);
	return (lease_plain_get(engines->leases, id, ret_plain, err));
}

int
engine_jwt_lease(struct engines *engines, const char *token, struct lease_plain *ret_plain,
    json_t **ret_claims, struct leased_err *err)
{
	struct lease_plain plain = {0};
	char hash[JWT_HASH_SIZE];
	json_t *claims = NULL;
	const char *jti;
	int r;

	if ((r = engine_jwt_read(token, &claims, err)) != 0 ||
	    (r = engine_jwt_hash(token, hash, err)) != 0)
		goto out;
	r = LEASED_ENOENT;
	jti = json_string_value(json_object_get(claims, "jti"));
	if (jti == NULL || strncmp(jti, "j-", 2) != 0 || strlen(jti) != JWT_JTI_LEN ||
	    (r = lease_of(engines, jti, &plain, err)) != 0)
		goto out;
	if (!is_its_token(&plain, hash)) {
		r = LEASED_ENOENT;
		goto out;
	}
	*ret_plain = plain;
	plain = (struct lease_plain){0};
	if (ret_claims != NULL) {
		*ret_claims = claims;
		claims = NULL;
	}
out:
	lease_plain_clear(&plain);
	json_decref(claims);
	return (r);
}

static bool
has_kid(const json_t *pair, const char *kid)
{
	const char *has = json_string_value(json_object_get(pair, "kid"));

	return (has != NULL && strcmp(has, kid) == 0);
}

/* As engines_identity_keys() has it. */
static bool
is_published(struct engines *engines, const char *kid)
{
	int64_t now_ms = leases_now_ms(engines->leases);
	const struct jwt_key *key;
	const json_t *old;
	size_t i;

	LIST_FOREACH (key, &engines->jwt->keys, link) {
		if (has_kid(json_object_get(key->data, "current"), kid) ||
		    has_kid(json_object_get(key->data, "next"), kid))
			return (true);
		json_array_foreach(json_object_get(key->data, "old"), i, old)
		{
			if (json_integer_value(json_object_get(old, "until_ms")) > now_ms &&
			    has_kid(old, kid))
				return (true);
		}
	}
	return (false);
}

bool
engine_jwt_is_good(struct engines *engines, const struct lease_plain *plain)
{
	const char *kid = json_string_value(json_object_get(plain->engine, "kid"));
	json_int_t exp_s = json_integer_value(json_object_get(plain->engine, "exp"));

	return (wclock_wall_ms(engines->config.clock) / 1000 < exp_s && kid != NULL &&
		is_published(engines, kid));
}
