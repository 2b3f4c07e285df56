/*
 * The ssh plugin's table of operations, and the CA keys that a worker was opened with. One that has
 * keys connects nowhere; one that brings lists to hosts has no keys. Neither reads a file.
 * PROTOCOL.md, from "import" to "push"; why it is a process of its own: broker/DESIGN.md, "SSH".
 */
#include <stdlib.h>
#include <string.h>

#include "push.h"

#define CA_TAG 0x73736863u /* "sshc" */
#define PORTS_MAX 32

struct ca {
	unsigned tag;
	struct sshca_key keys[SSHCA_KEYS_MAX];
	size_t key_count;
};

static struct ca *
ca_from(void *ctx)
{
	struct ca *ca = ctx;

	if (ca->tag != CA_TAG)
		abort();
	return (ca);
}

static void
keys_clear(struct ca *ca)
{
	while (ca->key_count > 0)
		sshca_key_clear(&ca->keys[--ca->key_count]);
}

static int
keys_read(struct ca *ca, const json_t *keys, struct leased_err *err)
{
	const char *id;
	json_t *value;
	int r = 0;

	keys_clear(ca); /* an open that failed may be repeated */
	if (keys != NULL && !json_is_object(keys))
		return (leased_err_set(err, LEASED_EINVAL, "keys must be an object"));
	if (json_object_size(keys) > SSHCA_KEYS_MAX)
		return (leased_err_set(err, LEASED_EINVAL, "keys: more than %d", SSHCA_KEYS_MAX));
	json_object_foreach((json_t *)(uintptr_t)keys, id, value)
	{
		if ((r = sshca_key_read(id, value, &ca->keys[ca->key_count], err)) != 0)
			break;
		ca->key_count++;
	}
	if (r != 0)
		keys_clear(ca);
	return (r);
}

/* The ports of the hosts that lists are brought to, ended by a 0. */
static int
ports_read(const json_t *hosts, uint16_t ret_ports[PORTS_MAX + 1], struct leased_err *err)
{
	const json_t *one;
	size_t i, count = 0, k;

	if (hosts != NULL && !json_is_array(hosts))
		return (leased_err_set(err, LEASED_EINVAL, "ports must be a list"));
	json_array_foreach(hosts, i, one)
	{
		json_int_t port = json_integer_value(one);

		if (port < 1 || port > 65535)
			return (leased_err_set(err, LEASED_EINVAL, "ports: each is 1 to 65535"));
		for (k = 0; k < count && ret_ports[k] != port; k++)
			;
		if (k == PORTS_MAX)
			return (leased_err_set(
			    err, LEASED_EINVAL, "hosts have more than %d ports", PORTS_MAX));
		ret_ports[k] = (uint16_t)port;
		count += k == count;
	}
	ret_ports[count] = 0;
	return (0);
}

