/*
 * The way out of every lease, whoever asked for it: disarm, then remove, in batches of up to 64
 * accounts a call that are bounded by time. end_write.c records what the backend did. A batch that
 * times out or kills its worker is repeated one account at a time, so that one account's trouble
 * stays its own; a failure of the whole connection pauses the connection and writes nothing.
 */
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/private.h"

#define BATCH_TAG 0x6c626174u
#define TRIES_MAX 2   /* of an account alone, before "unavailable" is called its own trouble */
#define QUEUED_MS 200 /* pause when the pool had no room within a call's deadline */

struct lease_batch {
	unsigned tag;
	struct lease_connection *connection;
	enum plugin_op op;
	struct plugin_call *call;
	struct lease_pace_batch pace;
	unsigned count;
	struct lease *leases[LEASE_BATCH_MAX];
	TAILQ_ENTRY(lease_batch) entry;
};

void
lease_end_queue(struct lease *lease)
{
	struct leases *leases = lease->task.leases;
	struct lease_connection *connection = lease_connection_get(leases, lease->connection);
	struct lease_list *queue;

	if (connection == NULL) {
		lease_release(lease); /* out of memory: the timer comes back to it */
		return;
	}
	lease->out = true;
	if (lease_is_plain(lease)) { /* nothing is to be ended but the record */
		lease_count_in(lease, &connection->ending);
		lease_end_removed(lease);
		return;
	}
	if (lease->state == LEASE_DISARMED && !lease->urgent &&
	    connection->removals >= LEASE_REMOVALS_MAX) {
		lease_release(lease); /* access to it has ended; the sweep comes back to it */
		return;
	}
	if (lease->state == LEASE_INTENT || lease->state == LEASE_LIVE)
		lease_enter(lease, LEASE_DISARMING);
	else if (lease->state == LEASE_DISARMED)
		lease_enter(lease, LEASE_REMOVING);
	if (lease->state == LEASE_REMOVING) {
		queue = &connection->removing;
		lease_count_in(lease, &connection->removals);
	} else {
		queue = &connection->disarming;
		lease_count_in(lease, &connection->ending);
	}
	if (lease->urgent)
		TAILQ_INSERT_HEAD(queue, lease, queue);
	else
		TAILQ_INSERT_TAIL(queue, lease, queue);
}

void
lease_end_take(struct lease *lease)
{
	struct leases *leases = lease->task.leases;
	int64_t id = lease->id;

	if (lease_fenced(leases, lease->row, &lease->data)) {
		struct lease_connection *connection =
		    lease_connection_find(leases, lease->connection);

		lease_release(lease);
		if (connection != NULL)
			lease_connection_due(connection, 0);
		return;
	}
	if (lease_busy(leases, id) != lease) {
		lease_release(lease);
		return;
	}
	lease->doing = LEASE_ENDING;
	lease->urgent = true;
	lease->failure = (struct leased_err)LEASED_ERR_INIT;
	lease_end_queue(lease);
	lease_wake(leases);
}

/* ---- outcomes ---- */

/* Everything queued of it leaves memory; the sweep brings it back when the port is ready. */
static void
queues_release(struct lease_connection *connection)
{
	struct lease *lease;

	while ((lease = TAILQ_FIRST(&connection->disarming)) != NULL ||
	       (lease = TAILQ_FIRST(&connection->removing)) != NULL) {
		TAILQ_REMOVE(
		    lease->state == LEASE_REMOVING ? &connection->removing : &connection->disarming,
		    lease, queue);
		lease_release(lease);
	}
}

static void
connection_pause(struct lease_connection *connection, int64_t pause_ms)
{
	connection->pause_ms = leases_now_ms(connection->leases) + pause_ms;
	connection->sweeping = false;
	connection->from_ms = connection->after = 0;
	connection->due_ms = connection->pause_ms;
}

static void
batch_release(struct lease_batch *batch, const struct leased_err *why)
{
	for (unsigned i = 0; i < batch->count; i++)
		lease_release(batch->leases[i]);
	/* A removal that found no worker only had to wait: what ends access goes on. */
	if (batch->op == PLUGIN_OP_REMOVE && why->code == LEASED_ETIMEDOUT)
		return;
	queues_release(batch->connection);
	connection_pause(batch->connection, QUEUED_MS);
}

/*
 * Out of reach. If the whole backend is, the port is not ready by the time the pause is over, and
 * the queues leave memory without a write. If it is one account's doing, that one is found by
 * itself.
 */
