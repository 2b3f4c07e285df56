/*
 * The lines of connections: each has its own, with its names escaped; many are bounded, and a
 * thousand hold the loop for moments only.
 */
#include <time.h>

#include "engine/stats.h"
#include "unit/engine/fixture.h"

#define ON(server)                                                                                 \
	"{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"" server                       \
	"\",\"allowed_roles\":\"*\"}"
#define ROLE "{\"db_name\":\"main\",\"grant_roles\":[\"app\"],\"default_ttl\":3600}"

static char *
page_of(struct fix *f)
{
	struct metrics_page *page = metrics_page_new(METRICS_OPENMETRICS);
	struct leased_err err = LEASED_ERR_INIT;
	char *text = NULL;
	size_t len;

	assert_non_null(page);
	engines_metrics(f->engines, page);
	assert_int_equal(metrics_page_finish(page, 0, &text, &len, &err), 0);
	metrics_page_free(page);
	return (text);
}

static void
assert_line(struct fix *f, const char *line)
{
	char *text = page_of(f);

	if (strstr(text, line) == NULL)
		fail_msg("not in the text: %s\n%s", line, text);
	free(text);
}

static void
assert_no_line(struct fix *f, const char *line)
{
	char *text = page_of(f);

	if (strstr(text, line) != NULL)
		fail_msg("in the text: %s\n%s", line, text);
	free(text);
}

static unsigned
lines(const char *text, const char *start)
{
	unsigned count = 0;

	while ((text = strstr(text, start)) != NULL) {
		count++;
		text += strlen(start);
	}
	return (count);
}

static void
each_connection_has_its_lines_and_a_dead_one_says_why(void **state)
{
	struct fix *f = *state;

	assert_line(f, "\nleased_connections 0\n");
	must(f, ENGINE_WRITE, "config/main", ON("one"));
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	must(f, ENGINE_READ, "creds/app", NULL);
	later(f, 16);
	assert_line(f, "\nleased_connection_up{connection=\"main\",mount=\"database/\"} 1\n");
	assert_line(f, "\nleased_connection_leases{connection=\"main\",mount=\"database/\"} 1\n");
	assert_line(f, "\nleased_connection_overdue{connection=\"main\",mount=\"database/\"} 0\n");
	assert_no_line(f, "\nleased_connection_down_reason{");
	assert_no_line(f, "\nleased_connection_end_error_timestamp_seconds{");
	assert_line(f, "\nleased_connections 1\n");
	fake_port_set_down(last_port(f), true);
	assert_line(f, "\nleased_connection_up{connection=\"main\",mount=\"database/\"} 0\n");
	assert_line(f, "\nleased_connection_down_reason{connection=\"main\",mount=\"database/\","
		       "error=\"unavailable\"} 1\n");
	later(f, 3700);
	assert_line(f, "\nleased_connection_overdue{connection=\"main\",mount=\"database/\"} 1\n");
	fake_port_set_down(last_port(f), false);
	later(f, 60);
	assert_line(f, "\nleased_connection_overdue{connection=\"main\",mount=\"database/\"} 0\n");
	assert_line(f, "\nleased_connection_leases{connection=\"main\",mount=\"database/\"} 0\n");
}

static void
candidate_that_is_only_tried_is_no_connection(void **state)
{
	struct fix *f = *state;
	struct answer answer = {0};

	start(f, ENGINE_WRITE, "config/main", ON("one"), &answer);
	for (unsigned i = 0; i < 3 && answer.count == 0; i++) {
		(void)turn(f);
		assert_line(f, "\nleased_connections 0\n");
	}
	settle(f);
	assert_line(f, "\nleased_connections 1\n");
	answer_clear(&answer);
}

static int64_t
now_us(void)
{
	struct timespec at;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at), 0);
	return ((int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000);
}

static void
many_connections_are_bounded_and_hold_the_loop_for_moments(void **state)
{
	struct fix *f = *state;
	struct engine_connection *made = calloc(ENGINE_STATS_MAX + 5, sizeof(*made));
	char name[40], *text;
	int64_t best_us = INT64_MAX, us;

	assert_non_null(made);
	must(f, ENGINE_WRITE, "config/main", ON("one"));
	for (unsigned i = 0; i < ENGINE_STATS_MAX + 5; i++) {
		(void)snprintf(name, sizeof(name), "conn\"%u", i);
		made[i] = *LIST_FIRST(&f->engines->connections);
		made[i].id = 1000000 + i;
		made[i].name = strdup(name);
		LIST_INSERT_HEAD(&f->engines->connections, &made[i], link);
	}
	for (unsigned i = 0; i < 5; i++) {
		us = now_us();
		text = page_of(f);
		us = now_us() - us;
		best_us = us < best_us ? us : best_us;
		assert_int_equal(lines(text, "\nleased_connection_up{"), ENGINE_STATS_MAX);
		assert_non_null(strstr(text, "\nleased_connection_up{connection=\"main\","));
		assert_non_null(strstr(text, "{connection=\"conn\\\"998\",mount="));
		assert_null(strstr(text, "{connection=\"conn\\\"999\",mount="));
		assert_non_null(strstr(text, "\nleased_connections_left_out 6\n"));
		free(text);
	}
	print_message("a page of %u connections: %lld us\n", ENGINE_STATS_MAX, (long long)best_us);
	assert_in_range(best_us, 0, 30000); /* sanitizers and busy machines included */
	for (unsigned i = 0; i < ENGINE_STATS_MAX + 5; i++) {
		LIST_REMOVE(&made[i], link);
		free(made[i].name);
	}
	free(made);
}

static int
page_try(void *arg)
{
	struct metrics_page *page = metrics_page_new(METRICS_JSON);
	struct leased_err err = LEASED_ERR_INIT;
	char *text = NULL;
	size_t len;
	int r;

	if (page == NULL)
		return (LEASED_ENOMEM);
	engines_metrics(arg, page);
	r = metrics_page_finish(page, 0, &text, &len, &err);
	free(text);
	metrics_page_free(page);
	return (r);
}

static void
a_page_that_memory_cuts_off_is_no_page(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", ON("one"));
	assert_true(failalloc_each(page_try, f->engines) >= 3);
}

static void
start_is_loading_until_all_are_opened(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", ON("one"));
	assert_false(engines_are_loading(f->engines));
	fix_close(f);
	fix_open(f);
	settle(f);
	assert_false(engines_are_loading(f->engines));
	assert_line(f, "\nleased_connections 1\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_connection_has_its_lines_and_a_dead_one_says_why),
	    TEST(candidate_that_is_only_tried_is_no_connection),
	    TEST(many_connections_are_bounded_and_hold_the_loop_for_moments),
	    TEST(a_page_that_memory_cuts_off_is_no_page),
	    TEST(start_is_loading_until_all_are_opened),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("engine: stats", tests, NULL, NULL));
}
