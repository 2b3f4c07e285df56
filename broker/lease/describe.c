/*
 * What lookup, list and show say of a lease, from its row alone; and the timer row of a token.
 * Reads nothing but what it is given.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lease/ended.h"
#include "lease/hold.h"
#include "lease/private.h"

static const char *
state_text(const struct store_lease *row, bool overdue)
{
	switch (row->state) {
	case STORE_LEASE_INTENT:
		return (row->revoke || overdue ? "disarming" : "intent");
	case STORE_LEASE_LIVE:
		return (row->revoke || overdue ? "disarming" : "live");
	case STORE_LEASE_DISARMED:
		return ("disarmed");
	}
	return ("unknown");
}

static json_t *
time_text(int64_t wall_ms)
{
	char text[WCLOCK_RFC3339_SIZE];

	if (wall_ms == 0)
		return (json_null());
	wclock_format_rfc3339(wall_ms * 1000, text);
	return (json_string(text));
}

static const char *
delivery_text(const struct store_lease *row, const struct lease_data *data)
{
	if (data->delivered)
		return ("delivered");
	return (row->state == STORE_LEASE_INTENT ? "none" : "unknown");
}

/* The backend itself has refused it so often that time alone will not mend it. */
#define PERSON_AFTER 3

/* Whatever has happened at the backend, its end cannot be written down. */
static void
store_why(struct leases *leases, struct leased_err *why)
{
	struct store_health health = {0};

	store_health_get(leases->config.store, &health);
	if (health.code != 0)
		(void)leased_err_set(why, health.code,
		    "its end cannot be written down, since the store's disk is full or read-only; "
		    "access is ended all the same, and all of it is done again and recorded once "
		    "the store can write");
}

/*
 * Why it is not at its end yet. A connection in back-off is skipped whole, without a write per
 * lease, so that its reason stands in no row: the port is asked.
 */
static int
put_error(json_t *object, struct leases *leases, const struct lease_data *data,
    const struct store_lease *row, bool ends)
{
	const struct lease *busy = lease_busy(leases, row->id);
	struct plugin_port *port;
	struct leased_err why = LEASED_ERR_INIT;
	json_int_t tries = data->fails;

	if (ends && store_lease_has_account(row->kind) && lease_held(leases, row->id)) {
		(void)lease_held_error(&why); /* whatever else it had met before the backup */
	} else if (data->error_code != 0) {
		(void)leased_err_set(&why, (int)data->error_code, "%s", data->error);
	} else if (ends && store_lease_has_account(row->kind)) {
		port = leases->config.port_for(leases->config.arg, row->connection);
		if (port == NULL)
			(void)lease_port_absent(leases, row->connection, &why);
		else if (plugin_port_ready(port, &why) == 0)
			why.code = 0;
		else
			tries += port->failures; /* the backend is tried for all of them */
		if (why.code == 0 && busy != NULL && busy->late)
			(void)leased_err_set(&why, LEASED_ETIMEDOUT,
			    row->state == STORE_LEASE_DISARMED
				? "access has ended; the backend is still removing the account"
				: "the backend is still ending access");
	}
	if (ends && why.code == 0)
		store_why(leases, &why);
	if (why.code == 0)
		return (json_object_set_new(object, "revoke_error", json_null()));
	return (json_object_update_new(
	    object, json_pack("{s:s,s:s,s:I,s:b}", "revoke_error", why.text, "revoke_error_code",
			leased_code_name(why.code), "revoke_attempts", tries, "needs_a_person",
			(int)(row->stuck || data->fails >= PERSON_AFTER))));
}

/* For how long it should have been at its end. Its next_at says when it is tried again. */
static int
put_overdue(
    json_t *object, const struct lease_data *data, const struct store_lease *row, int64_t now_ms)
{
	int64_t due_ms = data->due_ms != 0 ? data->due_ms : row->next_at_ms;

	return (json_object_set_new(
	    object, "overdue_s", json_integer(due_ms < now_ms ? (now_ms - due_ms) / 1000 : 0)));
}

json_t *
lease_describe(struct leases *leases, const struct store_lease *row)
{
	int64_t now_ms = leases_now_ms(leases), left_ms;
	struct lease_data data;
	char id[LEASE_ID_MAX] = "";
	const char *mount = leases->config.mount_path(leases->config.arg, row->mount);
	bool overdue, renewable, ends;
	json_t *object;

	if (row->kind == STORE_LEASE_TOKEN || lease_data_decode(row->data, &data, NULL) != 0)
		memset(&data, 0, sizeof(data));
	if (lease_id_format(leases, row, id, sizeof(id)) != 0)
		id[0] = '\0';
	if (row->kind == STORE_LEASE_TOKEN)
		data.expires_ms = row->next_at_ms == LEASE_FAR_MS ? 0 : row->next_at_ms;
	left_ms = data.expires_ms > now_ms ? data.expires_ms - now_ms : 0;
	/* next_at of a lease whose end was refused is when that is tried again. */
	overdue = row->next_at_ms <= now_ms ||
		  (row->state == STORE_LEASE_LIVE && data.expires_ms != 0 && left_ms == 0);
	renewable = store_lease_is_clients(row->kind) && !data.fixed &&
		    row->state == STORE_LEASE_LIVE && !row->revoke && !overdue;
	object = json_pack("{s:s,s:o,s:o,s:I,s:b,s:o,s:s,s:s%,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:b}",
	    "id", id, "issue_time", time_text(data.issued_wall_ms), "expire_time",
	    time_text(data.expires_ms != 0 ? leases_wall_ms(leases, data.expires_ms) : 0), "ttl",
	    (json_int_t)((left_ms + 999) / 1000), "renewable", (int)renewable, "last_renewal",
	    time_text(data.renewed_wall_ms), "state", state_text(row, overdue), "path", id,
	    id[0] != '\0' ? strlen(id) - 8 - STORE_LEASE_RANDOM_LEN - 1 : 0, "mount",
	    mount != NULL ? mount : "", "account", row->account, "role", data.role, "owner",
	    row->owner, "entity", data.entity, "delivery", delivery_text(row, &data), "connection",
	    (json_int_t)row->connection, "canary", (int)(row->kind == STORE_LEASE_CANARY));
	ends = overdue || row->revoke || row->state == STORE_LEASE_DISARMED;
	if (object != NULL && put_error(object, leases, &data, row, ends) == 0 &&
	    (!ends || put_overdue(object, &data, row, now_ms) == 0) &&
	    json_object_set_new(object, "cause",
		json_string(data.revoke_cause[0] != '\0' ? data.revoke_cause : data.cause)) == 0)
		return (object);
	json_decref(object);
	return (NULL);
}

