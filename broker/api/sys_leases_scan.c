/*
 * Lists of leases over the API: LIST below a prefix, a caller's own, those that are overdue
 * (contract 2.4). The scanning is scan.c's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/reply.h"
#include "api/scan.h"

/* ---- LIST below a prefix: the next segment of each, a directory with its '/' ---- */

static int
list_add(struct api_scan *scan, const char *key, struct leased_err *err)
{
	return (json_object_set_new(scan->keys, key, json_true()) == 0 ? 0 : api_scan_nomem(err));
}

/* The leases of the place itself. */
static int
list_leases(struct api_scan *scan, struct store_db *db, size_t *ret_count, struct leased_err *err)
{
	struct store_lease **rows = NULL;
	char key[64], number[9];
	size_t count;
	int r;

	if ((r = store_lease_page(db, &scan->query, &rows, &count, err)) != 0)
		return (r);
	for (size_t i = 0; i < count && r == 0; i++) {
		scan->query.after = rows[i]->id;
		if (!store_lease_is_clients(rows[i]->kind))
			continue;
		if ((r = id_number_encode(rows[i]->id, number)) != 0)
			break;
		(void)snprintf(key, sizeof(key), "%s%s", number, rows[i]->random);
		r = list_add(scan, key, err);
	}
	store_lease_page_free(rows, count);
	*ret_count = count;
	return (r);
}

/* Has a place a credential, or nothing but canaries? Few rows are opened to know it. */
static int
list_has(struct api_scan *scan, struct store_db *db, bool *ret_has, struct leased_err *err)
{
	struct store_lease_query query = {
	    .by = STORE_IN_PLACE, .number = scan->mount, .text = scan->place, .limit = 4};
	struct store_lease **rows = NULL;
	size_t count;
	bool has = false;
	int r;

	do {
		if ((r = store_lease_page(db, &query, &rows, &count, err)) != 0)
			return (r);
		for (size_t i = 0; i < count; i++) {
			query.after = rows[i]->id;
			has = has || store_lease_is_clients(rows[i]->kind);
		}
		store_lease_page_free(rows, count);
	} while (!has && count > 0);
	*ret_has = has;
	return (0);
}

/* The segment of scan->place behind prefix: a directory. What else is in it is passed over. */
static int
list_directory(struct api_scan *scan, struct store_db *db, size_t prefix, struct leased_err *err)
{
	const char *rest = scan->place + prefix;
	size_t len = strcspn(rest, "/");
	char *key = NULL, *behind = NULL;
	bool has = false;
	int r;

	if (len == 0)
		return (0);
	if (asprintf(&key, "%.*s/", (int)len, rest) < 0)
		return (api_scan_nomem(err));
	if ((r = list_has(scan, db, &has, err)) == 0 && has)
		r = list_add(scan, key, err);
	if (r == 0 && has && rest[len] == '/') {
		/* No name holds this byte: it is above all that is below. */
		if (asprintf(&behind, "%.*s/\xff", (int)(prefix + len), scan->place) < 0) {
			r = api_scan_nomem(err);
		} else {
			free(scan->place);
			scan->place = behind;
		}
	}
	free(key);
	return (r);
}

/* The directories below it, place by place, from the index: a role has many leases. */
static int
list_directories(struct api_scan *scan, struct store_db *db, struct leased_err *err)
{
	char *prefix = NULL;
	int r;

	if (asprintf(&prefix, "%s%s", scan->text, scan->text[0] != '\0' ? "/" : "") < 0)
		return (api_scan_nomem(err));
	while ((r = store_lease_place_next(db, scan->mount, prefix, &scan->place, err)) == 0 &&
	       scan->place != NULL) {
		if ((r = list_directory(scan, db, strlen(prefix), err)) != 0)
			break;
		if ((scan->cut = json_object_size(scan->keys) >= API_SCAN_KEYS_MAX))
			break;
		if (store_read_is_long(db)) {
			r = STORE_READ_AGAIN;
			break;
		}
	}
	free(prefix);
	return (r);
}

static int
list_collect(struct api_scan *scan, struct store_db *db, struct leased_err *err)
{
	size_t count = 1;
	int r;

	if (!scan->paging)
		scan->query = (struct store_lease_query){.by = STORE_IN_PLACE,
		    .number = scan->mount,
		    .text = scan->text,
		    .limit = API_SCAN_PAGE};
	scan->paging = true;
	while (scan->step == 0 && count > 0) {
		if ((r = list_leases(scan, db, &count, err)) != 0)
			return (r);
		if ((scan->cut = json_object_size(scan->keys) >= API_SCAN_KEYS_MAX))
			return (0);
		if (count > 0 && store_read_is_long(db))
			return (STORE_READ_AGAIN);
	}
	scan->step = 1;
	return (list_directories(scan, db, err));
}

