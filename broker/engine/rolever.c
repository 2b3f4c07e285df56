/*
 * The sweep of role versions. A role version is written before the role that names it, and leases
 * go on needing it after the role has moved on or is gone; so nobody deletes one in passing.
 *
 * The rule: a version that no role names and no lease of its role needs, twice in a row, an hour
 * apart, is taken away. A version never comes to be named again: new leases take the role's present
 * one in the very turn of the loop in which they read it, and a role write that has stored its
 * version names it, or has failed, within minutes. The leases of a role are walked once for all of
 * its versions that it does not name, page by page on the reader thread; the delete is an ordinary
 * change. A restart begins the two looks anew.
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

struct version {
	int64_t id, version;
};

struct pass {
	struct store_read read; /* first */
	struct engines *engines;
	char after[ENGINE_DOC_NAME_SIZE]; /* the last document that was listed */
	bool listed;                      /* there are no more */
	/* The versions of one role that its leases are asked for, in one walk for all of them. */
	char role[ENGINE_DOC_NAME_SIZE]; /* "<mount>/<role>" */
	struct version group[FOUND_MAX];
	size_t group_count;
	unsigned place; /* of places_walked */
	int64_t after_lease;
	size_t count;
	struct version found[FOUND_MAX];
};

struct rolever_delete {
	struct engine_change change; /* first */
};

/* ---- looking, on the reader thread ---- */

/* Of a version's name, "<mount>/<role>~<random>"; false: it is not one of ours. */
static bool
role_of(const char *name, char ret_role[ENGINE_DOC_NAME_SIZE])
{
	const char *slash = strchr(name, '/'), *tilde = strrchr(name, '~');

	if (slash == NULL || tilde == NULL || tilde < slash)
		return (false);
	(void)snprintf(ret_role, ENGINE_DOC_NAME_SIZE, "%.*s", (int)(tilde - name), name);
	return (true);
}

/* False: it belongs to the next group, or there is no room. */
static bool
group_take(struct pass *pass, const struct store_doc *doc)
{
	char role[ENGINE_DOC_NAME_SIZE];

	if (role_of(doc->name, role)) {
		if (pass->group_count > 0 &&
		    (pass->group_count == FOUND_MAX || strcmp(role, pass->role) != 0))
			return (false);
		memcpy(pass->role, role, sizeof(pass->role));
		pass->group[pass->group_count++] = (struct version){doc->id, doc->version};
	}
	(void)snprintf(pass->after, sizeof(pass->after), "%s", doc->name);
	return (true);
}

/* The next role's versions, which stand side by side. */
static int
group_list(struct pass *pass, struct store_db *db, struct leased_err *err)
{
	struct store_doc **docs;
	size_t count, i;
	bool taken = true;
	int r;

	while (taken && !pass->listed) {
		docs = NULL;
		r = store_doc_list(db, "rolever", "", pass->after[0] != '\0' ? pass->after : NULL,
		    PAGE, &docs, &count, err);
		if (r != 0)
			return (r);
		for (i = 0; i < count; i++) {
			taken = taken && group_take(pass, docs[i]);
			store_doc_free(docs[i]);
		}
		free(docs);
		pass->listed = taken && count < PAGE;
	}
	return (0);
}

static void
group_drop(struct pass *pass, int64_t id)
{
	for (size_t i = 0; i < pass->group_count; i++)
		if (pass->group[i].id == id) {
			pass->group[i] = pass->group[--pass->group_count];
			return;
		}
}

/* All but the one that the role names. */
static int
group_begin(struct pass *pass, struct store_db *db, struct leased_err *err)
{
	struct store_doc *role = NULL;
	int r;

	pass->place = 0;
	pass->after_lease = 0;
	if ((r = group_list(pass, db, err)) != 0 || pass->group_count == 0)
		return (r);
	r = store_doc_get(db, "role", pass->role, &role, err);
	if (r == 0)
		group_drop(pass, json_integer_value(json_object_get(role->data, "role_version")));
	store_doc_free(role);
	return (r == LEASED_ENOENT ? 0 : r);
}

static const char *const places_walked[] = {"creds/", "roles", "config"};
#define PLACES (sizeof(places_walked) / sizeof(places_walked[0]))

/* A page of the leases that may need one of the group. */
static int
group_walk(struct pass *pass, struct store_db *db, struct leased_err *err)
{
	char place[ENGINE_DOC_NAME_SIZE + 8];
	struct store_lease_query query = {.by = STORE_BY_PLACE,
	    .number = strtoll(pass->role, NULL, 10),
	    .text = place,
	    .after = pass->after_lease,
	    .limit = PAGE};
	struct store_lease **rows = NULL;
	size_t count = 0;
	int r;

	(void)snprintf(place, sizeof(place), "%s%s", places_walked[pass->place],
	    pass->place == 0 ? strchr(pass->role, '/') + 1 : "");
	if ((r = store_lease_page(db, &query, &rows, &count, err)) != 0)
		return (r);
	for (size_t i = 0; i < count; i++) {
		group_drop(
		    pass, json_integer_value(json_object_get(rows[i]->data, "role_version")));
		pass->after_lease = rows[i]->id;
	}
	store_lease_page_free(rows, count);
	if (count == 0) {
		pass->place++;
		pass->after_lease = 0;
	}
	return (0);
}

static void
group_end(struct pass *pass)
{
	while (pass->group_count > 0 && pass->count < FOUND_MAX)
		pass->found[pass->count++] = pass->group[--pass->group_count];
	pass->group_count = 0; /* the next pass finds them */
}

static int
pass_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct pass *pass = (struct pass *)read;
	int r;

	for (;;) {
		if (pass->group_count == 0) {
			if (pass->listed || pass->count == FOUND_MAX)
				return (0);
			r = group_begin(pass, db, err);
		} else if (pass->place < PLACES) {
			r = group_walk(pass, db, err);
		} else {
			group_end(pass);
			r = 0;
		}
		if (r != 0)
			return (r);
		if (store_read_is_long(db))
			return (STORE_READ_AGAIN);
	}
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
