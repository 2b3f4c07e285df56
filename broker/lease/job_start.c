/*
 * Making bulk jobs: for a request, and for a token whose time has come. A token whose job is on
 * its way to the store is known here, so that the timer, which finds it due until then, submits it
 * once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/job.h"

#define PAUSE_MS 1000

struct lease_job_start {
	struct lease_task task; /* first */
	struct lease_job_scope scope;
	int64_t id, high, now_ms;
	unsigned wait_ms;
	lease_job_done done; /* NULL: the timer of a token */
	void *arg;
	bool only_due, invalid;
	UT_hash_handle hh; /* only_due: leases->token_starts, by token */
};

static int
on_start_run(struct lease_task *task, struct store_txn *txn, struct leased_err *err)
{
	struct lease_job_start *start = (struct lease_job_start *)task;

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
	struct lease_job_start *start = (struct lease_job_start *)task;
	struct lease_job_status status = {.job = 0};
	struct leased_err err = LEASED_ERR_INIT;

	(void)leased_err_set(&err, LEASED_ECANCELED, "leased is stopping");
	if (start->done != NULL)
		start->done(start->arg, LEASED_ECANCELED, &status, &err);
	start->done = NULL;
}

/* The timer's own: many may fail for one reason, such as a full disk, and one line says so. */
static void
token_start_over(struct lease_job_start *start, int result, const struct leased_err *err)
{
	struct leases *leases = start->task.leases;
	int64_t now_ms = leases_now_ms(leases);

	HASH_DEL(leases->token_starts, start);
	lease_jobs_give(leases);
	if (result == 0 || now_ms < leases->tokens_pause_ms)
		return;
	leases->tokens_pause_ms = now_ms + PAUSE_MS;
	log_warn("the end of a token could not be recorded; it is tried again", LOG_ERR(err));
}

static void
on_start_done(struct lease_task *task, int result, const struct leased_err *err)
{
	struct lease_job_start *start = (struct lease_job_start *)task;
	struct leases *leases = task->leases;
	struct lease_job_status status = {.job = start->id};
	struct leased_err none = LEASED_ERR_INIT;
	struct lease_job *job = NULL;

	FAILPOINT(lease_job_after_start);
	if (result == 0 && start->id != 0)
		job = lease_job_add(leases, start->id, start->high, &start->scope);
	if (start->only_due)
		token_start_over(start, result, err);
	if (job != NULL && start->done != NULL && start->wait_ms > 0) {
		job->done = start->done;
		job->arg = start->arg;
		job->until_ms = leases_now_ms(leases) + start->wait_ms;
	} else if (start->done != NULL) {
		start->done(start->arg, result, &status, result != 0 ? err : &none);
	}
	free(start);
}

static struct lease_job_start *
start_new(struct leases *leases)
{
	struct lease_job_start *start = calloc(1, sizeof(*start));

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
	struct lease_job_start *start = start_new(leases);

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
	start->scope.end = scope->end;
	lease_text_copy(start->scope.by, sizeof(start->scope.by), scope->actor.name);
	lease_text_copy(
	    start->scope.accessor, sizeof(start->scope.accessor), scope->actor.accessor);
	start->wait_ms = wait_ms;
	start->done = done;
	start->arg = arg;
	FAILPOINT(lease_job_before_start);
	lease_task_submit(leases, &start->task);
}

void
lease_token_due(struct leases *leases, const struct store_lease *row)
{
	struct lease_job_start *start = NULL;

	HASH_FIND(hh, leases->token_starts, &row->id, sizeof(row->id), start);
	if (start != NULL || row->next_at_ms == LEASE_FAR_MS || (start = start_new(leases)) == NULL)
		return;
	start->scope.kind = LEASE_SCOPE_TOKEN;
	start->scope.token = row->id;
	start->only_due = true;
	lease_text_copy(start->scope.cause, sizeof(start->scope.cause), "the token ended");
	HASH_ADD(hh, leases->token_starts, scope.token, sizeof(start->scope.token), start);
	if (start->hh.tbl == NULL) {
		free(start); /* the sweep comes back to it */
		return;
	}
	lease_jobs_take(leases);
	FAILPOINT(lease_job_before_start);
	lease_task_submit(leases, &start->task);
}

void
lease_job_starts_clear(struct leases *leases)
{
	HASH_CLEAR(hh, leases->token_starts); /* the tasks are the store's until it drops them */
}
