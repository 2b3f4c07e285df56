/*
 * database/creds/:role: a fresh account, by lease/. Here is only who may have one of which role on
 * which connection, and what the answer says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/database_role.h"
#include "engine/document.h"

struct creds {
	struct engine_request_copy *request;
	struct engine_role *role;
	int64_t connection;
	char place[300], owner[64];
};

static void
creds_free(void *state)
{
	struct creds *creds = state;

	engine_role_free(creds->role);
	free(creds);
}

void
engine_issue_fill(struct engine_request_copy *request, const struct engine_role *role,
    int64_t connection, const char *place, struct lease_issue *ret_issue)
{
	struct lease_issue issue = {.mount = request->mount_id,
	    .place = place,
	    .connection = connection,
	    .role_version = role->role_version,
	    .role_name = role->name,
	    .display_name = request->display_name,
	    .owner = "",
	    .entity = request->entity,
	    .cause = request->request_id};
	const struct engine_mount *mount = engine_mount_find(request->engines, request->mount_id);
	const struct engine_connection *opened =
	    engine_connection_find(request->engines, connection);

	issue.ttl.role_ttl_s = role->ttl_s;
	issue.ttl.role_max_s = role->max_ttl_s;
	issue.ttl.owner_left_s = -1;
	if (opened != NULL)
		issue.name_max = (unsigned)json_integer_value(
		    json_object_get(plugin_port_description(opened->port), "name_max"));
	if (mount != NULL)
		engine_mount_ttls(
		    request->engines, mount, &issue.ttl.mount_default_s, &issue.ttl.mount_max_s);
	(void)snprintf(issue.caps[0].counter, sizeof(issue.caps[0].counter), "conn:%lld",
	    (long long)connection);
	issue.caps[0].limit = opened != NULL && opened->ceiling > 0
				  ? opened->ceiling
				  : request->engines->config.connection_ceiling;
	issue.caps[0].what = "max_leases of the connection";
	(void)snprintf(
	    issue.caps[1].counter, sizeof(issue.caps[1].counter), "role:%lld", (long long)role->id);
	issue.caps[1].limit = role->max_leases;
	issue.caps[1].what = "max_leases of this role";
	if (request->entity[0] != '\0') {
		(void)snprintf(issue.caps[2].counter, sizeof(issue.caps[2].counter), "entity:%s",
		    request->entity);
		issue.caps[2].limit = request->max_leases;
		issue.caps[2].what = "max_leases of your identity";
	}
	*ret_issue = issue;
}

/* scheme, host, port, database. */
void
engine_tell_endpoint(struct engine_request_copy *request, int64_t id)
{
	const struct engine_connection *connection = engine_connection_find(request->engines, id);
	const json_t *endpoint;

	if (connection == NULL)
		return;
	endpoint = json_object_get(connection->port->opened, "endpoint");
	(void)json_object_update_missing(request->reply.data, (json_t *)(uintptr_t)endpoint);
}

void
engine_warn_of_backend(struct engine_request_copy *request, const struct plugin_port *port)
{
	const json_t *warning;
	size_t i;

	json_array_foreach(json_object_get(port->opened, "warnings"), i, warning)
	    engine_warn(request, "%s", json_string_value(warning));
}

/* The login, and what the plugin has for the client besides, which replaces nothing of it. NULL:
 * out of memory. */
static json_t *
login_of(const struct lease_issued *issued, const struct engine_connection *connection)
{
	json_t *login = json_pack("{s:s}", "username", issued->account);
	int r = login != NULL ? 0 : -1;

	if (r == 0 && (connection == NULL || plugin_port_says(connection->port, "password", true)))
		r = json_object_set_new(login, "password",
		    json_stringn(leased_secret_reveal(issued->password),
			leased_secret_len(issued->password)));
	if (r == 0 && issued->values != NULL)
		r = json_object_update_missing(login, (json_t *)(uintptr_t)issued->values);
	if (r == 0)
		return (login);
	json_decref(login);
	return (NULL);
}

/* What the connection says of itself. It is asked behind the mint: before it, no worker may have
 * been opened yet. */
static void
tell_of_backend(struct engine_request_copy *request, int64_t id)
{
	const struct engine_connection *connection = engine_connection_find(request->engines, id);

	if (connection == NULL)
		return;
	engine_tell_endpoint(request, id);
	engine_warn_of_backend(request, connection->port);
	if (!plugin_port_says(connection->port, "native_expiry", false))
		engine_warn(request,
		    "this backend does not expire accounts by itself: should leased be gone for "
		    "good, this account stays until somebody removes it");
}

