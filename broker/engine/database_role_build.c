/*
 * What a role's settings must be, and the role version that is made of them: the statements parsed,
 * the names that the backend takes. database_role.c stores and tries it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/utf8.h"
#include "engine/database_role.h"
#include "engine/sqltemplate.h"

#define NAME_MAX_UNKNOWN 63 /* until a connection says what its backend takes */

/* ---- write: check ---- */

static int
owned_objects_check(const struct engine_role_body *body, struct leased_err *err)
{
	const char *owned = body->owned_objects;

	if (owned == NULL || owned[0] == '\0' || strcmp(owned, "keep") == 0 ||
	    strcmp(owned, "drop") == 0 ||
	    (strncmp(owned, "reassign ", strlen("reassign ")) == 0 &&
		owned[strlen("reassign ")] != '\0'))
		return (0);
	return (leased_err_set(err, LEASED_EINVAL,
	    "owned_objects: \"%s\" is none of keep, drop, \"reassign ROLE\"",
	    UTF8_SHORT(owned, 64)));
}

static int
role_check_ttls(struct engine_role_write *write, struct leased_err *err)
{
	const struct engine_role_body *body = &write->body;
	struct lease_ttl_input input = {.owner_left_s = -1};
	struct lease_ttl ttl;

	engine_mount_ttls(write->request->engines, write->request->mount, &input.mount_default_s,
	    &input.mount_max_s);
	if (body->max_ttl > 0 && body->default_ttl > body->max_ttl)
		return (leased_err_set(err, LEASED_EINVAL,
		    "max_ttl (%lld s) is below default_ttl (%lld s)", (long long)body->max_ttl,
		    (long long)body->default_ttl));
	input.role_ttl_s = body->default_ttl;
	input.role_max_s = body->max_ttl;
	/* The same arithmetic as at the mint, so that a role cannot be written that none could be
	 * made of. */
	if (lease_ttl_compute(&input, &ttl, err) != 0)
		return (leased_err_prefix(err, "TTLs of role %s", write->request->name));
	if (ttl.warning[0] != '\0')
		engine_warn(write->request, "%s", ttl.warning);
	return (0);
}

int
engine_role_check(struct engine_role_write *write, struct leased_err *err)
{
	const struct engine_role_body *body = &write->body;
	json_int_t name_max = json_integer_value(json_object_get(write->description, "name_max"));
	int r;

	if (body->db_name == NULL || body->db_name[0] == '\0')
		return (leased_err_set(err, LEASED_EINVAL,
		    "empty database name: set db_name to the name of a connection "
		    "(database/config/NAME)"));
	if (!path_is_name(body->db_name, strlen(body->db_name)))
		return (leased_err_set(err, LEASED_EINVAL,
		    "db_name: \"%s\" cannot be the name of a connection",
		    UTF8_SHORT(body->db_name, 64)));
	if (body->credential_type != NULL && body->credential_type[0] != '\0' &&
	    strcmp(body->credential_type, "password") != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "credential_type %s is not available in this version; only password is",
		    UTF8_SHORT(body->credential_type, 64)));
	if (json_object_size(body->credential_config) > 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "credential_config is not available in this version"));
	if (body->max_leases < 0)
		return (
		    leased_err_set(err, LEASED_EINVAL, "max_leases must be 0 (no cap) or more"));
	if (body->lease_owner != NULL && body->lease_owner[0] != '\0' &&
	    strcmp(body->lease_owner, "token") != 0 && strcmp(body->lease_owner, "identity") != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "lease_owner: \"%s\" is neither token nor identity",
		    UTF8_SHORT(body->lease_owner, 64)));
	if ((r = engine_role_needs_check(write, err)) != 0)
		return (r);
	if (body->creation_statements.count > 0 && body->grant_roles.count > 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "grant_roles belongs to the statements that leased makes by itself; beside "
		    "creation_statements nothing would be granted: write GRANT .. TO "
		    "\"{{name}}\" among them, and leave grant_roles out (where it is stored, "
		    "send it empty)"));
	if (body->username_template != NULL && body->username_template[0] != '\0' &&
	    (r = lease_template_check(body->username_template,
		 name_max > 0 ? (unsigned)name_max : NAME_MAX_UNKNOWN, err)) != 0)
		return (r);
	if ((r = owned_objects_check(body, err)) != 0)
		return (r);
	return (role_check_ttls(write, err));
}

/* ---- write: build ---- */

const char *
engine_role_dialect(const json_t *description)
{
	return (engine_text_or(
	    json_string_value(json_object_get(description, "dialect")), "postgresql"));
}

/* Parses a list of statement texts into plugin_role[field]. */
static int
statements_build(struct engine_role_write *write, const char *field, const struct jdec_list *texts,
    unsigned slots, json_t *plugin_role, unsigned *ret_used, struct leased_err *err)
{
	const char *dialect = engine_role_dialect(write->description);
	json_t *elements = NULL;
	int r = 0;

	if (texts->count == 0)
		return (0);
	if (strcmp(dialect, "text") == 0)
		elements = engine_list_json(texts);
	else
		r = engine_sqltemplate_list(field, texts,
		    strcmp(dialect, "mysql") == 0 ? ENGINE_SQLTEMPLATE_MYSQL
						  : ENGINE_SQLTEMPLATE_POSTGRESQL,
		    slots, &elements, ret_used, err);
	if (r == LEASED_EINVAL && write->description == NULL)
		return (leased_err_prefix(err,
		    "connection %s cannot be asked what it takes, so that statements are read as "
		    "PostgreSQL's",
		    UTF8_SHORT(write->body.db_name, 100)));
	if (r == 0 && json_object_set_new(plugin_role, field, elements) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	return (r);
}

/* Every setting that travels must be one that the plugin knows, once it has said which. */
static int
plugin_role_check(
    const struct engine_role_write *write, json_t *plugin_role, struct leased_err *err)
{
	const char *key;
	json_t *value;

	if (json_object_get(write->description, "role_fields") == NULL)
		return (0);
	json_object_foreach(plugin_role, key, value)
	{
		if (!plugin_role_lists(write->description, key))
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s: the plugin of connection %s has no such role setting", key,
			    write->body.db_name));
	}
	return (0);
}

