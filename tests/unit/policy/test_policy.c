/*
 * Requirements of policy/: what a text may say, which rule decides, root, names, denials that
 * explain themselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <leased/secret.h>

#include "policy/policy.h"
#include "support/failalloc.h"

static struct policy *
parse(const char *text)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct policy *policy = NULL;

	if (policy_parse(text, strlen(text), &policy, &err) != 0)
		fail_msg("'%s': %s", text, err.text);
	return (policy);
}

/* The ACL of up to two texts (NULL: none). */
static struct policy_acl *
acl_of(const char *first, const char *second)
{
	struct policy *policies[2] = {
	    first != NULL ? parse(first) : NULL, second != NULL ? parse(second) : NULL};
	struct policy_acl *acl = policy_acl_new((const struct policy *const *)policies, 2);

	assert_non_null(acl);
	policy_free(policies[0]);
	policy_free(policies[1]);
	return (acl);
}

static void
assert_capabilities(const struct policy_acl *acl, const char *path, const char *want)
{
	const char *names[POLICY_CAPABILITY_COUNT];
	size_t count = policy_acl_capabilities(acl, path, names);
	char text[128] = "";

	for (size_t i = 0; i < count; i++) {
		(void)strlcat(text, i > 0 ? " " : "", sizeof(text));
		(void)strlcat(text, names[i], sizeof(text));
	}
	assert_string_equal(text, want);
}

static void
equal_forms_say_the_same(void **state)
{
	static const char *const texts[] = {
	    "path \"secret/*\" { capabilities = [\"read\",\"list\"] }",
	    "path \"/secret/*\" { capabilities = [\"list\", \"read\",] comment = \"c\" }\nname = "
	    "\"x\"",
	    "{\"path\":{\"secret/*\":{\"capabilities\":[\"read\",\"list\"]}}}",
	    "{\"path\":[{\"secret/*\":{\"policy\":\"read\"}}]}",
	    "path \"secret/*\" { policy = \"read\" }",
	    "path \"secret/*\" { capabilities = [\"read\"] }\npath \"secret/*\" { capabilities = "
	    "\"list\" }",
	    "cGF0aCAic2VjcmV0LyoiIHsgY2FwYWJpbGl0aWVzID0gWyJyZWFkIiwibGlzdCJdIH0=",
	    "cGF0aCAic2VjcmV0LyoiIHsgY2FwYWJp\nbGl0aWVzID0gWyJyZWFkIiwibGlzdCJdIH0=\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct policy_acl *acl = acl_of(texts[i], NULL);

		assert_capabilities(acl, "secret/a/b", "read list");
		assert_capabilities(acl, "secret", "deny");
		assert_true(policy_acl_allows(acl, "/secret/a", POLICY_READ));
		assert_false(policy_acl_allows(acl, "secret/a", POLICY_UPDATE));
		policy_acl_free(acl);
	}
}

static void
older_levels_mean_their_sets(void **state)
{
	struct policy_acl *acl =
	    acl_of("path \"w\" { policy = \"write\" }\npath \"s\" { policy = \"sudo\" }\npath "
		   "\"d\" { policy = \"deny\" }\n"
		   "path \"m\" { policy = \"read\" capabilities = [\"patch\"] }\npath \"x\" { "
		   "policy = \"write\" capabilities = [\"deny\"] }",
		NULL);

	(void)state;
	assert_capabilities(acl, "w", "read list update delete create");
	assert_capabilities(acl, "s", "sudo read list update delete create");
	assert_capabilities(acl, "d", "deny");
	assert_capabilities(acl, "m", "read list patch");
	assert_capabilities(acl, "x", "deny");
	policy_acl_free(acl);
}

