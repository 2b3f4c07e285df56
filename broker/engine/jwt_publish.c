/*
 * What relying parties read without a token (the issuer's metadata, its keys), and the question
 * whether a token is good. Called by api/.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/jwt.h"
#include "engine/jwt_read.h"

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
append_key(json_t *list, const struct jwt_key *key, int64_t now_ms, int64_t *until_ms)
{
	const json_t *old;
	int64_t over_ms;
	size_t i;
	int r;

	r = json_array_append(
		list, json_object_get(json_object_get(key->data, "current"), "public")) |
	    json_array_append(list, json_object_get(json_object_get(key->data, "next"), "public"));
	json_array_foreach(json_object_get(key->data, "old"), i, old)
	{
		over_ms = json_integer_value(json_object_get(old, "until_ms"));
		if (over_ms <= now_ms)
			continue;
		r |= json_array_append(list, json_object_get(old, "public"));
		if (over_ms < *until_ms)
			*until_ms = over_ms;
	}
	return (r);
}

void
engine_jwt_list_drop(struct engine_jwt *jwt)
{
	jenc_clear(&jwt->list.json);
	jwt->list = (struct jwt_list){0};
}

/* From memory: what is there is on disk. */
static int
list_write(struct engine_jwt *jwt, int64_t now_ms, struct leased_err *err)
{
	struct jwt_list *list = &jwt->list;
	json_t *keys = json_array(), *body;
	const struct jwt_key *key;
	int r = keys != NULL ? 0 : -1;

	engine_jwt_list_drop(jwt);
	list->until_ms = INT64_MAX;
	LIST_FOREACH (key, &jwt->keys, link)
		if (r == 0)
			r = append_key(keys, key, now_ms, &list->until_ms);
	if ((body = json_pack("{s:o}", "keys", keys)) == NULL)
		r = -1;
	if (r == 0)
		jenc_json(&list->json, body);
	jenc_bytes(&list->json, "\n", 1);
	json_decref(body);
	if (r == 0 && jenc_check(&list->json, NULL) == 0 &&
	    etag_of(list->json.bytes, list->json.len, list->etag) == 0)
		return (0);
	engine_jwt_list_drop(jwt);
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

void
engines_identity_keys(struct engines *engines, struct identity_page *ret_page)
{
	struct jwt_list *list = &engines->jwt->list;
	int64_t now_ms = leases_now_ms(engines->leases);
	struct identity_page page = {0};

	/* Anybody asks for it, as often as he likes: it is written once a change. */
	if (list->json.len == 0 || now_ms >= list->until_ms)
		page.code = list_write(engines->jwt, now_ms, &page.err);
	if (page.code == 0) {
		page.max_age_s = engine_jwt_max_age_s(engines);
		page.text = (const char *)list->json.bytes;
		page.text_len = list->json.len;
		page.etag = list->etag;
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

int
engines_identity_introspect(struct engines *engines, const char *token, const char *client_id,
    bool *ret_active, const char **ret_why, struct leased_err *err)
{
	struct lease_plain plain = {0};
	const char *why = "";
	int r;

	r = engine_jwt_lease(engines, token, &plain, NULL, err);
	if (r == LEASED_EINVAL)
		why = "the token is no JWT";
	else if (r == LEASED_ENOENT)
		why = "the token is unknown, has ended or was revoked";
	else if (r != 0)
		return (r);
	else if (!engine_jwt_is_good(engines, &plain))
		why = "the token is over, or the key that signed it is not published any more";
	else if (client_id != NULL && client_id[0] != '\0' &&
		 !is_for(json_object_get(plain.engine, "aud"), client_id))
		why = "the token is not for that client_id";
	lease_plain_clear(&plain);
	*ret_active = why[0] == '\0';
	*ret_why = why;
	return (0);
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
