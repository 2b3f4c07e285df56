/*
 * Removing accounts without a lease, as a person asked: each gets a lease of its own that is to be
 * revoked, which the ordinary way out ends, now or after a crash. Also the note that a run was to
 * do so, until it has ended. Called by the run (reconcile.c) and for a page of it
 * (reconcile_act.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/ended.h"
#include "lease/reconcile_private.h"
#include "metrics/metrics.h"

METRICS_COUNTER(removing_count, "leased_reconcile_removing", "",
    "Accounts without a lease that were given to the way out, as a person asked.");

#define NOTE_BY "by " /* .. the name of who asked */

/* ---- transactions ---- */

struct reconcile_task {
	struct lease_task task;    /* first */
	struct reconcile_run *run; /* NULL: nobody waits for it any more */
	bool is_note, wanted;
	/* The leases of orphans. */
	int64_t connection, mount, now_ms, wall_ms, first_row, last_row;
	uint64_t inserted;
	char run_mark[9], server[128], cause[129], by[129], accessor[25];
	size_t count;
	struct {
		char name[LEASE_ACCOUNT_SIZE], handle[65], random[STORE_LEASE_RANDOM_LEN + 1];
	} orphans[];
};

static void
note_name(int64_t connection, char ret_name[48])
{
	(void)snprintf(ret_name, 48, "reconcile-fix:%lld", (long long)connection);
}

static int
note_run(struct reconcile_task *own, struct store_txn *txn, struct leased_err *err)
{
	char name[48], note[sizeof(NOTE_BY) + sizeof(own->by)] = "";
	int r;

	note_name(own->connection, name);
	if (own->wanted)
		(void)snprintf(note, sizeof(note), NOTE_BY "%s", own->by);
	if ((r = store_meta_put(txn, name, note, err)) == 0)
		r = FAILPOINT_ERROR(lease_reconcile_note, err);
	return (r);
}

