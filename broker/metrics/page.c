/*
 * A page of metrics: families, samples, and what each of the three forms puts around them. Finds
 * the static metrics in a section that the linker gathers. Does not know what is measured, nor who
 * reads it: the API does.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "metrics/page_private.h"

#define UNIT_SECONDS "_seconds"
#define UNIT_BYTES "_bytes"

/* Weak: a program in which nobody counts has no such section. */
extern struct metrics_metric *const __start_leased_metrics[] __attribute__((weak));
extern struct metrics_metric *const __stop_leased_metrics[] __attribute__((weak));

struct metrics_page *
metrics_page_new(enum metrics_format format)
{
	struct metrics_page *page = calloc(1, sizeof(*page));

	if (page == NULL)
		return (NULL);
	page->format = format;
	page->out = &page->parts[0];
	return (page);
}

void
metrics_page_free(struct metrics_page *page)
{
	if (page == NULL)
		return;
	for (size_t i = 0; i < sizeof(page->parts) / sizeof(page->parts[0]); i++)
		free(page->parts[i].bytes);
	free(page);
}

/* ---- families ---- */

/* What stands behind the family's name in a sample that is no part of a histogram. */
static const char *
suffix_of(enum metrics_kind kind)
{
	switch (kind) {
	case METRICS_KIND_COUNTER:
		return ("_total");
	case METRICS_KIND_INFO:
		return ("_info");
	case METRICS_KIND_GAUGE:
	case METRICS_KIND_HISTOGRAM:
		break;
	}
	return ("");
}

static const char *
kind_name(enum metrics_kind kind, enum metrics_format format)
{
	switch (kind) {
	case METRICS_KIND_COUNTER:
		return ("counter");
	case METRICS_KIND_GAUGE:
		return ("gauge");
	case METRICS_KIND_HISTOGRAM:
		return ("histogram");
	case METRICS_KIND_INFO:
		break;
	}
	return (format == METRICS_OPENMETRICS ? "info" : "gauge");
}

static bool
ends_in(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return (len > end_len && strcmp(name + len - end_len, end) == 0);
}

/* "# TYPE name counter": the older form names the family as its samples are named. */
static void
put_comment(struct metrics_page *page, const char *word, const char *text)
{
	metrics_puts(page->out, "# ");
	metrics_puts(page->out, word);
	metrics_puts(page->out, page->name);
	if (page->format == METRICS_PROMETHEUS)
		metrics_puts(page->out, suffix_of(page->kind));
	metrics_put(page->out, " ", 1);
	metrics_puts(page->out, text);
	metrics_put(page->out, "\n", 1);
}

void
metrics_page_family(
    struct metrics_page *page, enum metrics_kind kind, const char *name, const char *help)
{
	page->kind = kind;
	page->name = name;
	if (page->format == METRICS_JSON) {
		page->out = &page->parts[kind < METRICS_KIND_INFO ? kind : METRICS_KIND_GAUGE];
		return;
	}
	put_comment(page, "TYPE ", kind_name(kind, page->format));
	if (page->format == METRICS_OPENMETRICS && ends_in(name, UNIT_SECONDS))
		put_comment(page, "UNIT ", &UNIT_SECONDS[1]);
	else if (page->format == METRICS_OPENMETRICS && ends_in(name, UNIT_BYTES))
		put_comment(page, "UNIT ", &UNIT_BYTES[1]);
	put_comment(page, "HELP ", help);
}

/* ---- samples ---- */

static void
put_labels(const struct metrics_page *page, const struct metrics_label *labels, size_t count,
    struct metrics_text *text)
{
	const char *between = page->format == METRICS_JSON ? "\":\"" : "=\"";

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			metrics_put(text, ",", 1);
		if (page->format == METRICS_JSON)
			metrics_put(text, "\"", 1);
		metrics_puts(text, labels[i].name);
		metrics_puts(text, between);
		metrics_put_escaped(text, labels[i].value);
		metrics_put(text, "\"", 1);
	}
}

/* reason="expired" as it stands, or, in JSON, with its name in quotes. Literals have no quote and
 * no comma within their values. */
static void
put_literal(struct metrics_page *page, const char *text)
{
	size_t len;

	if (page->format != METRICS_JSON) {
		metrics_puts(page->out, text);
		return;
	}
	while (*text != '\0') {
		len = strcspn(text, "=");
		metrics_put(page->out, "\"", 1);
		metrics_put(page->out, text, len);
		metrics_put(page->out, "\":", 2);
		text += len + (text[len] == '=');
		len = strcspn(text, ",");
		metrics_put(page->out, text, len + (text[len] == ','));
		text += len + (text[len] == ',');
	}
}

