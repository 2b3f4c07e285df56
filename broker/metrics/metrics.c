/*
 * Counting, and writing the counts down. Every metric is a static object elsewhere; this finds them
 * in a section that the linker gathers.
 *
 * Does not serve the text: the API does. Called by whoever counts.
 */
#include "metrics/metrics.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Weak: a program in which nobody counts has no such section. */
extern struct metrics_metric *const __start_leased_metrics[] __attribute__((weak));
extern struct metrics_metric *const __stop_leased_metrics[] __attribute__((weak));

/* The last bucket is without end. */
static const struct {
	int64_t us;
	const char *seconds;
} bounds[METRICS_BUCKETS] = {
    {100, "0.0001"},
    {500, "0.0005"},
    {1000, "0.001"},
    {5000, "0.005"},
    {10000, "0.01"},
    {50000, "0.05"},
    {100000, "0.1"},
    {500000, "0.5"},
    {1000000, "1.0"},
    {5000000, "5.0"},
    {10000000, "10.0"},
    {60000000, "60.0"},
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
	while (us > bounds[i].us)
		i++;
	atomic_fetch_add_explicit(&metric->buckets[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&metric->value, us, memory_order_relaxed);
}

static const char *
kind_name(enum metrics_kind kind)
{
	switch (kind) {
	case METRICS_KIND_COUNTER:
		return ("counter");
	case METRICS_KIND_GAUGE:
		return ("gauge");
	case METRICS_KIND_HISTOGRAM:
		return ("histogram");
	}
	return ("unknown");
}

static void
put_head(FILE *out, const struct metrics_metric *metric)
{
	static const char unit[] = "_seconds";
	size_t len = strlen(metric->name);

	(void)fprintf(out, "# TYPE %s %s\n", metric->name, kind_name(metric->kind));
	if (len > sizeof(unit) - 1 && strcmp(metric->name + len - (sizeof(unit) - 1), unit) == 0)
		(void)fprintf(out, "# UNIT %s seconds\n", metric->name);
	(void)fprintf(out, "# HELP %s %s\n", metric->name, metric->help);
}

/* name + suffix, and its labels in braces where there are any. */
static void
put_name(FILE *out, const struct metrics_metric *metric, const char *suffix)
{
	bool labeled = metric->labels[0] != '\0';

	(void)fprintf(out, "%s%s%s%s%s ", metric->name, suffix, labeled ? "{" : "", metric->labels,
	    labeled ? "}" : "");
}

static void
put_histogram(FILE *out, struct metrics_metric *metric)
{
	long long sum = atomic_load_explicit(&metric->value, memory_order_relaxed);
	long long count = 0;
	size_t i;

	for (i = 0; i < METRICS_BUCKETS; i++) {
		/* What others count meanwhile may be in one line and not in the next: the lines
		 * still rise. */
		count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
		(void)fprintf(out, "%s_bucket{%s%sle=\"%s\"} %lld\n", metric->name, metric->labels,
		    metric->labels[0] != '\0' ? "," : "", bounds[i].seconds, count);
	}
	put_name(out, metric, "_count");
	(void)fprintf(out, "%lld\n", count);
	put_name(out, metric, "_sum");
	(void)fprintf(out, "%lld.%06lld\n", sum / 1000000, sum % 1000000);
}

static void
put_metric(FILE *out, struct metrics_metric *metric)
{
	if (metric->kind == METRICS_KIND_HISTOGRAM) {
		put_histogram(out, metric);
		return;
	}
	put_name(out, metric, metric->kind == METRICS_KIND_COUNTER ? "_total" : "");
	(void)fprintf(out, "%lld\n", atomic_load_explicit(&metric->value, memory_order_relaxed));
}

static int
by_name(const void *a, const void *b)
{
	const struct metrics_metric *left = *(struct metrics_metric *const *)a;
	const struct metrics_metric *right = *(struct metrics_metric *const *)b;
	int order = strcmp(left->name, right->name);

	return (order != 0 ? order : strcmp(left->labels, right->labels));
}

static void
put_all(FILE *out, struct metrics_metric **metrics, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (i == 0 || strcmp(metrics[i]->name, metrics[i - 1]->name) != 0)
			put_head(out, metrics[i]);
		put_metric(out, metrics[i]);
	}
	(void)fputs("# EOF\n", out);
}

int
metrics_text(char **ret_text, size_t *ret_len, struct leased_err *err)
{
	size_t count = (size_t)(__stop_leased_metrics - __start_leased_metrics), len = 0;
	struct metrics_metric **sorted = NULL;
	char *text = NULL;
	FILE *out = NULL;
	int r = LEASED_ENOMEM;

	/* One more than there are: none at all is no failure. */
	if ((sorted = reallocarray(NULL, count + 1, sizeof(struct metrics_metric *))) == NULL ||
	    (out = open_memstream(&text, &len)) == NULL)
		goto out;
	if (count > 0) {
		memcpy(sorted, __start_leased_metrics, count * sizeof(struct metrics_metric *));
		qsort(sorted, count, sizeof(struct metrics_metric *), by_name);
	}
	put_all(out, sorted, count);
	if (ferror(out) == 0)
		r = 0;
out:
	if (out != NULL && fclose(out) != 0)
		r = LEASED_ENOMEM;
	free(sorted);
	if (r == 0) {
		*ret_text = text;
		*ret_len = len;
		return (0);
	}
	free(text);
	return (leased_err_set(err, r, "out of memory while writing the metrics"));
}
