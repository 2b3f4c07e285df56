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

#include "policy/policy.h"

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
no_policy_denies_everything(void **state)
{
	struct policy_acl *acl = acl_of(NULL, NULL);
	struct policy_decision decision = policy_acl_decide(acl, "secret/a", POLICY_READ);

	(void)state;
	assert_false(decision.allowed);
	assert_null(decision.rule);
	assert_false(policy_acl_allows(acl, "", POLICY_READ));
	assert_false(policy_acl_any_below(acl, "secret/"));
	assert_capabilities(acl, "secret/a", "deny");
	policy_acl_free(acl);
	policy_acl_free(NULL);
}

static void
root_may_do_everything_and_is_a_flag(void **state)
{
	struct policy_acl
	    *root = policy_acl_new_root(),
	    *acl =
		acl_of("path \"*\" { capabilities = "
		       "[\"create\",\"read\",\"update\",\"patch\",\"delete\",\"list\",\"sudo\"] }",
		    NULL);

	(void)state;
	assert_true(policy_acl_is_root(root));
	assert_true(policy_acl_allows(root, "sys/seal", POLICY_UPDATE));
	assert_true(policy_acl_any_below(root, "x/"));
	assert_capabilities(root, "x", "root");
	assert_false(policy_acl_is_root(acl));
	assert_capabilities(acl, "x", "sudo read list update delete create patch");
	policy_acl_free(root);
	policy_acl_free(acl);
}

static void
a_path_matches_as_it_is_written(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool matches;
	} cases[] = {
	    {"secret/a", "secret/a", true},
	    {"secret/a", "secret/a/", false},
	    {"secret/a", "secret/ab", false},
	    {"secret/", "secret/", true},
	    {"secret/", "secret", false},
	    {"secret/foo*", "secret/foo", true},
	    {"secret/foo*", "secret/foobar/x", true},
	    {"secret/foo*", "secret/fo", false},
	    {"*", "anything/at/all", true},
	    {"a*b", "a*b", true},
	    {"a*b", "axb", false},
	    {"secret/+/team", "secret/x/team", true},
	    {"secret/+/team", "secret/team", false},
	    {"secret/+/team", "secret/x/y/team", false},
	    {"foo+", "foo+", true},
	    {"foo+", "foox", false},
	    {"+", "x", true},
	    {"+", "x/y", false},
	    {"+/+", "x/y", true},
	    {"a/+/b*", "a/x/b", true},
	    {"a/+/b*", "a/x/bc/d", true},
	    {"a/+/b*", "a/x/c", false},
	    {"a/+/*", "a/x/", true},
	    {"a/+/*", "a/x", false},
	    {"a/+", "a/", true},
	    {"a/+", "a", false},
	    {"a/+/", "a/x/", true},
	    {"a/+/", "a/x", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[128];
		struct policy_acl *acl;

		(void)snprintf(text, sizeof(text), "path \"%s\" { capabilities = [\"read\"] }",
		    cases[i].pattern);
		acl = acl_of(text, NULL);
		if (policy_acl_allows(acl, cases[i].path, POLICY_READ) != cases[i].matches)
			fail_msg("%s, %s", cases[i].pattern, cases[i].path);
		policy_acl_free(acl);
	}
}

static void
the_most_specific_rule_decides_alone(void **state)
{
	/* Each time the first is the more specific of the two, for the path. */
	static const char *const cases[][3] = {
	    {"secret/a", "secret/*", "secret/a"},
	    {"secret/a", "secret/+", "secret/a"},
	    {"secret/ab*", "secret/a*", "secret/abc"},
	    {"secret/*", "+/a", "secret/a"},
	    {"secret/+", "secret/*", "secret/a"},
	    {"a/+/c", "a/+/*", "a/b/c"},
	    {"a/b/+/d", "a/+/c/d", "a/b/c/d"},
	    {"a/+/c", "a/+/+", "a/b/c"},
	    {"a/+/c/d*", "a/+/c/*", "a/b/c/de"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int turn = 0; turn < 2; turn++) {
			char first[128], second[128];
			struct policy_acl *acl;

			(void)snprintf(first, sizeof(first),
			    "path \"%s\" { capabilities = [\"%s\"] }", cases[i][0],
			    turn ? "read" : "deny");
			(void)snprintf(second, sizeof(second),
			    "path \"%s\" { capabilities = [\"%s\"] }", cases[i][1],
			    turn ? "deny" : "read");
			acl = turn ? acl_of(second, first) : acl_of(first, second);
			if (policy_acl_allows(acl, cases[i][2], POLICY_READ) != (turn == 1))
				fail_msg("%s against %s", cases[i][0], cases[i][1]);
			assert_string_equal(
			    policy_acl_decide(acl, cases[i][2], POLICY_READ).rule, cases[i][0]);
			policy_acl_free(acl);
		}
	}
}

