/*
 * Renew: backend (if there is one) first, then store, then the answer. Revocation beats renewal:
 * whatever marks or ends the lease while the backend is asked turns the answer into `lease
 * expired`, and its end begins when the worker's call is over.
 *
 * If we die between the backend and the store, the backend's own expiry is later than ours: ours
 * wins.
 *
 * An account that a backend has lost is made anew by the same call, with the end that its lease has
 * (reconcile_remake.c); the store has nothing to write then, but what the plugin wants kept.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/hold.h"
#include "lease/private.h"

#define RENEW_MS 10000
#define RENEW_LEAST_MS 1000

static int
expired(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EEXPIRED, "lease expired"));
}

static int64_t
smaller(int64_t a, int64_t b)
{
	return (a == 0 ? b : b == 0 ? a : a < b ? a : b);
}

/* ---- the store ---- */

static int
renew_run(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	const struct lease_request *request = lease->request;
	int r;

	if ((r = lease_reload(lease, txn, err)) != 0)
		return (r == LEASED_ENOENT ? expired(err) : r);
	if ((r = FAILPOINT_ERROR(lease_renew_store, err)) != 0)
		return (r);
	lease->hit = lease->row->revoke || lease->row->state != STORE_LEASE_LIVE ||
		     lease->now_ms >= lease->data.expires_ms;
	if (lease->hit)
		return (0);
	if ((r = lease_job_hits(txn, lease->row, &lease->data, lease->now_ms, &lease->hit, err)) !=
	    0)
		return (r);
	if (lease->hit)
		return (lease_hit_run(lease, "revoked during a renewal", txn, err));
	lease->data.ttl_s = request->ttl_s;
	lease->data.expires_ms = request->expires_ms;
	if (!request->remake)
		lease->data.renewed_wall_ms = lease->wall_ms;
	lease->row->next_at_ms = request->expires_ms;
	return (lease_store(lease, txn, err));
}

static void
answer(struct lease *lease, int code, const struct leased_err *err)
{
	struct lease_request *request = lease->request;
	struct leases *leases = lease->task.leases;
	struct lease_connection *connection = lease_connection_get(leases, lease->connection);
	bool ends = lease->hit || lease->revoked;
	int64_t id = lease->id, next_at_ms = lease->row->next_at_ms;

	lease->request = NULL;
	lease_unbusy(lease); /* first: the answer may bring the next operation on it */
	lease_request_answer(request, code, err, lease);
	lease_release(lease);
	if (connection != NULL)
		lease_connection_due(connection, next_at_ms);
	if (ends)
		lease_end_kick(leases, id);
}

static void
on_renewed(struct lease *lease, int result, const struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;

	FAILPOINT(lease_renew_after_store);
	if (result == 0 && (lease->hit || lease->revoked))
		result = expired(&why);
	else if (result != 0)
		why = *err;
	why.code = result;
	answer(lease, result, result != 0 ? &why : NULL);
}

/* ---- the backend ---- */

static void
on_renew(void *arg, const struct plugin_outcome *outcome)
{
	struct lease *lease = lease_from(arg);
	struct leased_err why = outcome->err;
	int r = outcome->code;

	lease->call = NULL;
	FAILPOINT(lease_renew_after_call);
	if (r != 0)
		lease_fence(lease, outcome);
	if (lease->revoked || leases_now_ms(lease->task.leases) >= lease->data.expires_ms)
		r = expired(&why);
	if (r == LEASED_ENOENT) {
		/* The lease is there: what is asked for cannot be had, which is no 404. */
		(void)leased_err_prefix(&why, "the account is not on the backend any more");
		r = LEASED_EINVAL;
	} else if (r != LEASED_EEXPIRED)
		r = lease_request_code(r);
	why.code = r;
	if (r == 0)
		r = lease_take_identity(lease, outcome->result, &why);
	if (r != 0 || (lease->request->remake && lease->kept == NULL)) {
		why.code = r;
		lease->hit = r == LEASED_EEXPIRED;
		answer(lease, r, &why);
		return;
	}
	FAILPOINT(lease_renew_before_store);
	lease_write(lease, renew_run, on_renewed);
}

static void
call_start(struct lease *lease, struct plugin_port *port)
{
	struct leases *leases = lease->task.leases;
	int64_t left_ms = lease->data.expires_ms - leases_now_ms(leases);
	/* Not far beyond the lease's end: disarm waits for this call. */
	unsigned timeout_ms = left_ms < RENEW_LEAST_MS ? RENEW_LEAST_MS
			      : left_ms < RENEW_MS     ? (unsigned)left_ms
						       : RENEW_MS;
	struct leased_err err = LEASED_ERR_INIT;
	json_t *account, *params = NULL;
	char expires[32];

	if (!plugin_port_has(port, PLUGIN_OP_RENEW)) {
		lease_write(lease, renew_run, on_renewed); /* it has no end of its own there */
		return;
	}
	account = lease_account(lease, true);
	lease_native_expiry(leases, lease->request->expires_ms, expires, sizeof(expires));
	if (account != NULL)
		params = json_pack("{s:o,s:s}", "account", account, "expires", expires);
	FAILPOINT(lease_renew_before_call);
	if (params != NULL)
		lease->call =
		    plugin_call_start(port, PLUGIN_OP_RENEW, params, timeout_ms, on_renew, lease);
	if (lease->call == NULL) {
		struct lease_request *request = lease->request;

		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		lease->request = NULL;
		lease_release(lease);
		lease_request_refuse(request, LEASED_ENOMEM, &err);
	}
}

/* ---- the request ---- */

