/*
 * How a rotation begins, and how it ends: what it is about is read from its document, those who
 * wait are told exactly once, and a document has one at a time. The way between is rotation.c's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/database.h"
#include "engine/rotation.h"
#include "engine/sqltemplate.h"
#include "metrics/metrics.h"
#include "store/hold.h"

METRICS_COUNTER(rotations_failed, "leased_rotations_failed", "",
    "Rotations that were due or asked for and came to nothing; also where the backend was down.");

struct engine_rotation *
engine_rotation_from(void *arg)
{
	struct engine_rotation *rotation = arg;

	if (rotation->tag != ROTATION_TAG)
		abort();
	return (rotation);
}

struct engine_rotation *
engine_rotation_find(struct engines *engines, int64_t doc)
{
	struct engine_rotation *rotation;

	LIST_FOREACH (rotation, &engines->rotating, link)
		if (rotation->doc == doc)
			return (rotation);
	return (NULL);
}

/* ---- the end ---- */

static void rotate_for(struct engines *engines, int64_t doc, enum engine_rotation_aim aim,
    struct rotation_waiters *waiters);

static void
rotation_free(struct engine_rotation *rotation)
{
	json_decref(rotation->role);
	leased_secret_free(rotation->current);
	leased_secret_free(rotation->candidate);
	leased_secret_free(rotation->replaced);
	free(rotation->account);
	rotation->tag = 0;
	free(rotation);
}

static void
waiters_tell(struct rotation_waiters *waiters, int code, const struct leased_err *err)
{
	struct rotation_waiter *waiter;

	while ((waiter = TAILQ_FIRST(waiters)) != NULL) {
		TAILQ_REMOVE(waiters, waiter, entry);
		waiter->done(waiter->arg, code, err);
		free(waiter);
	}
}

/* Exactly once. Those who want one that begins after this one get it, together. */
void
engine_rotation_end(struct engine_rotation *rotation, int code, const struct leased_err *err)
{
	struct engines *engines = rotation->engines;
	struct rotation_waiters now = TAILQ_HEAD_INITIALIZER(now);
	struct rotation_waiters again = TAILQ_HEAD_INITIALIZER(again);
	struct rotation_waiter *waiter;
	struct leased_err told = *err;
	int64_t doc = rotation->doc;

	/* To be asked which password holds, and not to begin, is no failed rotation. */
	if (code != 0 && code != LEASED_ECANCELED &&
	    (rotation->aim != ENGINE_SETTLE || rotation->state != ROTATION_BEGUN))
		metrics_add(&rotations_failed, 1);
	engine_rotation_enter(rotation, ROTATION_ENDED);
	LIST_REMOVE(rotation, link);
	while ((waiter = TAILQ_FIRST(&rotation->waiters)) != NULL) {
		TAILQ_REMOVE(&rotation->waiters, waiter, entry);
		if (waiter->again && !engines->stopping)
			TAILQ_INSERT_TAIL(&again, waiter, entry);
		else
			TAILQ_INSERT_TAIL(&now, waiter, entry);
		waiter->again = false;
	}
	rotation_free(rotation);
	engines_hold(engines);
	if (!TAILQ_EMPTY(&again))
		rotate_for(engines, doc, ENGINE_ROTATE, &again);
	waiters_tell(&now, code, &told);
	if (!engines->stopping)
		engine_rotations_wake(engines);
	engines_release(engines);
}

void
engine_rotation_cut(struct engine_rotation *rotation)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)leased_err_set(&err, LEASED_ECANCELED, "leased is stopping");
	engine_rotation_end(rotation, err.code, &err);
}

/* ---- the beginning ---- */

