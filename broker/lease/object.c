/*
 * struct lease: a lease that something is done to, for as long as it is done, and the transactions
 * it runs. Owns the table of operations (one operation per lease at a time). The steps themselves
 * are in issue.c, preflight.c, renew.c, end.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "lease/private.h"

#define ROLES_MAX 64
#define LEASE_TAG 0x6c656173u

/* ---- tasks ---- */

static int
on_task_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct lease_task *task = (struct lease_task *)op;

	if (task->lost)
		return (leased_err_set(err, LEASED_ECANCELED, "lost in a crash"));
	return (task->run(task, txn, err));
}

static void
on_task_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct lease_task *task = (struct lease_task *)op;
	struct leased_err why = LEASED_ERR_INIT;

	if (task->leases == NULL) {
		task->drop(task);
		return;
	}
	if (result != 0)
		why = *err; /* it lies in the task, which done() may free before it reports */
	why.code = result;
	TAILQ_REMOVE(&task->leases->tasks, task, entry);
	task->done(task, result, &why);
}

void
lease_task_submit(struct leases *leases, struct lease_task *task)
{
	task->op.run = on_task_run;
	task->op.done = on_task_done;
	task->leases = leases;
	TAILQ_INSERT_TAIL(&leases->tasks, task, entry);
	store_submit(leases->config.store, &task->op);
	lease_delivered_flush(leases);
}

/* ---- the object ---- */

struct lease *
lease_from(void *arg)
{
	struct lease *lease = arg;

	if (lease->tag != LEASE_TAG)
		log_fatal("a callback of lease/ was given something that is no lease");
	return (lease);
}

static void
lease_free(struct lease *lease)
{
	if (lease == NULL)
		return;
	store_lease_free(lease->row);
	json_decref(lease->role);
	json_decref(lease->kept);
	lease_request_free(lease->request);
	lease->tag = 0;
	free(lease);
}

static void
on_lease_drop(struct lease_task *task)
{
	lease_free(lease_from(task));
}

struct lease *
lease_new(struct leases *leases, enum lease_doing doing)
{
	struct lease *lease = calloc(1, sizeof(*lease));

	if (lease == NULL)
		return (NULL);
	lease->tag = LEASE_TAG;
	lease->doing = doing;
	lease->task.leases = leases;
	lease->task.drop = on_lease_drop;
	TAILQ_INSERT_TAIL(&leases->all, lease, all);
	return (lease);
}

static enum lease_state
state_of_row(const struct store_lease *row)
{
	switch (row->state) {
	case STORE_LEASE_INTENT:
		return (LEASE_INTENT);
	case STORE_LEASE_LIVE:
		return (LEASE_LIVE);
	case STORE_LEASE_DISARMED:
		return (LEASE_DISARMED);
	}
	return (LEASE_NONE);
}

/*
 * A record that this version cannot read must not keep an account alive: a lease on its way out
 * goes on with what the columns say, and its record starts anew.
 */
static int
data_read(const struct store_lease *row, enum lease_doing doing, struct lease_data *ret_data,
    struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	int r = lease_data_decode(row->data, ret_data, &why);

	if (r != LEASED_ECORRUPT || doing != LEASE_ENDING) {
		if (r != 0 && err != NULL)
			*err = why;
		return (r);
	}
	memset(ret_data, 0, sizeof(*ret_data));
	ret_data->error_code = LEASED_ECORRUPT;
	lease_text_copy(ret_data->error, sizeof(ret_data->error), why.text);
	return (0);
}

struct lease *
lease_from_row(
    struct leases *leases, struct store_lease *row, enum lease_doing doing, struct leased_err *err)
{
	struct lease *lease = NULL;
	struct lease_data data;

