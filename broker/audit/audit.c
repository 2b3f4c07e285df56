/*
 * The loop's side of the audit: who hands over a record is told when it is on the device, or that
 * it is not, within a bound, whatever the device does. Owns the queue to the thread. It knows no
 * request: entry.c makes the text, api/ decides what follows.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "audit/audit_private.h"
#include "base/log.h"
#include "metrics/metrics.h"

#define WAIT_MS 2000
#define TICK_MS 100
#define QUEUE_BYTES (8u * 1024 * 1024)
#define QUEUE_COUNT 8192

METRICS_GAUGE(
    queue_length, "leased_audit_queue", "", "Records on their way to the audit's device.");
METRICS_COUNTER(
    refused, "leased_audit_refused", "", "Records that were not on the device in time.");

struct audit *
audit_from(void *arg)
{
	struct audit *audit = arg;

	if (audit->tag != AUDIT_TAG)
		log_fatal("audit: a callback came for what is no audit");
	return (audit);
}

void
audit_wake(struct audit *audit)
{
	uint64_t one = 1;

	/* Cannot fail but for a full counter, which is readable then. */
	if (audit->completed_fd >= 0 && write(audit->completed_fd, &one, sizeof(one)) < 0 &&
	    errno != EAGAIN)
		log_fatal("cannot wake the event loop: %s", strerror(errno));
}

/* ---- who waits ---- */

static void
stop_waiting(struct audit *audit, struct audit_item *item)
{
	if (item->is_waiting) {
		TAILQ_REMOVE(&audit->waiting, item, waiting);
		metrics_add(&queue_length, -1);
	}
	item->is_waiting = false;
}

/* The device has said what became of it. */
static void
item_finish(struct audit *audit, struct audit_item *item)
{
	bool waits = item->is_waiting;

	stop_waiting(audit, item);
	audit->stalled = false; /* it does something again; whether it takes records, it says */
	if (item->result == 0)
		audit->mover.last = item->chain;
	if (waits) {
		if (item->result != 0)
			metrics_add(&refused, 1);
		else if (item->sync)
			audit->mover.head = item->chain;
		item->done(item->arg, item->result, &item->err);
	}
	audit_item_free(item);
}

/* Whoever waits for it is told. The item stays with the thread, also in its queue: when the device
 * has taken it, or says that it does not, the audit has not stalled any more. */
static void
item_give_up(struct audit *audit, struct audit_item *item, int code, const char *why)
{
	struct leased_err err = LEASED_ERR_INIT;

	stop_waiting(audit, item);
	metrics_add(&refused, 1);
	(void)leased_err_set(&err, code, "%s", why);
	item->done(item->arg, code, &err);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct audit *audit = audit_from(arg);
	int64_t now_ms = wclock_boot_ms(audit->clock);
	struct audit_item *item;

	(void)fd;
	(void)what;
	while ((item = TAILQ_FIRST(&audit->waiting)) != NULL && item->deadline_ms <= now_ms) {
		if (!audit->stalled)
			log_error("the audit's device has not taken a record in time: requests are "
				  "refused until it does, leases end all the same",
			    LOG_S("path", audit->path));
		audit->stalled = true;
		item_give_up(audit, item, LEASED_ETIMEDOUT, "its device does not take it");
	}
	if (TAILQ_EMPTY(&audit->waiting))
		(void)event_del(audit->tick);
}

static void
on_completed(evutil_socket_t fd, short what, void *arg)
{
	struct audit *audit = audit_from(arg);
	struct audit_items written = TAILQ_HEAD_INITIALIZER(written);
	struct audit_item *item;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_fatal("cannot read the audit's event: %s", strerror(errno));
	pthread_mutex_lock(&audit->mutex);
	TAILQ_CONCAT(&written, &audit->written, queue);
	pthread_mutex_unlock(&audit->mutex);
	while ((item = TAILQ_FIRST(&written)) != NULL) {
		TAILQ_REMOVE(&written, item, queue);
		item_finish(audit, item);
	}
	if (atomic_load(&audit->changed))
		audit_mover_step(audit);
}

/* ---- handing over ---- */

static void
submit_inline(struct audit *audit, struct audit_item *item)
{
	struct audit_items items = TAILQ_HEAD_INITIALIZER(items);

	TAILQ_INSERT_TAIL(&items, item, queue);
	audit_thread_write(audit, &items);
	item_finish(audit, item);
}

