/*
 * Metrics: what is counted comes out, in each of the forms that scrapers demand, whatever stands in
 * its labels.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "metrics/page.h"
#include "support/failalloc.h"

METRICS_COUNTER(expired, "test_leases_ended", "reason=\"expired\"", "Leases that ended.");
METRICS_GAUGE(open_now, "test_connections_open", "", "Connections that are open.");
METRICS_COUNTER(by_hand, "test_leases_ended", "reason=\"by hand\"", "Leases that ended.");
METRICS_HISTOGRAM(took, "test_mint_seconds", "backend=\"postgresql\"", "How long a mint took.",
    metrics_bounds_short);
METRICS_HISTOGRAM(late, "test_late_seconds", "", "How late an end came.", metrics_bounds_long);

#define WALL_MS INT64_C(1553113180000) /* 2019-03-20 20:19:40 */

static char *
finish(struct metrics_page *page)
{
	struct leased_err err = LEASED_ERR_INIT;
	char *got = NULL;
	size_t len = 0;

	assert_int_equal(metrics_page_finish(page, WALL_MS, &got, &len, &err), 0);
	assert_int_equal(strlen(got), len);
	metrics_page_free(page);
	return (got);
}

static char *
text(enum metrics_format format)
{
	struct metrics_page *page = metrics_page_new(format);

	assert_non_null(page);
	metrics_page_static(page);
	return (finish(page));
}

static void
assert_has(const char *got, const char *line)
{
	if (strstr(got, line) == NULL)
		fail_msg("not in the text: %s\n%s", line, got);
}

static void
counts_and_gauges_come_out_with_their_labels(void **state)
{
	char *got;

	(void)state;
	metrics_add(&expired, 2);
	metrics_add(&expired, 3);
	metrics_add(&by_hand, 1);
	metrics_add(&open_now, 4);
	metrics_add(&open_now, -1);
	got = text(METRICS_OPENMETRICS);
	assert_has(got, "\ntest_leases_ended_total{reason=\"expired\"} 5\n");
	assert_has(got, "\ntest_leases_ended_total{reason=\"by hand\"} 1\n");
	assert_has(got, "\ntest_connections_open 3\n");
	free(got);
	metrics_set(&open_now, -7);
	got = text(METRICS_PROMETHEUS);
	assert_has(got, "\ntest_connections_open -7\n");
	free(got);
}

static void
family_stands_together_behind_one_head(void **state)
{
	char *got = text(METRICS_OPENMETRICS);
	const char *head = strstr(got, "# TYPE test_leases_ended counter\n"
				       "# HELP test_leases_ended Leases that ended.\n"
				       "test_leases_ended_total{reason=\"by hand\"} ");

	(void)state;
	assert_non_null(head);
	assert_null(strstr(head + 1, "# TYPE test_leases_ended "));
	assert_non_null(strstr(head, "\ntest_leases_ended_total{reason=\"expired\"} "));
	assert_true(strstr(got, "# TYPE test_late_seconds") < head);
	assert_string_equal(got + strlen(got) - strlen("\n# EOF\n"), "\n# EOF\n");
	free(got);
}

static void
older_form_names_counters_as_their_samples_and_has_no_unit_and_no_end(void **state)
{
	char *got = text(METRICS_PROMETHEUS);

	(void)state;
	assert_has(got, "# TYPE test_leases_ended_total counter\n"
			"# HELP test_leases_ended_total Leases that ended.\n"
			"test_leases_ended_total{");
	assert_null(strstr(got, "# UNIT"));
	assert_null(strstr(got, "# EOF"));
	free(got);
}

static void
histogram_counts_what_is_at_most_its_bound(void **state)
{
	char *got;

	(void)state;
	metrics_observe_us(&took, -5);
	metrics_observe_us(&took, 100);
	metrics_observe_us(&took, 101);
	metrics_observe_us(&took, 1500000);
	metrics_observe_us(&took, 60000001);
	got = text(METRICS_OPENMETRICS);
	assert_has(got, "# TYPE test_mint_seconds histogram\n# UNIT test_mint_seconds seconds\n");
	assert_has(got, "\ntest_mint_seconds_bucket{backend=\"postgresql\",le=\"0.0001\"} 2\n");
	assert_has(got, "\ntest_mint_seconds_bucket{backend=\"postgresql\",le=\"0.0005\"} 3\n");
	assert_has(got, "\ntest_mint_seconds_bucket{backend=\"postgresql\",le=\"1.0\"} 3\n");
	assert_has(got, "\ntest_mint_seconds_bucket{backend=\"postgresql\",le=\"2.5\"} 4\n");
	assert_has(got, "\ntest_mint_seconds_bucket{backend=\"postgresql\",le=\"60.0\"} 4\n");
	assert_has(got, "\ntest_mint_seconds_bucket{backend=\"postgresql\",le=\"+Inf\"} 5\n");
	assert_has(got, "\ntest_mint_seconds_count{backend=\"postgresql\"} 5\n");
	assert_has(got, "\ntest_mint_seconds_sum{backend=\"postgresql\"} 61.500202\n");
	assert_has(got, "\ntest_late_seconds_bucket{le=\"+Inf\"} 0\n");
	assert_has(got, "\ntest_late_seconds_count 0\n");
	free(got);
}

