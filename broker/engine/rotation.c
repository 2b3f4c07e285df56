/*
 * The way of one rotation (rotation.h): what is asked of the backend in which order, and what each
 * answer means. If we die anywhere between the candidate's commit and the publishing one, the
 * document says that there are two passwords, and the next start comes here to settle it. Called by
 * the timer and by requests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "engine/database.h"
#include "engine/rotation.h"
#include "engine/sqltemplate.h"
#include "metrics/metrics.h"

#define FENCE_MS 20000

METRICS_COUNTER(rotations_done, "leased_rotations", "",
    "Passwords that were rotated: of static roles, and of connections.");

static const char *
state_name(enum rotation_state state)
{
	static const char *const names[] = {[ROTATION_BEGUN] = "begun",
	    [ROTATION_PROVE] = "prove",
	    [ROTATION_CANDIDATE] = "candidate",
	    [ROTATION_SET] = "set",
	    [ROTATION_LOGIN] = "login",
	    [ROTATION_FENCE] = "fence",
	    [ROTATION_TRY_CANDIDATE] = "try candidate",
	    [ROTATION_TRY_CURRENT] = "try current",
	    [ROTATION_PUBLISH] = "publish",
	    [ROTATION_KEEP] = "keep",
	    [ROTATION_ENDED] = "ended"};

	return (names[state]);
}

/* The one place where the state changes. */
void
engine_rotation_enter(struct engine_rotation *rotation, enum rotation_state next)
{
#define TO(state) (1u << (ROTATION_##state))
	static const unsigned edges[] = {
	    [ROTATION_BEGUN] = TO(PROVE) | TO(CANDIDATE) | TO(FENCE) | TO(KEEP) | TO(ENDED),
	    [ROTATION_PROVE] = TO(CANDIDATE) | TO(KEEP) | TO(ENDED),
	    [ROTATION_CANDIDATE] = TO(SET) | TO(ENDED),
	    [ROTATION_SET] = TO(LOGIN) | TO(FENCE) | TO(KEEP) | TO(ENDED),
	    [ROTATION_LOGIN] = TO(PUBLISH) | TO(KEEP) | TO(ENDED),
	    [ROTATION_FENCE] = TO(TRY_CANDIDATE) | TO(KEEP) | TO(ENDED),
	    [ROTATION_TRY_CANDIDATE] =
		TO(PUBLISH) | TO(TRY_CURRENT) | TO(CANDIDATE) | TO(KEEP) | TO(ENDED),
	    [ROTATION_TRY_CURRENT] = TO(CANDIDATE) | TO(KEEP) | TO(ENDED),
	    [ROTATION_PUBLISH] = TO(ENDED),
	    [ROTATION_KEEP] = TO(ENDED),
	    [ROTATION_ENDED] = 0,
	};
#undef TO

	if ((edges[rotation->state] & 1u << next) == 0)
		(void)bug(NULL, "a rotation goes from %s to %s", state_name(rotation->state),
		    state_name(next));
	log_debug("rotation", LOG_I("document", rotation->doc),
	    LOG_S("from", state_name(rotation->state)), LOG_S("to", state_name(next)));
	rotation->state = next;
}

/* ---- writing ---- */

static void set_at_backend(struct engine_rotation *rotation);

/* Workers get both passwords before either can stop being good, and one of them afterwards. */
static void
port_configure(struct engine_rotation *rotation, bool restart)
{
	struct engine_connection *connection =
	    engine_connection_find(rotation->engines, rotation->connection);
	struct store_doc *doc = NULL;
	json_t *details = NULL;

	if (store_doc_get_id(
		store_db(rotation->engines->config.store), rotation->doc, &doc, NULL) == 0)
		details = engine_rotation_details(doc);
	store_doc_free(doc);
	if (connection != NULL && details != NULL)
		plugin_port_configure(connection->port, details, restart);
	else
		json_decref(details);
}

static void
on_published(struct engine_rotation *rotation)
{
	struct leased_err none = LEASED_ERR_INIT;

	FAILPOINT(engine_rotate_after_publish);
	if (rotation->is_root)
		port_configure(rotation, false);
	metrics_add(&rotations_done, 1);
	log_info("a password was rotated", LOG_S("account", rotation->account),
	    LOG_I("connection", rotation->connection),
	    LOG_S("of", rotation->is_root ? "the connection" : "a static role"));
	engine_rotation_end(rotation, 0, &none);
}

