/*
 * The recount of caps: twice a day every lease row is read once more, and the counters of roles,
 * identities and connections are set to what the rows hold, should the two differ. Nothing else in
 * lease/ counts rows.
 *
 * A pass is a chain of small transactions, so that it neither holds up the writer nor keeps a
 * snapshot of a large store open. Each reads one page of rows by number and adds what they hold to
 * a second set of counters ("+role:5"); "+" itself says how far the pass has come. Whoever gives a
 * counter back for a row that was read already gives the second one back as well, in the same
 * transaction (lease_recount_gave()); rows to come are read as they are then, and new rows have
 * higher numbers. So the second set is exact when there is no further row, which the last
 * transaction sees, and it corrects there. A pass that a stop cut off is begun anew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/private.h"
#include "metrics/metrics.h"

#define FIRST_MS 60000 /* the first minute belongs to recovery */
#define STEP_MS 1000
#define PASS_MS (INT64_C(12) * 3600 * 1000)
/* Rows a page: a pass over all row numbers takes at most half of PASS_MS, up to 5 million. */
#define PAGE_MIN 64
#define PAGE_MAX 256
#define NAMES 64
#define TOLD_MAX 16
#define CURSOR "+"

METRICS_COUNTER(caps_corrected, "leased_caps_corrected", "",
    "Counters of max_leases that differed from the leases that there were.");

struct lease_recount {
	struct lease_task task; /* first */
	bool begins, ended;
	unsigned corrected;
	struct {
		char counter[128];
		int64_t was, is;
	} told[TOLD_MAX];
};

static bool
is_cap(const char *counter)
{
	return (strncmp(counter, "role:", 5) == 0 || strncmp(counter, "entity:", 7) == 0 ||
		strncmp(counter, "conn:", 5) == 0);
}

static void
second_name(const char *counter, char ret_name[160])
{
	(void)snprintf(ret_name, 160, CURSOR "%s", counter);
}

int
lease_recount_gave(struct store_txn *txn, int64_t row, const char *counter, struct leased_err *err)
{
	char name[160];
	int64_t cursor = 0;
	int r;

	if ((r = store_counter_get(store_txn_db(txn), CURSOR, &cursor, err)) != 0 || row > cursor)
		return (r);
	second_name(counter, name);
	return (store_give(txn, name, err));
}

/* Calls each for every counter after `after` whose name starts with prefix. */
static int
counters_walk(struct lease_recount *recount, struct store_txn *txn, const char *prefix,
    int (*each)(struct lease_recount *, struct store_txn *, const struct store_counter *,
	struct leased_err *),
    struct leased_err *err)
{
	struct store_counter *counters = NULL;
	char after[160];
	size_t count, i;
	int r;

	lease_text_copy(after, sizeof(after), prefix);
	do {
		r = store_counter_list(store_txn_db(txn), after, NAMES, &counters, &count, err);
		if (r != 0)
			return (r);
		for (i = 0; i < count && r == 0; i++) {
			lease_text_copy(after, sizeof(after), counters[i].name);
			if (strncmp(after, prefix, strlen(prefix)) != 0)
				break;
			r = each(recount, txn, &counters[i], err);
		}
		store_counter_list_free(counters, count);
	} while (r == 0 && count == NAMES && i == count);
	return (r);
}

static int
on_forget(struct lease_recount *recount, struct store_txn *txn, const struct store_counter *counter,
    struct leased_err *err)
{
	(void)recount;
	return (store_counter_set(txn, counter->name, 0, err));
}

/* The second set, and how far it came: neither is there afterwards. */
static int
forget(struct lease_recount *recount, struct store_txn *txn, struct leased_err *err)
{
	int r = store_counter_set(txn, CURSOR, 0, err);

	return (r != 0 ? r : counters_walk(recount, txn, CURSOR, on_forget, err));
}

/* ---- a page ---- */

/* A record that cannot be read holds nothing, and its end gives nothing back. */
static int
row_add(struct store_txn *txn, const struct store_lease *row, struct leased_err *err)
{
	struct lease_data data;
	char name[160];
	int r = 0;

	if (row->kind == STORE_LEASE_TOKEN || lease_data_decode(row->data, &data, NULL) != 0)
		return (0);
	for (unsigned i = 0; i < data.caps_count && r == 0; i++) {
		second_name(data.caps[i], name);
		r = store_counter_add(txn, name, 1, err);
	}
	return (r);
}

static int
page_add(struct store_txn *txn, int64_t *cursor, size_t *ret_count, struct leased_err *err)
{
	int64_t limit = store_next_lease_id(txn) / (PASS_MS / 2 / STEP_MS);
	struct store_lease_query query = {.by = STORE_BY_ID, .after = *cursor};
	struct store_lease **rows = NULL;
	size_t count = 0;
	int r;

	query.limit = limit < PAGE_MIN ? PAGE_MIN : limit > PAGE_MAX ? PAGE_MAX : (unsigned)limit;
	r = store_lease_page(store_txn_db(txn), &query, &rows, &count, err);
	for (size_t i = 0; i < count && r == 0; i++) {
		*cursor = rows[i]->id;
		r = row_add(txn, rows[i], err);
	}
	store_lease_page_free(rows, count);
	*ret_count = count;
	return (r);
}