/* {"Name":"x","Labels":{..},"Value": or "Count": */
static void
put_json_open(struct metrics_page *page)
{
	metrics_puts(page->out, page->out->len > 0 ? ",{\"Name\":\"" : "{\"Name\":\"");
	metrics_puts(page->out, page->name);
	metrics_puts(page->out, "\",\"Labels\":{");
}

static void
put_json_value(struct metrics_page *page, int64_t value, bool is_us)
{
	bool counter = page->kind == METRICS_KIND_COUNTER;

	metrics_puts(page->out, counter ? "},\"Count\":" : "},\"Value\":");
	(is_us ? metrics_put_seconds : metrics_put_int)(page->out, value);
	metrics_puts(page->out, "}");
}

/* Up to the labels, and from behind them. */
static void
put_sample_open(struct metrics_page *page, bool labeled)
{
	if (page->format == METRICS_JSON) {
		put_json_open(page);
		return;
	}
	metrics_puts(page->out, page->name);
	metrics_puts(page->out, suffix_of(page->kind));
	metrics_put(page->out, "{", labeled);
}

static void
put_sample_close(struct metrics_page *page, bool labeled, int64_t value, bool is_us)
{
	if (page->format == METRICS_JSON) {
		put_json_value(page, value, is_us);
		return;
	}
	metrics_puts(page->out, labeled ? "} " : " ");
	(is_us ? metrics_put_seconds : metrics_put_int)(page->out, value);
	metrics_put(page->out, "\n", 1);
}

void
metrics_page_sample(
    struct metrics_page *page, int64_t value, const struct metrics_label *labels, size_t count)
{
	put_sample_open(page, count > 0);
	put_labels(page, labels, count, page->out);
	put_sample_close(page, count > 0, value, false);
}

void
metrics_page_sample_us(
    struct metrics_page *page, int64_t us, const struct metrics_label *labels, size_t count)
{
	put_sample_open(page, count > 0);
	put_labels(page, labels, count, page->out);
	put_sample_close(page, count > 0, us, true);
}

char *
metrics_page_labels(struct metrics_page *page, const struct metrics_label *labels, size_t count)
{
	struct metrics_text text = {0};

	metrics_puts(&text, "");
	put_labels(page, labels, count, &text);
	if (!text.failed)
		return (text.bytes);
	free(text.bytes);
	page->out->failed = true;
	return (NULL);
}

void
metrics_page_sample_with(struct metrics_page *page, int64_t value, bool is_us, const char *written)
{
	put_sample_open(page, written[0] != '\0');
	metrics_puts(page->out, written);
	put_sample_close(page, written[0] != '\0', value, is_us);
}

void
metrics_page_one(struct metrics_page *page, enum metrics_kind kind, const char *name,
    const char *help, int64_t value)
{
	metrics_page_family(page, kind, name, help);
	metrics_page_sample(page, value, METRICS_NO_LABELS);
}

/* ---- histograms ---- */

static void
put_bucket(struct metrics_page *page, const char *suffix, const char *literal, const char *bound)
{
	metrics_puts(page->out, page->name);
	metrics_puts(page->out, suffix);
	if (literal[0] != '\0' || bound != NULL)
		metrics_put(page->out, "{", 1);
	metrics_puts(page->out, literal);
	if (bound != NULL) {
		metrics_puts(page->out, literal[0] != '\0' ? ",le=\"" : "le=\"");
		metrics_puts(page->out, bound);
		metrics_put(page->out, "\"", 1);
	}
	metrics_puts(page->out, literal[0] != '\0' || bound != NULL ? "} " : " ");
}

static void
put_json_histogram(
    struct metrics_page *page, const struct metrics_metric *metric, int64_t count, int64_t sum)
{
	put_json_open(page);
	put_literal(page, metric->labels);
	metrics_puts(page->out, "},\"Count\":");
	metrics_put_int(page->out, count);
	metrics_puts(page->out, ",\"Sum\":");
	metrics_put_seconds(page->out, sum);
	metrics_puts(page->out, ",\"Mean\":");
	metrics_put_seconds(page->out, count > 0 ? sum / count : 0);
	metrics_puts(page->out, "}");
}

