/*
 * Clocks: the fake one moves as told, the system's runs, and wall time as text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/wclock.h"

static void
fake_moves_only_when_told(void **state)
{
	struct wclock_fake fake;
	struct wclock *clock = &fake.clock;
	char boot_id[37];

	(void)state;
	wclock_fake_init(&fake, 1000000);
	assert_int_equal(clock->wall_us(clock), 1000000);
	assert_int_equal(clock->boot_us(clock), 0);
	assert_true(clock->synchronized(clock));
	wclock_fake_advance(&fake, 500);
	wclock_fake_jump(&fake, -1000);
	assert_int_equal(clock->wall_us(clock), 999500);
	assert_int_equal(clock->boot_us(clock), 500);
	snprintf(boot_id, sizeof(boot_id), "%s", clock->boot_id(clock));
	assert_int_equal(strlen(boot_id), 36);

	wclock_fake_reboot(&fake, 10);
	assert_int_equal(clock->wall_us(clock), 999510);
	assert_int_equal(clock->boot_us(clock), 0);
	assert_string_not_equal(clock->boot_id(clock), boot_id);
	snprintf(boot_id, sizeof(boot_id), "%s", clock->boot_id(clock));
	wclock_fake_reboot(&fake, 10);
	assert_string_not_equal(clock->boot_id(clock), boot_id);
}

static void
system_clocks_run(void **state)
{
	struct wclock *clock = wclock_system();
	int64_t before_us = clock->boot_us(clock);

	(void)state;
	assert_true(clock->boot_us(clock) >= before_us);
	assert_true(before_us > 0);
	/* 2020: a machine whose clock is further off than this cannot run the tests. */
	assert_true(clock->wall_us(clock) > INT64_C(1577836800) * 1000000);
	assert_int_equal(strlen(clock->boot_id(clock)), 36);
	assert_int_equal(clock->boot_id(clock)[8], '-');
	assert_true(wclock_boot_ms(clock) >= before_us / 1000);
}

static void
wall_time_as_text_has_nanoseconds_and_utc(void **state)
{
	char text[WCLOCK_RFC3339_SIZE];

	(void)state;
	wclock_format_rfc3339(INT64_C(1795401830123456), text);
	assert_string_equal(text, "2026-11-23T02:43:50.123456000Z");
	wclock_format_rfc3339(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000000000Z");
	wclock_format_rfc3339(-1, text);
	assert_string_equal(text, "1969-12-31T23:59:59.999999000Z");
	wclock_format_rfc3339(INT64_C(951782400000000), text);
	assert_string_equal(text, "2000-02-29T00:00:00.000000000Z");
	wclock_format_rfc3339(INT64_MAX, text);
	assert_int_equal(text[strlen(text) - 1], 'Z');
	wclock_format_rfc3339(INT64_MIN, text);
	assert_int_equal(text[strlen(text) - 1], 'Z');
}

static void
text_that_is_a_time_is_read_back_and_nothing_else(void **state)
{
	static const char *const bad[] = {"", "2026", "2026-11-23", "2026-11-23 02:43:50Z",
	    "2026-11-23T02:43:50", "2026-11-23T02:43:50+01:00", "2026-11-23T02:43:50Zx",
	    "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-11-23T24:00:00Z",
	    "2026-11-23T02:60:50Z", "2026-11-23T02:43:60Z", "-026-11-23T02:43:50Z",
	    "2026-11-23T02:43:5xZ", "2026-11-23T02:43:50.123456789012345678901234567890Z"};
	int64_t us = -7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(wclock_parse_rfc3339(bad[i], &us));
	assert_int_equal(us, -7);
	assert_true(wclock_parse_rfc3339("2026-11-23T02:43:50.123Z", &us));
	assert_int_equal(us, INT64_C(1795401830123000));
	assert_true(wclock_parse_rfc3339("2026-11-23T02:43:50.123456000Z", &us));
	assert_int_equal(us, INT64_C(1795401830123456));
	assert_true(wclock_parse_rfc3339("2000-02-29T00:00:00Z", &us));
	assert_int_equal(us, INT64_C(951782400000000));
	assert_true(wclock_parse_rfc3339("1969-12-31T23:59:59.999999000Z", &us));
	assert_int_equal(us, -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fake_moves_only_when_told),
	    cmocka_unit_test(system_clocks_run),
	    cmocka_unit_test(wall_time_as_text_has_nanoseconds_and_utc),
	    cmocka_unit_test(text_that_is_a_time_is_read_back_and_nothing_else),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
