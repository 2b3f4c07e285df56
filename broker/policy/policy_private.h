/*
 * What the files of policy/ share: one rule, and how patterns match and rank.
 */
#ifndef POLICY_POLICY_PRIVATE_H
#define POLICY_POLICY_PRIVATE_H

#include "policy/policy.h"

struct policy_rule {
	char *path;        /* owned; as written, without a leading '/' */
	size_t len;        /* of path without the '*' at its end */
	bool prefix;       /* ends in '*' */
	size_t plus_count; /* segments that are '+' */
	size_t first_wildcard;
	unsigned capabilities; /* set of policy_capability; POLICY_DENY stands alone */
};

struct policy {
	char *text; /* owned */
	struct policy_rule *rules;
	size_t count;
};

/* Fills what follows from rule->path. */
void policy_rule_compile(struct policy_rule *rule);
bool policy_rule_is_exact(const struct policy_rule *rule);

/* Does a rule with wildcards match the len bytes of path? */
bool policy_rule_matches(const struct policy_rule *rule, const char *path, size_t len);

/* Is there a path below prefix (without a '/' at its end) that rule matches, as far as its spelling
 * shows? */
bool policy_rule_reaches(const struct policy_rule *rule, const char *prefix, size_t len);

/* Which of two rules with wildcards is the more specific (contract 3.3): positive when a is; 0 only
 * for the same path. */
int policy_rule_rank(const struct policy_rule *a, const struct policy_rule *b);

/* 0 for a name that is unknown. */
unsigned policy_capability_from_name(const char *name);
/* The capability nearest to name, for "did you mean"; NULL: none. */
const char *policy_capability_nearest(const char *name);

#endif
