/*
 * identity/oidc/key/:n and its rotation by hand: bodies and answers. What a change does is
 * jwt_change.c's.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/jwt.h"
#include "engine/jwt_paths.h"

#define DAY_S 86400
#define PERIOD_LEAST_S 60

struct key_body {
	int64_t rotation_period, verification_ttl;
	char *algorithm;
	struct jdec_list allowed_client_ids;
	bool has_period, has_ttl, has_clients;
};
static const struct jdec_field key_fields[] = {
    JDEC_FIELD_SEEN(struct key_body, rotation_period, has_period, JDEC_DURATION_S),
    JDEC_FIELD_SEEN(struct key_body, verification_ttl, has_ttl, JDEC_DURATION_S),
    JDEC_FIELD(struct key_body, algorithm, JDEC_STRING),
    JDEC_FIELD_SEEN(struct key_body, allowed_client_ids, has_clients, JDEC_COMMA_LIST),
    {"name", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END,
};
static const char *const key_names[] = {
    "rotation_period", "verification_ttl", "algorithm", "allowed_client_ids", NULL};
static const char *const algorithms[] = {
    "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA", NULL};

/* ---- read ---- */

void
engine_jwt_key_read(struct engine_request_copy *request)
{
	struct engine_jwt *jwt = request->engines->jwt;
	const struct jwt_key *key = engine_jwt_key_find(jwt, request->name);
	char next[WCLOCK_RFC3339_SIZE];

	if (key != NULL) {
		wclock_format_rfc3339(
		    leases_wall_ms(request->engines->leases, engine_jwt_due_ms(key)) * 1000, next);
		request->reply.data = json_pack("{s:O,s:O,s:O,s:O,s:O,s:O,s:s}", "algorithm",
		    json_object_get(key->data, "algorithm"), "allowed_client_ids",
		    json_object_get(key->data, "allowed_client_ids"), "rotation_period",
		    json_object_get(key->data, "rotation_period"), "verification_ttl",
		    json_object_get(key->data, "verification_ttl"), "kid",
		    json_object_get(json_object_get(key->data, "current"), "kid"), "next_kid",
		    json_object_get(json_object_get(key->data, "next"), "kid"), "next_rotation",
		    next);
	}
	engine_finish(request);
}

static void
on_changed(void *arg, int code, const struct leased_err *err)
{
	struct engine_request_copy *request = arg;

	if (code == LEASED_EEXIST || code == LEASED_ECONFLICT) {
		request->reply.status = 409;
		engine_fail(request, LEASED_ECONFLICT,
		    "key %s was written by somebody else meanwhile; read it and write again",
		    request->name);
	} else if (code != 0 && !(code == LEASED_ENOENT && request->operation == ENGINE_DELETE))
		engine_fail_err(request, err);
	else
		engine_finish(request);
}

void
engine_jwt_key_delete(struct engine_request_copy *request)
{
	const struct jwt_order order = {.aim = JWT_DELETE, .name = request->name};

	/* Whether it is there the store says: one may be there that could not be loaded. */
	engine_jwt_change(request->engines->jwt, &order, on_changed, request);
}

/* ---- rotate ---- */

/* A pair that not everybody can know yet does not sign: it is done as soon as they can. */
static void
rotate_later(struct engine_request_copy *request, const struct jwt_key *key, int64_t ready_ms)
{
	struct engine_jwt *jwt = request->engines->jwt;
	int64_t now_ms = leases_now_ms(request->engines->leases);
	struct jwt_order order = {.aim = JWT_SET, .name = key->name};

	engine_warn(request,
	    "relying parties may hold a list of keys without the next one for another %lld s: it "
	    "is "
	    "rotated by itself then%s",
	    (long long)((ready_ms - now_ms + 999) / 1000),
	    json_object_get(request->body, "verification_ttl") != NULL
		? "; verification_ttl is not kept for that"
		: "");
	order.settings = json_pack("{s:I}", "next_rotation_ms", (json_int_t)now_ms);
	engine_jwt_change(jwt, &order, on_changed, request);
}

/* It cannot wait until lists of keys are known everywhere: whoever has the key signs by it now. */
static void
key_withdraw(struct engine_request_copy *request, const struct jwt_order *order)
{
	engine_warn(request,
	    "what this key signed so far is refused by whoever fetches the list of keys from now "
	    "on; who keeps one, for %lld s at most, takes the old tokens and not the new ones",
	    (long long)engine_jwt_max_age_s(request->engines));
	engine_jwt_change(request->engines->jwt, order, on_changed, request);
}

