/*
 * The states of a lease and the one function that changes them (design: the life of a credential).
 * Owns no memory; every other file of lease/ comes here for a transition.
 *
 * Durable are INTENT, LIVE, DISARMED and GONE: lease_enter() is called for them once their commit
 * is on disk (or, with a full disk, once the backend did it and the disk would not have it).
 * DISARMING and REMOVING live in memory only. The audit's record of a durable transition is made in
 * its transaction, where the store tells audit/ of the change (store_watch_set()).
 */
#include "base/log.h"
#include "lease/private.h"

static const bool edges[LEASE_STATE_COUNT][LEASE_STATE_COUNT] = {
    [LEASE_NONE] = {[LEASE_INTENT] = true},
    [LEASE_INTENT] = {[LEASE_LIVE] = true, [LEASE_DISARMING] = true, [LEASE_GONE] = true},
    [LEASE_LIVE] = {[LEASE_DISARMING] = true},
    [LEASE_DISARMING] = {[LEASE_DISARMED] = true},
    [LEASE_DISARMED] = {[LEASE_REMOVING] = true},
    [LEASE_REMOVING] = {[LEASE_GONE] = true, [LEASE_DISARMED] = true},
    [LEASE_GONE] = {false},
};

/* Of a lease without a backend: nothing is to be made before LIVE, nor to be ended behind it. */
static const bool plain_edges[LEASE_STATE_COUNT][LEASE_STATE_COUNT] = {
    [LEASE_NONE] = {[LEASE_LIVE] = true},
    [LEASE_LIVE] = {[LEASE_GONE] = true},
};

const char *
lease_state_name(enum lease_state state)
{
	static const char *const names[LEASE_STATE_COUNT] = {
	    "none", "intent", "live", "disarming", "disarmed", "removing", "gone"};

	return (state < LEASE_STATE_COUNT ? names[state] : "unknown");
}

void
lease_enter(struct lease *lease, enum lease_state to)
{
	enum lease_state from = lease->state;
	enum log_level level =
	    to == LEASE_LIVE || to == LEASE_GONE ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
	struct leased_err err = LEASED_ERR_INIT;

	if (!(lease_is_plain(lease) ? plain_edges : edges)[from][to])
		(void)bug(&err, "lease %lld may not go from %s to %s", (long long)lease->id,
		    lease_state_name(from), lease_state_name(to));
	lease->state = to;
	if (!log_enabled(level) || lease->row == NULL)
		return;
	const struct log_field fields[] = {LOG_I("row", lease->id),
	    LOG_S("state", lease_state_name(to)), LOG_S("account", lease->row->account),
	    LOG_I("connection", lease->connection),
	    LOG_S("cause", lease->data.revoke_cause[0] != '\0' ? lease->data.revoke_cause
							       : lease->data.cause)};
	log_write(level, "lease", fields, sizeof(fields) / sizeof(fields[0]));
}
