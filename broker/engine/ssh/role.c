/*
 * roles/:name of an SSH mount: who may be certified as what, for how long. The document is what is
 * told of it: every field with its value, so that reading one and writing it back changes nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/utf8.h"
#include "engine/database.h"
#include "engine/document.h"
#include "engine/ssh/role.h"
#include "engine/ssh/words.h"

#define FIELD(member, kind) JDEC_FIELD(struct ssh_role_body, member, kind)
#define UNUSED(name)                                                                               \
	{                                                                                          \
		name, JDEC_IGNORED, 0, JDEC_NO_PRESENT                                             \
	}

static const struct jdec_field role_fields[] = {
    FIELD(key_type, JDEC_STRING),
    FIELD(allow_user_certificates, JDEC_BOOL),
    FIELD(allow_host_certificates, JDEC_BOOL),
    FIELD(allowed_users, JDEC_JSON),
    FIELD(allowed_users_template, JDEC_BOOL),
    FIELD(default_user, JDEC_STRING),
    FIELD(default_user_template, JDEC_BOOL),
    FIELD(allowed_domains, JDEC_JSON),
    FIELD(allowed_domains_template, JDEC_BOOL),
    FIELD(allow_bare_domains, JDEC_BOOL),
    FIELD(allow_subdomains, JDEC_BOOL),
    FIELD(ttl, JDEC_DURATION_S),
    FIELD(max_ttl, JDEC_DURATION_S),
    FIELD(allowed_critical_options, JDEC_STRING),
    FIELD(allowed_extensions, JDEC_STRING),
    FIELD(default_critical_options, JDEC_STRING_MAP),
    FIELD(default_extensions, JDEC_STRING_MAP),
    FIELD(default_extensions_template, JDEC_BOOL),
    FIELD(allow_user_key_ids, JDEC_BOOL),
    FIELD(key_id_format, JDEC_STRING),
    FIELD(allowed_user_key_lengths, JDEC_JSON),
    FIELD(algorithm_signer, JDEC_STRING),
    FIELD(not_before_duration, JDEC_DURATION_S),
    FIELD(allow_empty_principals, JDEC_BOOL),
    FIELD(issuer_ref, JDEC_STRING),
    FIELD(max_leases, JDEC_INT),
    FIELD(lease_owner, JDEC_STRING),
    FIELD(source_address, JDEC_COMMA_LIST),
    FIELD(force_command, JDEC_STRING),
    FIELD(verify_required, JDEC_BOOL),
    UNUSED("name"),
    UNUSED("key"),
    UNUSED("admin_user"),
    UNUSED("cidr_list"),
    UNUSED("exclude_cidr_list"),
    UNUSED("port"),
    UNUSED("key_bits"),
    UNUSED("install_script"),
    UNUSED("key_option_specs"),
    JDEC_END,
};
static const char *const role_names[] = {"key_type", "allow_user_certificates",
    "allow_host_certificates", "allowed_users", "allowed_users_template", "default_user",
    "default_user_template", "allowed_domains", "allowed_domains_template", "allow_bare_domains",
    "allow_subdomains", "ttl", "max_ttl", "allowed_critical_options", "allowed_extensions",
    "default_critical_options", "default_extensions", "default_extensions_template",
    "allow_user_key_ids", "key_id_format", "allowed_user_key_lengths", "algorithm_signer",
    "not_before_duration", "issuer_ref", "max_leases", "lease_owner", "source_address",
    "force_command", "verify_required", NULL};

struct role_write {
	struct engine_change change; /* first */
	struct ssh_role_body body;
	struct store_doc *doc;
};

static void
role_write_free(void *state)
{
	struct role_write *write = state;

	jdec_clear(role_fields, &write->body);
	store_doc_free(write->doc);
	free(write);
}

void
engine_ssh_role_read(struct engine_request_copy *request)
{
	engine_database_role_read(request); /* a role's document is what is told of it */
}

/* ---- list ---- */

struct role_list {
	engine_reply_done done;
	void *arg;
};

/* Clients of this type expect to be told the kind of each. */
static void
on_listed(void *arg, const struct engine_reply *reply)
{
	struct role_list *list = arg;
	struct engine_reply own = *reply;
	json_t *infos = json_object();
	const json_t *key;
	size_t i;

	json_array_foreach(json_object_get(reply->data, "keys"), i, key)(void) json_object_set_new(
	    infos, json_string_value(key), json_pack("{s:s}", "key_type", "ca"));
	if (reply->data != NULL)
		own.data = json_pack(
		    "{s:O,s:O}", "keys", json_object_get(reply->data, "keys"), "key_info", infos);
	json_decref(infos);
	list->done(list->arg, &own);
	if (reply->data != NULL)
		json_decref(own.data);
	free(list);
}

