/*
 * Counters, gauges and histograms that cost an increment. Safe from any thread; metrics/page.h
 * writes them down for a scraper.
 *
 * Each is a static object of the file that counts, and is known by being linked in: nothing is
 * registered at run time, nothing can be forgotten, nothing is allocated:
 *   METRICS_COUNTER(minted, "leased_leases_minted", "", "Leases handed out.");
 *   metrics_add(&minted, 1);
 * Names are literals without the suffix that a counter gets (_total). labels is "" or a literal
 * like reason="expired"; several objects of one name must differ in it and agree in kind and help.
 * What is known only while it runs, such as the name of a connection, is no label of these: whoever
 * has it writes a family into the page when it is asked for.
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

enum metrics_kind {
	METRICS_KIND_COUNTER,
	METRICS_KIND_GAUGE,
	METRICS_KIND_HISTOGRAM,
	METRICS_KIND_INFO, /* of pages alone: the value is 1, what it says stands in the labels */
};

#define METRICS_BUCKETS 16
/* Upper bounds of buckets; the last one is without end. */
struct metrics_bound {
	int64_t us;
	const char *seconds;
};
extern const struct metrics_bound metrics_bounds_short[METRICS_BUCKETS]; /* 100 us to 60 s */
extern const struct metrics_bound metrics_bounds_long[METRICS_BUCKETS];  /* 100 ms to a day */

struct metrics_metric {
	enum metrics_kind kind;
	const char *name, *labels, *help;
	atomic_llong value; /* of a histogram: the sum, in microseconds */
	atomic_llong *buckets;
	const struct metrics_bound *bounds;
};

/* A pointer to each metric stands in this section; the linker names its ends. */
#define METRICS_LISTED_(metric)                                                                    \
	static struct metrics_metric *const metric##_listed                                        \
	    __attribute__((section("leased_metrics"), used)) = &metric

#define METRICS_COUNTER(metric, name, labels, help)                                                \
	static struct metrics_metric metric = {                                                    \
	    METRICS_KIND_COUNTER, name, labels, help, 0, NULL, NULL};                              \
	METRICS_LISTED_(metric)

#define METRICS_GAUGE(metric, name, labels, help)                                                  \
	static struct metrics_metric metric = {                                                    \
	    METRICS_KIND_GAUGE, name, labels, help, 0, NULL, NULL};                                \
	METRICS_LISTED_(metric)

/* name ends in _seconds. bounds: one of the two above. */
#define METRICS_HISTOGRAM(metric, name, labels, help, bounds)                                      \
	static atomic_llong metric##_buckets[METRICS_BUCKETS];                                     \
	static struct metrics_metric metric = {                                                    \
	    METRICS_KIND_HISTOGRAM, name, labels, help, 0, metric##_buckets, bounds};              \
	METRICS_LISTED_(metric)

/* Counters: by is not negative. Gauges: either way. */
void metrics_add(struct metrics_metric *metric, long long by);

/* Gauges only. */
void metrics_set(struct metrics_metric *metric, long long value);

/* Histograms only: something took so long. */
void metrics_observe_us(struct metrics_metric *metric, int64_t us);

#endif
