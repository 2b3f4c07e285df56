/*
 * By what hosts let a worker in that brings them a list: a key pair and a certificate for some
 * minutes, by the mount's own CA, so that nothing is stored and nothing has to be renewed. The
 * workers that sign make both; those that go to hosts get them with each call, and never the CA's
 * key. The certificate is good for SFTP alone, whatever its principal may do else.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/ssh/push.h"

#define BEFORE_S 300 /* hosts' clocks may be behind, or ahead */
#define BEHIND_S 600
#define USED_MS 300000

/* No lease has such a number, so that no list ever revokes it by accident. */
#define SERIAL_FIRST (UINT64_C(1) << 63)

bool
engine_ssh_push_has_identity(const struct ssh_push *push)
{
	return (push->private != NULL && push->certificate != NULL &&
		leases_now_ms(push->mount->engines->leases) < push->good_until_ms);
}

static void
identity_failed(struct ssh_push *push, const struct leased_err *why)
{
	struct leased_err own = *why;

	push->making = false;
	if (push->stopped)
		return;
	push->identity_failures++;
	push->pause_ms = leases_now_ms(push->mount->engines->leases) +
			 engine_ssh_push_wait_ms(push->identity_failures);
	(void)leased_err_prefix(&own, "no certificate could be made to log in to hosts with");
	if (push->identity_failures == 1)
		log_warn(
		    "no certificate could be made to bring lists of revoked keys to hosts with",
		    LOG_I("mount", push->mount->id), LOG_ERR(why));
	engine_ssh_push_held(push, &own);
}

static void
on_certified(void *arg, const struct plugin_outcome *outcome)
{
	struct ssh_push *push = engine_ssh_push_from(arg);
	struct ssh_mount *mount = push->mount;

	if (outcome->code != 0 || push->stopped) {
		identity_failed(push, &outcome->err);
		return;
	}
	push->making = false;
	push->identity_failures = 0;
	json_decref(push->certificate);
	push->certificate = json_incref(json_object_get(outcome->result, "certificate"));
	push->good_until_ms = leases_now_ms(mount->engines->leases) + USED_MS;
	engine_ssh_push_wake(push);
}

static json_t *
certify_params(const struct ssh_mount *mount, const json_t *line)
{
	int64_t now_s = engine_ssh_wall_s(mount->engines);
	char serial[24], key_id[64];

	(void)snprintf(
	    serial, sizeof(serial), "%llu", (unsigned long long)(SERIAL_FIRST + (uint64_t)now_s));
	(void)snprintf(
	    key_id, sizeof(key_id), SSH_PUSH_PRINCIPAL "/mount-%lld", (long long)mount->id);
	return (json_pack("{s:O,s:{s:O,s:s,s:s,s:s,s:[s],s:I,s:I,s:{s:s},s:{}}}", "key",
	    json_object_get(engine_ssh_ca_active(mount), "kid"), "certificate", "public_key", line,
	    "type", "user", "serial", serial, "key_id", key_id, "principals", SSH_PUSH_PRINCIPAL,
	    "valid_after", (json_int_t)(now_s - BEFORE_S), "valid_before",
	    (json_int_t)(now_s + BEHIND_S), "critical_options", "force-command", "internal-sftp",
	    "extensions"));
}

static void
on_pair(void *arg, const struct plugin_outcome *outcome)
{
	struct ssh_push *push = engine_ssh_push_from(arg);
	struct ssh_mount *mount = push->mount;
	struct leased_err err = outcome->err;
	json_t *params = NULL;
	int r = outcome->code;

	if (push->stopped || mount->closed || engine_ssh_ca_active(mount) == NULL)
		r = leased_err_set(&err, LEASED_EUNAVAIL, "the mount is closing");
	if (r == 0)
		r = engine_ssh_open(mount, false, &err);
	if (r == 0) {
		json_decref(push->private);
		push->private = json_incref(json_object_get(outcome->result, "private"));
		params = certify_params(
		    mount, json_object_get(json_object_get(outcome->result, "public"), "line"));
		if (params == NULL || plugin_call_start(mount->port, PLUGIN_OP_CERTIFY, params, 0,
					  on_certified, push) == NULL)
			r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	}
	if (r != 0)
		identity_failed(push, &err);
}

void
engine_ssh_push_identity_make(struct ssh_push *push)
{
	struct ssh_mount *mount = push->mount;
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	json_decref(push->certificate);
	push->certificate = NULL;
	push->making = true;
	if ((r = leases_time_check(mount->engines->leases, &err)) == 0 &&
	    (r = engine_ssh_open(mount, false, &err)) == 0 &&
	    plugin_call_start(mount->port, PLUGIN_OP_GENERATE,
		json_pack("{s:s,s:s}", "algorithm", "ed25519", "format", "openssh"), 0, on_pair,
		push) == NULL)
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	if (r != 0)
		identity_failed(push, &err);
}

/* ---- what a call says ---- */

/* One text for all hosts. */
static int
list_fill(struct ssh_push *push)
{
	const struct ssh_list *list = &push->mount->list;
	unsigned char *base64;

	if (push->list != NULL && push->list_version == list->version)
		return (0);
	json_decref(push->list);
	push->list = NULL;
	if ((base64 = malloc(list->krl_len / 3 * 4 + 8)) == NULL)
		return (LEASED_ENOMEM);
	(void)EVP_EncodeBlock(base64, (const unsigned char *)list->krl, (int)list->krl_len);
	push->list = json_string((char *)base64);
	push->list_version = list->version;
	free(base64);
	return (push->list != NULL ? 0 : LEASED_ENOMEM);
}

json_t *
engine_ssh_push_params(struct ssh_push *push, const struct ssh_host *host)
{
	if (list_fill(push) != 0)
		return (NULL);
	return (json_pack("{s:{s:O,s:O,s:O,s:O,s:O},s:{s:O,s:O},s:O}", "host", "address",
	    json_object_get(host->data, "address"), "port", json_object_get(host->data, "port"),
	    "user", json_object_get(host->data, "user"), "path",
	    json_object_get(host->data, "path"), "host_keys",
	    json_object_get(host->data, "host_key"), "identity", "private", push->private,
	    "certificate", push->certificate, "list", push->list));
}
