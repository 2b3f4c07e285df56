/* ACL rules of a role: what gives and takes rights is passed on word for word; what is leased's own
 * to say, and what is no rule, is refused with a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <leased/secret.h>

#include "redis/listing.h"
#include "redis/rules.h"
#include "support/failalloc.h"

static int
read_text(const char *text, json_t **ret_rules, struct leased_err *err)
{
	json_t *statements = json_pack("[s]", text);
	int r = redis_rules_read(statements, ret_rules, err);

	json_decref(statements);
	return (r);
}

static void
rules_are_passed_on_as_they_are(void **state)
{
	static const char text[] =
	    "[\"~app:*\", \"%R~read:*\", \"%RW~both:*\", \"%w~write\", \"&news:*\", \"+@read\", "
	    "\"-@dangerous\", \"+config|get\", \"+get\", \"-debug\", \"allkeys\", \"AllCommands\", "
	    "\"nocommands\", \"resetkeys\", \"resetchannels\", \"allchannels\", "
	    "\"clearselectors\", "
	    "\"(+get ~other:*)\", \"(~a:* %R~b +@write -set)\", \"~*\", \"~caf\\u00e9:*\", "
	    "\"~#x>y\"]";
	struct leased_err err = LEASED_ERR_INIT;
	json_t *rules = NULL, *plain;
	int r = read_text(text, &rules, &err);

	(void)state;
	if (r != 0)
		fail_msg("refused: %s", err.text);
	plain = json_loads(text, 0, NULL);
	assert_true(json_equal(plain, rules));
	json_decref(plain);
	json_decref(rules);
}

static void
a_role_without_rules_gives_no_rights(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *rules = NULL, *none = json_array();

	(void)state;
	assert_int_equal(redis_rules_read(NULL, &rules, &err), 0);
	assert_int_equal(json_array_size(rules), 0);
	json_decref(rules);
	assert_int_equal(redis_rules_read(none, &rules, &err), 0);
	json_decref(rules);
	json_decref(none);
	assert_int_equal(read_text("[]", &rules, &err), 0);
	json_decref(rules);
}

static void
assert_refused(const char *text, const char *reason)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *rules = NULL;

	if (read_text(text, &rules, &err) != LEASED_EINVAL || rules != NULL)
		fail_msg("taken: %s", text);
	if (strstr(err.text, reason) == NULL)
		fail_msg("%s is refused with: %s", text, err.text);
}

static void
who_may_log_in_is_not_a_roles_to_say(void **state)
{
	static const char *const own[] = {"on", "off", "ON", "oFF", "nopass", "NoPass", "reset",
	    "RESET", "resetpass", ">s3cret", "<s3cret", "#0123", "!0123", "(on)", "(+get >s3cret)",
	    "(~x nopass)", "(reset)"};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		(void)snprintf(text, sizeof(text), "[\"+get\", \"%s\"]", own[i]);
		assert_refused(text, "leased makes the password");
	}
}

static void
a_password_in_a_rule_is_not_shown(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *rules = NULL;

	(void)state;
	assert_int_equal(read_text("[\">s3cret\"]", &rules, &err), LEASED_EINVAL);
	assert_null(strstr(err.text, "s3cret"));
}

static void
what_is_no_rule_is_refused(void **state)
{
	static const char *const wrong[] = {"", " ", "get", "+", "-", "+@", "~", "&", "%", "%R",
	    "%R~", "%X~a", "%RWR~a", "~a b", "+get +set", "+get\\n+set", "+get\\t", "+g;t",
	    "+get\\u0000", "(", ")", "()", "( )", "(+get", "(+get )", "(+get  ~a)", "((+get))",
	    "(+get (~a))", "(+get) ~a", "user", "@read", "allthekeys", "+get\\u007f", "~a\\u000bb"};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		(void)snprintf(text, sizeof(text), "[\"%s\"]", wrong[i]);
		assert_refused(text, "creation_statements");
	}
}

static void
what_is_no_array_of_texts_is_refused(void **state)
{
	static const char *const wrong[] = {"", "+get", "{}", "\"+get\"", "[1]", "[[\"+get\"]]",
	    "[null]", "[\"+get\"", "[\"+get\"] x", "null"};
	struct leased_err err = LEASED_ERR_INIT;
	json_t *rules = NULL, *two = json_pack("[s, s]", "[]", "[]"), *number = json_pack("[i]", 7);
	json_t *text = json_string("[]");

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_refused(wrong[i], "creation_statements");
	assert_int_equal(redis_rules_read(two, &rules, &err), LEASED_EINVAL);
	assert_int_equal(redis_rules_read(number, &rules, &err), LEASED_EINVAL);
	assert_int_equal(redis_rules_read(text, &rules, &err), LEASED_EINVAL);
	json_decref(two);
	json_decref(number);
	json_decref(text);
}

static int
attempt(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *rules = NULL;
	int r = redis_rules_read(arg, &rules, &err);

	json_decref(rules);
	return (r);
}

static void
out_of_memory_is_said_and_no_rule_is_lost(void **state)
{
	json_t *statements = json_pack("[s]", "[\"+get\", \"~app:*\", \"(+set ~b)\"]");

	(void)state;
	assert_true(failalloc_each(attempt, statements) > 3);
	json_decref(statements);
}

/* ---- lines of ACL LIST ---- */

static void
a_line_tells_who_can_log_in(void **state)
{
	static const struct {
		const char *line, *name;
		bool is_armed;
	} lines[] = {{"user a on #12 ~* +@all", "a", true}, {"user a off #12 ~* +@all", "a", false},
	    {"user a on -@all", "a", false}, {"user a on nopass", "a", true},
	    {"user l-\"x\" on sanitize-payload #12 &* (~y +get)", "l-\"x\"", true},
	    {"user a off (on #12 nopass)", "a", false}, {"user a", "a", false}};
	static const char *const wrong[] = {"", "user", "user ", "users a on", "a on", " "};
	struct redis_listed user;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_true(redis_listed_read(lines[i].line, strlen(lines[i].line), &user));
		assert_string_equal(user.name, lines[i].name);
		assert_int_equal(user.is_armed, lines[i].is_armed);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(redis_listed_read(wrong[i], strlen(wrong[i]), &user));
}

/* Of jansson's memory only what our allocators give is counted. */
static int
set_up(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	return (leased_secret_setup(&err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rules_are_passed_on_as_they_are),
	    cmocka_unit_test(a_role_without_rules_gives_no_rights),
	    cmocka_unit_test(who_may_log_in_is_not_a_roles_to_say),
	    cmocka_unit_test(a_password_in_a_rule_is_not_shown),
	    cmocka_unit_test(what_is_no_rule_is_refused),
	    cmocka_unit_test(what_is_no_array_of_texts_is_refused),
	    cmocka_unit_test(out_of_memory_is_said_and_no_rule_is_lost),
	    cmocka_unit_test(a_line_tells_who_can_log_in),
	};

	return (cmocka_run_group_tests(tests, set_up, NULL));
}
