/*
 * The audit thread: takes what is queued, writes it as lines, and hands the outcome back. A device
 * that does not take a record fails it at once; whoever waits is told, and a device that hangs
 * holds up nobody but this thread. It decides about no request: audit.c's callers do.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <leased/secret.h>

#include "audit/audit_private.h"
#include "base/log.h"
#include "metrics/metrics.h"

#define BATCH_BYTES (1024u * 1024)
#define END_MS 2000
#define FOLLOW_MS 1000 /* how soon a file that was renamed, or takes records again, is noticed */

METRICS_COUNTER(written, "leased_audit_batches", "", "Writes of records to the audit's device.");
METRICS_COUNTER(failed, "leased_audit_failed", "", "Writes that the audit's device did not take.");

void
audit_item_free(struct audit_item *item)
{
	if (item == NULL)
		return;
	if (item->bodies != NULL)
		leased_wipe(item->bodies, item->len);
	free(item->bodies);
	free(item);
}

void
audit_say_failing(struct audit *audit, const struct leased_err *err)
{
	metrics_add(&failed, 1);
	if (!atomic_exchange(&audit->failing, true))
		log_error("the audit's device takes no records: requests are refused until it "
			  "does, leases end all the same",
		    LOG_S("path", audit->path), LOG_ERR(err));
}

static void
say_working(struct audit *audit)
{
	metrics_add(&written, 1);
	if (atomic_exchange(&audit->failing, false))
		log_info("the audit's device takes records again", LOG_S("path", audit->path));
}

static void
follow(struct audit *audit, bool always)
{
	struct leased_err err = LEASED_ERR_INIT;

	audit->followed_ms = wclock_boot_ms(wclock_system());
	if (audit_file_follow(&audit->file, always, &err) != 0)
		audit_say_failing(audit, &err);
}

/* One write for all of them, so that a busy daemon pays for one. */
static int
write_all(struct audit *audit, struct audit_items *items, struct leased_err *err)
{
	struct audit_item *item;
	struct jenc bodies = {0};
	bool sync = false;
	int r;

	TAILQ_FOREACH (item, items, queue) {
		if (bodies.len > 0)
			jenc_bytes(&bodies, "\n", 1);
		jenc_bytes(&bodies, item->bodies, item->len);
		sync = sync || item->sync;
	}
	if ((r = jenc_check(&bodies, err)) == 0)
		r = audit_file_write(&audit->file, (const char *)bodies.bytes, bodies.len, err);
	if (r == 0 && sync)
		r = audit_file_sync(&audit->file, err);
	jenc_clear(&bodies);
	return (r);
}

void
audit_thread_write(struct audit *audit, struct audit_items *items)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct audit_item *item;
	int r = write_all(audit, items, &err);

	TAILQ_FOREACH (item, items, queue) {
		item->result = r;
		if (r != 0)
			item->err = err;
		item->chain = audit->file.chain;
	}
	if (r != 0)
		audit_say_failing(audit, &err);
	else
		say_working(audit);
}

/* Nothing is asked of it while it fails, so it is tried once a second. */
static void
try_again(struct audit *audit)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (!atomic_load(&audit->failing))
		return;
	if (audit_file_note(&audit->file, "recovered", "", &err) == 0)
		say_working(audit);
	else
		metrics_add(&failed, 1);
}

static struct timespec
after_ms(int64_t ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += (ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return (at);
}

/* false: the audit ends and nothing is queued. With nothing queued, a batch may be empty. */
static bool
take(struct audit *audit, struct audit_items *batch, bool *ret_reopen)
{
	struct timespec until = after_ms(FOLLOW_MS);
	struct audit_item *item;
	size_t bytes = 0;
	bool go_on;

	TAILQ_INIT(batch);
	pthread_mutex_lock(&audit->mutex);
	while (TAILQ_EMPTY(&audit->queue) && !audit->ending && !audit->reopen)
		if (pthread_cond_timedwait(&audit->work, &audit->mutex, &until) != 0)
			break;
	while ((item = TAILQ_FIRST(&audit->queue)) != NULL && bytes < BATCH_BYTES) {
		TAILQ_REMOVE(&audit->queue, item, queue);
		audit->queued_bytes -= item->len;
		audit->queued_count--;
		bytes += item->len;
		TAILQ_INSERT_TAIL(batch, item, queue);
	}
	*ret_reopen = audit->reopen;
	audit->reopen = false;
	go_on = !audit->ending || !TAILQ_EMPTY(batch);
	pthread_mutex_unlock(&audit->mutex);
	return (go_on);
}

static void *
thread_main(void *arg)
{
	struct audit *audit = audit_from(arg);
	struct audit_items batch;
	bool reopen = false;

	while (take(audit, &batch, &reopen)) {
		if (reopen || wclock_boot_ms(wclock_system()) - audit->followed_ms >= FOLLOW_MS)
			follow(audit, false);
		if (TAILQ_EMPTY(&batch)) {
			try_again(audit);
			continue;
		}
		audit_thread_write(audit, &batch);
		pthread_mutex_lock(&audit->mutex);
		TAILQ_CONCAT(&audit->written, &batch, queue);
		pthread_mutex_unlock(&audit->mutex);
		audit_wake(audit);
	}
	pthread_mutex_lock(&audit->mutex);
	audit->ended = true;
	pthread_cond_signal(&audit->work);
	pthread_mutex_unlock(&audit->mutex);
	return (NULL);
}

int
audit_thread_start(struct audit *audit, struct leased_err *err)
{
	sigset_t all, before;
	int failure;

	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failure = pthread_create(&audit->thread, NULL, thread_main, audit);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failure != 0)
		return (leased_err_set(
		    err, LEASED_ENOMEM, "cannot start the audit's thread: %s", strerror(failure)));
	(void)pthread_setname_np(audit->thread, "audit");
	audit->has_thread = true;
	return (0);
}

/*
 * A device that hangs must not keep leased from stopping. Its thread has nothing left to do but to
 * come back from that write, and touches no key then.
 */
bool
audit_thread_end(struct audit *audit)
{
	struct timespec until = after_ms(END_MS);
	struct audit_item *item;
	bool ended;

	if (!audit->has_thread)
		return (true);
	pthread_mutex_lock(&audit->mutex);
	audit->ending = true;
	pthread_cond_signal(&audit->work);
	if (atomic_load(&audit->failing) || audit->stalled) {
		while ((item = TAILQ_FIRST(&audit->queue)) != NULL) {
			TAILQ_REMOVE(&audit->queue, item, queue);
			audit_item_free(item);
		}
	}
	while (!audit->ended)
		if (pthread_cond_timedwait(&audit->work, &audit->mutex, &until) != 0)
			break;
	ended = audit->ended;
	pthread_mutex_unlock(&audit->mutex);
	if (!ended) {
		log_warn("the audit's device hangs and is left alone", LOG_S("path", audit->path));
		return (false);
	}
	(void)pthread_join(audit->thread, NULL);
	audit->has_thread = false;
	return (true);
}
