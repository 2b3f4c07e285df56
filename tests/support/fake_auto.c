/*
 * The fake port's automatic half: pumps, worker sessions and their acks, faults and crashes. Owns
 * nothing; fake_port.c keeps the calls, fake_backend.c the accounts.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/fake_private.h"

void
fake_on_ack(struct plugin_session_ack *ack, int result)
{
	struct fake_port *fake;

	fake = (struct fake_port *)(void *)((char *)ack - offsetof(struct fake_port, ack));
	if (fake->stale_acks > 0) { /* they come in order: this worker is no more */
		fake->stale_acks--;
		return;
	}
	assert(fake->session_state == SESSION_WAITING); /* exactly once */
	fake->session_result = result;
	fake->session_state = result == 0 ? SESSION_ACKED : SESSION_REFUSED;
	if (result != 0)
		fake->sessions_live[fake->session % 256] = false;
}

/* True once the worker may send. */
static bool
session_ready(struct fake_port *fake)
{
	char id[32];

	if (fake->session_state == SESSION_NONE) {
		static unsigned last; /* no two ports share a session id */

		fake->session = ++last;
		fake->sessions_live[fake->session % 256] = true;
		fake->session_state = SESSION_WAITING;
		snprintf(id, sizeof(id), "%u:fake", fake->session);
		if (fake->port.events.on_session == NULL)
			fake_on_ack(&fake->ack, 0);
		else
			fake->port.events.on_session(
			    fake->port.events.arg, &fake->port, fake->worker_id, id, &fake->ack);
	}
	return (fake->session_state == SESSION_ACKED);
}

struct fake_account *
fake_port_account(struct fake_port *fake, const char *name)
{
	return (fake_backend_account(&fake->backend, name));
}

unsigned
fake_port_account_count(const struct fake_port *fake)
{
	return (fake->backend.count);
}

struct fake_account *
fake_port_add_account(struct fake_port *fake, const char *name)
{
	return (fake_backend_add(&fake->backend, name));
}

void
fake_port_drop_account(struct fake_port *fake, const char *name)
{
	fake_backend_drop(&fake->backend, name);
}

void
fake_port_set_incarnation(struct fake_port *fake, const char *incarnation)
{
	snprintf(fake->backend.incarnation, sizeof(fake->backend.incarnation), "%s", incarnation);
}

void
fake_port_set_server(struct fake_port *fake, const char *server)
{
	snprintf(fake->backend.server, sizeof(fake->backend.server), "%s", server);
	snprintf(fake->port.server, sizeof(fake->port.server), "%s", server);
	if (fake->port.events.on_opened != NULL)
		fake->port.events.on_opened(fake->port.events.opened_arg, &fake->port);
}

/* What a reaped session had under way never lands. */
static void
reap(struct fake_port *fake, const json_t *params, json_t *result)
{
	json_t *results = json_array(), *session;
	struct fake_late *late, *next;
	size_t i;

	json_array_foreach(json_object_get(params, "sessions"), i, session)
	{
		unsigned number = (unsigned)strtoul(json_string_value(session), NULL, 10);

		fake->sessions_live[number % 256] = false;
		if (number == fake->session && fake->session_state == SESSION_ACKED)
			fake->session_state = SESSION_NONE; /* the worker connects again */
		for (late = TAILQ_FIRST(&fake->late); late != NULL; late = next) {
			next = TAILQ_NEXT(late, entry);
			if (late->session == number)
				fake_late_free(fake, late);
		}
		json_array_append_new(results, json_pack("{s:b}", "ok", 1));
	}
	json_object_set_new(result, "results", results);
}

static int
run(struct fake_port *fake, enum plugin_op op, const json_t *params, json_t *result,
    struct leased_err *err)
{
	if (op == PLUGIN_OP_REAP) {
		reap(fake, params, result);
		return (0);
	}
	return (fake_backend_run(&fake->backend, op, params, result, err));
}

static struct fake_fault_row *
take_fault(struct fake_port *fake, enum plugin_op op)
{
	struct fake_fault_row *row;

	TAILQ_FOREACH (row, &fake->faults, entry)
		if (row->op == op)
			break;
	if (row != NULL)
		TAILQ_REMOVE(&fake->faults, row, entry);
	return (row);
}