static void
on_stored(struct store_op *op, int result, const struct leased_err *err)
{
	struct engine_rotation *rotation = engine_rotation_from(op);
	struct engines *engines = rotation->engines;

	if (engines->stopping)
		engine_rotation_cut(rotation);
	else if (result != 0) {
		/* A candidate that is good, and could not be published: it stays due. */
		if (result != LEASED_ENOENT && result != LEASED_ECONFLICT)
			engines->rotations_pause_ms = rotation->now_ms + 5000;
		log_warn("a rotation could not be recorded", LOG_S("account", rotation->account),
		    LOG_S("step", state_name(rotation->state)), LOG_ERR(err));
		engine_rotation_end(rotation, result, err);
	} else if (rotation->state == ROTATION_CANDIDATE) {
		FAILPOINT(engine_rotate_after_candidate);
		if (rotation->is_root)
			port_configure(rotation, true);
		set_at_backend(rotation);
	} else if (rotation->state == ROTATION_PUBLISH)
		on_published(rotation);
	else {
		FAILPOINT(engine_rotate_after_keep);
		if (rotation->is_root && rotation->drop)
			port_configure(rotation, false);
		engine_rotation_end(rotation, rotation->why.code, &rotation->why);
	}
	engines_release(engines);
}

static void
submit(struct engine_rotation *rotation)
{
	struct engines *engines = rotation->engines;

	rotation->now_ms = leases_now_ms(engines->leases);
	rotation->wall_us = engines->config.clock->wall_us(engines->config.clock);
	engines->config.ids->fill(engines->config.ids, &rotation->jitter, sizeof(rotation->jitter));
	rotation->op.run = engine_rotation_run;
	rotation->op.done = on_stored;
	engines_hold(engines);
	store_submit(engines->config.store, &rotation->op);
}

static void
publish(struct engine_rotation *rotation)
{
	FAILPOINT(engine_rotate_before_publish);
	engine_rotation_enter(rotation, ROTATION_PUBLISH);
	submit(rotation);
}

/* why stays what failed first. */
static void
keep(struct engine_rotation *rotation, bool drop, const struct leased_err *err)
{
	if (rotation->why.code == 0 && err != NULL)
		rotation->why = *err;
	rotation->drop = drop;
	if (rotation->why.code != 0) {
		log_warn("a password was not rotated", LOG_S("account", rotation->account),
		    LOG_I("connection", rotation->connection), LOG_ERR(&rotation->why));
	}
	if (rotation->aim == ENGINE_SETTLE && !rotation->is_root && !drop) {
		/* Who asks again and again must not put off what is due. */
		engine_rotation_end(rotation, rotation->why.code, &rotation->why);
		return;
	}
	FAILPOINT(engine_rotate_before_keep);
	engine_rotation_enter(rotation, ROTATION_KEEP);
	submit(rotation);
}

static void
new_candidate(struct engine_rotation *rotation)
{
	struct leased_err err = LEASED_ERR_INIT;

	leased_secret_free(rotation->replaced);
	rotation->replaced = rotation->candidate;
	rotation->candidate = id_password(rotation->engines->config.ids, ID_PASSWORD_LEN);
	if (rotation->candidate == NULL) {
		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		engine_rotation_end(rotation, err.code, &err);
		return;
	}
	FAILPOINT(engine_rotate_before_candidate);
	engine_rotation_enter(rotation, ROTATION_CANDIDATE);
	submit(rotation);
}

/* ---- asking the backend ---- */

static json_t *
account_params(
    const struct engine_rotation *rotation, const struct leased_secret *password, const char *scope)
{
	json_t *params, *account;

	params = json_pack("{s:{s:s, s:O}, s:s%}", "account", "name", rotation->account, "role",
	    rotation->role, "password", leased_secret_reveal(password),
	    leased_secret_len(password));
	account = json_object_get(params, "account");
	if (params != NULL &&
	    ((rotation->server[0] != '\0' &&
		 json_object_set_new(account, "server", json_string(rotation->server)) != 0) ||
		(scope != NULL && json_object_set_new(params, "scope", json_string(scope)) != 0))) {
		json_decref(params);
		return (NULL);
	}
	return (params);
}

static void on_called(void *arg, const struct plugin_outcome *outcome);

