/*
 * What relying parties read without a token (the issuer's metadata, its keys), and the question
 * whether a token is good. Called by api/.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "engine/jwt.h"
#include "engine/jwt_read.h"
#include "lease/plain.h"

#define DISCOVERY_MAX_AGE_S 3600
#define EXPIRED_SLACK_MS 2000

/* ---- discovery ---- */

static json_t *
path_below(const char *issuer, const char *path)
{
	char *text = NULL;
	json_t *value;

	if (asprintf(&text, "%s%s", issuer, path) < 0)
		return (NULL);
	value = json_string(text);
	free(text);
	return (value);
}

void
engines_identity_discovery(struct engines *engines, struct identity_page *ret_page)
{
	struct identity_page page = {.max_age_s = DISCOVERY_MAX_AGE_S};
	char *issuer = NULL;

	if ((page.code = engine_jwt_issuer(engines, &issuer, &page.err)) == 0) {
		page.body = json_pack("{s:s,s:o,s:o,s:[s],s:[s],s:[s,s,s,s,s,s,s]}", "issuer",
		    issuer, "jwks_uri", path_below(issuer, "/.well-known/keys"), "denylist_uri",
		    path_below(issuer, "/.well-known/denylist"), "response_types_supported",
		    "id_token", "subject_types_supported", "public",
		    "id_token_signing_alg_values_supported", "RS256", "RS384", "RS512", "ES256",
		    "ES384", "ES512", "EdDSA");
		if (page.body == NULL)
			page.code = leased_err_set(&page.err, LEASED_ENOMEM, "out of memory");
	}
	free(issuer);
	*ret_page = page;
}

/* ---- keys ---- */

static int
append_key(json_t *list, const struct jwt_key *key, int64_t now_ms)
{
	const json_t *old;
	size_t i;
	int r;

	r = json_array_append(
		list, json_object_get(json_object_get(key->data, "current"), "public")) |
	    json_array_append(list, json_object_get(json_object_get(key->data, "next"), "public"));
	json_array_foreach(json_object_get(key->data, "old"), i, old)
	{
		if (json_integer_value(json_object_get(old, "until_ms")) > now_ms)
			r |= json_array_append(list, json_object_get(old, "public"));
	}
	return (r);
}

void
engines_identity_keys(struct engines *engines, struct identity_page *ret_page)
{
	struct identity_page page = {0};
	json_t *list = json_array();
	const struct jwt_key *key;
	int r = list != NULL ? 0 : -1;

	/* From memory: what is there is on disk. */
	LIST_FOREACH (key, &engines->jwt->keys, link)
		if (r == 0)
			r = append_key(list, key, leases_now_ms(engines->leases));
	page.max_age_s = engine_jwt_max_age_s(engines);
	page.body = json_pack("{s:o}", "keys", list);
	if (r != 0 || page.body == NULL) {
		json_decref(page.body);
		page.body = NULL;
		page.code = leased_err_set(&page.err, LEASED_ENOMEM, "out of memory");
	}
	*ret_page = page;
}

/* ---- introspection ---- */

static bool
is_for(const json_t *aud, const char *client_id)
{
	const json_t *one;
	size_t i;

	if (json_is_string(aud))
		return (strcmp(json_string_value(aud), client_id) == 0);
	json_array_foreach(aud, i, one)
	{
		if (json_is_string(one) && strcmp(json_string_value(one), client_id) == 0)
			return (true);
	}
	return (false);
}

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
	struct store_account *found = calloc(STORE_ACCOUNTS_PAGE, sizeof(*found));
	char before[sizeof(found->account)];
	size_t count = 0, len = strlcpy(before, jti, sizeof(before));
	int64_t id = 0;
	int r;

	if (found == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (len == 0 || len >= sizeof(before)) {
		free(found);
		return (LEASED_ENOENT);
	}
	before[len - 1] = '\0';
	r = store_account_page(store_db(engines->config.store), before, jti, found, &count, err);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (strcmp(found[i].account, jti) == 0)
			id = found[i].id;
	free(found);
	if (r != 0)
		return (r);
	return (id != 0 ? lease_plain_get(engines->leases, id, ret_plain, err) : LEASED_ENOENT);
}

int
engines_identity_introspect(struct engines *engines, const char *token, const char *client_id,
    bool *ret_active, const char **ret_why, struct leased_err *err)
{
	struct lease_plain plain = {0};
	const char *jti, *why = "";
	char hash[JWT_HASH_SIZE];
	json_t *claims = NULL;
	bool active = false;
	int r;

	r = engine_jwt_read(token, &claims, err);
	if (r == LEASED_EINVAL) {
		why = "the token is no JWT";
		r = 0;
		goto out;
	}
	if (r != 0 || (r = engine_jwt_hash(token, hash, err)) != 0)
		goto out;
	jti = json_string_value(json_object_get(claims, "jti"));
	why = "the token is unknown, has ended or was revoked";
	if (jti == NULL || strncmp(jti, "j-", 2) != 0 || strlen(jti) != JWT_JTI_LEN)
		goto out;
	if ((r = lease_of(engines, jti, &plain, err)) != 0) {
		r = r == LEASED_ENOENT ? 0 : r;
		goto out;
	}
	if (!is_its_token(&plain, hash))
		goto out;
	active = client_id == NULL || is_for(json_object_get(plain.engine, "aud"), client_id);
	why = active ? "" : "the token is not for that client_id";
out:
	lease_plain_clear(&plain);
	json_decref(claims);
	*ret_active = active;
	*ret_why = why;
	return (r);
}

/* ---- the list of those that ended early ---- */

int
engine_jwt_ended(
    struct store_txn *txn, const struct lease_plain_ended *ended, struct leased_err *err)
{
	const char *jti = json_string_value(json_object_get(ended->engine, "jti"));
	json_int_t exp_s = json_integer_value(json_object_get(ended->engine, "exp"));
	struct store_doc *doc;
	int r;

	if (jti == NULL || exp_s * 1000 <= ended->wall_ms + EXPIRED_SLACK_MS)
		return (0);
	/* Below no mount: it is published until it is over, also when its mount is gone. */
	doc = engine_doc_new("denied", 0, jti, json_pack("{s:I}", "exp", exp_s));
	if (doc == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = store_doc_put(txn, doc, err);
	store_doc_free(doc);
	return (r == LEASED_EEXIST ? 0 : r);
}
