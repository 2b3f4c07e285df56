/*
 * Bulk jobs as rows: what is to be revoked, up to which lease number, and how far it has come.
 * lease/ works them off. The record: format, high, cursor, marked, data. The column `wide` is a
 * copy of "high is not 0": those are few, and other transactions ask for them among many of tokens.
 */
#include <stdlib.h>

#include "store/row.h"

#define JOB_FORMAT 1
#define JOB_FIELDS 5
#define JOB_SELECT "SELECT id, version, sealed, wide FROM job "

static const char job_table[] = "job";

void
store_job_free(struct store_job *job)
{
	if (job == NULL)
		return;
	json_decref(job->data);
	free(job);
}

static int
job_seal(struct store *store, const struct store_job *job, const struct seal_place *place,
    uint8_t **ret_sealed, size_t *ret_len, struct leased_err *err)
{
	struct jenc record = {0};

	jenc_int(&record, JOB_FORMAT);
	jenc_int(&record, job->high);
	jenc_int(&record, job->cursor);
	jenc_bool(&record, job->marked);
	jenc_value(&record, job->data);
	return (store_record_seal(store, place, &record, ret_sealed, ret_len, err));
}

int
store_job_put(struct store_txn *txn, struct store_job *job, struct leased_err *err)
{
	struct seal_place place = {job_table, job->id, job->id == 0 ? 1 : job->version + 1};
	uint8_t *sealed = NULL;
	size_t len = 0;
	bool fresh;
	int changes = 0, r;

	if (job->id == 0 && (r = store_record_next_id(txn->db, job_table, &place.key, err)) != 0)
		return (r);
	if ((r = job_seal(txn->db->store, job, &place, &sealed, &len, err)) != 0)
		return (r);
	if (job->id == 0)
		r = store_sql_run(txn->db,
		    "INSERT INTO job (id, version, sealed, wide) VALUES (?1, ?2, ?3, ?4)",
		    SQL_ARGS(store_sql_int(place.key), store_sql_int(place.version),
			store_sql_blob(sealed, len), store_sql_int(job->high != 0)),
		    &changes, err);
	else
		r = store_sql_run(txn->db,
		    "UPDATE job SET version = ?2, sealed = ?3 WHERE id = ?1 AND version = ?4",
		    SQL_ARGS(store_sql_int(place.key), store_sql_int(place.version),
			store_sql_blob(sealed, len), store_sql_int(job->version)),
		    &changes, err);
	free(sealed);
	if (r == 0 && changes == 0)
		r = leased_err_set(err, LEASED_ECONFLICT, "job %lld has changed or gone meanwhile",
		    (long long)job->id);
	if (r != 0)
		return (r);
	fresh = job->id == 0;
	job->id = place.key;
	job->version = place.version;
	if (!fresh)
		return (0);
	return (store_watch_tell(
	    txn, &(struct store_change){.kind = STORE_CHANGE_JOB_NEW, .job = job}, err));
}

int
store_job_delete(struct store_txn *txn, int64_t id, struct leased_err *err)
{
	return (store_sql_run(
	    txn->db, "DELETE FROM job WHERE id = ?1", SQL_ARGS(store_sql_int(id)), NULL, err));
}

static int
job_decode(
    const json_t *record, sqlite3_stmt *stmt, struct store_job **ret_job, struct leased_err *err)
{
	struct store_job *job = calloc(1, sizeof(*job));
	int64_t format;

	if (job == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to read a job"));
	if (json_array_size(record) != JOB_FIELDS || !store_record_int(record, 0, &format) ||
	    format != JOB_FORMAT || !store_record_int(record, 1, &job->high) ||
	    !store_record_int(record, 2, &job->cursor) ||
	    !json_is_boolean(json_array_get(record, 3)) ||
	    (job->high != 0 && sqlite3_column_int(stmt, 3) == 0)) {
		free(job);
		return (leased_err_set(err, LEASED_ECORRUPT,
		    "the job's record is malformed or differs from its index column"));
	}
	job->id = sqlite3_column_int64(stmt, 0);
	job->version = sqlite3_column_int64(stmt, 1);
	job->marked = json_is_true(json_array_get(record, 3));
	job->data = json_incref(json_array_get(record, 4));
	*ret_job = job;
	return (0);
}

static int
job_from_row(
    struct store_db *db, sqlite3_stmt *stmt, struct store_job **ret_job, struct leased_err *err)
{
	struct seal_place place = {
	    job_table, sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1)};
	json_t *record = NULL;
	int r;

	if ((r = store_record_open(db->store, &place, stmt, 2, &record, err)) == 0)
		r = job_decode(record, stmt, ret_job, err);
	json_decref(record);
	if (r == LEASED_ECORRUPT) {
		store_quarantine_other(db, job_table, place.key, "it does not open");
		leased_err_prefix(err, "job %lld", (long long)place.key);
	}
	return (r);
}

int
store_job_get(struct store_db *db, int64_t id, struct store_job **ret_job, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(
	    db, JOB_SELECT "WHERE id = ?1", SQL_ARGS(store_sql_int(id)), &stmt, err);
	if (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0)
		r = row ? job_from_row(db, stmt, ret_job, err)
			: leased_err_set(err, LEASED_ENOENT, "there is no job %lld", (long long)id);
	store_sql_finish(stmt);
	return (r);
}

static void
on_job_free(void *item)
{
	store_job_free(item);
}

int
store_job_page(struct store_db *db, const struct store_job_query *query,
    struct store_job ***ret_jobs, size_t *ret_count, struct leased_err *err)
{
	struct store_job *job = NULL;
	sqlite3_stmt *stmt = NULL;
	struct store_list list = {0};
	int64_t after = query->after;
	bool row = false;
	int r;

	r = store_sql_start(db,
	    query->wide ? JOB_SELECT "WHERE wide <> 0 AND id > ?1 ORDER BY id"
			: JOB_SELECT "WHERE id > ?1 ORDER BY id",
	    SQL_ARGS(store_sql_int(query->after)), &stmt, err);
	while (r == 0 && list.count < query->limit &&
	       (r = store_sql_step(db, stmt, &row, err)) == 0 && row &&
	       (r = store_sql_advance(db, sqlite3_column_int64(stmt, 0), &after, err)) == 0) {
		if ((r = job_from_row(db, stmt, &job, err)) == LEASED_ECORRUPT)
			r = 0;
		else if (r == 0 && (r = store_list_append(&list, job, err)) != 0)
			store_job_free(job);
	}
	store_sql_finish(stmt);
	if (r != 0) {
		store_list_clear(&list, on_job_free);
		return (r);
	}
	*ret_jobs = (struct store_job **)list.items;
	*ret_count = list.count;
	return (0);
}