/* ---- the end of a pass ---- */

static int
correct(struct lease_recount *recount, struct store_txn *txn, const char *counter, int64_t was,
    int64_t is, struct leased_err *err)
{
	if (was == is)
		return (0);
	if (recount->corrected < TOLD_MAX) {
		lease_text_copy(recount->told[recount->corrected].counter,
		    sizeof(recount->told[0].counter), counter);
		recount->told[recount->corrected].was = was;
		recount->told[recount->corrected].is = is;
	}
	recount->corrected++;
	return (store_counter_set(txn, counter, is, err));
}

/* What is counted, against what was found. */
static int
on_counted(struct lease_recount *recount, struct store_txn *txn,
    const struct store_counter *counter, struct leased_err *err)
{
	char name[160];
	int64_t found = 0;
	int r;

	if (!is_cap(counter->name))
		return (0);
	second_name(counter->name, name);
	if ((r = store_counter_get(store_txn_db(txn), name, &found, err)) != 0)
		return (r);
	return (correct(recount, txn, counter->name, counter->value, found, err));
}

/* What was found and is not counted at all. */
static int
on_found(struct lease_recount *recount, struct store_txn *txn, const struct store_counter *counter,
    struct leased_err *err)
{
	const char *name = counter->name + strlen(CURSOR);
	int64_t counted = 0;
	int r;

	if (!is_cap(name))
		return (0);
	if ((r = store_counter_get(store_txn_db(txn), name, &counted, err)) != 0 || counted != 0)
		return (r);
	return (correct(recount, txn, name, 0, counter->value, err));
}

static int
on_recount_run(struct lease_task *task, struct store_txn *txn, struct leased_err *err)
{
	struct lease_recount *recount = (struct lease_recount *)task;
	int64_t cursor = 0;
	size_t count = 0;
	int r;

	if (recount->begins && (r = forget(recount, txn, err)) != 0)
		return (r);
	if ((r = store_counter_get(store_txn_db(txn), CURSOR, &cursor, err)) != 0 ||
	    (r = page_add(txn, &cursor, &count, err)) != 0)
		return (r);
	if (count > 0)
		return (store_counter_set(txn, CURSOR, cursor, err));
	recount->ended = true;
	if ((r = counters_walk(recount, txn, "", on_counted, err)) != 0 ||
	    (r = counters_walk(recount, txn, CURSOR, on_found, err)) != 0)
		return (r);
	return (forget(recount, txn, err));
}

/* ---- on the loop ---- */

static void
on_recount_drop(struct lease_task *task)
{
	free(task);
}

static void
tell(const struct lease_recount *recount)
{
	for (unsigned i = 0; i < recount->corrected && i < TOLD_MAX; i++)
		log_warn("a counter of max_leases was wrong and is corrected",
		    LOG_S("counter", recount->told[i].counter), LOG_I("was", recount->told[i].was),
		    LOG_I("is", recount->told[i].is));
	if (recount->corrected > TOLD_MAX)
		log_warn("more counters of max_leases were wrong and are corrected",
		    LOG_I("counters", recount->corrected - TOLD_MAX));
	metrics_add(&caps_corrected, recount->corrected);
}

static void
on_recount_done(struct lease_task *task, int result, const struct leased_err *err)
{
	struct lease_recount *recount = (struct lease_recount *)task;
	struct leases *leases = task->leases;

	FAILPOINT(lease_recount_after);
	leases->recount.busy = false;
	leases->recount.at_ms = leases_now_ms(leases) + STEP_MS;
	if (result != 0) {
		log_warn("the recount of caps was not written; it begins again in a minute",
		    LOG_ERR(err));
		leases->recount.running = false;
		leases->recount.at_ms = leases_now_ms(leases) + FIRST_MS;
	} else if (recount->ended) {
		tell(recount);
		leases->recount.running = false;
		leases->recount.at_ms = leases->recount.begun_ms + PASS_MS;
	}
	free(task);
}

void
lease_recount_step(struct leases *leases, int64_t now_ms)
{
	struct lease_recount *recount;

	if (leases->recount.at_ms == 0)
		leases->recount.at_ms = now_ms + FIRST_MS;
	if (leases->recount.busy || now_ms < leases->recount.at_ms ||
	    (recount = calloc(1, sizeof(*recount))) == NULL)
		return;
	recount->task.run = on_recount_run;
	recount->task.done = on_recount_done;
	recount->task.drop = on_recount_drop;
	recount->begins = !leases->recount.running;
	if (recount->begins)
		leases->recount.begun_ms = now_ms;
	leases->recount.busy = leases->recount.running = true;
	FAILPOINT(lease_recount_before);
	lease_task_submit(leases, &recount->task);
}
