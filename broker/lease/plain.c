/*
 * Leases without a backend: their issue, which is one transaction, looking one up, and telling
 * their engine of an end. Their way out is everybody's (end.c), without a plugin in it; their
 * renewal is in renew.c.
 *
 * If we die before the commit, nothing has happened; behind it, the lease is there, whether or not
 * its client has it, and ends in its time.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "lease/ended.h"
#include "lease/issuing.h"
#include "lease/plain.h"
#include "lease/private.h"

/* ---- issue ---- */

static int
plain_run(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	int r;

	if (lease->data.owner_token != 0 &&
	    (r = lease_token_alive(txn, lease->data.owner_token, lease->now_ms, err)) != 0)
		return (r);
	if ((r = lease_issue_caps_take(lease, txn, err)) != 0 ||
	    (r = FAILPOINT_ERROR(lease_issue_live, err)) != 0 ||
	    (r = lease_record_put(lease->row, &lease->data, err)) != 0)
		return (r);
	return (store_lease_insert(txn, lease->row, err));
}

static void
on_plain(struct lease *lease, int result, const struct leased_err *err)
{
	struct leases *leases = lease->task.leases;
	struct lease_request *request = lease->request;
	struct lease_connection *connection = lease_connection_get(leases, 0);
	struct leased_err why = LEASED_ERR_INIT;

	if (result != 0) {
		why = *err; /* err is the lease's, which ends here */
	} else {
		lease->id = lease->row->id;
		lease_enter(lease, LEASE_LIVE);
		if (connection != NULL)
			lease_connection_due(connection, lease->row->next_at_ms);
		FAILPOINT(lease_issue_after_live);
		if (leases_now_ms(leases) >= lease->data.expires_ms)
			result = leased_err_set(&why, LEASED_EEXPIRED,
			    "the lease ended while it was being written down; ask again");
	}
	lease->request = NULL;
	lease_request_tell(request, result, result != 0 ? &why : NULL, lease);
	lease_request_free(request);
	if (result == 0)
		lease_fresh_keep(leases, lease);
	lease_release(lease);
}

static int
engine_put(struct lease *lease, const json_t *engine, struct leased_err *err)
{
	json_t *copy;

	if (json_dumpb(engine, NULL, 0, JSON_COMPACT) > LEASE_ENGINE_MAX)
		return (leased_err_set(err, LEASED_ETOOBIG,
		    "what is to be kept with the lease is longer than %d bytes", LEASE_ENGINE_MAX));
	/* A copy, since the transaction runs on another thread. */
	if ((copy = json_deep_copy(engine)) == NULL ||
	    (lease->row->data = json_pack("{s:o}", "engine", copy)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

static int
plain_prepare(struct lease *lease, const struct lease_issue *issue, struct leased_err *err)
{
	struct leases *leases = lease->task.leases;
	int r;

	if ((r = leases_time_check(leases, err)) != 0 ||
	    (r = lease_issue_store_ready(leases, err)) != 0 ||
	    (r = lease_issue_terms(lease, issue, err)) != 0)
		return (r);
	lease->data.mint_over = true;
	lease->data.mint_deadline_ms = 0;
	lease->data.fixed = issue->fixed;
	if ((r = lease_issue_row(lease, issue, STORE_LEASE_PLAIN, err)) != 0)
		return (r);
	return (engine_put(lease, issue->engine, err));
}

void
lease_plain_start(
    struct leases *leases, const struct lease_issue *issue, lease_issue_done done, void *arg)
{
	struct lease_request *request = calloc(1, sizeof(*request));
	struct lease *lease = lease_new(leases, LEASE_ISSUING);
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (request == NULL || lease == NULL) {
		free(request);
		if (lease != NULL)
			lease_release(lease);
		lease_nomem_add(leases, (struct lease_dones){.on_issued = done}, arg);
		return;
	}
	request->leases = leases;
	request->on_issued = done;
	request->arg = arg;
	request->start_us = leases->config.clock->boot_us(leases->config.clock);
	lease->request = request;
	if ((r = plain_prepare(lease, issue, &err)) != 0) {
		lease->request = NULL;
		lease_release(lease);
		lease_request_refuse(request, r, &err);
		return;
	}
	FAILPOINT(lease_issue_before_live);
	lease_write(lease, plain_run, on_plain);
}

/* ---- looking ---- */

void
lease_plain_clear(struct lease_plain *plain)
{
	store_lease_free(plain->row);
	*plain = (struct lease_plain){0};
}

/* Its token's end is written before its leases are marked, one by one. */
static int
owner_is_there(struct leases *leases, int64_t token, struct leased_err *err)
{
	const struct store_lease *row;
	struct store_lease *read = NULL;
	bool alive;
	int r;

	if (token == 0)
		return (0);
	if ((row = lease_row_remembered(leases, token)) == NULL) {
		if ((r = lease_row_get(leases, token, &read, err)) != 0)
			return (r == LEASED_ECORRUPT ? LEASED_ENOENT : r);
		row = read;
	}
	alive = row->kind == STORE_LEASE_TOKEN && !row->revoke &&
		row->next_at_ms > leases_now_ms(leases);
	store_lease_free(read);
	return (alive ? 0 : LEASED_ENOENT);
}

int
lease_plain_get(
    struct leases *leases, int64_t id, struct lease_plain *ret_plain, struct leased_err *err)
{
	struct lease_plain plain = {0};
	struct lease_data data;
	int r;

	r = lease_row_get(leases, id, &plain.row, err);
	if (r == LEASED_ECORRUPT) /* counted by the store; nothing vouches for it */
		return (LEASED_ENOENT);
	if (r != 0)
		return (r);
	r = LEASED_ENOENT;
	if (plain.row->kind == STORE_LEASE_PLAIN && plain.row->state == STORE_LEASE_LIVE &&
	    !plain.row->revoke && lease_data_decode(plain.row->data, &data, NULL) == 0 &&
	    leases_now_ms(leases) < data.expires_ms)
		r = owner_is_there(leases, data.owner_token, err);
	if (r != 0) {
		lease_plain_clear(&plain);
		return (r);
	}
	plain.engine = lease_record_engine(plain.row);
	plain.issued_wall_ms = data.issued_wall_ms;
	plain.expires_wall_ms = leases_wall_ms(leases, data.expires_ms);
	lease_text_copy(plain.role, sizeof(plain.role), data.role);
	lease_text_copy(plain.display, sizeof(plain.display), data.display);
	lease_text_copy(plain.entity, sizeof(plain.entity), data.entity);
	*ret_plain = plain;
	return (0);
}

/* ---- its end ---- */

int
lease_plain_tell(const struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	struct lease_plain_ended ended = {.row = lease->row->id,
	    .mount = lease->row->mount,
	    .place = lease->row->place,
	    .engine = lease_record_engine(lease->row),
	    .end = lease_ended_end(lease),
	    .left_ms = lease->data.expires_ms - lease->now_ms,
	    .wall_ms = lease->wall_ms};

	if (lease->plain_ended == NULL)
		return (0);
	return (lease->plain_ended(txn, &ended, err));
}
