/*
 * Tokens in use: authenticates by one, finds, describes and renews them. A token whose row is
 * marked, ended or gone authenticates no more, nor does one whose ancestor is: the job that ends
 * children may still be on its way to them. Does not make tokens (token.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth_private.h"
#include "base/failpoint.h"

int
auth_token_mac(
    struct auth *auth, const char *text, uint8_t ret_mac[SEAL_HMAC_SIZE], struct leased_err *err)
{
	size_t len = strlen(text);

	if (len == 0 || len > AUTH_TOKEN_MAX)
		return (leased_err_set(err, LEASED_ENOENT, "%s", AUTH_TOKEN_DENIED));
	return (seal_hmac(store_seal(auth->config.store), "token", text, len, ret_mac, err));
}

static int64_t
token_number(const struct store_lease *row, const char *field)
{
	return (json_integer_value(json_object_get(row->data, field)));
}

bool
auth_token_alive(struct auth *auth, const struct store_lease *row)
{
	int64_t expires_ms = token_number(row, "expires_ms");

	if (row->kind != STORE_LEASE_TOKEN || row->state != STORE_LEASE_LIVE || row->revoke)
		return (false);
	return (expires_ms == 0 || leases_now_ms(auth->config.leases) < expires_ms);
}

void
auth_token_clear(struct auth_token *token)
{
	store_lease_free(token->row);
	*token = (struct auth_token){0};
}

/* The earlier of two ends; 0 is none. */
static int64_t
earlier_ms(int64_t a_ms, int64_t b_ms)
{
	return (a_ms == 0 || (b_ms != 0 && b_ms < a_ms) ? b_ms : a_ms);
}

/* Every ancestor must live, too; the first of them to end takes the token along. */
static int
token_check_ancestors(struct auth *auth, int64_t parent, struct auth_chain *chain,
    int64_t *ret_ends_ms, struct leased_err *err)
{
	int64_t ends_ms = 0;
	struct store_db *db = store_db(auth->config.store);
	struct store_token index;
	struct store_lease *row = NULL;
	bool alive;
	int r;

	for (unsigned depth = 0; parent != 0; depth++) {
		if (depth > AUTH_DEPTH_MAX)
			return (leased_err_set(err, LEASED_ENOENT, "%s", AUTH_TOKEN_DENIED));
		auth_chain_add(auth, chain, parent);
		if ((r = store_token_get_id(db, parent, &index, err)) != 0 ||
		    (r = store_lease_get(db, parent, &row, err)) != 0)
			return (r == LEASED_ENOENT ? leased_err_set(err, r, "%s", AUTH_TOKEN_DENIED)
						   : r);
		alive = auth_token_alive(auth, row);
		ends_ms = earlier_ms(ends_ms, token_number(row, "expires_ms"));
		store_lease_free(row);
		row = NULL;
		if (!alive)
			return (leased_err_set(err, LEASED_ENOENT, "%s", AUTH_TOKEN_DENIED));
		parent = index.parent;
	}
	*ret_ends_ms = ends_ms;
	return (0);
}

/*
 * The row behind an index entry, if the token authenticates. The entry was read before its row was
 * added to chain: of an unlimited token nothing in it ever changes, and it goes with the row.
 */
static int
token_load(struct auth *auth, const struct store_token *index, struct auth_chain *chain,
    struct auth_token *ret_token, struct leased_err *err)
{
	struct store_lease *row = NULL;
	int64_t ends_ms = 0;
	int r;

	auth_chain_add(auth, chain, index->id);
	if ((r = store_lease_get(store_db(auth->config.store), index->id, &row, err)) != 0)
		goto out;
	if (!auth_token_alive(auth, row) || index->uses_left == 0) {
		r = leased_err_set(err, LEASED_ENOENT, "%s", AUTH_TOKEN_DENIED);
		goto out;
	}
	if ((r = token_check_ancestors(auth, index->parent, chain, &ends_ms, err)) != 0)
		goto out;
	ret_token->index = *index;
	ret_token->family_ends_ms = ends_ms;
	ret_token->row = row;
	row = NULL; /* ownership handed over */
out:
	store_lease_free(row);
	if (r == LEASED_ENOENT)
		(void)leased_err_set(err, r, "%s", AUTH_TOKEN_DENIED);
	return (r);
}