void
engine_ssh_role_list(struct engine_request_copy *request)
{
	struct role_list *list = calloc(1, sizeof(*list));

	if (list == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	*list = (struct role_list){request->done, request->arg};
	request->done = on_listed;
	request->arg = list;
	engine_list_docs(request, "role");
}

/* ---- write ---- */

/* Text or array, as given: what is stored is what is told, and Vault's clients send texts. */
static json_t *
shown(json_t *value)
{
	return (value != NULL && !json_is_null(value) ? json_incref(value) : json_string(""));
}

static json_t *
map(json_t *value)
{
	return (json_is_object(value) ? json_incref(value) : json_object());
}

static const char *
text(const char *value, const char *otherwise)
{
	return (value != NULL && value[0] != '\0' ? value : otherwise);
}

/* Who was told nothing gets a terminal; who was told {} gets none. */
static json_t *
extensions(const struct ssh_role_body *body)
{
	if (body->default_extensions != NULL)
		return (json_incref(body->default_extensions));
	return (
	    body->allow_user_certificates ? json_pack("{s:s}", "permit-pty", "") : json_object());
}

static json_t *
role_data(const struct ssh_role_body *body)
{
	json_t *data = json_pack("{s:s,s:b,s:b,s:o,s:b,s:s,s:b,s:o,s:b,s:b,s:b,s:I,s:I}",
	    "key_type", "ca", "allow_user_certificates", (int)body->allow_user_certificates,
	    "allow_host_certificates", (int)body->allow_host_certificates, "allowed_users",
	    shown(body->allowed_users), "allowed_users_template", (int)body->allowed_users_template,
	    "default_user", text(body->default_user, ""), "default_user_template",
	    (int)body->default_user_template, "allowed_domains", shown(body->allowed_domains),
	    "allowed_domains_template", (int)body->allowed_domains_template, "allow_bare_domains",
	    (int)body->allow_bare_domains, "allow_subdomains", (int)body->allow_subdomains, "ttl",
	    (json_int_t)body->ttl, "max_ttl", (json_int_t)body->max_ttl);
	json_t *more =
	    json_pack("{s:s,s:s,s:o,s:o,s:b,s:b,s:s,s:o,s:s,s:I,s:b,s:s,s:I,s:s,s:o,s:s,s:b}",
		"allowed_critical_options", text(body->allowed_critical_options, ""),
		"allowed_extensions", text(body->allowed_extensions, ""),
		"default_critical_options", map(body->default_critical_options),
		"default_extensions", extensions(body), "default_extensions_template",
		(int)body->default_extensions_template, "allow_user_key_ids",
		(int)body->allow_user_key_ids, "key_id_format", text(body->key_id_format, ""),
		"allowed_user_key_lengths", map(body->allowed_user_key_lengths), "algorithm_signer",
		text(body->algorithm_signer, "default"), "not_before_duration",
		(json_int_t)body->not_before_duration, "allow_empty_principals", 0, "issuer_ref",
		text(body->issuer_ref, "default"), "max_leases", (json_int_t)body->max_leases,
		"lease_owner", text(body->lease_owner, "token"), "source_address",
		engine_list_json(&body->source_address), "force_command",
		text(body->force_command, ""), "verify_required", (int)body->verify_required);

	if (data == NULL || more == NULL || json_object_update(data, more) != 0) {
		json_decref(data);
		data = NULL;
	}
	json_decref(more);
	return (data);
}

/* The body over what is stored: fields that it leaves out keep their value. */
static int
role_decode(struct engine_request_copy *request, struct role_write *write,
    const struct store_doc *current, struct leased_err *err)
{
	json_t *merged = current != NULL ? json_copy(current->data) : json_object();
	json_t *unknown = NULL, *value;
	const char *key;
	int r = merged == NULL ? -1 : 0;

	json_object_foreach(request->body, key, value)
	{
		if (r == 0 && !json_is_null(value))
			r = json_object_set(merged, key, value);
	}
	if (r != 0) {
		json_decref(merged);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	write->body.not_before_duration = SSH_NOT_BEFORE_S;
	r = jdec_decode(merged, role_fields, &write->body, &unknown, err);
	json_decref(merged);
	if (r == 0)
		engine_warn_unknown(request, unknown, role_names);
	json_decref(unknown);
	return (r);
}

static int
doc_build(struct engine_request_copy *request, struct role_write *write,
    const struct store_doc *current, struct leased_err *err)
{
	json_t *data = role_data(&write->body);

	if (data != NULL && json_dumpb(data, NULL, 0, JSON_COMPACT) > SSH_ROLE_MAX) {
		json_decref(data);
		return (leased_err_set(
		    err, LEASED_EINVAL, "the role is longer than %d bytes", SSH_ROLE_MAX));
	}
	write->doc = engine_doc_new("role", request->mount_id, request->name, data);
	if (write->doc == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (current != NULL) {
		write->doc->id = current->id;
		write->doc->version = current->version;
	}
	return (0);
}

static void
on_written(void *arg, int code, const struct leased_err *err)
{
	struct engine_request_copy *request = arg;

	if (code == LEASED_ECONFLICT || code == LEASED_EEXIST) {
		request->reply.status = 409;
		engine_fail(request, LEASED_ECONFLICT,
		    "role %s was changed by somebody else meanwhile; read it and write again",
		    request->name);
	} else if (code != 0)
		engine_fail_err(request, err);
	else
		engine_finish(request);
}

void
engine_ssh_role_write(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *current = NULL;
	struct role_write *write;
	bool damaged = false;
	int r;

	if ((write = calloc(1, sizeof(*write))) == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	request->state = write;
	request->free_state = role_write_free;
	r = engine_doc_get_any(
	    request->engines, "role", request->mount_id, request->name, &current, &damaged, &err);
	if (r == 0 && (r = role_decode(request, write, current, &err)) == 0 &&
	    (r = engine_ssh_role_check(&write->body, &err)) == 0)
		r = doc_build(request, write, current, &err);
	store_doc_free(current);
	if (damaged)
		engine_doc_tell_replaced(request, r, &err);
	if (r != 0) {
		engine_fail_err(request, &err);
		return;
	}
	if (write->body.algorithm_signer != NULL &&
	    strcmp(write->body.algorithm_signer, "rsa-sha2-256") == 0)
		engine_warn(request, "an RSA key of a CA signs by rsa-sha2-512 here");
	write->change.puts[0] = write->doc;
	write->change.mount = request->mount_id;
	write->change.done = on_written;
	write->change.arg = request;
	engine_change_submit(request->engines, &write->change);
}