static void
batch_unavailable(struct lease_batch *batch, const struct leased_err *why)
{
	struct lease_connection *connection = batch->connection;
	struct lease *only = batch->leases[0];

	connection->fails++;
	connection_pause(connection, lease_back_off_ms(connection->leases, connection->fails));
	if (batch->count == 1 && ++only->tries >= TRIES_MAX) {
		lease_end_refused(only, why);
		return;
	}
	for (unsigned i = 0; i < batch->count; i++) {
		batch->leases[i]->single = true;
		lease_end_queue(batch->leases[i]);
	}
}

static void
batch_failed(struct lease_batch *batch, const struct plugin_outcome *outcome)
{
	struct leased_err why = outcome->err;

	why.code = outcome->code;
	if (why.code != LEASED_ECANCELED && why.code != LEASED_ENOMEM &&
	    (why.code != LEASED_ETIMEDOUT || !outcome->not_sent))
		lease_stats_end_failed(batch->connection, why.code);
	for (unsigned i = 0; i < batch->count; i++)
		lease_wait_noted(batch->connection->leases, batch->leases[i]->id, &why);
	if (why.code == LEASED_ECANCELED || why.code == LEASED_ENOMEM ||
	    (why.code == LEASED_ETIMEDOUT && outcome->not_sent)) {
		batch_release(batch, &why); /* it never ran */
	} else if (why.code == LEASED_EUNAVAIL) {
		batch_unavailable(batch, &why);
	} else if (batch->count == 1) {
		lease_end_refused(batch->leases[0], &why);
	} else {
		for (unsigned i = 0; i < batch->count; i++) {
			batch->leases[i]->single = true;
			lease_end_queue(batch->leases[i]);
		}
	}
}

static void
account_ended(struct lease_batch *batch, unsigned at, const json_t *result)
{
	struct lease *lease = batch->leases[at];
	const json_t *error = json_object_get(result, "error");
	const char *code = json_string_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "text"));
	struct leased_err why = LEASED_ERR_INIT;

	if (json_is_true(json_object_get(result, "ok"))) {
		if (batch->op == PLUGIN_OP_DISARM)
			lease_end_disarmed(lease, result);
		else
			lease_end_removed(lease);
		return;
	}
	(void)leased_err_set(&why, code != NULL ? leased_code_from_name(code) : LEASED_EPROTO, "%s",
	    text != NULL ? text : "the plugin gave no reason");
	lease_stats_end_failed(batch->connection, why.code);
	lease_end_refused(lease, &why);
}

/* All of them say that the backend is out of reach: it is the connection's trouble, not theirs. */
static bool
all_unavailable(const json_t *results)
{
	const json_t *result;
	const char *code;
	size_t i;

	if (json_array_size(results) < 2)
		return (false);
	json_array_foreach(results, i, result)
	{
		code = json_string_value(json_object_get(json_object_get(result, "error"), "code"));
		if (code == NULL || leased_code_from_name(code) != LEASED_EUNAVAIL)
			return (false);
	}
	return (true);
}

static void
on_batch(void *arg, const struct plugin_outcome *outcome)
{
	struct lease_batch *batch = arg;
	struct lease_connection *connection = batch->connection;
	const json_t *results = json_object_get(outcome->result, "results");
	struct plugin_outcome failed = *outcome;
	struct wclock *clock = connection->leases->config.clock;
	bool ran = outcome->code == 0 || (outcome->code == LEASED_ETIMEDOUT && !outcome->not_sent);

	if (batch->tag != BATCH_TAG)
		log_fatal("a callback of lease/ was given something that is no batch");
	batch->call = NULL;
	lease_pace_over(&connection->pace, &batch->pace, ran ? batch->count : 0,
	    clock->boot_us(clock), leases_now_ms(connection->leases));
	TAILQ_REMOVE(&connection->leases->batches, batch, entry);
	if (batch->op == PLUGIN_OP_DISARM)
		FAILPOINT(lease_expire_after_disarm);
	else
		FAILPOINT(lease_expire_after_remove);
	if (outcome->code == 0 && all_unavailable(results)) {
		failed.code = LEASED_EUNAVAIL;
		(void)leased_err_set(
		    &failed.err, LEASED_EUNAVAIL, "the backend broke off in the middle");
	} else if (outcome->code == 0 && json_array_size(results) != batch->count) {
		failed.code = LEASED_EPROTO;
		(void)leased_err_set(
		    &failed.err, LEASED_EPROTO, "the plugin did not answer for each account");
	}
	if (failed.code != 0) {
		batch_failed(batch, &failed);
	} else {
		connection->fails = 0;
		for (unsigned i = 0; i < batch->count; i++)
			account_ended(batch, i, json_array_get(results, i));
	}
	batch->tag = 0;
	free(batch);
	lease_wake(connection->leases);
}

