/*
 * Account names and the templates that they are made by; lease ids; the record of a row.
 */
#include "unit/lease/fixture.h"

#define RANDOM "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqr"

static struct lease_name
name_of(const char *template, unsigned name_max)
{
	struct lease_name name = {.template = template,
	    .tag = "k3x9ab",
	    .role = "app",
	    .display = "token",
	    .random = RANDOM,
	    .sequence = 35,
	    .unix_s = 1790000000,
	    .name_max = name_max};

	return (name);
}

static void
assert_name(const struct lease_name *name, const char *expected)
{
	char account[LEASE_ACCOUNT_SIZE];
	struct leased_err err = LEASED_ERR_INIT;

	if (lease_name_format(name, account, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(account, expected);
	assert_true(strlen(account) <= name->name_max);
}

static void
default_name_keeps_its_random_part_whole(void **state)
{
	struct lease_name name = name_of(NULL, 63);

	(void)state;
	assert_name(&name, "l-k3x9ab-app-z0123456789abc");
	name.name_max = 32;
	name.role = "a-long-role-name.with_all";
	assert_name(&name, "l-k3x9ab-a-long-r-z0123456789abc");
	name.sequence = INT64_C(218340105584895); /* the last row number that an id can hold */
	assert_name(&name, "l-k3x9ab-25e825ho1r0123456789abc");
	name.sequence = 0;
	name.role = "\"; DROP TABLE x";
	name.name_max = 63;
	assert_name(&name, "l-k3x9ab-___DROP_TABLE_x-00123456789abc");
}

static void
number_in_a_name_is_read_back(void **state)
{
	static const char *const others[] = {"", "l-", "l-k3x9ab", "l-k3x9ab-", "postgres",
	    "l-zzzzzz-app-z0123456789abc", "l-k3x9ab-app-0123456789abc", /* no digit */
	    "l-k3x9ab-app-0z0123456789abc", "l-k3x9ab-app-Z0123456789abc",
	    "l-k3x9ab-app-z0123456789ab.", "l-k3x9ab-app-",
	    "l-k3x9ab-app-zzzzzzzzzzz0123456789abc"}; /* eleven */
	static const int64_t numbers[] = {1, 35, 36, 1295, 1000000, INT64_C(218340105584895)};
	struct lease_name name = name_of(NULL, 63);
	struct leased_err err = LEASED_ERR_INIT;
	char account[LEASE_ACCOUNT_SIZE];
	int64_t number = -1;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(lease_name_sequence(others[i], "k3x9ab", &number));
	assert_int_equal(number, -1);
	for (size_t i = 0; i < 2 * sizeof(numbers) / sizeof(numbers[0]); i++) {
		name.role = i % 2 == 0 ? "a-role" : "";
		name.sequence = numbers[i / 2];
		assert_int_equal(lease_name_format(&name, account, &err), 0);
		assert_true(lease_name_sequence(account, "k3x9ab", &number));
		assert_int_equal(number, numbers[i / 2]);
	}
}

static void
template_fills_its_slots_and_cuts_names_only(void **state)
{
	struct lease_name name = name_of("{{tag}}-v_{{role}}.{{ display_name }}-{{random 13}}", 63);

	(void)state;
	assert_name(&name, "l-k3x9ab-v_app.token-0123456789abc");
	name = name_of("{{random 6}}x{{random 7}}-{{unix_time}}", 63);
	assert_name(&name, "l-k3x9ab-012345x6789abc-1790000000");
	name = name_of("{{role}}{{random 20}}", 32);
	name.role = "a-long-role";
	assert_name(&name, "l-k3x9ab-a-l0123456789abcdefghij");
}

static void
template_that_breaks_the_rules_is_refused_with_the_reason(void **state)
{
	const struct {
		const char *template, *why;
		unsigned name_max;
	} rows[] = {
	    {"{{role}}", "0 random characters", 63},
	    {"{{role}}{{random 12}}", "12 random characters", 63},
	    {"", "0 random characters", 63},
	    {"{{random 13}}-{{tag}}", "can only stand first", 63},
	    {"{{rnadom 13}}", "{{rnadom 13}} is unknown", 63},
	    {"{{random}}", "{{random}} is unknown", 63},
	    {"{{random 0}}", "1 to 64", 63},
	    {"{{random -3}}", "needs a number", 63},
	    {"{{random 99}}", "1 to 64", 63},
	    {"{{random 40}}{{random 40}}", "1 to 64", 63},
	    {"a b{{random 13}}", "' ' cannot stand", 63},
	    {"a'b{{random 13}}", "cannot stand", 63},
	    {"{{random 13}", "never closed", 63},
	    {"{random 13}", "'{' cannot stand", 63},
	    {"{{random 60}}", "at least 69 characters", 63},
	    {"prefix-{{role}}-{{random 16}}", "this backend takes 32", 32},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct leased_err err = LEASED_ERR_INIT;
		int r = lease_template_check(rows[i].template, rows[i].name_max, &err);

		if (r != LEASED_EINVAL || strstr(err.text, rows[i].why) == NULL)
			fail_msg("%s: %d %s", rows[i].template, r, err.text);
	}
	assert_int_equal(lease_template_check("{{role}}-{{random 13}}", 63, NULL), 0);
	assert_int_equal(lease_template_check("{{random 23}}", 32, NULL), 0);
}

static void
record_survives_the_way_to_json_and_back(void **state)
{
	struct lease_data data, back;
	struct leased_err err = LEASED_ERR_INIT;
	json_t *object;

	(void)state;
	memset(&data, 0, sizeof(data));
	data.issued_ms = INT64_MAX;
	data.expires_ms = -1;
	data.failed_mint = data.delivered = true;
	snprintf(data.handle, sizeof(data.handle), "16412");
	snprintf(data.error, sizeof(data.error), "owns t\xc3\xa4");
	data.caps_count = 2;
	snprintf(data.caps[0], sizeof(data.caps[0]), "role:1");
	snprintf(data.caps[1], sizeof(data.caps[1]), "conn:1");
	object = lease_data_encode(&data);
	assert_int_equal(lease_data_decode(object, &back, &err), 0);
	assert_memory_equal(&data, &back, sizeof(data));
	json_object_set_new(object, "newer", json_true());
	assert_int_equal(lease_data_decode(object, &back, &err), LEASED_ECORRUPT);
	json_object_del(object, "newer");
	json_object_set_new(object, "handle", json_integer(7));
	assert_int_equal(lease_data_decode(object, &back, &err), LEASED_ECORRUPT);
	json_decref(object);
	assert_int_equal(lease_data_decode(NULL, &back, &err), LEASED_ECORRUPT);
}

static void
long_text_is_cut_with_a_mark_between_characters(void **state)
{
	char text[12];

	(void)state;
	lease_text_copy(text, sizeof(text), "12345678901");
	assert_string_equal(text, "12345678901");
	lease_text_copy(text, sizeof(text),
	    "1234\xc3\xa4"
	    "789012");
	assert_string_equal(text, "1234 [cut]");
	lease_text_copy(text, sizeof(text), NULL);
	assert_string_equal(text, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(default_name_keeps_its_random_part_whole),
	    cmocka_unit_test(number_in_a_name_is_read_back),
	    cmocka_unit_test(template_fills_its_slots_and_cuts_names_only),
	    cmocka_unit_test(template_that_breaks_the_rules_is_refused_with_the_reason),
	    cmocka_unit_test(record_survives_the_way_to_json_and_back),
	    cmocka_unit_test(long_text_is_cut_with_a_mark_between_characters),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
