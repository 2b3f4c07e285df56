/*
 * From a durable INTENT to LIVE: the mint, its outcome, and the answer to who asked (issue.c made
 * the INTENT). A preflight goes on to log in as the canary instead; its end is the ordinary one.
 *
 * Crash points: between INTENT and LIVE the row's next_at (the mint's deadline) makes it overdue
 * and the ordinary timer ends the account; after LIVE the lease is a lease, whether or not its
 * client has it.
 */
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/ended.h"
#include "lease/private.h"

/* ---- the outcome "it failed" ---- */

int
lease_revoked_run(struct lease *lease, enum lease_end end, const char *cause, struct store_txn *txn,
    struct leased_err *err)
{
	lease->row->revoke = true;
	lease->row->next_at_ms = lease->now_ms;
	lease->data.mint_over = true;
	lease_data_end(&lease->data, end, cause, NULL, lease->now_ms);
	return (lease_store(lease, txn, err));
}

int
lease_hit_run(struct lease *lease, const char *cause, struct store_txn *txn, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	int64_t token = lease->data.owner_token;
	enum lease_end end = LEASE_END_BULK;

	if (token != 0 && lease_token_alive(txn, token, lease->now_ms, &why) != 0)
		end = LEASE_END_TOKEN;
	return (lease_revoked_run(lease, end, cause, txn, err));
}

static int
failed_run(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	int r;

	if ((r = lease_reload(lease, txn, err)) != 0 ||
	    (r = lease_caps_give(lease, txn, false, err)) != 0)
		return (r);
	lease_put_identity(lease);
	lease->data.failed_mint = true;
	lease->data.cut = lease->data.cut || lease->cut;
	lease->data.error_code = lease->failure.code;
	lease_text_copy(lease->data.error, sizeof(lease->data.error), lease->failure.text);
	return (lease_revoked_run(lease, LEASE_END_MINT, "failed mint", txn, err));
}

static void
answer_and_end(struct lease *lease)
{
	struct lease_request *request = lease->request;
	struct leased_err why = lease->failure;

	lease->request = NULL;
	lease_end_take(lease);
	lease_request_answer(request, why.code, &why, NULL);
}

static void
on_failed(struct lease *lease, int result, const struct leased_err *err)
{
	FAILPOINT(lease_issue_after_failed);
	if (result != 0)
		log_warn(
		    "a failed mint could not be written down; its account is ended all the same",
		    LOG_I("row", lease->id), LOG_S("error", err->text));
	lease->data.failed_mint = lease->data.mint_over = true;
	answer_and_end(lease);
}

static void
on_never_sent(struct lease *lease, int result, const struct leased_err *err)
{
	struct lease_request *request = lease->request;
	struct leased_err why = lease->failure;
	struct leases *leases = lease->task.leases;
	int64_t id = lease->id;

	(void)err; /* the row is overdue soon, and ended by the timer then */
	lease->request = NULL;
	if (result == 0)
		lease_enter(lease, LEASE_GONE);
	lease_release(lease);
	if (result == 0)
		lease_wait_gone(leases, id, NULL);
	lease_request_answer(request, why.code, &why, NULL);
}

/* failure says why. */
static void
mint_failed(struct lease *lease, bool never_sent)
{
	FAILPOINT(lease_issue_before_failed);
	if (never_sent)
		lease_gone_write(lease, on_never_sent);
	else
		lease_write(lease, failed_run, on_failed);
}

/* ---- the outcome "it is there" ---- */

static int
live_run(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	int r;

	if ((r = lease_reload(lease, txn, err)) != 0 ||
	    (r = FAILPOINT_ERROR(lease_issue_live, err)) != 0)
		return (r);
	if (lease->row->state != STORE_LEASE_INTENT)
		return (bug(err, "lease %lld was ended during its mint", (long long)lease->id));
	lease_put_identity(lease);
	lease->hit = lease->row->revoke;
	if (!lease->hit && (r = lease_job_hits(txn, lease->row, &lease->data, lease->now_ms,
				&lease->hit, err)) != 0)
		return (r);
	lease->hit = lease->hit || lease->now_ms >= lease->data.expires_ms;
	if (lease->hit)
		return (lease_hit_run(lease, "revoked during the mint", txn, err));
	lease->data.mint_over = true;
	lease->row->state = STORE_LEASE_LIVE;
	lease->row->next_at_ms = lease->data.expires_ms;
	return (lease_store(lease, txn, err));
}