/* ---- calls ---- */

static void
batch_fill(struct lease_batch *batch, struct lease_list *queue, unsigned limit)
{
	struct lease *lease;

	while (batch->count < limit && (lease = TAILQ_FIRST(queue)) != NULL) {
		if (lease->single && batch->count > 0)
			return;
		TAILQ_REMOVE(queue, lease, queue);
		batch->leases[batch->count++] = lease;
		if (lease->single)
			return;
	}
}

static json_t *
batch_params(const struct lease_batch *batch)
{
	json_t *accounts = json_array();

	for (unsigned i = 0; i < batch->count; i++)
		if (json_array_append_new(accounts, lease_account(batch->leases[i], true)) != 0) {
			json_decref(accounts);
			return (NULL);
		}
	return (json_pack("{s:o}", "accounts", accounts));
}

static void
batch_undo(struct lease_batch *batch, struct lease_list *queue)
{
	for (unsigned i = batch->count; i-- > 0;)
		TAILQ_INSERT_HEAD(queue, batch->leases[i], queue);
	free(batch);
}

/* False: nothing to call for, not now, or no memory (tried again by the next tick). */
static bool
batch_start(
    struct lease_connection *connection, struct plugin_port *port, enum lease_pace_kind kind)
{
	struct leases *leases = connection->leases;
	struct wclock *clock = leases->config.clock;
	struct lease_list *queue =
	    kind == LEASE_PACE_DISARM ? &connection->disarming : &connection->removing;
	unsigned room = lease_pace_room(&connection->pace, kind, leases_now_ms(leases));
	struct lease_batch *batch;
	json_t *params;

	if (room == 0 || TAILQ_EMPTY(queue) || (batch = calloc(1, sizeof(*batch))) == NULL)
		return (false);
	batch->tag = BATCH_TAG;
	batch->connection = connection;
	batch->op = kind == LEASE_PACE_DISARM ? PLUGIN_OP_DISARM : PLUGIN_OP_REMOVE;
	batch_fill(batch, queue, room);
	if (batch->op == PLUGIN_OP_REMOVE)
		FAILPOINT(lease_expire_before_remove);
	if ((params = batch_params(batch)) != NULL)
		batch->call = plugin_call_start(port, batch->op, params, 0, on_batch, batch);
	if (batch->call == NULL) {
		batch_undo(batch, queue);
		return (false);
	}
	lease_pace_began(
	    &connection->pace, kind, clock->boot_us(clock), leases_now_ms(leases), &batch->pace);
	TAILQ_INSERT_TAIL(&leases->batches, batch, entry);
	return (true);
}

int64_t
lease_end_pump(struct lease_connection *connection)
{
	int64_t now_ms = leases_now_ms(connection->leases);
	struct leased_err err = LEASED_ERR_INIT;
	enum lease_pace_kind first = lease_pace_turn(&connection->pace);
	enum lease_pace_kind second =
	    first == LEASE_PACE_DISARM ? LEASE_PACE_REMOVE : LEASE_PACE_DISARM;
	struct plugin_port *port;
	int64_t rest_ms;
	bool started;

	if (TAILQ_EMPTY(&connection->disarming) && TAILQ_EMPTY(&connection->removing))
		return (LEASE_FAR_MS);
	port = lease_connection_port(connection);
	if (port == NULL || plugin_port_ready(port, &err) != 0) {
		queues_release(connection);
		return (LEASE_FAR_MS);
	}
	if (now_ms < connection->pause_ms)
		return (LEASE_FAR_MS);
	do {
		started = batch_start(connection, port, first);
		started = batch_start(connection, port, second) || started;
	} while (started);
	rest_ms = lease_pace_rest_ms(&connection->pace, now_ms);
	return (rest_ms > 0 ? now_ms + rest_ms : LEASE_FAR_MS);
}

void
lease_end_clear(struct leases *leases)
{
	struct lease_batch *batch;

	while ((batch = TAILQ_FIRST(&leases->batches)) != NULL) {
		TAILQ_REMOVE(&leases->batches, batch, entry);
		plugin_call_cancel(batch->call);
		free(batch);
	}
}