static int
secret_from(const char *text, struct leased_secret **ret_secret, struct leased_err *err)
{
	if (text == NULL || text[0] == '\0')
		return (0);
	if ((*ret_secret = leased_secret_new(text, strlen(text))) != NULL)
		return (0);
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* The connection's own statements for its login, parsed; none is the plugin's own. */
static int
root_role(const struct store_doc *doc, const json_t *description, json_t **ret_role,
    struct leased_err *err)
{
	const json_t *texts = json_object_get(doc->data, "root_rotation_statements");

	if ((*ret_role = json_object()) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (engine_rotation_statements(
	    "root_rotation_statements", texts, description, *ret_role, err));
}

static int
read_root(struct engine_rotation *rotation, const struct store_doc *doc, const json_t *description,
    struct leased_err *err)
{
	const json_t *details = json_object_get(doc->data, "details");
	const char *name = json_string_value(json_object_get(details, "username"));
	int r;

	rotation->is_root = true;
	rotation->connection = doc->id;
	if ((r = secret_from(json_string_value(json_object_get(details, "password")),
		 &rotation->current, err)) != 0 ||
	    (r = root_role(doc, description, &rotation->role, err)) != 0)
		return (r);
	if (name == NULL || rotation->current == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "this connection has no username and password of its own (it logs in by "
		    "certificate, as a peer, or with a password that stands in connection_url): "
		    "there is nothing to rotate; write username and password, and {{username}} "
		    "and {{password}} in connection_url"));
	if ((rotation->account = strdup(name)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

static int
read_static(struct engine_rotation *rotation, const struct store_doc *doc, struct leased_err *err)
{
	const char *name = json_string_value(json_object_get(doc->data, "username"));
	const char *server = json_string_value(json_object_get(doc->data, "server"));
	int r;

	rotation->connection = json_integer_value(json_object_get(doc->data, "connection"));
	if ((r = secret_from(engine_rotation_text(doc, "password"), &rotation->current, err)) != 0)
		return (r);
	server = engines_server_of(
	    rotation->engines, rotation->connection, server != NULL ? server : "");
	(void)snprintf(rotation->server, sizeof(rotation->server), "%s", server);
	rotation->unproven =
	    rotation->aim == ENGINE_DUE && engine_rotation_is_unproven(rotation->engines, doc) &&
	    engine_rotation_number(doc, "next_at_ms") > leases_now_ms(rotation->engines->leases);
	rotation->role = json_incref(json_object_get(doc->data, "plugin_role"));
	if (name == NULL || rotation->role == NULL || (rotation->account = strdup(name)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

/* Nothing is written while the backend cannot be asked: what is due stays due. */
static int
check_connection(const struct engine_rotation *rotation, struct leased_err *err)
{
	struct engine_connection *connection =
	    engine_connection_find(rotation->engines, rotation->connection);
	int r;

	if (connection == NULL || connection->closing)
		return (leased_err_set(err, LEASED_EUNAVAIL, "its connection is not open"));
	if ((r = engine_connection_stays(connection, err)) != 0)
		return (r);
	return (plugin_port_ready(connection->port, err));
}

/* The original of a restored store may be in charge still: it would lose the account. */
static int
check_hold(const struct engine_rotation *rotation, struct leased_err *err)
{
	struct store_hold hold;

	store_hold_get(rotation->engines->config.store, &hold);
	if (!hold.held || rotation->aim == ENGINE_SETTLE)
		return (0);
	return (leased_err_set(err, LEASED_EUNAVAIL,
	    "this store was restored from a backup and is held: no password of an account is "
	    "changed until `lease restore release --takeover`"));
}

static int
rotation_read(struct engine_rotation *rotation, struct leased_err *err)
{
	struct engines *engines = rotation->engines;
	const struct engine_connection *connection;
	const json_t *description = NULL;
	struct store_doc *doc = NULL;
	int r;

	if ((r = check_hold(rotation, err)) != 0)
		return (r);
	r = store_doc_get_id(store_db(engines->config.store), rotation->doc, &doc, err);
	if (r != 0)
		return (r);
	if ((connection = engine_connection_find(engines, doc->id)) != NULL)
		description = plugin_port_description(connection->port);
	if (strcmp(doc->kind, "connection") == 0)
		r = read_root(rotation, doc, description, err);
	else if (strcmp(doc->kind, "static") == 0)
		r = read_static(rotation, doc, err);
	else
		r = leased_err_set(err, LEASED_EBUG, "a %s has no password", doc->kind);
	if (r == 0)
		r = secret_from(engine_rotation_text(doc, "candidate"), &rotation->candidate, err);
	store_doc_free(doc);
	return (r != 0 ? r : check_connection(rotation, err));
}

/* Takes the waiters over. */
static void
rotate_for(struct engines *engines, int64_t doc, enum engine_rotation_aim aim,
    struct rotation_waiters *waiters)
{
	struct engine_rotation *rotation = engine_rotation_find(engines, doc);
	struct leased_err err = LEASED_ERR_INIT;
	struct rotation_waiter *waiter;
	int r;

	if (rotation != NULL) {
		TAILQ_FOREACH (waiter, waiters, entry)
			waiter->again = aim == ENGINE_ROTATE;
		TAILQ_CONCAT(&rotation->waiters, waiters, entry);
		return;
	}
	if (engines->stopping || (rotation = calloc(1, sizeof(*rotation))) == NULL) {
		r = leased_err_set(&err, engines->stopping ? LEASED_ECANCELED : LEASED_ENOMEM,
		    engines->stopping ? "leased is stopping" : "out of memory");
		waiters_tell(waiters, r, &err);
		return;
	}
	rotation->tag = ROTATION_TAG;
	rotation->engines = engines;
	rotation->doc = doc;
	rotation->aim = aim;
	TAILQ_INIT(&rotation->waiters);
	TAILQ_CONCAT(&rotation->waiters, waiters, entry);
	LIST_INSERT_HEAD(&engines->rotating, rotation, link);
	if ((r = rotation_read(rotation, &err)) != 0)
		engine_rotation_end(rotation, r, &err);
	else
		engine_rotation_go(rotation);
}

static struct rotation_waiter *
waiter_new(engine_changed done, void *arg)
{
	struct rotation_waiter *waiter = calloc(1, sizeof(*waiter));

	if (waiter != NULL) {
		waiter->done = done;
		waiter->arg = arg;
	}
	return (waiter);
}

void
engine_rotate(struct engines *engines, int64_t doc, enum engine_rotation_aim aim,
    engine_changed done, void *arg)
{
	struct rotation_waiters waiters = TAILQ_HEAD_INITIALIZER(waiters);
	struct leased_err err = LEASED_ERR_INIT;
	struct rotation_waiter *waiter;

	if (done != NULL) {
		if ((waiter = waiter_new(done, arg)) == NULL) {
			(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
			done(arg, err.code, &err);
			return;
		}
		TAILQ_INSERT_TAIL(&waiters, waiter, entry);
	}
	rotate_for(engines, doc, aim, &waiters);
}

bool
engine_rotation_wait(struct engines *engines, int64_t doc, engine_changed done, void *arg)
{
	struct engine_rotation *rotation = engine_rotation_find(engines, doc);
	struct rotation_waiter *waiter;

	if (rotation == NULL || (waiter = waiter_new(done, arg)) == NULL)
		return (false);
	TAILQ_INSERT_TAIL(&rotation->waiters, waiter, entry);
	return (true);
}