/* NULL, or why nothing more is taken. */
static const char *
queue_refuses(const struct audit *audit, size_t len)
{
	if (audit->stopping)
		return ("leased is stopping");
	if (audit->stalled)
		return ("its device does not take records");
	if (audit->queued_bytes + len > QUEUE_BYTES || audit->queued_count >= QUEUE_COUNT)
		return ("too many records wait for its device");
	return (NULL);
}

static void
refuse(struct audit_item *item, audit_written done, void *arg, int code, const char *why)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)leased_err_set(&err, code, "%s", why);
	metrics_add(&refused, 1);
	audit_item_free(item);
	done(arg, code, &err);
}

void
audit_submit(
    struct audit *audit, char *bodies, size_t len, bool sync, audit_written done, void *arg)
{
	static const struct timeval tick = {0, TICK_MS * 1000};
	struct audit_item *item = calloc(1, sizeof(*item));
	const char *why;

	if (item == NULL) {
		free(bodies);
		refuse(NULL, done, arg, LEASED_ENOMEM, "out of memory");
		return;
	}
	*item = (struct audit_item){
	    .bodies = bodies, .len = len, .sync = sync, .done = done, .arg = arg};
	item->deadline_ms = wclock_boot_ms(audit->clock) + audit->wait_ms;
	pthread_mutex_lock(&audit->mutex);
	if ((why = queue_refuses(audit, len)) == NULL && audit->has_thread) {
		TAILQ_INSERT_TAIL(&audit->queue, item, queue);
		audit->queued_bytes += len;
		audit->queued_count++;
		pthread_cond_signal(&audit->work);
	}
	pthread_mutex_unlock(&audit->mutex);
	if (why != NULL) {
		refuse(item, done, arg, LEASED_EUNAVAIL, why);
		return;
	}
	if (TAILQ_EMPTY(&audit->waiting) && audit->tick != NULL)
		(void)event_add(audit->tick, &tick);
	TAILQ_INSERT_TAIL(&audit->waiting, item, waiting);
	item->is_waiting = true;
	metrics_add(&queue_length, 1);
	if (!audit->has_thread)
		submit_inline(audit, item);
}

void
audit_record(struct audit *audit, const struct audit_event *event, audit_written done, void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	char *bodies = NULL;
	size_t len = 0;
	int r = audit_entry_make(audit, event, &bodies, &len, &err);

	if (r != 0)
		done(arg, r, &err);
	else
		audit_submit(audit, bodies, len, false, done, arg);
}

/* ---- start and end ---- */

void
audit_reopen(struct audit *audit)
{
	if (audit == NULL)
		return;
	pthread_mutex_lock(&audit->mutex);
	audit->reopen = true;
	pthread_cond_signal(&audit->work);
	pthread_mutex_unlock(&audit->mutex);
}

bool
audit_healthy(const struct audit *audit)
{
	return (!audit->stalled && !atomic_load(&audit->failing));
}

bool
audit_is_astray(const struct audit *audit)
{
	return (atomic_load(&audit->file.is_astray));
}

bool
audit_is_shut_out(const struct audit *audit)
{
	return (atomic_load(&audit->file.is_shut_out));
}

int64_t
audit_lag_ms(const struct audit *audit)
{
	const struct audit_item *oldest = TAILQ_FIRST(&audit->waiting);

	if (oldest == NULL)
		return (0);
	return (wclock_boot_ms(audit->clock) - (oldest->deadline_ms - audit->wait_ms));
}

const char *
audit_path(const struct audit *audit)
{
	return (audit->path);
}

