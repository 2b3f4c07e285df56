/*
 * Bulk revocation: a durable job marks its leases, 500 in a transaction, and is taken up again
 * after a crash. Until it is through, the transactions of INTENT, of INTENT > LIVE and of renew
 * look at it, so that nothing slips past. This file keeps the jobs of this run and tells who waits.
 *
 * A bounded number is in memory; the rest is in the store and is taken up, in the order of their
 * ids, as room comes. All jobs up to leases->jobs_after have been: ids only rise, so that whatever
 * had no room lies behind it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/job.h"

#define RETRY_MS 1000
#define CHECK_MS 100
#define LATE_MS 1000 /* who waits is answered without the last look then */

static struct lease_job *
job_find(struct leases *leases, int64_t id)
{
	struct lease_job *job = NULL;

	HASH_FIND(hh, leases->jobs, &id, sizeof(id), job);
	return (job);
}

bool
lease_jobs_room(const struct leases *leases)
{
	return (leases->jobs_active + LEASE_JOBS_PAGE <= LEASE_JOBS_MAX);
}

void
lease_jobs_take(struct leases *leases)
{
	leases->jobs_active++;
}

/* The sweep of tokens waits for room. */
void
lease_jobs_give(struct leases *leases)
{
	struct lease_connection *tokens;
	bool had_room = lease_jobs_room(leases);

	leases->jobs_active--;
	if (had_room || !lease_jobs_room(leases))
		return;
	if ((tokens = lease_connection_get(leases, 0)) != NULL && tokens->sweeping)
		lease_connection_due(tokens, leases_now_ms(leases));
	lease_wake(leases);
}

struct lease_job *
lease_job_add(struct leases *leases, int64_t id, int64_t high, const struct lease_job_scope *scope)
{
	struct lease_job *job = job_find(leases, id);

	if (job != NULL) /* it was read in the store before its writer was told */
		return (job);
	if ((job = calloc(1, sizeof(*job))) == NULL) {
		leases->jobs_missed = true;
		return (NULL);
	}
	job->leases = leases;
	job->id = id;
	job->high = high;
	job->scope = *scope;
	HASH_ADD(hh, leases->jobs, id, sizeof(job->id), job);
	if (job->hh.tbl == NULL) {
		free(job);
		leases->jobs_missed = true;
		return (NULL);
	}
	lease_jobs_take(leases);
	lease_wake(leases);
	return (job);
}

static void
job_remove(struct lease_job *job)
{
	struct leases *leases = job->leases;
	struct lease_job *root = job_find(leases, job->scope.root);

	lease_job_look_drop(job);
	if (root != NULL && root->descendants > 0)
		root->descendants--;
	if (!job->marked)
		lease_jobs_give(leases);
	HASH_DEL(leases->jobs, job);
	free(job);
}

/* The job at whose end somebody waits for this one, itself or its root; NULL: nobody does. */
static struct lease_job *
awaited(struct lease_job *job)
{
	struct lease_job *root = job->done != NULL ? job : job_find(job->leases, job->scope.root);

	return (root != NULL && root->done != NULL ? root : NULL);
}

/* ---- answers ---- */

static void
job_answer(struct lease_job *job, int code, bool finished, const struct leased_err *err)
{
	struct lease_job_status status = {.job = job->id,
	    .finished = finished,
	    .marked = job->marked_count,
	    .lingering = job->lingering};
	struct leased_err none = LEASED_ERR_INIT;
	lease_job_done done = job->done;

	if (done == NULL)
		return;
	job->done = NULL;
	if (!finished)
		status.waiting = job->waiting;
	if (!finished || job->lingering > 0)
		status.last_error = job->last_error;
	status.ended = status.marked > status.waiting ? status.marked - status.waiting : 0;
	done(job->arg, code, &status, err != NULL ? err : &none);
}

/* Its time is over: one more look tells how far it is, if the reader comes to it soon. */
static void
job_late(struct lease_job *job, int64_t now_ms)
{
	if (!job->late && (job->look != NULL || lease_job_look_start(job)))
		job->late = true;
	else if (!job->late || now_ms >= job->until_ms + LATE_MS)
		job_answer(job, 0, false, NULL);
}

/* True when the job went: all that can be told of it has been. */
static bool
job_settle(struct lease_job *job)
{
	if (job->done != NULL && job->marked && job->ended && job->descendants == 0 &&
	    !job->incomplete)
		job_answer(job, 0, true, NULL);
	else if (job->done != NULL && job->late && job->look == NULL)
		job_answer(job, 0, false, NULL);
	if (!job->marked || (awaited(job) != NULL && (job->done != NULL || !job->ended)))
		return (false);
	job_remove(job);
	return (true);
}

void
lease_job_looked(struct lease_job *job, bool again)
{
	struct leases *leases = job->leases;

	job->next_ms = leases_now_ms(leases) + (again ? 0 : CHECK_MS);
	(void)job_settle(job);
	lease_wake(leases);
}

/* ---- steps ---- */

static void
children_add(struct leases *leases, const struct lease_job_step *step)
{
	int64_t id = step->scope.root != 0 ? step->scope.root : step->id;
	struct lease_job *root = job_find(leases, id);
	struct lease_job_scope scope;

	if (root != NULL)
		root->descendants += step->children_count;
	for (unsigned i = 0; i < step->children_count; i++) {
		if (leases->jobs_active >= LEASE_JOBS_MAX) {
			leases->jobs_missed = true;
			return;
		}
		lease_job_child_scope(step, step->children[i].token, &scope);
		(void)lease_job_add(leases, step->children[i].id, 0, &scope);
	}
}

