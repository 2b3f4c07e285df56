/*
 * Metrics: what is counted comes out, in the form that scrapers demand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/metrics.h"
#include "support/failalloc.h"

METRICS_COUNTER(expired, "test_leases_ended", "reason=\"expired\"", "Leases that ended.");
METRICS_GAUGE(open_now, "test_connections_open", "", "Connections that are open.");
METRICS_COUNTER(by_hand, "test_leases_ended", "reason=\"by hand\"", "Leases that ended.");
METRICS_HISTOGRAM(took, "test_mint_seconds", "backend=\"postgresql\"", "How long a mint took.");
METRICS_HISTOGRAM(commit, "test_commit_seconds", "", "How long a commit took.");

static char *
text(void)
{
	struct leased_err err = LEASED_ERR_INIT;
	char *got = NULL;
	size_t len = 0;

	assert_int_equal(metrics_text(&got, &len, &err), 0);
	assert_int_equal(strlen(got), len);
	return (got);
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
	got = text();
	assert_has(got, "\ntest_leases_ended_total{reason=\"expired\"} 5\n");
	assert_has(got, "\ntest_leases_ended_total{reason=\"by hand\"} 1\n");
	assert_has(got, "\ntest_connections_open 3\n");
	free(got);
	metrics_set(&open_now, -7);
	got = text();
	assert_has(got, "\ntest_connections_open -7\n");
	free(got);
}

static void
family_stands_together_behind_one_head(void **state)
{
	char *got = text();
	const char *head = strstr(got, "# TYPE test_leases_ended counter\n"
				       "# HELP test_leases_ended Leases that ended.\n"
				       "test_leases_ended_total{reason=\"by hand\"} ");

	(void)state;
	assert_non_null(head);
	assert_null(strstr(head + 1, "# TYPE test_leases_ended "));
	assert_non_null(strstr(head, "\ntest_leases_ended_total{reason=\"expired\"} "));
	assert_true(strstr(got, "# TYPE test_commit_seconds") < head);
	assert_string_equal(got + strlen(got) - strlen("\n# EOF\n"), "\n# EOF\n");
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
	got = text();
	assert_has(got, "# TYPE test_mint_seconds histogram\n# UNIT test_mint_seconds seconds\n");
	assert_has(got, "\ntest_mint_seconds_bucket{backend=\"postgresql\",le=\"0.0001\"} 2\n");
	assert_has(got, "\ntest_mint_seconds_bucket{backend=\"postgresql\",le=\"0.0005\"} 3\n");
	assert_has(got, "\ntest_mint_seconds_bucket{backend=\"postgresql\",le=\"1.0\"} 3\n");
	assert_has(got, "\ntest_mint_seconds_bucket{backend=\"postgresql\",le=\"5.0\"} 4\n");
	assert_has(got, "\ntest_mint_seconds_bucket{backend=\"postgresql\",le=\"60.0\"} 4\n");
	assert_has(got, "\ntest_mint_seconds_bucket{backend=\"postgresql\",le=\"+Inf\"} 5\n");
	assert_has(got, "\ntest_mint_seconds_count{backend=\"postgresql\"} 5\n");
	assert_has(got, "\ntest_mint_seconds_sum{backend=\"postgresql\"} 61.500202\n");
	assert_has(got, "\ntest_commit_seconds_bucket{le=\"+Inf\"} 0\n");
	assert_has(got, "\ntest_commit_seconds_count 0\n");
	free(got);
	metrics_observe_us(&commit, 1);
}

static int
write_them(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	char *got = NULL;
	size_t len;
	int r;

	(void)arg;
	r = metrics_text(&got, &len, &err);
	free(got);
	return (r);
}

static void
out_of_memory_is_said(void **state)
{
	(void)state;
	assert_true(failalloc_each(write_them, NULL) >= 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counts_and_gauges_come_out_with_their_labels),
	    cmocka_unit_test(family_stands_together_behind_one_head),
	    cmocka_unit_test(histogram_counts_what_is_at_most_its_bound),
	    cmocka_unit_test(out_of_memory_is_said),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