static void
on_issued(void *arg, const struct lease_issued *issued)
{
	struct engine_request_copy *request = arg;
	struct creds *creds = request->state;
	const json_t *warning;
	size_t i;

	if (issued->code != 0) {
		engine_fail(request, issued->code, "%s", issued->err.text);
		return;
	}
	request->reply.data =
	    login_of(issued, engine_connection_find(request->engines, creds->connection));
	json_array_foreach(issued->warnings, i, warning)
	    engine_warn(request, "%s", json_string_value(warning));
	tell_of_backend(request, creds->connection);
	request->reply.lease_id = issued->lease_id;
	request->reply.lease_row = issued->row;
	request->reply.lease_duration_s = issued->ttl_s;
	request->reply.renewable = true;
	if (request->reply.data == NULL) {
		/* Nobody can have it: say that it was lost, so that it is taken back at once. */
		lease_delivery(request->engines->leases, issued->row, false);
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	engine_finish(request);
}

/* '*' stands for any text, also none; nothing else is special. */
static bool
glob_match(const char *pattern, const char *text)
{
	const char *star = NULL, *again = NULL;

	while (*text != '\0') {
		if (*pattern == '*') {
			star = pattern++;
			again = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star != NULL) {
			pattern = star + 1;
			text = ++again;
		} else
			return (false);
	}
	return (pattern[strspn(pattern, "*")] == '\0');
}

/* The connection's document lists who may use it: names, or globs with '*'. */
bool
engine_role_is_allowed(const json_t *allowed, const char *role)
{
	const json_t *pattern;
	size_t i;

	json_array_foreach(allowed, i, pattern)
	{
		if (json_is_string(pattern) && glob_match(json_string_value(pattern), role))
			return (true);
	}
	return (false);
}

/* The role may have been written while its connection could not be asked, or led to another kind of
 * backend: what is a quoted text to the one need not be one to the other. */
static int
dialect_check(const struct engine_role *role, const struct engine_connection *connection,
    const struct store_doc *doc, struct leased_err *err)
{
	const json_t *description = engine_description(connection, doc);

	if (role->dialect[0] == '\0' || description == NULL ||
	    strcmp(role->dialect, engine_role_dialect(description)) == 0)
		return (0);
	return (leased_err_set(err, LEASED_EINVAL,
	    "the statements of role %s were read as those of another kind of backend (%s) than "
	    "connection %s is now (%s): write the role once more",
	    role->name, role->dialect, UTF8_SHORT(role->db_name, 100),
	    engine_role_dialect(description)));
}

static int
creds_connection(
    struct creds *creds, struct engine_connection **ret_connection, struct leased_err *err)
{
	struct engine_request_copy *request = creds->request;
	struct engine_connection *connection;
	struct store_doc *doc = NULL;
	int r;

	r = engine_doc_get(
	    request->engines, "connection", request->mount_id, creds->role->db_name, &doc, err);
	if (r == LEASED_ENOENT)
		return (leased_err_set(err, LEASED_EINVAL,
		    "role %s uses connection %s, which is not configured: write "
		    "%sconfig/%s first",
		    request->name, UTF8_SHORT(creds->role->db_name, 200),
		    engine_mount_path(request->mount), UTF8_SHORT(creds->role->db_name, 200)));
	if (r != 0)
		return (r);
	connection = engine_connection_find(request->engines, doc->id);
	if (!engine_role_is_allowed(json_object_get(doc->data, "allowed_roles"), request->name))
		r = leased_err_set(err, LEASED_EINVAL,
		    "\"%s\" is not an allowed role of connection %s: add it to allowed_roles",
		    request->name, UTF8_SHORT(creds->role->db_name, 200));
	else if (connection == NULL || connection->closing)
		r = leased_err_set(err, LEASED_EUNAVAIL, "connection %s is not open",
		    UTF8_SHORT(creds->role->db_name, 200));
	else if ((r = engine_connection_stays(connection, err)) == 0)
		r = dialect_check(creds->role, connection, doc, err);
	store_doc_free(doc);
	*ret_connection = connection;
	return (r);
}

static void
creds_issue(struct creds *creds, struct engine_connection *connection)
{
	struct engine_request_copy *request = creds->request;
	struct lease_issue issue;

	(void)snprintf(creds->place, sizeof(creds->place), "creds/%s", request->name);
	engine_issue_fill(request, creds->role, connection->id, creds->place, &issue);
	if (request->token != 0 &&
	    !(creds->role->owned_by_identity && request->entity[0] != '\0')) {
		(void)snprintf(
		    creds->owner, sizeof(creds->owner), "token:%lld", (long long)request->token);
		issue.owner_token = request->token;
		issue.ttl.owner_left_s = request->token_left_s;
	} else
		(void)snprintf(creds->owner, sizeof(creds->owner), "entity:%s", request->entity);
	issue.owner = creds->owner;
	/* In this turn of the loop, as everything since the connection was looked up: a delete that
	 * comes after it sees the INTENT. */
	creds->connection = connection->id;
	lease_issue_start(request->engines->leases, &issue, on_issued, request);
}

void
engine_database_creds(struct engine_request_copy *request)
{
	struct engine_connection *connection = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	struct creds *creds;
	int r;

	if (request->head) {
		request->reply.status = 405;
		engine_fail(request, LEASED_EINVAL, "HEAD would make an account; use GET");
		return;
	}
	if ((creds = calloc(1, sizeof(*creds))) == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	creds->request = request;
	request->state = creds;
	request->free_state = creds_free;
	r = engine_role_load(
	    request->engines, request->mount_id, request->name, &creds->role, &err);
	if (r == LEASED_ENOENT) {
		engine_fail(request, LEASED_EINVAL, "unknown role: %s", request->name);
		return;
	}
	if (r == 0)
		r = creds_connection(creds, &connection, &err);
	if (r != 0) {
		engine_fail_err(request, &err);
		return;
	}
	creds_issue(creds, connection);
}

bool
engine_database_renew_inputs(struct engines *engines, const struct engine_mount *mount,
    const struct store_lease *row, struct lease_ttl_input *ret_ttl)
{
	struct lease_ttl_input input = {.owner_left_s = -1};
	struct engine_role *role = NULL;
	const char *slash = strchr(row->place, '/');

	if (slash == NULL || engine_role_load(engines, row->mount, slash + 1, &role, NULL) != 0)
		return (false);
	input.role_ttl_s = role->ttl_s;
	input.role_max_s = role->max_ttl_s;
	engine_mount_ttls(engines, mount, &input.mount_default_s, &input.mount_max_s);
	engine_role_free(role);
	*ret_ttl = input;
	return (true);
}