static void
bad_texts_are_refused_where_they_are_wrong(void **state)
{
	static const struct {
		const char *text, *position, *says;
	} cases[] = {
	    {"path \"a\" {\n  capabilities = [\"raed\"]\n}", "2:3: ", "did you mean \"read\""},
	    {"path \"a\" {\n  capabilties = [\"read\"]\n}",
		"2:3: ", "did you mean \"capabilities\""},
	    {"path \"a\" { capabilities = [1] }", "1:12: ", "list of strings"},
	    {"path \"a\" { capabilities = {} }", "1:12: ", "list of strings"},
	    {"path \"a\" { policy = \"all\" }", "1:12: ", "\"write\""},
	    {"path \"a\" { policy = 1 }", "1:12: ", "\"write\""},
	    {"\npaht \"a\" {}", "2:1: ", "did you mean \"path\""},
	    {"path = \"a\"", "1:1: ", "block"},
	    {"path \"a/+*\" {}", "1:1: ", "+*"},
	    {"path \"/\" {}", "1:1: ", "empty"},
	    {"\n path \"a/{{identity.entity.id}}\" {}", "2:2: ", "not available in this version"},
	    {"path \"a\" { capabilities = [\"scan\"] }", "1:12: ", "not available in this version"},
	    {"path \"a\" { capabilities = [\"Read\"] }", "1:12: ", "did you mean \"read\""},
	    {"{\"path\":{\"a\":{\"capabilities\":[\"write\"]}}}", "1:15: ", "unknown capability"},
	    {"{\"path\":{\"a\":{}},\"path\":{}}", "1:", "twice"},
	    {"path \"a\" {", "1:10: ", "not closed"},
	    {"root", "1:", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct leased_err err = LEASED_ERR_INIT;
		struct policy *policy = NULL;

		if (policy_parse(cases[i].text, strlen(cases[i].text), &policy, &err) !=
			LEASED_EINVAL ||
		    strncmp(err.text, cases[i].position, strlen(cases[i].position)) != 0 ||
		    strstr(err.text, cases[i].says) == NULL)
			fail_msg("'%s': %d %s", cases[i].text, err.code, err.text);
		assert_null(policy);
	}
}

static void
constraints_that_are_not_built_are_refused_not_ignored(void **state)
{
	static const char *const keys[] = {"allowed_parameters", "denied_parameters",
	    "required_parameters", "min_wrapping_ttl", "max_wrapping_ttl", "mfa_methods",
	    "control_group", "pagination_limit", "expiration",
	    "list_scan_response_keys_filter_path", "subscribe_event_types"};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct leased_err err = LEASED_ERR_INIT;
		struct policy *policy = NULL;
		char text[160];

		for (int block = 0; block < 2; block++) {
			(void)snprintf(text, sizeof(text),
			    "path \"a\" {\n capabilities = [\"read\"]\n %s %s\n}", keys[i],
			    block ? "{}" : "= {}");
			assert_int_equal(
			    policy_parse(text, strlen(text), &policy, &err), LEASED_EINVAL);
			assert_int_equal(strncmp(err.text, "3:2: ", 5), 0);
			assert_non_null(strstr(err.text, "not available in this version"));
			assert_non_null(strstr(err.text, keys[i]));
		}
	}
}

static void
a_text_in_a_file_is_located_in_the_file(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct policy *policy = NULL;

	(void)state;
	assert_int_equal(
	    policy_parse_at(" path \"a\" { x = 1 }", 19, 12, 20, &policy, &err), LEASED_EINVAL);
	assert_int_equal(strncmp(err.text, "12:32: ", 7), 0);
}

static void
the_text_is_kept_byte_for_byte_with_base64_taken_off(void **state)
{
	struct policy *plain = parse("# c\npath \"a\" {}\n"), *coded = parse("cGF0aCAiYSIge30="),
		      *empty = parse("");

	(void)state;
	assert_string_equal(policy_text(plain), "# c\npath \"a\" {}\n");
	assert_string_equal(policy_text(coded), "path \"a\" {}");
	assert_int_equal(policy_rule_count(plain), 1);
	assert_int_equal(policy_rule_count(empty), 0);
	policy_free(plain);
	policy_free(coded);
	policy_free(empty);
	policy_free(NULL);
}