static void
call(struct engine_rotation *rotation, enum plugin_op op, const struct leased_secret *password)
{
	struct engine_connection *connection =
	    engine_connection_find(rotation->engines, rotation->connection);
	struct plugin_outcome outcome = {.code = LEASED_EUNAVAIL, .not_sent = true};
	json_t *params;

	if (connection != NULL && !connection->closing &&
	    (params = account_params(rotation, password, op == PLUGIN_OP_CHECK ? "login" : NULL)) !=
		NULL &&
	    plugin_call_start(connection->port, op, params, 0, on_called, rotation) != NULL)
		return;
	(void)leased_err_set(
	    &outcome.err, LEASED_EUNAVAIL, "the connection is not open, or memory is out");
	on_called(rotation, &outcome);
}

static void
set_at_backend(struct engine_rotation *rotation)
{
	engine_rotation_enter(rotation, ROTATION_SET);
	FAILPOINT(engine_rotate_before_set);
	call(rotation, PLUGIN_OP_SET_PASSWORD, rotation->candidate);
}

static void
fence(struct engine_rotation *rotation)
{
	engine_rotation_enter(rotation, ROTATION_FENCE);
	rotation->fence_until_ms = leases_now_ms(rotation->engines->leases) + FENCE_MS;
	engine_rotation_look(rotation);
}

void
engine_rotation_look(struct engine_rotation *rotation)
{
	struct leases *leases = rotation->engines->leases;
	struct leased_err err = LEASED_ERR_INIT;

	if (rotation->state != ROTATION_FENCE)
		return;
	if (engine_connection_find(rotation->engines, rotation->connection) == NULL) {
		(void)leased_err_set(&err, LEASED_EUNAVAIL, "its connection was removed");
		engine_rotation_end(rotation, err.code, &err);
		return;
	}
	if (leases_port_settled(leases, rotation->connection,
		rotation->worker[0] != '\0' ? rotation->worker : NULL)) {
		engine_rotation_enter(rotation, ROTATION_TRY_CANDIDATE);
		call(rotation, PLUGIN_OP_CHECK, rotation->candidate);
		return;
	}
	rotation->worker[0] = '\0'; /* it is told once */
	if (leases_now_ms(leases) < rotation->fence_until_ms) {
		engine_rotations_wake(rotation->engines);
		return;
	}
	(void)leased_err_set(&err, LEASED_EUNAVAIL,
	    "sessions of a worker that died could not be ended yet, so that nobody can tell which "
	    "password holds");
	keep(rotation, false, &err);
}

void
engine_rotation_cancel(struct engine_rotation *rotation)
{
	if (rotation->state == ROTATION_FENCE)
		engine_rotation_cut(rotation);
}

/* ---- what the answers mean ---- */

static void
on_set(struct engine_rotation *rotation, const struct plugin_outcome *outcome)
{
	const char *server = json_string_value(json_object_get(outcome->result, "server"));

	FAILPOINT(engine_rotate_after_set);
	if (outcome->code == 0) {
		if (server != NULL)
			(void)snprintf(rotation->server, sizeof(rotation->server), "%s", server);
		engine_rotation_enter(rotation, ROTATION_LOGIN);
		call(rotation, PLUGIN_OP_CHECK, rotation->candidate);
		return;
	}
	if (outcome->not_sent) {
		keep(rotation, true, &outcome->err);
		return;
	}
	/* Also where the backend refused: of several statements some may have been done. */
	rotation->why = outcome->err;
	if (!outcome->answered && outcome->worker != NULL)
		(void)snprintf(rotation->worker, sizeof(rotation->worker), "%s", outcome->worker);
	fence(rotation);
}

static void
on_login(struct engine_rotation *rotation, const struct plugin_outcome *outcome)
{
	FAILPOINT(engine_rotate_after_login);
	if (outcome->code == 0)
		publish(rotation);
	else
		keep(rotation, false, &outcome->err);
}

/* Neither logs in. Of a static role a new one can be set; a connection needs one of them to do so,
 * and none is thrown away. */
static void
on_none(struct engine_rotation *rotation, const struct leased_err *err)
{
	struct leased_err own = LEASED_ERR_INIT;

	if (rotation->is_root)
		(void)leased_err_set(&own, LEASED_EREFUSED,
		    "neither the password of before nor the new one logs in; both are kept and "
		    "tried: %s",
		    err->text);
	else if (rotation->why.code == 0 && rotation->aim == ENGINE_ROTATE) {
		new_candidate(rotation);
		return;
	}
	/* With no current one there is nothing that could be shown by mistake. */
	keep(rotation, !rotation->is_root && rotation->current == NULL, own.code != 0 ? &own : err);
}

