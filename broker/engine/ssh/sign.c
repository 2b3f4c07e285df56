/*
 * sign/:role and issue/:role: a certificate for who asks. Its lease comes first and is durable
 * before anything is signed: the row's number is the serial, so no two certificates ever have one,
 * whatever died in between; a certificate that is revoked while it is being signed is on the list
 * already. What could not be signed was never heard of, and its lease is ended at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/utf8.h"
#include "engine/document.h"
#include "engine/ssh/certificate.h"
#include "engine/ssh/words.h"
#include "lease/plain.h"

static struct ssh_certificate *
certificate_of(struct engine_request_copy *request)
{
	return (request->state);
}

/* The lease is there, and nobody will have its certificate. */
static void
fail_leased(struct engine_request_copy *request, int code, const char *text)
{
	struct ssh_certificate *certificate = certificate_of(request);

	/* At a stop the leases have gone before the workers: it ends in its time. */
	if (!request->engines->stopping)
		lease_delivery(request->engines->leases, certificate->row, false);
	engine_fail(request, code, "%s", text);
}

/* ---- the answer ---- */

static void
answer(struct engine_request_copy *request, const char *line)
{
	struct ssh_certificate *certificate = certificate_of(request);
	char serial[17], *text = NULL;
	json_t *data = NULL;

	(void)snprintf(serial, sizeof(serial), "%llx", (unsigned long long)certificate->row);
	if (asprintf(&text, "%s\n", line) >= 0)
		data = json_pack("{s:s,s:s,s:O,s:s}", "serial_number", serial, "signed_key", text,
		    "valid_principals", certificate->principals, "key_id", certificate->key_id);
	free(text);
	if (data != NULL && certificate->private != NULL &&
	    (json_object_set(data, "private_key", certificate->private) != 0 ||
		json_object_set_new(data, "private_key_type", json_string(certificate->key.type)) !=
		    0)) {
		json_decref(data);
		data = NULL;
	}
	if (data == NULL) {
		fail_leased(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	request->reply.data = data;
	request->reply.lease_id = certificate->lease_id;
	request->reply.lease_row = certificate->row;
	request->reply.lease_duration_s = certificate->ttl_s;
	engine_finish(request);
}

/* ---- signing ---- */

static void certify(struct engine_request_copy *request);

static int
check_certified(struct ssh_certificate *certificate, const json_t *result, struct leased_err *err)
{
	const char *fingerprint = json_string_value(json_object_get(result, "fingerprint"));
	const char *own = certificate->key.fingerprint;
	int r;

	if (strncmp(fingerprint, "SHA256:", 7) != 0)
		own += 7;
	/* Else a ban of the one might not be one of the other. */
	if (strcmp(fingerprint, own) != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "public_key: its base64 has more than one reading; write it anew "
		    "(ssh-keygen -y)"));
	r = engine_ssh_terms_key(certificate->role->data, certificate->key.type,
	    json_string_value(json_object_get(result, "bits")), err);
	return (r);
}

static void
on_certified(void *arg, const struct plugin_outcome *outcome)
{
	struct engine_request_copy *request = arg;
	struct ssh_certificate *certificate = certificate_of(request);
	struct leased_err err = outcome->err;
	int r = outcome->code;

	/* Its worker is one of before a rotation. */
	if (r == LEASED_ENOENT && !certificate->again) {
		certificate->again = true;
		certify(request);
		return;
	}
	FAILPOINT(engine_ssh_after_certify);
	if (r != 0 && r != LEASED_EINVAL && r != LEASED_ETOOBIG)
		r = LEASED_EUNAVAIL;
	if (r == LEASED_ETOOBIG)
		r = LEASED_EINVAL;
	if (r == 0)
		r = check_certified(certificate, outcome->result, &err);
	if (r != 0)
		fail_leased(request, r, err.text);
	else
		answer(request, json_string_value(json_object_get(outcome->result, "certificate")));
}

static json_t *
certify_params(const struct ssh_certificate *certificate)
{
	char serial[24];

	(void)snprintf(serial, sizeof(serial), "%lld", (long long)certificate->row);
	return (json_pack("{s:s,s:{s:s,s:s,s:s,s:s,s:O,s:I,s:I,s:O,s:O}}", "key", certificate->kid,
	    "certificate", "public_key", certificate->key.line, "type",
	    certificate->host ? "host" : "user", "serial", serial, "key_id", certificate->key_id,
	    "principals", certificate->principals, "valid_after", (json_int_t)certificate->after_s,
	    "valid_before", (json_int_t)certificate->before_s, "critical_options",
	    certificate->critical, "extensions", certificate->extensions));
}

static void
certify(struct engine_request_copy *request)
{
	struct ssh_mount *mount = engine_ssh_mount(request);
	struct leased_err err = LEASED_ERR_INIT;
	json_t *params;
	int r;

	if (mount == NULL)
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	else
		r = engine_ssh_open(mount, false, &err);
	if (r != 0) {
		fail_leased(request, r, err.text);
		return;
	}
	params = certify_params(certificate_of(request));
	if (params == NULL || plugin_call_start(mount->port, PLUGIN_OP_CERTIFY, params, 0,
				  on_certified, request) == NULL)
		fail_leased(request, LEASED_ENOMEM, "out of memory");
}

/* ---- the lease ---- */

static void
on_leased(void *arg, const struct lease_issued *issued)
{
	struct engine_request_copy *request = arg;
	struct ssh_certificate *certificate = certificate_of(request);
	struct leased_err err = LEASED_ERR_INIT;
	const json_t *warning;
	size_t i;

	if (issued->code == LEASED_ETOOBIG) {
		engine_fail(request, LEASED_EINVAL,
		    "the principals are too many: with all else that is kept of a certificate they "
		    "take more than %d bytes",
		    LEASE_ENGINE_MAX);
		return;
	}
	if (issued->code != 0) {
		engine_fail(request, issued->code, "%s", issued->err.text);
		return;
	}
	json_array_foreach(issued->warnings, i, warning)
	    engine_warn(request, "%s", json_string_value(warning));
	certificate->row = issued->row;
	(void)strlcpy(certificate->lease_id, issued->lease_id, sizeof(certificate->lease_id));
	FAILPOINT(engine_ssh_before_certify);
	if (!engine_mount_is_open(request))
		fail_leased(request, LEASED_EUNAVAIL, "leased is stopping");
	else if (engine_ssh_key_id_make(request, certificate, &err) != 0)
		fail_leased(request, err.code, err.text);
	else
		certify(request);
}

static void
caps_fill(struct engine_request_copy *request, struct lease_issue *issue)
{
	const struct ssh_certificate *certificate = certificate_of(request);
	struct lease_cap *cap = issue->caps;

	(void)snprintf(
	    cap->counter, sizeof(cap->counter), "conn:%lld", (long long)request->mount_id);
	cap->limit = SSH_CEILING;
	cap->what = "certificates of this mount";
	cap++;
	(void)snprintf(
	    cap->counter, sizeof(cap->counter), "role:%lld", (long long)certificate->role->id);
	cap->limit = json_integer_value(json_object_get(certificate->role->data, "max_leases"));
	cap->what = "max_leases of this role";
	if (request->entity[0] == '\0')
		return;
	cap++;
	(void)snprintf(cap->counter, sizeof(cap->counter), "entity:%s", request->entity);
	cap->limit = request->max_leases;
	cap->what = "max_leases of your identity";
}

/* What the list of revoked ones, bans and lookups need to know of it. */
static json_t *
kept(const struct ssh_certificate *certificate, const char *entity)
{
	return (json_pack("{s:s,s:s,s:s,s:I,s:s,s:s,s:O,s:s}", "type", "ssh", "entity", entity,
	    "ca", certificate->kid, "exp", (json_int_t)certificate->before_s, "fp",
	    certificate->key.fingerprint, "key_id", certificate->own_key_id, "principals",
	    certificate->principals, "kind", certificate->host ? "host" : "user"));
}

void
engine_ssh_lease_begin(struct engine_request_copy *request)
{
	struct ssh_certificate *certificate = certificate_of(request);
	json_t *engine = kept(certificate, request->entity);
	struct lease_issue issue = {.mount = request->mount_id,
	    .place = certificate->place,
	    .role_name = request->name,
	    .display_name = request->display_name,
	    .owner = certificate->owner,
	    .owner_token = certificate->owner_token,
	    .entity = request->entity,
	    .cause = request->request_id,
	    .engine = engine,
	    .fixed = true,
	    .ttl = certificate->ttl};

	if (engine == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	caps_fill(request, &issue);
	/* In this turn of the loop, as everything since the bans were looked at. */
	lease_plain_start(request->engines->leases, &issue, on_leased, request);
	json_decref(engine);
}
