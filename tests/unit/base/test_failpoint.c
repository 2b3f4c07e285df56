/*
 * Failpoints: each action, the pass that it waits for, and settings that cannot be understood.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/wclock.h"
#include "support/child.h"

#ifdef LEASED_FAILPOINTS

static void
pass_three_times(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	int i;

	(void)setenv("LEASED_FAILPOINT", arg, 1);
	failpoint_setup();
	for (i = 0; i < 3; i++) {
		if (FAILPOINT_ERROR(base_test_first, &err) != 0)
			dprintf(
			    STDERR_FILENO, "%d:%s:%s\n", i, leased_code_name(err.code), err.text);
		FAILPOINT(base_test_second);
		dprintf(STDERR_FILENO, "pass %d\n", i);
	}
}

static int
run(const char *setting, char *ret_output, size_t size)
{
	return (child_run(pass_three_times, (void *)(uintptr_t)setting, ret_output, size));
}

static void
unarmed_points_do_nothing(void **state)
{
	char output[1024];

	(void)state;
	assert_int_equal(run("", output, sizeof(output)), 0);
	assert_string_equal(output, "pass 0\npass 1\npass 2\n");
}

static void
kill_and_exit_act_on_their_pass(void **state)
{
	char output[1024];

	(void)state;
	assert_int_equal(run("base_test_second=kill", output, sizeof(output)), 128 + SIGKILL);
	assert_string_equal(output, "");
	assert_int_equal(run("base_test_second=kill@3", output, sizeof(output)), 128 + SIGKILL);
	assert_string_equal(output, "pass 0\npass 1\n");
	assert_int_equal(run("base_test_first=exit:7@2", output, sizeof(output)), 7);
	assert_string_equal(output, "pass 0\n");
	assert_int_equal(run("base_test_second=kill@4", output, sizeof(output)), 0);
}

static bool
is_marked(const char *dir, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return (unlink(path) == 0);
}

static void
arm(const char *dir, const char *setting)
{
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/base_test_second.armed", dir);
	assert_non_null(file = fopen(path, "w"));
	assert_true(fputs(setting, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* A worker that is started in place of a killed one must not be killed as well. */
static void
a_file_arms_a_point_for_one_pass_of_all_processes(void **state)
{
	char output[1024], dir[] = "/tmp/leased-failpoint-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(setenv("LEASED_FAILPOINT_DIR", dir, 1), 0);
	assert_int_equal(run("", output, sizeof(output)), 0);
	assert_false(is_marked(dir, "base_test_second.acted"));
	arm(dir, "kill@5");
	assert_int_equal(run("", output, sizeof(output)), 0);
	assert_int_equal(run("", output, sizeof(output)), 128 + SIGKILL);
	assert_string_equal(output, "pass 0\n");
	assert_true(is_marked(dir, "base_test_second.acted"));
	assert_int_equal(run("", output, sizeof(output)), 0);
	arm(dir, "exit:7");
	assert_int_equal(run("", output, sizeof(output)), 7);
	assert_int_equal(unsetenv("LEASED_FAILPOINT_DIR"), 0);
	assert_true(is_marked(dir, "base_test_first.passed"));
	assert_true(is_marked(dir, "base_test_second.passed"));
	assert_true(is_marked(dir, "base_test_second.acted"));
	assert_int_equal(rmdir(dir), 0);
}

static void
error_comes_once_and_names_the_point(void **state)
{
	char output[1024];

	(void)state;
	assert_int_equal(run("base_test_first=error:no_space@2", output, sizeof(output)), 0);
	assert_string_equal(
	    output, "pass 0\n1:no_space:failpoint base_test_first\npass 1\npass 2\n");
}

static void
several_points_stand_in_one_setting(void **state)
{
	char output[1024];

	(void)state;
	assert_int_equal(
	    run("base_test_first=error:io@1,base_test_second=exit:3@2", output, sizeof(output)), 3);
	assert_string_equal(output, "0:io:failpoint base_test_first\npass 0\n");
}

static void
sleep_and_stop_wait_and_go_on(void **state)
{
	struct wclock *clock = wclock_system();
	int64_t start_ms = wclock_boot_ms(clock);
	char output[1024];

	(void)state;
	assert_int_equal(run("base_test_first=sleep:60", output, sizeof(output)), 0);
	assert_true(wclock_boot_ms(clock) - start_ms >= 60);
	start_ms = wclock_boot_ms(clock);
	assert_int_equal(run("base_test_first=stop:60@2", output, sizeof(output)), 0);
	assert_true(wclock_boot_ms(clock) - start_ms >= 60);
	assert_string_equal(output, "pass 0\npass 1\npass 2\n");
}

static void
setting_that_is_not_understood_ends_the_process(void **state)
{
	static const char *const settings[] = {"nonsense=kill", "base_test_first",
	    "base_test_first=", "base_test_first=burn", "base_test_first=sleep",
	    "base_test_first=sleep:1x", "base_test_first=kill@0", "base_test_first=error:nonsense",
	    "base_test_first=error:ok", "base_test_first=kill,", "base_test_second=error:io"};
	char output[1024];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		assert_int_equal(run(settings[i], output, sizeof(output)), 1);
		assert_non_null(strstr(output, " error: "));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(unarmed_points_do_nothing),
	    cmocka_unit_test(kill_and_exit_act_on_their_pass),
	    cmocka_unit_test(a_file_arms_a_point_for_one_pass_of_all_processes),
	    cmocka_unit_test(error_comes_once_and_names_the_point),
	    cmocka_unit_test(several_points_stand_in_one_setting),
	    cmocka_unit_test(sleep_and_stop_wait_and_go_on),
	    cmocka_unit_test(setting_that_is_not_understood_ends_the_process),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
#else
#error "unit tests are built with failpoints (presets dev, asan, tsan)"
#endif
