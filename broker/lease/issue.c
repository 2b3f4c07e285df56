/*
 * Issue: from a request to a durable INTENT; mint.c goes on from there. Also the transaction that
 * makes the INTENT: caps are taken, the owner is checked and the account is named in it, all or
 * nothing.
 *
 * If we die before the INTENT is durable, nothing has happened anywhere.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/issuing.h"
#include "lease/private.h"

#define NAME_MAX_ANYWHERE 32 /* PROTOCOL.md: every plugin takes that */

/* ---- the INTENT ---- */

int
lease_issue_caps_take(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	const struct lease_request *request = lease->request;
	unsigned held = 0;
	int r = 0;

	/* data.caps holds the names; they become held one by one, all in this savepoint. */
	for (unsigned i = 0; i < lease->data.caps_count && r == 0; i++, held++) {
		int64_t limit = request->limit[i] > 0 ? request->limit[i] : INT64_MAX;

		r = store_take(txn, lease->data.caps[i], limit, err);
		if (r == LEASED_ELIMIT)
			(void)leased_err_set(err, LEASED_ELIMIT,
			    "%s: all %lld are in use; revoke a lease, wait for one to end, or ask "
			    "for a "
			    "higher limit",
			    request->what[i], (long long)limit);
	}
	return (r);
}

