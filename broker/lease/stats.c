/*
 * What lease/ counts for whoever watches the daemon. Owns no state of a lease and changes none.
 * Called where things happen (issue, way out), and by engine/ and api/ when somebody asks.
 */
#include "lease/stats.h"

#include "lease/ended.h"
#include "lease/private.h"

#define RECOVER_MAX_MS 120000

METRICS_HISTOGRAM(mint_time, "leased_mint_seconds", "",
    "From a request for a credential to its durable lease, of those that were handed out.",
    metrics_bounds_short);
METRICS_HISTOGRAM(late_expired, "leased_end_lateness_seconds", "cause=\"expired\"",
    "From the moment a lease was over to the end of its access.", metrics_bounds_long);
METRICS_HISTOGRAM(late_asked, "leased_end_lateness_seconds", "cause=\"asked\"",
    "From the moment a lease was over to the end of its access.", metrics_bounds_long);

void
lease_stats_issued(const struct lease_request *request, int code)
{
	struct leases *leases = request->leases;
	struct wclock *clock = leases->config.clock;

	if (code == 0)
		metrics_observe_us(&mint_time, clock->boot_us(clock) - request->start_us);
	else if (-code > 0 && -code < LEASE_CODES)
		leases->counts.mint_failures[-code]++;
}

void
lease_stats_disarmed(const struct lease *lease)
{
	const struct store_lease *row = lease->row;
	/* A refusal has moved next_at, and kept when the end was due at first. */
	int64_t due_ms = lease->data.due_ms != 0 ? lease->data.due_ms : row->next_at_ms;
	int64_t late_ms = leases_now_ms(lease->task.leases) - due_ms;

	if (row->kind == STORE_LEASE_CANARY)
		return; /* it ends when its purpose is served */
	metrics_observe_us(row->revoke ? &late_asked : &late_expired, late_ms * 1000);
}

void
lease_stats_gone(const struct lease *lease)
{
	enum lease_end end = lease_ended_end(lease);

	if ((unsigned)end < LEASE_ENDS)
		lease->task.leases->counts.gone[end]++;
}

void
lease_stats_end_failed(struct lease_connection *connection, int code)
{
	connection->stats.end_failures++;
	connection->stats.error_code = code;
	connection->stats.error_wall_ms = wclock_wall_ms(connection->leases->config.clock);
}

/* ---- asked for ---- */

void
leases_connection_stats(struct leases *leases, int64_t id, struct lease_connection_stats *ret_stats)
{
	const struct lease_connection *connection = lease_connection_find(leases, id);
	struct lease_connection_stats stats = {0};

	if (connection != NULL) {
		stats = connection->stats;
		stats.disarming = connection->ending;
		stats.removing = connection->removals;
	}
	*ret_stats = stats;
}

bool
leases_are_recovering(struct leases *leases)
{
	struct lease_connection *connection, *next;

	if (leases_now_ms(leases) - leases->time.opened_ms > RECOVER_MAX_MS)
		return (false);
	HASH_ITER(hh, leases->connections, connection, next)
	{
		if (connection->id != 0 && connection->from_start && !connection->left_over_ended &&
		    lease_connection_ready(connection))
			return (true);
	}
	return (false);
}

bool
leases_clock_is_confirmed(const struct leases *leases)
{
	return (!leases->time.waiting);
}

static void
put_by_code(struct leases *leases, struct metrics_page *page)
{
	metrics_page_family(page, METRICS_KIND_COUNTER, "leased_mint_failures",
	    "Requests for credentials that got none, by what kept them.");
	for (int i = 1; i < LEASE_CODES; i++)
		if (leases->counts.mint_failures[i] > 0)
			metrics_page_sample(page, (int64_t)leases->counts.mint_failures[i],
			    METRICS_LABELS({"error", leased_code_name(-i)}));
	metrics_page_family(page, METRICS_KIND_COUNTER, "leased_leases_gone",
	    "Leases whose accounts were removed, by what ended them.");
	for (int i = 1; i < LEASE_ENDS; i++)
		if (leases->counts.gone[i] > 0)
			metrics_page_sample(page, (int64_t)leases->counts.gone[i],
			    METRICS_LABELS({"cause", lease_end_text(i)}));
}

void
leases_metrics(struct leases *leases, struct metrics_page *page)
{
	const struct lease_counts *counts = &leases->counts;

	put_by_code(leases, page);
	metrics_page_one(page, METRICS_KIND_GAUGE, "leased_leases_overdue",
	    "Leases that have ended and whose accounts are not gone.", (int64_t)counts->overdue);
	metrics_page_family(page, METRICS_KIND_GAUGE, "leased_leases_overdue_oldest_seconds",
	    "For how long the oldest of them should have been gone; 0: none is overdue.");
	metrics_page_sample_us(page, counts->oldest_overdue_ms * 1000, METRICS_NO_LABELS);
	metrics_page_one(page, METRICS_KIND_GAUGE, "leased_leases_held",
	    "Overdue leases of a restored store that wait for a person to end the hold.",
	    (int64_t)counts->held);
	metrics_page_one(page, METRICS_KIND_GAUGE, "leased_leases_busy",
	    "Leases that something is being done to now.", (int64_t)HASH_COUNT(leases->busy));
	metrics_page_one(page, METRICS_KIND_GAUGE, "leased_bulk_jobs",
	    "Revocations of many leases, and ends of tokens, that are under way.",
	    leases->jobs_active);
	metrics_page_one(page, METRICS_KIND_GAUGE, "leased_clock_confirmed",
	    "0 from a reboot that the wall clock jumped over until that clock is confirmed.",
	    leases_clock_is_confirmed(leases));
	metrics_page_one(page, METRICS_KIND_GAUGE, "leased_recovering",
	    "1 while what an earlier run left under way is being ended.",
	    leases_are_recovering(leases));
}