static int
start_events(struct audit *audit, struct leased_err *err)
{
	audit->completed_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (audit->completed_fd < 0)
		return (leased_err_set(
		    err, LEASED_ENOMEM, "cannot make an eventfd: %s", strerror(errno)));
	audit->completed =
	    event_new(audit->loop, audit->completed_fd, EV_READ | EV_PERSIST, on_completed, audit);
	audit->tick = event_new(audit->loop, -1, EV_PERSIST, on_tick, audit);
	if (audit->completed == NULL || audit->tick == NULL ||
	    event_add(audit->completed, NULL) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

static struct audit *
audit_make(const struct audit_config *config)
{
	struct audit *audit = calloc(1, sizeof(*audit));
	pthread_condattr_t monotonic;

	if (audit == NULL)
		return (NULL);
	audit->tag = AUDIT_TAG;
	audit->store = config->store;
	audit->seal = store_seal(config->store);
	audit->clock = config->clock;
	audit->loop = config->loop;
	audit->wait_ms = config->wait_ms != 0 ? config->wait_ms : WAIT_MS;
	audit->completed_fd = -1;
	audit->file.fd = -1;
	TAILQ_INIT(&audit->waiting);
	TAILQ_INIT(&audit->queue);
	TAILQ_INIT(&audit->written);
	pthread_mutex_init(&audit->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&audit->work, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return (audit);
}

/*
 * What cannot be written now must not keep leases from ending, as little as while leased runs: no
 * request is served until the thread has opened it. What must not be written to is a mistake.
 */
static int
open_device(struct audit *audit, const struct audit_chain *head, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	int r = audit_file_open(&audit->file, audit->path, audit->seal, audit->clock, head, &why);

	if (r == LEASED_EUNAVAIL || r == LEASED_EDENIED || r == LEASED_EIO || r == LEASED_ENOSPC) {
		audit_say_failing(audit, &why);
		return (0);
	}
	if (r != 0)
		*err = why;
	return (r);
}

int
audit_new(const struct audit_config *config, struct audit **ret_audit, struct leased_err *err)
{
	struct audit *audit = audit_make(config);
	struct audit_chain head;
	int r;

	if (audit == NULL || (audit->path = strdup(config->path)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if ((r = audit_outbox_open(audit, &head, err)) != 0 ||
	    (r = open_device(audit, &head, err)) != 0)
		goto out;
	if (audit->loop != NULL &&
	    ((r = start_events(audit, err)) != 0 || (r = audit_thread_start(audit, err)) != 0))
		goto out;
	store_watch_set(audit->store, audit_on_change, audit);
	atomic_store(&audit->changed, true); /* an earlier run may have left some */
	audit_mover_step(audit);
	*ret_audit = audit;
	audit = NULL;
out:
	if (audit != NULL)
		audit->stopping = true; /* nothing is to be moved */
	audit_free(audit);
	return (r);
}

static void
turn(struct audit *audit)
{
	struct timeval wait = {0, 10000};

	(void)event_base_loopexit(audit->loop, &wait);
	(void)event_base_dispatch(audit->loop);
}

void
audit_stop(struct audit *audit)
{
	struct audit_item *item;
	int64_t until_ms;

	if (audit == NULL || audit->stopping)
		return;
	until_ms = wclock_boot_ms(audit->clock) + audit->wait_ms;
	atomic_store(&audit->changed, true);
	audit->mover.keep_last = true;
	audit_mover_step(audit);
	while (audit->loop != NULL && wclock_boot_ms(audit->clock) < until_ms &&
	       audit_healthy(audit) && (!audit_mover_idle(audit) || !TAILQ_EMPTY(&audit->waiting)))
		turn(audit);
	audit->stopping = true;
	while ((item = TAILQ_FIRST(&audit->waiting)) != NULL)
		item_give_up(audit, item, LEASED_ECANCELED, "leased is stopping");
}

void
audit_free(struct audit *audit)
{
	struct audit_item *item;

	if (audit == NULL)
		return;
	audit_stop(audit);
	store_watch_set(audit->store, NULL, NULL);
	if (audit->completed != NULL)
		event_free(audit->completed);
	if (audit->tick != NULL)
		event_free(audit->tick);
	audit_mover_close(audit);
	if (!audit_thread_end(audit))
		return;
	if (audit->completed_fd >= 0)
		(void)close(audit->completed_fd);
	while ((item = TAILQ_FIRST(&audit->written)) != NULL) {
		TAILQ_REMOVE(&audit->written, item, queue);
		audit_item_free(item);
	}
	audit_file_close(&audit->file);
	free(audit->file.path);
	free(audit->path);
	pthread_cond_destroy(&audit->work);
	pthread_mutex_destroy(&audit->mutex);
	audit->tag = 0;
	free(audit);
}

void
audit_pump(struct audit *audit)
{
	if (audit->loop == NULL && atomic_load(&audit->changed))
		audit_mover_step(audit);
}
