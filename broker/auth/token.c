/*
 * Makes tokens: the rules of auth/token/create (contract 4.1) and the one transaction that writes a
 * token's row and its index; and hands their end to lease/. A token is kept as its HMAC only. Does
 * not authenticate (token_use.c).
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth_private.h"
#include "base/failpoint.h"
#include "base/utf8.h"

#define TOKEN_PREFIX "hvs."
#define TOKEN_RANDOM_LEN 40

struct token_create {
	struct store_op op; /* first */
	struct auth *auth;
	struct leased_secret *text;
	struct store_token index;
	struct store_lease *row;
	json_t *data, *warnings;
	int64_t ttl_s, now_ms;
	auth_token_done done;
	void *arg;
};

static void
token_create_free(struct token_create *create)
{
	if (create == NULL)
		return;
	leased_secret_free(create->text);
	store_lease_free(create->row);
	json_decref(create->data);
	json_decref(create->warnings);
	free(create);
}

static void
token_create_failed(struct token_create *create, int code, const struct leased_err *err)
{
	create->done(create->arg, code, NULL, err);
	token_create_free(create);
}

/* ---- the rules ---- */

/* A wished id is what clients keep in headers and files: visible ASCII, no '.', which batch and HA
 * tokens mark with. */
static int
token_check_id(const char *id, struct leased_err *err)
{
	size_t len = strlen(id);

	if (len == 0 || len > AUTH_TOKEN_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "id must have 1 to %d characters, not %zu", AUTH_TOKEN_MAX, len));
	for (const char *c = id; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~' || *c == '.')
			return (leased_err_set(err, LEASED_EINVAL,
			    "id may hold visible ASCII characters but no space and no '.'"));
	return (0);
}

static int
token_check_rights(const struct auth_identity *creator, bool sudo,
    const struct auth_token_params *params, struct leased_err *err)
{
	const char *type = params->type;

	if (creator->limited)
		return (leased_err_set(
		    err, LEASED_EINVAL, "restricted use token cannot generate child tokens"));
	if (type != NULL && type[0] != '\0' && strcmp(type, "service") != 0 &&
	    strcmp(type, "default-service") != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "type \"%s\" is not available in this version: leave it out, or use "
		    "\"service\"",
		    UTF8_SHORT(type, 32)));
	if (params->num_uses < 0)
		return (leased_err_set(err, LEASED_EINVAL, "num_uses cannot be negative"));
	if (sudo)
		return (
		    params->id != NULL ? token_check_id(leased_secret_reveal(params->id), err) : 0);
	if (params->id != NULL)
		return (leased_err_set(
		    err, LEASED_EINVAL, "root or sudo privileges required to specify token id"));
	if (params->no_parent && !params->orphan_path)
		return (leased_err_set(
		    err, LEASED_EINVAL, "root or sudo privileges required to create orphan token"));
	if (params->period_s > 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "root or sudo privileges required to create periodic token"));
	return (0);
}

/* The names asked for in normal form, sorted; the creator's when none were. *ret_names is the
 * caller's. */
static int
token_wanted_policies(const struct auth_identity *creator, const struct auth_token_params *params,
    json_t **ret_names, struct leased_err *err)
{
	char name[AUTH_NAME_MAX + 1];
	json_t *names;
	int r = 0;

	if (params->policies.count > AUTH_POLICIES_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "a token holds at most %d policies", AUTH_POLICIES_MAX));
	if ((names = json_array()) == NULL)
		goto nomem;
	for (size_t i = 0; i < params->policies.count; i++) {
		if (params->policies.items[i][0] == '\0')
			continue;
		if ((r = auth_policy_normalize(params->policies.items[i], name, err)) != 0)
			goto out;
		if (json_array_append_new(names, json_string(name)) != 0)
			goto nomem;
	}
	if (json_array_size(names) == 0 && json_array_extend(names, creator->policies) != 0)
		goto nomem;
	*ret_names = names;
	names = NULL; /* ownership handed over */
	goto out;
nomem:
	r = leased_err_set(err, LEASED_ENOMEM, "out of memory while making a token");
out:
	json_decref(names);
	return (r);
}

static int
token_check_subset(const struct auth_identity *creator, const json_t *names, struct leased_err *err)
{
	const json_t *name;
	size_t i;

	json_array_foreach(
	    names, i, name) if (!auth_names_have(creator->policies,
				    json_string_value(name))) return (leased_err_set(err,
	    LEASED_EINVAL, "child policies must be subset of parent: yours has no policy \"%s\"",
	    json_string_value(name)));
	return (0);
}