static void
policies_are_united_by_path_and_deny_wipes_it(void **state)
{
	struct policy_acl *acl = acl_of(
	    "path \"a\" { capabilities = [\"read\"] }\npath \"b\" { capabilities = [\"read\"] }",
	    "path \"a\" { capabilities = [\"update\"] }\npath \"/b\" { capabilities = [\"deny\"] "
	    "}\npath \"b\" { capabilities = [\"list\"] }");

	(void)state;
	assert_capabilities(acl, "a", "read update");
	assert_capabilities(acl, "b", "deny");
	policy_acl_free(acl);
}

static void
a_rule_without_capabilities_decides_and_grants_nothing(void **state)
{
	struct policy_acl *acl =
	    acl_of("path \"a/*\" { capabilities = [\"read\"] }\npath \"a/b\" {}", NULL);
	struct policy_decision decision = policy_acl_decide(acl, "a/b", POLICY_READ);

	(void)state;
	assert_false(decision.allowed);
	assert_false(decision.denied);
	assert_string_equal(decision.rule, "a/b");
	assert_capabilities(acl, "a/b", "deny");
	policy_acl_free(acl);
}

static void
a_list_counts_with_and_without_its_slash(void **state)
{
	struct policy_acl *acl =
	    acl_of("path \"secret\" { capabilities = [\"list\"] }\npath \"kv/\" { capabilities = "
		   "[\"list\"] }\npath \"x/+\" { capabilities = [\"list\"] }",
		NULL);

	(void)state;
	assert_true(policy_acl_allows(acl, "secret/", POLICY_LIST));
	assert_true(policy_acl_allows(acl, "kv/", POLICY_LIST));
	assert_true(policy_acl_allows(acl, "x/y/", POLICY_LIST));
	assert_false(policy_acl_allows(acl, "kv", POLICY_LIST));
	assert_false(policy_acl_allows(acl, "secret/", POLICY_READ));
	policy_acl_free(acl);
}

/* The slash that a list carries must not lead past a deny that the same place without it has. */
static void
a_list_does_not_pass_by_a_more_specific_deny(void **state)
{
	struct policy_acl *acl =
	    acl_of("path \"secret/*\" { capabilities = [\"list\", \"read\"] }\npath \"secret/+\" { "
		   "capabilities = [\"deny\"] }\npath \"kv/*\" { capabilities = [\"list\"] }\n"
		   "path \"kv/private\" { capabilities = [\"deny\"] }",
		NULL);

	(void)state;
	assert_false(policy_acl_allows(acl, "secret/a/", POLICY_LIST));
	assert_false(policy_acl_allows(acl, "kv/private/", POLICY_LIST));
	assert_true(policy_acl_allows(acl, "kv/public/", POLICY_LIST));
	policy_acl_free(acl);
}

static void
protected_paths_need_sudo_too(void **state)
{
	struct policy_acl *plain = acl_of("path \"*\" { policy = \"write\" }", NULL),
			  *sudo = acl_of("path \"*\" { policy = \"sudo\" }", NULL);
	static const char *const need[] = {"sys/auth/unix", "sys/seal", "sys/raw", "sys/rawx",
	    "sys/leases", "sys/leases/", "sys/leases/lookup/", "sys/leases/lookup/database/",
	    "sys/leases/revoke-prefix/a", "sys/leases/revoke-force/a", "sys/revoke-prefix/a",
	    "auth/token/accessors/", "auth/token/revoke-orphan", "/sys/seal"};
	static const char *const free_of_it[] = {"sys/auth", "sys/leases/lookup", "sys/leases/mine",
	    "sys/leases/revoke", "sys/leases/count", "sys/mounts/x", "auth/token/create",
	    "sys/policies/acl/a", "xsys/seal", "sys/sealx"};

	(void)state;
	for (size_t i = 0; i < sizeof(need) / sizeof(need[0]); i++) {
		assert_true(policy_path_needs_sudo(need[i]));
		assert_false(policy_acl_allows(plain, need[i], POLICY_UPDATE));
		assert_true(policy_acl_allows(sudo, need[i], POLICY_UPDATE));
		assert_true(
		    policy_acl_decide(plain, need[i], POLICY_UPDATE).missing == POLICY_SUDO);
	}
	for (size_t i = 0; i < sizeof(free_of_it) / sizeof(free_of_it[0]); i++) {
		assert_false(policy_path_needs_sudo(free_of_it[i]));
		assert_true(policy_acl_allows(plain, free_of_it[i], POLICY_UPDATE));
	}
	assert_true(policy_acl_decide(sudo, "auth/token/create", POLICY_UPDATE).has_sudo);
	policy_acl_free(plain);
	policy_acl_free(sudo);
}