/* As an INTENT whose mint is over: disarmed by its name and handle, then removed. */
static int
orphan_data(const struct reconcile_task *own, size_t at, json_t **ret_data, struct leased_err *err)
{
	struct lease_data data;

	memset(&data, 0, sizeof(data));
	data.issued_ms = own->now_ms;
	data.issued_wall_ms = own->wall_ms;
	data.expires_ms = own->now_ms;
	data.mint_over = data.delivered = true;
	data.end = LEASE_END_ORPHAN;
	memcpy(data.run, own->run_mark, sizeof(data.run));
	lease_text_copy(data.handle, sizeof(data.handle), own->orphans[at].handle);
	lease_text_copy(data.server, sizeof(data.server), own->server);
	lease_text_copy(data.cause, sizeof(data.cause), own->cause);
	lease_text_copy(data.revoke_cause, sizeof(data.revoke_cause), own->cause);
	lease_text_copy(data.end_by, sizeof(data.end_by), own->by);
	lease_text_copy(data.end_accessor, sizeof(data.end_accessor), own->accessor);
	if ((*ret_data = lease_data_encode(&data)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

/* Unless it has got a row meanwhile. */
static int
orphan_insert(struct reconcile_task *own, struct store_txn *txn, size_t at, struct leased_err *err)
{
	char place[] = RECONCILE_PLACE, none[] = "";
	struct store_lease row = {.state = STORE_LEASE_INTENT,
	    .kind = STORE_LEASE_CREDENTIAL,
	    .connection = own->connection,
	    .mount = own->mount,
	    .next_at_ms = own->now_ms,
	    .revoke = true,
	    .place = place,
	    .account = own->orphans[at].name,
	    .owner = none};
	struct leased_err why = LEASED_ERR_INIT;
	struct store_lease *there = NULL;
	int r = store_lease_get_account(store_txn_db(txn), row.account, &there, &why);

	store_lease_free(there);
	if (r == 0 || r == LEASED_ECORRUPT)
		return (0);
	if (r != LEASED_ENOENT) {
		*err = why;
		return (r);
	}
	memcpy(row.random, own->orphans[at].random, sizeof(row.random));
	if ((r = orphan_data(own, at, &row.data, err)) != 0)
		return (r);
	if ((r = store_lease_insert(txn, &row, err)) == 0) {
		own->first_row = own->first_row == 0 ? row.id : own->first_row;
		own->last_row = row.id;
		own->inserted++;
	}
	json_decref(row.data);
	return (r);
}

static int
orphans_run(struct reconcile_task *own, struct store_txn *txn, struct leased_err *err)
{
	int r = 0;

	own->first_row = own->last_row = 0;
	own->inserted = 0;
	if (own->server[0] != '\0')
		r = store_server_put(txn, own->connection, own->server, err);
	for (size_t i = 0; i < own->count && r == 0; i++)
		r = orphan_insert(own, txn, i, err);
	if (r == 0)
		r = FAILPOINT_ERROR(lease_reconcile_write, err);
	return (r);
}

static int
on_task_run(struct lease_task *task, struct store_txn *txn, struct leased_err *err)
{
	struct reconcile_task *own = (struct reconcile_task *)task;

	return (own->is_note ? note_run(own, txn, err) : orphans_run(own, txn, err));
}

static void
on_task_drop(struct lease_task *task)
{
	free(task);
}

static void
orphans_written(struct reconcile_run *run, const struct reconcile_task *own)
{
	if (own->inserted == 0)
		return;
	run->report->removing += own->inserted;
	metrics_add(&removing_count, (long long)own->inserted);
	run->connection->leases->reconcile_counts.removing += own->inserted;
	if (run->first_row == 0)
		run->first_row = own->first_row;
	run->last_row = own->last_row;
	lease_connection_due(run->connection, 0);
	lease_wake(run->connection->leases);
}

static void
on_task_done(struct lease_task *task, int result, const struct leased_err *err)
{
	struct reconcile_task *own = (struct reconcile_task *)task;
	struct reconcile_run *run = own->run;
	bool is_note = own->is_note;

	FAILPOINT(lease_reconcile_after_write);
	if (run != NULL) {
		run->task = NULL;
		if (!is_note && result == 0)
			orphans_written(run, own);
	}
	on_task_drop(task);
	if (run == NULL)
		return;
	if (is_note)
		lease_reconcile_run_noted(run, result, err);
	else if (result != 0)
		lease_reconcile_run_fail(run, result, err);
	else
		lease_reconcile_disarm(run);
}

void
lease_reconcile_task_drop(struct reconcile_task *task)
{
	if (task != NULL)
		task->run = NULL;
}

static struct reconcile_task *
task_new(struct reconcile_run *run, size_t count)
{
	struct leases *leases = run->connection->leases;
	struct reconcile_task *own = calloc(1, sizeof(*own) + count * sizeof(own->orphans[0]));

	if (own == NULL)
		return (NULL);
	own->task.run = on_task_run;
	own->task.done = on_task_done;
	own->task.drop = on_task_drop;
	own->run = run;
	own->connection = run->connection->id;
	own->now_ms = leases_now_ms(leases);
	own->wall_ms = leases_wall_ms(leases, own->now_ms);
	memcpy(own->run_mark, leases->run, sizeof(own->run_mark));
	lease_text_copy(own->server, sizeof(own->server), run->server);
	lease_text_copy(own->cause, sizeof(own->cause), run->cause);
	lease_text_copy(own->by, sizeof(own->by), run->report->by);
	lease_text_copy(own->accessor, sizeof(own->accessor), run->accessor);
	return (own);
}

/* ---- the note of a run that is to fix ---- */

bool
lease_reconcile_note(struct reconcile_run *run, bool wanted)
{
	struct reconcile_task *own = task_new(run, 0);

	if (own == NULL)
		return (false);
	own->is_note = true;
	own->wanted = wanted;
	run->task = own;
	FAILPOINT(lease_reconcile_before_note);
	lease_task_submit(run->connection->leases, &own->task);
	return (true);
}

bool
lease_reconcile_note_read(struct leases *leases, int64_t connection, char *ret_by, size_t size)
{
	char name[48], *text = NULL;
	bool found = false;

	note_name(connection, name);
	if (store_meta_get(store_db(leases->config.store), name, &text, NULL) == 0 &&
	    strncmp(text, NOTE_BY, strlen(NOTE_BY)) == 0) {
		lease_text_copy(ret_by, size, text + strlen(NOTE_BY));
		found = true;
	}
	free(text);
	return (found);
}

/* ---- the leases of orphans ---- */

static bool
is_orphan(const struct reconcile_account *account)
{
	return (account->what == RECONCILE_ENDED || account->what == RECONCILE_UNKNOWN);
}

void
lease_reconcile_fix(struct reconcile_run *run)
{
	struct leases *leases = run->connection->leases;
	const struct leases_config *config = &leases->config;
	struct reconcile_page *page = run->page;
	struct leased_err err = LEASED_ERR_INIT;
	struct reconcile_task *own;
	size_t count = 0;

	for (size_t i = 0; i < page->count; i++)
		count += is_orphan(&page->accounts[i]);
	if (count == 0) {
		lease_reconcile_disarm(run);
		return;
	}
	if ((own = task_new(run, count)) == NULL) {
		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		lease_reconcile_run_fail(run, LEASED_ENOMEM, &err);
		return;
	}
	if (config->mount_of != NULL)
		own->mount = config->mount_of(config->arg, own->connection);
	for (size_t i = 0; i < page->count; i++) {
		if (!is_orphan(&page->accounts[i]))
			continue;
		memcpy(own->orphans[own->count].name, page->accounts[i].name, LEASE_ACCOUNT_SIZE);
		memcpy(own->orphans[own->count].handle, page->accounts[i].handle, 65);
		id_base62(config->ids, STORE_LEASE_RANDOM_LEN, own->orphans[own->count++].random);
	}
	run->task = own;
	FAILPOINT(lease_reconcile_before_write);
	lease_task_submit(leases, &own->task);
}

/* ---- the end of the leases of orphans ---- */

struct reconcile_wait {
	struct store_read read;    /* first */
	struct reconcile_run *run; /* NULL: nobody waits any more */
	struct store_lease_query query;
	int64_t connection;
	uint64_t total, late;
};

static int
wait_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct reconcile_wait *wait = (struct reconcile_wait *)read;
	struct store_lease **rows = NULL;
	size_t count = 1;
	int r;

	while (count > 0) {
		if ((r = store_lease_page(db, &wait->query, &rows, &count, err)) != 0)
			return (r);
		for (size_t i = 0; i < count; i++) {
			wait->query.after = rows[i]->id;
			if (rows[i]->connection != wait->connection)
				continue;
			wait->total++;
			wait->late += rows[i]->late;
		}
		store_lease_page_free(rows, count);
		if (count > 0 && store_read_is_long(db))
			return (STORE_READ_AGAIN);
	}
	return (0);
}

static void
wait_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct reconcile_wait *wait = (struct reconcile_wait *)read;
	struct reconcile_run *run = wait->run;
	uint64_t total = wait->total, late = wait->late;
	struct leased_err why = *err; /* it is the read's, which goes */

	free(wait);
	if (run == NULL)
		return;
	run->wait = NULL;
	if (result == 0)
		lease_reconcile_run_waited(run, total, late);
	else if (leases_now_ms(run->connection->leases) < run->until_ms)
		run->next_ms = leases_now_ms(run->connection->leases) + 1000;
	else
		lease_reconcile_run_fail(run, result, &why);
}

bool
lease_reconcile_wait_start(struct reconcile_run *run)
{
	struct leases *leases = run->connection->leases;
	struct reconcile_wait *wait = calloc(1, sizeof(*wait));

	if (wait == NULL)
		return (false);
	wait->read.run = wait_run;
	wait->read.done = wait_done;
	wait->run = run;
	wait->connection = run->connection->id;
	wait->query = (struct store_lease_query){.by = STORE_IN_PLACE,
	    .text = RECONCILE_PLACE,
	    .after = run->first_row - 1,
	    .at_most = run->last_row,
	    .limit = 256};
	if (leases->config.mount_of != NULL)
		wait->query.number = leases->config.mount_of(leases->config.arg, wait->connection);
	run->wait = wait;
	store_submit_read(leases->config.store, &wait->read);
	return (true);
}

void
lease_reconcile_wait_drop(struct reconcile_wait *wait)
{
	if (wait != NULL)
		wait->run = NULL;
}
