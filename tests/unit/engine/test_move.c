/* A configuration that leads to another server: refused while leases are on the old one, until an
 * operator says that the new one has taken over. */
#include "unit/engine/fixture.h"

#define ON(server)                                                                                 \
	"{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"" server                       \
	"\",\"allowed_roles\":\"*\"}"
#define CONFIRM(server) "{\"host\":\"" server "\",\"confirm_move\":true}"
#define ROLE "{\"db_name\":\"main\",\"grant_roles\":[\"app\"],\"default_ttl\":3600}"

static int64_t
lease_on(struct fix *f, const char *config)
{
	must(f, ENGINE_WRITE, "config/main", config);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	return (must(f, ENGINE_READ, "creds/app", NULL)->row);
}

static void
without_leases_a_move_needs_no_word(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", ON("one"));
	must(f, ENGINE_WRITE, "config/main", ON("two"));
}

static void
with_leases_on_the_old_server_it_is_refused_and_nothing_changes(void **state)
{
	struct fix *f = *state;
	struct answer *answer;
	int64_t row = lease_on(f, ON("one"));

	answer =
	    refused(f, ENGINE_WRITE, "config/main", ON("two"), LEASED_EMOVED, "confirm_move=true");
	assert_int_equal(answer->status, 400);
	answer = must(f, ENGINE_READ, "config/main", NULL);
	assert_string_equal(json_string_value(json_object_get(
				json_object_get(answer->data, "connection_details"), "host")),
	    "one");
	revoke(f, row);
	must(f, ENGINE_WRITE, "config/main", ON("two"));
}

static void
it_is_refused_after_a_restart_as_well(void **state)
{
	struct fix *f = *state;

	(void)lease_on(f, ON("one"));
	fix_close(f);
	fix_open(f);
	refused(f, ENGINE_WRITE, "config/main", ON("two"), LEASED_EMOVED, "confirm_move=true");
}

static void
after_confirm_move_old_leases_end_on_the_new_server(void **state)
{
	struct fix *f = *state;
	int64_t row = lease_on(f, ON("one"));

	must(f, ENGINE_WRITE, "config/main", CONFIRM("two"));
	fix_close(f);
	fix_open(f); /* and it is remembered */
	revoke(f, row);
	assert_int_equal(rows(f), 0);
}

static void
a_later_write_needs_no_word_again_and_a_further_move_does(void **state)
{
	struct fix *f = *state;
	int64_t row = lease_on(f, ON("one"));

	must(f, ENGINE_WRITE, "config/main", CONFIRM("two"));
	must(f, ENGINE_WRITE, "config/main", "{\"username\":\"other\"}");
	refused(f, ENGINE_WRITE, "config/main", ON("three"), LEASED_EMOVED, "confirm_move=true");
	must(f, ENGINE_WRITE, "config/main", CONFIRM("three"));
	must(f, ENGINE_WRITE, "config/main", CONFIRM("one")); /* and back */
	revoke(f, row);
}

static void
an_unconfirmed_move_behind_an_unverified_write_deletes_nothing(void **state)
{
	struct fix *f = *state;
	int64_t row = lease_on(f, ON("one"));

	must(f, ENGINE_WRITE, "config/main", "{\"host\":\"two\",\"verify_connection\":false}");
	later(f, 3700);
	assert_int_equal(rows(f), 1); /* overdue, and not called gone */
	must(f, ENGINE_WRITE, "config/main", CONFIRM("two"));
	later(f, 120);
	assert_int_equal(rows(f), 0);
	(void)row;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	    T(without_leases_a_move_needs_no_word),
	    T(with_leases_on_the_old_server_it_is_refused_and_nothing_changes),
	    T(it_is_refused_after_a_restart_as_well),
	    T(after_confirm_move_old_leases_end_on_the_new_server),
	    T(a_later_write_needs_no_word_again_and_a_further_move_does),
	    T(an_unconfirmed_move_behind_an_unverified_write_deletes_nothing),
#undef T
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