static int
token_find_mac(struct auth *auth, const uint8_t mac[SEAL_HMAC_SIZE], struct auth_chain *chain,
    struct auth_token *ret_token, struct leased_err *err)
{
	struct store_token index;
	int r = store_token_get(store_db(auth->config.store), mac, &index, err);

	if (r == LEASED_ENOENT)
		return (leased_err_set(err, r, "%s", AUTH_TOKEN_DENIED));
	return (r == 0 ? token_load(auth, &index, chain, ret_token, err) : r);
}

int
auth_token_find(
    struct auth *auth, const char *text, struct auth_token *ret_token, struct leased_err *err)
{
	uint8_t mac[SEAL_HMAC_SIZE];
	struct auth_chain chain = {0};
	int r;

	if ((r = auth_token_mac(auth, text, mac, err)) != 0)
		return (r);
	return (token_find_mac(auth, mac, &chain, ret_token, err));
}

int
auth_token_find_accessor(
    struct auth *auth, const char *accessor, struct auth_token *ret_token, struct leased_err *err)
{
	struct auth_chain chain = {0};
	struct store_token index;
	int r;

	r = store_token_get_accessor(store_db(auth->config.store), accessor, &index, err);
	return (r == 0 ? token_load(auth, &index, &chain, ret_token, err) : r);
}

int
auth_token_find_id(
    struct auth *auth, int64_t id, struct auth_token *ret_token, struct leased_err *err)
{
	struct auth_chain chain = {0};
	struct store_token index;
	int r;

	r = store_token_get_id(store_db(auth->config.store), id, &index, err);
	return (r == 0 ? token_load(auth, &index, &chain, ret_token, err) : r);
}

int
auth_token_identity(struct auth *auth, struct auth_token *token,
    struct auth_identity **ret_identity, struct leased_err *err)
{
	const json_t *data = token->row->data;
	const char *entity = json_string_value(json_object_get(data, "entity"));
	const char *display_name = json_string_value(json_object_get(data, "display_name"));
	struct auth_identity *identity = auth_identity_new();
	int r;

