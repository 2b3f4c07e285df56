/*
 * Requirements of the catalog: names are found, slips are guessed, and what the configuration adds
 * hides nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/plugin.h"

static void
a_catalog_name_is_found_and_a_slip_of_it_is_guessed(void **state)
{
	(void)state;
	assert_string_equal(
	    plugin_catalog_find("postgresql-database-plugin")->program, "postgresql");
	assert_null(plugin_catalog_find("postgres-database-plugin"));
	assert_string_equal(
	    plugin_catalog_nearest("postgres-database-plugin"), "postgresql-database-plugin");
	assert_null(plugin_catalog_nearest("oracle"));
}

static void
a_plugin_may_be_added_under_a_name_of_its_own(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	assert_int_equal(plugin_catalog_add("postgresql", "mine", 1, &err), LEASED_EEXIST);
	assert_non_null(strstr(err.text, "postgresql"));
	assert_int_equal(plugin_catalog_add("mosquitto", "mqtt", 3, &err), 0);
	assert_int_equal(plugin_catalog_add("mosquitto", "mqtt", 3, &err), LEASED_EEXIST);
	assert_string_equal(plugin_catalog_find("mosquitto")->program, "mqtt");
	assert_int_equal(plugin_catalog_find("mosquitto")->pool, 3);
	assert_string_equal(plugin_catalog_nearest("mosquito"), "mosquitto");
	assert_true(plugin_catalog_is_own("postgresql"));
	assert_false(plugin_catalog_is_own("mosquitto"));
	for (unsigned i = 0; i < 63; i++) {
		char name[16];

		snprintf(name, sizeof(name), "more-%u", i);
		assert_int_equal(plugin_catalog_add(name, "x", 1, &err), 0);
	}
	assert_int_equal(plugin_catalog_add("one-too-many", "x", 1, &err), LEASED_ELIMIT);
	assert_string_equal(plugin_catalog_nearest("more-62"), "more-62");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_catalog_name_is_found_and_a_slip_of_it_is_guessed),
	    cmocka_unit_test(a_plugin_may_be_added_under_a_name_of_its_own),
	};

	return (cmocka_run_group_tests_name("catalog", tests, NULL, NULL));
}