static void
list_finish(struct api_scan *scan)
{
	json_t *names = json_array(), *keys = NULL, *value;
	const char *key;
	int r = names == NULL;

	json_object_foreach(scan->keys, key, value) r |=
	    json_array_append_new(names, json_string(key));
	if (r == 0)
		keys = auth_names_sort(names);
	json_decref(names);
	api_reply_keys(scan->request, keys);
	api_scan_free(scan);
}

/* Above the mounts: their names are the next segments. */
static void
list_mounts(struct api_request *request)
{
	json_t *mounts = engines_mounts(request->api->config.engines), *info;
	json_t *keys = json_array(), *sorted = NULL;
	const char *key;
	int r = mounts == NULL;

	json_object_foreach(mounts, key, info) r |= json_array_append_new(keys, json_string(key));
	json_decref(mounts);
	if (r == 0)
		sorted = auth_names_sort(keys);
	json_decref(keys);
	api_reply_keys(request, sorted);
}

void
api_sys_lease_list(struct api_request *request)
{
	const struct engine_mount *mount;
	const char *rest = "";
	struct api_scan *scan;
	size_t len;

	if (request->captures[0] == NULL) {
		list_mounts(request);
		return;
	}
	mount = engines_route(request->api->config.engines, request->captures[0], &rest);
	if (mount == NULL) {
		api_reply_empty_errors(request, 404);
		return;
	}
	if ((scan = api_scan_new(request, list_collect, list_finish)) == NULL)
		return;
	scan->mount = engine_mount_id(mount);
	scan->text = strdup(rest);
	if (scan->text == NULL) {
		api_scan_free(scan);
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	for (len = strlen(scan->text); len > 0 && scan->text[len - 1] == '/'; len--)
		scan->text[len - 1] = '\0';
	api_scan_start(scan);
}

/* ---- a caller's own ---- */

static bool
wanted_own(const struct api_scan *scan, const struct store_lease *row)
{
	(void)scan;
	return (store_lease_is_clients(row->kind));
}

static int
mine_collect(struct api_scan *scan, struct store_db *db, struct leased_err *err)
{
	const char *const owners[] = {scan->text, scan->more_text};
	int r = 0;

	for (; scan->step < 2 && r == 0; scan->step += r == 0) {
		const char *owner = owners[scan->step];
		struct store_lease_query query = {.by = STORE_BY_OWNER, .text = owner};

		if (owner != NULL)
			r = api_scan_rows_page_all(scan, db, &query, wanted_own, err);
	}
	return (r);
}

void
api_sys_leases_mine(struct api_request *request)
{
	const struct auth_identity *identity = request->identity;
	struct api_scan *scan = api_scan_new(request, mine_collect, api_scan_rows_turn);
	int r = 0;

	if (scan == NULL)
		return;
	if (identity->token != 0)
		r |= asprintf(&scan->text, "token:%lld", (long long)identity->token);
	if (identity->entity[0] != '\0')
		r |= asprintf(&scan->more_text, "entity:%s", identity->entity);
	if (r < 0) {
		scan->text = scan->more_text = NULL;
		api_scan_free(scan);
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	api_scan_start(scan);
}

/* ---- overdue ones ---- */

/* Of the query: "none" and nothing are the highest. False: answered. */
static bool
leases_limit(struct api_request *request, size_t *ret_limit)
{
	const char *limit = json_string_value(json_object_get(request->body, "limit"));
	const char *type = json_string_value(json_object_get(request->body, "type"));
	long number;
	char *end;

	if (type == NULL || strcmp(type, "irrevocable") != 0) {
		api_reply_refuse(request, LEASED_EINVAL,
		    "type=irrevocable must be given: only leases that are overdue or need a "
		    "person are listed here; sys/leases/lookup/PREFIX lists all");
		return (false);
	}
	*ret_limit = API_SCAN_ROWS_MAX;
	if (limit == NULL || strcmp(limit, "none") == 0)
		return (true);
	number = strtol(limit, &end, 10);
	if (*end != '\0' || number < 1) {
		api_reply_refuse(
		    request, LEASED_EINVAL, "limit must be a number from 1 on, or none");
		return (false);
	}
	if (number < API_SCAN_ROWS_MAX)
		*ret_limit = (size_t)number;
	return (true);
}

void
api_sys_leases(struct api_request *request)
{
	struct api_scan *scan;
	size_t limit;

	if (!leases_limit(request, &limit))
		return;
	if ((scan = api_scan_new(request, api_scan_overdue, api_scan_rows_turn)) == NULL)
		return;
	scan->limit = limit;
	scan->overdue = true;
	api_scan_start(scan);
}