static void
on_live(struct lease *lease, int result, const struct leased_err *err)
{
	struct lease_request *request = lease->request;
	struct lease_connection *connection;

	if (result != 0 || lease->hit) {
		if (result != 0)
			lease->failure = *err;
		else
			(void)leased_err_set(&lease->failure, LEASED_EEXPIRED,
			    "the lease was revoked or ended while it was being made; ask again");
		lease->failure.code = result != 0 ? result : LEASED_EEXPIRED;
		answer_and_end(lease);
		return;
	}
	lease_enter(lease, LEASE_LIVE);
	FAILPOINT(lease_issue_after_live);
	connection = lease_connection_get(lease->task.leases, lease->connection);
	if (connection != NULL)
		lease_connection_due(connection, lease->row->next_at_ms);
	lease->request = NULL;
	lease_unbusy(lease); /* first: the answer may bring the next operation on it */
	lease_request_answer(request, 0, NULL, lease);
	lease_release(lease);
}

/* ---- preflight: the canary logs in ---- */

static int
canary_run(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	int r;

	if ((r = lease_reload(lease, txn, err)) != 0)
		return (r);
	lease_put_identity(lease);
	lease->data.cut = lease->data.cut || lease->cut;
	return (lease_revoked_run(lease, LEASE_END_PREFLIGHT, "preflight", txn, err));
}

static void
on_canary_ended(void *arg, enum lease_revoke_state state, const struct leased_err *err)
{
	struct lease_request *request = arg;
	int code = err != NULL && err->code != 0 ? err->code : LEASED_ETIMEDOUT;

	lease_request_answer(request, state == LEASE_REVOKE_GONE ? 0 : code, err, NULL);
}

static void
on_canary(struct lease *lease, int result, const struct leased_err *err)
{
	struct lease_request *request = lease->request;
	struct leases *leases = lease->task.leases;

	FAILPOINT(lease_preflight_before_disarm);
	lease->data.mint_over = true;
	if (result != 0 && lease->failure.code == 0) {
		lease->failure = *err;
		lease->failure.code = result;
	}
	if (lease->failure.code != 0) {
		answer_and_end(lease);
		return;
	}
	lease->request = NULL;
	if (lease_wait(leases, lease->id, lease->data.mint_deadline_ms, true, on_canary_ended,
		request) == NULL) {
		struct leased_err why = LEASED_ERR_INIT;

		(void)leased_err_set(&why, LEASED_ENOMEM, "out of memory");
		lease_request_refuse(request, LEASED_ENOMEM, &why);
	}
	lease_end_take(lease);
}

static void
on_check(void *arg, const struct plugin_outcome *outcome)
{
	struct lease *lease = lease_from(arg);

	lease->call = NULL;
	FAILPOINT(lease_preflight_after_check);
	if (outcome->code != 0) {
		lease->failure = outcome->err;
		lease->failure.code = outcome->code;
		lease_fence(lease, outcome);
	}
	lease_write(lease, canary_run, on_canary);
}

static void
check_start(struct lease *lease)
{
	json_t *account = lease_account(lease, true);
	json_t *params = account == NULL ? NULL
					 : json_pack("{s:o,s:s}", "account", account, "password",
					       leased_secret_reveal(lease->request->password));
	struct lease_connection *connection =
	    lease_connection_find(lease->task.leases, lease->connection);
	struct plugin_port *port = connection != NULL ? lease_connection_port(connection) : NULL;

	FAILPOINT(lease_preflight_before_check);
	if (port != NULL && !plugin_port_has(port, PLUGIN_OP_CHECK)) {
		json_decref(params);
		lease_write(lease, canary_run, on_canary); /* that it was made is all it shows */
		return;
	}
	if (port != NULL && params != NULL)
		lease->call = plugin_call_start(port, PLUGIN_OP_CHECK, params, 0, on_check, lease);
	else
		json_decref(params);
	if (lease->call != NULL)
		return;
	(void)leased_err_set(&lease->failure, port == NULL ? LEASED_EUNAVAIL : LEASED_ENOMEM,
	    port == NULL ? "the connection was closed meanwhile" : "out of memory");
	lease_write(lease, canary_run, on_canary);
}

