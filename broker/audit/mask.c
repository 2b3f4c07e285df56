/*
 * What of a request's and an answer's data may stand in a record. The table names every field that
 * is passed on, and which of them in clear; a string that is not named so leaves as a keyed hash,
 * and a field that is not named at all does not leave. Called by entry.c.
 */
#include <stdlib.h>
#include <string.h>

#include "audit/audit_private.h"
#include "base/jws.h"
#include "base/opaque.h"

#define DEPTH_MAX 4
#define LIST_MAX 32      /* a longer one is told by its length */
#define SECRET_LEN_MIN 6 /* what is shorter stands in texts by chance */

/* Sorted. clear: what an operator needs to read and what opens nothing. */
static const struct mask_field {
	const char *name;
	bool clear;
} fields[] = {
    {"accessor", false},
    {"account", true},
    {"allow_userpass", false},
    {"allowed_roles", true},
    {"audience", true},
    {"bound_gids", true},
    {"bound_uids", true},
    {"bound_units", true},
    {"capabilities", true},
    {"cause", true},
    {"config", true},
    {"confirm_move", true},
    {"connection", true},
    {"connection_url", false},
    {"creation_statements", false},
    {"creation_time", true},
    {"credential_type", true},
    {"database", true},
    {"db_name", true},
    {"default_lease_ttl", true},
    {"default_scopes", true},
    {"default_ttl", true},
    {"description", false},
    {"display_name", true},
    {"ended_by", true},
    {"ended_cause", true},
    {"ended_time", true},
    {"entity_id", true},
    {"expire_time", true},
    {"explicit_max_ttl", true},
    {"fix", true},
    {"force_no_cache", true},
    {"gone_time", true},
    {"host", true},
    {"id", false},
    {"increment", true},
    {"input", false},
    {"issue_time", true},
    {"issuer", true},
    {"jti", true},
    {"keys", true},
    {"last_renewal", true},
    {"lease", true},
    {"lease_id", true},
    {"lease_owner", true},
    {"max_lease_ttl", true},
    {"max_leases", true},
    {"max_ttl", true},
    {"name", true},
    {"no_default_policy", true},
    {"no_parent", true},
    {"num_uses", true},
    {"options", true},
    {"orphan", true},
    {"owned_objects", true},
    {"owner", true},
    {"password", false},
    {"path", true},
    {"paths", true},
    {"period", true},
    {"plugin_name", true},
    {"plugin_version", true},
    {"policies", true},
    {"policy", false},
    {"port", true},
    {"prefix", true},
    {"reason", true},
    {"renew_statements", false},
    {"renewable", true},
    {"revocation_statements", false},
    {"role", true},
    {"rollback_statements", false},
    {"root_rotation_statements", false},
    {"rotation_period", true},
    {"rules", false},
    {"scheme", true},
    {"scope", true},
    {"scopes", true},
    {"scram_iterations", true},
    {"server", true},
    {"sslmode", true},
    {"state", true},
    {"sync", true},
    {"takeover", true},
    {"tls_ca", false},
    {"token", false},
    {"token_type", true},
    {"token_type_hint", true},
    {"ttl", true},
    {"type", true},
    {"url", false},
    {"username", true},
    {"username_template", false},
    {"verify_connection", true},
    {"warnings", true},
};

static int
compare_field(const void *name, const void *field)
{
	return (strcmp(name, ((const struct mask_field *)field)->name));
}

static const struct mask_field *
find_field(const char *name)
{
	return (bsearch(
	    name, fields, sizeof(fields) / sizeof(fields[0]), sizeof(fields[0]), compare_field));
}

int
audit_hash(
    struct seal *seal, const char *text, char ret_hash[AUDIT_HASH_SIZE], struct leased_err *err)
{
	static const char prefix[] = "hmac-sha256:", digits[] = "0123456789abcdef";
	uint8_t mac[SEAL_HMAC_SIZE];
	int r = seal_hmac(seal, "audit", text, strlen(text), mac, err);
	char *at = ret_hash + sizeof(prefix) - 1;