/* Kept for who waits, unless there are too many for that. */
static void
job_marked(struct lease_job *job)
{
	struct lease_job *root = awaited(job);

	job->marked = true;
	job->next_ms = 0;
	lease_jobs_give(job->leases);
	if (root == NULL) {
		job_remove(job);
	} else if (root != job && HASH_COUNT(job->leases->jobs) > LEASE_JOBS_KEPT_MAX) {
		root->incomplete = true;
		job_remove(job);
	}
}

void
lease_job_stepped(struct leases *leases, const struct lease_job_step *step, int result,
    const struct leased_err *err)
{
	struct lease_job *job = job_find(leases, step->id);

	FAILPOINT(lease_job_after_step);
	if (result == 0 && step->marked_now > 0) {
		lease_connections_due(leases);
		leases->quarantine_ms = 0; /* some may be there */
	}
	if (result == 0)
		children_add(leases, step);
	if (result == 0 && step->finished && step->scope.kind == LEASE_SCOPE_TOKEN)
		lease_wait_gone(leases, step->scope.token, NULL);
	if (job == NULL)
		return;
	job->running = false;
	job->next_ms = 0;
	lease_wake(leases);
	if (result == 0)
		job->marked_count = step->marked_count;
	if (result == LEASED_ENOENT || (result == 0 && step->finished)) {
		job_marked(job); /* not there: another run was through with it */
	} else if (result != 0) {
		log_warn("a bulk revocation cannot go on; it is tried again", LOG_I("job", job->id),
		    LOG_ERR(err));
		job->next_ms = leases_now_ms(leases) + RETRY_MS;
	}
}

/* What of the job is due: a step, a look, an answer. It may go. */
static void
job_step(struct lease_job *job, int64_t now_ms)
{
	if (job->done != NULL && now_ms >= job->until_ms)
		job_late(job, now_ms);
	if (job_settle(job) || job->running || job->look != NULL || now_ms < job->next_ms)
		return;
	if (!job->marked)
		job->running = lease_job_step_start(job->leases, job->id);
	else if (!job->ended)
		(void)lease_job_look_start(job);
	if (!job->running && job->look == NULL)
		job->next_ms = now_ms + (job->ended ? CHECK_MS : RETRY_MS);
}

/* ---- what the store has beyond those in memory ---- */

/* False: no room, or no memory. */
static bool
job_take_up(struct leases *leases, const struct store_job *job)
{
	struct lease_job_scope scope;
	struct leased_err err = LEASED_ERR_INIT;

	if (job_find(leases, job->id) != NULL) {
		; /* it is being worked on */
	} else if (lease_job_scope_decode(job->data, &scope, &err) != 0) {
		log_error("a bulk job cannot be read; its leases end at their time",
		    LOG_I("job", job->id), LOG_ERR(&err));
	} else if (lease_job_add(leases, job->id, job->high, &scope) == NULL) {
		return (false);
	}
	leases->jobs_after = job->id;
	return (true);
}

int
lease_jobs_load(struct leases *leases, struct leased_err *err)
{
	struct store_job_query query = {.after = leases->jobs_after, .limit = LEASE_JOBS_PAGE};
	struct store_job **jobs = NULL;
	size_t count = 0;
	bool all = true;
	int r;

	if ((r = store_job_page(store_db(leases->config.store), &query, &jobs, &count, err)) != 0)
		return (r);
	for (size_t i = 0; i < count; i++) {
		all = all && job_take_up(leases, jobs[i]);
		store_job_free(jobs[i]);
	}
	free(jobs);
	leases->jobs_missed = !all || count == LEASE_JOBS_PAGE;
	return (all ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static void
jobs_refill(struct leases *leases, int64_t now_ms)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (!leases->jobs_missed || now_ms < leases->jobs_load_ms || !lease_jobs_room(leases))
		return;
	if (lease_jobs_load(leases, &err) == 0)
		return;
	leases->jobs_load_ms = now_ms + RETRY_MS;
	log_warn("bulk jobs cannot be read; it is tried again", LOG_ERR(&err));
}

int64_t
lease_jobs_step(struct leases *leases, int64_t now_ms)
{
	int64_t next_ms = INT64_MAX;
	struct lease_job *job, *next;

	jobs_refill(leases, now_ms);
	HASH_ITER(hh, leases->jobs, job, next)
	{
		job_step(job, now_ms);
	}
	for (job = leases->jobs; job != NULL; job = job->hh.next)
		if (!job->running && job->look == NULL && job->next_ms < next_ms)
			next_ms = job->next_ms;
	if (leases->jobs_missed && lease_jobs_room(leases) && leases->jobs_load_ms < next_ms)
		next_ms = leases->jobs_load_ms;
	return (next_ms);
}

void
lease_jobs_clear(struct leases *leases)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct lease_job *job;

	(void)leased_err_set(
	    &err, LEASED_ECANCELED, "leased is stopping; the revocation goes on at its next start");
	while ((job = leases->jobs) != NULL) {
		job_answer(job, LEASED_ECANCELED, false, &err);
		job_remove(job);
	}
	lease_job_starts_clear(leases);
}
