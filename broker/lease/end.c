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
#define BATCH_US 1000000 /* what a batch may take, by the measure of the ones before .. */
#define MINTING_US 10000 /* .. and while mints are wanted, which wait for the same backend */
#define MINTING_MS 2000  /* how long the last mint says that more will come */
#define CALLS_MAX 4      /* of each operation under way for one connection .. */
#define CALLS_MINTING 1  /* .. and while mints are wanted */
#define TRIES_MAX 2      /* of an account alone, before "unavailable" is called its own trouble */
#define QUEUED_MS 200    /* pause when the pool had no room within a call's deadline */

struct lease_batch {
	unsigned tag;
	struct lease_connection *connection;
	enum plugin_op op;
	struct plugin_call *call;
	int64_t start_us;
	bool minting; /* made small, since mints are wanted */
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

static unsigned *
limit_of(struct lease_connection *connection, enum plugin_op op, bool minting)
{
	return (op == PLUGIN_OP_REMOVE ? &connection->remove_limit[minting]
				       : &connection->disarm_limit[minting]);
}

/*
 * What took too long shrinks those to come by as much as that; what was full and in time lets them
 * grow. By batches and not by accounts: a round trip and a commit belong to the batch, and spread
 * over few accounts they would say that an account is slow.
 */
static void
measure(const struct lease_batch *batch)
{
	struct wclock *clock = batch->connection->leases->config.clock;
	unsigned *limit = limit_of(batch->connection, batch->op, batch->minting);
	int64_t took_us = clock->boot_us(clock) - batch->start_us;
	int64_t budget_us = batch->minting ? MINTING_US : BATCH_US;
	int64_t next = *limit;

	if (took_us > budget_us)
		next = batch->count * budget_us / took_us;
	else if (batch->count >= *limit)
		next += next / 2 + 1;
	*limit = next < 1 ? 1 : next < LEASE_BATCH_MAX ? (unsigned)next : LEASE_BATCH_MAX;
}

static void
batch_failed(struct lease_batch *batch, const struct plugin_outcome *outcome)
{
	struct leased_err why = outcome->err;

	why.code = outcome->code;
	if (why.code == LEASED_ETIMEDOUT && !outcome->not_sent)
		measure(batch);
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

	if (batch->tag != BATCH_TAG)
		log_fatal("a callback of lease/ was given something that is no batch");
	batch->call = NULL;
	connection->calls--;
	connection->removes -= batch->op == PLUGIN_OP_REMOVE;
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
		measure(batch);
		connection->fails = 0;
		for (unsigned i = 0; i < batch->count; i++)
			account_ended(batch, i, json_array_get(results, i));
	}
	batch->tag = 0;
	free(batch);
	lease_wake(connection->leases);
}

/* ---- calls ---- */

/* Not only while one is under way: the next one finds the backend as the last batch left it. */
static bool
mints_wanted(const struct lease_connection *connection)
{
	return (connection->mints > 0 ||
		leases_now_ms(connection->leases) < connection->minted_ms + MINTING_MS);
}

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
		if (json_array_append_new(accounts, lease_account(batch->leases[i])) != 0) {
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

/* False: nothing to call for, or no memory (tried again by the next tick). */
static bool
batch_start(struct lease_connection *connection, struct plugin_port *port, enum plugin_op op)
{
	struct lease_list *queue =
	    op == PLUGIN_OP_DISARM ? &connection->disarming : &connection->removing;
	struct wclock *clock = connection->leases->config.clock;
	struct lease_batch *batch;
	json_t *params;

	if (TAILQ_EMPTY(queue) || (batch = calloc(1, sizeof(*batch))) == NULL)
		return (false);
	batch->tag = BATCH_TAG;
	batch->connection = connection;
	batch->op = op;
	batch->start_us = clock->boot_us(clock);
	batch->minting = mints_wanted(connection);
	batch_fill(batch, queue, *limit_of(connection, op, batch->minting));
	if (op == PLUGIN_OP_REMOVE)
		FAILPOINT(lease_expire_before_remove);
	if ((params = batch_params(batch)) != NULL)
		batch->call = plugin_call_start(port, op, params, 0, on_batch, batch);
	if (batch->call == NULL) {
		batch_undo(batch, queue);
		return (false);
	}
	connection->calls++;
	connection->removes += op == PLUGIN_OP_REMOVE;
	TAILQ_INSERT_TAIL(&connection->leases->batches, batch, entry);
	return (true);
}

void
lease_end_pump(struct lease_connection *connection)
{
	struct leases *leases = connection->leases;
	struct leased_err err = LEASED_ERR_INIT;
	struct plugin_port *port;
	unsigned calls_max = mints_wanted(connection) ? CALLS_MINTING : CALLS_MAX;
	bool started = true;

	if (TAILQ_EMPTY(&connection->disarming) && TAILQ_EMPTY(&connection->removing))
		return;
	port = lease_connection_port(connection);
	if (port == NULL || plugin_port_ready(port, &err) != 0) {
		queues_release(connection);
		return;
	}
	if (leases_now_ms(leases) < connection->pause_ms)
		return;
	/* Each has calls of its own, so that removals hold up no disarm; the pool sees to the rest.
	 */
	while (started && connection->calls - connection->removes < calls_max)
		started = batch_start(connection, port, PLUGIN_OP_DISARM);
	for (started = true; started && connection->removes < calls_max;)
		started = batch_start(connection, port, PLUGIN_OP_REMOVE);
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
