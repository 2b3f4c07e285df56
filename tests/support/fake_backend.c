/*
 * The in-memory backend behind the fake port: accounts by name, and what each operation of
 * PROTOCOL.md does to them. Knows nothing of calls, workers and sessions; fake_port.c calls it.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "support/fake_private.h"

static const char *
first_account_name(const json_t *params)
{
	const json_t *account = json_object_get(params, "account");

	return (json_string_value(json_object_get(account, "name")));
}

struct fake_account *
fake_backend_account(struct fake_backend *backend, const char *name)
{
	for (unsigned i = 0; i < backend->count; i++)
		if (strcmp(backend->accounts[i].name, name) == 0)
			return (&backend->accounts[i]);
	return (NULL);
}

/* As the server knows it that answers now. */
static struct fake_account *
account_here(struct fake_backend *backend, const char *name)
{
	struct fake_account *account = fake_backend_account(backend, name);

	return (account != NULL && strcmp(account->server, backend->server) == 0 ? account : NULL);
}

/* Kept sorted by name, as inventory lists them. */
struct fake_account *
fake_backend_add(struct fake_backend *backend, const char *name)
{
	struct fake_account *accounts = backend->accounts;
	unsigned at = 0;

	assert(backend->count < FAKE_ACCOUNTS_MAX);
	assert(strlen(name) < sizeof(accounts[0].name));
	while (at < backend->count && strcmp(accounts[at].name, name) < 0)
		at++;
	memmove(accounts + at + 1, accounts + at, (backend->count - at) * sizeof(*accounts));
	backend->count++;
	memset(&accounts[at], 0, sizeof(accounts[at]));
	snprintf(accounts[at].name, sizeof(accounts[at].name), "%s", name);
	snprintf(accounts[at].handle, sizeof(accounts[at].handle), "%u", backend->next_handle++);
	snprintf(accounts[at].server, sizeof(accounts[at].server), "%s", backend->server);
	accounts[at].armed = true;
	return (&accounts[at]);
}

static void
account_drop(struct fake_backend *backend, struct fake_account *account)
{
	unsigned at = (unsigned)(account - backend->accounts);

	backend->count--;
	memmove(account, account + 1, (backend->count - at) * sizeof(*account));
}

void
fake_backend_drop(struct fake_backend *backend, const char *name)
{
	struct fake_account *account = fake_backend_account(backend, name);

	assert(account != NULL);
	account_drop(backend, account);
}

static bool
moved(const struct fake_backend *backend, const json_t *account)
{
	const char *server = json_string_value(json_object_get(account, "server"));

	return (server != NULL && strcmp(server, backend->server) != 0);
}

static int
do_mint(struct fake_backend *backend, const json_t *params, json_t *result, struct leased_err *err)
{
	const char *name = first_account_name(params);
	const char *password = json_string_value(json_object_get(params, "password"));
	const char *expires = json_string_value(json_object_get(params, "expires"));
	struct fake_account *account;

	if (name == NULL || password == NULL || expires == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "mint lacks name, password or expires"));
	if (fake_backend_account(backend, name) != NULL)
		return (leased_err_set(err, LEASED_EEXIST, "%s is there already", name));
	account = fake_backend_add(backend, name);
	snprintf(account->password, sizeof(account->password), "%s", password);
	snprintf(account->expires, sizeof(account->expires), "%s", expires);
	json_object_set_new(result, "handle", json_string(account->handle));
	json_object_set_new(result, "server", json_string(backend->server));
	json_object_update(result, backend->minted);
	return (0);
}

static bool
is_scope(const json_t *params, const char *scope)
{
	const char *text = json_string_value(json_object_get(params, "scope"));

	return (text != NULL && strcmp(text, scope) == 0);
}

/* renew, check, set_password: on one account that must be there. */
static int
do_one(struct fake_backend *backend, enum plugin_op op, const json_t *params, json_t *result,
    struct leased_err *err)
{
	const char *name = first_account_name(params);
	const char *text;
	struct fake_account *account = name != NULL ? account_here(backend, name) : NULL;

