/*
 * The ACL of one caller: the rules of its policies merged by path, and the decision (contract 3.3).
 * It parses nothing and knows no token. Called by auth/ (to build) and api/ (to ask); immutable, so
 * any thread may ask.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "policy/policy_private.h"

struct policy_acl {
	bool root;
	struct policy_rule *exact; /* sorted by path */
	size_t exact_count;
	struct policy_rule *wild; /* the most specific first, so that the first match counts */
	size_t wild_count;
};

static int
compare_paths(const void *a, const void *b)
{
	return (
	    strcmp(((const struct policy_rule *)a)->path, ((const struct policy_rule *)b)->path));
}

static int
compare_ranks(const void *a, const void *b)
{
	return (policy_rule_rank(b, a));
}

static void
free_rules(struct policy_rule *rules, size_t count)
{
	for (size_t i = 0; rules != NULL && i < count; i++)
		free(rules[i].path);
	free(rules);
}

/* Makes one rule of those with the same path; rules is sorted by path. */
static size_t
merge_equal(struct policy_rule *rules, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (kept > 0 && strcmp(rules[kept - 1].path, rules[i].path) == 0) {
			unsigned set = rules[kept - 1].capabilities | rules[i].capabilities;

			rules[kept - 1].capabilities = (set & POLICY_DENY) != 0 ? POLICY_DENY : set;
			free(rules[i].path);
		} else {
			rules[kept++] = rules[i];
		}
	}
	return (kept);
}

/* Copies of the policies' rules that are exact, or of those that are not. */
static bool
gather(const struct policy *const *policies, size_t count, bool exact,
    struct policy_rule **ret_rules, size_t *ret_count)
{
	struct policy_rule *rules;
	size_t total = 0, filled = 0;

	for (size_t i = 0; i < count; i++)
		total += policies[i] != NULL ? policies[i]->count : 0;
	if ((rules = calloc(total + 1, sizeof(rules[0]))) == NULL)
		return (false);
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; policies[i] != NULL && j < policies[i]->count; j++) {
			const struct policy_rule *rule = &policies[i]->rules[j];

			if (policy_rule_is_exact(rule) != exact)
				continue;
			rules[filled] = *rule;
			if ((rules[filled].path = strdup(rule->path)) == NULL) {
				free_rules(rules, filled);
				return (false);
			}
			filled++;
		}
	}
	qsort(rules, filled, sizeof(rules[0]), compare_paths);
	*ret_count = merge_equal(rules, filled);
	*ret_rules = rules;
	return (true);
}

struct policy_acl *
policy_acl_new(const struct policy *const *policies, size_t count)
{
	struct policy_acl *acl = calloc(1, sizeof(*acl));

	if (acl == NULL)
		return (NULL);
	if (!gather(policies, count, true, &acl->exact, &acl->exact_count) ||
	    !gather(policies, count, false, &acl->wild, &acl->wild_count)) {
		policy_acl_free(acl);
		return (NULL);
	}
	qsort(acl->wild, acl->wild_count, sizeof(acl->wild[0]), compare_ranks);
	return (acl);
}

struct policy_acl *
policy_acl_new_root(void)
{
	struct policy_acl *acl = calloc(1, sizeof(*acl));

	if (acl != NULL)
		acl->root = true;
	return (acl);
}

void
policy_acl_free(struct policy_acl *acl)
{
	if (acl == NULL)
		return;
	free_rules(acl->exact, acl->exact_count);
	free_rules(acl->wild, acl->wild_count);
	free(acl);
}

bool
policy_acl_is_root(const struct policy_acl *acl)
{
	return (acl->root);
}

static const struct policy_rule *
find_exact(const struct policy_acl *acl, const char *path, size_t len)
{
	size_t low = 0, high = acl->exact_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = strncmp(acl->exact[middle].path, path, len);

		if (r == 0 && acl->exact[middle].len > len)
			r = 1;
		if (r == 0)
			return (&acl->exact[middle]);
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return (NULL);
}

static const struct policy_rule *
find_wild(const struct policy_acl *acl, const char *path, size_t len)
{
	for (size_t i = 0; i < acl->wild_count; i++)
		if (policy_rule_matches(&acl->wild[i], path, len))
			return (&acl->wild[i]);
	return (NULL);
}

/*
 * The one rule that decides. A list is asked with a '/' at its end; the same place without it
 * counts too, behind it. There a deny that is more specific than what was found must not be passed
 * by: adding a '/' would lead around it.
 */
static const struct policy_rule *
find_rule(const struct policy_acl *acl, const char *path, bool list)
{
	size_t len = strlen(path);
	const struct policy_rule *rule, *bare;

	list = list && len > 0 && path[len - 1] == '/';
	if ((rule = find_exact(acl, path, len)) != NULL)
		return (rule);
	if (list && (rule = find_exact(acl, path, len - 1)) != NULL)
		return (rule);
	rule = find_wild(acl, path, len);
	if (!list || (bare = find_wild(acl, path, len - 1)) == NULL)
		return (rule);
	if (rule == NULL ||
	    ((bare->capabilities & POLICY_DENY) != 0 && policy_rule_rank(bare, rule) > 0))
		return (bare);
	return (rule);
}

