/*
 * Roles of auth/unix over the API. What a role may say, and whom it matches, is auth/'s.
 */
#include <string.h>

#include "api/api_private.h"
#include "api/handlers.h"
#include "api/reply.h"

#define FIELD_FAILED "Field validation failed"

static const struct jdec_field role_names[] = {{"bound_uids", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"bound_gids", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"bound_units", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"policies", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"token_policies", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"max_leases", JDEC_IGNORED, 0, JDEC_NO_PRESENT}, JDEC_END};

static void
role_read(struct api_request *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *role = NULL;
	int r;

	r = auth_unix_role_get(request->api->config.auth, request->captures[0], &role, &err);
	if (r == LEASED_ENOENT)
		api_reply_empty_errors(request, 404);
	else if (r != 0)
		api_reply_error(request, 0, &err);
	else
		api_reply_data(request, role);
}

/* The units of peers are not read in this version, so that nobody would get what such a role gives.
 */
static void
role_warn_units(struct api_request *request)
{
	const json_t *units = json_object_get(request->body, "bound_units");

	if (units != NULL && !json_is_null(units) &&
	    !(json_is_array(units) && json_array_size(units) == 0) &&
	    !(json_is_string(units) && json_string_length(units) == 0))
		api_request_warn(request,
		    "a role with bound_units matches nobody in this version: the unit of a peer "
		    "is not decided on yet");
}

void
api_auth_unix_role(struct api_request *request)
{
	struct auth *auth = request->api->config.auth;
	struct leased_err err = LEASED_ERR_INIT;
	json_t *unknown = NULL, *data = NULL;

	if (request->operation == API_READ) {
		role_read(request);
		return;
	}
	if (request->operation == API_DELETE) {
		auth_unix_role_delete(auth, request->captures[0], api_on_written, request);
		return;
	}
	if (auth_unix_role_check(
		auth, request->captures[0], request->body, &data, &unknown, &err) != 0) {
		if (strncmp(err.text, FIELD_FAILED, sizeof(FIELD_FAILED) - 1) != 0)
			(void)leased_err_prefix(&err, "%s", FIELD_FAILED);
		api_reply_error(request, 0, &err);
	} else {
		api_request_warn_unknown(request, unknown, role_names);
		role_warn_units(request);
		auth_unix_role_put(auth, request->captures[0], data, api_on_written, request);
	}
	json_decref(unknown);
}

void
api_auth_unix_roles(struct api_request *request)
{
	json_t *names = json_array(), *sorted = NULL;

	if (names != NULL && auth_unix_role_names(request->api->config.auth, names) == 0)
		sorted = auth_names_sort(names);
	json_decref(names);
	if (sorted == NULL)
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory");
	else
		api_reply_keys(request, sorted);
}