	if (identity == NULL || (identity->record = calloc(1, sizeof(*identity->record))) == NULL) {
		auth_identity_release(identity);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	identity->token = token->index.id;
	identity->parent = token->index.parent;
	identity->root = json_is_true(json_object_get(data, "root"));
	identity->orphan = json_is_true(json_object_get(data, "orphan"));
	identity->limited = token->index.uses_left >= 0;
	identity->expires_ms =
	    earlier_ms(token_number(token->row, "expires_ms"), token->family_ends_ms);
	identity->max_leases = token_number(token->row, "max_leases");
	identity->policies = json_incref(json_object_get(data, "policies"));
	identity->display_name = strdup(display_name != NULL ? display_name : "token");
	(void)snprintf(
	    identity->entity, sizeof(identity->entity), "%s", entity != NULL ? entity : "");
	(void)snprintf(identity->accessor, sizeof(identity->accessor), "%s", token->index.accessor);
	if (identity->display_name == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	else if (!json_is_array(identity->policies))
		r = leased_err_set(err, LEASED_ECORRUPT, "the token's record lacks its policies");
	else
		r = auth_acl_attach(auth, identity, err);
	if (r == 0) {
		*identity->record = *token;
		*token = (struct auth_token){0}; /* ownership handed over */
		*ret_identity = identity;
	} else {
		auth_identity_release(identity);
	}
	return (r);
}

/* The identity of the token with that HMAC, as it is remembered or as it is read now. */
static int
identity_of_mac(struct auth *auth, const uint8_t mac[SEAL_HMAC_SIZE],
    struct auth_identity **ret_identity, struct leased_err *err)
{
	struct auth_identity *identity = auth_cache_find(auth, mac);
	struct auth_token token = {0};
	struct auth_chain chain = {0};
	int r;

	if (identity != NULL) {
		*ret_identity = identity;
		return (0);
	}
	if ((r = token_find_mac(auth, mac, &chain, &token, err)) == 0 &&
	    (r = auth_token_identity(auth, &token, &identity, err)) == 0) {
		auth_cache_put(auth, identity, &chain);
		*ret_identity = identity;
	}
	auth_token_clear(&token);
	return (r);
}

void
auth_token_authenticate(struct auth *auth, const char *text, auth_done done, void *arg)
{
	uint8_t mac[SEAL_HMAC_SIZE];
	struct auth_identity *identity = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if ((r = auth_token_mac(auth, text, mac, &err)) == 0)
		r = identity_of_mac(auth, mac, &identity, &err);
	if (r == LEASED_ENOENT)
		r = leased_err_set(&err, LEASED_EDENIED, "%s", AUTH_TOKEN_DENIED);
	if (r != 0) {
		done(arg, r, NULL, &err);
	} else if (identity->limited) {
		auth_token_take_use(auth, identity, done, arg); /* takes identity */
	} else {
		done(arg, 0, identity, NULL);
		auth_identity_release(identity);
	}
}

/* ---- what lookup says ---- */

static int
set_time(json_t *object, const char *field, int64_t wall_ms)
{
	char text[WCLOCK_RFC3339_SIZE];

	wclock_format_rfc3339(wall_ms * 1000, text);
	return (json_object_set_new(object, field, json_string(text)));
}

json_t *
auth_token_describe(struct auth *auth, const struct auth_token *token)
{
	const struct store_lease *row = token->row;
	struct leases *leases = auth->config.leases;
	int64_t now_ms = leases_now_ms(leases);
	int64_t expires_ms = earlier_ms(token_number(row, "expires_ms"), token->family_ends_ms);
	int64_t renewed_ms = token_number(row, "renewed_ms");
	int64_t left_s = expires_ms == 0 ? 0 : (expires_ms - now_ms + 500) / 1000;
	json_t *meta = json_object_get(row->data, "meta"), *object;
	int r = 0;

	object = json_pack("{s:s, s:O?, s:O?, s:O?, s:O?, s:I, s:O?, s:I, s:I, s:n, s:I, s:I,"
			   " s:O?, s:s, s:O?}",
	    "accessor", token->index.accessor, "policies", json_object_get(row->data, "policies"),
	    "path", json_object_get(row->data, "path"), "meta", meta, "display_name",
	    json_object_get(row->data, "display_name"), "num_uses",
	    (json_int_t)(token->index.uses_left > 0 ? token->index.uses_left : 0), "orphan",
	    json_object_get(row->data, "orphan"), "creation_time",
	    (json_int_t)token_number(row, "creation_s"), "creation_ttl",
	    (json_int_t)token_number(row, "ttl_s"), "expire_time", "ttl",
	    (json_int_t)(left_s > 0 ? left_s : 0), "explicit_max_ttl",
	    (json_int_t)token_number(row, "explicit_max_s"), "entity_id",
	    json_object_get(row->data, "entity"), "type", "service", "renewable",
	    json_object_get(row->data, "renewable"));
	if (object == NULL)
		return (NULL);
	r |= set_time(object, "issue_time", token_number(row, "creation_s") * 1000);
	if (expires_ms != 0)
		r |= set_time(object, "expire_time", leases_wall_ms(leases, expires_ms));
	if (token_number(row, "period_s") != 0)
		r |= json_object_set_new(
		    object, "period", json_integer(token_number(row, "period_s")));
	if (renewed_ms != 0) {
		r |= set_time(object, "last_renewal", leases_wall_ms(leases, renewed_ms));
		r |= json_object_set_new(object, "last_renewal_time",
		    json_integer(leases_wall_ms(leases, renewed_ms) / 1000));
	}
	if (r != 0) {
		json_decref(object);
		return (NULL);
	}
	return (object);
}

/* ---- renew ---- */

struct token_renew {
	struct store_op op; /* first */
	struct auth *auth;
	int64_t id, now_ms;
	struct lease_ttl ttl;
	struct store_lease *row; /* as it was written */
	char accessor[25];
	auth_token_done done;
	void *arg;
};

static int
token_renew_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct token_renew *renew = (struct token_renew *)op;
	struct store_lease *row = NULL;
	int64_t expires_ms = renew->now_ms + renew->ttl.ttl_s * 1000;
	int r;

	if ((r = FAILPOINT_ERROR(auth_token_renew, err)) != 0)
		return (r);
	if ((r = store_lease_get(store_txn_db(txn), renew->id, &row, err)) != 0)
		goto out;
	/* A revocation that came in between wins. */
	if (row->revoke || row->state != STORE_LEASE_LIVE) {
		r = leased_err_set(err, LEASED_EEXPIRED, "lease expired: the token was revoked");
		goto out;
	}
	if (json_object_set_new(row->data, "expires_ms", json_integer(expires_ms)) != 0 ||
	    json_object_set_new(row->data, "renewed_ms", json_integer(renew->now_ms)) != 0) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory while renewing a token");
		goto out;
	}
	row->next_at_ms = expires_ms;
	if ((r = store_lease_update(txn, row, err)) != 0)
		goto out;
	store_lease_free(renew->row);
	renew->row = row;
	row = NULL; /* ownership handed over */
out:
	store_lease_free(row);
	return (r);
}