static int
on_open(void *ctx, struct leased_call *call, struct leased_err *err)
{
	static const char *const names[] = {"localhost", NULL};
	uint16_t ports[PORTS_MAX + 1];
	struct leased_reach reach = {.ports = ports};
	const json_t *config = json_object_get(call->params, "config");
	struct ca *ca = ca_from(ctx);
	int r;

	if ((r = keys_read(ca, json_object_get(config, "keys"), err)) != 0 ||
	    (r = ports_read(json_object_get(config, "ports"), ports, err)) != 0)
		return (r);
	if (ports[0] != 0 && ca->key_count > 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "a worker with keys of a CA talks to no host"));
	if (ports[0] != 0)
		reach.names = names; /* which ones there will be is not known yet */
	if ((r = leased_confine(&reach, err)) != 0)
		return (r);
	return (json_object_set_new(call->result, "server", json_string("ssh")) == 0
		    ? 0
		    : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* Of a result, the private part as a file for ssh: the pair is to be somebody's own. */
static int
set_file(json_t *result, const struct sshca_key *key, struct leased_err *err)
{
	char *text = NULL;
	int r = sshca_export(key, &text, err);

	if (r != 0)
		return (r);
	if (json_object_set_new(result, "private", json_string(text)) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	leased_wipe(text, strlen(text));
	free(text);
	return (r);
}

static int
on_generate(void *ctx, struct leased_call *call, struct leased_err *err)
{
	const json_t *format = json_object_get(call->params, "format");
	struct sshca_key key = {0};
	const char *algorithm;
	int r;

	(void)ctx;
	if (format != NULL &&
	    (!json_is_string(format) || strcmp(json_string_value(format), "openssh") != 0))
		return (leased_err_set(err, LEASED_EINVAL, "format: openssh, or none"));
	if ((r = leased_get_string(call->params, "algorithm", &algorithm, err)) == 0 &&
	    (r = sshca_key_generate(algorithm, &key, err)) == 0 &&
	    (r = sshca_key_result(&key, call->result, err)) == 0 && format != NULL)
		r = set_file(call->result, &key, err);
	sshca_key_clear(&key);
	return (r);
}

static int
on_import(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct sshca_key key = {0};
	const char *text;
	int r;

	(void)ctx;
	if ((r = leased_get_string(call->params, "private", &text, err)) == 0 &&
	    (r = sshca_import(text, &key, err)) == 0)
		r = sshca_key_result(&key, call->result, err);
	sshca_key_clear(&key);
	return (r);
}

/* Type, bits and fingerprint of a user's or host's key: the daemon reads none. */
static int
set_key(json_t *result, const struct sshwire_key *key, struct leased_err *err)
{
	json_t *bits = json_sprintf("%u", key->bits);
	json_t *fingerprint = json_sprintf("SHA256:%s", key->fingerprint);

	if ((json_object_set_new(result, "bits", bits) |
		json_object_set_new(result, "fingerprint", fingerprint) |
		json_object_set_new(result, "type", json_string(key->type->name))) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

static int
on_inspect(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct sshwire_key key = {0};
	const char *line;
	int r;

	(void)ctx;
	if ((r = leased_get_string(call->params, "public_key", &line, err)) != 0)
		return (r);
	if ((r = sshwire_key_read_line(line, &key, err)) != 0)
		return (leased_err_prefix(err, "public_key"));
	r = set_key(call->result, &key, err);
	sshwire_key_clear(&key);
	return (r);
}

static int
find_key(const struct ca *ca, const json_t *params, const struct sshca_key **ret_key,
    struct leased_err *err)
{
	const char *id;
	size_t i;
	int r;

	if ((r = leased_get_string(params, "key", &id, err)) != 0)
		return (r);
	for (i = 0; i < ca->key_count && strcmp(ca->keys[i].public.fingerprint, id) != 0; i++)
		;
	if (i == ca->key_count)
		return (leased_err_set(err, LEASED_ENOENT, "this worker has no key %.64s", id));
	*ret_key = &ca->keys[i];
	return (0);
}

static int
on_certify(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct sshca_claims claims = {0};
	const struct sshca_key *key;
	char *line = NULL;
	int r;

	if ((r = find_key(ca_from(ctx), call->params, &key, err)) != 0 ||
	    (r = sshca_claims_read(json_object_get(call->params, "certificate"), &claims, err)) !=
		0)
		return (r);
	if ((r = sshca_certificate(key, &claims, &line, err)) == 0 &&
	    json_object_set_new(call->result, "certificate", json_string(line)) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	if (r == 0)
		r = set_key(call->result, &claims.key, err);
	free(line);
	sshca_claims_clear(&claims);
	return (r);
}

static int
on_krl(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct sshwire_writer krl = {0};
	const struct sshca_key *key;
	char *signature = NULL, *base64 = NULL;
	int r;

	if ((r = find_key(ca_from(ctx), call->params, &key, err)) != 0)
		return (r);
	if ((r = sshca_krl(json_object_get(call->params, "krl"), &krl, err)) == 0)
		r = sshca_sshsig(key, SSHCA_KRL_NAMESPACE, krl.bytes, krl.len, &signature, err);
	if (r == 0 &&
	    ((base64 = sshwire_base64(krl.bytes, krl.len)) == NULL ||
		json_object_set_new(call->result, "krl", json_string(base64)) != 0 ||
		json_object_set_new(call->result, "signature", json_string(signature)) != 0))
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	free(base64);
	free(signature);
	sshwire_writer_clear(&krl);
	return (r);
}

static int
on_push(void *ctx, struct leased_call *call, struct leased_err *err)
{
	if (ca_from(ctx)->key_count > 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "a worker with keys of a CA talks to no host"));
	return (sshca_push(call->params, leased_call_remaining_ms(call), call->result, err));
}

int
main(int argc, char **argv)
{
	static struct ca ca = {.tag = CA_TAG};
	static const struct leased_plugin table = {
	    .name = "ssh",
	    .description =
		"{\"name_max\":64,\"name_alphabet\":\"a-zA-Z0-9_-\",\"native_expiry\":"
		"true,\"config_fields\":[{\"name\":\"keys\",\"secret\":true,"
		"\"required\":false},{\"name\":\"ports\",\"secret\":false,\"required\":false}]}",
	    .open = on_open,
	    .generate = on_generate,
	    .import = on_import,
	    .inspect = on_inspect,
	    .certify = on_certify,
	    .krl = on_krl,
	    .push = on_push,
	    .ctx = &ca,
	};

	return (leased_plugin_main(&table, argc, argv));
}