	if (r != 0)
		return (r);
	memcpy(ret_hash, prefix, sizeof(prefix) - 1);
	for (size_t i = 0; i < sizeof(mac); i++) {
		*at++ = digits[mac[i] >> 4];
		*at++ = digits[mac[i] & 15];
	}
	*at = '\0';
	return (0);
}

json_t *
audit_hash_json(struct seal *seal, const char *text)
{
	char hash[AUDIT_HASH_SIZE];

	return (audit_hash(seal, text, hash, NULL) == 0 ? json_string(hash) : NULL);
}

int
audit_set(json_t *object, const char *key, json_t *value)
{
	return (value != NULL ? json_object_set_new(object, key, value) : -1);
}

/* A text from outside that is no UTF-8 stands as what it is. */
int
audit_set_text(json_t *object, const char *key, const char *text)
{
	json_t *value;

	if (text == NULL || text[0] == '\0')
		return (0);
	if ((value = json_string(text)) == NULL)
		value = json_string("(not UTF-8)");
	return (audit_set(object, key, value));
}

static json_t *mask_value(struct seal *seal, const json_t *value, bool clear, unsigned depth);

static json_t *
mask_list(struct seal *seal, const json_t *list, bool clear, unsigned depth)
{
	json_t *masked, *item;
	size_t i;

	if (json_array_size(list) > LIST_MAX)
		return (json_integer((json_int_t)json_array_size(list)));
	masked = json_array();
	json_array_foreach(list, i, item)
	{
		if (masked != NULL &&
		    json_array_append_new(masked, mask_value(seal, item, clear, depth + 1)) != 0) {
			json_decref(masked);
			masked = NULL;
		}
	}
	return (masked);
}

static json_t *
mask_object(struct seal *seal, const json_t *object, unsigned depth)
{
	json_t *masked = json_object(), *value;
	const struct mask_field *field;
	json_int_t left_out = 0;
	const char *key;
	int r = masked != NULL ? 0 : -1;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		if ((field = find_field(key)) == NULL || depth >= DEPTH_MAX)
			left_out++;
		else if (r == 0)
			r = audit_set(masked, key, mask_value(seal, value, field->clear, depth));
	}
	if (r == 0 && left_out > 0)
		r = audit_set(masked, "left_out", json_integer(left_out));
	if (r != 0) {
		json_decref(masked);
		return (NULL);
	}
	return (masked);
}

/* Somebody may put one where it does not belong. */
static bool
looks_like_a_token(const char *text)
{
	return (strstr(text, "hvs.") != NULL || opaque_is_in(text) || jws_is_in(text));
}

static json_t *
mask_value(struct seal *seal, const json_t *value, bool clear, unsigned depth)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return (mask_object(seal, value, depth + 1));
	case JSON_ARRAY:
		return (mask_list(seal, value, clear, depth));
	case JSON_STRING:
		return ((clear && !looks_like_a_token(json_string_value(value))) ||
				json_string_length(value) == 0
			    ? json_string(json_string_value(value))
			    : audit_hash_json(seal, json_string_value(value)));
	case JSON_INTEGER:
	case JSON_REAL:
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL:
		return (json_incref((json_t *)(uintptr_t)value));
	}
	return (NULL);
}

json_t *
audit_mask(struct seal *seal, const json_t *object)
{
	return (json_is_object(object) ? mask_object(seal, object, 0) : json_object());
}

bool
audit_text_holds(const char *text, const json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_string(value))
		return (json_string_length(value) >= SECRET_LEN_MIN &&
			strstr(text, json_string_value(value)) != NULL);
	json_array_foreach(value, i, item)
	{
		if (audit_text_holds(text, item))
			return (true);
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, item)
	{
		const struct mask_field *field = find_field(key);

		if ((field == NULL || !field->clear) && audit_text_holds(text, item))
			return (true);
	}
	return (false);
}