static void
asking_for_nothing_is_refused(void **state)
{
	struct policy_acl *acl = acl_of("path \"*\" { policy = \"sudo\" }", NULL);

	(void)state;
	assert_false(policy_acl_allows(acl, "a", 0));
	policy_acl_free(acl);
}

static void
a_denial_names_path_and_what_is_missing(void **state)
{
	struct policy_acl *acl = acl_of(
	    "path \"a\" { capabilities = [\"read\"] }\npath \"d/*\" { capabilities = [\"deny\"] }",
	    NULL);
	struct policy_decision decision = policy_acl_decide(acl, "a", POLICY_UPDATE);
	char text[1024], small[32], path[2000];

	(void)state;
	policy_denial_text(&decision, "/a", text, sizeof(text));
	assert_string_equal(text, "permission denied: path \"a\" needs capability \"update\"");
	decision = policy_acl_decide(acl, "sys/seal", POLICY_UPDATE);
	policy_denial_text(&decision, "sys/seal", text, sizeof(text));
	assert_string_equal(text,
	    "permission denied: path \"sys/seal\" needs capabilities \"sudo\" and \"update\"");
	decision = policy_acl_decide(acl, "d/x", POLICY_READ);
	policy_denial_text(&decision, "d/x", text, sizeof(text));
	assert_string_equal(text, "permission denied: path \"d/x\" is denied by the rule \"d/*\"");
	policy_denial_text(&decision, "d/x\n", small, sizeof(small));
	assert_string_equal(small + 25, " [cut]");
	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	decision = policy_acl_decide(acl, path, POLICY_READ);
	policy_denial_text(&decision, path, text, sizeof(text));
	assert_non_null(strstr(text, "ppp[..]ppp"));
	assert_non_null(strstr(text, "ppp\" needs capability \"read\""));
	for (size_t size = 200; size < sizeof(text); size += 7) { /* no path is that long */
		policy_denial_text(&decision, path, text, size);
		assert_non_null(strstr(text, "\" needs capability \"read\""));
	}
	policy_acl_free(acl);
}

static void
anything_at_or_below_a_mount_is_seen(void **state)
{
	static const struct {
		const char *pattern, *capability;
		bool below;
	} cases[] = {
	    {"database/creds/app", "read", true},
	    {"database/*", "read", true},
	    {"*", "list", true},
	    {"data*", "read", true},
	    {"+/creds/app", "read", true},
	    {"database/", "list", true},
	    {"database", "read", true},
	    {"+/+/app", "read", true},
	    {"+", "read", true},
	    {"+/*", "read", true},
	    {"database/+", "read", true},
	    {"database/creds/app", "deny", false},
	    {"database2/creds/app", "read", false},
	    {"data/*", "read", false},
	    {"data", "read", false},
	    {"secret/+/app", "read", false},
	};
	struct policy_acl *acl;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[128];

		(void)snprintf(text, sizeof(text), "path \"%s\" { capabilities = [\"%s\"] }",
		    cases[i].pattern, cases[i].capability);
		acl = acl_of(text, NULL);
		if (policy_acl_any_below(acl, "database/") != cases[i].below)
			fail_msg("%s", cases[i].pattern);
		policy_acl_free(acl);
	}
	acl = acl_of("path \"*\" { capabilities = [\"read\"] }",
	    "path \"database/*\" { capabilities = [\"deny\"] }");
	assert_false(policy_acl_any_below(acl, "database/"));
	assert_true(policy_acl_any_below(acl, "secret/"));
	policy_acl_free(acl);
	acl = acl_of("path \"database/creds/app\" { capabilities = [\"read\"] }",
	    "path \"database/*\" { capabilities = [\"deny\"] }");
	assert_true(policy_acl_any_below(acl, "database/"));
	policy_acl_free(acl);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_policy_denies_everything),
	    cmocka_unit_test(root_may_do_everything_and_is_a_flag),
	    cmocka_unit_test(a_path_matches_as_it_is_written),
	    cmocka_unit_test(the_most_specific_rule_decides_alone),
	    cmocka_unit_test(policies_are_united_by_path_and_deny_wipes_it),
	    cmocka_unit_test(a_rule_without_capabilities_decides_and_grants_nothing),
	    cmocka_unit_test(a_list_counts_with_and_without_its_slash),
	    cmocka_unit_test(a_list_does_not_pass_by_a_more_specific_deny),
	    cmocka_unit_test(protected_paths_need_sudo_too),
	    cmocka_unit_test(asking_for_nothing_is_refused),
	    cmocka_unit_test(a_denial_names_path_and_what_is_missing),
	    cmocka_unit_test(anything_at_or_below_a_mount_is_seen),
	};

	return (cmocka_run_group_tests_name("acl", tests, NULL, NULL));
}
