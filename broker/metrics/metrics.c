/*
 * Counting: what a counter, a gauge and a histogram do when something happens. Owns the bounds of
 * the histograms. Does not write anything down (page.c does). Called by whoever counts.
 */
#include "metrics/metrics.h"

const struct metrics_bound metrics_bounds_short[METRICS_BUCKETS] = {
    {100, "0.0001"},
    {500, "0.0005"},
    {1000, "0.001"},
    {5000, "0.005"},
    {10000, "0.01"},
    {25000, "0.025"},
    {50000, "0.05"},
    {100000, "0.1"},
    {250000, "0.25"},
    {500000, "0.5"},
    {1000000, "1.0"},
    {2500000, "2.5"},
    {5000000, "5.0"},
    {10000000, "10.0"},
    {60000000, "60.0"},
    {INT64_MAX, "+Inf"},
};

const struct metrics_bound metrics_bounds_long[METRICS_BUCKETS] = {
    {100000, "0.1"},
    {250000, "0.25"},
    {500000, "0.5"},
    {1000000, "1.0"},
    {2000000, "2.0"},
    {5000000, "5.0"},
    {10000000, "10.0"},
    {30000000, "30.0"},
    {60000000, "60.0"},
    {120000000, "120.0"},
    {300000000, "300.0"},
    {600000000, "600.0"},
    {1800000000, "1800.0"},
    {3600000000, "3600.0"},
    {86400000000, "86400.0"},
    {INT64_MAX, "+Inf"},
};

void
metrics_add(struct metrics_metric *metric, long long by)
{
	atomic_fetch_add_explicit(&metric->value, by, memory_order_relaxed);
}

void
metrics_set(struct metrics_metric *metric, long long value)
{
	atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void
metrics_observe_us(struct metrics_metric *metric, int64_t us)
{
	size_t i = 0;

	if (us < 0)
		us = 0;
	while (us > metric->bounds[i].us)
		i++;
	atomic_fetch_add_explicit(&metric->buckets[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&metric->value, us, memory_order_relaxed);
}