	if (moved(backend, json_object_get(params, "account")))
		return (leased_err_set(err, LEASED_EMOVED, "another server"));
	if (account == NULL && op == PLUGIN_OP_RENEW && backend->remakes) {
		account = fake_backend_add(backend, name);
		text =
		    json_string_value(json_object_get(json_object_get(params, "account"), "kept"));
		snprintf(
		    account->password, sizeof(account->password), "%s", text != NULL ? text : "");
	}
	if (account == NULL)
		return (leased_err_set(err, LEASED_ENOENT, "no such account"));
	if (op == PLUGIN_OP_RENEW) {
		if ((text = json_string_value(json_object_get(params, "expires"))) == NULL)
			return (leased_err_set(err, LEASED_EINVAL, "renew lacks expires"));
		snprintf(account->expires, sizeof(account->expires), "%s", text);
		account->renewals++;
		if (account->partial)
			json_object_set_new(result, "kept", json_string(FAKE_KEPT_WHOLE));
		account->partial = false;
		return (0);
	}
	if ((text = json_string_value(json_object_get(params, "password"))) == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "password is missing"));
	if (op == PLUGIN_OP_CHECK && is_scope(params, "static"))
		return (0);
	if (op == PLUGIN_OP_SET_PASSWORD)
		snprintf(account->password, sizeof(account->password), "%s", text);
	else if (!account->armed || strcmp(account->password, text) != 0)
		return (leased_err_set(err, LEASED_EDENIED, "the account cannot log in"));
	return (0);
}

static int
end_account(struct fake_backend *backend, enum plugin_op op, const json_t *object, json_t *result,
    struct leased_err *err)
{
	const char *name = json_string_value(json_object_get(object, "name"));
	struct fake_account *account;

	if (name == NULL || !json_is_object(json_object_get(object, "role")))
		return (leased_err_set(err, LEASED_EINVAL, "an account lacks its name or role"));
	if (moved(backend, object))
		return (leased_err_set(err, LEASED_EMOVED, "another server"));
	if ((account = account_here(backend, name)) == NULL)
		return (0);
	if (op == PLUGIN_OP_DISARM) {
		account->armed = false;
		if (account->stubborn)
			return (leased_err_set(
			    err, LEASED_EREFUSED, "a session of %s does not end", name));
		account->sessions = 0;
		json_object_set_new(result, "handle", json_string(account->handle));
		json_object_set_new(result, "server", json_string(backend->server));
		return (0);
	}
	if (account->armed || account->sessions > 0)
		return (leased_err_set(err, LEASED_EREFUSED, "%s is not disarmed", name));
	if (account->blocked[0] != '\0')
		return (leased_err_set(err, LEASED_EREFUSED, "%s", account->blocked));
	account_drop(backend, account);
	return (0);
}

static json_t *
failed_result(const struct leased_err *err)
{
	return (json_pack("{s:b,s:{s:s,s:s}}", "ok", 0, "error", "code",
	    leased_code_name(err->code), "text", err->text));
}

static int
do_batch(struct fake_backend *backend, enum plugin_op op, const json_t *params, json_t *result,
    struct leased_err *err)
{
	const json_t *accounts = json_object_get(params, "accounts"), *account;
	json_t *results = json_array(), *one;
	size_t i;

	json_object_set_new(result, "results", results);
	if (json_array_size(accounts) < 1 || json_array_size(accounts) > 64)
		return (leased_err_set(err, LEASED_EINVAL, "1 to 64 accounts"));
	json_array_foreach(accounts, i, account)
	{
		struct leased_err why = LEASED_ERR_INIT;

		one = json_pack("{s:b}", "ok", 1);
		if (end_account(backend, op, account, one, &why) != 0) {
			json_decref(one);
			one = failed_result(&why);
		}
		json_array_append_new(results, one);
	}
	return (0);
}

static void
do_inventory(struct fake_backend *backend, const json_t *params, json_t *result)
{
	const char *tag = json_string_value(json_object_get(params, "tag"));
	const char *after = json_string_value(json_object_get(params, "after"));
	json_t *accounts = json_array();
	bool more = false;
	char prefix[64];

	snprintf(prefix, sizeof(prefix), "l-%s-", tag != NULL ? tag : "");
	for (unsigned i = 0; i < backend->count && !more; i++) {
		const struct fake_account *account = &backend->accounts[i];

		if (strncmp(account->name, prefix, strlen(prefix)) != 0 ||
		    strcmp(account->server, backend->server) != 0 ||
		    (after != NULL && strcmp(account->name, after) <= 0))
			continue;
		if (json_array_size(accounts) == 256)
			more = true;
		else
			json_array_append_new(
			    accounts, json_pack("{s:s,s:s,s:b,s:b}", "name", account->name,
					  "handle", account->handle, "armed", account->armed,
					  "partial", account->partial));
	}
	json_object_set_new(result, "accounts", accounts);
	json_object_set_new(result, "more", json_boolean(more));
}

/* ---- keys ---- */

static int
do_generate(
    struct fake_backend *backend, const json_t *params, json_t *result, struct leased_err *err)
{
	const char *algorithm = json_string_value(json_object_get(params, "algorithm"));
	static unsigned made; /* no two of them have one id, whatever daemon asked */
	char id[32];