/* Copies: documents go to the writer's thread. */
static int
own_put(json_t *object, json_t *own)
{
	const char *key;
	json_t *value;

	json_object_foreach(own, key, value)
	{
		if (json_object_set_new(object, key, json_deep_copy(value)) != 0)
			return (-1);
	}
	return (0);
}

static int
plugin_role_build(struct engine_role_write *write, json_t *plugin_role, struct leased_err *err)
{
	const struct engine_role_body *body = &write->body;
	const unsigned name = ENGINE_SQLTEMPLATE_NAME, expiration = ENGINE_SQLTEMPLATE_EXPIRATION;
	unsigned used = name;
	int r;

	if ((r = statements_build(write, "creation_statements", &body->creation_statements,
		 name | expiration | ENGINE_SQLTEMPLATE_PASSWORD, plugin_role, &used, err)) != 0 ||
	    (r = statements_build(write, "revocation_statements", &body->revocation_statements,
		 name, plugin_role, NULL, err)) != 0 ||
	    (r = statements_build(write, "rollback_statements", &body->rollback_statements, name,
		 plugin_role, NULL, err)) != 0 ||
	    (r = statements_build(write, "renew_statements", &body->renew_statements,
		 name | expiration, plugin_role, NULL, err)) != 0)
		return (r);
	if ((used & name) == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "creation_statements never use {{name}}: they would make no account that could "
		    "be found again"));
	if (body->grant_roles.count > 0 && json_object_set_new(plugin_role, "grant_roles",
					       engine_list_json(&body->grant_roles)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (body->owned_objects != NULL && body->owned_objects[0] != '\0' &&
	    strcmp(body->owned_objects, "keep") != 0 &&
	    json_object_set_new(plugin_role, "owned_objects", json_string(body->owned_objects)) !=
		0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (own_put(plugin_role, write->own) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (plugin_role_check(write, plugin_role, err));
}

int
engine_role_version_build(struct engine_role_write *write, struct leased_err *err)
{
	const struct engine_role_body *body = &write->body;
	json_t *plugin_role, *data;
	char random[14], name[ENGINE_DOC_NAME_SIZE];
	json_int_t name_max = json_integer_value(json_object_get(write->description, "name_max"));
	int r;

	if ((plugin_role = json_object()) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((r = plugin_role_build(write, plugin_role, err)) != 0) {
		json_decref(plugin_role);
		return (r);
	}
	data = json_pack("{s:o, s:I, s:I, s:I}", "role", plugin_role, "ttl_s",
	    (json_int_t)body->default_ttl, "max_ttl_s", (json_int_t)body->max_ttl, "name_max",
	    name_max);
	if (data != NULL && body->username_template != NULL && body->username_template[0] != '\0' &&
	    json_object_set_new(data, "username_template", json_string(body->username_template)) !=
		0) {
		json_decref(data);
		data = NULL;
	}
	id_base36(write->request->engines->config.ids, sizeof(random) - 1, random);
	(void)snprintf(name, sizeof(name), "%.255s~%s", write->request->name, random);
	write->role_version = engine_doc_new("rolever", write->request->mount_id, name, data);
	return (
	    write->role_version != NULL ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

const char *
engine_text_or(const char *text, const char *otherwise)
{
	return (text != NULL && text[0] != '\0' ? text : otherwise);
}

/* Statements that were read as another backend's are not sent to this one (database_creds.c). */
static int
dialect_put(struct engine_role_write *write)
{
	const struct engine_role_body *body = &write->body;

	if (body->creation_statements.count + body->revocation_statements.count +
		body->rollback_statements.count + body->renew_statements.count ==
	    0)
		return (0);
	return (json_object_set_new(write->doc->data, ENGINE_ROLE_DIALECT,
	    json_string(engine_role_dialect(write->description))));
}

int
engine_role_doc_build(
    struct engine_role_write *write, const struct store_doc *current, struct leased_err *err)
{
	const struct engine_role_body *body = &write->body;

	write->doc = engine_doc_new("role", write->request->mount_id, write->request->name,
	    json_pack("{s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:s, s:{}, s:s, s:o, s:s, s:s, s:I}",
		"db_name", body->db_name, "creation_statements",
		engine_list_json(&body->creation_statements), "revocation_statements",
		engine_list_json(&body->revocation_statements), "rollback_statements",
		engine_list_json(&body->rollback_statements), "renew_statements",
		engine_list_json(&body->renew_statements), "default_ttl",
		(json_int_t)body->default_ttl, "max_ttl", (json_int_t)body->max_ttl,
		"credential_type", "password", "credential_config", "username_template",
		engine_text_or(body->username_template, ""), "grant_roles",
		engine_list_json(&body->grant_roles), "owned_objects",
		engine_text_or(body->owned_objects, "keep"), "lease_owner",
		engine_text_or(body->lease_owner, "token"), "max_leases",
		(json_int_t)body->max_leases));
	if (write->doc == NULL || own_put(write->doc->data, write->own) != 0 ||
	    dialect_put(write) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (current != NULL) {
		write->doc->id = current->id;
		write->doc->version = current->version;
	}
	return (0);
}
