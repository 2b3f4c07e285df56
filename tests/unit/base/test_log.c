/*
 * The log: shape of a line in both formats, hostile values, cuts, limits, and the ways to end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "support/child.h"

static void
text_lines(void *arg)
{
	(void)arg;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info("lease revoked", LOG_S("lease", "database/creds/app/1"), LOG_I("late_ms", -3),
	    LOG_S("why", "two words"));
	log_debug("not shown");
	log_warn("hostile \x1b[31m\n", LOG_S("value", "a\"b\\c\n\x7f\xc2\x85"),
	    LOG_S("none", (const char *)NULL));
}

static void
text_line_has_time_level_message_and_fields(void **state)
{
	char output[4096], *line;

	(void)state;
	assert_int_equal(child_run(text_lines, NULL, output, sizeof(output)), 0);
	line = output + strlen("2026-11-23T02:43:50.123Z");
	assert_int_equal(line[-1], 'Z');
	assert_int_equal(
	    strncmp(line,
		" info: lease revoked lease=database/creds/app/1 late_ms=-3 why=\"two words\"\n",
		74),
	    0);
	assert_null(strstr(output, "not shown"));
}

static void
hostile_values_cannot_break_a_line_or_steer_a_terminal(void **state)
{
	char output[4096];
	const char *warning;

	(void)state;
	assert_int_equal(child_run(text_lines, NULL, output, sizeof(output)), 0);
	warning = strstr(output, " warn: ");
	assert_non_null(warning);
	assert_string_equal(warning,
	    " warn: hostile \\x1b[31m\\n value=\"a\\\"b\\\\c\\n\\x7f\\xc2\\x85\" none=\"\"\n");
}

static void
json_lines(void *arg)
{
	(void)arg;
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
	log_debug("m\"", LOG_S("a", "\x01\xff caf\xc3\xa9 \xed\xa0\x80"), LOG_I("n", INT64_MIN));
}

static void
json_line_is_one_valid_object(void **state)
{
	char output[4096];
	json_t *object;

	(void)state;
	assert_int_equal(child_run(json_lines, NULL, output, sizeof(output)), 0);
	assert_ptr_equal(strchr(output, '\n'), output + strlen(output) - 1);
	object = json_loads(output, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(object);
	assert_string_equal(json_string_value(json_object_get(object, "level")), "debug");
	assert_string_equal(json_string_value(json_object_get(object, "message")), "m\"");
	assert_string_equal(json_string_value(json_object_get(object, "a")),
	    "\x01\xef\xbf\xbd caf\xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_true(json_integer_value(json_object_get(object, "n")) == INT64_MIN);
	json_decref(object);
}

static void
long_lines(void *arg)
{
	char value[9000];
	enum log_format format = *(const enum log_format *)arg;

	memset(value, '\n', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	log_setup(LOG_LEVEL_INFO, format);
	log_info("long", LOG_S("value", value), LOG_S("after", "it"));
	log_info("next");
}

static void
long_line_is_cut_visibly_and_stays_whole(void **state)
{
	enum log_format text = LOG_FORMAT_TEXT, json = LOG_FORMAT_JSON;
	char output[16384], *end;
	json_t *object;

	(void)state;
	assert_int_equal(child_run(long_lines, &text, output, sizeof(output)), 0);
	end = strchr(output, '\n');
	assert_true(end - output < 4096);
	assert_int_equal(strncmp(end - 12, "[cut]\" [cut]\n", 13), 0);
	assert_int_equal(child_run(long_lines, &json, output, sizeof(output)), 0);
	*strchr(output, '\n') = '\0';
	object = json_loads(output, 0, NULL);
	assert_non_null(object);
	assert_true(json_is_true(json_object_get(object, "cut")));
	json_decref(object);
}

static void
lose_lines(void *arg)
{
	int pipe_fds[2], saved_fd = dup(STDERR_FILENO);
	char junk[65536] = "";

	/* A pipe that blocks, as everybody's stderr does, and nobody who reads. */
	(void)arg;
	(void)alarm(10);
	CHILD_CHECK(pipe2(pipe_fds, 0) == 0);
	CHILD_CHECK(write(pipe_fds[1], junk, sizeof(junk)) == (ssize_t)sizeof(junk));
	CHILD_CHECK(dup2(pipe_fds[1], STDERR_FILENO) != -1);
	log_info("lost");
	log_info("lost");
	CHILD_CHECK(dup2(saved_fd, STDERR_FILENO) != -1);
	log_info("seen");
	log_info("again");
}