/* ---- what has ended ---- */

const char *
lease_end_text(int64_t end)
{
	static const char *const texts[] = {[LEASE_END_EXPIRED] = "expired",
	    [LEASE_END_REVOKED] = "revoked",
	    [LEASE_END_BULK] = "revoked_in_bulk",
	    [LEASE_END_TOKEN] = "token_ended",
	    [LEASE_END_UNDELIVERED] = "undelivered",
	    [LEASE_END_MINT] = "failed_mint",
	    [LEASE_END_PREFLIGHT] = "preflight",
	    [LEASE_END_MOUNT] = "mount_removed",
	    [LEASE_END_ABANDONED] = "abandoned",
	    [LEASE_END_ORPHAN] = "orphan_removed"};

	if (end <= LEASE_END_NONE || end >= (int64_t)(sizeof(texts) / sizeof(texts[0])))
		return ("unknown");
	return (texts[end]);
}

const char *
lease_ended_cause(const struct lease_ended *ended)
{
	return (lease_end_text(ended->end));
}

static json_t *
text_or_null(const char *text)
{
	return (text[0] != '\0' ? json_string(text) : json_null());
}

/* Nobody saw its account go. */
static int
put_abandoned(json_t *object, const struct lease_ended *ended)
{
	bool disarmed = ended->disarmed_wall_ms != 0;

	return (json_object_update_new(object,
	    json_pack("{s:o,s:n,s:s,s:s,s:b}", "ended_time", time_text(ended->disarmed_wall_ms),
		"gone_time", "abandoned_reason", ended->reason, "server", ended->server,
		"access_may_be_open", (int)!disarmed)));
}

json_t *
lease_ended_describe(const struct lease_ended *ended, bool with_accessor)
{
	char id[LEASE_ID_MAX + LEASE_MOUNT_MAX + 32], number[9] = "";
	size_t path_len = strlen(ended->mount_path) + strlen(ended->place);
	int64_t end_ms = ended->disarmed_wall_ms;
	json_t *object;

	if (id_number_encode(ended->row, number) != 0)
		number[0] = '\0'; /* no id had such a number */
	(void)snprintf(
	    id, sizeof(id), "%s%s/%s%s", ended->mount_path, ended->place, number, ended->random);
	object = json_pack("{s:s,s:o,s:o,s:I,s:b,s:o,s:s,s:o,s:o,s:s,s:o,s:s%,s:s,s:s,s:s,s:s,s:s,"
			   "s:s,s:I,s:b,s:s}",
	    "id", id, "issue_time", time_text(ended->issued_wall_ms), "expire_time",
	    time_text(ended->expires_wall_ms), "ttl", (json_int_t)0, "renewable", 0, "last_renewal",
	    time_text(ended->renewed_wall_ms), "state", "gone", "ended_time",
	    time_text(end_ms != 0 ? end_ms : ended->gone_wall_ms), "gone_time",
	    time_text(ended->gone_wall_ms), "ended_cause", lease_ended_cause(ended), "ended_by",
	    text_or_null(ended->end_by), "path", id, path_len, "mount", ended->mount_path,
	    "account", ended->account, "role", ended->role, "owner", ended->owner, "entity",
	    ended->entity, "delivery", ended->delivered ? "delivered" : "unknown", "connection",
	    (json_int_t)ended->connection, "canary", (int)(ended->kind == STORE_LEASE_CANARY),
	    "cause", ended->revoke_cause[0] != '\0' ? ended->revoke_cause : ended->cause);
	if ((object != NULL && ended->end == LEASE_END_ABANDONED &&
		put_abandoned(object, ended) != 0) ||
	    (object != NULL && with_accessor && ended->end_accessor[0] != '\0' &&
		json_object_set_new(
		    object, "ended_by_accessor", json_string(ended->end_accessor)) != 0)) {
		json_decref(object);
		return (NULL);
	}
	return (object);
}

int
lease_token_row(int64_t expires_ms, const char *place, const json_t *data, struct id_source *ids,
    struct store_lease **ret_row, struct leased_err *err)
{
	struct store_lease *row = calloc(1, sizeof(*row));

	if (row == NULL || (row->place = strdup(place)) == NULL ||
	    (row->account = strdup("")) == NULL || (row->owner = strdup("")) == NULL ||
	    (row->data = json_deep_copy(data)) == NULL) {
		store_lease_free(row);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	row->state = STORE_LEASE_LIVE;
	row->kind = STORE_LEASE_TOKEN;
	row->next_at_ms = expires_ms != 0 ? expires_ms : LEASE_FAR_MS;
	id_base62(ids, STORE_LEASE_RANDOM_LEN, row->random);
	*ret_row = row;
	return (0);
}
