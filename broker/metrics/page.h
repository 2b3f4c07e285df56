/*
 * A page of metrics for a scraper, written family by family in one of three forms: OpenMetrics 1.0,
 * the text form 0.0.4 that Prometheus had before it, and the JSON that Vault's sys/metrics answers.
 *
 * A family is opened and then gets its samples; the static metrics are families, too. Nothing is
 * looked up or sorted while samples are added, so that a thousand connections take about a
 * millisecond. When memory runs out the page is lost, which metrics_page_finish() says.
 */
#ifndef METRICS_PAGE_H
#define METRICS_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

#include "metrics/metrics.h"

enum metrics_format { METRICS_PROMETHEUS, METRICS_OPENMETRICS, METRICS_JSON };
const char *metrics_content_type(enum metrics_format format);
/* The form to answer in. wanted: the query's "format" (NULL: absent), which has the first word;
 * accept: the header (NULL: absent); otherwise: where neither says anything. */
enum metrics_format metrics_format_choose(
    const char *wanted, const char *accept, enum metrics_format otherwise);

struct metrics_page;
struct metrics_label {
	const char *name, *value; /* value: UTF-8, escaped here */
};
/* For the last two parameters below: METRICS_LABELS({"connection", name}, {"mount", path}). */
#define METRICS_LABELS(...)                                                                        \
	(const struct metrics_label[]){__VA_ARGS__},                                               \
	    sizeof((const struct metrics_label[]){__VA_ARGS__}) / sizeof(struct metrics_label)
#define METRICS_NO_LABELS NULL, 0

/* NULL: out of memory. */
struct metrics_page *metrics_page_new(enum metrics_format format);
void metrics_page_free(struct metrics_page *page); /* NULL is fine */
/* name and help are literals, and borrowed until the next family; name as in metrics.h. A family
 * may have no sample. */
void metrics_page_family(
    struct metrics_page *page, enum metrics_kind kind, const char *name, const char *help);
void metrics_page_sample(
    struct metrics_page *page, int64_t value, const struct metrics_label *labels, size_t count);
/* A time: of a family whose name ends in _seconds. */
void metrics_page_sample_us(
    struct metrics_page *page, int64_t us, const struct metrics_label *labels, size_t count);
/* Labels that samples of several families of this page have, written once: most of a line's cost.
 * The caller frees them with free(). NULL: out of memory, and the page is lost. */
char *metrics_page_labels(
    struct metrics_page *page, const struct metrics_label *labels, size_t count);
/* A sample with such labels; is_us: as metrics_page_sample_us(). */
void metrics_page_sample_with(
    struct metrics_page *page, int64_t value, bool is_us, const char *written);
/* Family and its only sample, without a label. */
void metrics_page_one(struct metrics_page *page, enum metrics_kind kind, const char *name,
    const char *help, int64_t value);
/* All static metrics, sorted by name. */
void metrics_page_static(struct metrics_page *page);
/* The caller frees *ret_text (NUL-terminated) with free(); wall_ms: when it was. Once. */
int metrics_page_finish(struct metrics_page *page, int64_t wall_ms, char **ret_text,
    size_t *ret_len, struct leased_err *err) LEASED_MUST_CHECK;

#endif
