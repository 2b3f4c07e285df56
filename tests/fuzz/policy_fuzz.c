/*
 * Fuzzes the policy parser: what parses once parses again from its own text, and its ACL never
 * grants what was not asked.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char *const paths[] = {
	    "a", "a/", "a/b", "a/x/b/c", "secret/a", "sys/seal", "/", ""};
	struct policy *policy = NULL, *again = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	struct policy_acl *acl;

	if (policy_parse((const char *)bytes, len, &policy, &err) != 0)
		return (0);
	if (policy_parse(policy_text(policy), strlen(policy_text(policy)), &again, &err) == 0) {
		if (policy_rule_count(policy) != policy_rule_count(again))
			abort();
		policy_free(again);
	}
	if ((acl = policy_acl_new((const struct policy *const *)&policy, 1)) == NULL)
		abort();
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const char *names[POLICY_CAPABILITY_COUNT];
		struct policy_decision decision =
		    policy_acl_decide(acl, paths[i], POLICY_READ | POLICY_LIST);
		char text[256];

		if (decision.allowed &&
		    (decision.missing != 0 || decision.denied || decision.rule == NULL))
			abort();
		if (policy_acl_allows(acl, paths[i], 0) ||
		    policy_acl_capabilities(acl, paths[i], names) < 1)
			abort();
		if (!decision.allowed)
			policy_denial_text(&decision, paths[i], text, sizeof(text));
		(void)policy_acl_any_below(acl, paths[i]);
	}
	policy_acl_free(acl);
	policy_free(policy);
	return (0);
}