static void
no_spelling_of_root_is_a_policy_name(void **state)
{
	static const char *const bad[] = {"root", " ROOT", "Root", "root ", "\troot\n", "rOOt",
	    "r\xd0\xbe\xd0\xbet", "\xef\xbd\x92oot", "root\xe2\x80\x8b", "ro\xc2\xadot", "root\x01",
	    "root.", "-root", "root/", "", "  ", "a b", "a,b", "a\"b", "a*", "response-wrapping",
	    "Response-Wrapping "};
	char name[POLICY_NAME_SIZE] = "untouched", longest[200];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct leased_err err = LEASED_ERR_INIT;

		if (policy_name_normalize(bad[i], name, &err) != LEASED_EINVAL)
			fail_msg("'%s' gave '%s'", bad[i], name);
		assert_string_equal(name, "untouched");
	}
	memset(longest, 'a', sizeof(longest));
	longest[129] = '\0';
	assert_int_equal(policy_name_normalize(longest, name, NULL), LEASED_EINVAL);
	longest[128] = '\0';
	assert_int_equal(policy_name_normalize(longest, name, NULL), 0);
	assert_true(policy_name_is_root("root"));
	assert_false(policy_name_is_root("Root"));
	assert_false(policy_name_is_root(" root"));
}

static void
names_are_trimmed_and_lower_case(void **state)
{
	char name[POLICY_NAME_SIZE];

	(void)state;
	assert_int_equal(policy_name_normalize(" Shop-RW.v2 ", name, NULL), 0);
	assert_string_equal(name, "shop-rw.v2");
	assert_int_equal(policy_name_normalize("team/app:x@y+z_", name, NULL), 0);
	assert_int_equal(policy_name_normalize("default", name, NULL), 0);
	assert_int_equal(policy_name_normalize("rooted", name, NULL), 0);
}

static void
the_default_policy_parses_and_lets_callers_look_after_themselves(void **state)
{
	struct policy_acl *acl = acl_of(policy_default_text, NULL);

	(void)state;
	assert_true(policy_acl_allows(acl, "auth/token/lookup-self", POLICY_READ));
	assert_true(policy_acl_allows(acl, "auth/token/renew-self", POLICY_UPDATE));
	assert_true(policy_acl_allows(acl, "auth/token/revoke-self", POLICY_UPDATE));
	assert_true(policy_acl_allows(acl, "sys/capabilities-self", POLICY_UPDATE));
	assert_true(policy_acl_allows(acl, "sys/leases/renew", POLICY_UPDATE));
	assert_true(policy_acl_allows(acl, "sys/leases/lookup", POLICY_UPDATE));
	assert_true(policy_acl_allows(acl, "sys/leases/mine/", POLICY_LIST));
	assert_false(policy_acl_allows(acl, "sys/leases/revoke-prefix/a", POLICY_UPDATE));
	assert_false(policy_acl_allows(acl, "auth/token/create", POLICY_UPDATE));
	assert_false(policy_acl_allows(acl, "sys/policies/acl/default", POLICY_READ));
	policy_acl_free(acl);
}

static int
parse_and_merge(void *arg)
{
	static const char text[] = "path \"a/*\" { capabilities = [\"read\"] }\npath \"a/+/b\" { "
				   "policy = \"write\" }\npath \"c\" {}";
	struct policy *policy = NULL;
	struct policy_acl *acl;
	int r = policy_parse(text, strlen(text), &policy, NULL);

	(void)arg;
	if (r != 0)
		return (r);
	acl = policy_acl_new((const struct policy *const *)&policy, 1);
	policy_free(policy);
	if (acl == NULL)
		return (LEASED_ENOMEM);
	policy_acl_free(acl);
	return (0);
}

static void
running_out_of_memory_is_told_at_every_place(void **state)
{
	(void)state;
	assert_int_equal(leased_secret_setup(NULL), 0); /* jansson's memory counts too */
	assert_true(failalloc_each(parse_and_merge, NULL) > 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equal_forms_say_the_same),
	    cmocka_unit_test(older_levels_mean_their_sets),
	    cmocka_unit_test(bad_texts_are_refused_where_they_are_wrong),
	    cmocka_unit_test(constraints_that_are_not_built_are_refused_not_ignored),
	    cmocka_unit_test(a_text_in_a_file_is_located_in_the_file),
	    cmocka_unit_test(the_text_is_kept_byte_for_byte_with_base64_taken_off),
	    cmocka_unit_test(no_spelling_of_root_is_a_policy_name),
	    cmocka_unit_test(names_are_trimmed_and_lower_case),
	    cmocka_unit_test(the_default_policy_parses_and_lets_callers_look_after_themselves),
	    cmocka_unit_test(running_out_of_memory_is_told_at_every_place),
	};

	return (cmocka_run_group_tests_name("policy", tests, NULL, NULL));
}
