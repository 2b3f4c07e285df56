/*
 * Uses of tokens that have a number of them: each is taken once, in a transaction of its own,
 * before the request is looked at. token_use.c calls, when such a token authenticates.
 */
#include <stdlib.h>

#include "auth/auth_private.h"
#include "base/failpoint.h"

#define LAST_USE_MS (INT64_C(120) * 1000) /* longer than any request takes */

struct token_use {
	struct store_op op; /* first */
	struct auth *auth;
	struct auth_identity *identity;
	int64_t left, now_ms;
	int64_t ends_ms; /* out: what the timer is to know of, 0: nothing new */
	auth_done done;
	void *arg;
};

/*
 * The token ends behind this request's answer. Should nobody come to that (a crash, a full disk),
 * the timer does.
 */
static int
token_use_last(struct token_use *use, struct store_txn *txn, struct leased_err *err)
{
	struct store_lease *row = NULL;
	int64_t ends_ms = use->now_ms + LAST_USE_MS;
	int r;

	r = store_lease_get(store_txn_db(txn), use->identity->token, &row, err);
	if (r == 0 && !row->revoke && row->next_at_ms > ends_ms) {
		row->next_at_ms = ends_ms;
		if ((r = store_lease_update(txn, row, err)) == 0)
			use->ends_ms = ends_ms;
	}
	store_lease_free(row);
	return (r);
}

static int
token_use_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct token_use *use = (struct token_use *)op;
	int r;

	if ((r = FAILPOINT_ERROR(auth_token_use, err)) != 0)
		return (r);
	r = store_token_use(txn, use->identity->token, &use->left, err);
	return (r == 0 && use->left == 0 ? token_use_last(use, txn, err) : r);
}

static void
on_token_used(struct store_op *op, int result, const struct leased_err *err)
{
	struct token_use *use = (struct token_use *)op;
	struct leased_err denied = LEASED_ERR_INIT;

	if (result == LEASED_EDENIED || result == LEASED_ENOENT) {
		result = leased_err_set(&denied, LEASED_EDENIED, "%s", AUTH_TOKEN_DENIED);
		err = &denied;
	}
	if (result == 0 && use->ends_ms != 0)
		lease_token_written(use->auth->config.leases, use->ends_ms);
	use->identity->last_use = use->left == 0;
	use->identity->record->index.uses_left = use->left;
	use->done(use->arg, result, result == 0 ? use->identity : NULL, err);
	auth_identity_release(use->identity);
	free(use);
}

void
auth_token_take_use(struct auth *auth, struct auth_identity *identity, auth_done done, void *arg)
{
	struct token_use *use = calloc(1, sizeof(*use));
	struct leased_err err = LEASED_ERR_INIT;

	if (use == NULL) {
		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		done(arg, err.code, NULL, &err);
		auth_identity_release(identity);
		return;
	}
	use->op.run = token_use_run;
	use->op.done = on_token_used;
	use->auth = auth;
	use->now_ms = leases_now_ms(auth->config.leases);
	use->identity = identity;
	use->left = -1;
	use->done = done;
	use->arg = arg;
	store_submit(auth->config.store, &use->op);
}
