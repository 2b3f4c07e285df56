/*
 * Bulk revocation: a durable job marks its leases, 500 in a transaction, and is taken up again
 * after a crash. Until it is through, the transactions of INTENT, of INTENT > LIVE and of renew
 * look at it, so that nothing slips past. job_mark.c holds the transactions; this file keeps the
 * jobs of this run and tells who waits.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/job.h"

#define RETRY_MS 1000
#define CHECK_MS 100
#define CHECK_PAGE 64

/* A job of this run: being marked, then (when somebody waits) until its leases have ended. */
struct lease_job {
	struct leases *leases;
	struct lease_job_scope scope;
	int64_t id, high, marked_count;
	bool running, marked;
	int64_t next_ms;  /* of the next step or look */
	int64_t seen;     /* rows up to here have ended */
	int64_t until_ms; /* of who waits */
	lease_job_done done;
	void *arg;
	TAILQ_ENTRY(lease_job) entry;
};

static struct lease_job *
job_add(struct leases *leases, int64_t id, int64_t high, const struct lease_job_scope *scope)
{
	struct lease_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return (NULL);
	job->leases = leases;
	job->id = id;
	job->high = high;
	job->scope = *scope;
	TAILQ_INSERT_TAIL(&leases->jobs, job, entry);
	lease_wake(leases);
	return (job);
}

static void
job_remove(struct lease_job *job)
{
	TAILQ_REMOVE(&job->leases->jobs, job, entry);
	free(job);
}

static struct lease_job *
job_find(struct leases *leases, int64_t id)
{
	struct lease_job *job;

	TAILQ_FOREACH (job, &leases->jobs, entry)
		if (job->id == id)
			return (job);
	return (NULL);
}

/* Somebody waits for the tree that it belongs to. */
static bool
is_awaited(const struct lease_job *job)
{
	const struct lease_job *root = job_find(job->leases, job->scope.root);

	return (job->done != NULL || (root != NULL && root->done != NULL));
}

/* ---- answers ---- */

static void
job_query(const struct lease_job *job, struct store_lease_query *ret_query)
{
	lease_job_query(&job->scope, ret_query);
	ret_query->at_most = job->high;
	ret_query->after = job->seen;
	ret_query->limit = CHECK_PAGE;
}

static bool
row_waits(const struct store_lease *row)
{
	return (row->state != STORE_LEASE_DISARMED);
}

/* Counts what still waits on one page: enough to say that something does, and why. */
static void
status_fill(const struct lease_job *job, struct lease_job_status *ret_status)
{
	struct store_db *db = store_db(job->leases->config.store);
	struct store_lease_query query;
	struct store_lease **rows = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	struct lease_data data;
	size_t count = 0;

	ret_status->job = job->id;
	ret_status->marked = job->marked_count;
	job_query(job, &query);
	if (store_lease_page(db, &query, &rows, &count, &err) != 0)
		return;
	for (size_t i = 0; i < count; i++) {
		if (!row_waits(rows[i]))
			continue;
		ret_status->waiting++;
		if (rows[i]->kind != STORE_LEASE_TOKEN &&
		    lease_data_decode(rows[i]->data, &data, &err) == 0 && data.error_code != 0)
			(void)leased_err_set(
			    &ret_status->last_error, (int)data.error_code, "%s", data.error);
	}
	store_lease_page_free(rows, count);
	ret_status->ended =
	    job->marked_count > ret_status->waiting ? job->marked_count - ret_status->waiting : 0;
}

static void
job_answer(struct lease_job *job, int code, bool finished, const struct leased_err *err)
{
	struct lease_job_status status = {.job = job->id, .finished = finished};
	struct leased_err none = LEASED_ERR_INIT;
	lease_job_done done = job->done;

	if (done == NULL)
		return;
	job->done = NULL;
	if (code == 0 && !finished)
		status_fill(job, &status);
	else if (code == 0)
		status.marked = status.ended = job->marked_count;
	done(job->arg, code, &status, err != NULL ? err : &none);
}

/* ---- steps ---- */

