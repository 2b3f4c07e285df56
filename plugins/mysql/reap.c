/*
 * Reap: ends sessions that workers left behind, by the ids they were registered with, and sees them
 * gone. A server gives each number once in its life, and the id names that life: another one has
 * none of its sessions any more. Called through the plugin's table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maria.h"
#include "account.h"
#include "sql.h"

#define SESSIONS_MAX 64
#define ANSWER_MARGIN_MS 300

struct target {
	struct maria_session_id id;
	bool is_gone, has_failed;
	struct leased_err err;
};

static void
read_target(const struct maria *plugin, const char *id, struct target *target)
{
	memset(target, 0, sizeof(*target));
	if (maria_session_id_parse(id, &target->id)) {
		target->is_gone = target->id.start_s != plugin->started_s;
		return;
	}
	target->has_failed = true;
	(void)leased_err_set(
	    &target->err, LEASED_EINVAL, "\"%.60s\" is no id of a session of ours", id);
}

/* Whoever has the number now and not the lock is another session. */
static int
look_at_locks(struct maria *plugin, struct leased_call *call, struct target *targets, size_t count,
    struct leased_err *err)
{
	char text[80];
	MYSQL_RES *rows;
	MYSQL_ROW row;
	size_t i;
	int r;

	for (i = 0; i < count; i++) {
		if (targets[i].has_failed || targets[i].is_gone || targets[i].id.lock[0] == '\0')
			continue;
		(void)snprintf(text, sizeof(text), "SELECT IS_USED_LOCK('%s')", targets[i].id.lock);
		rows = NULL;
		if ((r = maria_query_text(&plugin->main, call, MARIA_READS, text, &rows, err)) != 0)
			return (r);
		row = rows != NULL ? mysql_fetch_row(rows) : NULL;
		targets[i].is_gone =
		    row == NULL || strtoull(maria_text(row, 0), NULL, 10) != targets[i].id.number;
		mysql_free_result(rows);
	}
	return (0);
}

/* One look: which of the targets live? */
static int
look_now(struct maria *plugin, struct leased_call *call, struct target *targets, size_t count,
    size_t *ret_alive, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	MYSQL_RES *rows = NULL;
	MYSQL_ROW row;
	size_t i, alive = 0;
	int r;

	maria_sql_add(&sql, "SELECT ID FROM information_schema.PROCESSLIST WHERE ID IN (0");
	for (i = 0; i < count; i++)
		if (!targets[i].has_failed && !targets[i].is_gone)
			maria_sql_format(&sql, ",%llu", targets[i].id.number);
	maria_sql_add(&sql, ")");
	r = maria_query(&plugin->main, call, MARIA_READS, &sql, &rows, err);
	maria_sql_clear(&sql);
	for (i = 0; r == 0 && i < count; i++) {
		if (targets[i].has_failed || targets[i].is_gone)
			continue;
		targets[i].is_gone = true;
		mysql_data_seek(rows, 0);
		while ((row = mysql_fetch_row(rows)) != NULL)
			if (strtoull(maria_text(row, 0), NULL, 10) == targets[i].id.number)
				targets[i].is_gone = false;
		alive += !targets[i].is_gone;
	}
	mysql_free_result(rows);
	if (r == 0)
		*ret_alive = alive;
	return (r);
}

static int
reap_all(struct maria *plugin, struct leased_call *call, struct target *targets, size_t count,
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
			if ((r = maria_kill(plugin, call, targets[i].id.number, &targets[i].err)) !=
				0 &&
			    plugin->main.connection == NULL)
				return (leased_err_set(err, r, "%s", targets[i].err.text));
		}
		if (leased_call_remaining_ms(call) < ANSWER_MARGIN_MS)
			return (0);
		maria_sleep_ms(call, 20);
	}
}

int
maria_reap(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct maria *plugin = maria_from(ctx);
	const json_t *sessions = json_object_get(call->params, "sessions");
	size_t count = json_array_size(sessions), i;
	struct target *targets = NULL;
	int r;

	if (count == 0 || count > SESSIONS_MAX)
		return (
		    leased_err_set(err, LEASED_EINVAL, "sessions: 1 to %d of them", SESSIONS_MAX));
	if ((targets = calloc(count, sizeof(*targets))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((r = maria_session_ready(plugin, call, err)) != 0)
		goto out;
	for (i = 0; i < count; i++) {
		const char *id = json_string_value(json_array_get(sessions, i));

		read_target(plugin, id != NULL ? id : "", &targets[i]);
	}
	if ((r = look_at_locks(plugin, call, targets, count, err)) != 0 ||
	    (r = reap_all(plugin, call, targets, count, err)) != 0)
		goto out;
	for (i = 0; i < count; i++) {
		if (!targets[i].has_failed && targets[i].is_gone) {
			(void)leased_result_ok(call);
			continue;
		}
		if (targets[i].err.code == 0)
			(void)leased_err_set(&targets[i].err, LEASED_EREFUSED,
			    "session %llu does not end; it is tried again", targets[i].id.number);
		leased_result_failed(call, &targets[i].err);
	}
out:
	free(targets);
	return (r);
}
