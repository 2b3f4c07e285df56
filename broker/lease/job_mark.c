/*
 * The transactions of bulk jobs: making one, marking its leases, a token's children, its end; and
 * the question that other transactions ask of all of them. Runs on the writer thread; job.c calls
 * in.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/ended.h"
#include "lease/job.h"

#define JOBS_COUNTER "lease-jobs" /* of kind PLACE and OWNER that are not through yet */

struct step_task {
	struct lease_task task; /* first */
	struct lease_job_step step;
	int64_t now_ms;
	char owner[64];
};

/* ---- scopes ---- */

static const char *const kind_names[] = {"place", "owner", "token"};

static json_t *
scope_encode(const struct lease_job_scope *scope, int64_t marked)
{
	return (json_pack("{s:s,s:I,s:I,s:I,s:I,s:b,s:s,s:s,s:I,s:i,s:s,s:s}", "kind",
	    kind_names[scope->kind], "mount", (json_int_t)scope->mount, "token",
	    (json_int_t)scope->token, "root", (json_int_t)scope->root, "last_child",
	    (json_int_t)scope->last_child, "leases_marked", (int)scope->leases_marked, "text",
	    scope->text, "cause", scope->cause, "marked", (json_int_t)marked, "end",
	    (int)scope->end, "by", scope->by, "accessor", scope->accessor));
}

int
lease_job_scope_decode(
    const json_t *data, struct lease_job_scope *ret_scope, struct leased_err *err)
{
	struct lease_job_scope scope = {.root = 0};
	const char *kind = NULL, *text = NULL, *cause = NULL, *by = "", *accessor = "";
	json_int_t mount = 0, token = 0, root = 0, last_child = 0;
	int leases_marked = 0, end = 0;
	unsigned i = 0;

	if (json_unpack((json_t *)(uintptr_t)data, "{s:s,s:I,s:I,s:I,s:I,s:b,s:s,s:s,s?i,s?s,s?s}",
		"kind", &kind, "mount", &mount, "token", &token, "root", &root, "last_child",
		&last_child, "leases_marked", &leases_marked, "text", &text, "cause", &cause, "end",
		&end, "by", &by, "accessor", &accessor) != 0 ||
	    strlen(text) >= sizeof(scope.text))
		return (leased_err_set(err, LEASED_ECORRUPT, "a bulk job's record is not valid"));
	while (i < 3 && strcmp(kind, kind_names[i]) != 0)
		i++;
	if (i == 3)
		return (leased_err_set(err, LEASED_ECORRUPT, "a bulk job of an unknown kind"));
	scope.kind = (enum lease_scope_kind)i;
	scope.mount = mount;
	scope.token = token;
	scope.root = root;
	scope.last_child = last_child;
	scope.leases_marked = leases_marked != 0;
	lease_text_copy(scope.text, sizeof(scope.text), text);
	lease_text_copy(scope.cause, sizeof(scope.cause), cause);
	scope.end = (enum lease_end)end;
	lease_text_copy(scope.by, sizeof(scope.by), by);
	lease_text_copy(scope.accessor, sizeof(scope.accessor), accessor);
	*ret_scope = scope;
	return (0);
}

void
lease_job_child_scope(
    const struct lease_job_step *step, int64_t token, struct lease_job_scope *ret_scope)
{
	struct lease_job_scope scope = {.kind = LEASE_SCOPE_TOKEN, .token = token};

	scope.root = step->scope.root != 0 ? step->scope.root : step->id;
	memcpy(scope.cause, step->scope.cause, sizeof(scope.cause));
	memcpy(scope.by, step->scope.by, sizeof(scope.by));
	memcpy(scope.accessor, step->scope.accessor, sizeof(scope.accessor));
	snprintf(scope.text, sizeof(scope.text), "token:%" PRId64, token);
	*ret_scope = scope;
}

void
lease_job_query(const struct lease_job_scope *scope, struct store_lease_query *ret_query)
{
	struct store_lease_query query = {
	    .by = scope->kind == LEASE_SCOPE_PLACE ? STORE_BY_PLACE : STORE_BY_OWNER,
	    .number = scope->mount,
	    .text = scope->text,
	};

	*ret_query = query;
}

/* ---- making one ---- */

