/*
 * The numbers given out: the next one of each table must stand above every number in use, since one
 * that is given out twice would be two leases behind one id, and below what an id has room for.
 * A damaged file may hold any. A start sets them right; fsck tells of them.
 */
#include "base/log.h"
#include "store/offline_private.h"

/* Eight characters of base62 hold 2 * 10^14; half of that leaves room to skip. */
#define NUMBER_MAX INT64_C(100000000000000)
#define SKIP (INT64_C(1) << 32)

static const struct {
	const char *table;
	const char *used; /* SQL: the highest number in use */
} rows[] = {
    {"lease", "SELECT max((SELECT coalesce(max(id), 0) FROM lease),"
	      " (SELECT coalesce(max(id), 0) FROM tombstone),"
	      " (SELECT coalesce(max(key), 0) FROM quarantine WHERE table_name = 'lease'))"},
    {"doc", "SELECT coalesce(max(id), 0) FROM doc"},
    {"job", "SELECT coalesce(max(id), 0) FROM job"},
    {"audit_outbox", "SELECT coalesce(max(id), 0) FROM audit_outbox"},
};

int
store_sequence_each(
    struct store_db *db, store_on_sequence on_wrong, void *arg, struct leased_err *err)
{
	struct store_sequence wrong;
	int64_t highest = 0, next = 0;
	int r = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && r == 0; i++) {
		if ((r = store_sql_number(db, rows[i].used, SQL_NO_ARGS, &highest, err)) != 0 ||
		    (r = store_record_next_id(db, rows[i].table, &next, err)) != 0)
			return (r);
		if (next > highest && next <= NUMBER_MAX)
			continue;
		wrong = (struct store_sequence){
		    .table = rows[i].table, .next = next, .highest = highest, .last = highest};
		/* Of one that is far too high nobody knows what was given out: far above the rest.
		 */
		if (next > NUMBER_MAX && highest < NUMBER_MAX - SKIP)
			wrong.last = highest + SKIP;
		r = on_wrong(arg, &wrong, err);
	}
	return (r);
}

int
store_sequence_set(
    struct store_db *db, const struct store_sequence *sequence, struct leased_err *err)
{
	int changes = 0, r;

	r = store_sql_run(db, "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1",
	    SQL_ARGS(store_sql_text(sequence->table), store_sql_int(sequence->last)), &changes,
	    err);
	if (r != 0 || changes != 0)
		return (r);
	return (store_sql_run(db, "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)",
	    SQL_ARGS(store_sql_text(sequence->table), store_sql_int(sequence->last)), NULL, err));
}

static int
on_wrong_settle(void *arg, const struct store_sequence *sequence, struct leased_err *err)
{
	struct store_db *db = arg;

	log_error("the next number of a table of the store was damaged: it is set right",
	    LOG_S("table", sequence->table), LOG_I("was", sequence->next),
	    LOG_I("in_use", sequence->highest), LOG_I("is", sequence->last + 1));
	return (store_sequence_set(db, sequence, err));
}

int
store_sequences_settle(struct store *store, struct leased_err *err)
{
	int r = store_sequence_each(store->writer_db, on_wrong_settle, store->writer_db, err);

	/* On a full disk nothing is given out; the next start sets it right. */
	return (r == LEASED_ENOSPC ? 0 : r);
}