static const char *
without_slash(const char *path)
{
	return (path[0] == '/' ? path + 1 : path);
}

struct policy_decision
policy_acl_decide(const struct policy_acl *acl, const char *path, unsigned need)
{
	struct policy_decision decision = {0};
	const struct policy_rule *rule;
	unsigned have;

	path = without_slash(path);
	if (acl->root) {
		decision.allowed = decision.root = decision.has_sudo = true;
		return (decision);
	}
	if (policy_path_needs_sudo(path))
		need |= POLICY_SUDO;
	rule = find_rule(acl, path, (need & POLICY_LIST) != 0);
	have = rule != NULL ? rule->capabilities : 0;
	decision.rule = rule != NULL ? rule->path : NULL;
	decision.denied = (have & POLICY_DENY) != 0;
	decision.has_sudo = (have & POLICY_SUDO) != 0;
	decision.missing = need & ~have;
	/* Nothing asked for is nothing granted: a caller that forgot to say what it needs is
	 * refused. */
	decision.allowed = !decision.denied && decision.missing == 0 && need != 0;
	return (decision);
}

bool
policy_acl_allows(const struct policy_acl *acl, const char *path, unsigned need)
{
	return (policy_acl_decide(acl, path, need).allowed);
}

/* The names of set, in API order; returns how many. */
static size_t
list_names(unsigned set, const char *ret_names[POLICY_CAPABILITY_COUNT])
{
	size_t count = 0;

	for (unsigned i = 0; i < POLICY_CAPABILITY_COUNT; i++)
		if ((set & 1u << i) != 0)
			ret_names[count++] =
			    policy_capability_name((enum policy_capability)(1u << i));
	return (count);
}

void
policy_denial_text(
    const struct policy_decision *decision, const char *path, char *ret_text, size_t size)
{
	const char *names[POLICY_CAPABILITY_COUNT];
	size_t count = list_names(decision->missing, names);
	char why[256] = "";
	size_t around = sizeof("permission denied: path \"\" ");
	int len;

	if (decision->denied) {
		(void)snprintf(why, sizeof(why), "is denied by the rule \"%s\"",
		    UTF8_SHORT(decision->rule, 200));
	} else {
		(void)snprintf(
		    why, sizeof(why), "needs %s", count == 1 ? "capability" : "capabilities");
		for (size_t i = 0; i < count; i++)
			(void)snprintf(why + strlen(why), sizeof(why) - strlen(why), "%s\"%s\"",
			    i == 0 ? " " : " and ", names[i]);
	}
	/* The reason comes whole; of a long path its beginning and its end. */
	around += strlen(why);
	len = snprintf(ret_text, size, "permission denied: path \"%s\" %s",
	    UTF8_SHORT(without_slash(path), size > around ? size - around : 0), why);
	utf8_mark_cut(ret_text, size, len);
	for (char *c = ret_text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
}

size_t
policy_acl_capabilities(
    const struct policy_acl *acl, const char *path, const char *ret_names[POLICY_CAPABILITY_COUNT])
{
	const struct policy_rule *rule;
	unsigned have;

	if (acl->root) {
		ret_names[0] = "root";
		return (1);
	}
	rule = find_rule(acl, without_slash(path), true);
	have = rule != NULL ? rule->capabilities : 0;
	return (list_names(have != 0 ? have : POLICY_DENY, ret_names));
}

/* shade (NULL: none) decides everything below prefix but for rules that are more specific. */
static bool
any_reaches(const struct policy_rule *rules, size_t count, const struct policy_rule *shade,
    const char *prefix, size_t len)
{
	for (size_t i = 0; i < count; i++) {
		if ((rules[i].capabilities & ~(unsigned)POLICY_DENY) == 0)
			continue;
		if (shade != NULL && policy_rule_rank(&rules[i], shade) < 0)
			continue;
		if (policy_rule_reaches(&rules[i], prefix, len))
			return (true);
	}
	return (false);
}

bool
policy_acl_any_below(const struct policy_acl *acl, const char *prefix)
{
	const struct policy_rule *rule;
	size_t len;

	if (acl->root)
		return (true);
	prefix = without_slash(prefix);
	len = strlen(prefix);
	rule = find_rule(acl, prefix, true);
	if (rule != NULL && (rule->capabilities & ~(unsigned)POLICY_DENY) != 0)
		return (true);
	if (len > 0 && prefix[len - 1] == '/')
		len--;
	if (any_reaches(acl->exact, acl->exact_count, NULL, prefix, len))
		return (true);
	rule = find_wild(acl, prefix, strlen(prefix));
	if (rule != NULL && !rule->prefix)
		rule = NULL;
	return (any_reaches(acl->wild, acl->wild_count, rule, prefix, len));
}
