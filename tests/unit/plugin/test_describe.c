/*
 * What a plugin lists in its description decides what it is sent; and it describes itself without a
 * configuration.
 */
#include "fixture.h"

static const struct plugin_catalog_row evil = {.program = "evil", .api_names = {"evil"}, .pool = 2};

static void
fields_that_the_plugin_does_not_list_are_not_sent(void **state)
{
	struct fix *fix = *state;

	fix_open(fix, "good", 1); /* with a field that it does not list */
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, 0);
}

static void
on_described(void *arg, const struct plugin_outcome *outcome)
{
	struct outcomes *out = arg;

	out->code = outcome->code;
	if (outcome->code == 0)
		assert_string_equal(
		    json_string_value(json_object_get(outcome->result, "name")), "evil");
	out->count++;
}

static void
without_a_configuration_it_describes_itself_and_is_not_opened(void **state)
{
	struct fix *fix = *state;

	fix->port = plugin_port_open(fix->host, &evil, NULL, 1, 7);
	assert_non_null(fix->port);
	assert_non_null(plugin_call_start(
	    fix->port, PLUGIN_OP_DESCRIBE, json_object(), 0, on_described, &fix->out));
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, 0);
	assert_null(fix->port->opened);
	assert_string_equal(fix->port->server, "");
	assert_int_equal(fix->sessions, 0);
}

static void
known_and_unknown_fields_are_told_apart(void **state)
{
	json_t *description =
	    json_pack("{s:[{s:s},{s:s}]}", "config_fields", "name", "host", "name", "port");
	json_t *config = json_pack("{s:s,s:i,s:b}", "host", "h", "prt", 1, "x", 1);
	json_t *unknown = json_array(), *known, *all;

	(void)state;
	known = plugin_config_known(description, config, unknown);
	assert_int_equal(json_object_size(known), 1);
	assert_string_equal(json_string_value(json_object_get(known, "host")), "h");
	assert_int_equal(json_array_size(unknown), 2);
	assert_string_equal(json_string_value(json_array_get(unknown, 0)), "prt");
	all = plugin_config_known(NULL, config, unknown); /* it does not say: everything */
	assert_true(json_equal(all, config));
	assert_int_equal(json_array_size(unknown), 2);
	json_decref(description);
	json_decref(config);
	json_decref(unknown);
	json_decref(known);
	json_decref(all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		fields_that_the_plugin_does_not_list_are_not_sent, fix_setup, fix_teardown),
	    cmocka_unit_test_setup_teardown(
		without_a_configuration_it_describes_itself_and_is_not_opened, fix_setup,
		fix_teardown),
	    cmocka_unit_test(known_and_unknown_fields_are_told_apart),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