/* ---- the mint ---- */

static void
on_mint(void *arg, const struct plugin_outcome *outcome)
{
	struct lease *lease = lease_from(arg);
	struct lease_connection *connection =
	    lease_connection_find(lease->task.leases, lease->connection);
	struct wclock *clock = lease->task.leases->config.clock;
	int r = lease->doing == LEASE_ISSUING ? lease_request_code(outcome->code) : outcome->code;

	lease->call = NULL;
	FAILPOINT(lease_issue_after_mint);
	if (connection != NULL) {
		lease_pace_mint_over(&connection->pace,
		    outcome->code == 0 ? clock->boot_us(clock) - lease->request->call_us : 0,
		    leases_now_ms(connection->leases));
	}
	if (r == 0)
		r = lease_take_identity(lease, outcome->result, &lease->failure);
	else
		lease->failure = outcome->err;
	lease->failure.code = r;
	if (r != 0) {
		if (outcome->code != 0 && !outcome->not_sent)
			lease_fence(lease, outcome);
		mint_failed(lease, outcome->code != 0 && outcome->not_sent);
		return;
	}
	lease->request->values = json_incref(json_object_get(outcome->result, "values"));
	if (lease->doing == LEASE_PROBING) {
		check_start(lease);
		return;
	}
	FAILPOINT(lease_issue_before_live);
	lease_write(lease, live_run, on_live);
}

static struct plugin_call *
mint_call(struct lease *lease, struct lease_connection *connection, struct plugin_port *port)
{
	char expires[32];
	json_t *account = lease_account(lease, false);
	json_t *params;

	if (account == NULL)
		return (NULL);
	lease_native_expiry(connection->leases, lease->data.expires_ms, expires, sizeof(expires));
	params = json_pack("{s:o,s:s,s:s}", "account", account, "password",
	    leased_secret_reveal(lease->request->password), "expires", expires);
	if (params == NULL)
		return (NULL);
	return (plugin_call_start(port, PLUGIN_OP_MINT, params, LEASE_MINT_MS, on_mint, lease));
}

void
lease_mint_start(struct lease *lease)
{
	struct lease_connection *connection =
	    lease_connection_get(lease->task.leases, lease->connection);
	struct plugin_port *port = connection != NULL ? lease_connection_port(connection) : NULL;
	struct wclock *clock = lease->task.leases->config.clock;

	FAILPOINT(lease_issue_after_intent);
	/* An INTENT past its deadline is the timer's: see expiry.c. */
	if (lease->failure.code == 0 &&
	    leases_now_ms(lease->task.leases) >= lease->data.mint_deadline_ms)
		(void)leased_err_set(&lease->failure, LEASED_ETIMEDOUT,
		    "writing the lease down took too long; nothing was made");
	else if (port == NULL)
		(void)leased_err_set(
		    &lease->failure, LEASED_EUNAVAIL, "the connection was closed meanwhile");
	else if (lease->revoked)
		(void)leased_err_set(&lease->failure, LEASED_EEXPIRED,
		    "the lease was revoked before it was made; ask again");
	if (lease->failure.code != 0) {
		mint_failed(lease, true);
		return;
	}
	FAILPOINT(lease_issue_before_mint);
	lease->request->call_us = clock->boot_us(clock);
	if ((lease->call = mint_call(lease, connection, port)) == NULL) {
		(void)leased_err_set(&lease->failure, LEASED_ENOMEM, "out of memory");
		mint_failed(lease, true);
		return;
	}
	lease_pace_mint_began(&connection->pace);
}
