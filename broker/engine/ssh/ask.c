/*
 * From a request for a certificate to all that will stand in it: role, key, principals, options,
 * times, key id. Nothing is begun before all of it is allowed. sign.c goes on from there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/document.h"
#include "engine/ssh/certificate.h"

struct ask_body {
	char *public_key, *cert_type, *key_id, *key_type;
	json_t *valid_principals, *critical_options, *extensions;
	int64_t ttl, key_bits;
};
static const struct jdec_field ask_fields[] = {
    JDEC_FIELD(struct ask_body, public_key, JDEC_STRING),
    JDEC_FIELD(struct ask_body, ttl, JDEC_DURATION_S),
    JDEC_FIELD(struct ask_body, valid_principals, JDEC_JSON),
    JDEC_FIELD(struct ask_body, cert_type, JDEC_STRING),
    JDEC_FIELD(struct ask_body, key_id, JDEC_STRING),
    JDEC_FIELD(struct ask_body, critical_options, JDEC_STRING_MAP),
    JDEC_FIELD(struct ask_body, extensions, JDEC_STRING_MAP),
    JDEC_FIELD(struct ask_body, key_type, JDEC_STRING),
    JDEC_FIELD(struct ask_body, key_bits, JDEC_INT),
    {"name", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"role", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END,
};
static const char *const ask_names[] = {"public_key", "ttl", "valid_principals", "cert_type",
    "key_id", "critical_options", "extensions", "key_type", "key_bits", NULL};

void
engine_ssh_certificate_free(void *state)
{
	struct ssh_certificate *certificate = state;

	store_doc_free(certificate->role);
	json_decref(certificate->private);
	json_decref(certificate->principals);
	json_decref(certificate->critical);
	json_decref(certificate->extensions);
	json_decref(certificate->asked);
	json_decref(certificate->critical_asked);
	json_decref(certificate->extensions_asked);
	free(certificate->key.line);
	free(certificate);
}

/* ---- key id ---- */