void
lease_job_stepped(struct leases *leases, const struct lease_job_step *step, int result,
    const struct leased_err *err)
{
	struct lease_job *job = job_find(leases, step->id);
	int64_t now_ms = leases_now_ms(leases);

	FAILPOINT(lease_job_after_step);
	lease_connections_due(leases);
	for (unsigned i = 0; result == 0 && i < step->children_count; i++)
		if (job_add(leases, step->children[i].id, 0, &step->children[i].scope) == NULL)
			leases->jobs_missed = true;
	if (result == 0 && step->finished && step->scope.kind == LEASE_SCOPE_TOKEN)
		lease_wait_gone(leases, step->scope.token, NULL);
	if (job == NULL)
		return;
	job->running = false;
	job->next_ms = 0;
	if (result == LEASED_ENOENT) {
		job->marked = true; /* another run was through with it */
	} else if (result != 0) {
		log_warn("a bulk revocation cannot go on; it is tried again", LOG_I("job", job->id),
		    LOG_ERR(err));
		job->next_ms = now_ms + RETRY_MS;
	} else {
		job->marked_count = step->marked_count;
		job->marked = step->finished;
	}
	if (job->marked && !is_awaited(job))
		job_remove(job);
}

static bool
has_descendants(const struct lease_job *root)
{
	const struct lease_job *job;

	TAILQ_FOREACH (job, &root->leases->jobs, entry)
		if (job != root && job->scope.root == root->id)
			return (true);
	return (false);
}

/* Looks whether the leases have ended, a page at a time; true when all have. */
static bool
job_ended(struct lease_job *job)
{
	struct store_db *db = store_db(job->leases->config.store);
	struct store_lease_query query;
	struct store_lease **rows = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	size_t count = 0, i;

	job_query(job, &query);
	if (store_lease_page(db, &query, &rows, &count, &err) != 0)
		return (false);
	for (i = 0; i < count && !row_waits(rows[i]); i++)
		job->seen = rows[i]->id;
	store_lease_page_free(rows, count);
	return (count == 0);
}

static void
job_look(struct lease_job *job, int64_t now_ms)
{
	bool ended = job_ended(job);

	job->next_ms = now_ms + CHECK_MS;
	if (job->done == NULL && (ended || !is_awaited(job))) {
		job_remove(job);
		return;
	}
	if (job->done != NULL && ended && !has_descendants(job)) {
		job_answer(job, 0, true, NULL);
		job_remove(job);
	}
}

/* One step of one job; false when nothing of it is due. */
static void
job_step(struct lease_job *job, int64_t now_ms)
{
	if (job->done != NULL && now_ms >= job->until_ms)
		job_answer(job, 0, false, NULL);
	if (job->running || now_ms < job->next_ms)
		return;
	if (job->marked) {
		job_look(job, now_ms);
		return;
	}
	job->running = lease_job_step_start(job->leases, job->id);
	if (!job->running)
		job->next_ms = now_ms + RETRY_MS;
}

int64_t
lease_jobs_step(struct leases *leases, int64_t now_ms)
{
	int64_t next_ms = INT64_MAX;
	struct lease_job *job, *next;
	struct leased_err err = LEASED_ERR_INIT;

	if (leases->jobs_missed) /* durable, and memory was out for it */
		leases->jobs_missed = lease_jobs_load(leases, &err) != 0;
	for (job = TAILQ_FIRST(&leases->jobs); job != NULL; job = next) {
		next = TAILQ_NEXT(job, entry);
		job_step(job, now_ms);
	}
	TAILQ_FOREACH (job, &leases->jobs, entry)
		if (!job->running && job->next_ms < next_ms)
			next_ms = job->next_ms;
	return (next_ms);
}

int
lease_jobs_load(struct leases *leases, struct leased_err *err)
{
	struct store_job **jobs = NULL;
	struct lease_job_scope scope;
	struct leased_err why = LEASED_ERR_INIT;
	size_t count = 0;
	int r;

	if ((r = store_job_list(store_db(leases->config.store), &jobs, &count, err)) != 0)
		return (r);
	for (size_t i = 0; i < count; i++) {
		if (job_find(leases, jobs[i]->id) != NULL)
			; /* it is being worked on */
		else if (lease_job_scope_decode(jobs[i]->data, &scope, &why) != 0)
			log_error("a bulk job cannot be read; its leases end at their time",
			    LOG_I("job", jobs[i]->id), LOG_ERR(&why));
		else if (job_add(leases, jobs[i]->id, jobs[i]->high, &scope) == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		store_job_free(jobs[i]);
	}
	free(jobs);
	return (r);
}

void
lease_jobs_clear(struct leases *leases)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct lease_job *job;

	(void)leased_err_set(
	    &err, LEASED_ECANCELED, "leased is stopping; the revocation goes on at its next start");
	while ((job = TAILQ_FIRST(&leases->jobs)) != NULL) {
		job_answer(job, LEASED_ECANCELED, false, &err);
		job_remove(job);
	}
}