static void
lines_that_nobody_took_are_counted(void **state)
{
	char output[4096];

	(void)state;
	assert_int_equal(child_run(lose_lines, NULL, output, sizeof(output)), 0);
	assert_non_null(strstr(output, "info: seen lost_lines=2\n"));
	assert_non_null(strstr(output, "info: again\n"));
}

static void
limit_passes_one_and_counts_the_rest(void **state)
{
	struct log_limit limit = {0};
	uint64_t left_out = 99;
	int i;

	(void)state;
	assert_true(log_limited(&limit, &left_out));
	assert_int_equal(left_out, 0);
	for (i = 0; i < 7; i++)
		assert_false(log_limited(&limit, &left_out));
	limit.last_boot_us -= 1000000;
	assert_true(log_limited(&limit, &left_out));
	assert_int_equal(left_out, 7);
}

static void *
say_much(void *arg)
{
	static struct log_limit limit;
	uint64_t left_out;
	int i;

	for (i = 0; i < 200; i++) {
		log_info("a line of a thread", LOG_I("number", i));
		(void)log_limited(&limit, &left_out);
	}
	return (arg);
}

static void
log_from_threads(void *arg)
{
	pthread_t threads[4];
	int i;

	(void)arg;
	for (i = 0; i < 4; i++)
		CHILD_CHECK(pthread_create(&threads[i], NULL, say_much, NULL) == 0);
	for (i = 0; i < 4; i++)
		CHILD_CHECK(pthread_join(threads[i], NULL) == 0);
}

static void
lines_of_threads_do_not_mix(void **state)
{
	static char output[100000];
	char *line, *rest = output;
	int count = 0;

	(void)state;
	assert_int_equal(child_run(log_from_threads, NULL, output, sizeof(output)), 0);
	while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
		assert_int_equal(strncmp(line + 24, " info: a line of a thread number=", 33), 0);
		assert_int_equal(strspn(line + 57, "0123456789"), strlen(line + 57));
		count++;
	}
	assert_int_equal(count, 800);
}

static void
meet_a_bug(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)arg;
	CHILD_CHECK(!log_bug_seen());
	CHILD_CHECK(bug(&err, "state %d", 7) == LEASED_EBUG);
	CHILD_CHECK(err.code == LEASED_EBUG && strstr(err.text, "state 7") != NULL);
	CHILD_CHECK(log_bug_seen());
}

static void
bug_is_logged_and_fatal_only_in_debug_builds(void **state)
{
	char output[4096];
	int status = child_run(meet_a_bug, NULL, output, sizeof(output));

	(void)state;
	assert_non_null(strstr(output, "error: bug what=\"state 7\""));
#ifdef LEASED_DEBUG
	assert_int_equal(status, 128 + SIGABRT);
#else
	assert_int_equal(status, 0);
#endif
}

static void
give_up(void *arg)
{
	(void)arg;
	log_fatal("cannot open %s", "the store");
}

static void
fatal_says_why_and_exits_with_1(void **state)
{
	char output[4096];

	(void)state;
	assert_int_equal(child_run(give_up, NULL, output, sizeof(output)), 1);
	assert_non_null(strstr(output, "error: cannot open the store\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_line_has_time_level_message_and_fields),
	    cmocka_unit_test(hostile_values_cannot_break_a_line_or_steer_a_terminal),
	    cmocka_unit_test(json_line_is_one_valid_object),
	    cmocka_unit_test(long_line_is_cut_visibly_and_stays_whole),
	    cmocka_unit_test(lines_that_nobody_took_are_counted),
	    cmocka_unit_test(lines_of_threads_do_not_mix),
	    cmocka_unit_test(limit_passes_one_and_counts_the_rest),
	    cmocka_unit_test(bug_is_logged_and_fatal_only_in_debug_builds),
	    cmocka_unit_test(fatal_says_why_and_exits_with_1),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