static void
put_histogram(struct metrics_page *page, const struct metrics_metric *metric)
{
	long long sum = atomic_load_explicit(&metric->value, memory_order_relaxed), count = 0;

	for (size_t i = 0; i < METRICS_BUCKETS; i++) {
		/* What others count meanwhile may be in one line and not in the next: the lines
		 * still rise, and the last of them is the count. */
		count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
		if (page->format == METRICS_JSON)
			continue;
		put_bucket(page, "_bucket", metric->labels, metric->bounds[i].seconds);
		metrics_put_int(page->out, count);
		metrics_put(page->out, "\n", 1);
	}
	if (page->format == METRICS_JSON) {
		put_json_histogram(page, metric, count, sum);
		return;
	}
	put_bucket(page, "_count", metric->labels, NULL);
	metrics_put_int(page->out, count);
	metrics_put(page->out, "\n", 1);
	put_bucket(page, "_sum", metric->labels, NULL);
	metrics_put_seconds(page->out, sum);
	metrics_put(page->out, "\n", 1);
}

/* ---- the static ones ---- */

static int
by_name(const void *a, const void *b)
{
	const struct metrics_metric *left = *(struct metrics_metric *const *)a;
	const struct metrics_metric *right = *(struct metrics_metric *const *)b;
	int order = strcmp(left->name, right->name);

	return (order != 0 ? order : strcmp(left->labels, right->labels));
}

static void
put_static(struct metrics_page *page, struct metrics_metric *metric)
{
	bool labeled = metric->labels[0] != '\0';

	put_sample_open(page, labeled);
	put_literal(page, metric->labels);
	put_sample_close(
	    page, labeled, atomic_load_explicit(&metric->value, memory_order_relaxed), false);
}

void
metrics_page_static(struct metrics_page *page)
{
	size_t count = (size_t)(__stop_leased_metrics - __start_leased_metrics);
	struct metrics_metric **sorted = NULL, *metric;

	if (count == 0)
		return;
	if ((sorted = reallocarray(NULL, count, sizeof(struct metrics_metric *))) == NULL) {
		page->out->failed = true;
		return;
	}
	memcpy(sorted, __start_leased_metrics, count * sizeof(struct metrics_metric *));
	qsort(sorted, count, sizeof(struct metrics_metric *), by_name);
	for (size_t i = 0; i < count; i++) {
		metric = sorted[i];
		if (i == 0 || strcmp(metric->name, sorted[i - 1]->name) != 0)
			metrics_page_family(page, metric->kind, metric->name, metric->help);
		if (metric->kind == METRICS_KIND_HISTOGRAM)
			put_histogram(page, metric);
		else
			put_static(page, metric);
	}
	free(sorted);
}

/* ---- the end ---- */

/* As Vault writes it. */
static void
put_timestamp(struct metrics_text *text, int64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	char when[64];
	struct tm utc;

	if (gmtime_r(&seconds, &utc) == NULL ||
	    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S +0000 UTC", &utc) == 0)
		when[0] = '\0';
	metrics_puts(text, "{\"Timestamp\":\"");
	metrics_puts(text, when);
	metrics_puts(text, "\"");
}

static void
put_json_page(struct metrics_page *page, int64_t wall_ms, struct metrics_text *text)
{
	static const struct {
		const char *head;
		enum metrics_kind kind;
	} rows[] = {{",\"Gauges\":[", METRICS_KIND_GAUGE},
	    {"],\"Points\":[],\"Counters\":[", METRICS_KIND_COUNTER},
	    {"],\"Samples\":[", METRICS_KIND_HISTOGRAM}};

	put_timestamp(text, wall_ms);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct metrics_text *part = &page->parts[rows[i].kind];

		metrics_puts(text, rows[i].head);
		metrics_put(text, part->len > 0 ? part->bytes : "", part->len);
		text->failed = text->failed || part->failed;
	}
	metrics_puts(text, "]}\n");
}

int
metrics_page_finish(struct metrics_page *page, int64_t wall_ms, char **ret_text, size_t *ret_len,
    struct leased_err *err)
{
	struct metrics_text whole = {0}, *text = &page->parts[0];

	if (page->format == METRICS_JSON) {
		text = &whole;
		put_json_page(page, wall_ms, text);
	} else if (page->format == METRICS_OPENMETRICS) {
		metrics_puts(text, "# EOF\n");
	} else {
		metrics_puts(text, ""); /* a text without a byte is one, too */
	}
	if (text->failed) {
		free(whole.bytes);
		return (
		    leased_err_set(err, LEASED_ENOMEM, "out of memory while writing the metrics"));
	}
	*ret_text = text->bytes;
	*ret_len = text->len;
	*text = (struct metrics_text){0};
	return (0);
}