/* ---- the request ---- */

struct start_task {
	struct lease_task task; /* first */
	struct lease_job_scope scope;
	int64_t id, high, now_ms;
	unsigned wait_ms;
	lease_job_done done; /* NULL: the timer of a token */
	void *arg;
	bool only_due, invalid;
};

static int
on_start_run(struct lease_task *task, struct store_txn *txn, struct leased_err *err)
{
	struct start_task *start = (struct start_task *)task;

	if (start->invalid)
		return (leased_err_set(err, LEASED_EINVAL, "the prefix is too long"));
	return (lease_job_put(
	    txn, &start->scope, start->now_ms, start->only_due, &start->id, &start->high, err));
}

static void
on_start_drop(struct lease_task *task)
{
	free(task);
}

static void
on_start_cancel(struct lease_task *task)
{
	struct start_task *start = (struct start_task *)task;
	struct lease_job_status status = {.job = 0};
	struct leased_err err = LEASED_ERR_INIT;

	(void)leased_err_set(&err, LEASED_ECANCELED, "leased is stopping");
	if (start->done != NULL)
		start->done(start->arg, LEASED_ECANCELED, &status, &err);
	start->done = NULL;
}

static void
on_start_done(struct lease_task *task, int result, const struct leased_err *err)
{
	struct start_task *start = (struct start_task *)task;
	struct leases *leases = task->leases;
	struct lease_job_status status = {.job = start->id};
	struct leased_err none = LEASED_ERR_INIT;
	struct lease_job *job = NULL;

	FAILPOINT(lease_job_after_start);
	if (result == 0 && start->id != 0)
		job = job_add(leases, start->id, start->high, &start->scope);
	if (result == 0 && job == NULL && start->id != 0)
		leases->jobs_missed = true;
	if (job != NULL && start->done != NULL && start->wait_ms > 0) {
		job->done = start->done;
		job->arg = start->arg;
		job->until_ms = leases_now_ms(leases) + start->wait_ms;
	} else if (start->done != NULL) {
		start->done(start->arg, result, &status, result != 0 ? err : &none);
	} else if (result != 0) {
		log_warn(
		    "the end of a token could not be recorded; it is tried again", LOG_ERR(err));
	}
	free(start);
}

static struct start_task *
start_new(struct leases *leases)
{
	struct start_task *start = calloc(1, sizeof(*start));

	if (start == NULL)
		return (NULL);
	start->task.run = on_start_run;
	start->task.done = on_start_done;
	start->task.drop = on_start_drop;
	start->task.cancel = on_start_cancel;
	start->now_ms = leases_now_ms(leases);
	return (start);
}

/* A trailing '/' says nothing: places are matched on '/' boundaries. */
static bool
text_put(struct lease_job_scope *scope, const char *text)
{
	size_t len = strlen(text);

	while (scope->kind == LEASE_SCOPE_PLACE && len > 0 && text[len - 1] == '/')
		len--;
	if (len >= sizeof(scope->text))
		return (false);
	memcpy(scope->text, text, len);
	scope->text[len] = '\0';
	return (true);
}

void
lease_job_start(struct leases *leases, const struct lease_scope *scope, unsigned wait_ms,
    const char *cause, lease_job_done done, void *arg)
{
	struct start_task *start = start_new(leases);

	if (start == NULL) {
		lease_nomem_add(leases, (struct lease_dones){.on_job = done}, arg);
		return;
	}
	start->scope.kind = scope->kind;
	start->scope.mount = scope->mount;
	start->scope.token = scope->token;
	if (scope->kind != LEASE_SCOPE_TOKEN)
		start->invalid = !text_put(&start->scope, scope->text);
	lease_text_copy(start->scope.cause, sizeof(start->scope.cause), cause);
	start->wait_ms = wait_ms;
	start->done = done;
	start->arg = arg;
	FAILPOINT(lease_job_before_start);
	lease_task_submit(leases, &start->task);
}

void
lease_token_due(struct leases *leases, const struct store_lease *row)
{
	struct start_task *start;

	if (row->next_at_ms == LEASE_FAR_MS || (start = start_new(leases)) == NULL)
		return;
	start->scope.kind = LEASE_SCOPE_TOKEN;
	start->scope.token = row->id;
	start->only_due = true;
	lease_text_copy(start->scope.cause, sizeof(start->scope.cause), "the token ended");
	FAILPOINT(lease_job_before_start);
	lease_task_submit(leases, &start->task);
}