static void
key_rotate(struct engine_request_copy *request)
{
	struct engine_jwt *jwt = request->engines->jwt;
	const struct jwt_key *key = engine_jwt_key_find(jwt, request->name);
	struct jwt_order order = {
	    .aim = JWT_ROTATE, .name = request->name, .verification_ttl_s = -1};
	struct leased_err err = LEASED_ERR_INIT;
	struct key_body body = {0};
	json_t *unknown = NULL;
	int64_t ready_ms;

	if (key == NULL) {
		engine_fail(request, LEASED_EINVAL, "no named key found at \"%s\"", request->name);
		return;
	}
	if (jdec_decode(request->body, key_fields, &body, &unknown, &err) != 0) {
		engine_fail_err(request, &err);
	} else {
		engine_warn_unknown(request, unknown, key_names);
		if (body.has_ttl)
			order.verification_ttl_s = body.verification_ttl;
		ready_ms = engine_jwt_number(key, "next", "ready_ms");
		if (key->known_ms > ready_ms)
			ready_ms = key->known_ms;
		if (order.verification_ttl_s == 0)
			key_withdraw(request, &order);
		else if (ready_ms > leases_now_ms(request->engines->leases))
			rotate_later(request, key, ready_ms);
		else
			engine_jwt_change(jwt, &order, on_changed, request);
	}
	json_decref(unknown);
	jdec_clear(key_fields, &body);
}

/* ---- write ---- */

static int
check_algorithm(const struct jwt_key *key, const char *algorithm, struct leased_err *err)
{
	const char *had = key != NULL ? engine_jwt_text(key, NULL, "algorithm") : NULL;

	for (size_t i = 0; algorithms[i] != NULL; i++)
		if (strcmp(algorithms[i], algorithm) == 0) {
			if (had == NULL || strcmp(had, algorithm) == 0)
				return (0);
			return (leased_err_set(err, LEASED_EINVAL,
			    "algorithm: this key signs by %s, and what it has published is for "
			    "that: "
			    "make another key for %s",
			    had, algorithm));
		}
	return (leased_err_set(err, LEASED_EINVAL,
	    "unknown signing algorithm: RS256, RS384, RS512, ES256, ES384, ES512 and EdDSA are"));
}

static int
check_times(const json_t *settings, struct leased_err *err)
{
	json_int_t period_s = json_integer_value(json_object_get(settings, "rotation_period"));
	json_int_t ttl_s = json_integer_value(json_object_get(settings, "verification_ttl"));

	if (period_s < PERIOD_LEAST_S)
		return (leased_err_set(
		    err, LEASED_EINVAL, "rotation_period must be at least one minute"));
	if (ttl_s < 1 || ttl_s > 10 * period_s)
		return (leased_err_set(err, LEASED_EINVAL,
		    "verification_ttl must be from 1s to 10 times rotation_period: all keys of "
		    "that time are published"));
	return (0);
}

static json_t *
list_json(const struct jdec_list *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->count; i++)
		if (json_array_append_new(array, json_string(list->items[i])) != 0) {
			json_decref(array);
			return (NULL);
		}
	return (array);
}

/* What is not given has its default in a new key, and stays in an old one. */
static int
settings_build(const struct jwt_key *key, const struct key_body *body, json_t **ret_settings,
    struct leased_err *err)
{
	const char *algorithm = body->algorithm != NULL ? body->algorithm
				: key != NULL           ? engine_jwt_text(key, NULL, "algorithm")
							: "RS256";
	json_t *settings;
	int r;

	if ((r = check_algorithm(key, algorithm, err)) != 0)
		return (r);
	settings = json_pack("{s:s,s:I,s:I}", "algorithm", algorithm, "rotation_period",
	    (json_int_t)(body->has_period ? body->rotation_period
			 : key != NULL    ? engine_jwt_number(key, NULL, "rotation_period")
					  : DAY_S),
	    "verification_ttl",
	    (json_int_t)(body->has_ttl ? body->verification_ttl
			 : key != NULL ? engine_jwt_number(key, NULL, "verification_ttl")
				       : DAY_S));
	if (settings == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((r = check_times(settings, err)) == 0 && (body->has_clients || key == NULL) &&
	    json_object_set_new(
		settings, "allowed_client_ids", list_json(&body->allowed_client_ids)) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	if (r == 0)
		*ret_settings = settings;
	else
		json_decref(settings);
	return (r);
}

void
engine_jwt_key_write(struct engine_request_copy *request)
{
	struct engine_jwt *jwt = request->engines->jwt;
	struct leased_err err = LEASED_ERR_INIT;
	struct key_body body = {0};
	struct jwt_order order = {.aim = JWT_SET, .name = request->name};
	char *slash = strchr(request->name, '/');
	const struct jwt_key *key;
	json_t *unknown = NULL;

	if (slash != NULL) {
		*slash = '\0';
		key_rotate(request);
		return;
	}
	key = engine_jwt_key_find(jwt, request->name);
	if (key == NULL)
		order.aim = JWT_MAKE;
	if (jdec_decode(request->body, key_fields, &body, &unknown, &err) != 0 ||
	    settings_build(key, &body, &order.settings, &err) != 0) {
		engine_fail_err(request, &err);
	} else {
		engine_warn_unknown(request, unknown, key_names);
		engine_jwt_change(jwt, &order, on_changed, request);
	}
	json_decref(unknown);
	jdec_clear(key_fields, &body);
}
