/*
 * TTL arithmetic, by the table of contract 4.2.
 */
#include "unit/lease/fixture.h"

#define S INT64_C(1000)

static const struct {
	const char *name;
	struct lease_ttl_input in;
	int code;
	int64_t ttl_s;
	const char *warning; /* part of it; NULL: none */
} rows[] = {
    {"the mount's default", {.mount_default_s = 100, .mount_max_s = 1000, .owner_left_s = -1}, 0,
	100, NULL},
    {"the role's ttl",
	{.role_ttl_s = 50, .mount_default_s = 100, .mount_max_s = 1000, .owner_left_s = -1}, 0, 50,
	NULL},
    {"what is asked",
	{.increment_s = 70,
	    .role_ttl_s = 50,
	    .mount_default_s = 100,
	    .mount_max_s = 1000,
	    .owner_left_s = -1},
	0, 70, NULL},
    {"the role's max caps",
	{.increment_s = 3600,
	    .role_max_s = 1800,
	    .mount_default_s = 100,
	    .mount_max_s = 86400,
	    .owner_left_s = -1},
	0, 1800,
	"TTL of \"1h\" exceeded the effective max_ttl of \"30m\"; TTL value is capped accordingly"},
    {"the mount's max caps",
	{.role_ttl_s = 2000, .mount_default_s = 100, .mount_max_s = 1000, .owner_left_s = -1}, 0,
	1000, "\"33m20s\" exceeded the effective max_ttl of \"16m40s\""},
    {"ttl 30m with explicit 5m",
	{.increment_s = 1800,
	    .explicit_max_s = 300,
	    .mount_default_s = 3600,
	    .mount_max_s = 86400,
	    .owner_left_s = -1},
	0, 300, "max_ttl of \"5m\""},
    {"period 30m",
	{.period_s = 1800,
	    .increment_s = 60,
	    .mount_default_s = 3600,
	    .mount_max_s = 86400,
	    .owner_left_s = -1},
	0, 1800, NULL},
    {"a period goes on past the max",
	{.period_s = 1800,
	    .mount_default_s = 3600,
	    .mount_max_s = 7200,
	    .owner_left_s = -1,
	    .now_ms = 100000 * S},
	0, 1800, NULL},
    {"a period ends at the explicit max",
	{.period_s = 1800,
	    .explicit_max_s = 100000,
	    .mount_default_s = 3600,
	    .mount_max_s = 7200,
	    .owner_left_s = -1,
	    .now_ms = 99000 * S},
	0, 1000, "exceeded"},
    {"a period above the max",
	{.period_s = 9000, .mount_default_s = 3600, .mount_max_s = 7200, .owner_left_s = -1}, 0,
	7200, "exceeded"},
    {"renewal counts from now",
	{.increment_s = 60,
	    .mount_default_s = 100,
	    .mount_max_s = 1000,
	    .owner_left_s = -1,
	    .now_ms = 500 * S},
	0, 60, NULL},
    {"and is capped from the issue",
	{.increment_s = 60,
	    .mount_default_s = 100,
	    .mount_max_s = 1000,
	    .owner_left_s = -1,
	    .now_ms = 970 * S},
	0, 30, "exceeded"},
    {"whole seconds, never beyond the bound",
	{.increment_s = 60,
	    .mount_default_s = 100,
	    .mount_max_s = 1000,
	    .owner_left_s = -1,
	    .now_ms = 970 * S + 1},
	0, 29, "exceeded"},
    {"never 0",
	{.increment_s = 60,
	    .mount_default_s = 100,
	    .mount_max_s = 1000,
	    .owner_left_s = -1,
	    .now_ms = 999 * S + 1},
	LEASED_EEXPIRED, 0, NULL},
    {"past the max",
	{.increment_s = 60,
	    .mount_default_s = 100,
	    .mount_max_s = 1000,
	    .owner_left_s = -1,
	    .now_ms = 1000 * S},
	LEASED_EEXPIRED, 0, NULL},
    {"the owner ends first",
	{.increment_s = 600, .mount_default_s = 100, .mount_max_s = 1000, .owner_left_s = 90}, 0,
	90, "ends in 1m30s"},
    {"the owner is at its end",
	{.increment_s = 600, .mount_default_s = 100, .mount_max_s = 1000, .owner_left_s = 0},
	LEASED_EEXPIRED, 0, NULL},
    {"negative",
	{.increment_s = -5, .mount_default_s = 100, .mount_max_s = 1000, .owner_left_s = -1},
	LEASED_EINVAL, 0, NULL},
    {"huge",
	{.increment_s = INT64_MAX,
	    .mount_default_s = INT64_MAX,
	    .mount_max_s = INT64_MAX,
	    .owner_left_s = INT64_MAX},
	0, INT64_C(100) * 366 * 86400, "exceeded"},
};

static void
ttl_is_by_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lease_ttl ttl = {0};
		struct leased_err err = LEASED_ERR_INIT;
		int r = lease_ttl_compute(&rows[i].in, &ttl, &err);

		if (r != rows[i].code || ttl.ttl_s != rows[i].ttl_s)
			fail_msg(
			    "%s: %d, %lld s, %s", rows[i].name, r, (long long)ttl.ttl_s, err.text);
		if (rows[i].warning == NULL ? ttl.warning[0] != '\0'
					    : strstr(ttl.warning, rows[i].warning) == NULL)
			fail_msg("%s: warning \"%s\"", rows[i].name, ttl.warning);
	}
}

static void
refusals_have_the_texts_that_clients_match(void **state)
{
	struct lease_ttl_input in = {.increment_s = -5, .mount_max_s = 10, .owner_left_s = -1};
	struct lease_ttl ttl;
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	assert_int_equal(lease_ttl_compute(&in, &ttl, &err), LEASED_EINVAL);
	assert_string_equal(err.text, "cannot provide negative value '-5'");
	in.increment_s = 5;
	in.now_ms = 10 * S;
	assert_int_equal(lease_ttl_compute(&in, &ttl, &err), LEASED_EEXPIRED);
	assert_string_equal(err.text, "past the max TTL, cannot renew");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ttl_is_by_the_table),
	    cmocka_unit_test(refusals_have_the_texts_that_clients_match),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
