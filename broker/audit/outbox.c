/*
 * From the outbox to the device: a page is read, written, brought to disk, and only then taken out
 * of the outbox. If we die in between, the page is written once more: a record of a change carries
 * its number there, so that a reader drops the repeat. What the device does not take stays in the
 * store, so that leases go on ending while it fails.
 */
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit_private.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "metrics/metrics.h"

#define PAGE 256
#define HEAD_KEY "audit-head"
#define AGAIN_MS 1000
#define SOON_MS 20 /* several changes share a write */

METRICS_COUNTER(moved, "leased_audit_changes", "", "Records of changes brought to the audit.");
METRICS_GAUGE(outbox_rows, "leased_audit_outbox_rows", "",
    "Records of changes that wait for the audit's device, as of the last look.");

/* ---- the end of the chain, as the store knows it ---- */

/* seq 0 when there is none: a cut at the end of the file is not noticed then. */
static void
head_decode(const char *text, struct audit_chain *ret_head)
{
	struct audit_chain head;

	if (sscanf(text, "%" SCNd64 " %64[0-9a-f]", &head.seq, head.mac) == 2 && head.seq > 0 &&
	    head.seq < INT64_MAX / 2 && strlen(head.mac) == AUDIT_MAC_LEN)
		*ret_head = head;
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct audit *audit = audit_from(arg);

	(void)fd;
	(void)what;
	if (audit->mover.state == MOVER_PAUSING)
		audit->mover.state = MOVER_IDLE;
	atomic_store(&audit->changed, true);
	audit_mover_step(audit);
}