static void
token_renew_end(struct token_renew *renew, int code, const struct leased_err *err)
{
	json_t *warnings = NULL;
	struct auth_token_created created = {
	    .id = renew->id, .ttl_s = renew->ttl.ttl_s, .accessor = renew->accessor};

	if (renew->ttl.warning[0] != '\0')
		warnings = json_pack("[s]", renew->ttl.warning);
	created.warnings = warnings;
	created.data = renew->row != NULL ? renew->row->data : NULL;
	renew->done(renew->arg, code, code == 0 ? &created : NULL, err);
	json_decref(warnings);
	store_lease_free(renew->row);
	free(renew);
}

static void
on_token_renewed(struct store_op *op, int result, const struct leased_err *err)
{
	struct token_renew *renew = (struct token_renew *)op;

	/* A renewal can bring the end nearer, too. */
	if (result == 0)
		lease_token_written(renew->auth->config.leases, renew->row->next_at_ms);
	token_renew_end(renew, result, err);
}

static int
token_renew_prepare(struct token_renew *renew, const struct auth_token *token, int64_t increment_s,
    struct leased_err *err)
{
	struct auth *auth = renew->auth;
	struct lease_ttl_input input = {.increment_s = increment_s,
	    .mount_default_s = auth->config.default_ttl_s,
	    .mount_max_s = auth->config.max_ttl_s};
	int r;

	if (token->index.uses_left == 0)
		return (leased_err_set(err, LEASED_ENOENT, "%s", AUTH_TOKEN_DENIED));
	if (!json_is_true(json_object_get(token->row->data, "renewable")))
		return (leased_err_set(err, LEASED_EINVAL,
		    "lease is not renewable: the token was created with renewable=false or does "
		    "not end"));
	if ((r = leases_time_check(auth->config.leases, err)) != 0)
		return (r);
	input.role_ttl_s = token_number(token->row, "ttl_s");
	input.period_s = token_number(token->row, "period_s");
	input.explicit_max_s = token_number(token->row, "explicit_max_s");
	input.start_ms = token_number(token->row, "issued_ms");
	input.now_ms = renew->now_ms;
	input.owner_left_s = auth_left_s(token->family_ends_ms, renew->now_ms);
	return (lease_ttl_compute(&input, &renew->ttl, err));
}

void
auth_token_renew(struct auth *auth, const struct auth_token *token, int64_t increment_s,
    auth_token_done done, void *arg)
{
	struct token_renew *renew = calloc(1, sizeof(*renew));
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (renew == NULL) {
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory while renewing a token");
		done(arg, r, NULL, &err);
		return;
	}
	renew->auth = auth;
	renew->id = token->index.id;
	memcpy(renew->accessor, token->index.accessor, sizeof(renew->accessor));
	renew->now_ms = leases_now_ms(auth->config.leases);
	renew->done = done;
	renew->arg = arg;
	renew->op.run = token_renew_run;
	renew->op.done = on_token_renewed;
	if ((r = token_renew_prepare(renew, token, increment_s, &err)) != 0)
		token_renew_end(renew, r, &err);
	else
		store_submit(auth->config.store, &renew->op);
}