static void
long_bounds_tell_a_day_from_an_hour(void **state)
{
	char *got;

	(void)state;
	metrics_observe_us(&late, INT64_C(3600) * 1000000);
	metrics_observe_us(&late, INT64_C(3601) * 1000000);
	metrics_observe_us(&late, INT64_C(86401) * 1000000);
	got = text(METRICS_PROMETHEUS);
	assert_has(got, "\ntest_late_seconds_bucket{le=\"3600.0\"} 1\n");
	assert_has(got, "\ntest_late_seconds_bucket{le=\"86400.0\"} 2\n");
	assert_has(got, "\ntest_late_seconds_bucket{le=\"+Inf\"} 3\n");
	free(got);
}

/* ---- families that are written while it runs ---- */

static struct metrics_page *
written(enum metrics_format format)
{
	struct metrics_page *page = metrics_page_new(format);

	assert_non_null(page);
	metrics_page_one(page, METRICS_KIND_COUNTER, "t_made", "What was made.", 7);
	metrics_page_family(page, METRICS_KIND_GAUGE, "t_up", "Is it up?");
	metrics_page_sample(
	    page, 1, METRICS_LABELS({"connection", "a\"b\\c\nd\x01"}, {"mount", "db/"}));
	metrics_page_sample(page, 0, METRICS_LABELS({"connection", "m\xc3\xbcller"}));
	metrics_page_family(page, METRICS_KIND_INFO, "t_build", "What this is.");
	metrics_page_sample(page, 1, METRICS_LABELS({"version", "1.2"}));
	metrics_page_family(page, METRICS_KIND_GAUGE, "t_age_seconds", "How old it is.");
	metrics_page_sample_us(page, 1500000, METRICS_NO_LABELS);
	metrics_page_sample_us(page, -250, METRICS_LABELS({"which", "x"}));
	metrics_page_one(page, METRICS_KIND_GAUGE, "t_file_bytes", "How large.", INT64_MIN);
	metrics_page_family(page, METRICS_KIND_GAUGE, "t_none", "Nothing today.");
	return (page);
}

static void
what_is_in_a_label_cannot_end_its_line(void **state)
{
	char *got = finish(written(METRICS_OPENMETRICS));

	(void)state;
	assert_string_equal(got, "# TYPE t_made counter\n"
				 "# HELP t_made What was made.\n"
				 "t_made_total 7\n"
				 "# TYPE t_up gauge\n"
				 "# HELP t_up Is it up?\n"
				 "t_up{connection=\"a\\\"b\\\\c\\nd?\",mount=\"db/\"} 1\n"
				 "t_up{connection=\"m\xc3\xbcller\"} 0\n"
				 "# TYPE t_build info\n"
				 "# HELP t_build What this is.\n"
				 "t_build_info{version=\"1.2\"} 1\n"
				 "# TYPE t_age_seconds gauge\n"
				 "# UNIT t_age_seconds seconds\n"
				 "# HELP t_age_seconds How old it is.\n"
				 "t_age_seconds 1.500000\n"
				 "t_age_seconds{which=\"x\"} -0.000250\n"
				 "# TYPE t_file_bytes gauge\n"
				 "# UNIT t_file_bytes bytes\n"
				 "# HELP t_file_bytes How large.\n"
				 "t_file_bytes -9223372036854775808\n"
				 "# TYPE t_none gauge\n"
				 "# HELP t_none Nothing today.\n"
				 "# EOF\n");
	free(got);
}

static void
json_has_the_lists_that_clients_of_vault_read(void **state)
{
	char *got = finish(written(METRICS_JSON));
	json_t *page = json_loads(got, JSON_REJECT_DUPLICATES, NULL), *up, *made;

	(void)state;
	assert_non_null(page);
	assert_string_equal(
	    json_string_value(json_object_get(page, "Timestamp")), "2019-03-20 20:19:40 +0000 UTC");
	assert_int_equal(json_array_size(json_object_get(page, "Points")), 0);
	assert_int_equal(json_array_size(json_object_get(page, "Samples")), 0);
	assert_int_equal(json_array_size(json_object_get(page, "Gauges")), 6);
	made = json_array_get(json_object_get(page, "Counters"), 0);
	assert_string_equal(json_string_value(json_object_get(made, "Name")), "t_made");
	assert_int_equal(json_integer_value(json_object_get(made, "Count")), 7);
	up = json_array_get(json_object_get(page, "Gauges"), 0);
	assert_string_equal(
	    json_string_value(json_object_get(json_object_get(up, "Labels"), "connection")),
	    "a\"b\\c\nd?");
	assert_int_equal(json_integer_value(json_object_get(up, "Value")), 1);
	json_decref(page);
	free(got);
}

