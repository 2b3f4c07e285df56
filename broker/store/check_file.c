/*
 * fsck, the file: SQLite's own check, tables and indexes as the migrations make them, and the
 * numbers given out, which must stand above every number in use. It opens no row.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/offline_private.h"

#define LINES_TOLD 20

/* ---- SQLite's check ---- */

struct lines {
	unsigned count;
	char first[200];
};

/* Says each line, or keeps the first alone. */
static int
integrity(struct store_check *check, bool tell, struct lines *ret_lines, struct leased_err *err)
{
	struct store_db *db = check->store->writer_db;
	struct lines lines = {0};
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db, "PRAGMA integrity_check(1000)", SQL_NO_ARGS, &stmt, err);
	while (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0 && row) {
		const char *line = store_sql_column_text(stmt, 0);

		if (strcmp(line, "ok") == 0)
			continue;
		if (lines.count == 0)
			(void)strlcpy(lines.first, line, sizeof(lines.first));
		if (tell && lines.count < LINES_TOLD)
			store_check_say(check, STORE_FOUND_LEFT, "the file: %s", line);
		lines.count++;
	}
	store_sql_finish(stmt);
	if (r == LEASED_ECORRUPT) {
		/* Too bad even for the check: that is a finding as well. */
		lines.count++;
		if (tell)
			store_check_say(check, STORE_FOUND_LEFT, "the file: %s", err->text);
		r = 0;
	}
	if (r == 0 && tell && lines.count > LINES_TOLD)
		store_check_say(check, STORE_FOUND_LEFT, "the file: %u such lines more",
		    lines.count - LINES_TOLD);
	*ret_lines = lines;
	return (r);
}

static int
work_reindex(struct store_check *check, struct store_txn *txn, void *arg, struct leased_err *err)
{
	(void)check;
	(void)arg;
	return (store_sql_script(txn->db, "REINDEX", err));
}

/* Indexes are made anew from the rows; what is still wrong then is in the rows' own pages. */
static int
integrity_mend(struct store_check *check, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	struct lines before, after;
	int r;

	if ((r = integrity(check, !check->repair, &before, err)) != 0 || before.count == 0)
		return (r);
	if (!check->repair)
		return (0);
	if (store_check_write(check, work_reindex, NULL, &why) != 0)
		store_check_say(
		    check, STORE_FOUND_LEFT, "the indexes cannot be made anew: %s", why.text);
	if ((r = integrity(check, true, &after, err)) != 0)
		return (r);
	if (after.count == 0)
		store_check_say(check, STORE_FOUND_REPAIRED,
		    "the file: its indexes did not agree with its rows (%u lines, the first: %s): "
		    "made anew",
		    before.count, before.first);
	return (0);
}

/* ---- tables and indexes ---- */

static int
work_script(struct store_check *check, struct store_txn *txn, void *arg, struct leased_err *err)
{
	(void)check;
	return (store_sql_script(txn->db, arg, err));
}

/* One that is not as in the model. */
static int
on_object(void *arg, enum store_model_state state, const char *type, const char *name,
    const char *sql, struct leased_err *err)
{
	struct store_check *check = arg;
	struct leased_err why = LEASED_ERR_INIT;
	bool missing = state == STORE_MODEL_MISSING;
	char *text = NULL;

	if (asprintf(&text, "DROP INDEX IF EXISTS %s;%s", name, sql) < 0)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to check the store"));
	if (strcmp(type, "index") == 0 && check->repair &&
	    store_check_write(check, work_script, text, &why) == 0)
		store_check_say(check, STORE_FOUND_REPAIRED, "the index %s was %s: made anew", name,
		    missing ? "missing" : "not as this leased makes it");
	else
		store_check_say(check, STORE_FOUND_LEFT, "the %s %s %s%s%s", type, name,
		    missing ? "is missing" : "is not as this leased makes it",
		    why.text[0] != '\0' ? ": " : "", why.text);
	free(text);
	return (0);
}

/* ---- numbers given out ---- */

static int
work_sequence(struct store_check *check, struct store_txn *txn, void *arg, struct leased_err *err)
{
	(void)check;
	return (store_sequence_set(txn->db, arg, err));
}

static int
on_sequence(void *arg, const struct store_sequence *sequence, struct leased_err *err)
{
	struct store_check *check = arg;
	struct store_sequence copy = *sequence;
	struct leased_err why = LEASED_ERR_INIT;

	(void)err;
	if (check->repair && store_check_write(check, work_sequence, &copy, &why) == 0)
		store_check_say(check, STORE_FOUND_REPAIRED,
		    "%s: the next number would have been %lld, and %lld is in use: set right",
		    sequence->table, (long long)sequence->next, (long long)sequence->highest);
	else
		store_check_say(check, STORE_FOUND_LEFT,
		    "%s: the next number would be %lld, and %lld is in use", sequence->table,
		    (long long)sequence->next, (long long)sequence->highest);
	return (0);
}

int
store_check_file(struct store_check *check, struct leased_err *err)
{
	int r;

	if ((r = integrity_mend(check, err)) != 0 ||
	    (r = store_model_compare(check->store, on_object, check, err)) != 0)
		return (r);
	r = store_sequence_each(check->store->writer_db, on_sequence, check, err);
	if (r == LEASED_ECORRUPT) {
		store_check_say(check, STORE_FOUND_LEFT, "the numbers given out: %s", err->text);
		r = 0;
	}
	return (r);
}