static void
on_tried_candidate(struct engine_rotation *rotation, const struct plugin_outcome *outcome)
{
	if (outcome->code == 0) {
		publish(rotation);
		return;
	}
	if (!outcome->answered || outcome->code != LEASED_EDENIED)
		keep(rotation, false, &outcome->err);
	else if (rotation->current == NULL)
		on_none(rotation, &outcome->err);
	else {
		engine_rotation_enter(rotation, ROTATION_TRY_CURRENT);
		call(rotation, PLUGIN_OP_CHECK, rotation->current);
	}
}

static void
on_tried_current(struct engine_rotation *rotation, const struct plugin_outcome *outcome)
{
	if (outcome->code == 0 && rotation->why.code == 0 && rotation->aim == ENGINE_ROTATE)
		new_candidate(rotation);
	else if (outcome->code == 0)
		keep(rotation, true, NULL);
	else if (outcome->answered && outcome->code == LEASED_EDENIED)
		on_none(rotation, &outcome->err);
	else
		keep(rotation, false, &outcome->err);
}

static void
proved(struct engine_rotation *rotation)
{
	rotation->proved = true;
	keep(rotation, false, NULL);
}

/* What an unproven one means is the other way round: one that logs in is left as it is. */
static void
on_proved(struct engine_rotation *rotation, const struct plugin_outcome *outcome)
{
	if (rotation->unproven && outcome->code == 0) {
		log_info("a static role's password of the backup logs in: it stays",
		    LOG_S("account", rotation->account), LOG_I("connection", rotation->connection));
		proved(rotation);
	} else if (rotation->unproven && outcome->answered && outcome->code == LEASED_EDENIED) {
		log_warn("a static role's password of the backup does not log in any more: it gets "
			 "a new one",
		    LOG_S("account", rotation->account), LOG_I("connection", rotation->connection));
		new_candidate(rotation);
	} else if (rotation->unproven)
		keep(rotation, false, &outcome->err);
	else if (outcome->code == 0)
		new_candidate(rotation);
	else
		engine_rotation_end(rotation, outcome->code, &outcome->err);
}

static void
on_called(void *arg, const struct plugin_outcome *outcome)
{
	struct engine_rotation *rotation = engine_rotation_from(arg);

	if (rotation->engines->stopping) {
		engine_rotation_cut(rotation);
		return;
	}
	switch (rotation->state) {
	case ROTATION_PROVE:
		on_proved(rotation, outcome);
		return;
	case ROTATION_SET:
		on_set(rotation, outcome);
		return;
	case ROTATION_LOGIN:
		on_login(rotation, outcome);
		return;
	case ROTATION_TRY_CANDIDATE:
		on_tried_candidate(rotation, outcome);
		return;
	case ROTATION_TRY_CURRENT:
		on_tried_current(rotation, outcome);
		return;
	case ROTATION_BEGUN:
	case ROTATION_CANDIDATE:
	case ROTATION_FENCE:
	case ROTATION_PUBLISH:
	case ROTATION_KEEP:
	case ROTATION_ENDED:
		break;
	}
	(void)bug(NULL, "an answer came to a rotation that asked nothing");
}

/* ---- the first step ---- */

void
engine_rotation_go(struct engine_rotation *rotation)
{
	struct leased_err none = LEASED_ERR_INIT;

	if (rotation->aim == ENGINE_DUE)
		rotation->aim = ENGINE_ROTATE;
	if (rotation->candidate != NULL)
		fence(rotation);
	else if (rotation->unproven && rotation->current == NULL)
		proved(rotation); /* written with skip_import_rotation: nothing to prove */
	else if (rotation->aim == ENGINE_ROTATE && (rotation->is_root || rotation->unproven)) {
		engine_rotation_enter(rotation, ROTATION_PROVE);
		call(rotation, PLUGIN_OP_CHECK, rotation->current);
	} else if (rotation->aim == ENGINE_ROTATE)
		new_candidate(rotation);
	else if (rotation->is_root)
		keep(rotation, true, NULL); /* it is settled, and must not stay due */
	else
		engine_rotation_end(rotation, 0, &none);
}
