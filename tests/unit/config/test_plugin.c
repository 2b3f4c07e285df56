/*
 * Requirements of blocks "plugin" of leased.hcl: their defaults, and what is asked of others about
 * them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

/* The least that is whole, with more behind it. */
#define BASE                                                                                       \
	"data_dir = \"/d\"\nseal \"file\" { path = \"/k\" }\nlistener \"unix\" { path = \"/s\" "   \
	"}\n"

static int
on_check_plugin(
    const struct config_plugin *plugin, struct config_problems *problems, struct leased_err *err)
{
	if (strcmp(plugin->name, "postgresql") != 0)
		return (0);
	return (config_problem_add(problems, "5:1: asked", err));
}

static void
a_plugin_of_ones_own_is_named_as_its_program_and_asked_about(void **state)
{
	static const char text[] =
	    BASE "plugin \"mqtt\" {}\nplugin \"postgresql\" { program = \"mine\" }\n";
	struct config_problems problems = {0};
	struct config *config = NULL;

	(void)state;
	assert_int_equal(config_parse(text, strlen(text), &config, &problems, NULL), 0);
	assert_int_equal(config->plugin_count, 2);
	assert_string_equal(config->plugins[0].program, "mqtt");
	assert_int_equal(config->plugins[0].pool, 2);
	assert_string_equal(config->plugins[1].name, "postgresql");
	config_free(config);
	config = NULL;
	problems.check_plugin = on_check_plugin;
	assert_int_equal(config_parse(text, strlen(text), &config, &problems, NULL), LEASED_EINVAL);
	assert_int_equal(problems.count, 1);
	assert_string_equal(problems.items[0].text, "asked");
	config_problems_clear(&problems);
}

/* `leased check` says it before a connection would. */
static void
a_plugin_whose_program_is_not_there_is_named_where_the_machine_is_looked_at(void **state)
{
	static const char text[] =
	    BASE "plugin_dir = \"/usr/bin\"\nplugin \"env\" {}\nplugin \"x\" { program = "
		 "\"no-such-program\" }\n";
	struct config_problems problems = {.check_machine = true};
	struct config *config = NULL;

	(void)state;
	assert_int_equal(config_parse(text, strlen(text), &config, &problems, NULL), LEASED_EINVAL);
	assert_int_equal(problems.count, 1);
	assert_int_equal(problems.items[0].line, 6);
	assert_non_null(strstr(problems.items[0].text, "/usr/bin/no-such-program"));
	config_problems_clear(&problems);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_plugin_of_ones_own_is_named_as_its_program_and_asked_about),
	    cmocka_unit_test(
		a_plugin_whose_program_is_not_there_is_named_where_the_machine_is_looked_at),
	};

	return (cmocka_run_group_tests_name("plugin blocks", tests, NULL, NULL));
}
