/*
 * Policies and capabilities over the API (contract 2.3, 2.11), by the new paths and by the old
 * ones. What a policy says and where it is kept is not decided here.
 */
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"
#include "api/handlers.h"
#include "api/reply.h"

struct policy_body {
	char *policy, *rules;
};

static const struct jdec_field policy_fields[] = {
    JDEC_FIELD(struct policy_body, policy, JDEC_STRING),
    JDEC_FIELD(struct policy_body, rules, JDEC_STRING), {"name", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END};

/* The name of the path in normal form; the request is answered when it is none. */
static bool
policy_name(struct api_request *request, char ret_name[POLICY_NAME_SIZE])
{
	struct leased_err err = LEASED_ERR_INIT;
	const char *name = request->captures[0];

	if (policy_name_is_root(name)) {
		(void)strlcpy(ret_name, "root", POLICY_NAME_SIZE);
		return (true);
	}
	if (policy_name_normalize(name, ret_name, &err) != 0) {
		api_reply_error(request, 0, &err);
		return (false);
	}
	if (strcmp(name, ret_name) != 0 && request->operation == API_WRITE)
		api_request_warn(request, "policy name was converted to \"%s\"", ret_name);
	return (true);
}

static void
policy_read(struct api_request *request, const char *name, const char *field)
{
	struct leased_err err = LEASED_ERR_INIT;
	char *text = NULL;
	int r;

	r = auth_policy_get(request->api->config.auth, name, &text, &err);
	if (r == LEASED_ENOENT)
		api_reply_empty_errors(request, 404);
	else if (r != 0)
		api_reply_error(request, 0, &err);
	else
		api_reply_data(request, json_pack("{s:s, s:s}", "name", name, field, text));
	free(text);
}

static void
policy_write(struct api_request *request, const char *name, bool legacy)
{
	struct policy_body body = {0};
	const char *text;

	if (!api_request_decode(request, policy_fields, &body))
		return;
	text = body.policy;
	if (text == NULL && legacy)
		text = body.rules;
	if (text == NULL || text[0] == '\0')
		api_reply_refuse(request, LEASED_EINVAL,
		    "'policy' parameter not supplied or empty: it holds the policy's text");
	else
		auth_policy_put(request->api->config.auth, name, text, api_on_written, request);
	jdec_clear(policy_fields, &body);
}

static void
policy_handle(struct api_request *request, const char *field, bool legacy)
{
	char name[POLICY_NAME_SIZE];

	if (!policy_name(request, name))
		return;
	if (request->operation == API_READ)
		policy_read(request, name, field);
	else if (request->operation == API_WRITE)
		policy_write(request, name, legacy);
	else
		auth_policy_delete(request->api->config.auth, name, api_on_written, request);
}

void
api_sys_policy(struct api_request *request)
{
	policy_handle(request, "policy", false);
}

void
api_sys_policy_legacy(struct api_request *request)
{
	policy_handle(request, "rules", true);
}

static void
policies_list(struct api_request *request, bool legacy)
{
	json_t *names = json_array();

	if (names == NULL || auth_policy_builtin_names(request->api->config.auth, names) != 0) {
		json_decref(names);
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	api_list_documents(request, "policy", names, legacy);
}

void
api_sys_policies(struct api_request *request)
{
	policies_list(request, false);
}

void
api_sys_policies_legacy(struct api_request *request)
{
	policies_list(request, true);
}

/* ---- capabilities ---- */

struct capabilities_body {
	struct jdec_list paths, path;
	struct leased_secret *token;
};

static const struct jdec_field capabilities_fields[] = {
    JDEC_FIELD(struct capabilities_body, paths, JDEC_COMMA_LIST),
    JDEC_FIELD(struct capabilities_body, path, JDEC_COMMA_LIST),
    JDEC_FIELD(struct capabilities_body, token, JDEC_SECRET), JDEC_END};

#define CAPABILITY_PATHS_MAX 100 /* each is compared with all rules of the caller, on the loop */

/* Another path that whoever asks for this one must be allowed to read: is he not? */
static bool
lacks_other(struct api_request *request, const struct policy_acl *acl, const char *path)
{
	const char *rest = "";
	const struct engine_mount *mount = engines_route(request->api->config.engines, path, &rest);
	char other[API_ALSO_SIZE];

	return (mount != NULL && engine_also_reads(mount, rest, other, sizeof(other)) &&
		!policy_acl_allows(acl, other, POLICY_READ));
}

static json_t *
capabilities_of(struct api_request *request, const struct policy_acl *acl, const char *path)
{
	const char *names[POLICY_CAPABILITY_COUNT] = {"deny"};
	json_t *list = json_array();
	size_t count = 1;
	int r = 0;

	if (!lacks_other(request, acl, path))
		count = policy_acl_capabilities(acl, path, names);
	for (size_t i = 0; i < count; i++)
		r |= json_array_append_new(list, json_string(names[i]));
	if (r == 0)
		return (list);
	json_decref(list);
	return (NULL);
}

static void
capabilities_reply(
    struct api_request *request, const struct capabilities_body *body, const struct policy_acl *acl)
{
	const struct jdec_list *paths = body->paths.count > 0 ? &body->paths : &body->path;
	json_t *data = json_object();
	int r = 0;

	if (paths->count == 0 || paths->count > CAPABILITY_PATHS_MAX) {
		json_decref(data);
		api_reply_refuse(request, LEASED_EINVAL,
		    "paths names %zu paths: 1 to %d can be asked about at once", paths->count,
		    CAPABILITY_PATHS_MAX);
		return;
	}
	for (size_t i = 0; i < paths->count; i++)
		r |= json_object_set_new(
		    data, paths->items[i], capabilities_of(request, acl, paths->items[i]));
	if (paths->count == 1)
		r |= json_object_set_new(
		    data, "capabilities", capabilities_of(request, acl, paths->items[0]));
	if (r != 0) {
		json_decref(data);
		data = NULL;
	}
	api_reply_data(request, data);
}

void
api_sys_capabilities_self(struct api_request *request)
{
	struct capabilities_body body = {0};

	if (!api_request_decode(request, capabilities_fields, &body))
		return;
	capabilities_reply(request, &body, request->identity->acl);
	jdec_clear(capabilities_fields, &body);
}

void
api_sys_capabilities(struct api_request *request)
{
	struct auth *auth = request->api->config.auth;
	struct capabilities_body body = {0};
	struct auth_token token = {0};
	struct auth_identity *identity = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (!api_request_decode(request, capabilities_fields, &body))
		return;
	if (body.token == NULL || leased_secret_len(body.token) == 0) {
		api_reply_refuse(request, LEASED_EINVAL,
		    "token is missing: for your own capabilities ask sys/capabilities-self");
		goto out;
	}
	r = auth_token_find(auth, leased_secret_reveal(body.token), &token, &err);
	if (r == LEASED_ENOENT)
		r = leased_err_set(&err, LEASED_EINVAL, "invalid token");
	if (r == 0)
		r = auth_token_identity(auth, &token, &identity, &err);
	if (r != 0)
		api_reply_error(request, 0, &err);
	else
		capabilities_reply(request, &body, identity->acl);
out:
	auth_identity_release(identity);
	auth_token_clear(&token);
	jdec_clear(capabilities_fields, &body);
}
