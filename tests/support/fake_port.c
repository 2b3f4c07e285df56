/*
 * The fake port: calls in a list, and the port's table of functions. Owns everything of the fake;
 * starts no process, has no timer. fake_auto.c answers calls from an in-memory backend. Used by
 * unit tests of lease/ and engine/ only.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fake_private.h"

static struct fake_port *
fake_from(struct plugin_port *port)
{
	return ((struct fake_port *)port);
}

static void
call_free(struct fake_port *fake, struct fake_call *call)
{
	TAILQ_REMOVE(&fake->calls, call, entry);
	json_decref(call->params);
	free(call);
}

/* ---- workers and their sessions ---- */

void
fake_worker_start(struct fake_port *fake)
{
	if (fake->worker != 0)
		return;
	fake->worker = ++fake->counts.workers;
	snprintf(fake->worker_id, sizeof(fake->worker_id), "fake-%u", fake->worker);
	fake->session_state = SESSION_NONE;
	if (fake->port.events.on_opened != NULL)
		fake->port.events.on_opened(fake->port.events.opened_arg, &fake->port);
}

void
fake_worker_end(struct fake_port *fake)
{
	if (fake->worker == 0)
		return;
	assert(fake->gone_count < 64);
	fake->gone[fake->gone_count++] = fake->worker;
	fake->stale_acks += fake->session_state == SESSION_WAITING;
	fake->worker = 0;
	fake->session_state = SESSION_NONE;
}

unsigned
fake_tell_gone(struct fake_port *fake)
{
	unsigned told = 0;
	char id[32];

	while (fake->gone_count > 0) {
		snprintf(id, sizeof(id), "fake-%u", fake->gone[0]);
		fake->gone_count--;
		memmove(fake->gone, fake->gone + 1, fake->gone_count * sizeof(fake->gone[0]));
		told++;
		if (fake->port.events.on_worker_gone != NULL)
			fake->port.events.on_worker_gone(fake->port.events.arg, &fake->port, id);
	}
	return (told);
}

/* ---- the end of a call ---- */

void
fake_call_finish(struct fake_port *fake, struct fake_call *call, int code, const json_t *result,
    bool not_sent, const char *text)
{
	struct plugin_outcome outcome = {.code = code, .not_sent = not_sent};
	plugin_done done = call->done;
	void *arg = call->arg;
	char worker[32];
	bool dies = code == LEASED_ETIMEDOUT || code == LEASED_ECRASHED;

	snprintf(worker, sizeof(worker), "%s", fake->worker_id);
	outcome.worker = fake->worker != 0 ? worker : NULL;
	outcome.answered = fake->worker != 0 && !dies && code != LEASED_ECANCELED;
	outcome.result = code == 0 ? result : NULL;
	outcome.err.code = code;
	snprintf(outcome.err.text, sizeof(outcome.err.text), "%s",
	    text != NULL && text[0] != '\0' ? text : "as the test asked");
	call_free(fake, call);
	if (dies) {
		fake_worker_end(fake);
		fake_tell_gone(fake);
	}
	done(arg, &outcome);
}

/* ---- the port's table ---- */

static const char *
first_account_name(const json_t *params)
{
	const json_t *account = json_object_get(params, "account");

	return (json_string_value(json_object_get(account, "name")));
}

static bool
names_account(const json_t *params, const char *name)
{
	const char *own = first_account_name(params);
	const json_t *account;
	size_t i;

	if (own != NULL && strcmp(own, name) == 0)
		return (true);
	json_array_foreach(json_object_get(params, "accounts"), i, account)
	{
		own = json_string_value(json_object_get(account, "name"));
		if (own != NULL && strcmp(own, name) == 0)
			return (true);
	}
	return (false);
}

static void
count_overlaps(struct fake_port *fake, const json_t *params)
{
	const struct fake_call *other;
	const json_t *account;
	const char *name;
	size_t i;

	TAILQ_FOREACH (other, &fake->calls, entry) {
		if ((name = first_account_name(params)) != NULL &&
		    names_account(other->params, name))
			fake->counts.overlaps++;
		json_array_foreach(json_object_get(params, "accounts"), i, account)
		{
			name = json_string_value(json_object_get(account, "name"));
			if (name != NULL && names_account(other->params, name))
				fake->counts.overlaps++;
		}
	}
}

static struct plugin_call *
fake_call_start(struct plugin_port *port, enum plugin_op op, json_t *params, unsigned timeout_ms,
    plugin_done done, void *arg)
{
	struct fake_port *fake = fake_from(port);
	struct fake_call *call = calloc(1, sizeof(*call));

	assert(!fake->closed);
	assert(timeout_ms > 0);
	if (call == NULL) {
		json_decref(params);
		return (NULL);
	}
	count_overlaps(fake, params);
	call->call = (struct plugin_call){.tag = PLUGIN_CALL_TAG, .port = port};
	call->op = op;
	call->params = params;
	call->done = done;
	call->arg = arg;
	call->serial = ++fake->next_serial;
	call->taken = !fake->pumped;
	TAILQ_INSERT_TAIL(&fake->calls, call, entry);
	fake->counts.calls[op]++;
	fake_worker_start(fake);
	return (&call->call);
}

static void
fake_cancel(struct plugin_call *plugin_call)
{
	struct fake_call *call = (struct fake_call *)plugin_call;
	struct fake_port *fake = fake_from(plugin_call->port);

	fake->counts.canceled++;
	if (call->taken)
		fake_worker_end(fake); /* told by the next pump */
	call_free(fake, call);
}

