/*
 * The sweep of role versions. A role version is written before the role that names it, and leases
 * go on needing it after the role has moved on or is gone; so nobody deletes one in passing.
 *
 * The rule: a version that no role names and no lease of its role needs, twice in a row, an hour
 * apart, is taken away. A version never comes to be named again: new leases take the role's present
 * one in the very turn of the loop in which they read it, and a role write that has stored its
 * version names it, or has failed, within minutes. Looking is done page by page on the reader
 * thread; the delete is an ordinary change. A restart begins the two looks anew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/log.h"
#include "engine/private.h"

#define SWEEP_S 3600
#define PAGE 64u
#define FOUND_MAX 256u /* a pass; the rest waits for the next */

struct engine_rolevers {
	struct engines *engines;
	struct event *timer;
	size_t count; /* seen without use by the last pass */
	int64_t last[FOUND_MAX];
};

struct pass {
	struct store_read read; /* first */
	struct engines *engines;
	size_t count;
	struct {
		int64_t id, version;
	} found[FOUND_MAX];
};

struct rolever_delete {
	struct engine_change change; /* first */
};

/* ---- looking, on the reader thread ---- */

/* 1: a lease at place needs the version; 0: none does. */
static int
place_needs(
    struct store_db *db, int64_t mount, const char *place, int64_t version, struct leased_err *err)
{
	struct store_lease_query query = {
	    .by = STORE_BY_PLACE, .number = mount, .text = place, .limit = PAGE};
	struct store_lease **rows = NULL;
	size_t count = 0, i;
	bool needs = false;
	int r;

	do {
		if ((r = store_lease_page(db, &query, &rows, &count, err)) != 0)
			return (r);
		for (i = 0; i < count; i++) {
			needs = needs || json_integer_value(json_object_get(
					     rows[i]->data, "role_version")) == version;
			query.after = rows[i]->id;
		}
		store_lease_page_free(rows, count);
		rows = NULL;
	} while (!needs && count > 0);
	return (needs);
}

/* doc's name is "<mount>/<role>~<random>". */
static int
version_needed(struct store_db *db, const struct store_doc *version, struct leased_err *err)
{
	char role_name[ENGINE_DOC_NAME_SIZE], place[ENGINE_DOC_NAME_SIZE];
	const char *slash = strchr(version->name, '/'), *tilde = strrchr(version->name, '~');
	int64_t mount = strtoll(version->name, NULL, 10);
	struct store_doc *role = NULL;
	bool named;
	int r;

	if (slash == NULL || tilde == NULL || tilde < slash)
		return (1); /* not one of ours */
	(void)snprintf(
	    role_name, sizeof(role_name), "%.*s", (int)(tilde - version->name), version->name);
	r = store_doc_get(db, "role", role_name, &role, err);
	if (r != 0 && r != LEASED_ENOENT)
		return (r);
	named = r == 0 &&
		json_integer_value(json_object_get(role->data, "role_version")) == version->id;
	store_doc_free(role);
	if (named)
		return (1);
	(void)snprintf(place, sizeof(place), "creds/%.*s", (int)(tilde - slash - 1), slash + 1);
	if ((r = place_needs(db, mount, place, version->id, err)) != 0 ||
	    (r = place_needs(db, mount, "roles", version->id, err)) != 0)
		return (r);
	return (place_needs(db, mount, "config", version->id, err));
}

static int
pass_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct pass *pass = (struct pass *)read;
	struct store_doc **docs = NULL;
	size_t count = 0, i;
	char after[ENGINE_DOC_NAME_SIZE] = "";
	int r;

	do {
		r = store_doc_list(
		    db, "rolever", "", after[0] != '\0' ? after : NULL, PAGE, &docs, &count, err);
		if (r != 0)
			return (r);
		for (i = 0; i < count; i++) {
			(void)snprintf(after, sizeof(after), "%s", docs[i]->name);
			if (r >= 0 && pass->count < FOUND_MAX &&
			    (r = version_needed(db, docs[i], err)) == 0) {
				pass->found[pass->count].id = docs[i]->id;
				pass->found[pass->count++].version = docs[i]->version;
			}
			store_doc_free(docs[i]);
		}
		free(docs);
		docs = NULL;
	} while (r >= 0 && count == PAGE && pass->count < FOUND_MAX);
	return (r < 0 ? r : 0);
}

/* ---- taking away, on the loop ---- */

static void
on_deleted(void *arg, int code, const struct leased_err *err)
{
	if (code != 0 && code != LEASED_ENOENT && code != LEASED_ECONFLICT)
		log_warn("a role version that nobody needs could not be deleted", LOG_ERR(err));
	free(arg);
}

static void
version_delete(struct engines *engines, int64_t id, int64_t version)
{
	struct rolever_delete *gone;

	if ((gone = calloc(1, sizeof(*gone))) == NULL)
		return; /* the next pass */
	gone->change.deletes[0].id = id;
	gone->change.deletes[0].version = version;
	gone->change.done = on_deleted;
	gone->change.arg = gone;
	engine_change_submit(engines, &gone->change);
}

static void
pass_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct pass *pass = (struct pass *)read;
	struct engine_rolevers *rolevers = pass->engines->rolevers;
	int64_t now[FOUND_MAX];
	size_t i, k, count = 0;

	if (result != 0 && result != LEASED_ECANCELED)
		log_warn("role versions could not be looked through", LOG_ERR(err));
	for (i = 0; rolevers != NULL && result == 0 && i < pass->count; i++) {
		for (k = 0; k < rolevers->count && rolevers->last[k] != pass->found[i].id; k++)
			;
		if (k < rolevers->count)
			version_delete(pass->engines, pass->found[i].id, pass->found[i].version);
		else
			now[count++] = pass->found[i].id;
	}
	if (rolevers != NULL && result == 0) {
		memcpy(rolevers->last, now, count * sizeof(now[0]));
		rolevers->count = count;
	}
	engines_release(pass->engines);
	free(pass);
}

void
engine_rolevers_sweep(struct engines *engines)
{
	struct pass *pass;

	if ((pass = calloc(1, sizeof(*pass))) == NULL)
		return;
	pass->engines = engines;
	pass->read.run = pass_run;
	pass->read.done = pass_done;
	engines_hold(engines);
	store_submit_read(engines->config.store, &pass->read);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	engine_rolevers_sweep(arg);
}

void
engine_rolevers_sweep_start(struct engines *engines)
{
	struct timeval every = {.tv_sec = SWEEP_S};
	struct engine_rolevers *rolevers;

	if ((rolevers = calloc(1, sizeof(*rolevers))) == NULL)
		return;
	rolevers->engines = engines;
	engines->rolevers = rolevers;
	if (engines->config.loop == NULL)
		return;
	rolevers->timer = event_new(engines->config.loop, -1, EV_PERSIST, on_timer, engines);
	if (rolevers->timer == NULL || evtimer_add(rolevers->timer, &every) != 0)
		log_warn("no memory for a timer: role versions are kept until the next start");
}

void
engine_rolevers_sweep_stop(struct engines *engines)
{
	struct engine_rolevers *rolevers = engines->rolevers;

	if (rolevers == NULL)
		return;
	if (rolevers->timer != NULL)
		event_free(rolevers->timer);
	free(rolevers);
	engines->rolevers = NULL;
}