	(void)backend;
	if (algorithm == NULL || strcmp(algorithm, "none") == 0)
		return (leased_err_set(err, LEASED_EINVAL, "there is no such algorithm"));
	(void)snprintf(id, sizeof(id), "key-%u", ++made);
	json_object_set_new(result, "private", json_string(id));
	if (strcmp(algorithm, "ed25519") == 0) { /* as the plugin ssh makes them */
		fake_ssh_public(id, result);
		return (0);
	}
	json_object_set_new(result, "public",
	    json_pack(
		"{s:s,s:s,s:s,s:s}", "kty", "OKP", "use", "sig", "alg", algorithm, "kid", id));
	return (0);
}

/* The claims go as they are, in base64url, behind the key's id. */
static int
do_sign(const json_t *params, json_t *result, struct leased_err *err)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *key = json_string_value(json_object_get(params, "key"));
	char claims[4096] = "", text[8192];
	size_t len =
	    json_dumpb(json_object_get(params, "claims"), claims, sizeof(claims) - 1, JSON_COMPACT);
	size_t used;
	unsigned held = 0, bits = 0;

	if (key == NULL || len == 0 || len >= sizeof(claims))
		return (leased_err_set(err, LEASED_EINVAL, "sign needs a key and claims"));
	claims[len] = 0;
	used = (size_t)snprintf(text, sizeof(text), "%s.", key);
	for (const char *at = claims; *at != '\0'; at++) {
		held = held << 8 | (unsigned char)*at;
		for (bits += 8; bits >= 6; bits -= 6)
			text[used++] = digits[held >> (bits - 6) & 63];
	}
	if (bits > 0)
		text[used++] = digits[held << (6 - bits) & 63];
	(void)snprintf(text + used, sizeof(text) - used, ".c2ln");
	json_object_set_new(result, "token", json_string(text));
	return (0);
}

static const char description[] =
    "{\"name\":\"fake\",\"protocol\":1,\"name_max\":63,\"name_alphabet\":\"A-Za-z0-9_.-\","
    "\"native_expiry\":true,\"dialect\":\"postgresql\",\"default_statements\":true,"
    "\"ops\":[\"describe\",\"open\",\"check\",\"mint\",\"renew\",\"disarm\",\"remove\","
    "\"set_password\",\"inventory\",\"ping\",\"reap\"],"
    "\"config_fields\":[{\"name\":\"host\",\"secret\":false,\"required\":false},"
    "{\"name\":\"username\",\"secret\":false,\"required\":false},"
    "{\"name\":\"password\",\"secret\":true,\"required\":false}],"
    "\"role_fields\":[\"creation_statements\",\"revocation_statements\","
    "\"rollback_statements\",\"renew_statements\",\"grant_roles\",\"owned_objects\"],"
    "\"role_needs\":[\"creation_statements\",\"grant_roles\"]}";

int
fake_backend_run(struct fake_backend *backend, enum plugin_op op, const json_t *params,
    json_t *result, struct leased_err *err)
{
	json_t *object;

	switch (op) {
	case PLUGIN_OP_DESCRIBE:
		object = json_loads(description, 0, NULL);
		assert(object != NULL);
		json_object_update(result, object);
		json_object_update(result, backend->described);
		json_decref(object);
		return (0);
	case PLUGIN_OP_OPEN:
		json_object_set_new(result, "server", json_string(backend->server));
		return (0);
	case PLUGIN_OP_MINT:
		return (do_mint(backend, params, result, err));
	case PLUGIN_OP_CHECK:
	case PLUGIN_OP_RENEW:
	case PLUGIN_OP_SET_PASSWORD:
		return (do_one(backend, op, params, result, err));
	case PLUGIN_OP_DISARM:
	case PLUGIN_OP_REMOVE:
		return (do_batch(backend, op, params, result, err));
	case PLUGIN_OP_INVENTORY:
		do_inventory(backend, params, result);
		return (0);
	case PLUGIN_OP_PING:
		if (backend->incarnation[0] != '\0')
			json_object_set_new(
			    result, "incarnation", json_string(backend->incarnation));
		return (0);
	case PLUGIN_OP_GENERATE:
		return (do_generate(backend, params, result, err));
	case PLUGIN_OP_SIGN:
		return (do_sign(params, result, err));
	case PLUGIN_OP_IMPORT:
	case PLUGIN_OP_INSPECT:
	case PLUGIN_OP_CERTIFY:
	case PLUGIN_OP_KRL:
		return (fake_ssh_run(op, params, result, err));
	case PLUGIN_OP_PUSH:
		json_object_set_new(result, "changed", json_true());
		return (0);
	case PLUGIN_OP_REAP: /* sessions are the port's */
		break;
	}
	return (leased_err_set(err, LEASED_EINVAL, "unknown operation"));
}