static void
json_has_the_static_ones_with_their_labels(void **state)
{
	char *got = text(METRICS_JSON);
	json_t *page = json_loads(got, JSON_REJECT_DUPLICATES, NULL), *item;
	size_t i, found = 0;

	(void)state;
	assert_non_null(page);
	json_array_foreach(json_object_get(page, "Counters"), i, item)
	{
		found += strcmp(json_string_value(
				    json_object_get(json_object_get(item, "Labels"), "reason")),
			     "by hand") == 0;
	}
	assert_int_equal(found, 1);
	item = json_array_get(json_object_get(page, "Samples"), 1);
	assert_string_equal(json_string_value(json_object_get(item, "Name")), "test_mint_seconds");
	assert_int_equal(json_integer_value(json_object_get(item, "Count")), 5);
	assert_true(json_is_real(json_object_get(item, "Sum")));
	json_decref(page);
	free(got);
}

/* ---- which form ---- */

static void
form_is_what_the_client_likes_best(void **state)
{
	static const struct {
		const char *wanted, *accept;
		enum metrics_format format;
	} rows[] = {
	    {NULL, NULL, METRICS_JSON},
	    {NULL, "*/*", METRICS_JSON},
	    {"prometheus", "application/openmetrics-text", METRICS_PROMETHEUS},
	    {"openmetrics", NULL, METRICS_OPENMETRICS},
	    {"json", "text/plain", METRICS_JSON},
	    {"anything", "text/plain", METRICS_JSON},
	    {NULL, "text/plain", METRICS_PROMETHEUS},
	    {NULL, "application/openmetrics-text; version=1.0.0; charset=utf-8",
		METRICS_OPENMETRICS},
	    {NULL,
		"application/openmetrics-text;version=1.0.0;q=0.5,application/"
		"openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
		METRICS_OPENMETRICS},
	    {NULL, "application/openmetrics-text;q=0.2 , Text/Plain;q=0.75", METRICS_PROMETHEUS},
	    {NULL, "text/plain;q=0", METRICS_JSON},
	    {NULL, "text/plain;q=1.9,application/json", METRICS_PROMETHEUS},
	    {NULL, ";q,;;q=,text/plainer,", METRICS_JSON},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (metrics_format_choose(rows[i].wanted, rows[i].accept, METRICS_JSON) !=
		    rows[i].format)
			fail_msg("row %zu", i);
	assert_int_equal(
	    metrics_format_choose(NULL, "*/*", METRICS_PROMETHEUS), METRICS_PROMETHEUS);
	assert_string_equal(
	    metrics_content_type(METRICS_PROMETHEUS), "text/plain; version=0.0.4; charset=utf-8");
	assert_string_equal(metrics_content_type(METRICS_OPENMETRICS),
	    "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

/* ---- memory ---- */

static int
write_them(void *arg)
{
	struct metrics_page *page = metrics_page_new(*(enum metrics_format *)arg);
	struct leased_err err = LEASED_ERR_INIT;
	char *got = NULL;
	size_t len;
	int r;

	if (page == NULL)
		return (LEASED_ENOMEM);
	metrics_page_static(page);
	for (int i = 0; i < 200; i++)
		metrics_page_one(page, METRICS_KIND_GAUGE, "t_gauge", "Many of them.", i);
	r = metrics_page_finish(page, WALL_MS, &got, &len, &err);
	free(got);
	metrics_page_free(page);
	return (r);
}

static void
out_of_memory_is_said(void **state)
{
	enum metrics_format format;

	(void)state;
	for (format = METRICS_PROMETHEUS; format <= METRICS_JSON; format++)
		assert_true(failalloc_each(write_them, &format) >= 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counts_and_gauges_come_out_with_their_labels),
	    cmocka_unit_test(family_stands_together_behind_one_head),
	    cmocka_unit_test(older_form_names_counters_as_their_samples_and_has_no_unit_and_no_end),
	    cmocka_unit_test(histogram_counts_what_is_at_most_its_bound),
	    cmocka_unit_test(long_bounds_tell_a_day_from_an_hour),
	    cmocka_unit_test(what_is_in_a_label_cannot_end_its_line),
	    cmocka_unit_test(json_has_the_lists_that_clients_of_vault_read),
	    cmocka_unit_test(json_has_the_static_ones_with_their_labels),
	    cmocka_unit_test(form_is_what_the_client_likes_best),
	    cmocka_unit_test(out_of_memory_is_said),
	};

	return (cmocka_run_group_tests_name("metrics", tests, NULL, NULL));
}
