/*
 * What lease/ keeps of a configured connection: when something of it is due, its queues on the way
 * out, its pause after a failure of the whole connection. Entries live until engine/ says that the
 * connection is gone and nothing is under way on it. The port is engine/'s and asked for each time.
 */
#include <stdlib.h>

#include "base/log.h"
#include "lease/private.h"

#define CONNECTION_TAG 0x6c636f6eu

struct lease_connection *
lease_connection_find(struct leases *leases, int64_t id)
{
	struct lease_connection *connection = NULL;

	HASH_FIND(hh, leases->connections, &id, sizeof(id), connection);
	return (connection);
}

struct lease_connection *
lease_connection_get(struct leases *leases, int64_t id)
{
	struct lease_connection *connection = lease_connection_find(leases, id);

	if (connection != NULL)
		return (connection);
	if ((connection = calloc(1, sizeof(*connection))) == NULL)
		return (NULL);
	connection->tag = CONNECTION_TAG;
	connection->leases = leases;
	connection->id = id;
	lease_pace_init(&connection->pace);
	TAILQ_INIT(&connection->disarming);
	TAILQ_INIT(&connection->removing);
	TAILQ_INIT(&connection->sessions);
	HASH_ADD(hh, leases->connections, id, sizeof(connection->id), connection);
	if (connection->hh.tbl == NULL) {
		free(connection);
		return (NULL);
	}
	return (connection);
}

void
lease_connection_free(struct lease_connection *connection)
{
	HASH_DEL(connection->leases->connections, connection);
	lease_sessions_forget(connection);
	lease_reconcile_drop(connection);
	connection->tag = 0;
	free(connection);
}

/* ---- a connection that is gone ---- */

void
leases_connection_gone(struct leases *leases, int64_t id)
{
	struct lease_connection *connection = lease_connection_find(leases, id);

	if (connection == NULL)
		return;
	connection->gone = true;
	lease_wake(leases);
}

/* What is under way finds its counts here when it comes back. */
bool
lease_connection_is_over(const struct lease_connection *connection)
{
	return (connection->gone && connection->ending == 0 && connection->removals == 0 &&
		lease_pace_idle(&connection->pace) && connection->reap_call == NULL);
}

struct plugin_port *
lease_connection_port(struct lease_connection *connection)
{
	struct leases *leases = connection->leases;

	return (leases->config.port_for(leases->config.arg, connection->id));
}

int
lease_port_absent(struct leases *leases, int64_t connection, struct leased_err *err)
{
	if (leases->config.absent_why != NULL)
		return (leases->config.absent_why(leases->config.arg, connection, err));
	return (leased_err_set(
	    err, LEASED_EUNAVAIL, "the connection is not open yet; its backend may be down"));
}

bool
lease_connection_ready(struct lease_connection *connection)
{
	struct plugin_port *port = lease_connection_port(connection);
	struct leased_err err = LEASED_ERR_INIT;

	return (port != NULL && plugin_port_ready(port, &err) == 0);
}

void
lease_connection_due(struct lease_connection *connection, int64_t at_ms)
{
	if (at_ms >= connection->due_ms)
		return;
	connection->due_ms = at_ms;
	lease_wake(connection->leases);
}

void
lease_token_written(struct leases *leases, int64_t expires_ms)
{
	struct lease_connection *tokens = lease_connection_get(leases, 0);

	if (expires_ms == 0)
		return;
	if (tokens != NULL)
		lease_connection_due(tokens, expires_ms);
	else
		bug(NULL, "connection 0 is there from the start, and is not");
}

void
lease_connections_due(struct leases *leases)
{
	struct lease_connection *connection, *next;

	HASH_ITER(hh, leases->connections, connection, next)
	{
		connection->due_ms = 0;
	}
	lease_wake(leases);
}

void
lease_connection_hasten(struct lease_connection *connection)
{
	connection->hasten_ms = leases_now_ms(connection->leases) + LEASE_BACK_OFF_MAX_MS;
	lease_sweep_anew(connection);
}

int64_t
lease_back_off_ms(struct leases *leases, int64_t fails)
{
	int64_t ms =
	    fails < 7 ? INT64_C(1000) << (fails > 0 ? fails - 1 : 0) : LEASE_BACK_OFF_MAX_MS;
	uint16_t noise = 0;

	if (ms > LEASE_BACK_OFF_MAX_MS)
		ms = LEASE_BACK_OFF_MAX_MS;
	leases->config.ids->fill(leases->config.ids, &noise, sizeof(noise));
	ms = ms * 3 / 4 + ms / 2 * noise / UINT16_MAX; /* a quarter up or down */
	return (ms < 1000 ? 1000 : ms > LEASE_BACK_OFF_MAX_MS ? LEASE_BACK_OFF_MAX_MS : ms);
}