static int
fake_ready(struct plugin_port *port, struct leased_err *err)
{
	if (fake_from(port)->down)
		return (leased_err_set(err, LEASED_EUNAVAIL, "the fake backend is down"));
	return (0);
}

static void
fake_close(struct plugin_port *port)
{
	struct fake_port *fake = fake_from(port);
	struct fake_call *call;

	fake->closed = true;
	while ((call = TAILQ_FIRST(&fake->calls)) != NULL)
		fake_call_finish(fake, call, LEASED_ECANCELED, NULL, false, "the port was closed");
	fake_worker_end(fake);
	fake_tell_gone(fake);
}

static const struct plugin_port_ops fake_ops = {
    .call = fake_call_start,
    .cancel = fake_cancel,
    .ready = fake_ready,
    .close = fake_close,
};

struct fake_port *
fake_port_new(int64_t connection)
{
	struct fake_port *fake = calloc(1, sizeof(*fake));

	assert(fake != NULL);
	fake->port.ops = &fake_ops;
	fake->port.connection = connection;
	fake->ack =
	    (struct plugin_session_ack){.tag = PLUGIN_SESSION_ACK_TAG, .answer = fake_on_ack};
	TAILQ_INIT(&fake->calls);
	TAILQ_INIT(&fake->faults);
	TAILQ_INIT(&fake->late);
	fake->backend.accounts = calloc(FAKE_ACCOUNTS_MAX, sizeof(struct fake_account));
	assert(fake->backend.accounts != NULL);
	fake->backend.next_handle = 16384;
	fake_port_set_server(fake, "fake-server-1");
	fake->port.description = json_object();
	assert(fake_backend_run(
		   &fake->backend, PLUGIN_OP_DESCRIBE, NULL, fake->port.description, NULL) == 0);
	return (fake);
}

void
fake_late_free(struct fake_port *fake, struct fake_late *late)
{
	TAILQ_REMOVE(&fake->late, late, entry);
	json_decref(late->params);
	free(late);
}

void
fake_port_set_opened(
    struct fake_port *fake, const char *host, int64_t server_wall_us, int64_t boot_us)
{
	char text[WCLOCK_RFC3339_SIZE];

	wclock_format_rfc3339(server_wall_us, text);
	json_decref(fake->port.opened);
	fake->port.opened = json_pack("{s:s,s:s,s:{s:s,s:s}}", "server", fake->port.server,
	    "server_time", text, "endpoint", "scheme", "fake", "host", host);
	fake->port.opened_boot_us = boot_us;
	assert(fake->port.opened != NULL);
}

static void
members_put(json_t **object, const char *members)
{
	json_t *more = json_loads(members, JSON_REJECT_DUPLICATES, NULL);

	assert(json_is_object(more));
	if (*object == NULL)
		*object = json_object();
	assert(json_object_update(*object, more) == 0);
	json_decref(more);
}

void
fake_port_describes(struct fake_port *fake, const char *members)
{
	members_put(&fake->backend.described, members);
	members_put(&fake->port.description, members);
}

void
fake_port_opens(struct fake_port *fake, const char *members)
{
	members_put(&fake->port.opened, members);
}

void
fake_port_mints(struct fake_port *fake, const char *members)
{
	members_put(&fake->backend.minted, members);
}

void
fake_port_set_remakes(struct fake_port *fake, bool remakes)
{
	fake->backend.remakes = remakes;
}

void
fake_port_free(struct fake_port *fake)
{
	struct fake_fault_row *fault;
	struct fake_late *late;

	if (fake == NULL)
		return;
	while (!TAILQ_EMPTY(&fake->calls))
		call_free(fake, TAILQ_FIRST(&fake->calls));
	while ((fault = TAILQ_FIRST(&fake->faults)) != NULL) {
		TAILQ_REMOVE(&fake->faults, fault, entry);
		free(fault);
	}
	while ((late = TAILQ_FIRST(&fake->late)) != NULL)
		fake_late_free(fake, late);
	json_decref(fake->port.description);
	json_decref(fake->port.opened);
	json_decref(fake->backend.described);
	json_decref(fake->backend.minted);
	free(fake->backend.accounts);
	free(fake);
}

struct plugin_port *
fake_port_port(struct fake_port *fake)
{
	return (&fake->port);
}

/* ---- scripted ---- */

static struct fake_call *
oldest(const struct fake_port *fake, int op)
{
	struct fake_call *call;

	TAILQ_FOREACH (call, &fake->calls, entry)
		if (op < 0 || (int)call->op == op)
			return (call);
	return (NULL);
}

unsigned
fake_port_pending(const struct fake_port *fake, int op)
{
	const struct fake_call *call;
	unsigned count = 0;

	TAILQ_FOREACH (call, &fake->calls, entry)
		count += op < 0 || (int)call->op == op;
	return (count);
}

const json_t *
fake_port_params(const struct fake_port *fake, enum plugin_op op)
{
	const struct fake_call *call = oldest(fake, (int)op);

	return (call != NULL ? call->params : NULL);
}

bool
fake_port_answer(struct fake_port *fake, enum plugin_op op, int code, const char *result)
{
	struct fake_call *call = oldest(fake, (int)op);
	json_t *object = NULL;
	bool not_sent;

	if (call == NULL)
		return (false);
	if (code == 0) {
		object = json_loads(result != NULL ? result : "{}", JSON_REJECT_DUPLICATES, NULL);
		assert(json_is_object(object));
	}
	not_sent = code == LEASED_EUNAVAIL || code == LEASED_EINVAL || code == LEASED_ECANCELED;
	fake_call_finish(fake, call, code, object, not_sent, result);
	json_decref(object);
	return (true);
}