/* It stands in hosts' logs and in lists of revoked ones. */
static bool
is_key_id(const char *text)
{
	for (const char *at = text; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			return (false);
	return (strlen(text) <= SSH_KEY_ID_MAX);
}

/* The role's own form, whose slots are Vault's. */
static int
format_fill(struct engine_request_copy *request, struct ssh_certificate *certificate,
    const char *format, struct leased_err *err)
{
	const char *slots[][2] = {{"{{token_display_name}}", request->display_name},
	    {"{{role_name}}", request->name}, {"{{public_key_hash}}", certificate->key.hash}};
	char *to = certificate->own_key_id;
	size_t size = sizeof(certificate->own_key_id), used = 0, len;

	while (*format != '\0') {
		const char *piece = format;

		len = 1;
		for (size_t i = 0; i < 3; i++)
			if (strncmp(format, slots[i][0], strlen(slots[i][0])) == 0) {
				piece = slots[i][1];
				len = strlen(slots[i][0]);
			}
		used += (size_t)snprintf(to + used, size - used, "%.*s",
		    piece == format ? 1 : (int)strlen(piece), piece);
		format += len;
		if (used >= size)
			return (leased_err_set(err, LEASED_EINVAL,
			    "the key id by key_id_format is longer than %d bytes", SSH_KEY_ID_MAX));
	}
	return (0);
}

static int
key_id_choose(struct engine_request_copy *request, struct ssh_certificate *certificate,
    const char *asked, struct leased_err *err)
{
	const json_t *role = certificate->role->data;
	const char *format = engine_ssh_role_text(role, "key_id_format");

	if (asked != NULL && asked[0] != '\0') {
		if (!engine_ssh_role_is(role, "allow_user_key_ids"))
			return (leased_err_set(err, LEASED_EINVAL,
			    "setting key_id is not allowed by role (allow_user_key_ids)"));
		if (!is_key_id(asked))
			return (leased_err_set(err, LEASED_EINVAL,
			    "key_id: at most %d bytes, without control characters",
			    SSH_KEY_ID_MAX));
		(void)strlcpy(certificate->own_key_id, asked, sizeof(certificate->own_key_id));
		return (0);
	}
	if (format[0] == '\0')
		return (0);
	return (format_fill(request, certificate, format, err));
}

int
engine_ssh_key_id_make(struct engine_request_copy *request, struct ssh_certificate *certificate,
    struct leased_err *err)
{
	const char *who = request->entity[0] != '\0' ? request->entity : request->display_name;
	char *to = certificate->key_id;

	if (certificate->own_key_id[0] != '\0') {
		(void)strlcpy(to, certificate->own_key_id, sizeof(certificate->key_id));
	} else {
		char *text = NULL;

		if (asprintf(&text, "%s/%s/%s", certificate->lease_id, who, request->name) < 0)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		(void)strlcpy(to, text, sizeof(certificate->key_id)); /* cut: at most that */
		free(text);
	}
	for (; *to != '\0'; to++)
		if ((unsigned char)*to < ' ' || *to == 0x7f)
			*to = '_';
	utf8_mend(certificate->key_id);
	return (0);
}

/* ---- times and owner ---- */

static int
ttl_fill(struct engine_request_copy *request, struct ssh_certificate *certificate,
    struct leased_err *err)
{
	const json_t *role = certificate->role->data;
	struct lease_ttl_input *input = &certificate->ttl;
	int64_t now_s = engine_ssh_wall_s(request->engines), max_s;
	struct lease_ttl ttl = {0};
	int r;

	input->increment_s = certificate->ttl_asked_s;
	input->role_ttl_s = json_integer_value(json_object_get(role, "ttl"));
	input->role_max_s = json_integer_value(json_object_get(role, "max_ttl"));
	input->owner_left_s = -1;
	engine_mount_ttls(
	    request->engines, request->mount, &input->mount_default_s, &input->mount_max_s);
	max_s = input->role_max_s > 0 && input->role_max_s < input->mount_max_s
		    ? input->role_max_s
		    : input->mount_max_s;
	if (input->increment_s > max_s)
		return (leased_err_set(err, LEASED_EINVAL,
		    "ttl is larger than maximum allowed %lld", (long long)max_s));
	if (request->token != 0 &&
	    !(strcmp(engine_ssh_role_text(role, "lease_owner"), "identity") == 0 &&
		request->entity[0] != '\0')) {
		(void)snprintf(certificate->owner, sizeof(certificate->owner), "token:%lld",
		    (long long)request->token);
		certificate->owner_token = request->token;
		input->owner_left_s = request->token_left_s;
	} else
		(void)snprintf(
		    certificate->owner, sizeof(certificate->owner), "entity:%s", request->entity);
	input->start_ms = input->now_ms = leases_now_ms(request->engines->leases);
	if ((r = lease_ttl_compute(input, &ttl, err)) != 0)
		return (r);
	certificate->ttl_s = ttl.ttl_s;
	certificate->after_s =
	    now_s - json_integer_value(json_object_get(role, "not_before_duration"));
	certificate->before_s = now_s + ttl.ttl_s;
	return (0);
}

/* ---- what the role allows ---- */

static int
terms_fill(struct engine_request_copy *request, struct ssh_certificate *certificate,
    struct leased_err *err)
{
	struct ssh_ask ask = {.role = certificate->role->data,
	    .entity_id = request->entity,
	    .key_type = certificate->key.type,
	    .host = certificate->host,
	    .principals = certificate->asked,
	    .critical_options = certificate->critical_asked,
	    .extensions = certificate->extensions_asked};
	struct store_doc *entity = NULL;
	int r = LEASED_ENOENT;

	if (request->entity[0] != '\0')
		r = engine_doc_recall(request->engines, "entity", request->entity, &entity, err);
	if (r != 0 && r != LEASED_ENOENT)
		return (r);
	ask.entity = entity != NULL ? entity->data : NULL;
	if ((r = engine_ssh_terms_principals(&ask, &certificate->principals, err)) == 0)
		r = engine_ssh_terms_options(
		    &ask, &certificate->critical, &certificate->extensions, err);
	store_doc_free(entity);
	return (r);
}

static int
ca_choose(struct engine_request_copy *request, struct ssh_certificate *certificate,
    struct leased_err *err)
{
	struct ssh_mount *mount = engine_ssh_mount(request);
	const json_t *active = mount != NULL ? engine_ssh_ca_active(mount) : NULL;

	if (mount == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (active == NULL)
		return (engine_ssh_ca_missing(err));
	(void)strlcpy(certificate->kid, json_string_value(json_object_get(active, "kid")),
	    sizeof(certificate->kid));
	return (engine_ssh_ban_check(
	    mount, request->entity, certificate->key.fingerprint, certificate->own_key_id, err));
}

static int
prepare(struct engine_request_copy *request, struct ssh_certificate *certificate,
    const struct ask_body *body, struct leased_err *err)
{
	int r;

	if ((r = leases_time_check(request->engines->leases, err)) != 0 ||
	    (r = key_id_choose(request, certificate, body->key_id, err)) != 0 ||
	    (r = ca_choose(request, certificate, err)) != 0 ||
	    (r = terms_fill(request, certificate, err)) != 0)
		return (r);
	return (ttl_fill(request, certificate, err));
}

/* ---- the request ---- */

static int
kind_read(struct ssh_certificate *certificate, const char *kind, struct leased_err *err)
{
	const json_t *role = certificate->role->data;

	if (kind == NULL || kind[0] == '\0')
		kind = engine_ssh_role_is(role, "allow_user_certificates") ? "user" : "host";
	if (strcmp(kind, "user") != 0 && strcmp(kind, "host") != 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "cert_type must be either 'user' or 'host'"));
	certificate->host = strcmp(kind, "host") == 0;
	if (!engine_ssh_role_is(
		role, certificate->host ? "allow_host_certificates" : "allow_user_certificates"))
		return (leased_err_set(
		    err, LEASED_EINVAL, "cert_type '%s' is not allowed by role", kind));
	return (0);
}

static int
request_read(struct engine_request_copy *request, struct ssh_certificate *certificate,
    struct ask_body *body, struct leased_err *err)
{
	json_t *unknown = NULL;
	int r = engine_doc_look(
	    request->engines, "role", request->mount_id, request->name, &certificate->role, err);

	if (r == LEASED_ENOENT)
		return (leased_err_set(err, LEASED_EINVAL, "unknown role: %s", request->name));
	if (r == 0)
		r = jdec_decode(request->body, ask_fields, body, &unknown, err);
	engine_warn_unknown(request, unknown, ask_names);
	json_decref(unknown);
	if (r != 0 || (r = kind_read(certificate, body->cert_type, err)) != 0)
		return (r);
	certificate->ttl_asked_s = body->ttl;
	certificate->critical_asked = json_incref(body->critical_options);
	certificate->extensions_asked = json_incref(body->extensions);
	r = engine_ssh_principals_read(body->valid_principals, false, &certificate->asked, err);
	return (r == 0 ? 0 : leased_err_prefix(err, "valid_principals"));
}

static struct ssh_certificate *
certificate_new(struct engine_request_copy *request, const char *place)
{
	struct ssh_certificate *certificate = calloc(1, sizeof(*certificate));

	if (certificate == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return (NULL);
	}
	request->state = certificate;
	request->free_state = engine_ssh_certificate_free;
	(void)snprintf(
	    certificate->place, sizeof(certificate->place), "%s/%s", place, request->name);
	return (certificate);
}

void
engine_ssh_sign(struct engine_request_copy *request)
{
	struct ssh_certificate *certificate = certificate_new(request, "sign");
	struct leased_err err = LEASED_ERR_INIT;
	struct ask_body body = {0};
	int r;

	if (certificate == NULL)
		return;
	if ((r = request_read(request, certificate, &body, &err)) == 0)
		r = body.public_key != NULL && body.public_key[0] != '\0'
			? engine_ssh_key_read(body.public_key, &certificate->key, &err)
			: leased_err_set(&err, LEASED_EINVAL, "missing public_key");
	if (r == 0)
		r = prepare(request, certificate, &body, &err);
	jdec_clear(ask_fields, &body);
	if (r != 0)
		engine_fail_err(request, &err);
	else
		engine_ssh_lease_begin(request);
}

/* ---- issue: the key pair is made here, and told once ---- */

static void
on_pair(void *arg, const struct plugin_outcome *outcome)
{
	struct engine_request_copy *request = arg;
	struct ssh_certificate *certificate = request->state;
	struct leased_err err = outcome->err;
	struct ask_body body = {0};
	int r = outcome->code == 0 ? 0 : LEASED_EUNAVAIL;

	if (r == 0 && !engine_mount_is_open(request))
		r = leased_err_set(&err, LEASED_EUNAVAIL, "leased is stopping");
	if (r == 0)
		r = engine_ssh_key_read(json_string_value(json_object_get(
					    json_object_get(outcome->result, "public"), "line")),
		    &certificate->key, &err);
	/* The mount was found again, and may be another object than before. */
	request->mount = engine_mount_find(request->engines, request->mount_id);
	if (r == 0 && (r = jdec_decode(request->body, ask_fields, &body, NULL, &err)) == 0)
		r = prepare(request, certificate, &body, &err);
	jdec_clear(ask_fields, &body);
	if (r != 0) {
		engine_fail(request, r, "%s", err.text);
		return;
	}
	certificate->private = json_incref(json_object_get(outcome->result, "private"));
	engine_ssh_lease_begin(request);
}

void
engine_ssh_issue(struct engine_request_copy *request)
{
	struct ssh_certificate *certificate = certificate_new(request, "issue");
	struct leased_err err = LEASED_ERR_INIT;
	const char *algorithm = NULL;
	struct ask_body body = {0};
	struct ssh_mount *mount;
	int r;

	if (certificate == NULL)
		return;
	if ((r = request_read(request, certificate, &body, &err)) == 0)
		r = engine_ssh_algorithm(body.key_type, body.key_bits, &algorithm, &err);
	jdec_clear(ask_fields, &body);
	mount = engine_ssh_mount(request);
	if (r == 0 && mount == NULL)
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	if (r == 0 && (r = ca_choose(request, certificate, &err)) == 0)
		r = engine_ssh_open(mount, false, &err);
	if (r != 0)
		engine_fail_err(request, &err);
	else if (plugin_call_start(mount->port, PLUGIN_OP_GENERATE,
		     json_pack("{s:s,s:s}", "algorithm", algorithm, "format", "openssh"), 0,
		     on_pair, request) == NULL)
		engine_fail(request, LEASED_ENOMEM, "out of memory");
}
