/*
 * A lease's account as it travels to a plugin (PROTOCOL.md, "Accounts"), and the end that a backend
 * is told. Owns nothing; whoever calls a plugin about a lease asks it.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lease/private.h"

#define EXPIRY_SLACK_MS 5000 /* the backend's own expiry is a net, never earlier than ours */

void
lease_native_expiry(struct leases *leases, int64_t end_ms, char *ret_text, size_t size)
{
	time_t seconds = (time_t)((leases_wall_ms(leases, end_ms) + EXPIRY_SLACK_MS + 999) / 1000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(ret_text, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(ret_text, size, "9999-12-31T23:59:59Z");
}

/*
 * Statements that a refused role wrote for the end of its accounts may be what was refused, and
 * nobody can correct them: where they do not remove its canary, the plain drop does. A new
 * reference.
 */
static json_t *
account_role(const struct lease *lease)
{
	const struct leases_config *config = &lease->task.leases->config;
	const struct plugin_port *port = config->port_for(config->arg, lease->connection);
	json_t *role, *known;

	if (lease->row->kind != STORE_LEASE_CANARY || lease->state != LEASE_REMOVING ||
	    lease->data.fails == 0)
		role = json_incref(lease->role);
	else if ((role = json_copy(lease->role)) != NULL)
		(void)json_object_del(role, "revocation_statements"); /* it may have none */
	if (role == NULL || port == NULL)
		return (role);
	known = plugin_role_known(port->description, role);
	json_decref(role);
	return (known);
}

json_t *
lease_kept(const struct lease *lease)
{
	return (lease->kept != NULL ? lease->kept : json_object_get(lease->row->data, LEASE_KEPT));
}

static int
account_end(const struct lease *lease, json_t *account)
{
	char expires[32];

	if (lease->data.expires_ms == 0)
		return (0);
	lease_native_expiry(lease->task.leases, lease->data.expires_ms, expires, sizeof(expires));
	return (json_object_set_new(account, "expires", json_string(expires)));
}

json_t *
lease_account(const struct lease *lease, bool expires)
{
	const struct leases_config *config = &lease->task.leases->config;
	const char *server = lease->data.server;
	json_t *account = json_pack("{s:s,s:o,s:O*}", "name", lease->row->account, "role",
	    account_role(lease), LEASE_KEPT, lease_kept(lease));

	if (account == NULL)
		return (NULL);
	if (server[0] != '\0' && config->server_of != NULL)
		server = config->server_of(config->arg, lease->connection, server);
	/* On a server that has taken over the same handle may be somebody else's. */
	if ((lease->data.handle[0] != '\0' && strcmp(server, lease->data.server) == 0 &&
		json_object_set_new(account, "handle", json_string(lease->data.handle)) != 0) ||
	    (server[0] != '\0' &&
		json_object_set_new(account, "server", json_string(server)) != 0) ||
	    (lease->data.failed_mint &&
		json_object_set_new(account, "failed_mint", json_true()) != 0) ||
	    (expires && account_end(lease, account) != 0)) {
		json_decref(account);
		return (NULL);
	}
	return (account);
}