/* True: the fault ended (or hung) the call. */
static bool
apply_fault(struct fake_port *fake, struct fake_call *call, json_t *result)
{
	struct fake_fault_row *row = take_fault(fake, call->op);
	struct fake_late *late;
	struct leased_err err = LEASED_ERR_INIT;

	if (row == NULL)
		return (false);
	switch (row->fault) {
	case FAKE_FAULT_BEFORE:
		break;
	case FAKE_FAULT_AFTER:
		(void)run(fake, call->op, call->params, result, &err);
		break;
	case FAKE_FAULT_LATE:
		if ((late = calloc(1, sizeof(*late))) == NULL)
			break; /* a test that lets memory run out: it never lands */
		late->session = fake->session;
		late->op = call->op;
		late->params = json_incref(call->params);
		TAILQ_INSERT_TAIL(&fake->late, late, entry);
		break;
	case FAKE_FAULT_HANG:
		call->hung = true;
		break;
	}
	if (!call->hung)
		fake_call_finish(
		    fake, call, row->code, NULL, row->fault == FAKE_FAULT_BEFORE, row->text);
	free(row);
	return (true);
}

static void
answer(struct fake_port *fake, struct fake_call *call)
{
	json_t *result = json_object();
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (result == NULL) { /* a test that lets memory run out */
		fake_call_finish(fake, call, LEASED_ENOMEM, NULL, true, "out of memory");
		return;
	}
	if (!apply_fault(fake, call, result)) {
		r = run(fake, call->op, call->params, result, &err);
		fake_call_finish(fake, call, r, result, r == LEASED_EINVAL, err.text);
	}
	json_decref(result);
}

/* True: the call was answered or hangs; false: it waits for its session's ack. */
static bool
serve(struct fake_port *fake, struct fake_call *call)
{
	if (fake->down) {
		fake_call_finish(
		    fake, call, LEASED_EUNAVAIL, NULL, true, "the fake backend is down");
		return (true);
	}
	if (fake->port.moved && call->op == PLUGIN_OP_MINT) {
		fake_call_finish(fake, call, LEASED_EMOVED, NULL, true, "another server answers");
		return (true);
	}
	fake_worker_start(fake);
	call->taken = true;
	if (call->op != PLUGIN_OP_DESCRIBE && !session_ready(fake)) {
		if (fake->session_state != SESSION_REFUSED)
			return (false);
		fake->session_state = SESSION_NONE;
		fake_call_finish(fake, call, fake->session_result, NULL, true, "session refused");
		return (true);
	}
	answer(fake, call);
	return (true);
}

unsigned
fake_port_pump(struct fake_port *fake)
{
	uint64_t until = fake->next_serial;
	unsigned served;
	struct fake_call *call;

	fake->pumped = true;
	served = fake_tell_gone(fake);
	for (;;) {
		TAILQ_FOREACH (call, &fake->calls, entry)
			if (!call->hung)
				break;
		if (call == NULL || call->serial > until || !serve(fake, call))
			return (served);
		served++;
	}
}

void
fake_port_fault(
    struct fake_port *fake, enum plugin_op op, enum fake_fault fault, int code, const char *text)
{
	struct fake_fault_row *row = calloc(1, sizeof(*row));

	assert(row != NULL);
	row->op = op;
	row->fault = fault;
	row->code = code;
	snprintf(row->text, sizeof(row->text), "%s", text != NULL ? text : "");
	TAILQ_INSERT_TAIL(&fake->faults, row, entry);
}

unsigned
fake_port_faults(const struct fake_port *fake)
{
	const struct fake_fault_row *row;
	unsigned count = 0;

	TAILQ_FOREACH (row, &fake->faults, entry)
		count++;
	return (count);
}

unsigned
fake_port_land(struct fake_port *fake)
{
	struct fake_late *late;
	unsigned landed = 0;

	while ((late = TAILQ_FIRST(&fake->late)) != NULL) {
		struct leased_err err = LEASED_ERR_INIT;
		json_t *result = json_object();

		assert(result != NULL);
		landed += run(fake, late->op, late->params, result, &err) == 0;
		json_decref(result);
		fake_late_free(fake, late);
	}
	return (landed);
}

void
fake_port_set_down(struct fake_port *fake, bool down)
{
	bool was = fake->down;

	fake->down = down;
	if (was && !down && fake->port.events.on_recovered != NULL)
		fake->port.events.on_recovered(fake->port.events.arg, &fake->port);
}

void
fake_port_crash(struct fake_port *fake)
{
	uint64_t until = fake->next_serial;
	struct fake_call *call;

	fake_worker_end(fake);
	fake_tell_gone(fake);
	while ((call = TAILQ_FIRST(&fake->calls)) != NULL && call->serial <= until)
		fake_call_finish(fake, call, LEASED_ECRASHED, NULL, false, "the worker died");
}

struct fake_port_counts
fake_port_counts(const struct fake_port *fake)
{
	struct fake_port_counts counts = fake->counts;

	for (unsigned i = 0; i < 256; i++)
		counts.sessions += fake->sessions_live[i];
	return (counts);
}
