/*
 * Whether the leases of a bulk job have ended: asked on the store's reader thread, since a page of
 * a place costs a question for each role below it. job.c says when and tells who waits. A look
 * owns all that it needs: its job may go, and all leases with it, while it is under way.
 */
#include <stdlib.h>

#include "lease/job.h"

#define PAGE 64
#define PAGES_MAX 16 /* a look: other reads wait behind it */

struct lease_job_look {
	struct store_read read; /* first */
	struct lease_job *job;  /* NULL: it has gone */
	struct lease_job_scope scope;
	int64_t high, seen;
	bool ended;
	int64_t waiting, lingering;
	struct leased_err last_error;
};

enum row_standing {
	ROW_WAITS,   /* access may not have ended, or the account is being removed */
	ROW_LINGERS, /* access has ended, and something keeps the account: whoever waits is told
			what */
};

static enum row_standing
row_standing(const struct store_lease *row, const struct lease_data *data)
{
	return (
	    row->state == STORE_LEASE_DISARMED && data->error_code != 0 ? ROW_LINGERS : ROW_WAITS);
}

/* Counts what still waits on one page: enough to say that something does, and why. */
static void
rows_look(struct lease_job_look *look, struct store_lease *const *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct lease_data data = {0};

		if (rows[i]->kind != STORE_LEASE_TOKEN &&
		    lease_data_decode(rows[i]->data, &data, NULL) == 0 && data.error_code != 0)
			(void)leased_err_set(
			    &look->last_error, (int)data.error_code, "%s", data.error);
		if (row_standing(rows[i], &data) == ROW_WAITS) {
			look->waiting++;
		} else if (look->waiting == 0) {
			look->lingering++;
			look->seen = rows[i]->id;
		}
	}
}

/* Those in quarantine, which no page has, count until their accounts are disarmed. */
static int
damaged_look(struct lease_job_look *look, struct store_db *db,
    const struct store_lease_query *query, struct leased_err *err)
{
	int r = store_damaged_armed(db, query, &look->waiting, err);

	if (r == 0 && look->waiting > 0)
		(void)leased_err_set(&look->last_error, LEASED_ECORRUPT,
		    "records are damaged; their accounts are being disarmed");
	return (r);
}

static int
on_look_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct lease_job_look *look = (struct lease_job_look *)read;
	struct store_lease_query query;
	struct store_lease **rows;
	size_t count = 1;
	int r = 0;

	lease_job_query(&look->scope, &query);
	query.at_most = look->high;
	query.limit = PAGE;
	for (unsigned i = 0; i < PAGES_MAX && r == 0 && count > 0 && look->waiting == 0; i++) {
		rows = NULL;
		count = 0;
		query.after = look->seen;
		if ((r = store_lease_page(db, &query, &rows, &count, err)) == 0)
			rows_look(look, rows, count);
		store_lease_page_free(rows, count);
	}
	if (r == 0 && count == 0)
		r = damaged_look(look, db, &query, err);
	look->ended = r == 0 && count == 0 && look->waiting == 0;
	return (r);
}

static void
on_look_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct lease_job_look *look = (struct lease_job_look *)read;
	struct lease_job *job = look->job;

	(void)err; /* it is looked again */
	if (job != NULL) {
		job->look = NULL;
		if (result == 0) {
			job->seen = look->seen;
			job->ended = look->ended;
			job->waiting = look->waiting;
			job->lingering = look->lingering;
			if (look->last_error.code != 0)
				job->last_error = look->last_error;
		}
		lease_job_looked(job, result == 0 && !look->ended && look->waiting == 0);
	}
	free(look);
}

bool
lease_job_look_start(struct lease_job *job)
{
	struct lease_job_look *look = calloc(1, sizeof(*look));

	if (look == NULL)
		return (false);
	look->read.run = on_look_run;
	look->read.done = on_look_done;
	look->job = job;
	look->scope = job->scope;
	look->high = job->high;
	look->seen = job->seen;
	look->lingering = job->lingering;
	job->look = look;
	store_submit_read(job->leases->config.store, &look->read);
	return (true);
}

void
lease_job_look_drop(struct lease_job *job)
{
	if (job->look != NULL)
		job->look->job = NULL;
	job->look = NULL;
}
