/*
 * Accounts without a row: those of tombstones whose call was cut are looked for once more after
 * their end (the second net against zombies), and those of quarantined rows are disarmed when they
 * are due. They go the ordinary way out (end.c), and their outcome is written here.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/private.h"

#define LOOK_EVERY_MS 30000
#define LOOK_RETRY_MS 60000
#define LOOK_MAX 64 /* a connection's at a time */
#define QUARANTINE_EVERY_MS 5000

static int
looked_run(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	int64_t again_ms = lease->failure.code == 0 ? 0 : lease->now_ms + LOOK_RETRY_MS;

	return (store_tombstone_looked(txn, lease->id, again_ms, err));
}

void
lease_damaged_why(const char *account, struct leased_err *ret_why)
{
	(void)leased_err_set(ret_why, LEASED_ECORRUPT,
	    "the lease's record is damaged, so that account %s stays, without access: drop it "
	    "there, then let the lease be forgotten by sys/leases/revoke-force and its id",
	    account);
}

/* For who waits for its end: no more than this can be done without a person. */
static void
quarantine_tell(struct lease *lease)
{
	struct leases *leases = lease->task.leases;
	struct leased_err why = lease->failure;

	if (why.code == 0)
		lease_damaged_why(lease->row->account, &why);
	lease_wait_refused(leases, lease->id, lease->failure.code == 0, &why);
}

static void
on_looked(struct lease *lease, int result, const struct leased_err *err)
{
	if (lease->doing == LEASE_QUARANTINED)
		quarantine_tell(lease);
	if (result != 0 && result != LEASED_ENOENT)
		log_warn("a second look could not be written down", LOG_ERR(err));
	lease_release(lease);
}

static int
quarantine_run(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	return (store_quarantine_update(txn, lease->id, lease->failure.code == 0,
	    lease->now_ms + LEASE_QUARANTINE_RETRY_MS, err));
}

void
lease_look_over(struct lease *lease)
{
	FAILPOINT(lease_look_before);
	if (lease->doing == LEASE_QUARANTINED) {
		if (lease->failure.code == 0)
			log_warn("the account of a quarantined lease was disarmed; a person must "
				 "remove it",
			    LOG_I("row", lease->id), LOG_S("account", lease->row->account),
			    LOG_I("connection", lease->connection));
		lease_write(lease, quarantine_run, on_looked);
	} else {
		lease_write(
		    lease, looked_run, on_looked); /* a refused one goes behind the others */
	}
}

static void
text_take(char *ret_text, size_t size, const json_t *data, const char *key)
{
	const char *text = json_string_value(json_object_get(data, key));

	if (text != NULL && strlen(text) < size)
		memcpy(ret_text, text, strlen(text) + 1);
}

/*
 * data: the tombstone's, NULL: none. An account that is not found counts as gone only on the server
 * where it was made, and its sessions are known by its handle. Queued when memory lasts.
 */
static void
look_start(struct leases *leases, enum lease_doing doing, int64_t id, int64_t connection,
    const char *account, const json_t *data)
{
	struct store_lease *row = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	struct lease *lease;

	if (lease_busy(leases, id) != NULL || (lease = lease_new(leases, doing)) == NULL)
		return;
	if ((row = calloc(1, sizeof(*row))) == NULL || (row->account = strdup(account)) == NULL) {
		free(row);
		lease_release(lease);
		return;
	}
	lease->row = row;
	lease->id = row->id = id;
	lease->connection = row->connection = connection;
	lease->data.role_version = json_integer_value(json_object_get(data, "role_version"));
	lease->data.failed_mint = json_is_true(json_object_get(data, "failed_mint"));
	text_take(lease->data.handle, sizeof(lease->data.handle), data, "handle");
	text_take(lease->data.server, sizeof(lease->data.server), data, "server");
	lease->kept = json_incref(json_object_get(data, LEASE_KEPT));
	lease->state = LEASE_INTENT;
	if (lease_role_load(lease, &err) == 0 && lease_busy_add(lease))
		lease_end_queue(lease);
	else
		lease_release(lease);
}

static int
quarantine_look(struct lease_connection *connection, int64_t now_ms, struct leased_err *err)
{
	struct leases *leases = connection->leases;
	struct store_quarantined *rows = NULL;
	size_t count = 0;
	int r;

	if ((r = store_quarantine_due(store_db(leases->config.store), connection->id, now_ms,
		 LOOK_MAX, &rows, &count, err)) != 0)
		return (r);
	for (size_t i = 0; i < count; i++)
		if (rows[i].account[0] != '\0')
			look_start(leases, LEASE_QUARANTINED, rows[i].id, connection->id,
			    rows[i].account, NULL);
	store_quarantine_list_free(rows, count);
	return (0);
}

static int
tombstones_look(struct lease_connection *connection, int64_t now_ms, struct leased_err *err)
{
	struct leases *leases = connection->leases;
	struct store_tombstone **tombstones = NULL;
	size_t count = 0;
	int r;

	if ((r = store_tombstone_due(store_db(leases->config.store), connection->id, now_ms,
		 LOOK_MAX, &tombstones, &count, err)) != 0)
		return (r);
	for (size_t i = 0; i < count; i++) {
		look_start(leases, LEASE_LOOKING, tombstones[i]->id, connection->id,
		    tombstones[i]->account, tombstones[i]->data);
		store_tombstone_free(tombstones[i]);
	}
	free(tombstones);
	return (0);
}

/* Asked for each connection that answers: what waits for another one stands in nobody's way. */
void
lease_looks(struct leases *leases, int64_t now_ms)
{
	bool quarantine = now_ms >= leases->quarantine_ms, looks = now_ms >= leases->look_ms;
	struct lease_connection *connection, *next;
	struct leased_err err = LEASED_ERR_INIT;
	int r = 0;

	if (!quarantine && !looks)
		return;
	if (quarantine)
		leases->quarantine_ms = now_ms + QUARANTINE_EVERY_MS;
	if (looks)
		leases->look_ms = now_ms + LOOK_EVERY_MS;
	HASH_ITER(hh, leases->connections, connection, next)
	{
		if (r != 0 || connection->id == 0 || !lease_connection_ready(connection) ||
		    lease_reconcile_ends(connection))
			continue;
		if (quarantine)
			r = quarantine_look(connection, now_ms, &err);
		if (r == 0 && looks)
			r = tombstones_look(connection, now_ms, &err);
	}
	if (r != 0)
		log_warn(
		    "accounts without a lease cannot be read; it is tried again", LOG_ERR(&err));
}
