/*
 * How answers arrived: a lost one's lease is revoked, that one was delivered is written down beside
 * the next commit. The row of a lease without a backend is kept from its issue until then, so that
 * the remark costs a write and no reading. Called by api/ through lease.h, and by plain.c.
 */
#include <stdlib.h>
#include <string.h>

#include "lease/delivery.h"
#include "lease/private.h"

struct delivery_task {
	struct lease_task task; /* first */
	unsigned count;
	struct lease_delivered of[];
};

/* ---- rows that were just made ---- */

static struct store_lease **
fresh_slot(struct leases *leases, int64_t id)
{
	return (&leases->deliveries.fresh[(uint64_t)id % LEASE_FRESH_MAX]);
}

void
lease_fresh_keep(struct leases *leases, struct lease *lease)
{
	struct store_lease **slot = fresh_slot(leases, lease->row->id);

	store_lease_free(*slot);
	*slot = lease->row;
	lease->row = NULL;
}

static struct store_lease *
fresh_take(struct leases *leases, int64_t id)
{
	struct store_lease **slot = fresh_slot(leases, id), *row = *slot;

	if (row == NULL || row->id != id)
		return (NULL);
	*slot = NULL;
	return (row);
}

void
lease_deliveries_clear(struct leases *leases)
{
	for (unsigned i = 0; i < LEASE_FRESH_MAX; i++) {
		store_lease_free(leases->deliveries.fresh[i]);
		leases->deliveries.fresh[i] = NULL;
	}
	while (leases->deliveries.count > 0)
		store_lease_free(leases->deliveries.done[--leases->deliveries.count].row);
}

/* ---- writing it down ---- */

/* LEASED_ECONFLICT: the row has changed since it was issued. */
static int
fresh_put(struct store_txn *txn, struct store_lease *row, struct leased_err *err)
{
	int r = lease_record_deliver(row, err);

	return (r != 0 ? r : store_lease_update(txn, row, err));
}

static int
delivered_put(struct store_txn *txn, int64_t id, struct leased_err *err)
{
	struct store_lease *row = NULL;
	struct lease_data data;
	int r;

	if ((r = store_lease_get(store_txn_db(txn), id, &row, err)) != 0 ||
	    (r = lease_data_decode(row->data, &data, err)) != 0)
		goto out;
	data.delivered = true;
	if ((r = lease_record_put(row, &data, err)) == 0)
		r = store_lease_update(txn, row, err);
out:
	store_lease_free(row);
	return (r);
}

static int
on_delivery_run(struct lease_task *task, struct store_txn *txn, struct leased_err *err)
{
	struct delivery_task *own = (struct delivery_task *)task;
	struct leased_err why = LEASED_ERR_INIT;

	(void)err;
	for (unsigned i = 0; i < own->count; i++) {
		struct lease_delivered *one = &own->of[i];

		if (one->row == NULL || fresh_put(txn, one->row, &why) == LEASED_ECONFLICT)
			(void)!delivered_put(txn, one->id, &why); /* gone meanwhile: fine */
		store_lease_free(one->row);
		one->row = NULL;
	}
	return (0);
}

static void
delivery_free(struct delivery_task *own)
{
	for (unsigned i = 0; i < own->count; i++)
		store_lease_free(own->of[i].row);
	free(own);
}

static void
on_delivery_drop(struct lease_task *task)
{
	delivery_free((struct delivery_task *)task);
}

static void
on_delivery_done(struct lease_task *task, int result, const struct leased_err *err)
{
	(void)result; /* it stays "unknown": a remark, not a promise */
	(void)err;
	delivery_free((struct delivery_task *)task);
}

void
lease_delivered_flush(struct leases *leases)
{
	size_t size = leases->deliveries.count * sizeof(leases->deliveries.done[0]);
	struct delivery_task *own;

	if (leases->deliveries.count == 0 || leases->freeing ||
	    (own = malloc(sizeof(*own) + size)) == NULL)
		return;
	own->task = (struct lease_task){
	    .run = on_delivery_run, .done = on_delivery_done, .drop = on_delivery_drop};
	own->count = leases->deliveries.count;
	memcpy(own->of, leases->deliveries.done, size);
	leases->deliveries.count = 0; /* first: submitting comes back here */
	lease_task_submit(leases, &own->task);
}

void
lease_delivery(struct leases *leases, int64_t row, bool delivered)
{
	struct store_lease *fresh = fresh_take(leases, row);

	if (delivered && leases->deliveries.count < LEASE_DELIVERED_MAX) {
		leases->deliveries.done[leases->deliveries.count++] =
		    (struct lease_delivered){row, fresh};
		return;
	}
	store_lease_free(fresh);
	if (!delivered)
		lease_mark(leases, row, LEASE_END_UNDELIVERED, "not delivered");
}