int
audit_outbox_open(struct audit *audit, struct audit_chain *ret_head, struct leased_err *err)
{
	char *text = NULL;
	int r;

	audit_chain_init(ret_head);
	if (audit->loop != NULL) {
		audit->mover.again = event_new(audit->loop, -1, 0, on_again, audit);
		if (audit->mover.again == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	r = store_meta_get(store_db(audit->store), HEAD_KEY, &text, err);
	if (r == LEASED_ENOENT)
		return (0);
	if (r == 0)
		head_decode(text, ret_head);
	free(text);
	if (r != LEASED_ECORRUPT)
		return (r);
	log_error("where the chain of the audit ended is not known any more: a cut at the end of "
		  "its file would not be noticed now",
	    LOG_ERR(err));
	return (0);
}

void
audit_mover_close(struct audit *audit)
{
	if (audit->mover.again != NULL)
		event_free(audit->mover.again);
	audit->mover.again = NULL;
	store_outbox_page_free(audit->mover.rows, audit->mover.count);
	audit->mover.rows = NULL;
	audit->mover.count = 0;
}

/* ---- the watcher, on the writer thread ---- */

/* Takes text. */
static int
put(struct audit *audit, struct store_txn *txn, char *text, struct leased_err *err)
{
	int r = store_outbox_put(txn, text, err);

	free(text);
	/* The loop looks behind this transaction, which has not been committed yet. */
	if (r == 0 && !atomic_exchange(&audit->changed, true))
		audit_wake(audit);
	return (r);
}

int
audit_on_change(
    void *arg, struct store_txn *txn, const struct store_change *change, struct leased_err *err)
{
	struct audit *audit = audit_from(arg);
	char *text = NULL;
	int r;

	if ((r = audit_change_text(audit, txn, change, &text, err)) != 0 || text == NULL)
		return (r);
	return (put(audit, txn, text, err));
}

int
audit_put_configuration(struct audit *audit, struct store_txn *txn,
    const struct audit_configuration *configuration, struct leased_err *err)
{
	char *text = NULL;
	int r;

	if ((r = audit_configuration_text(audit, configuration, &text, err)) != 0)
		return (r);
	return (put(audit, txn, text, err));
}

/* ---- the mover, on the loop ---- */

static void
pause_mover(struct audit *audit, unsigned ms)
{
	struct timeval wait = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

	audit->mover.state = MOVER_PAUSING;
	if (audit->mover.again == NULL || audit->stopping)
		audit->mover.state = MOVER_IDLE;
	else
		(void)event_add(audit->mover.again, &wait);
}

static void
on_page_written(void *arg, int code, const struct leased_err *err)
{
	struct audit *audit = audit_from(arg);
	struct audit_mover *mover = &audit->mover;

	(void)err; /* the thread has said it */
	if (code == 0) {
		mover->written = mover->rows[mover->count - 1].id;
		mover->head_changed = true;
		metrics_add(&moved, (long long)mover->count);
	}
	store_outbox_page_free(mover->rows, mover->count);
	mover->rows = NULL;
	mover->count = 0;
	if (code != 0) {
		pause_mover(audit, AGAIN_MS);
		return;
	}
	mover->state = MOVER_IDLE;
	atomic_store(&audit->changed, true);
	audit_mover_step(audit);
}

/* {"time":..,"type":"change","change":N, and what the text says. */
static void
page_text(const struct store_outbox_row *row, struct jenc *bodies)
{
	char number[96];
	int len;

	if (bodies->len > 0)
		jenc_bytes(bodies, "\n", 1);
	len = snprintf(number, sizeof(number), ",\"change\":%" PRId64 "}", row->id);
	if (row->text != NULL && row->text[0] == '{') {
		jenc_bytes(bodies, row->text, strlen(row->text) - 1);
	} else {
		static const char damaged[] =
		    "{\"time\":\"\",\"type\":\"change\",\"what\":\"record_damaged\"";

		jenc_bytes(bodies, damaged, sizeof(damaged) - 1);
	}
	jenc_bytes(bodies, number, (size_t)len);
}

static void
on_page_read(struct store_read *read, int result, const struct leased_err *err)
{
	struct audit *audit = audit_from(
	    (char *)read - offsetof(struct audit, mover) - offsetof(struct audit_mover, read));
	struct audit_mover *mover = &audit->mover;
	struct jenc bodies = {0};
	char *text;

	metrics_set(&outbox_rows, (long long)mover->rows_left);
	if (result != 0 || audit->stopping || mover->count == 0) {
		store_outbox_page_free(mover->rows, mover->count);
		mover->rows = NULL;
		mover->count = 0;
		if (result != 0 && !audit->stopping)
			log_warn("the outbox of the audit cannot be read", LOG_ERR(err));
		if (result != 0)
			pause_mover(audit, AGAIN_MS);
		else if (atomic_load(&audit->changed))
			pause_mover(audit, SOON_MS);
		else
			mover->state = MOVER_IDLE;
		return;
	}
	for (size_t i = 0; i < mover->count; i++)
		page_text(&mover->rows[i], &bodies);
	text = jenc_check(&bodies, NULL) == 0 ? (char *)bodies.bytes : NULL;
	mover->state = MOVER_WRITING;
	if (text != NULL)
		audit_submit(audit, text, bodies.len, true, on_page_written, audit);
	else
		on_page_written(audit, LEASED_ENOMEM, NULL);
	if (text == NULL)
		jenc_clear(&bodies);
}

static int
on_page_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct audit_mover *mover =
	    (struct audit_mover *)((char *)read - offsetof(struct audit_mover, read));

	int r = store_outbox_page(db, mover->written, PAGE, &mover->rows, &mover->count, err);

	mover->rows_left = r == 0 ? (int64_t)mover->count : 0;
	if (r == 0 && mover->count == PAGE)
		r = store_outbox_count(db, &mover->rows_left, err);
	return (r);
}

static int
on_clear_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct audit_mover *mover =
	    (struct audit_mover *)((char *)op - offsetof(struct audit_mover, op));
	char text[AUDIT_MAC_LEN + 32];
	int r;

	if (!mover->head_changed)
		return (0); /* what was being written when we asked is committed now */
	if ((r = FAILPOINT_ERROR(audit_outbox_before_delete, err)) != 0)
		return (r);
	(void)snprintf(text, sizeof(text), "%" PRId64 " %s", mover->head.seq, mover->head.mac);
	if ((r = store_outbox_delete(txn, mover->written, err)) != 0)
		return (r);
	return (store_meta_put(txn, HEAD_KEY, text, err));
}

static void
on_cleared(struct store_op *op, int result, const struct leased_err *err)
{
	struct audit *audit = audit_from(
	    (char *)op - offsetof(struct audit, mover) - offsetof(struct audit_mover, op));
	struct audit_mover *mover = &audit->mover;

	(void)err;
	FAILPOINT(audit_outbox_after_delete);
	/* On a full disk they stay until it has room; the store says so. */
	if (result == 0)
		mover->head_changed = false;
	if (audit->stopping) {
		mover->state = MOVER_IDLE;
		return;
	}
	mover->state = MOVER_READING;
	mover->read = (struct store_read){.run = on_page_run, .done = on_page_read};
	store_submit_read(audit->store, &mover->read);
}

bool
audit_mover_idle(const struct audit *audit)
{
	return (audit->mover.state == MOVER_IDLE || audit->mover.state == MOVER_PAUSING);
}

void
audit_mover_step(struct audit *audit)
{
	struct audit_mover *mover = &audit->mover;

	if (mover->state != MOVER_IDLE || audit->stopping)
		return;
	atomic_store(&audit->changed, false);
	/* Only here: while an operation is under way, the head is the writer's. */
	if (mover->keep_last && mover->last.seq > 0) {
		mover->head = mover->last;
		mover->head_changed = true;
	}
	mover->state = MOVER_CLEARING;
	mover->op = (struct store_op){.run = on_clear_run, .done = on_cleared};
	store_submit(audit->store, &mover->op);
}