static int
job_insert(struct store_txn *txn, const struct lease_job_scope *scope, int64_t high,
    int64_t *ret_id, struct leased_err *err)
{
	struct store_job job = {.high = high, .data = scope_encode(scope, 0)};
	int r;

	if (job.data == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = store_job_put(txn, &job, err);
	json_decref(job.data);
	if (r == 0)
		*ret_id = job.id;
	return (r);
}

static bool
has_a_job(const struct store_lease *token)
{
	return (token->revoke && token->next_at_ms == LEASE_FAR_MS);
}

/*
 * From here on the token is good for nothing, and its timer row is the job's. A row that does not
 * open stays where it is: it must not keep its family alive.
 */
static int
token_take(struct store_txn *txn, struct lease_job_scope *scope, int64_t now_ms, bool only_due,
    bool *ret_taken, struct leased_err *err)
{
	struct store_lease *row = NULL;
	int r;

	r = store_lease_get(store_txn_db(txn), scope->token, &row, err);
	if (r == LEASED_ENOENT || r == LEASED_ECORRUPT ||
	    (r == 0 && row->kind != STORE_LEASE_TOKEN)) {
		store_lease_free(row);
		*ret_taken = !only_due; /* its leases may still be there */
		return (0);
	}
	if (r != 0)
		return (r);
	if (only_due && (has_a_job(row) || row->next_at_ms > now_ms)) {
		store_lease_free(row);
		*ret_taken = false;
		return (0);
	}
	row->revoke = true;
	row->next_at_ms = LEASE_FAR_MS;
	r = store_lease_update(txn, row, err);
	store_lease_free(row);
	*ret_taken = true;
	return (r);
}

int
lease_job_put(struct store_txn *txn, struct lease_job_scope *scope, int64_t now_ms, bool only_due,
    int64_t *ret_id, int64_t *ret_high, struct leased_err *err)
{
	int64_t high = 0;
	bool taken = true;
	int r;

	*ret_id = 0;
	*ret_high = 0;
	if (scope->kind == LEASE_SCOPE_TOKEN) {
		snprintf(scope->text, sizeof(scope->text), "token:%" PRId64, scope->token);
		r = token_take(txn, scope, now_ms, only_due, &taken, err);
		if (r != 0 || !taken)
			return (r);
	} else {
		high = store_next_lease_id(txn) - 1;
		if (high == 0)
			high = -1; /* none was given out; 0 would mean no bound */
		if ((r = store_take(txn, JOBS_COUNTER, INT64_MAX, err)) != 0)
			return (r);
	}
	if ((r = job_insert(txn, scope, high, ret_id, err)) == 0)
		*ret_high = high;
	return (r);
}

/* ---- marking ---- */

static enum lease_end
scope_end(const struct lease_job_scope *scope)
{
	if (scope->end != LEASE_END_NONE)
		return (scope->end);
	return (scope->kind == LEASE_SCOPE_TOKEN ? LEASE_END_TOKEN : LEASE_END_BULK);
}

static int
row_mark(struct store_txn *txn, struct store_lease *row, const struct step_task *task,
    int64_t *marked, struct leased_err *err)
{
	struct lease_actor actor = {task->step.scope.by, task->step.scope.accessor};
	struct lease_data data;
	int r;

	if (row->state == STORE_LEASE_DISARMED || row->revoke)
		return (0);
	row->revoke = true;
	if (row->next_at_ms > task->now_ms)
		row->next_at_ms = task->now_ms;
	/* A record that does not decode is marked all the same. */
	if (row->kind != STORE_LEASE_TOKEN && lease_data_decode(row->data, &data, NULL) == 0) {
		lease_data_end(&data, scope_end(&task->step.scope), task->step.scope.cause, &actor,
		    task->now_ms);
		if ((r = lease_record_put(row, &data, err)) != 0)
			return (r);
	}
	(*marked)++;
	return (store_lease_update(txn, row, err));
}

/*
 * Damaged rows stand on no page: those in quarantine are made due when the pages are through. One
 * that was met just now is there by the next transaction: *ret_more, once.
 */
static int
damaged_mark(struct step_task *task, struct store_txn *txn, struct store_job *job,
    const struct store_lease_query *query, bool met, bool *ret_more, struct leased_err *err)
{
	int64_t count = 0;
	int r;

	if ((r = store_damaged_mark(txn, query, task->now_ms, &count, err)) != 0)
		return (r);
	task->step.marked_count += count;
	task->step.marked_now += count;
	*ret_more = met && !job->marked;
	job->marked = true;
	return (0);
}

/* *ret_more: there was a page; ask again. */
static int
page_mark(struct step_task *task, struct store_txn *txn, struct store_job *job, bool *ret_more,
    struct leased_err *err)
{
	struct store_lease_query query;
	struct store_lease **rows = NULL;
	size_t count = 0;
	int64_t marked = 0;
	uint64_t met = store_damaged_met(store_txn_db(txn));
	int r;

	lease_job_query(&task->step.scope, &query);
	query.after = job->cursor;
	query.at_most = job->high;
	query.limit = LEASE_JOB_PAGE;
	if ((r = store_lease_page(store_txn_db(txn), &query, &rows, &count, err)) != 0)
		return (r);
	for (size_t i = 0; i < count && r == 0; i++) {
		job->cursor = rows[i]->id;
		r = row_mark(txn, rows[i], task, &marked, err);
	}
	store_lease_page_free(rows, count);
	task->step.marked_count += marked;
	task->step.marked_now = marked;
	*ret_more = count > 0; /* a short page may only mean that rows do not open */
	met = store_damaged_met(store_txn_db(txn)) - met;
	if (r == 0 && count == 0)
		r = damaged_mark(task, txn, job, &query, met != 0, ret_more, err);
	return (r);
}

static int
children_take(struct step_task *task, struct store_txn *txn, bool *ret_more, struct leased_err *err)
{
	struct lease_job_step *step = &task->step;
	int64_t ids[LEASE_JOB_CHILDREN], high;
	struct lease_job_scope scope;
	size_t count = 0;
	int r;

	r = store_token_children(store_txn_db(txn), step->scope.token, step->scope.last_child,
	    LEASE_JOB_CHILDREN, ids, &count, err);
	for (size_t i = 0; i < count && r == 0; i++) {
		step->scope.last_child = ids[i];
		step->children[step->children_count].token = ids[i];
		lease_job_child_scope(step, ids[i], &scope);
		r = lease_job_put(txn, &scope, task->now_ms, false,
		    &step->children[step->children_count].id, &high, err);
		step->children_count++;
	}
	*ret_more = count > 0;
	return (r);
}

static int
token_end(struct step_task *task, struct store_txn *txn, struct leased_err *err)
{
	struct store_lease *row = NULL;
	int64_t token = task->step.scope.token;
	int r;

	r = store_token_delete(txn, token, err);
	if (r != 0 && r != LEASED_ENOENT)
		return (r);
	r = store_lease_get(store_txn_db(txn), token, &row, err);
	if (r == LEASED_ENOENT || r == LEASED_ECORRUPT)
		return (0);
	if (r == 0 && row->kind == STORE_LEASE_TOKEN)
		r = store_lease_delete(txn, row, NULL, task->now_ms, 0, err);
	store_lease_free(row);
	return (r);
}

/* *ret_more: the job goes on. */
static int
token_step(struct step_task *task, struct store_txn *txn, struct store_job *job, bool *ret_more,
    struct leased_err *err)
{
	int r;

	if (!task->step.scope.leases_marked) {
		if ((r = page_mark(task, txn, job, ret_more, err)) != 0 || *ret_more)
			return (r);
		task->step.scope.leases_marked = true;
	}
	if ((r = children_take(task, txn, ret_more, err)) != 0 || *ret_more)
		return (r);
	return (token_end(task, txn, err));
}

static int
job_save(struct step_task *task, struct store_txn *txn, struct store_job *job, bool more,
    struct leased_err *err)
{
	json_t *data;
	int r;

	if (more) {
		data = scope_encode(&task->step.scope, task->step.marked_count);
		if (data == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		json_decref(job->data);
		job->data = data;
		return (store_job_put(txn, job, err));
	}
	task->step.finished = true;
	if ((r = store_job_delete(txn, job->id, err)) != 0)
		return (r);
	if (task->step.scope.kind != LEASE_SCOPE_TOKEN)
		r = store_give(txn, JOBS_COUNTER, err);
	return (r);
}

static int
on_step_run(struct lease_task *base, struct store_txn *txn, struct leased_err *err)
{
	struct step_task *task = (struct step_task *)base;
	struct store_job *job = NULL;
	bool more = false;
	int r;

	task->step.children_count = 0;
	if ((r = store_job_get(store_txn_db(txn), task->step.id, &job, err)) != 0)
		return (r);
	if ((r = lease_job_scope_decode(job->data, &task->step.scope, err)) != 0)
		goto out;
	task->step.marked_count = json_integer_value(json_object_get(job->data, "marked"));
	r = task->step.scope.kind == LEASE_SCOPE_TOKEN ? token_step(task, txn, job, &more, err)
						       : page_mark(task, txn, job, &more, err);
	if (r == 0)
		r = job_save(task, txn, job, more, err);
out:
	store_job_free(job);
	return (r);
}

static void
on_step_drop(struct lease_task *base)
{
	free(base);
}

static void
on_step_done(struct lease_task *base, int result, const struct leased_err *err)
{
	struct step_task *task = (struct step_task *)base;

	lease_job_stepped(base->leases, &task->step, result, err);
	free(task);
}

bool
lease_job_step_start(struct leases *leases, int64_t id)
{
	struct step_task *task = calloc(1, sizeof(*task));

	if (task == NULL)
		return (false);
	task->task.run = on_step_run;
	task->task.done = on_step_done;
	task->task.drop = on_step_drop;
	task->step.id = id;
	task->now_ms = leases_now_ms(leases);
	FAILPOINT(lease_job_before_step);
	lease_task_submit(leases, &task->task);
	return (true);
}

/* ---- what other transactions ask ---- */

int
lease_token_alive(struct store_txn *txn, int64_t token, int64_t now_ms, struct leased_err *err)
{
	struct store_glance row = {0};
	int r;

	r = store_lease_glance(txn, token, &row, err);
	if (r != 0 && r != LEASED_ENOENT)
		return (r);
	if (r == 0 && row.kind == STORE_LEASE_TOKEN && !row.revoke && row.next_at_ms > now_ms)
		return (0);
	return (leased_err_set(err, LEASED_EEXPIRED, "the token has ended; log in again"));
}

static bool
scope_covers(const struct lease_job_scope *scope, const struct store_lease *row)
{
	size_t len = strlen(scope->text);

	switch (scope->kind) {
	case LEASE_SCOPE_OWNER:
		return (strcmp(row->owner, scope->text) == 0);
	case LEASE_SCOPE_PLACE:
		return (row->mount == scope->mount &&
			(len == 0 || (strncmp(row->place, scope->text, len) == 0 &&
					 (row->place[len] == '\0' || row->place[len] == '/'))));
	case LEASE_SCOPE_TOKEN:
		return (false); /* by lease_token_alive() */
	}
	return (false);
}

static int
jobs_cover(
    struct store_txn *txn, const struct store_lease *row, bool *ret_hit, struct leased_err *err)
{
	struct store_job_query query = {.wide = true, .limit = LEASE_JOBS_PAGE};
	struct store_job **jobs = NULL;
	struct lease_job_scope scope;
	size_t count;
	int r;

	do {
		count = 0;
		if ((r = store_job_page(store_txn_db(txn), &query, &jobs, &count, err)) != 0)
			return (r);
		for (size_t i = 0; i < count; i++) {
			if (row->id <= jobs[i]->high &&
			    lease_job_scope_decode(jobs[i]->data, &scope, NULL) == 0 &&
			    scope_covers(&scope, row))
				*ret_hit = true;
			query.after = jobs[i]->id;
			store_job_free(jobs[i]);
		}
		free(jobs);
		jobs = NULL;
	} while (count == LEASE_JOBS_PAGE && !*ret_hit);
	return (0);
}

int
lease_job_hits(struct store_txn *txn, const struct store_lease *row, const struct lease_data *data,
    int64_t now_ms, bool *ret_hit, struct leased_err *err)
{
	struct store_db *db = store_txn_db(txn);
	int64_t jobs = 0;
	int r;

	if (data->owner_token != 0) {
		r = lease_token_alive(txn, data->owner_token, now_ms, err);
		if (r == LEASED_EEXPIRED) {
			*ret_hit = true;
			return (0);
		}
		if (r != 0)
			return (r);
	}
	r = store_counter_get(db, JOBS_COUNTER, &jobs, err);
	if (r == LEASED_ENOENT || (r == 0 && jobs == 0))
		return (0);
	if (r != 0)
		return (r);
	return (jobs_cover(txn, row, ret_hit, err));
}