	if (data_read(row, doing, &data, err) != 0)
		goto out;
	if ((lease = lease_new(leases, doing)) == NULL) {
		(void)leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	lease->data = data;
	lease->id = row->id;
	lease->connection = row->connection;
	lease->state = state_of_row(row);
	lease->row = row;
	row = NULL;
	if (lease_role_load(lease, err) != 0) {
		TAILQ_REMOVE(&leases->all, lease, all);
		lease_free(lease);
		lease = NULL;
	}
out:
	store_lease_free(row);
	return (lease);
}

bool
lease_busy_add(struct lease *lease)
{
	struct leases *leases = lease->task.leases;

	if (lease_busy(leases, lease->id) != NULL)
		log_fatal("two operations on lease %lld", (long long)lease->id);
	HASH_ADD(hh, leases->busy, id, sizeof(lease->id), lease);
	return (lease->hh.tbl != NULL);
}

struct lease *
lease_busy(struct leases *leases, int64_t id)
{
	struct lease *lease = NULL;

	HASH_FIND(hh, leases->busy, &id, sizeof(id), lease);
	return (lease);
}

void
lease_unbusy(struct lease *lease)
{
	struct leases *leases = lease->task.leases;

	if (lease->id != 0 && lease_busy(leases, lease->id) == lease)
		HASH_DEL(leases->busy, lease);
}

void
lease_count_in(struct lease *lease, unsigned *counter)
{
	if (lease->counted != NULL)
		(*lease->counted)--;
	lease->counted = counter;
	if (counter != NULL)
		(*counter)++;
}

void
lease_release(struct lease *lease)
{
	struct leases *leases = lease->task.leases;
	struct lease_connection *connection;

	lease_unbusy(lease);
	if (lease->parked)
		TAILQ_REMOVE(&leases->parked, lease, queue);
	TAILQ_REMOVE(&leases->all, lease, all);
	lease_count_in(lease, NULL);
	if (lease->out) {
		connection = lease_connection_find(leases, lease->connection);
		/* What left memory before its end is still due in the index. */
		if (connection != NULL && lease->state != LEASE_GONE)
			lease_connection_due(connection, leases_now_ms(leases) + LEASE_POLL_MS);
		if (connection != NULL && connection->sweeping)
			lease_wake(leases);
	}
	lease->task.leases = NULL;
	if (!lease->writing)
		lease_free(lease); /* else the task's drop() does */
}

/* ---- its transactions ---- */

static int
on_write_run(struct lease_task *task, struct store_txn *txn, struct leased_err *err)
{
	struct lease *lease = lease_from(task);

	return (lease->run(lease, txn, err));
}

static void
on_write_done(struct lease_task *task, int result, const struct leased_err *err)
{
	struct lease *lease = lease_from(task);

	lease->writing = false;
	lease->written(lease, result, err);
}

void
lease_write(struct lease *lease, lease_run run, lease_written done)
{
	struct leases *leases = lease->task.leases;

	lease->run = run;
	lease->written = done;
	lease->now_ms = leases_now_ms(leases);
	lease->wall_ms = leases_wall_ms(leases, lease->now_ms);
	lease->writing = true;
	lease->task.run = on_write_run;
	lease->task.done = on_write_done;
	lease_task_submit(leases, &lease->task);
}

int
lease_reload(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	struct store_lease *row = NULL;
	struct lease_data data;
	int r;

	if ((r = store_lease_get(store_txn_db(txn), lease->id, &row, err)) != 0)
		return (r);
	if ((r = data_read(row, lease->doing, &data, err)) != 0) {
		store_lease_free(row);
		return (r);
	}
	store_lease_free(lease->row);
	lease->row = row;
	lease->data = data;
	return (0);
}

int
lease_store(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	const char *server = lease->data.server, *before;
	int r = 0;

	if (lease->kept != NULL && json_object_set(lease->row->data, LEASE_KEPT, lease->kept) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	before = json_string_value(json_object_get(lease->row->data, "server"));
	if (server[0] != '\0' && (before == NULL || strcmp(before, server) != 0))
		r = store_server_put(txn, lease->row->connection, server, err);
	if (r == 0)
		r = lease_record_put(lease->row, &lease->data, err);
	return (r == 0 ? store_lease_update(txn, lease->row, err) : r);
}

/* ---- what travels ---- */

int
lease_take_identity(struct lease *lease, const json_t *result, struct leased_err *err)
{
	const json_t *handle = json_object_get(result, "handle");
	const json_t *server = json_object_get(result, "server");
	json_t *kept = json_object_get(result, LEASE_KEPT);

	if ((kept != NULL &&
		(!json_is_string(kept) || json_string_length(kept) > PLUGIN_KEPT_MAX)) ||
	    (handle != NULL && !json_is_string(handle)) ||
	    (server != NULL && !json_is_string(server)) ||
	    json_string_length(handle) >= sizeof(lease->data.handle) ||
	    json_string_length(server) >= sizeof(lease->data.server))
		return (leased_err_set(err, LEASED_EPROTO,
		    "the plugin answered with a handle, a server or something to be kept that is "
		    "out of bounds"));
	if (kept != NULL) { /* a copy: it goes to the writer's thread */
		json_decref(lease->kept);
		if ((lease->kept = json_copy(kept)) == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	if (json_string_length(handle) > 0)
		lease_text_copy(lease->handle, sizeof(lease->handle), json_string_value(handle));
	if (json_string_length(server) > 0)
		lease_text_copy(lease->server, sizeof(lease->server), json_string_value(server));
	lease_put_identity(lease);
	return (0);
}

void
lease_put_identity(struct lease *lease)
{
	if (lease->handle[0] != '\0')
		lease_text_copy(lease->data.handle, sizeof(lease->data.handle), lease->handle);
	if (lease->server[0] != '\0')
		lease_text_copy(lease->data.server, sizeof(lease->data.server), lease->server);
}

/* ---- role versions: immutable, so a small cache of them never goes stale ---- */

struct lease_role {
	int64_t id;
	json_t *data;
	UT_hash_handle hh;
};

void
lease_roles_clear(struct leases *leases)
{
	struct lease_role *role, *next;

	HASH_ITER(hh, leases->roles, role, next)
	{
		HASH_DEL(leases->roles, role);
		json_decref(role->data);
		free(role);
	}
}

static void
role_remember(struct leases *leases, int64_t id, json_t *data)
{
	struct lease_role *role;

	if (HASH_COUNT(leases->roles) >= ROLES_MAX)
		lease_roles_clear(leases);
	if ((role = calloc(1, sizeof(*role))) == NULL)
		return;
	role->id = id;
	role->data = json_incref(data);
	HASH_ADD(hh, leases->roles, id, sizeof(role->id), role);
	if (role->hh.tbl == NULL) {
		json_decref(role->data);
		free(role);
	}
}

int
lease_role_find(struct leases *leases, int64_t id, json_t **ret_data, struct leased_err *err)
{
	struct lease_role *known = NULL;
	struct store_doc *doc = NULL;
	int r;

	HASH_FIND(hh, leases->roles, &id, sizeof(id), known);
	if (known != NULL) {
		*ret_data = json_incref(known->data);
		return (0);
	}
	if ((r = store_doc_get_id(store_db(leases->config.store), id, &doc, err)) != 0)
		return (r);
	if (json_is_object(json_object_get(doc->data, "role"))) {
		role_remember(leases, id, doc->data);
		*ret_data = json_incref(doc->data);
	} else {
		r = leased_err_set(err, LEASED_ECORRUPT, "the role version holds no role");
	}
	store_doc_free(doc);
	return (r);
}

int
lease_role_load(struct lease *lease, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	json_t *data = NULL;
	int r = LEASED_ENOENT;

	if (lease->data.role_version != 0)
		r = lease_role_find(lease->task.leases, lease->data.role_version, &data, &why);
	/* A role version that is lost or damaged must not keep an account alive: it is ended by the
	 * plugin's own statements. */
	lease->role = r == 0 ? json_incref(json_object_get(data, "role")) : json_object();
	json_decref(data);
	if (r == LEASED_ENOMEM || lease->role == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}