static int
row_check(struct leases *leases, const struct store_lease *row, struct leased_err *err)
{
	struct lease_connection *connection = lease_connection_find(leases, row->connection);

	if (row->kind == STORE_LEASE_TOKEN)
		return (leased_err_set(
		    err, LEASED_EINVAL, "tokens cannot be renewed through this endpoint"));
	if (row->state != STORE_LEASE_LIVE || row->revoke ||
	    row->next_at_ms <= leases_now_ms(leases))
		return (expired(err));
	if (store_lease_has_account(row->kind) && lease_held(leases, row->id))
		return (lease_held_error(err));
	if (row->kind == STORE_LEASE_CANARY)
		return (leased_err_set(err, LEASED_EINVAL, "lease is not renewable"));
	if (lease_busy(leases, row->id) != NULL)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "another operation on this lease is under way; ask again"));
	if (connection != NULL && lease_fence_holds(connection, row->id))
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "an earlier renewal of this lease was cut off and may still be under way on "
		    "the backend; ask again in a moment"));
	return (0);
}

static int
times(struct lease *lease, const struct lease_renew *renew, struct leased_err *err)
{
	struct lease_request *request = lease->request;
	struct lease_ttl_input input = renew->ttl;
	struct lease_ttl ttl = {0};
	int r;

	if (request->remake) {
		request->ttl_s = lease->data.ttl_s;
		request->expires_ms = lease->data.expires_ms;
		return (0);
	}
	input.start_ms = lease->data.issued_ms;
	input.now_ms = leases_now_ms(lease->task.leases);
	/* By the role as it is now, but never above the role as it was. */
	if (input.period_s > 0)
		input.explicit_max_s = smaller(input.explicit_max_s, lease->data.max_s);
	else
		input.role_max_s = smaller(input.role_max_s, lease->data.max_s);
	if ((r = lease_ttl_compute(&input, &ttl, err)) != 0)
		return (r);
	request->ttl_s = ttl.ttl_s;
	request->expires_ms = input.now_ms + ttl.ttl_s * 1000;
	lease_text_copy(request->warning, sizeof(request->warning), ttl.warning);
	return (0);
}

static int
port_find(struct lease *lease, struct plugin_port **ret_port, struct leased_err *err)
{
	struct leases *leases = lease->task.leases;
	struct plugin_port *port = leases->config.port_for(leases->config.arg, lease->connection);

	if (port == NULL)
		return (lease_port_absent(leases, lease->connection, err));
	*ret_port = port;
	return (plugin_port_ready(port, err));
}

/* 0: *ret_lease is in the table of operations; *ret_port stays NULL where there is no backend. */
static int
prepare(struct lease_request *request, const struct lease_renew *renew,
    struct plugin_port **ret_port, struct lease **ret_lease, struct leased_err *err)
{
	struct leases *leases = request->leases;
	struct store_lease *row = NULL;
	struct lease *lease;
	int r;

	if (leases->freeing)
		return (leased_err_set(err, LEASED_ECANCELED, "leased is stopping"));
	if ((r = leases_time_check(leases, err)) != 0)
		return (r);
	r = store_lease_get(store_db(leases->config.store), renew->row, &row, err);
	if (r == LEASED_ENOENT)
		return (leased_err_set(err, LEASED_ENOENT, "lease not found"));
	if (r != 0)
		return (r);
	if ((r = row_check(leases, row, err)) != 0) {
		store_lease_free(row);
		return (r);
	}
	if ((lease = lease_from_row(leases, row, LEASE_RENEWING, err)) == NULL)
		return (err->code);
	lease->request = request;
	if (leases_now_ms(leases) >= lease->data.expires_ms)
		r = expired(err); /* its end is in back-off: next_at is when that is tried again */
	else if (lease->data.fixed)
		r = leased_err_set(err, LEASED_EINVAL, "lease is not renewable");
	else if (renew->role_deleted)
		r = leased_err_set(err, LEASED_EINVAL,
		    "lease is not renewable: its role was deleted; it ends at its time");
	else if (!lease_is_plain(lease))
		r = port_find(lease, ret_port, err);
	if (r == 0)
		r = times(lease, renew, err);
	if (r == 0 && !lease_busy_add(lease))
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	if (r != 0) {
		lease->request = NULL;
		lease_release(lease);
		return (r);
	}
	*ret_lease = lease;
	return (0);
}

static void
start(struct leases *leases, const struct lease_renew *renew, bool remake, lease_renew_done done,
    void *arg)
{
	struct lease_request *request = calloc(1, sizeof(*request));
	struct leased_err err = LEASED_ERR_INIT;
	struct plugin_port *port = NULL;
	struct lease *lease = NULL;
	int r;

	if (request == NULL) {
		lease_nomem_add(leases, (struct lease_dones){.on_renewed = done}, arg);
		return;
	}
	request->leases = leases;
	request->on_renewed = done;
	request->arg = arg;
	request->remake = remake;
	if ((r = prepare(request, renew, &port, &lease, &err)) != 0) {
		lease_request_refuse(request, r, &err);
		return;
	}
	if (port != NULL) {
		call_start(lease, port);
		return;
	}
	FAILPOINT(lease_renew_before_store);
	lease_write(lease, renew_run, on_renewed);
}

void
lease_renew_start(
    struct leases *leases, const struct lease_renew *renew, lease_renew_done done, void *arg)
{
	start(leases, renew, false, done, arg);
}

void
lease_remake_start(struct leases *leases, int64_t row, lease_renew_done done, void *arg)
{
	const struct lease_renew renew = {.row = row, .cause = "reconcile"};

	start(leases, &renew, true, done, arg);
}