static int
token_policies(const struct auth_identity *creator, bool sudo,
    const struct auth_token_params *params, json_t **ret_policies, struct leased_err *err)
{
	json_t *names = NULL, *sorted = NULL;
	int r;

	if ((r = token_wanted_policies(creator, params, &names, err)) != 0)
		return (r);
	if (auth_names_have(names, "root")) {
		/* Whoever holds root holds nothing else; only root gives it, and not for longer. */
		if (!creator->root)
			r = leased_err_set(err, LEASED_EINVAL,
			    "root tokens may not be created without parent token being root");
		else if (creator->expires_ms != 0 && params->ttl_s == 0 && params->period_s == 0 &&
			 params->explicit_max_ttl_s == 0)
			r = leased_err_set(err, LEASED_EINVAL,
			    "expiring root tokens cannot create non-expiring root tokens: give a "
			    "ttl");
		else if ((sorted = json_pack("[s]", "root")) == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if (!sudo && !creator->root && (r = token_check_subset(creator, names, err)) != 0)
		goto out;
	if (!params->no_default_policy &&
	    (sudo || creator->root || auth_names_have(creator->policies, "default")))
		if (json_array_append_new(names, json_string("default")) != 0)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	if (r == 0 && (sorted = auth_names_sort(names)) == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
out:
	json_decref(names);
	if (r == 0)
		*ret_policies = sorted;
	else
		json_decref(sorted);
	return (r);
}

/* "token", or "token-" and what of the wished name is a letter, a digit or a '-'. */
static void
token_display_name(const char *wish, char ret_name[80])
{
	size_t used;

	(void)snprintf(ret_name, 80, wish != NULL && wish[0] != '\0' ? "token-%.64s" : "token",
	    wish != NULL ? wish : "");
	for (used = 0; ret_name[used] != '\0'; used++)
		if (!isalnum((unsigned char)ret_name[used]))
			ret_name[used] = '-';
	while (used > 0 && ret_name[used - 1] == '-')
		ret_name[--used] = '\0';
}

/* ---- putting one together ---- */

static int
token_create_warn(struct token_create *create, const char *text)
{
	if (create->warnings == NULL && (create->warnings = json_array()) == NULL)
		return (LEASED_ENOMEM);
	return (
	    json_array_append_new(create->warnings, json_string(text)) == 0 ? 0 : LEASED_ENOMEM);
}

static int
token_create_warnings(
    struct token_create *create, const struct auth_token_params *params, const char *ttl_warning)
{
	const json_t *policies = json_object_get(create->data, "policies"), *name;
	char text[AUTH_NAME_MAX + 100];
	size_t i;
	int r = 0;

	json_array_foreach(policies, i, name)
	{
		if (auth_policy_exists(create->auth, json_string_value(name)))
			continue;
		(void)snprintf(text, sizeof(text),
		    "Policy \"%s\" does not exist: it grants nothing until it is written",
		    json_string_value(name));
		r |= token_create_warn(create, text);
	}
	if (params->id != NULL)
		r |= token_create_warn(create,
		    "The token has the id that you gave: it is as hard to guess as you made it");
	if (ttl_warning[0] != '\0')
		r |= token_create_warn(create, ttl_warning);
	return (r == 0 ? 0 : LEASED_ENOMEM);
}

static int
token_ttl(struct auth *auth, const struct auth_identity *creator, bool root,
    const struct auth_token_params *params, bool orphan, struct lease_ttl *ret_ttl,
    struct leased_err *err)
{
	struct lease_ttl_input input = {.increment_s = params->ttl_s,
	    .mount_default_s = auth->config.default_ttl_s,
	    .mount_max_s = auth->config.max_ttl_s,
	    .period_s = params->period_s,
	    .explicit_max_s = params->explicit_max_ttl_s,
	    .owner_left_s = orphan ? -1 : auth_identity_left_s(auth, creator)};
	int r;

	if (root && params->ttl_s == 0 && params->period_s == 0 &&
	    params->explicit_max_ttl_s == 0) {
		*ret_ttl = (struct lease_ttl){0}; /* a root token without a TTL does not end */
		return (0);
	}
	if ((r = leases_time_check(auth->config.leases, err)) != 0)
		return (r);
	input.start_ms = input.now_ms = leases_now_ms(auth->config.leases);
	return (lease_ttl_compute(&input, ret_ttl, err));
}

static json_t *
token_data(struct auth *auth, const struct auth_identity *creator, const char *path,
    const struct auth_token_params *params, json_t *policies, bool orphan, int64_t depth,
    int64_t ttl_s)
{
	int64_t now_ms = leases_now_ms(auth->config.leases);
	char display_name[80];
	bool root = auth_names_have(policies, "root");

	token_display_name(params->display_name, display_name);
	return (json_pack("{s:O, s:s, s:O?, s:s, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:b,"
			  " s:b, s:I, s:I}",
	    "policies", policies, "path", path, "meta", params->meta, "display_name", display_name,
	    "num_uses", (json_int_t)params->num_uses, "orphan", (int)orphan, "creation_s",
	    (json_int_t)(wclock_wall_ms(auth->config.clock) / 1000), "issued_ms",
	    (json_int_t)now_ms, "ttl_s", (json_int_t)ttl_s, "explicit_max_s",
	    (json_int_t)params->explicit_max_ttl_s, "period_s", (json_int_t)params->period_s,
	    "expires_ms", (json_int_t)(ttl_s == 0 ? 0 : now_ms + ttl_s * 1000), "entity",
	    /* Root has no entity: else all tokens that one operator made would be one caller. */
	    creator->root ? "" : creator->entity, "renewable",
	    (int)(params->renewable && ttl_s != 0), "root", (int)root, "depth", (json_int_t)depth,
	    /* The cap counts by entity: a token is no way around it. */
	    "max_leases", (json_int_t)creator->max_leases));
}

static int
token_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct token_create *create = (struct token_create *)op;
	int r;

	if ((r = FAILPOINT_ERROR(auth_token_create, err)) != 0)
		return (r);
	/* The parent may have been ended since it was authenticated: its death does not look for
	 * children again. */
	if (create->index.parent != 0) {
		r = lease_token_alive(txn, create->index.parent, create->now_ms, err);
		if (r == LEASED_EEXPIRED)
			return (leased_err_set(err, LEASED_EDENIED,
			    "permission denied: the token that asks has just ended"));
		if (r != 0)
			return (r);
	}
	if ((r = store_lease_insert(txn, create->row, err)) != 0)
		return (r);
	create->index.id = create->row->id;
	r = store_token_insert(txn, &create->index, err);
	if (r == LEASED_EEXIST)
		return (leased_err_set(err, LEASED_EINVAL,
		    "cannot create a token with a duplicate ID: choose another id"));
	return (r);
}

static void
on_token_created(struct store_op *op, int result, const struct leased_err *err)
{
	struct token_create *create = (struct token_create *)op;
	struct auth_token_created created = {.token = create->text,
	    .id = create->index.id,
	    .ttl_s = create->ttl_s,
	    .accessor = create->index.accessor,
	    .data = create->data,
	    .warnings = create->warnings};

	if (result != 0) {
		token_create_failed(create, result, err);
		return;
	}
	lease_token_written(create->auth->config.leases,
	    json_integer_value(json_object_get(create->data, "expires_ms")));
	create->done(create->arg, 0, &created, NULL);
	token_create_free(create);
}

/* Gives the token its text, accessor and row, and hands it to the writer. Ends create. */
static void
token_create_submit(struct token_create *create, const char *id, const char *path)
{
	struct auth *auth = create->auth;
	struct leased_err err = LEASED_ERR_INIT;
	char text[sizeof(TOKEN_PREFIX) + TOKEN_RANDOM_LEN];
	int r;

	memcpy(text, TOKEN_PREFIX, sizeof(TOKEN_PREFIX) - 1);
	id_base62(auth->config.ids, TOKEN_RANDOM_LEN, text + sizeof(TOKEN_PREFIX) - 1);
	create->text = leased_secret_new(id != NULL ? id : text, strlen(id != NULL ? id : text));
	leased_wipe(text, sizeof(text));
	id_base62(auth->config.ids, 24, create->index.accessor);
	if (create->text == NULL) {
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory while making a token");
		goto failed;
	}
	r = auth_token_mac(auth, leased_secret_reveal(create->text), create->index.mac, &err);
	if (r != 0)
		goto failed;
	r = lease_token_row(json_integer_value(json_object_get(create->data, "expires_ms")), path,
	    create->data, auth->config.ids, &create->row, &err);
	if (r != 0)
		goto failed;
	create->now_ms = leases_now_ms(auth->config.leases);
	create->op.run = token_run;
	create->op.done = on_token_created;
	store_submit(auth->config.store, &create->op);
	return;
failed:
	token_create_failed(create, r, &err);
}

static int
token_depth(struct auth *auth, int64_t parent, int64_t *ret_depth, struct leased_err *err)
{
	struct store_lease *row = NULL;
	int r;

	*ret_depth = 0;
	if (parent == 0)
		return (0);
	if ((r = store_lease_get(store_db(auth->config.store), parent, &row, err)) != 0)
		return (r);
	*ret_depth = json_integer_value(json_object_get(row->data, "depth")) + 1;
	store_lease_free(row);
	if (*ret_depth > AUTH_DEPTH_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "this token is the %dth generation of children: create an orphan instead",
		    AUTH_DEPTH_MAX));
	return (0);
}

static int
token_prepare(struct token_create *create, const struct auth_identity *creator, bool sudo,
    const char *path, const struct auth_token_params *params, struct leased_err *err)
{
	struct auth *auth = create->auth;
	struct lease_ttl ttl = {0};
	json_t *policies = NULL;
	bool orphan = params->no_parent || creator->token == 0;
	int64_t depth = 0;
	int r;

	if ((r = token_check_rights(creator, sudo, params, err)) != 0)
		goto out;
	if ((r = token_policies(creator, sudo, params, &policies, err)) != 0)
		goto out;
	r = token_ttl(auth, creator, auth_names_have(policies, "root"), params, orphan, &ttl, err);
	if (r != 0)
		goto out;
	create->index.parent = orphan ? 0 : creator->token;
	create->index.uses_left = params->num_uses > 0 ? params->num_uses : -1;
	if ((r = token_depth(auth, create->index.parent, &depth, err)) != 0)
		goto out;
	create->ttl_s = ttl.ttl_s;
	create->data = token_data(auth, creator, path, params, policies, orphan, depth, ttl.ttl_s);
	if (create->data == NULL || token_create_warnings(create, params, ttl.warning) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory while making a token");
out:
	json_decref(policies);
	return (r);
}

void
auth_token_create(struct auth *auth, const struct auth_identity *creator, bool sudo,
    const char *path, const struct auth_token_params *params, auth_token_done done, void *arg)
{
	struct token_create *create = calloc(1, sizeof(*create));
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (create == NULL) {
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory while making a token");
		done(arg, r, NULL, &err);
		return;
	}
	create->auth = auth;
	create->done = done;
	create->arg = arg;
	r = token_prepare(create, creator, sudo || creator->root, path, params, &err);
	if (r != 0)
		token_create_failed(create, r, &err);
	else
		token_create_submit(
		    create, params->id != NULL ? leased_secret_reveal(params->id) : NULL, path);
}

void
auth_token_create_root(struct auth *auth, const char *id, auth_token_done done, void *arg)
{
	struct auth_token_params params = {.no_parent = true};
	struct auth_identity creator = {.tag = AUTH_IDENTITY_TAG, .root = true};
	struct token_create *create = calloc(1, sizeof(*create));
	struct leased_err err = LEASED_ERR_INIT;
	int r = LEASED_ENOMEM;

	if (create == NULL) {
		(void)leased_err_set(&err, r, "out of memory while making the root token");
		done(arg, r, NULL, &err);
		return;
	}
	create->auth = auth;
	create->done = done;
	create->arg = arg;
	create->index.uses_left = -1;
	if (id != NULL && (r = token_check_id(id, &err)) != 0)
		goto failed;
	if ((creator.policies = json_pack("[s]", "root")) == NULL ||
	    (create->data = token_data(auth, &creator, "auth/token/root", &params, creator.policies,
		 true, 0, 0)) == NULL ||
	    json_object_set_new(create->data, "display_name", json_string("root")) != 0) {
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		goto failed;
	}
	json_decref(creator.policies);
	token_create_submit(create, id, "auth/token/root");
	return;
failed:
	json_decref(creator.policies);
	token_create_failed(create, r, &err);
}

/* ---- revoke ---- */

void
auth_token_revoke(struct auth *auth, int64_t id, unsigned wait_ms, const char *cause,
    const struct lease_actor *actor, lease_job_done done, void *arg)
{
	struct lease_scope scope = {.kind = LEASE_SCOPE_TOKEN, .token = id};

	if (actor != NULL)
		scope.actor = *actor;
	lease_job_start(auth->config.leases, &scope, wait_ms, cause, done, arg);
}
