/*
 * Counters, gauges and histograms, and their text for a scraper (OpenMetrics 1.0). Safe from any
 *thread.
 *
 * Each is a static object of the file that counts, and is known by being linked in: nothing is
 *registered at run time, nothing can be forgotten, nothing is allocated: METRICS_COUNTER(minted,
 *"leased_leases_minted", "", "Leases handed out."); metrics_add(&minted, 1); Names are literals
 *without the suffix that OpenMetrics adds (_total). labels is "" or a literal like
 *reason="expired"; several objects of one name must differ in it and agree in kind and help.
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

enum metrics_kind { METRICS_KIND_COUNTER, METRICS_KIND_GAUGE, METRICS_KIND_HISTOGRAM };

/* Upper bounds: 100 us to 60 s. */
#define METRICS_BUCKETS 13

struct metrics_metric {
	enum metrics_kind kind;
	const char *name, *labels, *help;
	atomic_llong value; /* of a histogram: the sum, in microseconds */
	atomic_llong *buckets;
};

/* A pointer to each metric stands in this section; the linker names its ends. */
#define METRICS_LISTED_(metric)                                                                    \
	static struct metrics_metric *const metric##_listed                                        \
	    __attribute__((section("leased_metrics"), used)) = &metric

#define METRICS_COUNTER(metric, name, labels, help)                                                \
	static struct metrics_metric metric = {METRICS_KIND_COUNTER, name, labels, help, 0, NULL}; \
	METRICS_LISTED_(metric)

#define METRICS_GAUGE(metric, name, labels, help)                                                  \
	static struct metrics_metric metric = {METRICS_KIND_GAUGE, name, labels, help, 0, NULL};   \
	METRICS_LISTED_(metric)

/* name ends in _seconds. */
#define METRICS_HISTOGRAM(metric, name, labels, help)                                              \
	static atomic_llong metric##_buckets[METRICS_BUCKETS];                                     \
	static struct metrics_metric metric = {                                                    \
	    METRICS_KIND_HISTOGRAM, name, labels, help, 0, metric##_buckets};                      \
	METRICS_LISTED_(metric)

/* Counters: by is not negative. Gauges: either way. */
void metrics_add(struct metrics_metric *metric, long long by);

/* Gauges only. */
void metrics_set(struct metrics_metric *metric, long long value);

/* Histograms only: something took so long. */
void metrics_observe_us(struct metrics_metric *metric, int64_t us);

#define METRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* All of them, sorted by name; the caller frees *ret_text (NUL-terminated). */
int metrics_text(char **ret_text, size_t *ret_len, struct leased_err *err) LEASED_MUST_CHECK;

#endif