static int
intent_name(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	const struct lease_request *request = lease->request;
	struct lease_name name = {
	    .template = request->template,
	    .tag = lease->request->tag,
	    .role = lease->data.role,
	    .display = request->display,
	    .random = request->name_random,
	    .sequence = store_next_lease_id(txn),
	    .unix_s = request->unix_s,
	    .name_max = request->name_max,
	};
	char account[LEASE_ACCOUNT_SIZE];
	int r;

	if ((r = lease_name_format(&name, account, err)) != 0)
		return (r);
	free(lease->row->account);
	if ((lease->row->account = strdup(account)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

static int
intent_run(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	int r;

	if (lease->data.owner_token != 0 &&
	    (r = lease_token_alive(txn, lease->data.owner_token, lease->now_ms, err)) != 0)
		return (r);
	if ((r = lease_issue_caps_take(lease, txn, err)) != 0 ||
	    (r = intent_name(lease, txn, err)) != 0)
		return (r);
	if (lease->data.server[0] != '\0' &&
	    (r = store_server_put(txn, lease->connection, lease->data.server, err)) != 0)
		return (r);
	if (lease->request->template != NULL && !lease->request->template_noted &&
	    (r = store_meta_put(txn, LEASE_META_TEMPLATES, "1", err)) != 0)
		return (r);
	if ((lease->row->data = lease_data_encode(&lease->data)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (store_lease_insert(txn, lease->row, err));
}

static void
on_intent(struct lease *lease, int result, const struct leased_err *err)
{
	struct lease_request *request = lease->request;
	struct lease_connection *connection;

	if (result != 0) {
		struct leased_err why = *err; /* err is the lease's, which ends here */

		lease->request = NULL;
		lease_release(lease);
		lease_request_answer(request, result, &why, NULL);
		return;
	}
	lease->id = lease->row->id;
	if (request->template != NULL)
		lease->task.leases->templates_noted = true;
	if (!lease_busy_add(lease))
		(void)leased_err_set(&lease->failure, LEASED_ENOMEM, "out of memory");
	lease_enter(lease, LEASE_INTENT);
	connection = lease_connection_get(lease->task.leases, lease->connection);
	if (connection != NULL)
		lease_connection_due(connection, lease->row->next_at_ms);
	lease_mint_start(lease);
}

/* ---- the request ---- */

static int
text_put(char *ret_text, size_t size, const char *text, const char *what, struct leased_err *err)
{
	size_t len = text != NULL ? strlen(text) : 0;

	if (len >= size)
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s is longer than %zu bytes", what, size - 1));
	memcpy(ret_text, text != NULL ? text : "", len + 1);
	return (0);
}

static int
caps_put(struct lease *lease, const struct lease_issue *issue, struct leased_err *err)
{
	struct lease_data *data = &lease->data;
	int r = 0;

	for (unsigned i = 0; i < LEASE_CAPS_MAX && r == 0; i++) {
		const struct lease_cap *cap = &issue->caps[i];
		unsigned at = data->caps_count;

		if (cap->counter[0] == '\0')
			continue;
		/* A canary is no lease of its role's: it counts against the connection alone. */
		if (issue->canary && strncmp(cap->counter, "conn:", 5) != 0)
			continue;
		r = text_put(
		    data->caps[at], sizeof(data->caps[at]), cap->counter, "a counter", err);
		lease->request->limit[at] = cap->limit;
		lease_text_copy(lease->request->what[at], sizeof(lease->request->what[at]),
		    cap->what != NULL ? cap->what : cap->counter);
		data->caps_count++;
	}
	return (r);
}

static int64_t
smaller(int64_t a, int64_t b)
{
	return (a == 0 ? b : b == 0 ? a : a < b ? a : b);
}

static int
times_put(struct lease *lease, const struct lease_issue *issue, struct leased_err *err)
{
	struct leases *leases = lease->task.leases;
	struct lease_ttl_input input = issue->ttl;
	struct lease_data *data = &lease->data;
	struct lease_ttl ttl = {0};
	int64_t now_ms = leases_now_ms(leases);
	int r;

	data->issued_ms = now_ms;
	data->issued_wall_ms = leases_wall_ms(leases, now_ms);
	if (issue->canary) {
		ttl.ttl_s = LEASE_CANARY_MS / 1000;
		data->mint_deadline_ms = now_ms + LEASE_CANARY_MS;
	} else {
		input.start_ms = input.now_ms = now_ms;
		if ((r = lease_ttl_compute(&input, &ttl, err)) != 0)
			return (r);
		data->mint_deadline_ms = now_ms + LEASE_INTENT_MS;
		data->max_s = smaller(input.explicit_max_s,
		    input.period_s > 0 ? 0 : smaller(input.role_max_s, input.mount_max_s));
	}
	data->ttl_s = lease->request->ttl_s = ttl.ttl_s;
	data->expires_ms = now_ms + ttl.ttl_s * 1000;
	lease_text_copy(lease->request->warning, sizeof(lease->request->warning), ttl.warning);
	return (0);
}

/* The role may have been written, or this daemon started, before a worker could say what its
 * backend takes: of those who know, the smaller, and what every backend takes when nobody does. */
static unsigned
name_max_of(json_int_t role, json_int_t backend)
{
	json_int_t least = role > 0 ? role : backend;

	if (backend > 0 && backend < least)
		least = backend;
	if (least <= 0)
		return (NAME_MAX_ANYWHERE);
	return (least < LEASE_ACCOUNT_SIZE ? (unsigned)least : LEASE_ACCOUNT_SIZE - 1);
}

static int
role_put(struct lease *lease, const struct lease_issue *issue, struct leased_err *err)
{
	struct lease_request *request = lease->request;
	json_t *doc = NULL;
	const char *template;
	int r;

	if ((r = lease_role_find(lease->task.leases, issue->role_version, &doc, err)) != 0)
		return (r);
	lease->role = json_incref(json_object_get(doc, "role"));
	template = json_string_value(json_object_get(doc, "username_template"));
	request->name_max =
	    name_max_of(json_integer_value(json_object_get(doc, "name_max")), issue->name_max);
	if (template != NULL && template[0] != '\0' &&
	    (request->template = strdup(template)) == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	json_decref(doc);
	return (r);
}

int
lease_issue_row(struct lease *lease, const struct lease_issue *issue, enum store_lease_kind kind,
    struct leased_err *err)
{
	struct leases *leases = lease->task.leases;
	struct store_lease *row = calloc(1, sizeof(*row));

	if ((lease->row = row) == NULL || (row->place = strdup(issue->place)) == NULL ||
	    (row->account = strdup(issue->account != NULL ? issue->account : "")) == NULL ||
	    (row->owner = strdup(issue->owner != NULL ? issue->owner : "")) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	row->kind = kind;
	row->state = kind == STORE_LEASE_PLAIN ? STORE_LEASE_LIVE : STORE_LEASE_INTENT;
	row->connection = lease->connection = issue->connection;
	row->mount = issue->mount;
	row->next_at_ms =
	    kind == STORE_LEASE_PLAIN ? lease->data.expires_ms : lease->data.mint_deadline_ms;
	id_base62(leases->config.ids, STORE_LEASE_RANDOM_LEN, row->random);
	return (0);
}

static int
who_put(struct lease *lease, const struct lease_issue *issue, struct leased_err *err)
{
	struct leases *leases = lease->task.leases;
	struct lease_data *data = &lease->data;
	int r;

	data->role_version = issue->role_version;
	data->owner_token = issue->owner_token;
	memcpy(data->run, leases->run, sizeof(data->run));
	if ((r = text_put(data->role, sizeof(data->role), issue->role_name, "the role", err)) !=
		0 ||
	    (r = text_put(data->entity, sizeof(data->entity), issue->entity, "the entity", err)) !=
		0)
		return (r);
	lease_text_copy(data->display, sizeof(data->display), issue->display_name);
	lease_text_copy(data->cause, sizeof(data->cause), issue->cause);
	return (0);
}

int
lease_issue_terms(struct lease *lease, const struct lease_issue *issue, struct leased_err *err)
{
	int r;

	if ((r = times_put(lease, issue, err)) != 0 || (r = who_put(lease, issue, err)) != 0)
		return (r);
	return (caps_put(lease, issue, err));
}

/* What its mint needs. */
static int
mint_put(struct lease *lease, const struct lease_issue *issue, struct leased_err *err)
{
	struct leases *leases = lease->task.leases;
	const struct plugin_port *port =
	    leases->config.port_for(leases->config.arg, issue->connection);
	struct lease_request *request = lease->request;
	struct lease_data *data = &lease->data;

	/* Where the mint goes: if its reply is lost, another server that knows no such account must
	 * not be taken for its end. The reply says it again. */
	lease_text_copy(data->server, sizeof(data->server), port != NULL ? port->server : "");
	memcpy(request->display, data->display, sizeof(request->display));
	request->template_noted = leases->templates_noted;
	request->tag = store_tag(leases->config.store);
	request->unix_s = wclock_wall_ms(leases->config.clock) / 1000;
	id_base36(leases->config.ids, sizeof(request->name_random) - 1, request->name_random);
	request->password = id_password(leases->config.ids, ID_PASSWORD_LEN);
	if (request->password == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

static int
disk_full(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOSPC,
	    "the disk of the store is full: no lease can be written down until 128 MiB are free"));
}

/* Nothing is handed out that could not be found and ended again. */
int
lease_issue_store_ready(struct leases *leases, struct leased_err *err)
{
	struct store_health health = {0};

	if (leases->freeing)
		return (leased_err_set(err, LEASED_ECANCELED, "leased is stopping"));
	store_health_get(leases->config.store, &health);
	if (health.code == LEASED_ENOSPC)
		return (disk_full(err));
	if (health.damaged)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "the file of the store is damaged: nothing is handed out that might never be "
		    "found again, while leases go on ending. Stop leased and run `leased fsck "
		    "--repair`; what that does not mend, a backup does"));
	if (lease_unmarked_many(leases))
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "the store does not take the revocations of leases that were not delivered: "
		    "nothing is handed out until it does"));
	return (0);
}

/* A backend in back-off, or a full disk, is told without an INTENT. */
static int
ready(struct leases *leases, int64_t connection, struct leased_err *err)
{
	struct plugin_port *port = leases->config.port_for(leases->config.arg, connection);
	struct lease_connection *known = lease_connection_find(leases, connection);
	int r;

	if (leases->freeing)
		return (leased_err_set(err, LEASED_ECANCELED, "leased is stopping"));
	if (port == NULL)
		return (lease_port_absent(leases, connection, err));
	if (port->moved) /* and an INTENT would name the wrong one */
		return (leased_err_set(err, LEASED_EMOVED,
		    "another server answers than the one that this connection is configured for: "
		    "nothing is made there"));
	if ((r = lease_issue_store_ready(leases, err)) != 0)
		return (r);
	if (known != NULL && !lease_sessions_recorded(known))
		return (disk_full(err));
	return (plugin_port_ready(port, err));
}

static int
issue_prepare(struct lease *lease, const struct lease_issue *issue, struct leased_err *err)
{
	int r;

	/* A canary's end does not matter. */
	if ((lease->doing == LEASE_ISSUING &&
		(r = leases_time_check(lease->task.leases, err)) != 0) ||
	    (r = ready(lease->task.leases, issue->connection, err)) != 0 ||
	    (r = lease_issue_terms(lease, issue, err)) != 0 ||
	    (r = role_put(lease, issue, err)) != 0 || (r = mint_put(lease, issue, err)) != 0)
		return (r);
	return (lease_issue_row(
	    lease, issue, issue->canary ? STORE_LEASE_CANARY : STORE_LEASE_CREDENTIAL, err));
}

static void
start(struct leases *leases, const struct lease_issue *issue, lease_issue_done on_issued,
    lease_done on_probed, void *arg)
{
	struct lease_request *request = calloc(1, sizeof(*request));
	struct leased_err err = LEASED_ERR_INIT;
	struct lease *lease;
	int r;

	lease = lease_new(leases, on_issued != NULL ? LEASE_ISSUING : LEASE_PROBING);
	if (request == NULL || lease == NULL) {
		free(request);
		if (lease != NULL)
			lease_release(lease);
		lease_nomem_add(leases,
		    (struct lease_dones){.on_issued = on_issued, .on_probed = on_probed}, arg);
		return;
	}
	request->leases = leases;
	request->on_issued = on_issued;
	request->on_probed = on_probed;
	request->arg = arg;
	request->start_us = leases->config.clock->boot_us(leases->config.clock);
	lease->request = request;
	if ((r = issue_prepare(lease, issue, &err)) != 0) {
		lease->request = NULL;
		lease_release(lease);
		lease_request_refuse(request, r, &err);
		return;
	}
	FAILPOINT(lease_issue_before_intent);
	lease_write(lease, intent_run, on_intent);
}

void
lease_issue_start(
    struct leases *leases, const struct lease_issue *issue, lease_issue_done done, void *arg)
{
	start(leases, issue, done, NULL, arg);
}

void
lease_preflight_start(
    struct leases *leases, const struct lease_issue *issue, lease_done done, void *arg)
{
	struct lease_issue canary = *issue;

	canary.canary = true;
	start(leases, &canary, NULL, done, arg);
}
