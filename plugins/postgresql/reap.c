/*
 * Reap: ends sessions that workers left behind, by the ids they were registered with, and sees them
 * gone. A process id alone is never enough: it may belong to somebody else by now. Called through
 * the plugin's table.
 */
#include "sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define SESSIONS_MAX 64
#define ANSWER_MARGIN_MS 300

struct target {
	const char *id;
	int pid;
	const char *start; /* within id */
	bool is_gone, has_failed;
	struct leased_err err;
};

/* Takes "pid:backend_start" apart. */
static void
read_target(const char *id, struct target *target)
{
	char *end = NULL;
	long pid = strtol(id, &end, 10);

	memset(target, 0, sizeof(*target));
	target->id = id;
	if (pid > 0 && pid <= INT32_MAX && end != NULL && end[0] == ':' && end[1] != '\0') {
		target->pid = (int)pid;
		target->start = end + 1;
		return;
	}
	target->has_failed = true;
	(void)leased_err_set(
	    &target->err, LEASED_EINVAL, "\"%.100s\" is no id of a session of ours", id);
}

/*
 * One look: which of the targets live? A session of another role hides its start; one with our
 * application_name may be ours from before the administrator's name changed.
 */
static int
look_now(struct postgresql *plugin, struct leased_call *call, struct target *targets, size_t count,
    size_t *ret_alive, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	PGresult *rows = NULL;
	size_t i, alive = 0;
	int r, row;

	postgresql_sql_begin(&sql, &plugin->main, call);
	postgresql_sql_add(&sql,
	    "SELECT pid, backend_start, backend_start IS NULL AND application_name LIKE 'leased %' "
	    "FROM pg_catalog.pg_stat_get_activity(NULL) WHERE pid IN (0");
	for (i = 0; i < count; i++)
		if (!targets[i].has_failed)
			postgresql_sql_format(&sql, ",%d", targets[i].pid);
	postgresql_sql_add(&sql, ")");
	r = postgresql_query(&plugin->main, call, POSTGRESQL_READS, &sql, &rows, err);
	for (i = 0; r == 0 && i < count; i++) {
		targets[i].is_gone = true;
		for (row = 0; !targets[i].has_failed && row < PQntuples(rows); row++) {
			if ((int)strtol(PQgetvalue(rows, row, 0), NULL, 10) != targets[i].pid)
				continue;
			if (strcmp(PQgetvalue(rows, row, 1), targets[i].start) == 0) {
				targets[i].is_gone = false;
				alive++;
			} else if (PQgetvalue(rows, row, 2)[0] == 't') {
				targets[i].has_failed = true;
				(void)leased_err_set(&targets[i].err, LEASED_EDENIED,
				    "session %d may be ours, but its start is hidden: run GRANT "
				    "pg_read_all_stats TO \"%s\"",
				    targets[i].pid, plugin->config->username);
			}
		}
	}
	PQclear(rows);
	postgresql_sql_clear(&sql);
	if (r == 0)
		*ret_alive = alive;
	return (r);
}

/* Ends it by both halves of its id, in one statement, so that a reused process id is never hit. */
static int
end_target(struct postgresql *plugin, struct leased_call *call, struct target *target)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	int r;

	postgresql_sql_begin(&sql, &plugin->main, call);
	postgresql_sql_format(&sql,
	    "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_get_activity(%d) "
	    "WHERE "
	    "backend_start = ",
	    target->pid);
	postgresql_sql_literal(&sql, target->start);
	postgresql_sql_add(&sql, "::timestamptz");
	r = postgresql_query(&plugin->main, call, POSTGRESQL_READS, &sql, NULL, &target->err);
	postgresql_sql_clear(&sql);
	return (r);
}

static int
reap_all(struct postgresql *plugin, struct leased_call *call, struct target *targets, size_t count,
    struct leased_err *err)
{
	size_t i, alive = 0;
	int r;

	for (;;) {
		if ((r = look_now(plugin, call, targets, count, &alive, err)) != 0 || alive == 0)
			return (r);
		for (i = 0; i < count; i++) {
			if (targets[i].is_gone || targets[i].has_failed)
				continue;
			if (end_target(plugin, call, &targets[i]) != 0 &&
			    plugin->main.connection == NULL)
				return (leased_err_set(
				    err, LEASED_EUNAVAIL, "the connection to the database broke"));
		}
		if (leased_call_remaining_ms(call) < ANSWER_MARGIN_MS)
			return (0);
		postgresql_sleep_ms(call, 20);
	}
}

int
postgresql_reap(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct postgresql *plugin = postgresql_from(ctx);
	const json_t *sessions = json_object_get(call->params, "sessions");
	size_t count = json_array_size(sessions), i;
	struct target *targets = NULL;
	int r;

	if (count == 0 || count > SESSIONS_MAX)
		return (
		    leased_err_set(err, LEASED_EINVAL, "sessions: 1 to %d of them", SESSIONS_MAX));
	if ((targets = calloc(count, sizeof(*targets))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	for (i = 0; i < count; i++) {
		const char *id = json_string_value(json_array_get(sessions, i));

		read_target(id != NULL ? id : "", &targets[i]);
	}
	if ((r = postgresql_session_ready(plugin, call, err)) != 0 ||
	    (r = reap_all(plugin, call, targets, count, err)) != 0)
		goto out;
	for (i = 0; i < count; i++) {
		if (!targets[i].has_failed && targets[i].is_gone) {
			(void)leased_result_ok(call);
			continue;
		}
		if (targets[i].err.code == 0)
			(void)leased_err_set(&targets[i].err, LEASED_EREFUSED,
			    "session %d does not end; it is tried again", targets[i].pid);
		leased_result_failed(call, &targets[i].err);
	}
out:
	free(targets);
	return (r);
}
